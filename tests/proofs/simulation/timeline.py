"""A virtual clock on which invocations take their time, beside each other and within limits."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from reservations.domain.messages import Hint
from tests.proofs.simulation.workers import Worker
from tests.worlds.fakes import InMemoryDatabase

OWN_WORK_S = 0.05  # what an invocation costs besides its call: two short transactions


class Timeline:
    """Runs what is due in order of time; the clock is the database's."""

    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.began = self.database.now
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running: Worker | None = None
        self.now_s = 0.0

    def later(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + seconds, next(self._numbers), event))

    def run(self, finished: Callable[[], bool]) -> None:
        while not finished():
            self.now_s, _, event = heapq.heappop(self._events)
            self.database.now = self.began + timedelta(seconds=self.now_s)
            event()

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Begin an invocation, which `sleep` suspends; what it raises ends the run."""
        self._advance(Worker(name, body))

    def sleep(self, seconds: float) -> None:
        """Let the time of the running invocation pass."""
        worker = self._running
        assert worker is not None
        self.later(seconds, lambda: self._advance(worker))
        worker.pause()

    def _advance(self, worker: Worker) -> None:
        self._running = worker
        worker.advance()
        self._running = None


class Lane:
    """A queue and the functions that read it: never more at once than its MaximumConcurrency."""

    def __init__(self, timeline: Timeline, work: Callable[[Hint], None], *, slots: int) -> None:
        self._timeline = timeline
        self._work = work
        self._free = slots
        self._waiting: deque[Hint] = deque()
        self.spans: list[tuple[float, float]] = []  # when each invocation began and ended
        self.most_waiting = 0

    def put(self, hint: Hint) -> None:
        self._waiting.append(hint)
        self.most_waiting = max(self.most_waiting, len(self._waiting))
        self._timeline.later(0, self._serve)

    def _serve(self) -> None:
        if self._waiting and self._free:
            self._free -= 1
            hint = self._waiting.popleft()
            self._timeline.start(hint.queue, lambda: self._invoke(hint))

    def _invoke(self, hint: Hint) -> None:
        began = self._timeline.now_s
        self._timeline.sleep(OWN_WORK_S)
        self._work(hint)
        self.spans.append((began, self._timeline.now_s))
        self._free += 1
        self._timeline.later(0, self._serve)
