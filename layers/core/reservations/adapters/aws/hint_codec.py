"""A hint as it travels: six members of a JSON object, nothing else, and no personal data."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import RFC_4122, UUID

from reservations.domain.messages import SCHEMA_VERSION, Hint, Queue
from reservations.strict_json import DuplicateMemberError, without_duplicates
from reservations.tracing import TRACEPARENT

_T = TypeVar("_T")

_MEMBERS = {
    "message_id",
    "schema_version",
    "reservation_id",
    "type",
    "occurred_at",
    "traceparent",
}
_TYPE = re.compile(r"(?=.{1,100}\Z)[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


class PoisonMessageError(Exception):
    """This body will never be a hint; `reason` is a stable code without any of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def encode_hint(hint: Hint) -> str:
    """Write a hint; a malformed traceparent is left out, as tracing must not poison a message."""
    traced = hint.traceparent is not None and TRACEPARENT.fullmatch(hint.traceparent)
    return json.dumps(
        {
            "message_id": str(hint.message_id),
            "schema_version": SCHEMA_VERSION,
            "reservation_id": str(hint.reservation_id),
            "type": hint.type,
            "occurred_at": hint.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "traceparent": hint.traceparent if traced else None,
        }
    )


def decode_hint(body: str, *, queue: Queue) -> Hint:
    """Read a hint that came by `queue`.

    Raises:
        PoisonMessageError: `not_json`, `not_an_object`, `duplicate_member`,
            `unknown_schema_version`, `wrong_members`, or `invalid_` and a member's name.
    """
    members = _members(body)
    version = members.get("schema_version")
    if isinstance(version, bool) or version != SCHEMA_VERSION:
        raise PoisonMessageError("unknown_schema_version")
    if members.keys() != _MEMBERS:
        raise PoisonMessageError("wrong_members")
    return Hint(
        message_id=_read(members, "message_id", _uuid7),
        queue=queue,
        reservation_id=_read(members, "reservation_id", _uuid),
        type=_read(members, "type", _matching(_TYPE)),
        occurred_at=_read(members, "occurred_at", _moment),
        traceparent=_read(members, "traceparent", _traceparent),
    )


def _members(body: str) -> dict[str, Any]:
    try:
        members = json.loads(body, object_pairs_hook=without_duplicates)
    except DuplicateMemberError:
        raise PoisonMessageError("duplicate_member") from None
    except (ValueError, RecursionError):  # also a number or a nesting beyond what Python reads
        raise PoisonMessageError("not_json") from None
    if not isinstance(members, dict):
        raise PoisonMessageError("not_an_object")
    return members


def _read(members: dict[str, Any], name: str, read: Callable[[Any], _T]) -> _T:
    try:
        return read(members[name])
    except (ValueError, TypeError):
        raise PoisonMessageError(f"invalid_{name}") from None


def _uuid(text: Any) -> UUID:
    value = UUID(_text(text))
    if str(value) != text:  # the constructor also takes braces, URNs and capitals
        raise ValueError
    return value


def _uuid7(text: Any) -> UUID:
    value = _uuid(text)
    if value.version != 7 or value.variant != RFC_4122:
        raise ValueError
    return value


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(_matching(_RFC_3339)(text)).astimezone(UTC)


def _traceparent(text: Any) -> str | None:
    return None if text is None else _matching(TRACEPARENT)(text)


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def read(text: Any) -> str:
        if pattern.fullmatch(_text(text)) is None:
            raise ValueError
        return str(text)

    return read


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
