"""One execution environment of the local stack, with a real process of a function."""

import json
import socket
import subprocess
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from local.paths import ROOT, VENVS

_FUNCTION = """
import time

def lambda_handler(event, context):
    kept = b"x" * (event["megabytes"] << 20)
    while event.get("stays"):
        time.sleep(0.01)
    return len(kept)
"""

# LocalStack has an environment of its own.
_INVOKE = """
import json, sys
from pathlib import Path
from types import SimpleNamespace as Some
from local.localstack.marks import MARK
from local.localstack.process_executor import ProcessExecutor

folder, python, memory_size, *events = sys.argv[1:]
ProcessExecutor.folder, ProcessExecutor.python = Path(folder), python
config = Some(
    code=Some(get_unzipped_code_location=lambda: folder), layers=[], runtime="python3.11",
    handler="function.lambda_handler", timeout=60, memory_size=int(memory_size),
)
executor = ProcessExecutor("1", Some(id=Some(function_name="thing"), config=config))
executor.start({})
for number, event in enumerate(events):
    if "edit" in event:
        Path(folder, "function.py").write_text(json.loads(event)["edit"])
        Path(folder, MARK).touch()
        continue
    arn = "arn:aws:lambda:eu-west-1:000000000000:function:thing"
    job = {"invoke-id": str(number), "invoked-function-arn": arn, "trace-id": "", "payload": event}
    result = executor.invoke(job)
    body = json.loads(result.payload)
    print(json.dumps({"body": body, "error": result.is_error, "logs": result.logs}))
executor.stop()
"""


def invoke(folder: Path, *events: dict[str, Any], memory_size: int) -> list[dict[str, Any]]:
    (folder / "function.py").write_text(_FUNCTION)
    python, of_functions = (str(VENVS / name / "bin/python") for name in ("localstack", "lambda"))
    bodies = map(json.dumps, events)
    output = subprocess.run(
        [python, "-c", _INVOKE, str(folder), of_functions, str(memory_size), *bodies],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    return [json.loads(line) for line in output.splitlines()]


def test_a_process_that_outgrows_its_memory_is_killed_with_the_words_of_aws(tmp_path: Path) -> None:
    small, large = {"megabytes": 1}, {"megabytes": 200}

    answers = invoke(tmp_path, small, {**large, "stays": True}, large, small, memory_size=128)

    before, *outgrown, after = answers
    assert [each["body"] for each in (before, after)] == [1 << 20, 1 << 20]
    assert [each["body"] for each in outgrown] == [
        {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {number} Error: Runtime exited with error: signal: killed",
        }
        for number in (1, 2)
    ]
    assert all(each["error"] for each in outgrown)
    assert all(
        "\tMemory Size: 128 MB\tMax Memory Used: 128 MB\n" in each["logs"] for each in outgrown
    )


def test_an_edited_function_runs_at_the_next_call(tmp_path: Path) -> None:
    one = {"megabytes": 1}
    edit = {"edit": "def lambda_handler(event, context):\n    return 'edited'\n"}

    before, after = invoke(tmp_path, one, edit, one, memory_size=128)

    assert (before["body"], after["body"]) == (1 << 20, "edited")


def test_a_debugged_function_waits_for_its_debugger(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    debugpy = find_spec("debugpy")
    assert debugpy is not None
    assert debugpy.origin is not None
    wanted = tmp_path / "debug" / "thing"
    wanted.parent.mkdir()
    wanted.write_text(f"{port}\n{Path(debugpy.origin).parents[1]}")
    attached: list[bool] = []
    threading.Thread(target=attach, args=(port, attached), daemon=True).start()

    [answer] = invoke(tmp_path, {"megabytes": 1}, memory_size=16)  # less than a debugger takes

    assert attached == [True]
    assert answer["body"] == 1 << 20


def attach(port: int, attached: list[bool]) -> None:
    """Attach as an editor does, by the Debug Adapter Protocol."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connection = socket.create_connection(("127.0.0.1", port), 60)
            break
        except OSError:
            time.sleep(0.1)
    requests: tuple[tuple[str, dict[str, Any]], ...] = (
        ("initialize", {"adapterID": "debugpy"}),
        ("attach", {"justMyCode": False}),
        ("configurationDone", {}),
    )
    with connection, connection.makefile("rwb") as stream:
        for number, (command, arguments) in enumerate(requests, 1):
            request = {"seq": number, "type": "request", "command": command, "arguments": arguments}
            body = json.dumps(request).encode()
            stream.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            stream.flush()
            until(stream, "initialized" if command == "attach" else command)
        attached.append(True)
        with suppress(OSError):
            stream.read()  # until the function ends


def until(stream: Any, awaited: str) -> None:
    """Read messages up to the answer to a command, or up to an event."""
    while True:
        size = int(stream.readline().split(b":")[1])
        stream.readline()
        message = json.loads(stream.read(size))
        if awaited in (message.get("command"), message.get("event")):
            return
