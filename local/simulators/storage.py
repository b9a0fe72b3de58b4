"""The state of a simulator: dictionaries kept in SQLite, committed before it answers."""

import json
import sqlite3
import threading
import time
import zlib
from collections import UserDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from local.simulators.ledger import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The answer stored under an idempotency key."""

    fingerprint: str
    status: int
    body: dict[str, Any]
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A webhook still to be delivered."""

    webhook_id: str
    body: str
    due_at: float
    attempts: int = 0


# A file of another layout is emptied. `user_version` is a signed 32-bit number.
_LAYOUT = zlib.crc32(repr((Entry.__slots__, Kept.__slots__, Owed.__slots__)).encode()) >> 1


class Table(UserDict[str, T]):
    """A dictionary whose values are read once and written through."""

    def __init__(self, db: sqlite3.Connection, name: str, of: type[T]) -> None:
        self._db, self._name = db, name
        rows = db.execute("SELECT name, content FROM item WHERE kind = ? ORDER BY rowid", (name,))
        read = [(key, json.loads(content)) for key, content in rows]
        self.data = {key: of(**value) if is_dataclass(of) else value for key, value in read}

    def __setitem__(self, key: str, value: T) -> None:
        super().__setitem__(key, value)
        self._db.execute(
            "INSERT INTO item VALUES (?, ?, ?)"
            " ON CONFLICT (kind, name) DO UPDATE SET content = excluded.content",
            (self._name, key, json.dumps(value, default=asdict)),
        )

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._db.execute("DELETE FROM item WHERE kind = ? AND name = ?", (self._name, key))


class Storage:
    """One file, or the memory. One writer at a time: concurrent requests with one key have one effect."""

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # it holds the secret of the webhooks
        self._lock = threading.Lock()
        self._tables: list[Table[Any]] = []
        self._db = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None, timeout=5
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing, a power cut may
        self._lay_out()

    def _lay_out(self) -> None:
        """Create the table, after dropping those of another version of the simulator."""
        if self._db.execute("PRAGMA user_version").fetchone() != (_LAYOUT,):
            tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
            for (table,) in self._db.execute(tables).fetchall():
                self._db.execute(f"DROP TABLE {table}")
            self._db.execute(
                "CREATE TABLE item (kind TEXT, name TEXT, content TEXT, PRIMARY KEY (kind, name))"
            )
            self._db.execute(f"PRAGMA user_version = {_LAYOUT}")

    def table(self, name: str, of: type[T]) -> Table[T]:
        """Open a dictionary of dataclasses or of plain JSON values."""
        table = Table(self._db, name, of)
        self._tables.append(table)
        return table

    def clear(self) -> None:
        for table in self._tables:
            table.clear()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit also after a refusal: the dictionaries have changed already."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._db.close()
