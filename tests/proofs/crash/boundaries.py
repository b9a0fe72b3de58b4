"""Crossings between a function and the outside, seen from inside its process, and the blows struck there."""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from itertools import groupby
from typing import Any

import boto3
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from reservations.adapters.exchange import HttpWire, Request
from reservations.adapters.mysql.engine import Database, Query

_IDS = re.compile(r"(?<=/)(pay|ref|bkg)_[^/]+")
_DETAILS = re.compile(r"'[^']*'|%\(\w+\)s|%s")
_SCHEMA = re.compile(r"`test_[0-9a-f]+`\.")  # the schema of a test
_SPACE = re.compile(r"\s+")
_TABLES = re.compile(
    r"(?:^UPDATE|^ALTER TABLE|^CREATE TABLE(?: IF NOT EXISTS)?|\bFROM|\bJOIN|\bINTO) `?(\w+)"
)
_SET = re.compile(r"\bSET (.+?)(?: WHERE |$)", re.IGNORECASE)
_COLUMN = re.compile(r"(?:^|, ?)(?:\w+\.)?`?(\w+)`? ?=(?!=)")
_LOCKING = re.compile(r"FOR UPDATE(?: SKIP LOCKED)?$", re.IGNORECASE)
_FEW = 3
OUTSIDE = ("http ", "sqs ", "s3 ", "ses ", "socket ")
TOGETHER = " + "
COLD = "cold start: "


class Blow(StrEnum):
    """Kinds of blows to a process at a crossing."""

    KILL_BEFORE = "kill-before"
    KILL_AFTER = "kill-after"
    STOP = "stop"  # after the crossing, so that its locks are kept

    @property
    def signal(self) -> signal.Signals:
        return signal.SIGSTOP if self is Blow.STOP else signal.SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Strike at the last of these crossings, if an invocation's crossings so far are exactly these.

    Not `exact`: strike at its same occurrence, if the calls to the outside so far are the same. A call repeated at
    once counts as one: hints are sent again if the kept connection was lost.
    """

    crossings: list[str]
    blow: Blow
    exact: bool = True

    def is_due(self, crossings: list[str]) -> bool:
        """True at the ordered place. Cold-start crossings on the way to a later one are ignored."""
        place = self.crossings[-1]
        so_far = crossings if is_cold(place) else warm(crossings)
        if self.exact or not so_far or so_far[-1] != place:
            return so_far == self.crossings
        same_turn = so_far.count(place) == self.crossings.count(place)
        return same_turn and _without_repeats(so_far) == _without_repeats(self.crossings)


def is_cold(crossing: str) -> bool:
    return crossing.startswith(COLD)


def outside(crossings: list[str]) -> list[str]:
    """The crossings to other parties than our own database and settings."""
    return [crossing for crossing in crossings if crossing.startswith(OUTSIDE)]


def _without_repeats(crossings: list[str]) -> list[str]:
    return [crossing for crossing, _ in groupby(outside(crossings))]


def warm(crossings: list[str]) -> list[str]:
    return [crossing for crossing in crossings if not is_cold(crossing)]


class _Depth(threading.local):
    """Calls under way in a thread."""

    now = 0


class Tracer:
    """Records the crossings of one invocation in order, and carries out an order to strike."""

    def __init__(self) -> None:
        self.crossings: list[str] = []
        self._order: Order | None = None
        self._announce: Callable[[Blow], None] = lambda _: None
        self._depth = _Depth()
        self._opening = False

    def begin(self, order: Order | None, announce: Callable[[Blow], None]) -> None:
        self.crossings, self._order, self._announce = [], order, announce
        self._depth.now = 0

    @property
    def inside(self) -> bool:
        """True while the function's own code runs, outside any crossing."""
        return self._depth.now == 0

    def before(self, what: str) -> None:
        """Begin a call. Only the outermost call is a crossing: calls of a driver inside it are part of it."""
        self._depth.now += 1
        if self._depth.now == 1:
            cold = self._opening or what.startswith("ssm ")
            self.crossings.append(f"{COLD if cold else ''}{what}")
            self._strike(Blow.KILL_BEFORE)

    def after(self) -> None:
        self._depth.now -= 1
        if self._depth.now == 0:
            self._strike(Blow.KILL_AFTER)
            self._strike(Blow.STOP)

    @contextmanager
    def crossing(self, what: str) -> Iterator[None]:
        self.before(what)
        try:
            yield
        finally:
            self.after()

    def opening(self, original: Callable[[Database], Any], database: Database) -> Any:
        """Run the opening and checking of a connection, whose crossings count as cold start."""
        self._opening = True
        try:
            return original(database)
        finally:
            self._opening = False

    def audit(self, event: str, _: tuple[Any, ...]) -> None:
        """Record also a connection made outside any known crossing."""
        if event == "socket.connect" and self._depth.now == 0:
            self.before("socket connect")
            self.after()

    def _strike(self, now: Blow) -> None:
        order = self._order
        if order is None or order.blow is not now or not order.is_due(self.crossings):
            return
        self._order = None  # once
        self._announce(now)
        os.kill(os.getpid(), now.signal)


def watch(tracer: Tracer) -> None:
    """Trace every statement, HTTP exchange and AWS call of this process from now on."""

    def wrapped(owner: type, name: str, what: Callable[..., str]) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def traced(self: Any, *arguments: Any, **options: Any) -> Any:
            with tracer.crossing(what(*arguments) if tracer.inside else ""):
                return original(self, *arguments, **options)

        setattr(owner, name, traced)

    wrapped(Database, "_exchange", lambda _, flight: f"sql {summary_of_flight(flight)}")
    wrapped(Connection, "connect", lambda *_: "sql connect")
    wrapped(Connection, "commit", lambda *_: "sql COMMIT")
    wrapped(Connection, "rollback", lambda *_: "sql ROLLBACK")
    for name in ("execute", "executemany"):
        wrapped(Cursor, name, lambda statement, *_: f"sql {summary_of(statement)}")
    wrapped(HttpWire, "send", lambda request, _: exchange_line(request))

    connected = Database._connected
    Database._connected = lambda self: tracer.opening(connected, self)  # type: ignore[method-assign]

    def sending(event_name: str, **_: Any) -> None:
        tracer.before(" ".join(event_name.split(".")[1:]))

    boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register("before-send", sending)
    boto3.DEFAULT_SESSION.events.register("response-received", lambda **_: tracer.after())
    sys.addaudithook(tracer.audit)


def summary_of_flight(flight: Sequence[Query]) -> str:
    """The summaries of statements that leave together, each once, a COMMIT first."""
    names = dict.fromkeys(summary_of(query.statement.sql) for query in flight)
    return TOGETHER.join(sorted(names, key=lambda name: name != "COMMIT"))


def summary_of(statement: str) -> str:
    """A summary of a statement: verb, tables, columns if few, and lock."""
    text = _SPACE.sub(" ", statement).strip()
    verb, tables = text.split(" ")[0].upper(), _TABLES.findall(text)
    if not tables:
        return _DETAILS.sub("?", _SCHEMA.sub("", text))[:60]
    lock, changes = _LOCKING.search(text), _SET.search(text) if verb == "UPDATE" else None
    columns = _COLUMN.findall(changes[1]) if changes else []
    words = [verb, "TABLE" if verb in ("CREATE", "DROP", "ALTER") else "", " ".join(tables)]
    words += [f"SET {', '.join(columns)}" if 0 < len(columns) <= _FEW else ""]
    return " ".join(word for word in (*words, lock[0] if lock else "") if word)


def exchange_line(request: Request) -> str:
    if operation := request.headers.get("X-Amz-Target"):
        return operation.removeprefix("Amazon").replace("SQS.", "sqs ")
    path, _, _ = request.target.partition("?")
    return f"http {request.method} {_IDS.sub('{id}', path)}"


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
