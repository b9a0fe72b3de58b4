"""The state of a simulator: in SQLite, committed before it answers."""

import json
import secrets
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  silent INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS failure (key TEXT PRIMARY KEY, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS webhook (
  id TEXT PRIMARY KEY, body TEXT NOT NULL, attempts INTEGER NOT NULL, due_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_SHARED_TABLES = ("idempotency", "failure", "webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The answer stored under an idempotency key."""

    fingerprint: str
    status: int
    body: str
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A webhook still to be delivered."""

    id: str
    body: str
    attempts: int


class Transaction:
    """One change to the ledger: all of it or nothing."""

    def __init__(self, db: sqlite3.Connection, *, now: float) -> None:
        self.db = db
        self.now = now  # seconds since 1970

    def recall(self, key: str) -> Kept | None:
        row = self.db.execute("SELECT * FROM idempotency WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        return Kept(
            fingerprint=row["fingerprint"],
            status=row["status"],
            body=row["body"],
            silent=bool(row["silent"]),
        )

    def remember(self, key: str, kept: Kept) -> None:
        self.db.execute(
            "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?)",
            (key, kept.fingerprint, kept.status, kept.body, kept.silent),
        )

    def count_failure(self, key: str) -> int:
        """Count this request, and return the number of requests with its key."""
        row = self.db.execute(
            "INSERT INTO failure VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1"
            " RETURNING times",
            (key,),
        ).fetchone()
        return int(row["times"])

    def announce(self, kind: str, **content: str) -> None:
        """Queue a webhook if a target is set."""
        if self.setting("webhook") is None:
            return
        timestamp = datetime.fromtimestamp(self.now, UTC).isoformat(timespec="seconds")
        body = {"type": kind, "timestamp": timestamp.replace("+00:00", "Z"), "data": content}
        self.db.execute(
            "INSERT INTO webhook VALUES (?, ?, 0, ?)",
            (f"msg_{secrets.token_hex(12)}", json.dumps(body), self.now),
        )

    def due_announcements(self) -> list[Announcement]:
        rows = self.db.execute(
            "SELECT id, body, attempts FROM webhook WHERE due_at <= ? ORDER BY due_at", (self.now,)
        )
        return [Announcement(**row) for row in rows]

    def announced(self, announcement: Announcement) -> None:
        self.db.execute("DELETE FROM webhook WHERE id = ?", (announcement.id,))

    def announce_again(self, announcement: Announcement, *, after_seconds: float) -> None:
        self.db.execute(
            "UPDATE webhook SET attempts = attempts + 1, due_at = ? WHERE id = ?",
            (self.now + after_seconds, announcement.id),
        )

    def setting(self, name: str) -> dict[str, Any] | None:
        row = self.db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return dict(json.loads(row["value"])) if row else None

    def set(self, name: str, value: dict[str, Any]) -> None:
        self.db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, json.dumps(value)))

    def clear(self, tables: tuple[str, ...]) -> None:
        """Delete operations and faults; keep the target of webhooks."""
        for table in (*_SHARED_TABLES, *tables):
            self.db.execute(f"DELETE FROM {table}")  # noqa: S608 - the names are ours
        self.db.execute("DELETE FROM setting WHERE name = 'faults'")


class Ledger:
    """One file, one writer at a time: concurrent requests with one key have one effect."""

    def __init__(self, path: Path, *, schema: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # it holds the secret of the webhooks
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        self._db.row_factory = _row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing, a power cut may
        self._lay_out(_SCHEMA + schema)

    def _lay_out(self, schema: str) -> None:
        """Create the tables, after dropping those of another version of the simulator."""
        layout = zlib.crc32(schema.encode()) >> 1  # user_version is a signed 32-bit number
        if self._db.execute("PRAGMA user_version").fetchone()["user_version"] != layout:
            tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
            for table in self._db.execute(tables).fetchall():
                self._db.execute(f"DROP TABLE {table['name']}")
        self._db.executescript(schema)
        self._db.execute(f"PRAGMA user_version = {layout}")

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield Transaction(self._db, now=self._clock())

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}
