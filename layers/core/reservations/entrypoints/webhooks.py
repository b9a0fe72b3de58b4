"""Webhooks from providers, signed by Standard Webhooks (https://www.standardwebhooks.com).

The library of that project takes one secret only, and brings five packages for an HMAC.
"""

import base64
import hmac
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reservations.application.ports import WebhookEvent
from reservations.domain.facts import Provider
from reservations.entrypoints import http
from reservations.entrypoints.problems import ProblemError

TOLERANCE = timedelta(seconds=300)  # both ways: a clock may run ahead as well as behind
_VERSION = "v1,"
_LONGEST_SIGNATURES = 1024  # some twenty of them
# A type is only logged and stored. No other text of a provider gets there.
_LONGEST_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_UNNAMED = "unnamed"
_LONGEST_TIME = 10  # until the year 2286
_UNIX_SECONDS = re.compile(r"[0-9]+", re.ASCII)
_LONGEST_ID = 128


class _Subject(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    reference: Annotated[str, Field(min_length=1, max_length=64)]


class _Notice(BaseModel):
    """The members of a webhook that we read. A missing or strange type wakes a look as well."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)

    type: Any = None
    data: _Subject

    @property
    def name(self) -> str:
        kind = self.type
        if not isinstance(kind, str) or len(kind) > _LONGEST_NAME:
            return _UNNAMED
        return kind if _NAME.fullmatch(kind) else _UNNAMED


def verified(
    event: APIGatewayProxyEvent, *, provider: Provider, secrets: Sequence[bytes], now: datetime
) -> WebhookEvent | None:
    """Read a webhook whose size, signature and age are right, in this order and before anything else.

    Return `None` for one without a usable reference: the provider would retry a refused one, and in the end stop
    sending.

    Raises:
        ProblemError: `body_too_large`, `webhook_signature_invalid`, `webhook_stale` or `malformed_json`.
    """
    body = http.raw_body(event)
    webhook_id = http.header(event, "webhook-id") or ""
    timestamp = http.header(event, "webhook-timestamp") or ""
    signatures = http.header(event, "webhook-signature") or ""
    if not _is_signed(webhook_id, timestamp, body, signatures=signatures, secrets=secrets):
        raise ProblemError("webhook_signature_invalid")
    if abs(now - datetime.fromtimestamp(int(timestamp), now.tzinfo)) > TOLERANCE:
        raise ProblemError("webhook_stale")
    try:
        notice = _Notice.model_validate(_envelope(body))
    except ValidationError:
        return None
    return WebhookEvent(
        provider=provider, webhook_id=webhook_id, type=notice.name, reference=notice.data.reference
    )


class _Members(dict[str, Any]):
    """The members of an object, and the names of those that are repeated."""

    def __init__(self, members: Sequence[tuple[str, Any]]) -> None:
        super().__init__(members)
        counts = Counter(name for name, _ in members) if len(self) != len(members) else {}
        self.repeated = {name for name, count in counts.items() if count > 1}


def _envelope(body: bytes) -> _Members:
    """Read a JSON object that its sender signed. Only a fault in what we read matters.

    Raises:
        ProblemError: `malformed_json`: no JSON object, or a repeated member among those that we read.
    """
    try:
        envelope = json.loads(
            body.decode("utf-8-sig", errors="replace"),
            object_pairs_hook=_Members,
            # No number is read. Thousands of digits are no fault.
            parse_int=_unread,
            parse_float=_unread,
        )
    except (ValueError, RecursionError) as error:
        raise ProblemError("malformed_json") from error
    if not isinstance(envelope, _Members) or envelope.repeated & {"type", "data"}:
        raise ProblemError("malformed_json")
    data = envelope.get("data")
    if isinstance(data, _Members) and "reference" in data.repeated:
        raise ProblemError("malformed_json")
    return envelope


def _unread(_: str) -> None:
    return None


def _is_signed(
    webhook_id: str, timestamp: str, body: bytes, *, signatures: str, secrets: Sequence[bytes]
) -> bool:
    """Accept any signature by any valid secret. Each pair is compared in constant time."""
    bounded = (
        0 < len(webhook_id) <= _LONGEST_ID
        and len(timestamp) <= _LONGEST_TIME
        and len(signatures) <= _LONGEST_SIGNATURES
    )
    if not bounded or not _UNIX_SECONDS.fullmatch(timestamp):
        return False
    content = f"{webhook_id}.{timestamp}.".encode() + body
    expected = [
        base64.b64encode(hmac.digest(secret, content, sha256)).decode() for secret in secrets
    ]
    given = [s.removeprefix(_VERSION) for s in signatures.split(" ") if s.startswith(_VERSION)]
    matches = [hmac.compare_digest(e.encode(), g.encode()) for e in expected for g in given]
    return any(matches)
