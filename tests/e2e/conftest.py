"""Fixtures of the running stack, from the description that `make up` writes to `.local/stack.json`."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from local.paths import STACK_FILE, read_json
from reservations.adapters.mysql.tables import METADATA
from tests.e2e.backstage import Backstage
from tests.e2e.travel import SENT, TOLD, api_client
from tests.proofs.crash import matrix
from tests.proofs.crash.environment import FUNCTIONS
from tests.proofs.crash.witness import witnessed
from tests.worlds.account import tell
from tests.worlds.canaries import Search


def _description() -> dict[str, Any]:
    description = read_json(STACK_FILE)
    if not description:
        pytest.fail("The stack is not up: run `make test`, or `make up` first.")
    return description


SEARCHED_TABLES = sorted(set(METADATA.tables) - {"customer"})


@pytest.fixture(scope="session", autouse=True)
def nothing_personal_is_left_anywhere() -> Iterator[None]:
    """After all tests of the stack, find no personal data or secret outside its place."""
    yield
    if not SENT:
        return
    search = Search(SENT)
    with closing(Backstage(_description())) as backstage:
        lines = backstage.logs()
        assert [line for line in lines if '"left_out"' in line] == []
        search.look("stack: log lines", lines)
        search.look("stack: queues", backstage.waiting_messages())
        search.look("stack: problems", TOLD)
        search.look("stack: object keys", backstage.object_keys())
        for table in SEARCHED_TABLES:
            search.look(f"stack: table {table}", backstage.dump(table).splitlines())
    assert search.looked["stack: log lines"]
    search.conclude()


@pytest.fixture(scope="session", autouse=True)
def every_boundary_is_in_the_list(pytestconfig: pytest.Config) -> Iterator[None]:
    """With --witness, check that the crash matrix strikes at every crossing of the deployed functions."""
    if not pytestconfig.getoption("witness"):
        yield
        return
    with witnessed(_description()["aws_endpoint_url"]) as log:
        yield
        met = set(log.read_text().splitlines())
    listed = matrix.read_list()
    tell("boundaries", f"boundaries: {len(met)} met on the stack, {len(listed)} in the list")
    silent = set(FUNCTIONS) - {line.split(" | ")[0] for line in met} - {"migrate_database"}
    assert silent == set(), "functions without a crossing"
    assert met - listed == set(), "not in the list: `make crash-boundaries`, or a story is missing"


# Read again for each test: a test that restarts the stack changes the API's address.
@pytest.fixture
def stack() -> dict[str, Any]:
    return _description()


@pytest.fixture
def web(stack: dict[str, Any]) -> Iterator[httpx.Client]:
    """The web frontend: one of the two clients of the API."""
    headers = {"x-api-key": stack["api_keys"]["web"]}
    with httpx.Client(base_url=stack["api_url"], headers=headers, timeout=30) as client:
        yield client


# For modules whose trips run at the same time. Tests that restart the stack do not use it.
@pytest.fixture(scope="module")
def steady_stack() -> dict[str, Any]:
    return _description()


@pytest.fixture(scope="module")
def api(steady_stack: dict[str, Any]) -> Iterator[httpx.Client]:
    """The web frontend, with each answer checked against the contract."""
    with api_client(steady_stack, "web") as client:
        yield client


@pytest.fixture(scope="module")
def partner(steady_stack: dict[str, Any]) -> Iterator[httpx.Client]:
    """The other client of the API, with each answer checked against the contract."""
    with api_client(steady_stack, "partner") as client:
        yield client


@pytest.fixture(scope="module")
def backstage(steady_stack: dict[str, Any]) -> Iterator[Backstage]:
    with closing(Backstage(steady_stack)) as backstage:
        yield backstage
