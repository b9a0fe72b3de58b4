"""A database that fails over under the API: two real servers, on both engines.

No reservation is lost or doubled, and a client that repeats its request with its key ends with exactly one.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from secrets import token_hex
from typing import Any

import pytest

from reservations.adapters.mysql import engine
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.domain.codes import canonical
from reservations.domain.history import HistoryEntry
from tests.worlds.databases import ENGINES
from tests.worlds.failover import Pair, a_pair
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import OnDatabase, handler_of

PATIENT_SECONDS = 60  # no answer of this machine is taken for a silence

Answer = dict[str, Any]


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.mysql) for name in ENGINES]
)
def servers(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with a_pair(request.param) as pair:
        yield pair


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    """A healthy pair. At the end both servers have the same reservations, none twice."""
    servers.heal()
    yield servers
    servers.heal()
    servers.reader.catch_up_with(servers.writer)
    codes = servers.writer.codes()
    assert servers.reader.codes() == codes
    assert len(set(codes)) == len(codes)


@pytest.fixture
def environment(pair: Pair) -> Iterator[Callable[[], OnDatabase]]:
    """Make execution environments, each with the connection that it keeps."""
    with ExitStack() as stack:

        def make() -> OnDatabase:
            database = Database(connector(pair.url, answer_seconds=PATIENT_SECONDS))
            stack.callback(database.close)
            return OnDatabase(database)

        yield make


def post(services: OnDatabase, key: str) -> Answer:
    """Make a reservation whose payment token is its own, as its key is."""
    event = an_event("create_reservation.accepted")
    event["body"] = json.dumps({**json.loads(event["body"]), "payment_token": f"tok_{key}"})
    event["headers"]["Idempotency-Key"] = key
    event["multiValueHeaders"]["Idempotency-Key"] = [key]
    return handler_of("create_reservation", services)(event, a_context())


def get(services: OnDatabase, code: str, token: str) -> Answer:
    event = an_event("get_reservation.shown")
    event["headers"]["Authorization"] = f"Bearer {token}"
    event["multiValueHeaders"]["Authorization"] = [f"Bearer {token}"]
    event["path"] = f"/v1/reservations/{code}"
    event["pathParameters"] = {"code": code}
    return handler_of("get_reservation", services)(event, a_context())


def a_key() -> str:
    return token_hex(16)


def write_once(services: OnDatabase) -> None:
    assert post(services, a_key())["statusCode"] == 202


def read_once(services: OnDatabase) -> None:
    assert get(services, "7KQ2M-XD4RT-S", "k1.unknown")["statusCode"] == 404


def effect_of_503(answer: Answer) -> str:
    """Return the effect that a 503 with Retry-After admits."""
    assert answer["statusCode"] == 503
    assert answer["multiValueHeaders"]["Retry-After"] == ["5"]
    effect: str = json.loads(answer["body"])["effect"]
    return effect


def code_of(answer: Answer) -> str:
    assert answer["statusCode"] == 202
    return canonical(json.loads(answer["body"])["reservation_code"])


def is_replayed(answer: Answer) -> bool:
    return "Idempotency-Replayed" in answer["multiValueHeaders"]


Environment = Callable[[], OnDatabase]
at_first = pytest.mark.parametrize("use_once", [write_once, read_once])


@at_first
def test_after_a_planned_switch_a_kept_connection_refuses_no_write(
    pair: Pair, environment: Environment, use_once: Callable[[OnDatabase], None]
) -> None:
    services = environment()
    use_once(services)
    before = pair.writer.codes()
    pair.switch()
    pair.lead_to_the_writer()

    accepted = [code_of(post(services, a_key())) for _ in range(10)]

    assert pair.writer.codes() == sorted(before + accepted)


@at_first
def test_while_the_address_leads_to_the_old_writer_nothing_is_accepted(
    pair: Pair, environment: Environment, use_once: Callable[[OnDatabase], None]
) -> None:
    services, key = environment(), a_key()
    use_once(services)
    before = pair.writer.codes()
    pair.switch()

    effects = [effect_of_503(post(services, key)) for _ in range(3)]
    pair.lead_to_the_writer()
    accepted = post(services, key)

    assert effects == ["none"] * 3
    assert not is_replayed(accepted)
    assert pair.writer.codes() == sorted([*before, code_of(accepted)])


def test_a_transaction_that_meets_a_planned_switch_is_refused_whole(
    pair: Pair, environment: Environment
) -> None:
    """Both engines answer its first write, or its COMMIT, with 1290 and have rolled it back."""
    services, key = environment(), a_key()
    write_once(services)
    before = pair.writer.codes()

    def switch() -> None:
        pair.switch()
        pair.lead_to_the_writer()

    pair.address.before("COMMIT", switch)
    effect = effect_of_503(post(services, key))
    accepted = post(services, key)

    assert effect == "none"
    assert not is_replayed(accepted)
    assert pair.writer.codes() == sorted([*before, code_of(accepted)])


@pytest.mark.parametrize(
    ("statement", "answered", "effect"),
    [
        ("INSERT INTO idempotency", False, "none"),
        ("COMMIT", False, "unknown"),
        ("COMMIT", True, "unknown"),
    ],
)
def test_a_repeat_after_a_crash_of_the_writer_ends_with_one_reservation(
    pair: Pair, environment: Environment, statement: str, answered: bool, effect: str
) -> None:
    """The server dies before it gets the statement, or after it has acted on it."""
    services, key = environment(), a_key()
    write_once(services)
    before = pair.writer.codes()
    stop = pair.address.after if answered else pair.address.before
    stop(statement, pair.crash)

    met = effect_of_503(post(services, key))
    while_down = effect_of_503(post(services, key))
    pair.replace_the_dead()
    pair.lead_to_the_writer()
    accepted = post(services, key)

    assert (met, while_down) == (effect, "none")
    assert is_replayed(accepted) is answered
    assert pair.writer.codes() == sorted([*before, code_of(accepted)])


def test_a_writer_that_comes_back_as_a_reader_accepts_nothing(
    pair: Pair, environment: Environment
) -> None:
    services, key = environment(), a_key()
    write_once(services)
    before = pair.writer.codes()
    pair.crash()
    pair.replace_the_dead()
    pair.come_back()

    effects = [effect_of_503(post(services, key)) for _ in range(3)]
    read_once(services)  # the connection to the reader is kept
    pair.lead_to_the_writer()
    accepted = post(services, key)

    assert effects == ["none"] * 3
    assert not is_replayed(accepted)
    assert pair.writer.codes() == sorted([*before, code_of(accepted)])


def test_a_function_that_only_reads_follows_the_address(
    pair: Pair, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old writer has stopped to replicate, so it answers 404 to what the new one accepted."""
    reading = environment()
    read_once(reading)
    pair.switch()
    pair.reader.stop_following()
    pair.lead_to_the_writer()
    accepted = json.loads(post(environment(), a_key())["body"])
    code, token = accepted["reservation_code"], accepted["access_token"]
    stale = get(reading, code, token)

    monkeypatch.setattr(engine, "KEPT_SECONDS", 0)  # the connection is old by now
    answer = get(reading, code, token)
    pair.reader.follow(pair.writer)

    assert (stale["statusCode"], answer["statusCode"]) == (404, 200)


def test_a_worker_goes_on_at_the_writer(pair: Pair, environment: Environment) -> None:
    code = code_of(post(environment(), a_key()))
    database = Database(connector(pair.url, answer_seconds=PATIENT_SECONDS))
    work = MySqlUnitOfWork(database)
    with work:
        reservation = work.reservations.find(code)
    assert reservation is not None
    pair.switch()
    pair.lead_to_the_writer()

    with work:
        opened = work.open(reservation.reservation_id)
        entry = HistoryEntry(event="noted", at=opened.now, actor="system")
        work.reservations.add_history(reservation.reservation_id, entry)
        work.commit()
    database.close()

    assert pair.writer.ask("SELECT COUNT(*) FROM history WHERE event = 'noted'") == [1]
