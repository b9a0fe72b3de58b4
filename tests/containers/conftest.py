"""The servers of docker-compose.yml, and `sam local` among them; `make test-containers` runs these tests."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from local import containers, events
from local.deployment import REGION
from local.paths import LOGS, ROOT
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from tests.worlds.databases import empty_the_tables
from tests.worlds.invocation import an_event

LAMBDA_PORT = 3001
START_SECONDS = 120
LONGEST_CALL_SECONDS = 180  # the poller works for a minute by itself

Invoke = Callable[[str], Any]


@contextmanager
def served(command: str, port: int, *arguments: str) -> Iterator[str]:
    """Run a server of `sam local` and yield its address; its containers end with it."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"sam-{command}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            containers.sam_local(command, f"--port={port}", *arguments),
            cwd=ROOT,
            env=containers.sam_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, server, log.read_text)
        yield address
    finally:
        server.terminate()  # not SIGINT, which a shell switches off for background jobs
        server.wait(timeout=START_SECONDS)


def wait_for(address: str, server: subprocess.Popen[bytes], said: Callable[[], str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(address, timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"sam local did not start:\n{said()[-2000:]}")


@pytest.fixture(scope="session")
def servers() -> None:
    if lack := containers.missing():
        pytest.fail(f"{lack} {lack.remedy}")
    containers.prepare()


@pytest.fixture(scope="session")
def invoke(servers: None) -> Iterator[Invoke]:
    """Yield a function from an event's name to the answer or error of its Lambda function."""
    with served("start-lambda", LAMBDA_PORT, "--warm-containers=LAZY") as address:
        functions = boto3.client(
            "lambda",
            endpoint_url=address,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(read_timeout=LONGEST_CALL_SECONDS, retries={"total_max_attempts": 1}),
        )

        def invoke(event: str) -> Any:
            answer = functions.invoke(
                FunctionName=events.function_of(event), Payload=json.dumps(an_event(event))
            )
            return json.loads(answer["Payload"].read())

        assert invoke("migrate_database.direct")["revision"]
        yield invoke


@pytest.fixture
def database(invoke: Invoke) -> Iterator[Database]:
    """The migrated schema without a row, reached by the published port."""
    url = containers.database_url(containers.DATABASE_ON_THIS_MACHINE)
    empty_the_tables(url)
    database = Database(connector(url))
    yield database
    database.close()
