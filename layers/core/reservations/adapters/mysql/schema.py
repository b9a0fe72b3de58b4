"""Migrations, run by program: at deploy, and by the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from reservations.adapters.mysql import readiness
from reservations.domain.errors import DatabaseBusyError

HEAD: Final = readiness.HEAD
BASE: Final = "base"
TURN_SECONDS = 60  # how long one migration waits for another
STATEMENT_SECONDS = 240  # changing a large table takes long; the function has 300 s

_SCRIPTS = Path(__file__).parent / "migrations"
# The lock is the server's, not the schema's; a name has at most 64 characters.
_LOCK = text("SELECT GET_LOCK(LEFT(CONCAT('migrate:', DATABASE()), 64), :seconds)")
_UNLOCK = text("SELECT RELEASE_LOCK(LEFT(CONCAT('migrate:', DATABASE()), 64))")


def upgrade(engine: Engine, *, revision: str = HEAD) -> None:
    """Bring the schema to `revision`; one migration at a time, whoever starts it.

    A newer schema stays as it is, so that a release can be rolled back without its data.
    Make the engine with `engine_for(url, answer_seconds=STATEMENT_SECONDS)`.

    Raises:
        DatabaseBusyError: another migration did not end in time.
    """
    with _turn(engine) as connection:
        if not _is_newer(connection):
            command.upgrade(_configured(connection), revision)


def downgrade(engine: Engine, *, revision: str = BASE) -> None:
    """Take the schema back to `revision`, with what the later ones held.

    Raises:
        DatabaseBusyError: another migration did not end in time.
    """
    with _turn(engine) as connection:
        command.downgrade(_configured(connection), revision)


def current(engine: Engine) -> str | None:
    """Return the schema's revision; none before the first migration."""
    with engine.connect() as connection:
        return readiness.current(connection)


@contextmanager
def _turn(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        with connection.begin():  # ended here: Alembic commits only what it began itself
            granted = connection.execute(_LOCK, {"seconds": TURN_SECONDS}).scalar()
        if granted != 1:
            raise DatabaseBusyError("another migration is under way")
        try:
            yield connection
        finally:
            connection.execute(_UNLOCK)


def _is_newer(connection: Connection) -> bool:
    with connection.begin():
        return readiness.current(connection) not in {None, *readiness.REVISIONS}


def _configured(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
