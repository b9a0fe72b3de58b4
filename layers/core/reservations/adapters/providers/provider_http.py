"""HTTP to a provider. Each request ends as surely not sent, answered, or unknown."""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Annotated, Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from reservations.application.ports import Reply
from reservations.config import CONNECT_ATTEMPTS
from reservations.domain.errors import InvalidMoneyError
from reservations.domain.facts import Listing, NoAnswer, NotSent, Outcome, Seen

_BODY_LIMIT = 1024 * 1024  # bytes
_CONNECT_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout)
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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if httpx.URL(base_url).scheme not in ("http", "https"):
            raise ValueError("a provider's address begins with http:// or https://")
        self._base_url = base_url.rstrip("/")
        self._limit_seconds = CONNECT_ATTEMPTS * connect_seconds + read_seconds
        self._now = now
        self._traceparent = traceparent
        self._client = httpx.Client(
            headers={
                "Authorization": f"Bearer {api_key}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Connection": "close",
                "User-Agent": "reservations-api",
            },
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            follow_redirects=False,
            trust_env=False,
            event_hooks={"response": [_forget_location]},
            transport=transport or direct_transport(),
        )

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
        request = self._client.build_request(
            method, self._base_url + path, params=query, json=body, headers=self._headers(key)
        )
        began = time.monotonic()
        reply = self._exchange(request, read)
        return replace(reply, elapsed_ms=round((time.monotonic() - began) * 1000))

    def _headers(self, key: str | None) -> dict[str, str]:
        headers = {"Idempotency-Key": key, "traceparent": self._traceparent()}
        return {name: value for name, value in headers.items() if value}

    def _exchange(self, request: httpx.Request, read: Callable[[bytes], Reading]) -> Reply:
        status = code = None
        with _Deadline(self._limit_seconds) as deadline:
            request.extensions["trace"] = deadline.trace
            try:
                with closing(self._send(request)) as response:
                    status = response.status_code
                    outcome, alarm = self._judge(response, read)
                    code = None if response.is_success else _code_in(response)
            except (*_CONNECT_ERRORS, httpx.PoolTimeout):
                outcome, alarm = NotSent(), None
            except httpx.HTTPError:
                outcome, alarm = NoAnswer(), None
        return Reply(outcome=outcome, http_status=status, elapsed_ms=0, alarm=alarm, code=code)

    @retry(
        retry=retry_if_exception_type(_CONNECT_ERRORS),
        stop=stop_after_attempt(CONNECT_ATTEMPTS),
        reraise=True,
    )
    def _send(self, request: httpx.Request) -> httpx.Response:
        return self._client.send(request, stream=True)

    def _judge(self, response: httpx.Response, read: Callable[[bytes], Reading]) -> Reading:
        retry_after_s = self._retry_after_s(response.headers.get("Retry-After", ""))
        failure = failure_of(response.status_code, retry_after_s)
        if failure is not None:
            return failure
        try:
            return read(_body(response))
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


def direct_transport() -> httpx.HTTPTransport:
    """No proxy, no kept connection."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.HTTPTransport(trust_env=False, limits=limits)


def _forget_location(response: httpx.Response) -> None:
    """Hide a redirect's target from httpx, which would parse it unasked and raise for a malformed URL."""
    response.headers.pop("Location", None)


def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise UnusableAnswerError(Alarm.CONTRACT)
    return bytes(body)


def _code_in(response: httpx.Response) -> str | None:
    """Read the provider's word for a refusal. Only evidence: without it, the outcome is the same."""
    try:
        return _Failure.model_validate_json(_body(response)).error.code
    except (httpx.HTTPError, UnusableAnswerError, ValidationError):
        return None


class _Deadline:
    """Cuts an exchange that lasts too long: httpx limits each wait, not their sum."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._connection: socket.socket | None = None
        self._over = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, facts: Mapping[str, Any]) -> None:
        """Learn from httpcore's trace events which socket to cut."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._connection = facts["return_value"].get_extra_info("socket")
            if self._over:
                self._cut()

    def _cut(self) -> None:
        self._over = True
        if self._connection is not None:
            with suppress(OSError):
                # The plain method: that of SSLSocket would drop the session while it is being read.
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
