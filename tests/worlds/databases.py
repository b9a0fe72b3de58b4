"""Real database servers for tests. A missing server is a failure, not a skip.

TEST_MYSQL_URL and TEST_MARIADB_URL name running servers: SQLAlchemy URLs of an account that may create schemas.
Without them, local servers are started.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from secrets import token_hex

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from local.database import DatabaseServer, Engine, ensure
from reservations.adapters.mysql import schema
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.tables import METADATA
from tests.worlds.account import tell

ENGINES: tuple[Engine, ...] = ("mysql", "mariadb")


@cache
def server(engine: Engine) -> DatabaseServer:
    given = os.environ.get(f"TEST_{engine.upper()}_URL")
    running = _at(given, engine) if given else ensure(engine)
    # Results depend on the engine, so the run reports it.
    tell(engine, f"database: {running.engine} {running.version}")
    return running


def _at(address: str, engine: Engine) -> DatabaseServer:
    url = make_url(address)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        version = connection.scalar(text("SELECT VERSION()"))
    return DatabaseServer(
        host=str(url.host),
        port=int(url.port or 3306),
        user=str(url.username),
        password=str(url.password),
        engine=engine,
        version=str(version),
    )


def url_of(engine: Engine, name: str = "", *, tls: bool = False) -> str:
    """Disable TLS unless it is under test: each connection would load all trusted roots."""
    root = server(engine)
    login = f"{root.user}:{root.password}@{root.host}:{root.port}"
    url = f"mysql+pymysql://{login}/{name}?charset=utf8mb4"
    return url if tls else f"{url}&ssl_disabled=true"


@contextmanager
def administrator(engine: Engine) -> Iterator[Connection]:
    root = create_engine(url_of(engine), poolclass=NullPool)
    with root.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def empty_schema(engine: Engine) -> Iterator[str]:
    """Create a schema without tables, yield its URL, and drop it afterwards."""
    name = f"test_{token_hex(6)}"
    with administrator(engine) as connection:
        collation = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        connection.execute(text(f"CREATE DATABASE {name} {collation}"))
    try:
        yield url_of(engine, name)
    finally:
        with administrator(
            engine
        ) as connection:  # a new connection: the server closes idle ones after 120 s
            connection.execute(text(f"DROP DATABASE {name}"))


@contextmanager
def migrated_schema(engine: Engine) -> Iterator[str]:
    with empty_schema(engine) as url:
        connect = connector(url, answer_seconds=schema.STATEMENT_SECONDS)
        schema.upgrade(schema.engine_of(connect))
        yield url


def empty_the_tables(url: str) -> None:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(table.delete())


SchemaOf = Callable[[Engine], str]


@pytest.fixture(scope="module")
def schema_of() -> Iterator[SchemaOf]:
    """Return the URL of a migrated schema, one for each module and engine."""
    with ExitStack() as stack:

        @cache
        def url(engine: Engine) -> str:
            return stack.enter_context(migrated_schema(engine))

        yield url


Connect = Callable[[], Database]


@contextmanager
def connections_to(url: str) -> Iterator[Connect]:
    """Yield a function that opens connections. At the end, close them all and delete the rows."""
    open_one = connector(url)
    with ExitStack() as stack:
        stack.callback(empty_the_tables, url)

        def connect() -> Database:
            database = Database(open_one)
            stack.callback(database.close)
            return database

        yield connect
