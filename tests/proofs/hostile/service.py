"""The HTTP of a provider, written from its contract and from the habits of real providers.

Nothing of the product is imported. A service gets a clock and a seeded `Random`, and answers
requests: `handle(method, target, headers, body)` returns status, headers and bytes.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from tests.proofs.hostile.moods import Personality
from tests.proofs.hostile.rows import BAD, GOOD, PENDING, Kind, Row

API_KEY = "our key"
KEYS_LIVE = timedelta(hours=24)
PENDING_FOR = (60, 600, 2400, 3 * 3600)  # seconds
LAGS = (45, 175, 600)  # seconds
SKEWS = (0, 0, 0, -2, 40, -200, 400)  # seconds; webhooks of the last are refused


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Outside(Protocol):
    """The world around a provider."""

    random: Random
    hostile: bool

    @property
    def now(self) -> datetime: ...

    def mood(self, reference: str, service: str) -> Personality: ...

    def later(self, delay: timedelta, event: Callable[[], None]) -> None: ...

    def say(self, text: str) -> None: ...

    def owe_webhook(self, service: "Service", row: Row, kind: str) -> None:
        """Announce a change of a row, some time or never."""


class Asked(NamedTuple):
    """A request as a service reads it: method and path, key, the query's reference, body."""

    about: str
    key: str | None
    reference: str
    body: bytes


class _Kept(NamedTuple):
    """A remembered idempotency key."""

    about: tuple[str, bytes]
    at: datetime
    answer: Answer


class Service:
    """Rows, keys and routes that payments and supplier have in common."""

    name: str
    main: Kind  # of the rows that we ask for first
    routes: tuple[tuple[str, str, str], ...]  # method, pattern of the path, name of the method

    def __init__(
        self,
        outside: Outside,
        *,
        ids: Iterator[int] | None = None,
        repeated: set[str] | None = None,
    ) -> None:
        self.outside = outside
        self.rows: list[Row] = []
        self.skew = timedelta(seconds=outside.random.choice(SKEWS))
        self.first: dict[
            Kind, str
        ] = {}  # the next row of a kind has this status, if a script says so
        self._ids = ids or itertools.count(1)
        self._keys: dict[str, _Kept] = {}
        self._poisoned: set[str] = set()
        # References with a row that nobody asked for.
        self.repeated: set[str] = set() if repeated is None else repeated

    # --- the truth

    def of(self, reference: object, kind: Kind) -> list[Row]:
        return [r for r in self.rows if r.reference == str(reference) and r.kind is kind]

    def find(self, an_id: str | None, kind: Kind) -> Row | None:
        rows = (row for row in self.rows if row.kind is kind)
        return next((row for row in rows if an_id and row.is_called(an_id)), None)

    def make(self, kind: Kind, reference: str, *, key: str | None = None, **about: Any) -> Row:
        """Make a row with a fate of the seed. A pending one ends by itself."""
        now, random, mood = self.outside.now, self.outside.random, self._mood(reference)
        status, ends_as = self._fate(kind, mood)
        lag = random.choice(LAGS) if self.happens(mood.lags) else 0
        row = Row(
            kind=kind, id=f"{kind}_{next(self._ids)}", reference=reference, key=key, status=status,
            ends_as=ends_as, made_at=now, listed_from=now + timedelta(seconds=lag), **about,
        )  # fmt: skip
        self.rows.append(row)
        self.outside.say(f"  truth: {row}{'' if key else ' (unrequested)'}")
        if ends_as is not None:
            ends_after = timedelta(seconds=random.choice(PENDING_FOR))
            self.outside.later(ends_after, lambda: self.resolve(row))
        return row

    def _fate(self, kind: Kind, mood: Personality) -> tuple[str, str | None]:
        random = self.outside.random
        if kind in self.first:
            return self.first.pop(kind), None
        chance = random.random()
        if chance < mood.pends:
            return PENDING, (GOOD if random.random() < mood.resolves_well else BAD)[kind]
        declines = mood.clings if kind is Kind.REFUND else mood.declines
        return (BAD if chance < mood.pends + declines else GOOD)[kind], None

    def resolve(self, row: Row) -> None:
        """End a pending row as its fate says, and owe a webhook."""
        if row.ends_as is None:
            return
        self.change(row, row.ends_as)
        self.outside.owe_webhook(self, row, "changed")

    def change(self, row: Row, status: str) -> None:
        """Give a row another status. Listings may show the former one for a while."""
        if self.happens(self._mood(row.reference).lags):
            lag = timedelta(seconds=self.outside.random.choice(LAGS))
            row.stale = row.status, self.outside.now + lag
        row.status, row.ends_as = status, None
        self.outside.say(f"  truth: {row}")

    def repeat_once(self, reference: str) -> bool:
        """Draw whether a second row appears. It does once for a reservation."""
        if reference in self.repeated or not self.happens(self._mood(reference).repeats):
            return False
        self.repeated.add(reference)
        return True

    def happens(self, odds: float) -> bool:
        """Draw an event with these odds. In calm times it never happens."""
        return bool(odds) and self.outside.hostile and self.outside.random.random() < odds

    def _mood(self, reference: str) -> Personality:
        return self.outside.mood(reference, self.name)

    # --- HTTP

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request. `headers` have lower-case names."""
        if headers.get("authorization") != f"Bearer {API_KEY}":
            return failed(401, "unauthorized")
        url = urlsplit(target)
        query = parse_qs(url.query)
        asked = Asked(
            about=f"{method} {url.path}",
            key=headers.get("idempotency-key"),
            reference=query.get("reference", [""])[-1],
            body=body,
        )
        for verb, pattern, name in self.routes:
            found = re.fullmatch(pattern, url.path)
            if found and verb == method:
                given = [unquote(text) for text in found.groups()]
                return self._once(asked, partial(getattr(self, name), *given, asked))
        return failed(404, "not_found")

    def _once(self, asked: Asked, act: Callable[[], Answer]) -> Answer:
        """Act once for a key of the last 24 hours, and then repeat the answer."""
        key, kept = asked.key, self._keys.get(asked.key or "")
        if key is None:
            return act()
        if kept is not None and self.outside.now - kept.at < KEYS_LIVE:
            return self._again(asked, key, kept)
        if key in self._poisoned and self.outside.hostile:
            return failed(500, "failed")
        if self.happens(self._mood_of_key(key).poisons):
            self._poisoned.add(key)
            return failed(500, "failed")
        answer = act()
        if answer.status < 500:
            self._keys[key] = _Kept((asked.about, asked.body), self.outside.now, answer)
        return answer

    def _again(self, asked: Asked, key: str, kept: _Kept) -> Answer:
        """Answer a known key: with the same answer, unless the request is another."""
        if kept.about != (asked.about, asked.body):
            return failed(422, "idempotency_key_reused")
        if self.happens(self._mood_of_key(key).conflicts):
            return failed(409, "request_in_progress")
        status, headers, body = kept.answer
        return Answer(status, {**headers, "Idempotency-Replayed": "true"}, body)

    def _mood_of_key(self, key: str) -> Personality:
        """The mood behind a key, which names a reference or one of our rows."""
        name = key.split(":")[1] if ":" in key else key
        row = next((row for row in self.rows if row.is_called(name)), None)
        return self._mood(row.reference if row else name)

    def told(self, row: Row, *, listed: bool = False) -> dict[str, Any]:
        """The members of a row in an answer, with some that no contract has."""
        members = self.members(row) | row.says
        if listed:
            members["status"] = row.says.get("status", row.status_listed(self.outside.now))
        if self.happens(self._mood(row.reference).puzzles):
            members["status"] = "under_review"
        return {**members, "livemode": True, "metadata": {"note": None}}

    def tells(self, reference: object, kind: Kind) -> list[dict[str, Any]]:
        """The rows of a whole listing now, without its moods."""
        now = self.outside.now
        return [
            self.members(row) | {"status": row.status_listed(now)} | row.says
            for row in self.of(reference, kind)
            if row.shown(now)
        ]

    def members(self, row: Row) -> dict[str, Any]:
        raise NotImplementedError

    def answer(self, row: Row, status: int = 200) -> Answer:
        return as_json(status, self.told(row))

    def listing(self, name: str, rows: list[Row], mood: Personality) -> Answer:
        """List rows, oldest first. A first page leaves the last one out, against the contract."""
        now = self.outside.now
        shown = [row for row in rows if row.shown(now)]
        more = bool(shown) and self.happens(mood.pages)
        if more:
            shown[-1].lied = True
        page = [self.told(row, listed=True) for row in shown[: len(shown) - more]]
        document: dict[str, Any] = {name: page, "has_more": more}
        return as_json(200, document | ({"next": f"/{name}?after={len(page)}"} if more else {}))


def as_json(status: int, document: object, **headers: str) -> Answer:
    body = json.dumps(document).encode()
    return Answer(status, {"Content-Type": "application/json", **headers}, body)


def failed(status: int, code: str, **headers: str) -> Answer:
    return as_json(status, {"error": {"code": code, "message": code}}, **headers)
