"""Terms of both simulators: requests, answers, refusals and programmed behavior."""

import hashlib
import json
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from local.simulators.ledger import SUCCEEDED, Entry, Fate, Ledger
from local.simulators.storage import Kept, Owed, Storage

FAILURES_BEFORE_OK = 2


class Body(BaseModel):
    """A request body: exact types, no unknown members."""

    model_config = ConfigDict(extra="forbid", strict=True)


BodyT = TypeVar("BodyT", bound=Body)


class RefusedError(Exception):
    """The request breaks the contract; nothing was done."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer. `silent`: the effect is kept and the caller gets no answer. `page`: HTML instead of the body."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False
    page: str = ""


def failure(status: int, code: str, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body={"error": {"code": code, "message": message}}, headers=named)


_OVERLOADED = failure(503, "overloaded", "nothing was done, come back", Retry_After="1")
_BROKEN = failure(500, "internal_error", "something broke")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose route is known; `ids` are the variable parts of its path."""

    method: str
    path: str
    query: Mapping[str, str]
    ids: Mapping[str, str]
    body: bytes
    key: str = ""

    def parse(self, model: type[BodyT]) -> BodyT:
        """
        Raises:
            RefusedError: 400 when it is not JSON, 422 when it is not the JSON of the contract.
        """
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            if first["type"] == "json_invalid":
                raise RefusedError(400, "malformed_json", "the body is not JSON") from None
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise RefusedError(422, "validation_failed", f"{where}: {first['msg']}") from None

    def reference(self) -> str:
        """
        Raises:
            RefusedError: the query has none.
        """
        if not self.query.get("reference"):
            raise RefusedError(400, "reference_missing", "reference is required")
        return self.query["reference"]

    def fingerprint(self) -> str:
        """Return a hash that ignores the layout of the JSON."""
        content = json.dumps(json.loads(self.body), sort_keys=True) if self.body.strip() else ""
        return hashlib.sha256(f"{self.method} {self.path}\n{content}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of a pending status, and of a late item's absence from listings.

    A late item must be missing from two inquiries, which take half a minute on a slow machine.
    """

    pending: float = 3
    late: float = 45


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """Programmed outcome of a token or an offer: a status, after some failures, and what it `becomes` by itself.

    `silent`: no answer. `late`: a listing omits it at first. `twice`: the first request acts, but its answer
    says that nothing was done. `foreign`: another currency is taken. `misnamed`: the answer carries the
    reference of another payment, but the listing is right.
    """

    status: str = SUCCEEDED
    becomes: str | None = None
    failures: float = 0
    silent: bool = False
    late: bool = False
    twice: bool = False
    surcharge: Decimal = Decimal(0)
    foreign: bool = False
    misnamed: bool = False
    refund: "Behavior | None" = None
    cancellable: bool = True

    def fate(self, times: Times) -> Fate:
        late, pending = times.late if self.late else 0, times.pending
        return Fate(self.status, self.becomes, changes_after=pending, listed_after=late)


@dataclass(frozen=True, slots=True)
class Route:
    """A route of `act`, a method of its provider. `keyed`: it requires a key and acts once for each."""

    method: str
    template: str
    act: Callable[[Any, Request], Answer]
    keyed: bool = False

    def match(self, path: str) -> Mapping[str, str] | None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The payments, the refunds or the bookings.

    `members` can be set by hand. `words` has the contract's statuses that differ from ours. `about`
    gives the ids in a webhook. `make` prepares an entry by hand, under an id and with its first members.
    """

    ledger: Ledger
    members: type[Body]
    show: Callable[[Entry], dict[str, Any]]
    about: Callable[[Entry], dict[str, str]]
    words: Mapping[str, str] = field(default_factory=dict)
    make: Callable[[str, Mapping[str, Any]], Entry] | None = None

    def word(self, entry: Entry) -> str:
        return self.words.get(entry.status, entry.status)


class Provider(ABC):
    """One of the two APIs: its routes over its stored ledgers, answers, webhooks and settings."""

    name: ClassVar[str]
    routes: ClassVar[tuple[Route, ...]]
    kinds: Mapping[str, Kind]

    def __init__(self, times: Times | None = None, storage: Storage | None = None) -> None:
        self.storage = storage or Storage()
        self.answers = self.storage.table("answer", Kept)
        self.failures = self.storage.table("failure", int)
        self.owed = self.storage.table("webhook", Owed)
        self.settings = self.storage.table("setting", dict)
        self._times = times or Times()

    def _ledger(self, prefix: str) -> Ledger:
        return Ledger(
            prefix,
            clock=self.storage.clock,
            number=lambda: secrets.token_hex(10),
            rows=self.storage.table(prefix, Entry),
        )

    @abstractmethod
    def books(self) -> dict[str, Any]:
        """Return every operation, for a test to count."""

    def reset(self) -> None:
        """Delete operations and faults; keep the target of webhooks."""
        kept = {name: value for name, value in self.settings.items() if name == "webhook"}
        self.storage.clear()
        self.settings.update(kept)

    def make(
        self, ledger: Ledger, behavior: Behavior, request: Request, **about: str
    ) -> Entry | Answer:
        """Make an entry, or return a failure that denies or prevents it. No key keeps a 5xx."""
        failed = self._count_failure(request.key) if behavior.failures or behavior.twice else 0
        if 0 < failed <= behavior.failures:
            return _OVERLOADED if failed == FAILURES_BEFORE_OK else _BROKEN
        fate = behavior.fate(self._times)
        if behavior.twice and failed == 1:
            ledger.make(fate, **about)
            return _OVERLOADED
        return ledger.make(fate, key=request.key, **about)

    def _count_failure(self, key: str) -> int:
        self.failures[key] = self.failures.get(key, 0) + 1
        return self.failures[key]

    def settle(self) -> None:
        """Decide the pending operations that are due, and announce them."""
        for name, kind in self.kinds.items():
            for changed in kind.ledger.settle():
                self.announce(f"{name}.{kind.word(changed)}", kind, changed)

    def announce(self, event: str, kind: Kind, entry: Entry) -> None:
        """Queue a webhook about an entry if a target is set."""
        if "webhook" not in self.settings:
            return
        content = {"reference": entry.reference, **kind.about(entry)}
        now = self.storage.clock()
        timestamp = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        body = {"type": event, "timestamp": timestamp.replace("+00:00", "Z"), "data": content}
        owed = Owed(webhook_id=f"msg_{secrets.token_hex(12)}", body=json.dumps(body), due_at=now)
        self.owed[owed.webhook_id] = owed
