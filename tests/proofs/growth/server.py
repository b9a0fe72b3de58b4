"""A MySQL server of its own for growth, with its data kept from one run to the next."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pymysql

from local.credentials import stack_secrets
from local.database import accounts_file, server_command
from local.paths import STATE
from local.processes import Service, is_healthy, pid_of, port_of, start, stop, wait_until_healthy
from reservations.adapters.mysql import schema
from reservations.adapters.mysql.address import connector

FOLDER = STATE / "growth"
_NAME = "growth"
_MORE_FLAGS = [
    "--innodb-buffer-pool-size=512M",
    "--innodb-redo-log-capacity=1G",
    "--innodb-flush-log-at-trx-commit=2",
]


@contextmanager
def server() -> Iterator[int]:
    """Yield the pid of the server while it runs."""
    folder = FOLDER / "mysql"
    port = port_of(_NAME)
    service = Service(
        name=_NAME,
        command=[
            *server_command("mysql", folder, port),
            f"--init-file={accounts_file(folder)}",
            *_MORE_FLAGS,
        ],
        healthy=_answers,
        start_seconds=300,
    )
    if not is_healthy(service):
        start(service)
        wait_until_healthy(service)
    pid = pid_of(_NAME)
    assert pid is not None
    try:
        # The program may run under the loader of its own libraries, in the same process.
        yield pid
    finally:
        stop(_NAME, seconds=120)


def url_of(name: str = "") -> str:
    password = stack_secrets().database_root_password
    return f"mysql+pymysql://root:{password}@127.0.0.1:{port_of(_NAME)}/{name}?charset=utf8mb4&ssl_disabled=true"


def _answers() -> bool:
    with suppress(pymysql.Error), connector(url_of())():
        return True
    return False


def make_schema(name: str) -> str:
    """Make a migrated, empty schema in place of any of this name. Return its URL."""
    with connector(url_of())() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    migrate(name)
    return url_of(name)


def migrate(name: str) -> None:
    schema.upgrade(schema.engine_of(connector(url_of(name), answer_seconds=600)))


def megabytes_free() -> int:
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(FOLDER).free // 2**20
