"""HTTP to the provider under test. Every answer is compared with the contract."""

import contextlib
import json
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from tools.conformance.contract import Contract
from tools.conformance.verdicts import BrokenError

_CONNECT_S = 5
ATTEMPTS = 3  # of a request that the provider postpones or fails

Row = dict[str, Any]


class UnreachableError(Exception):
    """No connection. The run ends: it says nothing about promises."""


@cache
def trusted_roots() -> ssl.SSLContext:
    """Return the roots of HTTPS, which take a quarter of a second to read."""
    return httpx.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer. `body` is `None` if it was no JSON, and `no_json` names what it was instead."""

    request: str
    status: int
    headers: Mapping[str, str]
    body: Any
    no_json: str = ""

    @property
    def said(self) -> str:
        """Return the status in a sentence, with the code of an error."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        more = self.no_json and f"with {self.no_json}, no JSON"
        return " ".join(filter(None, (f"{self.request} is answered {self.status}", code, more)))

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def postponed(self) -> bool:
        """The provider promises that nothing was done."""
        return self.status == 429 or (self.status == 503 and "retry-after" in self.headers)

    def row(self, *members: str) -> Row:
        """Return the object of a 2xx.

        Raises:
            BrokenError: any other status, or a member is missing.
        """
        if not self.ok:
            raise BrokenError(self.said)
        body = self.body if isinstance(self.body, dict) else {}
        if missing := [name for name in members if name not in body]:
            raise BrokenError(self.said if self.no_json else f"{self.said} without {missing[0]}")
        return body

    def refused(self, *statuses: int) -> None:
        """
        Raises:
            BrokenError: another status.
        """
        if self.status not in statuses:
            expected = " or ".join(map(str, statuses))
            raise BrokenError(f"{self.said}, not {expected}")


@dataclass(slots=True)
class Api:
    """One provider: its address, our key, and a count of the answers that differ from the contract."""

    contract: Contract
    url: str
    key: str
    timeout_s: float
    patience_s: float
    requests: int = 0
    failures: int = 0  # requests that were repeated after a 429, a 5xx or silence
    deviations: Counter[str] = field(default_factory=Counter)
    _http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.url = self.url.rstrip("/")
        # No kept connection: one that a proxy has closed would look like a silent provider.
        transport = httpx.HTTPTransport(
            verify=trusted_roots(),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        timeout = httpx.Timeout(self.timeout_s, connect=_CONNECT_S)
        self._http = httpx.Client(transport=transport, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        body: Any = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        bearer: str | None = "",
        attempts: int = ATTEMPTS,
    ) -> Answer:
        """Make one request, again while the provider postpones it, fails or is silent, as our client would.

        `bearer` replaces our key; `None` leaves it out.

        Raises:
            BrokenError: no answer came.
            UnreachableError: no connection.
        """
        if body is not None:
            content = json.dumps(body).encode()
        headers = self._headers(key, self.key if bearer == "" else bearer, content)
        request = self._http.build_request(
            method, self.url + path, params=query, content=content, headers=headers
        )
        for _ in range(attempts - 1):
            pause_s: float = 1
            with contextlib.suppress(BrokenError):
                answer = self._exchange(request, path)
                if answer.status != 429 and answer.status < 500:
                    return answer
                pause_s = self._pause_s(answer)
            self.failures += 1
            time.sleep(min(pause_s, self.patience_s))
        return self._exchange(request, path)

    def abandon(self, path: str, *, key: str, body: Any) -> None:
        """Send a POST and hang up before its answer.

        Raises:
            UnreachableError: no connection.
        """
        parts, content = urlsplit(self.url), json.dumps(body).encode()
        host, port, wait_s = parts.hostname or "", parts.port, self.timeout_s
        connection = (
            HTTPSConnection(host, port, timeout=wait_s, context=trusted_roots())
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=wait_s)
        )
        headers = self._headers(key, self.key, content)
        with contextlib.closing(connection):
            try:
                connection.request("POST", parts.path + path, content, headers)
            except OSError as error:
                raise UnreachableError(str(error)) from None

    def _exchange(self, request: httpx.Request, path: str) -> Answer:
        name = f"{request.method} {_shape(path)}"
        self.requests += 1
        try:
            response = self._http.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnreachableError(str(error)) from None
        except httpx.HTTPError as error:
            raise BrokenError(f"{name} gets no answer ({type(error).__name__})") from None
        body, no_json = None, ""
        try:
            body = response.json()
        except ValueError:
            no_json = response.headers.get("content-type", "").partition(";")[0] or "no type"
        answer = Answer(
            request=name,
            status=response.status_code,
            headers=response.headers,
            body=body,
            no_json=no_json,
        )
        self._compare(request.method, path, answer)
        return answer

    def _compare(self, method: str, path: str, answer: Answer) -> None:
        deviation = self.contract.deviation(
            method, path, status=answer.status, headers=answer.headers, body=answer.body
        )
        if deviation:
            self.deviations[f"{answer.request}: {deviation}"] += 1

    def _headers(
        self, key: str | None, bearer: str | None, content: bytes | None
    ) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {bearer}" if bearer is not None else None,
            "Content-Type": "application/json" if content is not None else None,
            "Idempotency-Key": key,
            "User-Agent": "reservations-conformance",
        }
        return {name: value for name, value in headers.items() if value is not None}

    def _pause_s(self, answer: Answer) -> float:
        value = answer.headers.get("retry-after", "")
        return float(value) if value.isascii() and value.isdigit() else 1


def _shape(path: str) -> str:
    """Return a path without the id in it."""
    first, _, rest = path.strip("/").partition("/")
    return f"/{first}" + (f"/…/{rest.rpartition('/')[2]}" if rest else "")
