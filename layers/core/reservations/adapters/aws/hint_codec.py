"""A hint as a message: a JSON object of exactly six members, without personal data."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from reservations.domain.messages import SCHEMA_VERSION, Hint, Queue
from reservations.strict_json import DuplicateMemberError, without_duplicates
from reservations.tracing import TRACEPARENT

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_UUID7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_RFC_3339 = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_WRONG_MEMBERS = {"missing", "extra_forbidden"}


class PoisonMessageError(Exception):
    """A body that can never be handled. `reason` is a stable code without any of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _utc(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as error:  # near the years 1 and 9999
        raise ValueError("out of range") from error


def _traced(text: str) -> str:
    if not TRACEPARENT.fullmatch(text):
        raise ValueError("not a traceparent")
    return text


class _Members(BaseModel):
    """The members of `docs/contratos/mensajes/hint.schema.json`. The first malformed one is reported."""

    model_config = ConfigDict(strict=True, extra="forbid")

    # JSON has one kind of number: 1.0 is 1.
    schema_version: Annotated[float, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    message_id: Annotated[str, Field(pattern=_UUID7), AfterValidator(UUID)]
    reservation_id: Annotated[str, Field(pattern=_UUID), AfterValidator(UUID)]
    type: Annotated[str, Field(max_length=100, pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")]
    occurred_at: Annotated[str, Field(pattern=_RFC_3339), AfterValidator(_utc)]
    traceparent: Annotated[str, AfterValidator(_traced)] | None


def encode_hint(hint: Hint) -> str:
    """Write a hint. A malformed traceparent is left out, as tracing must not poison a message."""
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
    try:
        members = dict(_Members.model_validate(_object(body)))
    except ValidationError as error:
        raise PoisonMessageError(_reason(error)) from None
    del members["schema_version"]
    return Hint(queue=queue, **members)


def _object(body: str) -> dict[str, Any]:
    try:
        members = json.loads(body, object_pairs_hook=without_duplicates)
    except DuplicateMemberError:
        raise PoisonMessageError("duplicate_member") from None
    except (ValueError, RecursionError):  # also a number or a nesting beyond Python's limits
        raise PoisonMessageError("not_json") from None
    if not isinstance(members, dict):
        raise PoisonMessageError("not_an_object")
    return members


def _reason(error: ValidationError) -> str:
    faults = error.errors(include_input=False, include_url=False)
    names = [fault["loc"][0] for fault in faults]
    if "schema_version" in names:
        return "unknown_schema_version"
    if any(fault["type"] in _WRONG_MEMBERS for fault in faults):
        return "wrong_members"
    return f"invalid_{names[0]}"
