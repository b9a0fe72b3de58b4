"""`make invoke` without Docker: one function of the stack on an event, with the keys of the stack."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from local.paths import ROOT
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.domain.codes import display
from reservations.domain.identifiers import uuid7
from tests.worlds.builders import NOON, a_creation, a_customer, a_reservation
from tests.worlds.services import KEYS

RING = {
    "current": "k1",
    "keys": {kid: base64.b64encode(key).decode() for kid, key in KEYS.keys.items()},
}
PARAMETERS = {"api-clients": {"id1": "web", "id2": "partner"}, "access-token-keys": RING}
RESOURCES = """<ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<ListStackResourcesResult><StackResourceSummaries><member>
<LogicalResourceId>GetReservationFunction</LogicalResourceId><PhysicalResourceId>get</PhysicalResourceId>
<ResourceType>AWS::Lambda::Function</ResourceType></member></StackResourceSummaries>
</ListStackResourcesResult></ListStackResourcesResponse>"""


class Emulator(ThreadingHTTPServer):
    """The stack's resources and parameters, and a function that answers or fails."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.invoked: list[dict[str, Any]] = []
        self.fails = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server, headers = self.server, {}
        assert isinstance(server, Emulator)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/invocations"):
            server.invoked.append(json.loads(body))
            headers["X-Amz-Log-Result"] = base64.b64encode(b"one line").decode()
            if server.fails:
                headers["X-Amz-Function-Error"] = "Unhandled"
            answer = json.dumps({"statusCode": 200})
        elif self.headers.get("X-Amz-Target") == "AmazonSSM.GetParameters":
            paths = {path: path.rpartition("/")[2] for path in json.loads(body)["Names"]}
            found = [
                {"Name": p, "Value": json.dumps(PARAMETERS[name])} for p, name in paths.items()
            ]
            answer = json.dumps({"Parameters": found})
        else:
            answer = RESOURCES
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        Thread(target=emulator.serve_forever, daemon=True).start()
        yield emulator
        emulator.shutdown()


def invoke(event: str, stack: Path) -> subprocess.CompletedProcess[str]:
    program = f"import sys; from local.invoking import invoke; sys.exit(invoke({event!r}))"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={
            **os.environ,
            "STACK_FILE": str(stack),
            "PYTHONPATH": f"{ROOT}:{ROOT}/layers/core",
            "NO_PROXY": "*",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def stack(tmp_path: Path, url: str, emulator: Emulator) -> Path:
    path = tmp_path / "stack.json"
    keys = {"web": "key-of-web", "partner": "key-of-partner"}
    nobody = "http://127.0.0.1:9"
    path.write_text(
        json.dumps(
            {
                "aws_endpoint_url": emulator.url,
                "api_keys": keys,
                "database_url": url,
                "offers_url": nobody,
            }
        )
    )
    return path


def test_an_event_gets_the_keys_and_the_newest_reservation_of_the_stack(
    database: Database, stack: Path, emulator: Emulator
) -> None:
    example = a_reservation()
    own = replace(example, reservation_id=uuid7(NOON), code="23456789ABH", client_id="web")
    own = replace(own, facts=replace(own.facts, reservation_id=own.reservation_id))
    with MySqlUnitOfWork(database) as uow:
        uow.add(a_creation(own), a_customer())
        uow.commit()

    said = invoke("get_reservation.shown", stack)

    assert said.returncode == 0, said.stderr
    [event] = emulator.invoked
    assert event["pathParameters"] == {"code": display(own.code)}
    assert event["requestContext"]["identity"]["apiKeyId"] == "id1"
    token = event["headers"]["Authorization"].removeprefix("Bearer ")
    assert KEYS.verify(token, "k1", own.reservation_id)
    assert "one line" in said.stdout
    assert '"statusCode": 200' in said.stdout


def test_a_function_that_fails_ends_with_one(stack: Path, emulator: Emulator) -> None:
    emulator.fails = True

    assert invoke("get_reservation.shown", stack).returncode == 1
