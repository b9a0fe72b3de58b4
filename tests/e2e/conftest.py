"""Fixtures of the running stack, from the description that `make up` writes to `.local/stack.json`."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from local.paths import STACK_FILE, read_json
from reservations.adapters.mysql.tables import METADATA
from tests.e2e.backstage import Backstage
from tests.e2e.operators import Hand
from tests.e2e.travel import SENT, TOLD, a_request, api_client, depart, eventually
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


# Modules that disturb each other run in one process; every other one has a process of its own.
TOGETHER = {
    **dict.fromkeys(
        ("test_bad_input", "test_contract", "test_idempotency", "test_quotes", "test_unpaid_mails"),
        "count the partner's",
    ),
    # `ops reconcile` brings on every inquiry, as a webhook does; both commands and tests drop dead letters.
    **dict.fromkeys(("test_operators", "test_runbooks", "test_webhooks"), "operate on all trips"),
}


class _ByModule(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        path: str = super()._split_scope(nodeid)
        return TOGETHER.get(Path(path).stem, path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Replace `--dist=loadfile`. A group by mark would do, had pytest-xdist's issue 1386 an end."""
    return _ByModule(config, log) if config.getoption("dist") == "loadfile" else None


# --- checks of the whole stack, in the process that leads those of pytest-xdist

CROSSINGS = pytest.StashKey[Path]()
WITNESS = pytest.StashKey[ExitStack]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """With --witness: let the deployed functions write down their crossings."""
    config = session.config
    if config.getoption("witness") and not hasattr(config, "workerinput"):
        config.stash[WITNESS] = ExitStack()
        witness = witnessed(_description()["aws_endpoint_url"])
        config.stash[CROSSINGS] = config.stash[WITNESS].enter_context(witness)
        _take_a_first_trip()


def _take_a_first_trip() -> None:
    """Wait for poller and cold starts: with a hold of a minute, they would expire the first trips."""
    with api_client(_description(), "web") as api:
        trip = depart(api, a_request())
        eventually(lambda: trip.read()["status"] != "EN PROCESO", of="a first trip")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over the data that a process sent and the problems it was answered with."""
    sent, told = getattr(node, "workeroutput", {}).get("travelers", ({}, []))
    SENT.update(sent)
    TOLD.extend(told)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    if (output := getattr(config, "workeroutput", None)) is not None:
        output["travelers"] = (SENT, TOLD)
        return
    with config.stash.get(WITNESS, ExitStack()):
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        try:
            _assert_nothing_personal_is_left_anywhere()
            if CROSSINGS in config.stash:
                _assert_no_message_is_set_aside()
                _assert_every_boundary_is_in_the_list(config.stash[CROSSINGS])
        except AssertionError as error:
            tell("stack", f"FAILED after all tests of the stack: {error}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _assert_nothing_personal_is_left_anywhere() -> None:
    """Find no personal data or secret outside its place."""
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


def _assert_no_message_is_set_aside() -> None:
    """After every test of the stack no dead-letter queue holds a message."""
    with closing(Backstage(_description())) as backstage:
        assert backstage.messages_set_aside() == {}


def _assert_every_boundary_is_in_the_list(crossings: Path) -> None:
    """The crash matrix strikes at every crossing that the deployed functions made."""
    lines = [line.split(" | ") for line in crossings.read_text().splitlines()]
    met = {line for each in lines for line in matrix.lines_of_crossing(*each)}
    listed = matrix.read_list()
    tell("boundaries", f"boundaries: {len(met)} met on the stack, {len(listed)} in the list")
    silent = set(FUNCTIONS) - {line.split(" | ")[0] for line in met} - {"migrate_database"}
    assert silent == set(), "functions without a crossing"
    new = sorted(met - listed - matrix.BY_TIMING)
    assert new == [], "not in the list: `make crash-boundaries`, or a story is missing"


# --- fixtures


# Read again for each test: a test that repairs the stack changes pids and ports.
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


@pytest.fixture(scope="module")
def hand(steady_stack: dict[str, Any]) -> Hand:
    return Hand(steady_stack)
