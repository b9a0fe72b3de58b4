"""The traveler's side of the API: requests, and trips that are followed to their end."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any, TypeVar

import httpx

from local.journey import quote_for
from local.paths import STACK_FILE, read_json
from tests.e2e import contract

Json = dict[str, Any]
T = TypeVar("T")

SENT: Json = {}  # personal data and secrets of the accepted requests of this session
TOLD: list[str] = []  # bodies of the problems that this session received

PATIENCE_SECONDS = 150  # trips take a third of it; a saturated machine must not fail for that
_PAUSES_SECONDS = (0.1, 0.2, 0.3, 0.5, 1.0)  # the last for ever: each look costs a function call
_AT_REST = {"CONFIRMADA", "CANCELADA", "RECHAZADA", "EXPIRADA"}


def eventually(look: Callable[[], T | None], *, of: str, until: float | None = None) -> T:
    """Call `look` until it returns something true, at least once even after `until`.

    Raises:
        AssertionError: nothing came until `until`, in monotonic seconds.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS if until is None else until
    pauses = chain(_PAUSES_SECONDS, repeat(_PAUSES_SECONDS[-1]))
    while not (seen := look()):
        assert time.monotonic() < deadline, f"nothing came of {of}"
        time.sleep(next(pauses))
    return seen


def api_client(stack: Json, name: str) -> httpx.Client:
    """One of the two clients of the API. Each answer is checked against the contract."""
    return httpx.Client(
        base_url=stack["api_url"],
        headers={"x-api-key": stack["api_keys"][name]},
        timeout=120,  # fifty cold starts at once on a small machine
        event_hooks={"response": [contract.judge, remember]},
    )


def remember(response: httpx.Response) -> None:
    """Keep personal data and secrets of an accepted request, and each problem, for the search after all tests."""
    if response.is_error:
        TOLD.append(response.text)
    if response.request.method != "POST" or response.status_code != httpx.codes.ACCEPTED:
        return
    if not response.request.url.path.endswith("/reservations"):
        return
    asked, created = json.loads(response.request.content), response.json()
    values = asked["customer"] | {"payment_token": asked["payment_token"]}
    values |= {
        "access_token": created["access_token"],
        "api_key": response.request.headers["x-api-key"],
    }
    SENT.update({f"{name} {value}": value for name, value in values.items() if value})


def a_request(*, payment_token: str = "tok_ok", **parts: Json) -> Json:
    """A body for POST /v1/reservations. `customer`, `offer` and `price` override single members."""
    starts_on = datetime.now(UTC).date() + timedelta(days=60)
    customer = {
        "full_name": "Ana Pérez",
        "email": f"ana.{uuid.uuid4().hex}@example.com",  # unique, so that its mails can be found
        "phone": "+34600111222",
    }
    offer = {
        "offer_id": "HTL-MAD-001",
        "description": "Hotel Sol, doble",
        "starts_on": starts_on.isoformat(),
        "ends_on": (starts_on + timedelta(days=3)).isoformat(),
        "guests": 2,
    }
    price = {"amount": "342.50", "currency": "EUR"}
    return {
        "customer": customer | parts.get("customer", {}),
        "offer": offer | parts.get("offer", {}),
        "price": price | parts.get("price", {}),
        "payment_token": f"{payment_token}-{uuid.uuid4().hex}",
    }


def quoted(api: httpx.Client, request: Json, *, stack: Json | None = None) -> Json:
    """Add a quote to a request of the client that needs one. `stack` is the file's, read before it is healed."""
    stack = stack or read_json(STACK_FILE)
    if "quote" in request or api.headers["x-api-key"] != stack["api_keys"]["web"]:
        return request
    sale = {"offer": request["offer"], "price": request["price"]}
    return request | {"quote": quote_for(stack["offers_url"], **sale)}


def new_key() -> str:
    return str(uuid.uuid4())


def post(
    api: httpx.Client, request: Json, *, key: str | None = None, **headers: str
) -> httpx.Response:
    """Request a reservation. A keyword such as `accept_language` is a header."""
    return api.post(
        "/v1/reservations",
        json=quoted(api, request),
        headers={"Idempotency-Key": key or new_key(), **_named(headers)},
    )


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """An accepted reservation, with its code and token, as its traveler has it."""

    api: httpx.Client
    request: Json
    created: Json
    began: float = field(default_factory=time.monotonic)

    @property
    def code(self) -> str:
        return str(self.created["reservation_code"])

    @property
    def email(self) -> str:
        return str(self.request["customer"]["email"])

    @property
    def bearer(self) -> str:
        return f"Bearer {self.created['access_token']}"

    def get(self, part: str = "", **headers: str) -> httpx.Response:
        return self.api.get(
            f"/v1/reservations/{self.code}{part}",
            headers={"Authorization": self.bearer, **_named(headers)},
        )

    def read(self) -> Json:
        answer = self.get()
        assert answer.status_code == httpx.codes.OK, answer.text
        reading: Json = answer.json()
        return reading

    def ended(self, status: str) -> Json:
        """Wait until the trip rests in this status. Fail on another one, or after PATIENCE_SECONDS."""
        return eventually(
            lambda: self._at_rest(status),
            of=f"{self.code} on its way to {status}",
            until=self.began + PATIENCE_SECONDS,
        )

    def _at_rest(self, expected: str) -> Json | None:
        answer = self.get()
        reading: Json = answer.json()
        if reading["status"] in _AT_REST:
            assert reading["status"] == expected, reading
        elif reading["status"] != "EN PROCESO":
            raise AssertionError(reading)
        return None if "Retry-After" in answer.headers else reading

    def documented(self) -> Json:
        """Wait for the voucher."""
        return eventually(
            lambda: reading if (reading := self.read())["documents"] else None,
            of=f"the voucher of {self.code}",
        )

    def events(self, *, language: str = "es") -> list[Json]:
        answer = self.get("/timeline", accept_language=language)
        assert answer.headers["Content-Language"] == language
        events: list[Json] = answer.json()["events"]
        return events


def depart(api: httpx.Client, request: Json, **headers: str) -> Trip:
    """Make a reservation that must be accepted."""
    answer = post(api, request, **headers)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return Trip(api=api, request=request, created=answer.json())


def cancel(trip: Trip, *, key: str | None = None, bearer: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key or new_key(), "Authorization": bearer or trip.bearer}
    return trip.api.post(f"/v1/reservations/{trip.code}/cancel", headers=headers)
