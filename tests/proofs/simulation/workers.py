"""Workers that run one at a time, each until it pauses, ends or dies."""

import _thread  # `threading` waits for a handshake, which slows a thousand schedules
from collections.abc import Callable


class CrashError(BaseException):
    """The death of a process, which no handler of ours may catch."""


class Worker:
    """One invocation in a thread of its own, which runs only while `advance` waits for it."""

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.ended = False
        self._body = body
        self._go, self._back = _thread.allocate_lock(), _thread.allocate_lock()
        self._go.acquire()
        self._back.acquire()
        self._started = False
        self._killed = False
        self._failure: BaseException | None = None

    def advance(self) -> None:
        """Let it run until it pauses or ends.

        Raises:
            BaseException: the error that ended the worker.
        """
        if self._started:
            self._go.release()
        else:
            self._started = True
            _thread.start_new_thread(self._run, ())
        self._back.acquire()
        if self._failure is not None:
            raise self._failure

    def kill(self) -> None:
        """Kill the worker at the port where it paused."""
        self._killed = True
        if self._started:
            self.advance()
        self.ended = True

    def pause(self) -> None:
        """Pause from within the worker, until it is advanced again."""
        self._back.release()
        self._go.acquire()
        if self._killed:
            raise CrashError

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as failure:
            self._failure = failure
        self.ended = True
        self._back.release()
