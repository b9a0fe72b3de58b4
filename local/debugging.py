"""Let a function wait for a debugger: `python -m local.debugging FUNCTION`, as in get_reservation."""

import contextlib
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from local import deployment
from local.localstack.marks import DEBUGGED, MARK
from local.paths import FUNCTION_LOGS, STACK_FILE, read_json
from local.processes import StackError
from local.progress import complain, done, note
from local.template import resources

PORT = 5678  # as in .vscode/launch.json


def logical_id(name: str) -> str:
    """Return the function with that folder of functions/.

    Raises:
        StackError: there is none.
    """
    known = {
        Path(properties["CodeUri"]).name: function
        for function, properties in resources("AWS::Serverless::Function").items()
    }
    if name not in known:
        names = "\n    ".join(sorted(known))
        raise StackError(
            f"There is no function {name!r}.", remedy=f"FUNCTION=… one of:\n    {names}"
        )
    return known[name]


def debug(name: str) -> None:
    """Debug the function until Ctrl-C.

    Raises:
        StackError: no such function, or the stack is down.
    """
    function, stack = logical_id(name), read_json(STACK_FILE)
    if "aws_endpoint_url" not in stack:
        raise StackError("The stack is not up.", remedy="Start it with: make up")
    _, physical = deployment.resources_of(stack["aws_endpoint_url"])[function]
    debugpy = find_spec("debugpy")
    assert debugpy is not None  # it is in dev.lock
    assert debugpy.origin is not None
    wanted = FUNCTION_LOGS.parent / DEBUGGED / physical
    mark = deployment.BUILD / function / MARK
    wanted.parent.mkdir(exist_ok=True)
    wanted.write_text(f"{PORT}\n{Path(debugpy.origin).parents[1]}")
    mark.touch()
    done(f"The next call of {name} waits for a debugger on 127.0.0.1:{PORT}, without its Timeout.")
    note('  VS Code: Run and Debug, then "Attach to a function". Ctrl-C here ends it.')
    try:
        signal.pause()
    finally:
        wanted.unlink(missing_ok=True)
        mark.touch()
        note(f"\n{name} runs as before from its next call.")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        try:
            debug(sys.argv[1] if len(sys.argv) > 1 else "")
        except StackError as error:
            complain(error)
            sys.exit(1)
