"""Terms of both simulators: requests, answers, refusals and programmed behavior."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from local.simulators.ledger import Transaction

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
    """An HTTP answer. `silent`: the effect is kept and the caller gets no answer."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False


def failure(status: int, code: str, message: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body={"error": {"code": code, "message": message}}, headers=named)


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

    def fingerprint(self) -> str:
        """Return a hash that ignores the layout of the JSON."""
        content = json.dumps(json.loads(self.body), sort_keys=True) if self.body.strip() else ""
        return hashlib.sha256(f"{self.method} {self.path}\n{content}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """Programmed outcome of a token or an offer: a status, after some failures.

    `silent`: no answer. `late`: a listing omits it at first. `twice`: the first request acts, but its answer
    says that nothing was done.
    """

    status: str
    failures: float = 0
    silent: bool = False
    late: bool = False
    twice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of a pending status, and of a late item's absence from listings.

    A late item must be missing from two inquiries, which take half a minute on a slow machine.
    """

    pending: float = 3
    late: float = 45

    def listed_at(self, behavior: Behavior, now: float) -> float:
        return now + self.late if behavior.late else now


def fails_now(behavior: Behavior, request: Request, transaction: Transaction) -> Answer | None:
    """Return a failure without effect, if one is due. Only the second says so and when to retry."""
    if not behavior.failures:
        return None
    times = transaction.count_failure(request.key)
    if times > behavior.failures:
        return None
    if times == FAILURES_BEFORE_OK:
        return failure(503, "overloaded", "nothing was done, come back", Retry_After="1")
    return failure(500, "internal_error", "something broke")


def denied(behavior: Behavior, request: Request, transaction: Transaction) -> Answer | None:
    """Deny the effect of the first request. No key keeps a 5xx, so the next request acts too."""
    if not behavior.twice or transaction.count_failure(request.key) > 1:
        return None
    return failure(503, "overloaded", "nothing was done, come back", Retry_After="1")


@dataclass(frozen=True, slots=True)
class Route:
    """A route. `keyed`: it requires an Idempotency-Key and acts once per key."""

    method: str
    template: str
    act: Callable[[Request, Transaction], Answer]
    keyed: bool = False

    def match(self, path: str) -> Mapping[str, str] | None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None


class Provider(Protocol):
    """One of the two APIs: its tables, its routes and its own changes."""

    name: str
    schema: str
    tables: tuple[str, ...]
    routes: tuple[Route, ...]

    def settle(self, transaction: Transaction) -> None:
        """Decide the pending operations that are due, and announce them."""

    def ledger(self, transaction: Transaction) -> dict[str, Any]:
        """Return every operation, for a test to count."""
