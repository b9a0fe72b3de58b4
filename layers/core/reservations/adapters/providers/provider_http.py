"""HTTP to a provider. Each request ends as surely not sent, answered, or unknown."""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from reservations.adapters.exchange import (
    LOST,
    Answer,
    Deadline,
    HttpWire,
    NotReachedError,
    Request,
    Wire,
)
from reservations.application.ports import Reply
from reservations.config import CONNECT_ATTEMPTS
from reservations.domain.errors import InvalidMoneyError
from reservations.domain.facts import Listing, NoAnswer, NotSent, Outcome, Seen

_BODY_LIMIT = 1024 * 1024  # bytes
_RETRY_AFTER_DIGITS = 9

# Safe in a path, in a header and in our columns.
ProviderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$")]


class Alarm(StrEnum):
    """Faults that need a person, reported beside the outcome."""

    CREDENTIALS = "credentials"
    CONTRACT = "contract"
    FOREIGN_REFERENCE = "foreign_reference"
    PERSONAL_DATA_GONE = "personal_data_gone"


class ProviderAnswer(BaseModel):
    """An answer of the contract. Types are exact, and unknown members are allowed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class _Error(ProviderAnswer):
    code: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,47}$")]  # prose is no code


class _Failure(ProviderAnswer):
    error: _Error


Reading = tuple[Outcome, Alarm | None]
"""The outcome in a 2xx, and the alarm of an optional member that could not be read."""


def listed(rows: Iterable[tuple[Seen, Alarm | None]]) -> Reading:
    """Join the rows of a listing, with the first of their alarms."""
    rows = list(rows)
    alarms = (alarm for _, alarm in rows if alarm)
    return Listing.of(seen for seen, _ in rows), next(alarms, None)


class UnusableAnswerError(Exception):
    """A 2xx whose body cannot be recorded."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(alarm.value)
        self.alarm = alarm


class ProviderHttp:
    """One provider's address, credentials and limits. Built once and reused, safe between threads.

    No connection outlives its request. One kept through a freeze would be dead, and a request sent
    over it would have an unknown outcome.

    Raises:
        ValueError: `base_url` is not an HTTP address.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        connect_seconds: float,
        read_seconds: float,
        now: Callable[[], datetime],
        traceparent: Callable[[], str | None],
        wire: Wire | None = None,
    ) -> None:
        self._wire = wire or HttpWire(base_url, connect_seconds=connect_seconds)
        self._path = urlsplit(base_url).path.rstrip("/")
        self._limit_seconds = CONNECT_ATTEMPTS * connect_seconds + read_seconds
        self._now = now
        self._traceparent = traceparent
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "reservations-api",
        }

    def ask(
        self,
        *,
        method: str,
        path: str,
        read: Callable[[bytes], Reading],
        not_after: datetime,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Make one request. `read` turns the body of a 2xx into its outcome.

        When `read` raises ValidationError, InvalidMoneyError or UnusableAnswerError, the outcome is
        `NoAnswer`, with an alarm.
        """
        if self._now() + timedelta(seconds=self._limit_seconds) > not_after:
            return Reply(outcome=NotSent(), http_status=None, elapsed_ms=0)
        headers = {"Idempotency-Key": key, "traceparent": self._traceparent()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(
            method=method,
            target=f"{self._path}{path}" + (f"?{urlencode(query)}" if query else ""),
            headers=self._headers | {name: value for name, value in headers.items() if value},
            body=None if body is None else _json(body),
        )
        began = time.monotonic()
        reply = self._exchange(request, read)
        return replace(reply, elapsed_ms=round((time.monotonic() - began) * 1000))

    def _exchange(self, request: Request, read: Callable[[bytes], Reading]) -> Reply:
        status = code = None
        deadline = Deadline(self._limit_seconds)
        try:
            with closing(self._send(request, deadline)) as answer:
                status = answer.status
                outcome, alarm = self._judge(answer, read)
                code = None if 200 <= status < 300 else _code_in(answer)
        except NotReachedError:
            outcome, alarm = NotSent(), None
        except LOST:
            outcome, alarm = NoAnswer(), None
        return Reply(outcome=outcome, http_status=status, elapsed_ms=0, alarm=alarm, code=code)

    @retry(
        retry=retry_if_exception_type(NotReachedError),
        stop=stop_after_attempt(CONNECT_ATTEMPTS),
        reraise=True,
    )
    def _send(self, request: Request, deadline: Deadline) -> Answer:
        return self._wire.send(request, deadline)

    def _judge(self, answer: Answer, read: Callable[[bytes], Reading]) -> Reading:
        retry_after_s = self._retry_after_s(answer.header("Retry-After"))
        failure = failure_of(answer.status, retry_after_s)
        if failure is not None:
            return failure
        try:
            return read(_body(answer))
        except UnusableAnswerError as error:
            return NoAnswer(), error.alarm
        except (ValidationError, InvalidMoneyError):
            return NoAnswer(), Alarm.CONTRACT

    def _retry_after_s(self, value: str) -> int | None:
        """Read both forms of RFC 9110, section 10.2.3. Anything else counts as missing."""
        if not value.isascii():
            return None
        if value.isdigit() and len(value) <= _RETRY_AFTER_DIGITS:
            return int(value)
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # the latter for a year beyond a C integer
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0, math.ceil((at - self._now()).total_seconds()))


def failure_of(
    status: int, retry_after_s: int | None
) -> tuple[NotSent | NoAnswer, Alarm | None] | None:
    """Return the outcome of a failed status; `None` for a 2xx, whose body decides.

    Providers decline only in the body of a 2xx, so a 4xx proves nothing but a broken contract.
    """
    unsent, unknown = NotSent(retry_after_s), NoAnswer(retry_after_s)
    match status:
        case 429:
            return unsent, None
        case 503 if retry_after_s is not None:
            return unsent, None
        case 401 | 403:
            return unknown, Alarm.CREDENTIALS
        case 408:
            return unknown, None
        case _ if 300 <= status < 500:
            return unknown, Alarm.CONTRACT
        case _ if 200 <= status < 300:
            return None
    return unknown, None


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _body(answer: Answer) -> bytes:
    body = answer.read(_BODY_LIMIT + 1)
    if len(body) > _BODY_LIMIT:
        raise UnusableAnswerError(Alarm.CONTRACT)
    return body


def _code_in(answer: Answer) -> str | None:
    """Read the provider's word for a refusal. Only evidence: without it, the outcome is the same."""
    try:
        return _Failure.model_validate_json(_body(answer)).error.code
    except (*LOST, UnusableAnswerError, ValidationError):
        return None
