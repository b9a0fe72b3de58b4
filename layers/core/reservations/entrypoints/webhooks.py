"""Webhooks from providers, signed by Standard Webhooks (https://www.standardwebhooks.com).

The library of that project takes one secret only, and brings five packages for an HMAC.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reservations.application.ports import WebhookEvent
from reservations.domain.facts import Provider
from reservations.entrypoints import http
from reservations.entrypoints.bodies import MAX_BODY_BYTES, parse_json
from reservations.entrypoints.problems import ProblemError

TOLERANCE = timedelta(seconds=300)  # both ways: a clock may run ahead as well as behind
_VERSION = "v1,"
# A type is only logged and stored. No other text of a provider gets there.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_UNNAMED = "unnamed"
_UNIX_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)  # until the year 2286


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
        named = isinstance(self.type, str) and _NAME.fullmatch(self.type)
        return self.type if named else _UNNAMED


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
    if len(body) > MAX_BODY_BYTES:
        raise ProblemError("body_too_large")
    webhook_id = http.header(event, "webhook-id") or ""
    timestamp = http.header(event, "webhook-timestamp") or ""
    signatures = http.header(event, "webhook-signature") or ""
    if not _is_signed(webhook_id, timestamp, body, signatures=signatures, secrets=secrets):
        raise ProblemError("webhook_signature_invalid")
    if abs(now - datetime.fromtimestamp(int(timestamp), now.tzinfo)) > TOLERANCE:
        raise ProblemError("webhook_stale")
    try:
        notice = _Notice.model_validate(parse_json(body))
    except ValidationError:
        return None
    return WebhookEvent(
        provider=provider, webhook_id=webhook_id, type=notice.name, reference=notice.data.reference
    )


def _is_signed(
    webhook_id: str, timestamp: str, body: bytes, *, signatures: str, secrets: Sequence[bytes]
) -> bool:
    """Accept any signature by any valid secret. Each pair is compared in constant time."""
    if not 0 < len(webhook_id) <= 128 or not _UNIX_SECONDS.fullmatch(timestamp):
        return False
    content = f"{webhook_id}.{timestamp}.".encode() + body
    expected = [
        base64.b64encode(hmac.digest(secret, content, sha256)).decode() for secret in secrets
    ]
    given = [s.removeprefix(_VERSION) for s in signatures.split(" ") if s.startswith(_VERSION)]
    matches = [hmac.compare_digest(e.encode(), g.encode()) for e in expected for g in given]
    return any(matches)
