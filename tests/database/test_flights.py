"""Several statements in one round trip: what is stored when one of them fails, or the connection does."""

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from local.database import Engine
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import NOW, Database, Query, Statement
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.domain.errors import (
    DatabaseUnavailableError,
    DuplicateCodeError,
    KnowledgeLostError,
    StatementRefusedError,
)
from reservations.domain.history import HistoryEntry
from reservations.domain.identifiers import uuid7
from tests.database.create import commits
from tests.database.waiting import kill, wait_until_blocked
from tests.worlds.builders import (
    CODE,
    NOON,
    RESERVATION_ID,
    a_change,
    a_charge,
    a_creation,
    a_customer,
    a_reservation,
    some_facts,
)
from tests.worlds.databases import Connect
from tests.worlds.sql import counted, run

REFUSED = Statement("INSERT INTO history (reservation_id) VALUES (NULL)")
ENTRY = HistoryEntry(event="noted", at=NOON, actor="system")


def stored(database: Database, facts: Any = None) -> MySqlUnitOfWork:
    """Store a reservation. Return a unit of work beside it."""
    uow = MySqlUnitOfWork(database)
    with uow:
        uow.add(a_creation(a_reservation(facts=facts or some_facts())), a_customer())
        uow.commit()
    return uow


def count(database: Database, table: str) -> int:
    number: int = run(database, text(f"SELECT COUNT(*) FROM {table}")).scalar_one()
    database.rollback()
    return number


def test_a_guarded_change_that_matches_no_row_reaches_no_commit(
    database: Database, connect: Connect
) -> None:
    """A COMMIT behind an UPDATE that changed nothing would store the rest, such as the history."""
    facts = some_facts(a_charge())
    uow, other = stored(database, facts), connect()
    lines = count(other, "history")

    with uow:
        read = uow.open(RESERVATION_ID).reservation
        run(database, text("UPDATE provider_call SET attempts = 9"))
        again = a_charge(attempts=2)
        uow.store(a_change(read, a_reservation(facts=some_facts(again)), now=NOON))
        uow.reservations.add_history(RESERVATION_ID, ENTRY)
        with pytest.raises(KnowledgeLostError):
            uow.commit()

    assert not database.in_transaction
    assert count(other, "history") == lines


@pytest.mark.parametrize("last", ["commit", "fetch"])
def test_an_error_in_the_middle_of_a_flight_leaves_nothing(
    database: Database, connect: Connect, last: str
) -> None:
    uow, other = stored(database), connect()
    lines = count(other, "history")

    with uow:
        uow.reservations.add_history(RESERVATION_ID, ENTRY)
        database.later(REFUSED())
        uow.reservations.add_history(RESERVATION_ID, ENTRY)
        with pytest.raises(StatementRefusedError, match="INSERT INTO history"):
            uow.commit() if last == "commit" else database.fetch(NOW())

    assert not database.in_transaction
    assert count(other, "history") == lines


def test_an_error_that_leaves_a_block_takes_its_waiting_writes_along(database: Database) -> None:
    uow = stored(database)
    lines = count(database, "history")

    with contextlib.suppress(RuntimeError), uow:
        uow.reservations.add_history(RESERVATION_ID, ENTRY)
        raise RuntimeError
    with uow:
        uow.open(RESERVATION_ID)
        uow.commit()

    assert count(database, "history") == lines


def test_a_taken_code_undoes_the_whole_flight(database: Database) -> None:
    uow = stored(database)
    lines = count(database, "history")
    rival = a_reservation(reservation_id=uuid7(NOON))

    with uow:
        uow.add(a_creation(rival), a_customer())
        with pytest.raises(DuplicateCodeError):
            uow.commit()

    assert (count(database, "reservation"), count(database, "history")) == (1, lines)


class CutDatabase(Database):
    """Loses its connection in the flights that `is_cut` picks, before the server gets them."""

    def __init__(self, url: str, *, engine: Engine, cuts: int, committing: bool) -> None:
        self.trips: list[str] = []
        super().__init__(counted(connector(url), self.trips))
        self._engine, self._left, self._committing = engine, cuts, committing

    def _fly(self, flight: Sequence[Query]) -> Any:
        if self._left and commits(flight) is self._committing:
            self._left -= 1
            kill(self._engine, self.thread_id())
        return super()._fly(flight)

    def thread_id(self) -> int:
        """The server's id of the connection, in its transaction."""
        number: int = self._connected().thread_id()  # type: ignore[no-untyped-call]
        return number

    def sent(self, statement: str) -> int:
        return sum(statement in trip for trip in self.trips)


def test_a_first_flight_without_a_commit_is_repeated_once(url: str, engine_name: Engine) -> None:
    database = CutDatabase(url, engine=engine_name, cuts=1, committing=False)

    database.fetch(NOW())
    assert database.sent("UTC_TIMESTAMP") == 2
    database.close()


def test_a_first_flight_is_not_repeated_twice(url: str, engine_name: Engine) -> None:
    database = CutDatabase(url, engine=engine_name, cuts=2, committing=False)

    with pytest.raises(DatabaseUnavailableError) as caught:
        database.fetch(NOW())

    assert not caught.value.effect_unknown
    assert database.sent("UTC_TIMESTAMP") == 2
    database.close()


@pytest.mark.parametrize("first", [True, False])
def test_a_flight_with_a_commit_is_never_repeated(
    url: str, engine_name: Engine, connect: Connect, first: bool
) -> None:
    stored(connect())
    database = CutDatabase(url, engine=engine_name, cuts=1, committing=True)
    uow = MySqlUnitOfWork(database)

    with uow:
        if not first:
            uow.open(RESERVATION_ID)
        uow.reservations.add_history(RESERVATION_ID, ENTRY)
        with pytest.raises(DatabaseUnavailableError) as caught:
            uow.commit()

    assert caught.value.effect_unknown
    assert database.sent("COMMIT") == 1
    assert not database.in_transaction
    database.close()


def test_a_flight_inside_a_transaction_is_not_repeated(
    url: str, engine_name: Engine, connect: Connect
) -> None:
    stored(connect())
    database = CutDatabase(url, engine=engine_name, cuts=0, committing=False)
    uow = MySqlUnitOfWork(database)

    with uow:
        uow.open(RESERVATION_ID)
        kill(engine_name, database.thread_id())
        with pytest.raises(DatabaseUnavailableError) as caught:
            uow.reservations.history(RESERVATION_ID)

    assert not caught.value.effect_unknown
    assert database.sent("FROM history") == 1
    database.close()


def test_the_clock_of_a_lock_is_read_behind_its_wait(
    url: str, database: Database, connect: Connect
) -> None:
    """Inside the statement that waits for the row, the clock would be early."""
    holder, waiter = stored(database), MySqlUnitOfWork(connect())

    def opened_at() -> datetime:
        with waiter:
            return waiter.open(RESERVATION_ID).now

    with ThreadPoolExecutor(1) as pool, holder:
        holder.open(RESERVATION_ID)
        waiting = pool.submit(opened_at)
        wait_until_blocked(url, 1)
        [[clock]] = database.fetch(NOW())

    assert waiting.result() > clock.now


def test_a_read_of_its_own_leaves_no_transaction(database: Database) -> None:
    uow = stored(database)

    with uow:
        assert uow.reservations.find(CODE) is not None
        assert not database.in_transaction
