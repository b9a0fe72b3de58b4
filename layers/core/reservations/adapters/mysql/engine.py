"""One connection per execution environment, and flights: statements that share a round trip."""

import time
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn

from pymysql.connections import Connection
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor
from pymysql.err import Error

from reservations.adapters.mysql.address import Connect
from reservations.adapters.mysql.readiness import check
from reservations.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    KnowledgeLostError,
    StatementRefusedError,
)

# A function that only reads gets no error from a server that a failover made a reader. Only a new
# connection follows the address.
KEPT_SECONDS = 60
SILENT_SECONDS = 5  # after a longer silence a connection is tested before it is used

# Error numbers, the same on MySQL and MariaDB where both have them.
_DEADLOCKS = {ER.LOCK_DEADLOCK, 1020}  # 1020: MariaDB with innodb_snapshot_isolation
_LOCKED = {ER.LOCK_WAIT_TIMEOUT, 3572}  # 3572: MySQL's answer to NOWAIT, where MariaDB gives 1205
_CUT = {0, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, CR.CR_SERVER_LOST_EXTENDED}
_ENDED = {ER.SERVER_SHUTDOWN, 1927, 4031}  # the server says so; 4031: the connection was idle
_DEMOTED = {1290, 1792, 1836}  # read-only since a failover; the address leads to another server now
# RDS Proxy had no connection to a server for the statement within its ConnectionBorrowTimeout
# (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html).
_UNSERVED = {9501}
# Both engines check read_only first, and roll back (https://bugs.mysql.com/bug.php?id=11733).
_COMMIT_REFUSED = {1290}
_PROMISE_BROKEN = {ER.SUBQUERY_NO_1_ROW, ER.BAD_NULL_ERROR}

Row = Any  # a named tuple with the columns of its statement
Rows = list[Row]
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """One constant SQL statement, where the driver quotes the value for `%(name)s`.

    `promise` is what the statement holds: a check answers two rows where one may stand, or a value
    is null, if it is broken. `duplicate` makes the error for a key that is taken.
    """

    sql: str
    promise: str | None = None
    duplicate: Callable[[], Exception] | None = None

    def __call__(self, **values: Any) -> "Query":
        return Query(self, values)


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with its values, which are personal and never logged.

    `added` takes the id of the row that an INSERT made, before the transaction ends.
    """

    statement: Statement
    values: Values = field(repr=False)
    added: Callable[[int], None] | None = None

    def quoted(self, quote: Callable[[Any], str]) -> str:
        return self.statement.sql % {name: quote(value) for name, value in self.values.items()}


NOW = Statement("SELECT UTC_TIMESTAMP(6) AS now")
_COMMIT: Final = Statement("COMMIT")
_ROLLBACK: Final = Statement("ROLLBACK")


@dataclass(frozen=True, slots=True)
class _Answer:
    rows: list[Row]
    changed: int
    row_id: int = 0  # AUTO_INCREMENT; it comes with the answer, so no LAST_INSERT_ID()


class _FlightError(Exception):
    """A flight that ended at `statement`. Those behind it did not run, if the server said so."""

    def __init__(self, statement: Statement, error: Error) -> None:
        super().__init__()
        self.statement = statement
        self.error = error
        self.number = error_number(error)

    @property
    def is_lost(self) -> bool:
        """The connection is of no use any more."""
        return self.number in _CUT | _ENDED | _DEMOTED | _UNSERVED

    @property
    def is_repeatable(self) -> bool:
        """The connection was lost, and not by a silence: a repeat would wait as long again."""
        timed_out = isinstance(self.error.__context__, TimeoutError)
        return self.is_lost and self.number not in _UNSERVED and not timed_out

    @property
    def may_have_committed(self) -> bool:
        """A flight with a COMMIT whose end is not known."""
        if self.statement is _COMMIT:
            return self.number not in _COMMIT_REFUSED
        return self.number in _CUT


def error_number(error: BaseException) -> int | None:
    """Return the server's or the driver's error number, if the error has one."""
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None


class Database:
    """The environment's connection. A transaction begins with its first flight.

    A flight is several statements in one round trip. The server stops at the first that fails, so
    a COMMIT behind a check is reached only if the check holds. Writes wait for the next flight.

    A connection that died while idle is replaced, and a first flight without COMMIT is repeated
    without loss. A connection older than `KEPT_SECONDS` is replaced between two transactions. The
    schema and the server's settings are checked once.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Connection[Any] | None = None
        self._opened_at = self._heard_at = 0.0
        self._checked = False
        self._waiting: list[Query] = []
        self._makers: dict[Statement, Callable[[Sequence[Any]], Row]] = {}  # of a statement's rows
        self._now: datetime | None = None
        self._undoes = False  # the next flight begins with the ROLLBACK of the last transaction
        self.in_transaction = False

    def begin(self) -> None:
        """Make sure that no earlier transaction is left open."""
        self.rollback()

    def later(self, *queries: Query) -> None:
        """Let writes wait for the next flight of this transaction."""
        self._waiting += queries

    def fetch(self, *queries: Query) -> list[Rows]:
        """Send what waits and these, in one flight. Return the rows of each of these.

        Any error ends the transaction. Behind a taken key, the ROLLBACK leaves with the next flight,
        or with the caller's `rollback`.

        Raises:
            Exception: of `Statement.duplicate`, as a key is taken.
            KnowledgeLostError: a check does not hold.
            DatabaseBusyError: a lock was not granted.
            DatabaseUnavailableError: no connection, it was lost, or its server is read-only.
            StatementRefusedError: any other error of the server, a defect of ours.
            SchemaOutdatedError: see `readiness.check`.
        """
        return [answer.rows for answer in self._send(*queries)]

    def look(self, *queries: Query) -> list[Rows]:
        """Read as `fetch` does. A transaction that begins with this flight ends with it."""
        if self.in_transaction or self._waiting:
            return self.fetch(*queries)
        return [answer.rows for answer in self._send(*queries, _ROLLBACK())[:-1]]

    def change(self, query: Query) -> int:
        """Send a write. Return the number of rows that it changed."""
        return self._send(query)[0].changed

    def now(self) -> datetime:
        """The server's clock, as this transaction read it last."""
        if self._now is None:
            self.fetch(NOW())
        assert self._now is not None
        return self._now

    def commit(self) -> None:
        """Send what waits, with the COMMIT behind it. Nothing was stored if another error is raised.

        Raises:
            DatabaseUnavailableError: with `effect_unknown` if the connection was lost.
        """
        if self._waiting or self.in_transaction:
            self._send(_COMMIT())

    def rollback(self) -> None:
        """Undo uncommitted changes. Never fails: the server rolls back a lost connection itself."""
        self._waiting.clear()
        if self.in_transaction or self._undoes:
            try:
                self._fly([_ROLLBACK()])
            except _FlightError:
                self._drop()

    def close(self) -> None:
        """Close the connection. The next flight opens another."""
        self.rollback()
        self._drop()

    def _send(self, *queries: Query) -> list[_Answer]:
        """Send what waits and these queries. Return the answers to these."""
        undo = [_ROLLBACK()] if self._undoes else []
        flight, self._waiting = [*undo, *self._waiting, *queries], []
        commits = flight[-1].statement is _COMMIT
        first = not self.in_transaction
        try:
            answers = self._fly(flight)
        except _FlightError as failed:
            if not (first and failed.is_repeatable) or commits:
                self._fail(failed, commits=commits)
            self._drop()
            answers = self._flown_again(flight)
        return answers[-len(queries) :]

    def _flown_again(self, flight: Sequence[Query]) -> list[_Answer]:
        try:
            return self._fly(flight)
        except _FlightError as failed:
            self._fail(failed, commits=False)

    def _fly(self, flight: Sequence[Query]) -> list[_Answer]:
        """
        Raises:
            _FlightError: the server or the driver refused one of the statements.
        """
        connection = self._connected()
        self.in_transaction = True
        answers = self._exchange(connection, flight)
        self._heard_at = time.monotonic()
        self._undoes = False
        for query, answer in zip(flight, answers, strict=True):
            if query.statement is NOW:
                self._now = answer.rows[0].now
            if query.added is not None:
                query.added(answer.row_id)
        if flight[-1].statement in (_COMMIT, _ROLLBACK):
            self._forget_transaction()
        return answers

    def _exchange(self, connection: "Connection[Any]", flight: Sequence[Query]) -> list[_Answer]:
        cursor = connection.cursor()
        answers: list[_Answer] = []
        try:
            cursor.execute(";".join(query.quoted(connection.escape) for query in flight))
            for query in flight:
                if answers:
                    cursor.nextset()
                answers.append(self._answer(query.statement, cursor))
        except Error as error:
            raise _FlightError(flight[len(answers)].statement, error) from error
        return answers

    def _answer(self, statement: Statement, cursor: Cursor) -> _Answer:
        if cursor.description is None:
            return _Answer([], cursor.rowcount, cursor.lastrowid or 0)
        make = self._makers.get(statement)
        if make is None:
            names = [column[0] for column in cursor.description]
            columns: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
            make = self._makers[statement] = columns._make
        return _Answer([make(row) for row in cursor.fetchall()], 0)

    def _connected(self) -> "Connection[Any]":
        """The connection of this transaction, or one that is young and alive."""
        if not self.in_transaction and not self._is_kept():
            self._drop()
        if self._connection is None:
            self._connection = self._opened()
            self._opened_at = self._heard_at = time.monotonic()
        return self._connection

    def _is_kept(self) -> bool:
        if self._connection is None or not self._connection.open:
            return False
        now = time.monotonic()
        if now - self._opened_at >= KEPT_SECONDS:
            return False
        if now - self._heard_at >= SILENT_SECONDS:
            try:
                self._connection.ping(reconnect=False)
            except Error:
                return False
        return True

    def _opened(self) -> "Connection[Any]":
        try:
            connection = self._connect()
            if not self._checked:
                self._check(connection)
        except Error as error:
            raise DatabaseUnavailableError("no connection to the database") from error
        return connection

    def _check(self, connection: "Connection[Any]") -> None:
        try:
            check(connection)
            self._checked = True
        finally:
            if not self._checked:
                connection.close()

    def _fail(self, failed: _FlightError, *, commits: bool) -> NoReturn:
        """Raise our error for the driver's, and end the transaction."""
        unknown = commits and failed.may_have_committed
        if failed.is_lost or unknown:
            self._drop()
            message = "the connection to the database was dropped"
            raise DatabaseUnavailableError(message, effect_unknown=unknown) from failed.error
        if failed.number == ER.DUP_ENTRY and failed.statement.duplicate:
            self._forget_transaction()
            self._undoes = True
            raise failed.statement.duplicate() from failed.error
        self.rollback()
        if failed.number in _PROMISE_BROKEN and failed.statement.promise:
            raise KnowledgeLostError(failed.statement.promise) from failed.error
        if failed.number in _DEADLOCKS:
            raise DatabaseBusyError("deadlock", deadlock=True) from failed.error
        if failed.number in _LOCKED:
            raise DatabaseBusyError("a lock was not granted in time") from failed.error
        raise StatementRefusedError(f"{failed.number}: {failed.statement.sql}") from failed.error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._undoes = False
        self._forget_transaction()
        if connection is not None and connection.open:
            connection.close()

    def _forget_transaction(self) -> None:
        self.in_transaction = False
        self._now = None
