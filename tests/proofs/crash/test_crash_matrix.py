"""The list of boundaries is complete, a broken promise is found, and a sample of the matrix holds."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from reservations.adapters.mysql.engine import Statement
from tests.proofs.crash import matrix
from tests.proofs.crash.boundaries import COLD, Blow, Order, Tracer, summary_of, summary_of_flight
from tests.proofs.crash.environment import FUNCTIONS
from tests.proofs.crash.matrix import Boundary, Place
from tests.proofs.crash.stories import TALES, BrokenPromiseError, Traveler, tell
from tests.proofs.crash.world import World
from tests.worlds.sql import constants

SAMPLE = 12
CONFIRMED = TALES[0]
WITHOUT_STORY = {  # no deployed function executes these
    "sql SELECT provider_attempt provider_call": "`ops show` reads the attempts",
    "sql INSERT history outbox reservation": "`ops outbox revive` records it in the history",
    "sql INSERT history reservation": "`ops dlq` records the operator who moved a message",
    "sql UPDATE outbox SET status, refusals, available_at": "`ops outbox revive`",
    f"sql (SELECT{7 * ' reservation'} finding": "`ops list --stuck`",
    "sql UPDATE customer SET email, former_email": "`ops customer set-email`, and its notice",
    "sql SELECT reservation contradiction": "`ops` counts the contradictions",
    "sql SELECT reservation provider_attempt": "`ops` looks for providers without an answer",
    "sql INSERT finding": "`clean_up`, once an invariant is broken",
}

pytestmark = [pytest.mark.mysql, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def opened() -> Iterator[list[World]]:
    with matrix.worlds(3) as opened:
        yield opened


@pytest.fixture(scope="module")
def places(opened: list[World]) -> dict[Boundary, Place]:
    return matrix.record(opened)


def test_every_boundary_that_is_met_is_in_the_list(places: dict[Boundary, Place]) -> None:
    met, listed = matrix.lines_of(places), matrix.read_list()
    remedy = "run `make crash-boundaries`, read the difference and commit it"
    assert met - listed <= matrix.BY_TIMING, f"new boundaries: {remedy}"
    assert listed - met == set(), f"boundaries not met any more: {remedy}"


def test_no_function_is_left_out(places: dict[Boundary, Place]) -> None:
    assert sorted({boundary.function for boundary in places}) == FUNCTIONS


def crossings_of_statements() -> set[str]:
    """Crossings of the statements that the adapters' modules declare."""
    return {f"sql {summary_of(statement.sql)}" for statement in constants().values()}


def test_some_story_crosses_every_declared_statement() -> None:
    crossed = {line.split(" | ")[1].removeprefix(COLD) for line in matrix.read_list()}

    assert crossings_of_statements() - crossed == WITHOUT_STORY.keys()


def test_a_sample_of_the_matrix_keeps_every_promise(
    opened: list[World], places: dict[Boundary, Place]
) -> None:
    """A place that depends on timing may not be met again: another case takes its turn."""
    cases, struck = matrix.sample(matrix.cases_of(places), 2 * SAMPLE), 0
    for result in matrix.run(cases, opened):
        assert result.broken is None, result.case
        struck += result.outcome != matrix.NOT_MET
        if struck == SAMPLE:
            break
    assert struck == SAMPLE


def charge_twice(traveler: Traveler) -> None:
    body = {"reference": traveler.reference, "amount": "1.00", "currency": "EUR", "token": "tok_ok"}
    headers = {"Authorization": "Bearer somebody", "Idempotency-Key": "another-key"}
    url = f"{traveler.world.simulators['payments'].url}/payments"
    httpx.post(url, json=body, headers=headers, timeout=10).raise_for_status()


def lose_the_idempotency_key(traveler: Traveler) -> None:
    traveler.world.change("DELETE FROM idempotency")
    traveler.world.change("DELETE FROM charge_claim")  # it would refuse the second charge


def lose_the_voucher(traveler: Traveler) -> None:
    traveler.world.change("DELETE FROM document")


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        (charge_twice, "2 charges"),
        (lose_the_idempotency_key, "not 1 of each"),
        (lose_the_voucher, "0 vouchers"),
    ],
)
def test_a_broken_promise_is_found(
    opened: list[World], fault: Callable[[Traveler], None], broken: str
) -> None:
    def faulty(traveler: Traveler) -> None:
        traveler.reserve()
        traveler.rest()
        fault(traveler)

    world = opened[0]
    world.begin()
    with pytest.raises(BrokenPromiseError, match=broken):
        tell(replace(CONFIRMED, live=faulty), world)


# --- how crossings are seen -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        (
            "SELECT reservation.id,\n reservation.code \nFROM reservation WHERE id = %(id)s FOR UPDATE",
            "SELECT reservation FOR UPDATE",
        ),
        (
            "SELECT outbox.id FROM outbox LIMIT %(limit)s FOR UPDATE SKIP LOCKED",
            "SELECT outbox FOR UPDATE SKIP LOCKED",
        ),
        (
            "UPDATE outbox SET status=%(status)s, lease_token=%(token)s WHERE outbox.id IN (%(a)s)",
            "UPDATE outbox SET status, lease_token",
        ),
        ("UPDATE call SET a=%s, b=%s, c=%s, d=%s WHERE id = %s", "UPDATE call"),
        ("INSERT INTO history (event) VALUES (%(event)s)", "INSERT history"),
        ("SELECT GET_LOCK('migrate', %(seconds)s)", "SELECT GET_LOCK(?, ?)"),
    ],
)
def test_a_statement_is_summarized(statement: str, summary: str) -> None:
    assert summary_of(statement) == summary


def test_a_flight_is_named_by_its_statements_and_first_by_its_commit() -> None:
    flight = [
        Statement("INSERT INTO history (event) VALUES (%(event)s)")(event="one"),
        Statement("INSERT INTO history (event) VALUES (%(event)s)")(event="two"),
        Statement("COMMIT")(),
    ]
    assert summary_of_flight(flight) == "COMMIT + INSERT history"


def test_an_unforeseen_connection_is_a_boundary() -> None:
    tracer = Tracer()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        tracer.audit("socket.connect", (client, server.getsockname()))

    assert tracer.crossings == ["socket connect"]


def test_calls_of_a_driver_inside_a_crossing_are_part_of_it() -> None:
    tracer = Tracer()
    with tracer.crossing("sql INSERT history"):
        tracer.audit("socket.connect", ())

    assert tracer.crossings == ["sql INSERT history"]


@pytest.mark.parametrize(
    ("exact", "crossings", "due"),
    [
        (True, ["sql SELECT call", "sql COMMIT"], True),
        (True, ["sql UPDATE call", "sql COMMIT"], False),
        (False, ["sql UPDATE call", "sql COMMIT"], True),
        (False, ["http POST /payments", "sql COMMIT"], False),
        (False, ["sql COMMIT", "sql COMMIT"], False),
        (True, ["cold start: sql connect", "sql SELECT call", "sql COMMIT"], True),
    ],
)
def test_an_order_is_carried_out_at_its_place_only(
    *, exact: bool, crossings: list[str], due: bool
) -> None:
    order = Order(crossings=["sql SELECT call", "sql COMMIT"], blow=Blow.STOP, exact=exact)
    assert order.is_due(crossings) is due


@pytest.mark.parametrize(("exact", "due"), [(True, False), (False, True)])
def test_a_call_repeated_at_once_counts_as_one_on_the_way(*, exact: bool, due: bool) -> None:
    crossings = ["sqs SendMessageBatch", "sqs SendMessageBatch", "s3 PutObject"]
    order = Order(crossings=crossings, blow=Blow.STOP, exact=exact)
    assert order.is_due(crossings[1:]) is due
