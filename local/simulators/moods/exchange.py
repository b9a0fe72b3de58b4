"""A request and its answer, as a mood sees them."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from local.simulators.provider import Answer

_KEY = "idempotency-key"
LISTS = ("payments", "bookings", "refunds")
IDS = ("refund_id", "payment_id", "booking_id")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request. `gone` says whether its caller has hung up by now."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    gone: Callable[[], bool] = field(default=lambda: False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def reference(self) -> str:
        return parse_qs(urlsplit(self.target).query).get("reference", [""])[0]

    @property
    def key(self) -> str:
        return self.headers.get(_KEY, "")

    @property
    def orders(self) -> bool:
        return self.method == "POST" and self.path.strip("/") in LISTS

    @property
    def lists(self) -> bool:
        return self.method == "GET" and self.path.strip("/") in LISTS

    def under(self, key: str) -> "Asked":
        return replace(self, headers={**self.headers, _KEY: key})

    def content(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


Act = Callable[[Asked], Answer]
Mood = Callable[[Asked, Act], Answer]


def new_key() -> str:
    return f"mood:{uuid.uuid4()}"


def id_of(row: Row) -> str:
    return next(name for name in IDS if name in row)


def changed(answer: Answer, change: Callable[[Row], Row | None]) -> Answer:
    """Change each row of an answer; a row that becomes `None` is left out of its listing."""
    body = dict(answer.body)
    for name in LISTS:
        if name in body:
            body[name] = [row for old in body[name] if (row := change(dict(old))) is not None]
            return replace(answer, body=body)
    if any(name in body for name in IDS):
        return replace(answer, body=change(body) or body)
    return answer


def about(asked: Asked, reference: str) -> Asked:
    return replace(asked, target=f"{asked.path}?{urlencode({'reference': reference})}")


def kind(asked: Asked, act: Act) -> Answer:
    """Keep every promise."""
    return act(asked)
