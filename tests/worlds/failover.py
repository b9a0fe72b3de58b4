"""Two real servers behind one address: a writer, and a reader that replicates it.

RDS never loses a commit that it has answered: both of its servers have the same storage, or a copy of it. Here
the reader has replayed the writer's log before the writer changes or dies.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pymysql

from local import processes
from local.database import Engine, server_command
from local.paths import STATE
from reservations.adapters.mysql import schema
from reservations.adapters.mysql.address import connector
from tests.worlds.forwarder import Forwarder

_SECONDS = 60
_PASSWORD = token_hex(8)
_ACCOUNTS = f"""\
SET SESSION sql_log_bin = 0;
CREATE DATABASE reservations CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE USER 'operator'@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}';
GRANT ALL ON *.* TO 'operator'@'127.0.0.1';
CREATE USER 'reservations'@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}';
GRANT ALL ON reservations.* TO 'reservations'@'127.0.0.1';
"""

_FLAGS = {
    "mysql": ["--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-replica-updates=ON"],
    "mariadb": ["--gtid-strict-mode=ON", "--log-slave-updates=ON"],
}
_LOGGED = {"mysql": "SELECT @@gtid_executed", "mariadb": "SELECT @@gtid_binlog_pos"}
_REPLAYED = {
    "mysql": "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)",
    "mariadb": "SELECT MASTER_GTID_WAIT(%s, %s)",
}
_STOP = {"mysql": "STOP REPLICA", "mariadb": "STOP SLAVE"}
_FOLLOW = {
    "mysql": [
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port},"
        " SOURCE_USER = 'operator', SOURCE_PASSWORD = '{password}', SOURCE_AUTO_POSITION = 1,"
        " GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1",
        "START REPLICA",
    ],
    "mariadb": [
        "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos",
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port},"
        " MASTER_USER = 'operator', MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos,"
        " MASTER_CONNECT_RETRY = 1",
        "START SLAVE",
    ],
}
_READ_ONLY = {"mysql": "super_read_only", "mariadb": "read_only"}


class Server:
    """One server process on its own data. It can be killed and started again."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self._folder = folder
        self._name = f"{folder.parent.name}-{folder.name}"
        self.port = processes.port_of(self._name)

    @property
    def alive(self) -> bool:
        return processes.identity(self._name) is not None

    def start(self, *flags: str) -> None:
        (self._folder / "data" / "server.sock.lock").unlink(missing_ok=True)
        processes.start(self._service(*flags))

    def wait_until_up(self) -> None:
        processes.wait_until_healthy(self._service())

    def stop(self) -> None:
        processes.stop(self._name, seconds=0)  # the data are thrown away

    def kill(self) -> None:
        """End the process as a lost machine does: nothing is flushed, nobody is told."""
        pid = processes.pid_of(self._name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while self.alive:
            time.sleep(0.01)

    def _service(self, *flags: str) -> processes.Service:
        command = [
            *server_command(self.engine, self._folder, self.port),
            *_FLAGS[self.engine],
            "--log-bin=binlog",
            "--relay-log=relay",
            f"--server-id={self.port}",
            *flags,
        ]
        return processes.Service(name=self._name, command=command, healthy=self._answers)

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except pymysql.OperationalError:
            return False
        return True

    def ask(self, *statements: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Run statements as operator. Return the first column of the last result."""
        with (
            pymysql.connect(
                host="127.0.0.1",
                port=self.port,
                user="operator",
                password=_PASSWORD,
                database="reservations",
                autocommit=True,
                ssl_disabled=True,
                connect_timeout=_SECONDS,
                read_timeout=_SECONDS,
            ) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement, values)
            return [row[0] for row in cursor.fetchall()]

    def codes(self) -> list[str]:
        """Return the codes of all stored reservations, in order, doubles included."""
        return sorted(self.ask("SELECT code FROM reservation"))

    def refuse_writes(self) -> None:
        self.ask(f"SET GLOBAL {_READ_ONLY[self.engine]} = 1")

    def take_writes(self) -> None:
        self.stop_following()
        self.ask("SET GLOBAL read_only = 0")

    def stop_following(self) -> None:
        self.ask(_STOP[self.engine])

    def follow(self, writer: "Server") -> None:
        login = {"port": writer.port, "password": _PASSWORD}
        self.stop_following()
        self.ask(*(step.format(**login) for step in _FOLLOW[self.engine]))

    def catch_up_with(self, writer: "Server") -> None:
        [logged] = writer.ask(_LOGGED[self.engine])
        [failed] = self.ask(_REPLAYED[self.engine], values=(logged, _SECONDS))
        assert not failed, "the reader does not replay the writer's log"


class Pair:
    """A writer and a reader. `url` leads to the writer once `lead_to_the_writer` was called."""

    def __init__(self, writer: Server, reader: Server) -> None:
        self.writer, self.reader = writer, reader
        self.address = Forwarder(writer.port)
        self.url = (
            f"mysql+pymysql://reservations:{_PASSWORD}@127.0.0.1:{self.address.port}/reservations"
            "?charset=utf8mb4&ssl_disabled=true"
        )

    def switch(self) -> None:
        """Let both change places, as for a planned maintenance. The address stays behind."""
        self.writer.refuse_writes()
        self.reader.catch_up_with(self.writer)
        self._promote()
        self.reader.follow(self.writer)

    def crash(self) -> None:
        """Kill the writer."""
        self.reader.catch_up_with(self.writer)
        self.writer.kill()

    def replace_the_dead(self) -> None:
        """Make the reader the writer after a crash. The address stays behind."""
        assert not self.writer.alive
        self._promote()

    def come_back(self) -> None:
        """Start the dead server again, as a reader of the other."""
        self.reader.start(f"--{_READ_ONLY[self.reader.engine].replace('_', '-')}")
        self.reader.wait_until_up()
        self.reader.follow(self.writer)

    def lead_to_the_writer(self) -> None:
        self.address.target = self.writer.port

    def heal(self) -> None:
        """Repair the pair, in whatever state a test left it."""
        if not self.writer.alive:
            self.replace_the_dead()
        if not self.reader.alive:
            self.come_back()
        self.address.stop = None
        self.lead_to_the_writer()

    def _promote(self) -> None:
        self.writer, self.reader = self.reader, self.writer
        self.writer.take_writes()


@contextmanager
def a_pair(engine: Engine) -> Iterator[Pair]:
    """Start both servers on new data, with all tables. End them and delete the data afterwards."""
    name = f"{engine}-pair"
    with processes.exclusive(name), ExitStack() as stack:
        stack.callback(shutil.rmtree, STATE / name)
        servers = [Server(engine, STATE / name / number) for number in ("1", "2")]
        for server in servers:
            server.stop()  # left by a run that was killed
            stack.callback(server.stop)
        _make_data(engine, STATE / name)
        pair = Pair(*_started(servers, STATE / name / "accounts.sql"))
        stack.callback(pair.address.close)
        pair.reader.refuse_writes()
        pair.reader.follow(pair.writer)
        schema.upgrade(
            schema.engine_of(connector(pair.url, answer_seconds=schema.STATEMENT_SECONDS))
        )
        yield pair


def _make_data(engine: Engine, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    server_command(engine, folder / "1", 0)
    shutil.copytree(folder / "1", folder / "2")
    (folder / "2" / "data" / "auto.cnf").unlink(missing_ok=True)  # MySQL's identity of the first
    (folder / "accounts.sql").write_text(_ACCOUNTS)


def _started(servers: list[Server], accounts: Path) -> list[Server]:
    for server in servers:
        server.start(f"--init-file={accounts}")
    for server in servers:
        server.wait_until_up()
    return servers
