"""Create, once per idempotency key, on real servers: doubles, crashes, lost connections."""

import os
import subprocess
import sys
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
from reservations.adapters.mysql.engine import Database, engine_for
from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore
from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork
from reservations.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    IdempotencyKeyReusedError,
    RequestInFlightError,
)
from reservations.entrypoints.idempotency import ATTEMPTS, RETRY_MS, Answer
from tests.database.create import SCOPE, create
from tests.database.waiting import (
    DEADLINE_SECONDS,
    at_once,
    connection_id,
    kill,
    wait_until_blocked,
)
from tests.worlds.builders import an_offer
from tests.worlds.databases import Connect

ROOT = Path(__file__).parents[2]
TABLES = ("idempotency", "reservation", "customer", "history", "outbox")


def row_counts(database: Database) -> list[int]:
    counts = [
        database.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one() for table in TABLES
    ]
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

    with pytest.raises(RuntimeError, match="not in this transaction"):
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


# --- expiry


def expire(database: Database) -> None:
    past = "UPDATE idempotency SET expires_at = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND"
    database.execute(text(past))
    database.commit()


def test_a_record_is_kept_for_thirty_days_of_the_databases_clock(database: Database) -> None:
    create(database)

    hours = "SELECT TIMESTAMPDIFF(HOUR, UTC_TIMESTAMP(6), expires_at) FROM idempotency"
    assert database.execute(text(hours)).scalar_one() == 30 * 24 - 1


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
    impatient.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
    impatient.rollback()

    def collide() -> None:
        with pytest.raises(RequestInFlightError):
            create(impatient)
        assert not impatient.in_transaction

    create(database, then=collide)

    assert create(impatient)[1] is True


class DeadlockingDatabase(Database):
    """Loses its first statements to deadlocks."""

    def __init__(self, url: str, *, deadlocks: int) -> None:
        super().__init__(engine_for(url))
        self._left = deadlocks

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        if self._left:
            self._left -= 1
            raise DatabaseBusyError("deadlock", deadlock=True)
        return super().execute(statement, parameters)


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


@pytest.mark.parametrize("moment", ["after-key", "after-reservation", "before-commit"])
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
        database.now()

    with pytest.raises(DatabaseUnavailableError) as caught:
        create(database, then=cut_and_go_on)

    assert not caught.value.effect_unknown
    assert row_counts(database) == NOTHING


def test_a_connection_killed_before_the_answer_is_stored_stores_nothing(
    database: Database, engine_name: Engine
) -> None:
    own = connection_id(database)

    with pytest.raises(DatabaseUnavailableError) as caught:
        create(database, then=lambda: kill(engine_name, own))

    assert not caught.value.effect_unknown
    assert row_counts(database) == NOTHING
    assert create(database)[1] is False


class CutAtCommitDatabase(Database):
    """Loses its connection in a commit, before the server sees it or after (`server_commits`)."""

    def __init__(self, url: str, *, engine: Engine, server_commits: bool) -> None:
        super().__init__(engine_for(url))
        self._cut: Engine | None = engine
        self._server_commits = server_commits

    def commit(self) -> None:
        if self._cut:
            number = self.execute(text("SELECT CONNECTION_ID()")).scalar_one()
            if self._server_commits:
                self.execute(text("COMMIT"))
            kill(self._cut, number)
            self._cut = None
        super().commit()


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
