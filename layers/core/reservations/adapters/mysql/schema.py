"""Migrations, run by program: at deploy, and by the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from reservations.adapters.mysql import readiness
from reservations.adapters.mysql.address import Connect
from reservations.adapters.mysql.engine import error_number
from reservations.domain.errors import DatabaseBusyError

HEAD: Final = readiness.HEAD
BASE: Final = "base"
SIGN_IN_SECONDS = 60  # IAM may take a while to spread a new stack's rights
TURN_SECONDS = 60  # longest wait for another migration
# Changing a large table takes long; with the two above it is within the function's 300 s.
STATEMENT_SECONDS = 170

_SCRIPTS = Path(__file__).parent / "migrations"
_ACCESS_DENIED = 1045
# The lock is the server's, not the schema's; a name has at most 64 characters.
_LOCK = text("SELECT GET_LOCK(LEFT(CONCAT('migrate:', DATABASE()), 64), :seconds)")
_UNLOCK = text("SELECT RELEASE_LOCK(LEFT(CONCAT('migrate:', DATABASE()), 64))")


def engine_of(connect: Connect) -> Engine:
    """Return an engine for migrations. It connects at each use."""
    return create_engine(
        "mysql+pymysql://",
        creator=connect,
        poolclass=NullPool,
        hide_parameters=True,  # an error's text is logged
    )


def upgrade(engine: Engine, *, revision: str = HEAD) -> None:
    """Bring the schema to `revision`, one migration at a time.

    A newer schema stays as it is, so that a release can be rolled back without its data. A schema
    that needs no change waits for no lock, as a failed update is rolled back by requesting the old
    revision. Let `connector` wait `STATEMENT_SECONDS` for an answer.

    Raises:
        DatabaseBusyError: another migration did not end in time.
    """
    if _is_enough(current(engine), revision):
        return
    with _turn(engine) as connection:
        reached = _current(connection)
        if not _is_enough(reached, revision):
            command.upgrade(_configured(connection), revision)


def downgrade(engine: Engine, *, revision: str = BASE) -> None:
    """Take the schema back to `revision`. The data of later revisions are lost.

    Raises:
        DatabaseBusyError: another migration did not end in time.
    """
    with _turn(engine) as connection:
        command.downgrade(_configured(connection), revision)


def _is_denied(error: BaseException) -> bool:
    driver_error = error.orig if isinstance(error, DBAPIError) else None
    return driver_error is not None and error_number(driver_error) == _ACCESS_DENIED


@retry(
    retry=retry_if_exception(_is_denied),
    wait=wait_fixed(2),
    stop=stop_after_delay(SIGN_IN_SECONDS),
    reraise=True,
)
def _signed_in(engine: Engine) -> Connection:
    return engine.connect()


def current(engine: Engine) -> str | None:
    """Return the schema's revision; `None` before the first migration."""
    with _signed_in(engine) as connection:
        return _current(connection)


def _current(connection: Connection) -> str | None:
    driver: Any = connection.connection.driver_connection
    return readiness.current(driver)


@contextmanager
def _turn(engine: Engine) -> Iterator[Connection]:
    with _signed_in(engine) as connection:
        with connection.begin():  # ended here: Alembic commits only its own transactions
            granted = connection.execute(_LOCK, {"seconds": TURN_SECONDS}).scalar()
        if granted != 1:
            raise DatabaseBusyError("another migration is under way")
        try:
            yield connection
        finally:
            connection.execute(_UNLOCK)


def _is_enough(reached: str | None, revision: str) -> bool:
    is_newer = reached not in {None, *readiness.REVISIONS}
    return is_newer or reached == revision


def _configured(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
