"""Samples of a running load: CPU and memory by kind of process, locks, queues, the outbox."""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from local.paths import ROOT
from reservations.adapters.mysql.address import Address
from reservations.domain.words import FINAL, State

SECONDS = 1.0
QUEUE_EVERY = 5  # samples: reading the depths costs the emulator CPU
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
RESTING = tuple(sorted(state.value for state in {*FINAL, State.SUPPLIER_CONFIRMED}))
_KINDS = {
    "lambda_child": "funciones",
    "multiprocessing.spawn": "funciones",  # those of tools.stress.front
    "localstack": "LocalStack",
    "local.simulators": "simuladores",
    "mysqld": "MySQL",
    "mariadbd": "MariaDB",
    "locust": "locust",
}


def processes() -> Iterator[tuple[str, str, float, float]]:
    """Yield kind, pid, CPU seconds and resident MB of each process of this worktree."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        kind = next((name for part, name in _KINDS.items() if part in command), None)
        if kind and (str(ROOT) in command or _runs_here(folder)):
            cpu = (int(stat[11]) + int(stat[12])) / _TICKS
            yield kind, folder.name, cpu, int(stat[21]) * _PAGE / 1e6


def _runs_here(folder: Path) -> bool:
    try:
        return (folder / "cwd").readlink().is_relative_to(ROOT)
    except OSError:
        return False


class Database:
    """A connection of the watch and of the checks."""

    def __init__(self, url: str) -> None:
        address = Address.of(url)
        self._db = pymysql.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password or "",
            database=address.database,
            ssl_disabled=True,
            autocommit=True,
            init_command="SET SESSION wait_timeout = 28800",
            cursorclass=pymysql.cursors.DictCursor,
        )

    def rows(self, sql: str, values: Any = ()) -> list[dict[str, Any]]:
        with self._db.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def run(self, sql: str, values: Any = ()) -> int:
        with self._db.cursor() as cursor:
            return int(cursor.execute(sql, values))

    def now(self) -> Any:
        [row] = self.rows("SELECT UTC_TIMESTAMP(6) AS at")
        return row["at"]

    def unfinished(self, since: Any) -> int:
        [row] = self.rows(
            "SELECT COUNT(*) AS number FROM reservation WHERE created_at >= %s AND state NOT IN %s",
            (since, RESTING),
        )
        return int(row["number"])

    def pending(self) -> tuple[int, float]:
        """Hints that the outbox has yet to publish and that are due, and the seconds that the oldest waits."""
        [row] = self.rows(
            "SELECT COUNT(*) AS number,"
            " MAX(TIMESTAMPDIFF(MICROSECOND, available_at, UTC_TIMESTAMP(6))) / 1e6 AS age"
            " FROM outbox WHERE status = 'pending' AND available_at <= UTC_TIMESTAMP(6)"
        )
        return int(row["number"]), float(row["age"] or 0)

    def confirmations(self, since: Any) -> list[float]:
        """Seconds from acceptance to CONFIRMADA of each reservation made since then."""
        rows = self.rows(
            "SELECT TIMESTAMPDIFF(MICROSECOND, created_at, confirmed_at) / 1e6 AS seconds"
            " FROM reservation WHERE created_at >= %s AND confirmed_at IS NOT NULL",
            (since,),
        )
        return [float(row["seconds"]) for row in rows]

    def locks(self) -> dict[str, int]:
        """Lock waits and deadlocks so far (performance_schema is off)."""
        waits = self.rows("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_%%'")
        counted = self.rows(
            "SELECT NAME AS Variable_name, COUNT AS Value FROM information_schema.INNODB_METRICS"
            " WHERE NAME IN ('lock_deadlocks', 'lock_timeouts')"
        )
        return {row["Variable_name"]: int(row["Value"]) for row in (*waits, *counted)}

    def close(self) -> None:
        self._db.close()


@dataclass(slots=True)
class Watched:
    """Series of (seconds, value) by name, and what one run added to the counters."""

    series: defaultdict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    cpu: dict[str, float] = field(default_factory=dict)  # seconds by kind
    memory: dict[str, float] = field(default_factory=dict)  # MB at most, by kind
    locks: dict[str, int] = field(default_factory=dict)
    seconds: float = 0

    def add(self, name: str, at: float, value: float) -> None:
        self.series[name].append((round(at, 1), round(value, 3)))


@contextmanager
def watching(url: str, depth: Callable[[], int], *, since: Any) -> Iterator[Watched]:
    """Sample during the block."""
    watched, over = Watched(), threading.Event()
    database = Database(url)
    began, locks, cpu = time.monotonic(), database.locks(), _cpu()
    thread = threading.Thread(target=_sample, args=(watched, database, depth, over, began, since))
    thread.start()
    try:
        yield watched
    finally:
        over.set()
        thread.join()
        watched.seconds = time.monotonic() - began
        watched.locks = {name: value - locks[name] for name, value in database.locks().items()}
        for (kind, pid), value in _cpu().items():  # a process that has ended is not counted
            used = max(0.0, value - cpu.get((kind, pid), 0.0))
            watched.cpu[kind] = watched.cpu.get(kind, 0.0) + used
        database.close()


def _cpu() -> Mapping[tuple[str, str], float]:
    return {(kind, pid): cpu for kind, pid, cpu, _ in processes()}


def _sample(
    watched: Watched,
    database: Database,
    depth: Callable[[], int],
    over: threading.Event,
    began: float,
    since: Any,
) -> None:
    number = 0
    while not over.wait(SECONDS):
        at = time.monotonic() - began
        pending, age = database.pending()
        watched.add("outbox", at, pending)
        watched.add("outbox_age", at, age)
        watched.add("unfinished", at, database.unfinished(since))
        memory: defaultdict[str, float] = defaultdict(float)
        for kind, _, _, resident in processes():
            memory[kind] += resident
        for kind, resident in memory.items():
            watched.memory[kind] = max(watched.memory.get(kind, 0), resident)
        if number % QUEUE_EVERY == 0:
            watched.add("queues", at, depth())
        number += 1
