"""Every door bounds an input before it does any work on it that may be more than linear.

The meter counts calls, in Python and in C. A call that may take quadratic time is charged the square of the longest
text in the frame that makes it.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from reservations import tracing
from reservations.domain.codes import canonical
from reservations.domain.errors import InvalidReservationCodeError
from reservations.domain.facts import Provider
from reservations.entrypoints import http, webhooks
from reservations.entrypoints.bodies import parse_json, parse_lookup, parse_reservation
from reservations.entrypoints.problems import ProblemError
from tests.worlds.quotes import a_first_use
from tests.worlds.signing import signed_headers

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
SECRET = b"0" * 32
SIZE = 64_000  # bytes
LIMIT = 5 * SIZE
QUADRATIC = {"normalize", "fullmatch", "match", "search", "sub", "findall", "split", "int", "float"}
LINEAR_MODULES = ("json.",)  # its patterns are simple classes

A_BODY: dict[str, Any] = {
    "customer": {"full_name": "Ana", "email": "ana@example.com", "phone": "+34600111222"},
    "offer": {
        "offer_id": "HTL-MAD-001",
        "description": "Hotel Sol",
        "starts_on": "2027-05-01",
        "ends_on": "2027-05-04",
        "guests": 2,
    },
    "price": {"amount": "342.50", "currency": "EUR"},
    "payment_token": "tok_ok",
}
TEXTS = [
    (part, member)
    for part, members in A_BODY.items()
    for member in (members if isinstance(members, dict) else [""])
]
UNITS = {
    "letters": "a",
    "digits": "1",
    "blanks": " ",
    "hyphens": "-",
    "marks": "\u0345\u0327\u0323\u0301",
    "singletons": "\ufa19",
    "umlauts": "ü",
    "wide dots": "é\uff0e",
    "addresses": "a@",
    "dots": "a.",
    "brackets": "+1(",
    "right to left": "\u0627\u0661",
}


class Meter:
    def __init__(self) -> None:
        self.work = 0

    def __call__(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            self.work += 1
        elif event == "c_call":
            self.work += self._charge(frame, called.__name__)

    def _charge(self, frame: FrameType, name: str) -> int:
        module = str(frame.f_globals.get("__name__"))
        if name not in QUADRATIC or module.startswith(LINEAR_MODULES):
            return 1
        texts = [len(each) for each in frame.f_locals.values() if isinstance(each, str)]
        return max(texts, default=1) ** 2


@contextmanager
def measured() -> Iterator[Meter]:
    meter, before = Meter(), sys.getprofile()
    sys.setprofile(meter)
    try:
        yield meter
    finally:
        sys.setprofile(before)


def work_of(act: Callable[[], object]) -> int:
    """Count the work of a call that answers or refuses."""
    with suppress(ProblemError, InvalidReservationCodeError):
        act()  # the first time also imports
    with measured() as meter, suppress(ProblemError, InvalidReservationCodeError):
        act()
    return meter.work


def filled(unit: str) -> str:
    return unit * (SIZE // len(unit.encode()))


def parsed(document: Any) -> dict[str, Any]:
    raw = json.dumps(document, ensure_ascii=False).encode()
    assert len(raw) <= http.MAX_BODY_BYTES
    event = APIGatewayProxyEvent(
        {"headers": {"Content-Type": "application/json"}, "body": raw.decode()}
    )
    return parse_json(http.json_body(event))


def create(document: Any) -> None:
    parse_reservation(parsed(document), context=a_first_use(NOON))


def look_up(document: Any) -> None:
    parse_lookup(parsed(document))


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize(("part", "member"), TEXTS)
def test_a_member_of_the_body_is_bounded_before_it_is_worked_on(
    part: str, member: str, unit: str
) -> None:
    body = deepcopy(A_BODY)
    body[part] = body[part] | {member: filled(unit)} if member else filled(unit)

    assert work_of(lambda: create(body)) < LIMIT


A_LOOKUP = {"reservation_code": "7KQ2M-XD4RT-S", "email": "ana@example.com"}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
@pytest.mark.parametrize("member", A_LOOKUP)
def test_a_member_of_a_lookup_is_bounded_before_it_is_worked_on(member: str, unit: str) -> None:
    assert work_of(lambda: look_up(A_LOOKUP | {member: filled(unit)})) < LIMIT


UNKNOWN = {f"u{number}": 1 for number in range(5_000)}


@pytest.mark.parametrize(
    "document",
    [
        A_BODY | UNKNOWN,
        A_BODY | {"customer": A_BODY["customer"] | UNKNOWN},
        A_BODY | {"offer": [[]] * 15_000},
        A_BODY | {"price": {"amount": [{}] * 15_000, "currency": "EUR"}},
        A_BODY | {"offer": A_BODY["offer"] | {"guests": 10**4_000}},
    ],
    ids=["unknown", "unknown inside", "lists", "objects", "digits"],
)
def test_a_body_of_many_members_costs_less_than_a_call_a_byte(document: Any) -> None:
    assert work_of(lambda: create(document)) < SIZE


@pytest.mark.parametrize(
    "document",
    [A_LOOKUP | UNKNOWN, A_LOOKUP | {"email": [[]] * 15_000}],
    ids=["unknown", "lists"],
)
def test_a_lookup_of_many_members_costs_less_than_a_call_a_byte(document: Any) -> None:
    assert work_of(lambda: look_up(document)) < SIZE


def event_with(**headers: str) -> APIGatewayProxyEvent:
    context = {"identity": {"apiKeyId": "web"}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return APIGatewayProxyEvent({"headers": named, "requestContext": context})


HEADERS: dict[str, Callable[[str], object]] = {
    "Accept-Language": lambda text: http.language(event_with(Accept_Language=text)),
    "Accept": lambda text: http.wants_json(event_with(Accept=text)),
    "Authorization": lambda text: http.reader(event_with(Authorization=text), {"web": "web"}),
    "Idempotency-Key": lambda text: http.idempotency_key(
        event_with(Idempotency_Key=text), public=True
    ),
    "traceparent": tracing.continue_trace,
    "code": canonical,
}
LISTS = ["a", " ", ",", ";", ", ", "; ", '"', '\\"', "en;q=0.5,", "en; q=", ";q=0", "-", "\u0301"]


@pytest.mark.parametrize("unit", LISTS)
@pytest.mark.parametrize("read", HEADERS.values(), ids=HEADERS)
def test_a_header_is_bounded_before_it_is_worked_on(
    read: Callable[[str], object], unit: str
) -> None:
    for beginning in ("", "Bearer ", '"', "application/json;"):
        assert work_of(partial(read, beginning + filled(unit))) < LIMIT


def receive(body: str, *, signed: bool = True, changes: Mapping[str, str] | None = None) -> None:
    own = signed_headers(
        SECRET, webhook_id="msg_1", timestamp=int(NOON.timestamp()), body=body.encode()
    )
    headers = (own if signed else {}) | dict(changes or {})
    event = APIGatewayProxyEvent({"headers": headers, "body": body})
    webhooks.verified(event, provider=Provider.PAYMENTS, secrets=[SECRET] * 2, now=NOON)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("unit", ["a", "1", " ", "v1, ", "v1,v1,"])
def test_a_header_of_a_webhook_is_bounded_before_it_is_worked_on(name: str, unit: str) -> None:
    assert work_of(lambda: receive("{}", changes={name: filled(unit)})) < LIMIT


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"type": filled("a"), "data": {"reference": "r"}}),
        json.dumps({"type": "t", "data": {"reference": filled("r")}}),
        json.dumps({"data": UNKNOWN}),
        "{" + ",".join(['"type":1'] * 7_000) + "}",
        "{" + ",".join(f'"{number}":1,"{number}":1' for number in range(2_500)) + "}",
        "[" * SIZE,
        '{"data":' + filled("9") + "}",
        filled('{"a":'),
        filled("\u0301"),
    ],
    ids=[
        "type",
        "reference",
        "members",
        "repeated",
        "pairs",
        "lists",
        "digits",
        "objects",
        "marks",
    ],
)
@pytest.mark.parametrize("signed", [True, False])
def test_the_body_of_a_webhook_is_bounded_before_it_is_worked_on(body: str, signed: bool) -> None:
    assert work_of(lambda: receive(body, signed=signed)) < LIMIT
