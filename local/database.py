"""A private database server on 127.0.0.1: `python -m local.database up|down [mysql|mariadb]`."""

import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import pymysql

from local import private_packages
from local.credentials import stack_secrets
from local.paths import LOGS, STATE, write_json
from local.processes import (
    Service,
    StackError,
    exclusive,
    is_healthy,
    port_of,
    start,
    stop,
    wait_until_healthy,
)

Engine = Literal["mysql", "mariadb"]

_PROGRAM = {"mysql": "mysqld", "mariadb": "mariadbd"}
_INITIALIZE_SECONDS = 120
_COMMON_FLAGS = [
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--default-time-zone=+00:00",
    "--transaction-isolation=READ-COMMITTED",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_bin",
    "--max-connections=300",
    "--innodb-buffer-pool-size=64M",
    "--innodb-lock-wait-timeout=2",  # a double click waits this long for the first answer
    "--wait-timeout=120",
    "--performance-schema=OFF",  # 300 MB less
    "--sql-mode=STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY",
]
_MYSQL_FLAGS = ["--mysqlx=OFF", "--innodb-redo-log-capacity=32M", "--secure-file-priv=NULL"]
_MARIADB_FIRST_STATEMENTS = b"SET @auth_root_socket=NULL;\nCREATE DATABASE mysql;\nUSE mysql;\n"
_MARIADB_SYSTEM_TABLES = [
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
]


@dataclass(frozen=True, slots=True)
class _Program:
    """The server's command, and the folder of its messages and system tables."""

    command: list[str]
    share: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseServer:
    """A running server and the account that may create schemas on it."""

    host: str
    port: int
    user: str
    password: str
    engine: Engine
    version: str


def chosen_engine() -> Engine:
    """Return the engine named by DB_ENGINE, MySQL by default.

    Raises:
        StackError: DB_ENGINE is neither engine.
    """
    name = os.environ.get("DB_ENGINE") or "mysql"
    if name not in get_args(Engine):
        raise StackError(
            f"DB_ENGINE is {name!r}.", remedy="Set it to mysql or mariadb, or leave it out."
        )
    return cast(Engine, name)


def ensure(engine: Engine) -> DatabaseServer:
    """Start the engine's server unless it runs. Fetch and initialize it the first time.

    Raises:
        StackError: there is no server program, or it did not start.
    """
    with exclusive(engine):
        folder = STATE / engine
        port = port_of(engine)
        service = Service(
            name=engine,
            command=[
                *server_command(engine, folder, port),
                f"--init-file={accounts_file(folder)}",
            ],
            healthy=lambda: _version(port) is not None,
        )
        if not is_healthy(service):
            # Left by a killed MySQL: once another process has its pid, MySQL does not start.
            (folder / "data" / "server.sock.lock").unlink(missing_ok=True)
            start(service)
            wait_until_healthy(service)
        server = _described(engine, port)
    if engine == chosen_engine():
        write_json(STATE / "database.json", asdict(server))
    return server


def server_command(engine: Engine, folder: Path, port: int) -> list[str]:
    """Return the command of a server on the data in `folder`. Make them the first time.

    Raises:
        StackError: there is no server program, or it could not make its data.
    """
    program = _program(engine)
    _initialize(engine, program, folder)
    return [
        *program.command,
        *_COMMON_FLAGS,
        *(_MYSQL_FLAGS if engine == "mysql" else []),
        *_running_user(),
        f"--datadir={folder / 'data'}",
        f"--port={port}",
        # Relative to the data folder: the full path of a socket may have 107 bytes at most.
        "--socket=server.sock",
        "--pid-file=server.pid",
    ]


def application_url(port: int) -> str:
    """Return the functions' URL of their schema. No TLS: the connection stays on this machine."""
    login = f"reservations:{stack_secrets().database_password}"
    address = f"127.0.0.1:{port}/reservations"
    return f"mysql+pymysql://{login}@{address}?charset=utf8mb4&ssl_disabled=true"


def _program(engine: Engine) -> _Program:
    """Return the server's program, fetched by apt if there is one, else from PATH."""
    found = shutil.which(_PROGRAM[engine])
    if found and private_packages.distribution() is None:
        share = Path(found).resolve().parents[1] / "share"
        return _Program(
            [found, "--no-defaults"],
            next((share / name for name in (engine, "mysql") if (share / name).is_dir()), share),
        )
    prefix = STATE / f"{engine}-server"
    private_packages.unpack(engine, prefix)
    share = prefix / "usr/share/mysql"
    return _Program(
        [
            *private_packages.command(prefix, f"usr/sbin/{_PROGRAM[engine]}"),
            "--no-defaults",
            f"--basedir={prefix / 'usr'}",
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share / 'charsets'}",
        ],
        share,
    )


def _running_user() -> list[str]:
    # Both servers refuse root without this. Another account could not read a checkout under /root.
    return ["--user=root"] if os.geteuid() == 0 else []


def _initialize(engine: Engine, program: _Program, folder: Path) -> None:
    """Make the data folder; replace an unfinished one of an interrupted run."""
    if (folder / "data").exists():
        return
    draft = folder / "data.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    command = [*program.command, f"--datadir={draft}", *_running_user()]
    if engine == "mysql":
        statements = None
        command += ["--initialize-insecure"]  # `_accounts` sets the passwords at the first start
    else:
        # The same input as mariadb-install-db gives; the script itself needs an installed MariaDB.
        tables = [(program.share / name).read_bytes() for name in _MARIADB_SYSTEM_TABLES]
        statements = b"\n".join([_MARIADB_FIRST_STATEMENTS, *tables])
        command += ["--bootstrap", "--skip-log-bin"]
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{engine}-initialize.log"
    with log.open("wb") as output:
        result = subprocess.run(
            command, input=statements, stdout=output, stderr=output, timeout=_INITIALIZE_SECONDS
        )
    if result.returncode:
        raise StackError(f"{engine} could not make its data folder.", remedy=f"See {log}.")
    draft.rename(folder / "data")


def accounts_file(folder: Path) -> Path:
    path = folder / "accounts.sql"
    path.touch(mode=0o600)
    path.write_text(_accounts())
    return path


def _accounts() -> str:
    """Return the statements that the server runs at each start: accounts and schema, if missing."""
    passwords = stack_secrets()
    accounts = {
        "'root'@'127.0.0.1'": passwords.database_root_password,
        "'root'@'localhost'": passwords.database_root_password,
        "'reservations'@'127.0.0.1'": passwords.database_password,
    }
    lines = [
        "CREATE DATABASE IF NOT EXISTS reservations CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;"
    ]
    for account, password in accounts.items():
        lines.append(f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';")
        lines.append(f"ALTER USER {account} IDENTIFIED BY '{password}';")
    lines += [
        "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;",
        "GRANT ALL ON reservations.* TO 'reservations'@'127.0.0.1';",
    ]
    return "\n".join(lines) + "\n"


def _version(port: int) -> str | None:
    """Return the server's version, `None` while it does not answer."""
    try:
        connection = pymysql.connect(
            host="127.0.0.1",
            port=port,
            user="root",
            password=stack_secrets().database_root_password,
            connect_timeout=2,
            read_timeout=5,
            write_timeout=5,
        )
    except pymysql.Error:
        return None
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        row = cursor.fetchone()
    return str(row[0]) if row else None


def _described(engine: Engine, port: int) -> DatabaseServer:
    return DatabaseServer(
        host="127.0.0.1",
        port=port,
        user="root",
        password=stack_secrets().database_root_password,
        engine=engine,
        version=_version(port) or "unknown",
    )


def main() -> int:
    """Run one command; print a failure and its remedy to standard error."""
    action = sys.argv[1] if len(sys.argv) > 1 else "up"
    try:
        engine = chosen_engine() if len(sys.argv) < 3 else cast(Engine, sys.argv[2])
        if action == "down":
            stop(engine)
            return 0
        server = ensure(engine)
    except StackError as error:
        print(f"✗ {error}\n  {error.remedy}", file=sys.stderr)
        return 1
    print(f"{server.engine} {server.version} on {server.host}:{server.port}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
