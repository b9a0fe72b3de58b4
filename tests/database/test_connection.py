"""The environment's one connection when the server is wrong, busy or gone."""

from functools import partial
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from local.database import Engine
from reservations.adapters.mysql import engine as mysql_engine
from reservations.adapters.mysql import readiness
from reservations.adapters.mysql.address import Connect as OpenOne
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import NOW, Database, Statement
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    SchemaOutdatedError,
    StatementRefusedError,
)
from tests.database.waiting import (
    DEADLINE_SECONDS,
    at_once,
    connection_id,
    kill,
    wait_until_gone,
)
from tests.worlds.builders import RESERVATION_ID, a_creation, a_customer, a_reservation
from tests.worlds.databases import Connect, administrator, empty_schema, migrated_schema
from tests.worlds.sql import counted, run

OTHER_ID = UUID("0195511f-3c00-7abc-8def-0123456789ac")
OTHER_CODE = "23456789ABC"


def unit_on(database: Database) -> MySqlUnitOfWork:
    return MySqlUnitOfWork(database)


def noted(connect: OpenOne, opened: list[Any]) -> OpenOne:
    """Note each connection that is opened."""

    def open_one() -> Any:
        opened.append(connect())
        return opened[-1]

    return open_one


def store_two(database: Database) -> None:
    first = a_reservation()
    second_facts = a_reservation().facts
    with unit_on(database) as uow:
        uow.add(a_creation(first), a_customer())
        uow.add(
            a_creation(a_reservation(reservation_id=OTHER_ID, code=OTHER_CODE, facts=second_facts)),
            a_customer(),
        )
        uow.commit()


# --- locks


def test_a_row_that_another_holds_is_busy_and_leaves_no_transaction(
    database: Database, connect: Connect
) -> None:
    store_two(database)
    waiter = connect()
    run(waiter, text("SET SESSION innodb_lock_wait_timeout = 1"))
    waiter.rollback()

    with unit_on(database) as uow:
        uow.open(RESERVATION_ID)
        with unit_on(waiter) as waiting, pytest.raises(DatabaseBusyError) as caught:
            waiting.open(RESERVATION_ID)

    assert not caught.value.deadlock
    assert not waiter.in_transaction


def test_nowait_is_busy_on_both_engines(database: Database, connect: Connect) -> None:
    store_two(database)
    impatient = connect()

    with unit_on(database) as uow:
        uow.open(RESERVATION_ID)
        with pytest.raises(DatabaseBusyError):
            impatient.fetch(Statement("SELECT id FROM reservation FOR UPDATE NOWAIT")())


def test_of_two_that_lock_each_others_rows_one_gets_the_deadlock(
    database: Database, connect: Connect
) -> None:
    store_two(database)
    both_hold_one = Barrier(2)

    def lock(connection: Database, first: UUID, second: UUID) -> bool:
        """Return whether the server made this one give way."""
        with unit_on(connection) as uow:
            uow.open(first)
            both_hold_one.wait(DEADLINE_SECONDS)
            try:
                uow.open(second)
            except DatabaseBusyError as busy:
                return busy.deadlock and not connection.in_transaction
            return False

    ways = [(RESERVATION_ID, OTHER_ID), (OTHER_ID, RESERVATION_ID)]
    chosen = [f.result() for f in at_once([partial(lock, connect(), *way) for way in ways])]

    assert sorted(chosen) == [False, True]


# --- lost connections


@pytest.mark.parametrize("silent", [True, False])
def test_a_connection_killed_while_idle_is_replaced(
    database: Database, engine_name: Engine, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    before = connection_id(database)
    kill(engine_name, before)
    if silent:
        monkeypatch.setattr(mysql_engine, "SILENT_SECONDS", 0)

    with unit_on(database) as uow:
        uow.now()
    after = connection_id(database)

    assert after != before


def test_a_connection_is_pinged_only_after_a_silence(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[str] = []
    database = Database(counted(connector(url), trips))
    database.now()
    trips.clear()

    database.rollback()
    database.now()
    database.rollback()
    monkeypatch.setattr(mysql_engine, "SILENT_SECONDS", 0)
    database.now()
    database.fetch(
        NOW()
    )  # in the transaction: no ping, as a new connection could not go on with it
    database.close()

    clock = "SELECT UTC_TIMESTAMP(6) AS now"
    assert trips == ["ROLLBACK", clock, "ROLLBACK", "", clock, clock, "ROLLBACK"]


def test_a_connection_that_the_server_closed_for_idling_is_replaced(
    database: Database, engine_name: Engine
) -> None:
    """MySQL gives the reason in an error of its own (4031), MariaDB just hangs up."""
    before = connection_id(database)
    run(database, text("SET SESSION wait_timeout = 1"))
    database.rollback()
    wait_until_gone(engine_name, before)

    with unit_on(database) as uow:
        uow.now()

    assert connection_id(database) != before


def test_a_connection_killed_in_a_transaction_is_not_replaced_in_it(
    database: Database, engine_name: Engine
) -> None:
    store_two(database)
    own = connection_id(database)

    with unit_on(database) as uow:
        uow.open(RESERVATION_ID)
        kill(engine_name, own)
        with pytest.raises(DatabaseUnavailableError) as caught:
            uow.reservations.history(RESERVATION_ID)

    assert not caught.value.effect_unknown
    with unit_on(database) as uow:
        assert uow.open(RESERVATION_ID).reservation == a_reservation()


def test_leaving_after_the_connection_died_raises_nothing_of_its_own(
    database: Database, engine_name: Engine
) -> None:
    own = connection_id(database)

    with unit_on(database) as uow:
        uow.now()
        kill(engine_name, own)

    assert not database.in_transaction


def test_a_commit_on_a_dead_connection_is_unknown(database: Database, engine_name: Engine) -> None:
    own = connection_id(database)

    with unit_on(database) as uow:
        uow.add(a_creation(a_reservation()), a_customer())
        kill(engine_name, own)
        with pytest.raises(DatabaseUnavailableError) as caught:
            uow.commit()

    assert caught.value.effect_unknown


@pytest.mark.parametrize("number", [1290, 1792, 1836, 9501])
def test_an_error_of_a_read_only_server_or_of_the_proxy_drops_the_connection(
    database: Database, number: int
) -> None:
    before = connection_id(database)

    with unit_on(database) as uow:
        uow.now()
        with pytest.raises(DatabaseUnavailableError) as caught:
            database.fetch(Statement(f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}")())

    assert not caught.value.effect_unknown
    assert connection_id(database) != before


def test_a_write_refused_as_read_only_succeeds_on_the_next_connection(database: Database) -> None:
    run(database, text("SET SESSION TRANSACTION READ ONLY"))  # only this connection is demoted
    database.rollback()

    with unit_on(database) as uow:
        uow.now()
        uow.add(a_creation(a_reservation()), a_customer())
        with pytest.raises(DatabaseUnavailableError) as caught:
            uow.commit()
    assert not caught.value.effect_unknown
    with unit_on(database) as uow:
        uow.add(a_creation(a_reservation()), a_customer())
        uow.commit()

    with unit_on(database) as uow:
        assert uow.open(RESERVATION_ID).reservation == a_reservation()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = Database(connector("mysql+pymysql://nobody:nothing@127.0.0.1:1/none"))

    with pytest.raises(DatabaseUnavailableError) as caught:
        database.now()

    assert not caught.value.effect_unknown
    assert "127.0.0.1" not in str(caught.value)


def test_a_server_that_does_not_answer_in_time_is_not_asked_twice(url: str) -> None:
    opened: list[Any] = []
    database = Database(noted(connector(url, answer_seconds=1), opened))
    database.now()
    database.rollback()

    with pytest.raises(DatabaseUnavailableError):
        database.fetch(Statement("SELECT SLEEP(30)")())

    assert len(opened) == 1
    database.close()


def test_a_statement_that_waited_for_the_proxy_in_vain_is_not_sent_twice(url: str) -> None:
    opened: list[Any] = []
    database = Database(noted(connector(url), opened))
    database.now()
    database.rollback()

    with pytest.raises(DatabaseUnavailableError):
        database.fetch(Statement("SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 9501")())

    assert len(opened) == 1
    database.close()


def test_an_old_connection_is_replaced_between_two_transactions_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = connection_id(database)

    monkeypatch.setattr(mysql_engine, "KEPT_SECONDS", 0)
    database.now()
    number = text("SELECT CONNECTION_ID()")
    ids = {run(database, number).scalar_one() for _ in range(2)}

    assert len(ids) == 1
    assert before not in ids


def test_a_defect_of_ours_names_its_statement_and_leaves_no_transaction(database: Database) -> None:
    with pytest.raises(StatementRefusedError, match="1146: SELECT nothing FROM nowhere"):
        database.fetch(Statement("SELECT nothing FROM nowhere")())

    assert not database.in_transaction


# --- readiness


def test_the_servers_settings_are_all_reported_at_once(database: Database, url: str) -> None:
    with connector(url)() as connection:
        connection.query(
            "SET SESSION sql_mode = '', time_zone = '+02:00', wait_timeout = 28800,"
            " innodb_lock_wait_timeout = 50"
        )
        connection.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(SchemaOutdatedError) as caught:
            readiness.check(connection)

    for setting in (
        "transaction_isolation",
        "time_zone",
        "sql_mode",
        "innodb_lock_wait_timeout",
        "wait_timeout",
    ):
        assert setting in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value", "accepted"),
    [
        ("innodb_lock_wait_timeout", 1, True),
        ("innodb_lock_wait_timeout", 2, True),
        ("innodb_lock_wait_timeout", 3, False),
        ("wait_timeout", 59, False),
        ("wait_timeout", 60, True),
        ("wait_timeout", 120, True),
        ("wait_timeout", 121, False),
    ],
)
def test_the_server_waits_neither_longer_than_the_driver_nor_too_short(
    database: Database, url: str, setting: str, value: int, accepted: bool
) -> None:
    with connector(url)() as connection:
        connection.query(f"SET SESSION {setting} = {value}")

        faults = readiness._setting_faults(connection)

    assert [fault.split()[0] for fault in faults] == ([] if accepted else [setting])


def test_a_schema_that_was_never_made_is_refused(engine_name: Engine) -> None:
    with empty_schema(engine_name) as url:
        database = Database(connector(url))
        for _ in range(2):
            with pytest.raises(SchemaOutdatedError, match="run the migrations"):
                database.now()
        database.close()


@pytest.mark.parametrize(
    ("revision", "refused"), [("0001", True), ("0002", False), ("9999", False)]
)
def test_only_an_older_schema_is_refused(
    engine_name: Engine, monkeypatch: pytest.MonkeyPatch, revision: str, refused: bool
) -> None:
    monkeypatch.setattr(readiness, "REVISIONS", ("0001", "0002"))
    monkeypatch.setattr(readiness, "HEAD", "0002")
    with empty_schema(engine_name) as url, connector(url)() as connection:
        connection.query("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.query(f"INSERT INTO alembic_version VALUES ('{revision}')")
        connection.commit()

        assert bool(list(readiness._schema_faults(readiness.current(connection)))) is refused


def test_the_check_is_made_once_an_environment(engine_name: Engine) -> None:
    with migrated_schema(engine_name) as url:
        database = Database(connector(url))
        database.now()
        run(database, text("DELETE FROM alembic_version"))
        database.commit()
        database.close()

        database.now()
        with pytest.raises(SchemaOutdatedError):
            Database(connector(url)).now()
        database.close()


def test_an_account_without_rights_is_unavailable(url: str, engine_name: Engine) -> None:
    with administrator(engine_name) as root:
        root.execute(text("CREATE USER IF NOT EXISTS 'guest'@'127.0.0.1' IDENTIFIED BY 'guest'"))
    host, _, name = url.partition("@")[2].partition("?")[0].partition("/")
    database = Database(connector(f"mysql+pymysql://guest:guest@{host}/{name}"))

    with pytest.raises(DatabaseUnavailableError):
        database.now()
