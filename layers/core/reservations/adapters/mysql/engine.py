"""One connection per execution environment, opened at first use and again after a loss."""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Engine,
    Executable,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from reservations.adapters.mysql.readiness import check
from reservations.domain.errors import DatabaseBusyError, DatabaseUnavailableError

CONNECT_SECONDS = 1
ANSWER_SECONDS = 5  # above the server's lock wait, below an API function's time
# A function that only reads gets no error from a server that a failover made a reader. Only a new
# connection follows the address.
KEPT_SECONDS = 60

# Error numbers, the same on MySQL and MariaDB where both have them.
DUPLICATE = 1062
_DEADLOCKS = {1213, 1020}  # 1020: MariaDB with innodb_snapshot_isolation
_LOCKED = {1205, 3572}  # 3572: MySQL's answer to NOWAIT, where MariaDB gives 1205
_LOST = {1053, 1927, 2006, 2013, 2055, 4031}  # 4031: MySQL closed an idle connection and says so
_DEMOTED = {1290, 1792, 1836}  # read-only since a failover; the address leads to another server now
# RDS Proxy had no connection to a server for the statement within its ConnectionBorrowTimeout
# (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.troubleshooting.html).
_UNSERVED = {9501}
# Both engines check read_only first, and roll back (https://bugs.mysql.com/bug.php?id=11733).
_COMMIT_REFUSED = {1290}

_NOW = text("SELECT UTC_TIMESTAMP(6)")

# RDS signs with a root of each region, RDS Proxy with those of Amazon Trust Services
# (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html and rds-proxy.howitworks.html).
AMAZON_ROOTS = Path(__file__).with_name("amazon-roots.pem")
THIS_MACHINE = frozenset({None, "localhost", "127.0.0.1", "::1"})
_WEAKER = ("ssl_ca", "ssl_verify_cert", "ssl_verify_identity")  # the driver would prefer them

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Token = Callable[[URL], str]  # a password for one connect to that address


def engine_for(
    url: str, *, answer_seconds: int = ANSWER_SECONDS, token: Token | None = None
) -> Engine:
    """Return an engine that has not connected yet.

    A server on another machine must prove its identity, to Amazon's roots or to those in the file
    `ssl_ca` of the URL. Only `ssl_disabled=true` leaves TLS out. If the URL has no password, each
    connect calls `token` for one.
    """
    address = make_url(url)
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": answer_seconds,
        "write_timeout": answer_seconds,
    }
    if address.host not in THIS_MACHINE and address.query.get("ssl_disabled") != "true":
        arguments["ssl"] = _trust(address.query.get("ssl_ca"))
        address = address.difference_update_query(_WEAKER)
    engine = create_engine(
        address,
        poolclass=NullPool,
        hide_parameters=True,  # an error's text is logged, and parameters are personal
        connect_args=arguments,
    )
    if token is not None and address.password is None:
        _ask_at_each_connect(engine, token)
    return engine


def _trust(roots: object) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(roots or AMAZON_ROOTS))
    # As PyMySQL does with its own contexts: Python 3.13 demands certificate extensions that
    # private authorities leave out. Chain, dates and host name are still checked.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _ask_at_each_connect(engine: Engine, token: Token) -> None:
    """An IAM token opens connections for 15 minutes. An open connection outlives it."""

    @event.listens_for(engine, "do_connect")
    def sign_in(_: object, __: object, ___: object, parameters: dict[str, Any]) -> None:
        parameters["password"] = token(engine.url)


def error_number(error: BaseException) -> int | None:
    """Return the server's or the driver's error number, if the error has one."""
    orig = getattr(error, "orig", None)
    number = orig.args[0] if isinstance(orig, BaseException) and orig.args else None
    return number if isinstance(number, int) else None


class Database:
    """The environment's connection. A transaction begins with its first statement.

    A connection that died while idle is replaced, and the first statement is repeated without loss.
    A connection older than `KEPT_SECONDS` is replaced between two transactions.
    With `ping` it is tested before each transaction. The schema and the server's settings are
    checked once.
    """

    def __init__(self, engine: Engine, *, ping: bool = False) -> None:
        self._engine = engine
        self._ping = ping
        self._connection: Connection | None = None
        self._opened_at = 0.0
        self._checked = False

    @property
    def in_transaction(self) -> bool:
        return self._connection is not None and self._connection.in_transaction()

    def begin(self) -> None:
        """Make sure that no earlier transaction is left open."""
        self.rollback()
        if self._ping:
            self.execute(text("SELECT 1"))
            self.rollback()

    def execute(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> CursorResult[Any]:
        """Run one statement.

        Raises:
            IntegrityError: a key or a reference is violated; the statement alone is undone.
            DatabaseBusyError: a lock was not granted; the transaction is rolled back.
            DatabaseUnavailableError: no connection, it was lost, or its server is read-only; the
                transaction is gone.
            SchemaOutdatedError: see `readiness.check`.
        """
        first = not self.in_transaction
        try:
            return self._connected().execute(statement, parameters)
        except DBAPIError as error:
            if not first or not _is_lost(error) or _waited(error):
                self._fail(error)
        self._drop()
        try:
            return self._connected().execute(statement, parameters)
        except DBAPIError as error:
            self._fail(error)

    def now(self) -> datetime:
        now: datetime = self.execute(_NOW).scalar_one()
        return now.replace(tzinfo=UTC)

    def commit(self) -> None:
        """
        Raises:
            DatabaseUnavailableError: with `effect_unknown`, unless the server refused as read-only.
        """
        if self._connection is None:
            return
        try:
            self._connection.commit()
        except DBAPIError as error:
            self._drop()
            refused = error_number(error) in _COMMIT_REFUSED
            message = (
                "the commit was refused" if refused else "the connection was lost during the commit"
            )
            raise DatabaseUnavailableError(message, effect_unknown=not refused) from error
        except BaseException:
            self._drop()  # a rollback would not reach the server: to SQLAlchemy the transaction is over
            raise

    def rollback(self) -> None:
        """Undo uncommitted changes. Never fails: the server rolls back a lost connection itself."""
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except DBAPIError:
            self._drop()

    def close(self) -> None:
        """Close the connection. The next statement opens another."""
        self.rollback()
        self._drop()

    def _connected(self) -> Connection:
        old = time.monotonic() - self._opened_at >= KEPT_SECONDS and not self.in_transaction
        if self._connection is None or self._connection.invalidated or old:
            self._drop()
            self._connection = self._opened()
            self._opened_at = time.monotonic()
        if not self._checked:
            try:
                check(self._connection)
            finally:
                self._connection.rollback()
            self._checked = True
        return self._connection

    def _opened(self) -> Connection:
        try:
            return self._engine.connect()
        except DBAPIError as error:
            raise DatabaseUnavailableError("no connection to the database") from error

    def _fail(self, error: DBAPIError) -> NoReturn:
        """Raise our error for the driver's. Only an IntegrityError leaves the transaction open.

        A defect of ours, such as malformed SQL, is raised unchanged.
        """
        if isinstance(error, IntegrityError):
            raise error
        if _is_lost(error):
            self._drop()
            raise DatabaseUnavailableError("the connection to the database was dropped") from error
        self.rollback()
        number = error_number(error)
        if number in _DEADLOCKS:
            raise DatabaseBusyError("deadlock", deadlock=True) from error
        if number in _LOCKED:
            raise DatabaseBusyError("a lock was not granted in time") from error
        raise error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _is_lost(error: DBAPIError) -> bool:
    """True if the connection is of no use any more."""
    number = error_number(error)
    return error.connection_invalidated or number in _LOST | _DEMOTED | _UNSERVED


def _waited(error: DBAPIError) -> bool:
    """True if the time for an answer is used up. A repeat would wait as long again."""
    return error_number(error) in _UNSERVED or _timed_out(error)


def _timed_out(error: DBAPIError) -> bool:
    """Distinguish a timeout from a closed connection: the driver gives both the number 2013."""
    return error.orig is not None and isinstance(error.orig.__context__, TimeoutError)
