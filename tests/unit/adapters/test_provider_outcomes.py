"""The outcome of each answer of a provider, and of its silence."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.provider_http import ProviderHttp
from reservations.adapters.providers.supplier_api import HttpSupplierApi
from reservations.application.ports import PaymentRequest, Reply, SupplierRequest
from reservations.domain.actions import Inquire, Send, Void
from reservations.domain.facts import (
    Dispute,
    DisputeStatus,
    Listing,
    NoAnswer,
    NotSent,
    Operation,
    Outcome,
    Seen,
    Status,
)
from reservations.domain.money import Money
from tests.worlds.builders import an_offer, row_of
from tests.worlds.wire import OverHttpx

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
REFERENCE = UUID("0195a0b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b")
PRICE = Money(34250, "EUR")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CHARGE = PaymentRequest(
    action=Send(operation=Operation.CHARGE, key=f"charge:{REFERENCE}", money=PRICE),
    reference=REFERENCE,
    money=PRICE,
    payment_token="tok_canary",
    not_after=NOON + timedelta(minutes=2),
)
PENDING = replace(row_of(CHARGE.action), provider_id="pay_1")
VOID = replace(CHARGE, action=Void(PENDING), payment_token=None)
REFUND = replace(
    VOID,
    action=Send(operation=Operation.REFUND, key="refund:pay_1", target="pay_1", money=PRICE),
)
BOOK = SupplierRequest(
    action=Send(operation=Operation.BOOK, key=f"book:{REFERENCE}"),
    reference=REFERENCE,
    offer=an_offer(),
    lead_guest="Ana Canary",
    not_after=NOON + timedelta(minutes=2),
)
CANCEL = replace(
    BOOK,
    action=Send(operation=Operation.CANCEL_BOOKING, key="cancel:bkg_1", target="bkg_1"),
)
ASK_FOR_CHARGE = replace(CHARGE, action=Inquire(row_of(CHARGE.action)))
ASK_FOR_REFUND = replace(REFUND, action=Inquire(row_of(REFUND.action)))
ASK_FOR_BOOKING = replace(BOOK, action=Inquire(row_of(BOOK.action)))
ASK_FOR_CANCELLATION = replace(CANCEL, action=Inquire(row_of(CANCEL.action)))

Answer = Callable[[httpx.Request], httpx.Response]


def provider(
    answer: Answer | None = None,
    *,
    base_url: str = "http://provider.example/api/",
    connect_seconds: float = 2,
    read_seconds: float = 10,
) -> ProviderHttp:
    return ProviderHttp(
        base_url=base_url,
        api_key="key-canary",
        connect_seconds=connect_seconds,
        read_seconds=read_seconds,
        now=lambda: NOON,
        traceparent=lambda: TRACEPARENT,
        wire=OverHttpx(httpx.MockTransport(answer), url=base_url) if answer else None,
    )


def charge(answer: Answer) -> Reply:
    return HttpPaymentsApi(provider(answer)).perform(CHARGE)


def rows(reply: Reply) -> tuple[Seen, ...]:
    assert isinstance(reply.outcome, Listing)
    return reply.outcome.seen


def a_payment(**changes: Any) -> dict[str, Any]:
    payment = {
        "payment_id": "pay_1",
        "status": "succeeded",
        "amount": "342.50",
        "currency": "EUR",
        "reference": str(REFERENCE),
        "refunded_amount": "0.00",
    }
    return payment | changes


def a_booking(**changes: Any) -> dict[str, Any]:
    booking = {
        "booking_id": "bkg_1",
        "locator": "LOC1",
        "status": "confirmed",
        "reference": str(REFERENCE),
    }
    return booking | changes


@pytest.mark.parametrize(
    ("status", "retry_after", "outcome", "alarm"),
    [
        (300, None, NoAnswer(), "contract"),
        (302, None, NoAnswer(), "contract"),
        (304, None, NoAnswer(), "contract"),
        (400, None, NoAnswer(), "contract"),
        (401, None, NoAnswer(), "credentials"),
        (402, None, NoAnswer(), "contract"),
        (403, None, NoAnswer(), "credentials"),
        (404, None, NoAnswer(), "contract"),
        (408, None, NoAnswer(), None),
        (409, None, NoAnswer(), "contract"),
        (422, None, NoAnswer(), "contract"),
        (429, None, NotSent(), None),
        (429, "7", NotSent(7), None),
        (429, "soon", NotSent(), None),
        (500, None, NoAnswer(), None),
        (500, "7", NoAnswer(7), None),
        (502, None, NoAnswer(), None),
        (503, None, NoAnswer(), None),
        (503, "", NoAnswer(), None),
        (503, "soon", NoAnswer(), None),
        (503, "-1", NoAnswer(), None),
        (503, "1.5", NoAnswer(), None),
        (503, "9" * 40, NoAnswer(), None),
        (503, "0", NotSent(0), None),
        (503, "120", NotSent(120), None),
        (503, "Mon, 01 Mar 2027 12:00:30 GMT", NotSent(30), None),
        (503, "Mon, 01 Mar 2027 11:00:00 GMT", NotSent(0), None),
        (504, None, NoAnswer(), None),
    ],
)
def test_the_outcome_of_each_http_status(
    status: int, retry_after: str | None, outcome: Outcome, alarm: str | None
) -> None:
    headers = {} if retry_after is None else {"Retry-After": retry_after}

    # A body that would be a success proves that only a 2xx is read.
    reply = charge(lambda _: httpx.Response(status, headers=headers, json=a_payment()))

    assert (reply.outcome, reply.http_status, reply.alarm) == (outcome, status, alarm)


HUGE = "9" * 5000  # Python refuses integers of more than 4,300 digits


@pytest.mark.parametrize(
    "value",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        f"Mon, 01 Jan {HUGE} 00:00:00 GMT",
        "Mon, 99999999999999999999 Jan 2027 00:00:00 GMT",
        "Mon, 01 Mar 2027 99999999999:00:00 GMT",
        "Mon, 01 Mar 2027 24:00:00 GMT",
        "Mon, 01 Mar 2027 12:00:30 +99999999999999999999",
        "Mon, 01 Mar 2027 12:00:30 -9999",
        "Mon, 01 Mar -2027 12:00:30 GMT",
        "Mon, 01 Mar ٢٠٢٧ 12:00:30 GMT",
        "Mon,",
        "(",
        "-7",
        "+7",
        "٧",
        "７",
        "²",
        "7, 8",
        "7e1",
        "7_0",
        "inf",
        "\x00",
        HUGE,
    ],
)
@pytest.mark.parametrize(("status", "outcome"), [(429, NotSent()), (503, NoAnswer())])
def test_an_unreadable_retry_after_is_ignored(status: int, outcome: Outcome, value: str) -> None:
    headers = [(b"Retry-After", value.encode())]

    reply = charge(lambda _: httpx.Response(status, headers=headers))

    assert (reply.outcome, reply.alarm) == (outcome, None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"error": {"code": "refund_too_large", "message": "no"}}', "refund_too_large"),
        ('{"error": {"code": "Ana Garcia, 612"}}', None),
        ('{"error": {"code": "' + "x" * 49 + '"}}', None),
        ('{"error": "refund_too_large"}', None),
        ("<html>", None),
    ],
)
@pytest.mark.parametrize(
    ("status", "outcome"), [(422, NoAnswer()), (429, NotSent()), (500, NoAnswer())]
)
def test_the_providers_word_for_a_refusal_is_evidence_and_decides_nothing(
    status: int, outcome: Outcome, body: str, code: str | None
) -> None:
    reply = charge(lambda _: httpx.Response(status, text=body))

    assert (reply.outcome, reply.code) == (outcome, code)


class BrokenStream(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b'{"error": {"code": "'
        raise httpx.ReadError("the connection is gone")


def test_a_refusal_whose_body_breaks_off_is_still_a_refusal() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, stream=BrokenStream())

    reply = charge(broken)

    assert (reply.outcome, reply.http_status, reply.code) == (NotSent(), 429, None)


@settings(deadline=None)
@given(value=st.text('0123456789:,;+-()" GMTJanMo٣', max_size=40) | st.text(max_size=40))
def test_no_retry_after_raises_an_error(value: str) -> None:
    headers = [(b"Retry-After", value.encode(errors="surrogatepass"))]

    reply = charge(lambda _: httpx.Response(429, headers=headers))

    assert isinstance(reply.outcome, NotSent)


@pytest.mark.parametrize(
    "value",
    [
        "http:x",
        "mailto:us",
        "http://[::1",
        "http://a:b",
        "http://a:999999999",
        "http://xn--a",
        "http://℀",
        "/" * 70_000,
        "\x00",
        "",
        "/elsewhere",
    ],
)
def test_the_location_of_a_redirect_is_not_parsed(value: str) -> None:
    headers = [(b"Location", value.encode())]

    reply = charge(lambda _: httpx.Response(302, headers=headers))

    assert (reply.outcome, reply.http_status, reply.alarm) == (NoAnswer(), 302, "contract")


@pytest.mark.parametrize(
    "headers",
    [
        {"Set-Cookie": "a=b; expires=Mon, 01 Jan 99999999999 00:00:00 GMT"},
        {"Set-Cookie": f"a=b; max-age={HUGE}; version={HUGE}"},
        {"Content-Type": "application/json; charset=none"},
        {"Content-Length": HUGE},
        {"Content-Encoding": "none"},
    ],
    ids=str,
)
def test_unused_headers_change_nothing(headers: dict[str, str]) -> None:
    reply = charge(lambda _: httpx.Response(201, headers=headers, json=a_payment()))

    assert isinstance(reply.outcome, Seen)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (httpx.ConnectError, NotSent()),
        (httpx.ConnectTimeout, NotSent()),
        (httpx.PoolTimeout, NotSent()),
        (httpx.WriteTimeout, NoAnswer()),
        (httpx.WriteError, NoAnswer()),
        (httpx.ReadTimeout, NoAnswer()),
        (httpx.ReadError, NoAnswer()),
        (httpx.RemoteProtocolError, NoAnswer()),
        (httpx.DecodingError, NoAnswer()),
    ],
)
def test_the_outcome_of_each_connection_failure(
    error: type[httpx.RequestError], outcome: Outcome
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("canary", request=request)

    reply = charge(fail)

    assert (reply.outcome, reply.http_status, reply.alarm) == (outcome, None, None)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_2xx_is_read(status: int) -> None:
    reply = charge(lambda _: httpx.Response(status, json=a_payment()))

    expected = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE, refunded_minor=0)
    assert (reply.outcome, reply.http_status, reply.alarm) == (expected, status, None)


@pytest.mark.parametrize(
    ("body", "alarm"),
    [
        (a_payment(reference="0195a0b0-1c2d-7e3f-8a4b-000000000000"), "foreign_reference"),
        (a_payment(reference=None), "contract"),
        (a_payment(status="processing"), "contract"),
        (a_payment(amount="342.5"), "contract"),
        (a_payment(amount="342,50"), "contract"),
        (a_payment(amount=342.5), "contract"),
        (a_payment(amount="-342.50"), "contract"),
        (a_payment(amount="٣٤٢.٥٠"), "contract"),
        (a_payment(amount="9" * 5000 + ".00"), "contract"),
        (a_payment(amount="1." + "0" * 5000), "contract"),
        (a_payment(currency="EURO"), "contract"),
        (a_payment(currency="XXX"), "contract"),
        (a_payment(payment_id=""), "contract"),
        (a_payment(payment_id=17), "contract"),
        (a_payment(payment_id="pay/../1"), "contract"),
        (a_payment(payment_id="pay\r\n1"), "contract"),
        (a_payment(payment_id="p" * 129), "contract"),
        (a_payment(payment_id="pay_١"), "contract"),
        (a_payment(refunded_amount=None), "contract"),
        (a_payment(refunded_amount="0,00"), "contract"),
        (a_payment(refunded_amount="1.5"), "contract"),
        (a_payment(refunded_amount=0), "contract"),
        ({}, "contract"),
        ([a_payment()], "contract"),
        ("succeeded", "contract"),
    ],
)
def test_an_invalid_2xx_is_no_answer_and_an_alarm(body: object, alarm: str) -> None:
    reply = charge(lambda _: httpx.Response(201, json=body))

    assert (reply.outcome, reply.http_status, reply.alarm) == (NoAnswer(), 201, alarm)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b'{"payment_id":',
        b"\xff\xfe",
        b"[" * 9000,
        b"9" * 9000,
        rb'{"payment_id": "\ud800"}',
    ],
)
def test_a_2xx_that_is_not_json_is_no_answer_and_an_alarm(content: bytes) -> None:
    reply = charge(lambda _: httpx.Response(200, content=content))

    assert (reply.outcome, reply.alarm) == (NoAnswer(), "contract")


def test_a_wrong_amount_is_reported_as_seen() -> None:
    reply = charge(lambda _: httpx.Response(201, json=a_payment(amount="900", currency="JPY")))

    assert reply.outcome == Seen(
        provider_id="pay_1", status=Status.SUCCEEDED, money=Money(900, "JPY"), refunded_minor=0
    )


@pytest.mark.parametrize(
    ("amount", "refunded"),
    [("0.00", 0), ("0", 0), ("0.01", 1), ("342.50", PRICE.minor)],
)
def test_the_refunded_part_of_a_payment_is_read(amount: str, refunded: int) -> None:
    listing = {"payments": [a_payment(refunded_amount=amount)]}
    api = HttpPaymentsApi(provider(lambda _: httpx.Response(200, json=listing)))

    [seen] = rows(api.perform(ASK_FOR_CHARGE))

    assert seen.refunded_minor == refunded


@pytest.mark.parametrize(
    ("told", "dispute", "alarm"),
    [
        (None, None, None),
        ({"status": "open", "amount": "342.50"}, Dispute(DisputeStatus.OPEN, PRICE), None),
        ({"status": "lost", "amount": "60.00", "by": "a bank"},
         Dispute(DisputeStatus.LOST, Money(6000, "EUR")), None),
        ({"status": "won", "amount": "342.50"}, Dispute(DisputeStatus.WON, PRICE), None),
        # Unreadable: it may be an open one, so no refund leaves beside it, and an alarm rings.
        ({"status": "needs_response", "amount": "342.50"}, Dispute(DisputeStatus.OPEN, PRICE), "contract"),
        ({"status": "won", "amount": "342,50"}, Dispute(DisputeStatus.OPEN, PRICE), "contract"),
        ({"status": "won", "amount": "0.00"}, Dispute(DisputeStatus.OPEN, PRICE), "contract"),
        ({"status": "won"}, Dispute(DisputeStatus.OPEN, PRICE), "contract"),
        ({}, Dispute(DisputeStatus.OPEN, PRICE), "contract"),
        ([], Dispute(DisputeStatus.OPEN, PRICE), "contract"),
        (False, Dispute(DisputeStatus.OPEN, PRICE), "contract"),
        ("none", Dispute(DisputeStatus.OPEN, PRICE), "contract"),
    ],
)  # fmt: skip
def test_a_dispute_is_read_and_an_unreadable_one_counts_as_open(
    told: object, dispute: Dispute | None, alarm: str | None
) -> None:
    payment = a_payment(dispute=told)
    api = HttpPaymentsApi(provider(lambda _: httpx.Response(201, json=payment)))
    listing = {"payments": [a_payment(payment_id="pay_0"), payment]}
    listed = HttpPaymentsApi(provider(lambda _: httpx.Response(200, json=listing)))

    answers = [api.perform(CHARGE), api.perform(VOID)]
    inquiry = listed.perform(ASK_FOR_CHARGE)

    expected = Seen(
        provider_id="pay_1",
        status=Status.SUCCEEDED,
        money=PRICE,
        refunded_minor=0,
        dispute=dispute,
    )
    assert [(reply.outcome, reply.alarm) for reply in answers] == [(expected, alarm)] * 2
    assert (rows(inquiry)[1], inquiry.alarm) == (expected, alarm)
    assert rows(inquiry)[0].dispute is None


AS_ASKED = {
    "starts_on": BOOK.offer.starts_on.isoformat(),
    "ends_on": BOOK.offer.ends_on.isoformat(),
}
A_PRICE = {"amount": "342.50", "currency": "EUR"}
OTHER_END, NO_PRICE = "other dates 2027-05-01/2030-01-01", "unreadable price"


@pytest.mark.parametrize(
    ("told", "terms", "price", "alarm"),
    [
        ({}, None, None, None),
        (AS_ASKED, None, None, None),
        ({"starts_on": None, "ends_on": None, "price": None}, None, None, None),
        ({**AS_ASKED, "price": A_PRICE}, None, PRICE, None),
        ({"price": {"amount": "900", "currency": "JPY"}}, None, Money(900, "JPY"), None),
        ({**AS_ASKED, "starts_on": "2027-04-30"}, "other dates 2027-04-30/2027-05-04", None, None),
        ({"ends_on": "2030-01-01", "price": A_PRICE}, OTHER_END, PRICE, None),
        # Unreadable terms are not what we asked for, and an alarm rings.
        ({**AS_ASKED, "starts_on": "01/05/2027"}, "unreadable dates", None, "contract"),
        ({"ends_on": 20270501, "price": A_PRICE}, "unreadable dates", PRICE, "contract"),
        ({"price": {"amount": "342.5", "currency": "EUR"}}, NO_PRICE, None, "contract"),
        ({"price": {"amount": "342.50", "currency": "EURO"}}, NO_PRICE, None, "contract"),
        ({**AS_ASKED, "price": "342.50 EUR"}, NO_PRICE, None, "contract"),
        ({**AS_ASKED, "price": {}}, NO_PRICE, None, "contract"),
        ({"ends_on": "2030-01-01", "price": {}}, f"{OTHER_END}, {NO_PRICE}", None, "contract"),
        ({"ends_on": "", "price": {}}, f"unreadable dates, {NO_PRICE}", None, "contract"),
    ],
    ids=str,
)
def test_the_terms_of_a_booking_are_compared_with_ours(
    told: dict[str, Any], terms: str | None, price: Money | None, alarm: str | None
) -> None:
    booking = a_booking(**told)
    api = HttpSupplierApi(provider(lambda _: httpx.Response(201, json=booking)))
    listing = {"bookings": [booking]}
    listed = HttpSupplierApi(provider(lambda _: httpx.Response(200, json=listing)))

    answer, inquiry = api.perform(BOOK), listed.perform(ASK_FOR_BOOKING)

    expected = Seen(
        provider_id="bkg_1", status=Status.SUCCEEDED, money=price, locator="LOC1", other_terms=terms
    )
    assert (answer.outcome, answer.alarm) == (expected, alarm)
    assert (rows(inquiry), inquiry.alarm) == ((expected,), alarm)


def test_a_cancellation_does_not_depend_on_the_terms() -> None:
    booking = a_booking(status="cancelled", starts_on="soon", price=[])
    api = HttpSupplierApi(provider(lambda _: httpx.Response(200, json=booking)))

    reply = api.perform(CANCEL)

    ended = Seen(provider_id="bkg_1", status=Status.SUCCEEDED)
    assert (reply.outcome, reply.alarm) == (ended, None)


def test_ids_that_differ_by_case_are_two() -> None:
    payments = {"payments": [a_payment(), a_payment(payment_id="PAY_1")]}
    api = HttpPaymentsApi(provider(lambda _: httpx.Response(200, json=payments)))

    assert [seen.provider_id for seen in rows(api.perform(ASK_FOR_CHARGE))] == ["pay_1", "PAY_1"]


def test_unknown_members_are_ignored() -> None:
    reply = charge(lambda _: httpx.Response(201, json=a_payment(mood="sunny")))

    assert isinstance(reply.outcome, Seen)


@pytest.mark.parametrize(("padding", "taken"), [(0, True), (1, False)])
def test_an_answer_is_read_up_to_a_mebibyte(padding: int, taken: bool) -> None:
    body = httpx.Response(201, json=a_payment()).content

    reply = charge(lambda _: httpx.Response(201, content=body.ljust(1024 * 1024 + padding, b" ")))

    assert isinstance(reply.outcome, Seen) is taken
    assert reply.alarm == (None if taken else "contract")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", Status.SUCCEEDED),
        ("declined", Status.DECLINED),
        ("pending", Status.PENDING),
        ("voided", Status.VOIDED),
    ],
)
def test_the_reading_of_each_payment_status(status: str, expected: Status) -> None:
    reply = charge(lambda _: httpx.Response(201, json=a_payment(status=status)))

    assert isinstance(reply.outcome, Seen)
    assert reply.outcome.status is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", Status.SUCCEEDED),
        ("pending", Status.PENDING),
        ("rejected", Status.DECLINED),
    ],
)
def test_the_reading_of_each_refund_status(status: str, expected: Status) -> None:
    refund = {"refund_id": "ref_1", "status": status, "amount": "100.00", "currency": "EUR"}
    api = HttpPaymentsApi(provider(lambda _: httpx.Response(201, json=refund)))
    listing = HttpPaymentsApi(provider(lambda _: httpx.Response(200, json={"refunds": [refund]})))

    answer = api.perform(REFUND)
    inquiry = listing.perform(ASK_FOR_REFUND)

    seen = Seen(provider_id="ref_1", status=expected, money=Money(10000, "EUR"))
    assert answer.outcome == seen
    assert inquiry.outcome == Listing((seen,))


@pytest.mark.parametrize(
    ("status", "booking", "cancellation"),
    [
        ("confirmed", Status.SUCCEEDED, Status.DECLINED),
        ("pending", Status.PENDING, Status.PENDING),
        ("rejected", Status.DECLINED, Status.SUCCEEDED),
        ("cancelled", Status.CANCELLED, Status.SUCCEEDED),
    ],
)
def test_the_reading_of_each_booking_status(
    status: str, booking: Status, cancellation: Status
) -> None:
    answer = a_booking(status=status)
    api = HttpSupplierApi(provider(lambda _: httpx.Response(200, json=answer)))

    booked, cancelled = api.perform(BOOK), api.perform(CANCEL)

    assert booked.outcome == Seen(provider_id="bkg_1", status=booking, locator="LOC1")
    assert cancelled.outcome == Seen(provider_id="bkg_1", status=cancellation)


def test_a_confirmed_booking_without_a_locator_uses_its_id() -> None:
    api = HttpSupplierApi(provider(lambda _: httpx.Response(201, json=a_booking(locator=None))))

    reply = api.perform(BOOK)

    assert reply.outcome == Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="bkg_1")


def test_one_foreign_reference_invalidates_a_listing() -> None:
    payments = {"payments": [a_payment(), a_payment(payment_id="pay_2", reference="theirs")]}
    bookings = {"bookings": [a_booking(), a_booking(booking_id="bkg_2", reference="theirs")]}
    payments_api = HttpPaymentsApi(provider(lambda _: httpx.Response(200, json=payments)))
    supplier_api = HttpSupplierApi(provider(lambda _: httpx.Response(200, json=bookings)))

    paid = payments_api.perform(ASK_FOR_CHARGE)
    booked = supplier_api.perform(ASK_FOR_BOOKING)

    assert (paid.outcome, paid.alarm) == (NoAnswer(), "foreign_reference")
    assert (booked.outcome, booked.alarm) == (NoAnswer(), "foreign_reference")


def test_an_answer_about_another_payment_or_booking_is_no_answer() -> None:
    payment, booking = a_payment(payment_id="pay_2"), a_booking(booking_id="bkg_2")
    payments_api = HttpPaymentsApi(provider(lambda _: httpx.Response(200, json=payment)))
    supplier_api = HttpSupplierApi(provider(lambda _: httpx.Response(200, json=booking)))

    voided, cancelled = payments_api.perform(VOID), supplier_api.perform(CANCEL)

    assert (voided.outcome, voided.alarm) == (NoAnswer(), "contract")
    assert (cancelled.outcome, cancelled.alarm) == (NoAnswer(), "contract")


@pytest.mark.parametrize(
    ("request_", "method", "path", "key"),
    [
        (CHARGE, "POST", "/api/payments", CHARGE.action.key),
        (VOID, "POST", "/api/payments/pay_1/void", None),
        (REFUND, "POST", "/api/payments/pay_1/refunds", "refund:pay_1"),
        (ASK_FOR_REFUND, "GET", "/api/payments/pay_1/refunds", None),
        (
            ASK_FOR_CHARGE,
            "GET",
            f"/api/payments?reference={REFERENCE}",
            None,
        ),
        (BOOK, "POST", "/api/bookings", BOOK.action.key),
        (CANCEL, "POST", "/api/bookings/bkg_1/cancel", CANCEL.action.key),
        (ASK_FOR_CANCELLATION, "GET", f"/api/bookings?reference={REFERENCE}", None),
    ],
)
def test_the_http_request_of_each_verb(
    request_: PaymentRequest | SupplierRequest, method: str, path: str, key: str | None
) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(500)

    if isinstance(request_, PaymentRequest):
        HttpPaymentsApi(provider(answer)).perform(request_)
    else:
        HttpSupplierApi(provider(answer)).perform(request_)

    [request] = sent
    assert (request.method, request.url.raw_path.decode()) == (method, path)
    assert request.headers["Authorization"] == "Bearer key-canary"
    assert request.headers["traceparent"] == TRACEPARENT
    assert request.headers.get("Idempotency-Key") == key


@pytest.mark.parametrize(
    ("seconds_left", "sent"),
    [(14, True), (13.9, False)],  # two connections of 2 s and an answer of 10 s
)
def test_a_request_that_could_end_too_late_is_not_sent(seconds_left: float, sent: bool) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(201, json=a_payment())

    late = replace(CHARGE, not_after=NOON + timedelta(seconds=seconds_left))
    reply = HttpPaymentsApi(provider(answer)).perform(late)

    assert bool(requests) is sent
    assert isinstance(reply.outcome, Seen if sent else NotSent)


def test_a_request_without_its_erased_data_is_not_sent_and_is_an_alarm() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    paid = HttpPaymentsApi(provider(answer)).perform(replace(CHARGE, payment_token=None))
    booked = HttpSupplierApi(provider(answer)).perform(replace(BOOK, lead_guest=None))

    assert (paid.outcome, paid.alarm) == (NotSent(), "personal_data_gone")
    assert (booked.outcome, booked.alarm) == (NotSent(), "personal_data_gone")


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(httpx.ConnectError, 2), (httpx.ConnectTimeout, 2), (httpx.ReadError, 1)],
)
def test_only_a_failed_connection_is_retried(
    error: type[httpx.TransportError], attempts: int
) -> None:
    tried: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        tried.append(request)
        raise error("no", request=request)

    charge(fail)

    assert len(tried) == attempts


def test_a_connection_that_succeeds_on_retry_is_enough() -> None:
    failures = [httpx.ConnectError("no")]

    def answer(_: httpx.Request) -> httpx.Response:
        if failures:
            raise failures.pop()
        return httpx.Response(201, json=a_payment())

    assert isinstance(charge(answer).outcome, Seen)


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A raw server that reads one request and passes its connection to `answer`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(timeout=20)
        listener.close()


def an_answer() -> bytes:
    body = httpx.Response(201, json=a_payment()).content
    return b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("quick_bytes", [0, 60])
def test_a_slow_answer_is_cut_at_the_total_limit(quick_bytes: int) -> None:
    paused = threading.Event()

    def drip(connection: socket.socket) -> None:
        whole = an_answer()
        connection.sendall(whole[:quick_bytes])
        for byte in whole[quick_bytes:]:
            if paused.wait(0.05):
                return
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                return

    with serving(drip) as url:
        http = provider(base_url=url, connect_seconds=0.2, read_seconds=0.4)
        reply = HttpPaymentsApi(http).perform(CHARGE)
        paused.set()

    assert reply.outcome == NoAnswer()
    assert reply.alarm is None


def test_a_connection_closed_without_an_answer_is_no_answer() -> None:
    with serving(lambda connection: None) as url:
        reply = HttpPaymentsApi(provider(base_url=url)).perform(CHARGE)

    assert (reply.outcome, reply.http_status) == (NoAnswer(), None)


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with serving(lambda connection: connection.sendall(an_answer())) as url:
        reply = HttpPaymentsApi(provider(base_url=url)).perform(CHARGE)

    assert isinstance(reply.outcome, Seen)


def test_neither_secrets_nor_personal_data_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with serving(lambda connection: connection.sendall(an_answer())) as url:
        reply = HttpPaymentsApi(provider(base_url=url)).perform(CHARGE)
    charge(lambda _: httpx.Response(201, json=a_payment(status="canary")))

    assert "canary" not in caplog.text.lower()
    assert "canary" not in repr((CHARGE, BOOK, reply)).lower()


def test_a_base_url_must_be_http() -> None:
    with pytest.raises(ValueError, match="http"):
        provider(base_url="ftp://provider.example")


def test_a_verb_of_the_other_provider_is_a_defect() -> None:
    with pytest.raises(ValueError, match="does not book"):
        HttpPaymentsApi(provider(lambda _: httpx.Response(200))).perform(
            replace(CHARGE, action=BOOK.action)
        )
    with pytest.raises(ValueError, match="does not charge"):
        HttpSupplierApi(provider(lambda _: httpx.Response(200))).perform(
            replace(BOOK, action=CHARGE.action)
        )
