"""SQLAlchemy statements of a test, in the transaction of a `Database`."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import CursorResult, Engine, Executable, create_engine
from sqlalchemy.pool import NullPool

from reservations.adapters import mysql
from reservations.adapters.mysql.address import Connect
from reservations.adapters.mysql.engine import Database, Query, Rows, Statement

Values = Mapping[str, Any] | Sequence[Mapping[str, Any]]

_FIRST = Statement("SELECT 1")  # sends what waits, and begins the transaction
_engines: "WeakKeyDictionary[Database, Engine]" = WeakKeyDictionary()


class _Borrowed:
    """The driver's connection of a `Database`, which alone ends its transactions."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


def run(
    database: Database, statement: Executable, values: Values | None = None
) -> CursorResult[Any]:
    """Run a statement behind the writes that wait. The caller commits.

    Raises:
        DBAPIError: the server refused it. The transaction stays open.
    """
    database.fetch(_FIRST())
    if database not in _engines:
        _engines[database] = create_engine(
            "mysql+pymysql://", creator=lambda: _Borrowed(database._connected()), poolclass=NullPool
        )
    return _engines[database].connect().execute(statement, values)


def counted(connect: Connect, trips: list[str]) -> Connect:
    """Note each command that the connections send: one round trip each, and a ping without a text."""

    def opened() -> Any:
        connection: Any = connect()
        send = connection._execute_command

        def noting(command: int, sql: str | bytes) -> None:
            trips.append(sql if isinstance(sql, str) else sql.decode(errors="replace"))
            send(command, sql)

        connection._execute_command = noting
        return connection

    return opened


def explained(database: Database, query: Query) -> Rows:
    """Return the plan of a statement as the server would run it now."""
    statement = Statement(f"EXPLAIN FORMAT=TRADITIONAL {query.statement.sql}")
    [plan] = database.fetch(Query(statement, query.values))
    return plan


def _named(prefix: str, value: Any) -> Iterator[tuple[str, Statement]]:
    if isinstance(value, Statement):
        yield prefix, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _named(f"{prefix}[{name}]", each)
    elif isinstance(value, tuple) and not hasattr(value, "_fields"):
        for number, each in enumerate(value):
            yield from _named(f"{prefix}[{number}]", each)


def constants() -> dict[str, Statement]:
    """Return all statements of the adapter, by module and name."""
    found: dict[str, Statement] = {}
    for module in pkgutil.iter_modules(mysql.__path__):
        if not module.ispkg:
            attributes = vars(importlib.import_module(f"{mysql.__name__}.{module.name}"))
            for name, value in attributes.items():
                found.update(_named(f"{module.name}.{name}", value))
    return found
