"""Create, once per idempotency key, on real servers: doubles, crashes, lost connections."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemNotFoundError,
    IdempotencyPersistenceLayerError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from sqlalchemy import text
from tenacity import Retrying, retry_if_exception_type, stop_after_delay

from local.database import Engine
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import NOW, Database, Query
from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore
from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork
from reservations.application import create_reservation
from reservations.domain.codes import new_code
from reservations.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    DuplicateCodeError,
    IdempotencyKeyReusedError,
    KnowledgeLostError,
    RequestInFlightError,
)
from reservations.entrypoints.idempotency import ATTEMPTS, RETRY_MS, Answer
from tests.database.create import SCOPE, commits, create
from tests.database.waiting import (
    DEADLINE_SECONDS,
    at_once,
    connection_id,
    kill,
    wait_until_blocked,
)
from tests.worlds.builders import CODE, an_offer
from tests.worlds.databases import Connect
from tests.worlds.sql import run

ROOT = Path(__file__).parents[2]
TABLES = ("idempotency", "reservation", "customer", "history", "outbox")


def row_counts(database: Database) -> list[int]:
    counts = [run(database, text(f"SELECT COUNT(*) FROM {table}")).scalar_one() for table in TABLES]
    database.rollback()
    return counts


NOTHING = [0] * len(TABLES)
ONE_OF_EACH = [1] * len(TABLES)


def connected(database: Database) -> Database:
    connection_id(database)
    return database


def codes(results: list[tuple[Answer, bool]]) -> int:
    """Count the different reservations in the answers."""
    return len({answer["body"]["reservation_code"] for answer, _ in results})


class RefusedForTestsError(Exception):
    """The use case refuses."""


def refuse() -> None:
    raise RefusedForTestsError


def test_a_first_request_stores_one_row_in_each_table(database: Database) -> None:
    answer, replayed = create(database)

    assert not replayed
    assert answer["status"] == 202
    assert row_counts(database) == ONE_OF_EACH


def test_a_repeat_gets_the_stored_answer_and_does_nothing(
    database: Database, connect: Connect
) -> None:
    first, _ = create(database)

    second, replayed = create(connect())

    assert replayed
    assert second == first
    assert row_counts(database) == ONE_OF_EACH


def test_the_same_key_for_another_request_is_refused(database: Database) -> None:
    create(database)

    with pytest.raises(IdempotencyKeyReusedError):
        create(database, offer=an_offer(offer_id="HTL-MAD-002"))

    assert not database.in_transaction
    assert row_counts(database) == ONE_OF_EACH


@pytest.mark.parametrize(
    "other",
    [
        replace(SCOPE, client_id="partner"),
        replace(SCOPE, operation="POST /v1/reservations/{code}/cancel"),
        replace(SCOPE, key="0123456789abcdeg"),
        replace(SCOPE, key="0123456789ABCDEF"),
    ],
)
def test_keys_of_other_clients_operations_and_spellings_are_other_keys(
    database: Database, other: Any
) -> None:
    create(database)

    _, replayed = create(database, scope=other)

    assert not replayed


def test_an_error_of_the_use_case_stores_nothing_and_the_key_is_free(database: Database) -> None:
    with pytest.raises(RefusedForTestsError):
        create(database, then=refuse)

    assert not database.in_transaction
    assert row_counts(database) == NOTHING
    assert create(database)[1] is False


def test_an_answer_that_cannot_be_stored_stores_nothing(database: Database) -> None:
    with pytest.raises(IdempotencyPersistenceLayerError):
        create(database, then=object)

    assert not database.in_transaction
    assert row_counts(database) == NOTHING


def test_without_a_fingerprint_nothing_is_run(database: Database) -> None:
    store = MySqlIdempotencyStore(database, client_id="web", operation="o", key="k")
    run = idempotent_function(
        lambda *, request: request,
        data_keyword_argument="request",
        persistence_store=store,
        config=IdempotencyConfig(lambda_context=None),
    )

    with (
        pytest.warns(UserWarning, match="remaining time"),
        pytest.raises(IdempotencyPersistenceLayerError),
    ):
        run(request={"key": "k"})

    assert store.conclusion is None
    assert row_counts(database) == NOTHING


def test_a_stored_record_can_be_read(database: Database) -> None:
    answer, _ = create(database)
    store = MySqlIdempotencyStore(database, **asdict(SCOPE))
    store.configure(IdempotencyConfig(event_key_jmespath="key"), key_prefix=SCOPE.operation)
    unknown = MySqlIdempotencyStore(database, **asdict(replace(SCOPE, key="none" * 4)))
    unknown.configure(IdempotencyConfig(event_key_jmespath="key"), key_prefix=SCOPE.operation)

    record = store.get_record({"key": SCOPE.key})

    assert record is not None
    assert record.response_json_as_dict() == answer
    with pytest.raises(IdempotencyItemNotFoundError):
        unknown.get_record({"key": "none" * 4})
    assert not database.in_transaction


def test_an_answer_without_its_key_in_the_transaction_is_not_stored(database: Database) -> None:
    store = MySqlIdempotencyStore(database, **asdict(SCOPE))

    with pytest.raises(KnowledgeLostError, match="in this transaction"):
        store._update_record(DataRecord(idempotency_key="", response_data="{}"))

    assert store.conclusion is None
    assert not database.in_transaction


def test_deleting_a_record_undoes_its_transaction(database: Database) -> None:
    store = MySqlIdempotencyStore(database, **asdict(SCOPE))
    record = DataRecord(idempotency_key="", payload_hash="0" * 64)
    store._put_record(record)
    assert database.in_transaction

    store._delete_record(record)

    assert not database.in_transaction
    assert row_counts(database) == NOTHING


def test_a_joined_unit_of_work_refuses_to_work_without_its_store(database: Database) -> None:
    unit = JoinedUnitOfWork(database)

    with pytest.raises(RuntimeError, match="no idempotent operation"), unit:
        pytest.fail("entered")


# --- codes


def draw(monkeypatch: pytest.MonkeyPatch, *codes: str) -> list[str]:
    """Let these codes be drawn. Return those that are left."""
    left = list(codes)
    monkeypatch.setattr(create_reservation, "new_code", lambda: left.pop(0))
    return left


OTHER = replace(SCOPE, key="fedcba9876543210")


def test_another_code_is_drawn_for_one_that_is_taken(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clash shows in the commit, so the whole is repeated."""
    free = new_code()
    draw(monkeypatch, CODE, CODE, free)
    create(database)

    answer, replayed = create(database, scope=OTHER)

    assert not replayed
    assert answer["body"]["reservation_code"] == free
    assert row_counts(database) == [2] * len(TABLES)
    assert create(database, scope=OTHER) == (answer, True)


def test_a_code_that_is_always_taken_stores_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = draw(monkeypatch, CODE, *[CODE] * ATTEMPTS)
    create(database)

    with pytest.raises(DuplicateCodeError):
        create(database, scope=OTHER)

    assert left == []
    assert row_counts(database) == ONE_OF_EACH
    assert not database.in_transaction


# --- expiry


def expire(database: Database) -> None:
    past = "UPDATE idempotency SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND"
    run(database, text(past))
    database.commit()


def test_a_record_is_kept_for_thirty_days_of_the_databases_clock(database: Database) -> None:
    create(database)

    hours = "SELECT TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(6), expires_at) FROM idempotency"
    assert run(database, text(hours)).scalar_one() == 30 * 24 - 1


def test_an_expired_key_is_taken_over_by_any_request(database: Database) -> None:
    create(database)
    expire(database)

    renewed = create(database, offer=an_offer(offer_id="HTL-MAD-002"))
    repeated = create(database, offer=an_offer(offer_id="HTL-MAD-002"))

    assert renewed == (repeated[0], False)
    assert repeated[1] is True
    assert row_counts(database)[:2] == [1, 2]


def test_an_expired_key_is_taken_over_once(database: Database, connect: Connect) -> None:
    create(database)
    expire(database)

    rivals = [connected(connect()) for _ in range(6)]
    results = [f.result() for f in at_once([partial(create, rival) for rival in rivals])]

    assert sorted(replayed for _, replayed in results) == [False] + [True] * 5
    assert codes(results) == 1
    assert row_counts(database)[:2] == [1, 2]


def test_a_take_over_that_fails_leaves_the_old_record(database: Database) -> None:
    create(database)
    expire(database)

    with pytest.raises(RefusedForTestsError):
        create(database, then=refuse)

    assert row_counts(database) == ONE_OF_EACH


# --- many at once


def create_as_a_client(database: Database) -> tuple[Answer, bool]:
    """Retry while another request holds the key, as the contract says."""
    for attempt in Retrying(
        retry=retry_if_exception_type(RequestInFlightError),
        stop=stop_after_delay(DEADLINE_SECONDS),
        reraise=True,
    ):
        with attempt:
            return create(database)
    raise AssertionError


def test_fifty_simultaneous_requests_make_one_reservation(
    database: Database, connect: Connect
) -> None:
    callers = [connected(connect()) for _ in range(50)]

    results = [f.result() for f in at_once([partial(create_as_a_client, c) for c in callers])]

    assert codes(results) == 1
    assert [replayed for _, replayed in results].count(False) == 1
    assert row_counts(database) == ONE_OF_EACH


TWENTY = 20


def test_of_twenty_with_an_expired_key_one_takes_it_over(
    database: Database, connect: Connect
) -> None:
    create(database)
    expire(database)
    callers = [connected(connect()) for _ in range(TWENTY)]

    results = [f.result() for f in at_once([partial(create_as_a_client, c) for c in callers])]

    assert codes(results) == 1
    assert [replayed for _, replayed in results].count(False) == 1
    assert row_counts(database)[:2] == [1, 2]


def test_twenty_other_requests_with_a_used_key_are_all_refused(
    database: Database, connect: Connect
) -> None:
    create(database)
    other = partial(create, offer=an_offer(offer_id="HTL-MAD-002"))
    callers = [connected(connect()) for _ in range(TWENTY)]

    refused = [f.exception() for f in at_once([partial(other, c) for c in callers])]

    assert {type(error) for error in refused} == {IdempotencyKeyReusedError}
    assert row_counts(database) == ONE_OF_EACH


def test_twenty_that_wait_too_long_for_a_key_are_all_told_so(
    database: Database, connect: Connect
) -> None:
    callers = [connect() for _ in range(TWENTY)]
    for caller in callers:
        run(caller, text("SET SESSION innodb_lock_wait_timeout = 1"))
        caller.rollback()
    waited: list[BaseException | None] = []

    def collide() -> None:
        waited.extend(f.exception() for f in at_once([partial(create, c) for c in callers]))

    create(database, then=collide)

    assert {type(error) for error in waited} == {RequestInFlightError}
    assert not any(caller.in_transaction for caller in callers)
    assert row_counts(database) == ONE_OF_EACH


def test_requests_that_wait_for_a_failing_one_make_one_reservation(
    database: Database, connect: Connect, url: str
) -> None:
    key_is_held = Event()
    callers = [connected(connect()) for _ in range(6)]

    def hold_and_fail() -> None:
        key_is_held.set()
        wait_until_blocked(url, len(callers))
        refuse()

    def fail() -> None:
        with pytest.raises(RefusedForTestsError):
            create(database, then=hold_and_fail)

    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(fail)
        assert key_is_held.wait(DEADLINE_SECONDS)
        results = [f.result() for f in at_once([partial(create, caller) for caller in callers])]
    failing.result()

    assert codes(results) == 1
    assert row_counts(database) == ONE_OF_EACH


def test_a_request_that_waits_too_long_is_refused_as_in_flight(
    database: Database, connect: Connect
) -> None:
    impatient = connect()
    run(impatient, text("SET SESSION innodb_lock_wait_timeout = 1"))
    impatient.rollback()

    def collide() -> None:
        with pytest.raises(RequestInFlightError):
            create(impatient)
        assert not impatient.in_transaction

    create(database, then=collide)

    assert create(impatient)[1] is True


class DeadlockingDatabase(Database):
    """Loses its first flights to deadlocks."""

    def __init__(self, url: str, *, deadlocks: int) -> None:
        super().__init__(connector(url))
        self._left = deadlocks

    def _fly(self, flight: Sequence[Query]) -> Any:
        if self._left:
            self._left -= 1
            raise DatabaseBusyError("deadlock", deadlock=True)
        return super()._fly(flight)


def test_a_deadlock_on_the_key_is_tried_again(url: str, connect: Connect) -> None:
    unlucky = DeadlockingDatabase(url, deadlocks=ATTEMPTS - 1)

    assert create(unlucky)[1] is False
    unlucky.close()
    assert row_counts(connect()) == ONE_OF_EACH


def test_without_time_left_a_deadlock_is_not_tried_again(url: str, connect: Connect) -> None:
    unlucky = DeadlockingDatabase(url, deadlocks=1)

    with pytest.raises(DatabaseBusyError):
        create(unlucky, remaining_ms=RETRY_MS - 1)

    assert row_counts(connect()) == NOTHING
    assert create(unlucky, remaining_ms=RETRY_MS)[1] is False
    unlucky.close()


def test_deadlocks_without_end_are_reported_as_such(url: str, connect: Connect) -> None:
    hopeless = DeadlockingDatabase(url, deadlocks=ATTEMPTS)

    with pytest.raises(DatabaseBusyError):
        create(hopeless)

    hopeless.close()
    assert row_counts(connect()) == NOTHING


# --- crashes and lost connections


@pytest.mark.parametrize("moment", ["after-key", "before-commit"])
def test_a_process_killed_in_the_middle_leaves_nothing_and_the_key_free(
    database: Database, url: str, moment: str
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
    command = [sys.executable, "-m", "tests.database.create", moment]
    died = subprocess.run(
        command, env=environment, cwd=ROOT, timeout=60, input=url, capture_output=True, text=True
    )

    assert died.returncode == -9, died.stderr
    assert row_counts(database) == NOTHING
    assert create(database)[1] is False
    assert row_counts(database) == ONE_OF_EACH


def test_a_connection_killed_while_idle_costs_no_request(
    database: Database, engine_name: Engine
) -> None:
    kill(engine_name, connection_id(database))

    assert create(database)[1] is False
    assert row_counts(database) == ONE_OF_EACH


def test_a_connection_killed_in_the_transaction_stores_nothing(
    database: Database, engine_name: Engine
) -> None:
    own = connection_id(database)

    def cut_and_go_on() -> None:
        kill(engine_name, own)
        database.fetch(NOW())

    with pytest.raises(DatabaseUnavailableError) as caught:
        create(database, then=cut_and_go_on)

    assert not caught.value.effect_unknown
    assert row_counts(database) == NOTHING


def test_a_connection_killed_before_the_answer_is_stored_stores_nothing(
    database: Database, engine_name: Engine
) -> None:
    """The commit leaves with the answer, so it may have reached the server."""
    own = connection_id(database)

    with pytest.raises(DatabaseUnavailableError) as caught:
        create(database, then=lambda: kill(engine_name, own))

    assert caught.value.effect_unknown
    assert row_counts(database) == NOTHING
    assert create(database)[1] is False


class CutAtCommitDatabase(Database):
    """Loses its connection in the flight with the COMMIT, before the server sees it or after."""

    def __init__(self, url: str, *, engine: Engine, server_commits: bool) -> None:
        super().__init__(connector(url))
        self._cut: Engine | None = engine
        self._server_commits = server_commits

    def _fly(self, flight: Sequence[Query]) -> Any:
        if self._cut and commits(flight):
            assert self._connection is not None
            number = self._connection.thread_id()  # type: ignore[no-untyped-call]
            if self._server_commits:
                super()._fly(flight)
            kill(self._cut, number)
            self._cut = None
        return super()._fly(flight)


@pytest.mark.parametrize("server_commits", [True, False])
def test_a_connection_lost_in_the_commit_is_unknown_and_the_same_key_resolves_it(
    url: str, engine_name: Engine, connect: Connect, server_commits: bool
) -> None:
    cut = CutAtCommitDatabase(url, engine=engine_name, server_commits=server_commits)

    with pytest.raises(DatabaseUnavailableError) as caught:
        create(cut)
    _, replayed = create(cut)

    cut.close()
    assert caught.value.effect_unknown
    assert replayed is server_commits
    assert row_counts(connect()) == ONE_OF_EACH
