"""Follow the logs of the embedded stack: `python -m local.follow [FUNCTION]`, as in process_payment."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from local.paths import FUNCTION_LOGS, LOGS, STACK_FILE
from local.processes import StackError, identity
from local.progress import complain, note
from ops.logs import read_line, told
from ops.output import columns_of

_PAUSE_SECONDS = 0.3
_LAST_LINES = 5


def sources(function: str) -> list[Path]:
    """Return the logs of a function, or all logs if it is empty."""
    own = "".join(word.title() for word in function.split("_"))
    logs = sorted(FUNCTION_LOGS.glob(f"reservations-{own}Functio*.log" if own else "*.log"))
    return logs if function else [*sorted(LOGS.glob("*.log")), *logs]


def lines(path: Path, position: int) -> tuple[list[str], int]:
    """Return the complete lines behind a position, and the position behind them."""
    with path.open("rb") as file:
        file.seek(position)
        content = file.read()
    complete = content[: content.rfind(b"\n") + 1]
    return complete.decode(errors="replace").splitlines(), position + len(complete)


def shown(path: Path, text: list[str]) -> Iterator[str]:
    """Word each line. Metrics and the marks of the runtime are left out of a function's log."""
    for line in text:
        if path.parent != FUNCTION_LOGS:
            yield f"{path.stem}: {line}"
        elif log := read_line(line):
            yield told(log, columns_of(sys.stdout))
        elif not line.startswith(("{", "START ", "END ", "REPORT ")):
            yield f"{path.stem.split('-')[1]}: {line}"


def _is_up() -> bool:
    """Whether the stack runs. Its description outlives a kill and a reboot."""
    return STACK_FILE.exists() and identity("localstack") is not None


def follow(function: str) -> None:
    """Print new lines until Ctrl-C.

    Raises:
        StackError: there is no log of that function.
    """
    was_up = _is_up()
    if not was_up:
        note("The stack is down: these logs are of its last run. Start it with: make up")
    if not sources(function):
        raise StackError(
            f"There is no log of {function or 'anything'}.",
            remedy="A function has a log after its first call. Names are those of functions/.",
        )
    positions: dict[Path, int] = {}
    while True:
        for path in sources(function):
            first = path not in positions
            text, positions[path] = lines(path, positions.get(path, 0))
            for line in list(shown(path, text))[-_LAST_LINES if first else None :]:
                print(line, flush=True)
        if not _is_up():
            if was_up:
                note("The stack went down.")
            return
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    try:
        follow(sys.argv[1] if len(sys.argv) > 1 else "")
    except StackError as error:
        complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
