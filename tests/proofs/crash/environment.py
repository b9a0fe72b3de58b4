"""Execution environments: processes that invoke the real functions, forked from one that has imported them.

`python -m tests.proofs.crash.environment FD` is that first process. Each socket that FD passes becomes an
environment of its own. All environments end when FD closes.
"""

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter

from tests.proofs.crash.boundaries import Blow, Order, Tracer, encode, watch
from tests.worlds.invocation import Context

ROOT = Path(__file__).parents[3]
FUNCTIONS = sorted(
    {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")} - {"rehearse_release"}
)
"""The functions that serve reservations. The rehearsal touches none."""
ANSWER_SECONDS = 60
_ORDER: TypeAdapter[Order | None] = TypeAdapter(Order | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of a function. `remaining_ms` are the successive answers of its context; the last one repeats."""

    function: str
    event: dict[str, Any]
    remaining_ms: Sequence[int] = (60_000,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of an invocation, or the `blow` that struck it."""

    answer: dict[str, Any] | None = None
    error: str | None = None
    crossings: list[str] = field(default_factory=list)
    blow: Blow | None = None


class Environment:
    """Our side of one execution environment."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lines = channel.makefile("rb")
        channel.settimeout(ANSWER_SECONDS)
        self._pid = int(self._line()["pid"])

    def begin(self, invocation: Invocation, order: Order | None = None) -> None:
        message = {
            "function": invocation.function,
            "event": invocation.event,
            "remaining_ms": list(invocation.remaining_ms),
            "order": asdict(order) if order else None,
        }
        self._channel.sendall(encode(message))

    def answers_within(self, seconds: float) -> bool:
        """True if `outcome` returns at once, after waiting up to these seconds."""
        return bool(select.select([self._channel], [], [], seconds)[0])

    def outcome(self) -> Outcome:
        """Wait for the end, or for the blow that was ordered.

        Raises:
            EOFError: the process died without an order.
        """
        line = self._line()
        if "blow" not in line:
            return Outcome(**line)
        blow = Blow(line["blow"])
        if blow is not Blow.STOP:
            assert self._lines.readline() == b""  # it is dead
        return Outcome(blow=blow)

    def resume(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Close the channel, which ends the process after its current invocation."""
        self._lines.close()
        self._channel.close()

    def _line(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise EOFError("an environment died by itself")
        content: dict[str, Any] = json.loads(line)
        return content


class Nursery:
    """The process that environments are forked from, with everything imported and nothing opened."""

    def __init__(self, environ: Mapping[str, str], *, log: Path) -> None:
        self._control, theirs = socket.socketpair()
        paths = [str(ROOT / part) for part in ("", "layers/core", "layers/pdf")]
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.proofs.crash.environment", str(theirs.fileno())],
                cwd=ROOT,
                env={**environ, "PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"]},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._control.close()
        self._process.wait(timeout=20)

    def fork(self, environ: Mapping[str, str]) -> Environment:
        """Fork an environment with no connection open: its first invocation is a cold start."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        ours.sendall(encode(dict(environ)))
        return Environment(ours)


# --- the other side -------------------------------------------------------------------------------


class _Context(Context):
    """A context with scripted remaining times, so that a loop ends after as many rounds."""

    def __init__(self, remaining_ms: list[int]) -> None:
        super().__init__(remaining_ms[0])
        self._script = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._script.pop(0) if len(self._script) > 1 else self._script[0]


def _serve(channel: socket.socket, tracer: Tracer) -> None:
    """Serve the requested invocations one after the other, until the channel closes."""
    with channel, channel.makefile("rb") as lines:
        os.environ.update(json.loads(lines.readline()))
        channel.sendall(encode({"pid": os.getpid()}))
        for line in lines:
            channel.sendall(encode(_invoke(json.loads(line), channel, tracer)))


def _invoke(request: dict[str, Any], channel: socket.socket, tracer: Tracer) -> dict[str, Any]:
    order = _ORDER.validate_python(request["order"])
    handler = importlib.import_module(f"functions.{request['function']}.handler").lambda_handler
    context = cast(LambdaContext, _Context(request["remaining_ms"]))
    tracer.begin(order, lambda blow: channel.sendall(encode({"blow": blow})))
    try:
        answer = handler(request["event"], context)
    except Exception:  # as Lambda does: the invocation failed, the environment lives on
        return {"error": traceback.format_exc(), "crossings": tracer.crossings}
    return {"answer": answer, "crossings": tracer.crossings}


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # exit statuses are not needed
    tracer = Tracer()
    watch(tracer)
    for function in FUNCTIONS:
        importlib.import_module(f"functions.{function}.handler")
    for adapter in (
        "mysql.unit_of_work",
        "mysql.idempotency",
        "papers.voucher_pdf",
        "providers.payments_api",
    ):
        importlib.import_module(f"reservations.adapters.{adapter}")
    for service in ("ssm", "sqs", "s3", "ses"):
        boto3.client(service)  # loads its model once for all forks
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            os.killpg(0, signal.SIGKILL)  # a session of our own: ourselves and all we forked
        if os.fork() == 0:
            control.close()
            _serve(socket.socket(fileno=descriptors[0]), tracer)
            os._exit(0)
        os.close(descriptors[0])


if __name__ == "__main__":
    main()
