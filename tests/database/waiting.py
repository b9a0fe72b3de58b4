"""Waits of the database tests: polls with a deadline, and threads that start together."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import create_engine, text

from local.database import Engine
from reservations.adapters.mysql.engine import Database
from tests.worlds.databases import administrator
from tests.worlds.sql import run

DEADLINE_SECONDS = 20
_BLOCKED = text(
    "SELECT COUNT(*) FROM information_schema.innodb_trx"
    " JOIN information_schema.processlist ON id = trx_mysql_thread_id"
    " WHERE trx_state = 'LOCK WAIT' AND db = DATABASE()"
)
_ALIVE = text("SELECT COUNT(*) FROM information_schema.processlist WHERE id = :id")
_CONNECTION = text("SELECT CONNECTION_ID()")

T = TypeVar("T")


def wait_until_blocked(url: str, transactions: int) -> None:
    """Return once that many transactions wait for a lock in the schema."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        while True:
            # InnoDB answers from a cache that it renews only after 0.1 s without a reader, and
            # another process may be reading.
            time.sleep(random.uniform(0.11, 0.2))
            if connection.execute(_BLOCKED).scalar_one() >= transactions:
                return
            if time.monotonic() > deadline:
                pytest.fail(f"no {transactions} transactions came to wait for a lock")


def at_once(tasks: Sequence[Callable[[], T]]) -> list[Future[T]]:
    """Run each task in a thread of its own, all released at the same moment; return when all ended."""
    ready = Barrier(len(tasks))

    def run(task: Callable[[], T]) -> T:
        ready.wait(DEADLINE_SECONDS)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [pool.submit(run, task) for task in tasks]


def connection_id(database: Database) -> int:
    """Ask for the server's id of an idle connection, and leave it idle."""
    number: int = run(database, _CONNECTION).scalar_one()
    database.rollback()
    return number


def kill(engine: Engine, connection: int) -> None:
    """Cut a connection on the server's side, and wait until the server has let go of it."""
    with administrator(engine) as server:
        server.execute(text(f"KILL {connection}"))
    wait_until_gone(engine, connection)


def wait_until_gone(engine: Engine, connection: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    with administrator(engine) as server:
        while server.execute(_ALIVE, {"id": connection}).scalar_one():
            if time.monotonic() > deadline:
                pytest.fail(f"connection {connection} does not end")
            time.sleep(0.01)
