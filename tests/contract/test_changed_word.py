"""A provider that changes its word by hand: the simulators show it as the documents say, and our clients read it."""

from collections.abc import Callable
from typing import Any

import pytest

from reservations.application.ports import PaymentRequest, PaymentsApi, SupplierApi, SupplierRequest
from reservations.domain.facts import Dispute, DisputeStatus, NoAnswer, Seen, Status
from reservations.domain.money import Money
from tests.contract import test_payments_api as payments
from tests.contract import test_supplier_api as supplier
from tests.contract.test_payments_api import PRICE, SECRET, listed, seen
from tests.worlds.contracts import Contract
from tests.worlds.providers import Receiver, Simulator, eventually


@pytest.fixture
def charge() -> PaymentRequest:
    return payments.a_charge()


@pytest.fixture
def payment(charge: PaymentRequest, payments_api: PaymentsApi) -> str:
    """The id of a payment that succeeded."""
    return seen(payments_api.perform(charge)).provider_id


@pytest.fixture
def paid(charge: PaymentRequest, payments_api: PaymentsApi) -> Callable[[], Seen]:
    """The only payment in the listing."""

    def look() -> Seen:
        [found] = listed(payments_api.perform(payments.an_inquiry(charge)))
        return found

    return look


@pytest.fixture
def request_() -> SupplierRequest:
    return supplier.a_booking()


@pytest.fixture
def booking(request_: SupplierRequest, supplier_api: SupplierApi) -> str:
    """The id of a confirmed booking."""
    return seen(supplier_api.perform(request_)).provider_id


@pytest.fixture
def booked(request_: SupplierRequest, supplier_api: SupplierApi) -> Callable[[], tuple[Seen, ...]]:
    """The bookings in the listing."""
    return lambda: listed(supplier_api.perform(supplier.an_inquiry(request_)))


# --- payments


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"status": "voided"}, {"status": Status.VOIDED}),
        ({"status": "pending"}, {"status": Status.PENDING}),
        ({"status": "declined"}, {"status": Status.DECLINED}),
        ({"amount": "60.00"}, {"money": Money(6000, "EUR")}),
        ({"currency": "USD"}, {"money": Money(34250, "USD")}),
        ({"refunded_amount": "1.00"}, {"refunded_minor": 100}),
        (
            {"dispute": {"status": "open", "amount": "342.50"}},
            {"dispute": Dispute(DisputeStatus.OPEN, PRICE)},
        ),
        (
            {"dispute": {"status": "lost", "amount": "60.00"}},
            {"dispute": Dispute(DisputeStatus.LOST, Money(6000, "EUR"))},
        ),
    ],
    ids=str,
)
def test_payments_changes_its_word_about_a_payment(
    payment: str,
    paid: Callable[[], Seen],
    payments_simulator: Simulator,
    members: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    before = paid()

    payments_simulator.set_row("payment", payment, **members)

    after = paid()
    changed = {name: getattr(after, name) for name in expected}
    assert changed == expected != {name: getattr(before, name) for name in expected}
    assert after.provider_id == payment


def test_a_payment_settled_by_hand_does_not_change_by_itself(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge, other = payments.a_charge("tok_pending"), payments.a_charge("tok_pending")
    payment = seen(payments_api.perform(charge))
    payments_simulator.set_row("payment", payment.provider_id, status="pending")
    payments_api.perform(other)

    def other_one() -> Seen:
        return listed(payments_api.perform(payments.an_inquiry(other)))[0]

    assert eventually(lambda: other_one().status is Status.SUCCEEDED)
    [now] = listed(payments_api.perform(payments.an_inquiry(charge)))
    assert now.status is Status.PENDING


@pytest.mark.parametrize(
    ("members", "money"), [({}, PRICE), ({"amount": "60.00"}, Money(6000, "EUR"))], ids=str
)
def test_a_refund_by_hand_counts_and_leaves_less_to_refund(
    charge: PaymentRequest,
    payment: str,
    paid: Callable[[], Seen],
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
    members: dict[str, Any],
    money: Money,
) -> None:
    payments_simulator.set_row("refund", "ref_by_hand", payment_id=payment, **members)

    refund = payments.a_refund(charge, payment)
    [made] = listed(payments_api.perform(payments.an_inquiry(refund)))
    assert made == Seen(provider_id="ref_by_hand", status=Status.SUCCEEDED, money=money)
    assert paid().refunded_minor == money.minor
    assert payments_api.perform(refund).http_status == 422


def test_a_refund_that_fails_late_gives_the_money_back_to_the_payment(
    charge: PaymentRequest,
    payment: str,
    paid: Callable[[], Seen],
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
) -> None:
    first = payments.a_refund(charge, payment)
    refund = seen(payments_api.perform(first)).provider_id

    payments_simulator.set_row("refund", refund, status="rejected")

    [failed] = listed(payments_api.perform(payments.an_inquiry(first)))
    assert (failed.provider_id, failed.status) == (refund, Status.DECLINED)
    assert paid().refunded_minor == 0
    second = payments.a_refund(charge, payment, key=f"refund:{payment}:2")
    assert seen(payments_api.perform(second)).status is Status.SUCCEEDED
    assert paid().refunded_minor == PRICE.minor


def test_the_token_of_a_late_failure_announces_it(
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
    payments_contract: Contract,
    receiver: Receiver,
) -> None:
    payments_simulator.tell(receiver.url, SECRET)
    charge = payments.a_charge("tok_refund_late_failure")
    refund = payments.a_refund(charge, seen(payments_api.perform(charge)).provider_id)

    first = seen(payments_api.perform(refund))
    [webhook] = eventually(lambda: receiver.received)

    body = payments_contract.check_webhook("paymentChanged", webhook.headers, webhook.body)
    [now] = listed(payments_api.perform(payments.an_inquiry(refund)))
    assert (first.status, now.status) == (Status.SUCCEEDED, Status.DECLINED)
    assert body["type"] == "refund.rejected"


def test_the_refunded_amount_set_by_hand_stands_until_it_is_unset(
    charge: PaymentRequest,
    payment: str,
    paid: Callable[[], Seen],
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
) -> None:
    payments_simulator.set_row("payment", payment, refunded_amount="342.50")

    refused = payments_api.perform(payments.a_refund(charge, payment))
    stands = paid().refunded_minor
    payments_simulator.set_row("payment", payment, refunded_amount=None)

    assert (refused.http_status, stands, paid().refunded_minor) == (422, PRICE.minor, 0)


@pytest.mark.parametrize("kind", ["payment", "refund"])
def test_a_row_issued_again_under_another_case_is_another_id(
    charge: PaymentRequest,
    payment: str,
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
    kind: str,
) -> None:
    refund = seen(payments_api.perform(payments.a_refund(charge, payment))).provider_id
    old = {"payment": payment, "refund": refund}[kind]

    payments_simulator.set_row(kind, old, id=old.upper())

    now = payment.upper() if kind == "payment" else payment
    about_now = payments.an_inquiry(payments.a_refund(charge, now))
    [paid] = listed(payments_api.perform(payments.an_inquiry(charge)))
    [refunded] = listed(payments_api.perform(about_now))
    assert {paid.provider_id, refunded.provider_id} == {payment, refund} - {old} | {old.upper()}
    assert paid.refunded_minor == PRICE.minor
    if kind == "payment":
        about_old = payments.an_inquiry(payments.a_refund(charge, payment))
        assert payments_api.perform(about_old).http_status == 404


def test_a_removed_payment_is_neither_listed_nor_found_until_it_is_set(
    charge: PaymentRequest,
    payment: str,
    paid: Callable[[], Seen],
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
) -> None:
    before = paid()
    refund = payments.a_refund(charge, payment)

    payments_simulator.remove_row("payment", payment)

    assert listed(payments_api.perform(payments.an_inquiry(charge))) == ()
    for request in (refund, payments.an_inquiry(refund), payments.a_void(charge, payment)):
        reply = payments_api.perform(request)
        assert (reply.outcome, reply.http_status) == (NoAnswer(), 404)
    payments_simulator.set_row("payment", payment)
    assert paid() == before
    assert seen(payments_api.perform(payments.a_void(charge, payment))) == before


def test_a_removed_refund_is_not_counted(
    charge: PaymentRequest,
    payment: str,
    paid: Callable[[], Seen],
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
) -> None:
    refund = payments.a_refund(charge, payment)
    made = seen(payments_api.perform(refund)).provider_id

    payments_simulator.remove_row("refund", made)

    assert listed(payments_api.perform(payments.an_inquiry(refund))) == ()
    assert paid().refunded_minor == 0
    payments_simulator.set_row("refund", made)
    assert paid().refunded_minor == PRICE.minor


# --- the supplier


def test_the_supplier_shows_the_dates_that_were_asked_for_and_no_price(
    request_: SupplierRequest, booking: str, supplier_simulator: Simulator
) -> None:
    [row] = supplier_simulator.rows(request_.reference)

    assert (row["id"], row["removed"], "price" in row) == (booking, False, False)
    offer = request_.offer
    assert (row["starts_on"], row["ends_on"]) == (
        offer.starts_on.isoformat(),
        offer.ends_on.isoformat(),
    )


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"status": "cancelled"}, {"status": Status.CANCELLED}),
        ({"status": "pending"}, {"status": Status.PENDING}),
        ({"status": "rejected"}, {"status": Status.DECLINED}),
        ({"locator": "ELSEWHERE"}, {"locator": "ELSEWHERE"}),
        ({"starts_on": "2027-04-30"}, {"other_terms": "other dates 2027-04-30/2027-05-04"}),
        ({"ends_on": "2031-01-01"}, {"other_terms": "other dates 2027-05-01/2031-01-01"}),
        ({"price": {"amount": "9.00", "currency": "USD"}}, {"money": Money(900, "USD")}),
    ],
    ids=str,
)
def test_the_supplier_changes_its_word_about_a_booking(
    booking: str,
    booked: Callable[[], tuple[Seen, ...]],
    supplier_simulator: Simulator,
    members: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    [before] = booked()

    supplier_simulator.set_row("booking", booking, **members)

    [after] = booked()
    changed = {name: getattr(after, name) for name in expected}
    assert changed == expected != {name: getattr(before, name) for name in expected}
    assert after.provider_id == booking


def test_a_cancelled_booking_lives_again(
    request_: SupplierRequest,
    booking: str,
    booked: Callable[[], tuple[Seen, ...]],
    supplier_api: SupplierApi,
    supplier_simulator: Simulator,
) -> None:
    supplier_api.perform(supplier.a_cancellation(request_, booking))
    [cancelled] = booked()

    supplier_simulator.set_row("booking", booking, status="confirmed")

    assert [row.status for row in (cancelled, *booked())] == [Status.CANCELLED, Status.SUCCEEDED]


def test_a_removed_booking_is_neither_listed_nor_found_until_it_is_set(
    request_: SupplierRequest,
    booking: str,
    booked: Callable[[], tuple[Seen, ...]],
    supplier_api: SupplierApi,
    supplier_simulator: Simulator,
) -> None:
    before = booked()

    supplier_simulator.remove_row("booking", booking)

    assert booked() == ()
    assert supplier_api.perform(supplier.a_cancellation(request_, booking)).http_status == 404
    assert supplier_simulator.ledger("bookings") == []
    [row] = supplier_simulator.rows(request_.reference)
    assert (row["id"], row["removed"]) == (booking, True)
    supplier_simulator.set_row("booking", booking, status="confirmed")
    assert booked() == before


def test_a_booking_issued_again_keeps_its_place_in_the_listing(
    request_: SupplierRequest,
    booking: str,
    booked: Callable[[], tuple[Seen, ...]],
    supplier_simulator: Simulator,
) -> None:
    second = {
        "reference": str(request_.reference),
        "offer_id": "HTL-2",
        "starts_on": "2031-01-01",
        "ends_on": "2031-01-02",
        "guests": 1,
        "lead_guest": "Ana",
    }
    again = supplier_simulator.post(
        "/bookings", second, headers={"Authorization": "Bearer k", "Idempotency-Key": "again"}
    ).json()["booking_id"]

    supplier_simulator.set_row("booking", booking, id=booking.upper())
    supplier_simulator.stop()
    supplier_simulator.start()

    assert [row.provider_id for row in booked()] == [booking.upper(), again]


# --- both


@pytest.mark.parametrize(
    ("kind", "change", "event"),
    [
        ("payment", {"set": {"status": "voided"}}, "payment.voided"),
        ("payment", {"set": {"amount": "1.00"}}, "payment.updated"),
        (
            "payment",
            {"set": {"dispute": {"status": "open", "amount": "1.00"}}},
            "dispute.open",
        ),
        ("payment", {"set": {"dispute": None}}, "payment.updated"),
        ("payment", {"remove": True}, "payment.removed"),
        ("refund", {"set": {"status": "rejected"}}, "refund.rejected"),
        ("refund", {"remove": True}, "refund.removed"),
    ],
    ids=str,
)
def test_a_change_at_payments_is_announced_by_a_signed_webhook(
    charge: PaymentRequest,
    payment: str,
    payments_simulator: Simulator,
    payments_contract: Contract,
    receiver: Receiver,
    kind: str,
    change: dict[str, Any],
    event: str,
) -> None:
    payments_simulator.set_row("refund", "ref_1", silent=True, payment_id=payment)
    payments_simulator.tell(receiver.url, SECRET)
    row_id = {"payment": payment, "refund": "ref_1"}[kind]

    payments_simulator.post("/_sim/rows", {"kind": kind, "id": row_id, **change}).raise_for_status()
    [webhook] = eventually(lambda: receiver.received)

    body = payments_contract.check_webhook("paymentChanged", webhook.headers, webhook.body)
    assert (body["type"], body["data"]) == (
        event,
        {"reference": str(charge.reference), "payment_id": payment},
    )


def test_a_silent_change_is_not_announced(
    request_: SupplierRequest,
    booking: str,
    supplier_simulator: Simulator,
    supplier_contract: Contract,
    receiver: Receiver,
) -> None:
    supplier_simulator.tell(receiver.url, SECRET)

    supplier_simulator.set_row("booking", booking, silent=True, status="pending")
    supplier_simulator.remove_row("booking", booking, silent=True)
    supplier_simulator.set_row("booking", booking, status="cancelled")
    [webhook] = eventually(lambda: receiver.received)

    body = supplier_contract.check_webhook("bookingChanged", webhook.headers, webhook.body)
    assert (body["type"], body["data"]) == (
        "booking.cancelled",
        {"reference": str(request_.reference), "booking_id": booking},
    )


def test_rows_outlive_a_kill(
    charge: PaymentRequest, payment: str, payments_simulator: Simulator
) -> None:
    dispute = {"status": "open", "amount": "1.00"}
    payments_simulator.set_row("payment", payment, id="PAY_1", status="voided", dispute=dispute)
    payments_simulator.set_row("refund", "ref_1", payment_id="PAY_1", amount="1.00")
    payments_simulator.remove_row("refund", "ref_1")
    before = payments_simulator.rows(charge.reference)

    payments_simulator.kill()
    payments_simulator.start()

    assert payments_simulator.rows(charge.reference) == before
    assert [(row["kind"], row["id"], row["removed"]) for row in before] == [
        ("payment", "PAY_1", False),
        ("refund", "ref_1", True),
    ]


GONE = {"kind": "payment", "id": "pay_nowhere", "set": {"status": "voided"}}


@pytest.mark.parametrize(
    ("status", "change"),
    [
        (404, {}),
        (404, {"set": {}}),
        (404, {"set": None, "remove": True}),
        (404, {"kind": "refund", "set": {"payment_id": "pay_nowhere"}}),
        (422, {"kind": "refund", "set": {}}),
        (422, {"kind": "booking"}),
        (422, {"kind": None}),
        (422, {"id": ""}),
        (422, {"id": "pay/1"}),
        (422, {"set": {"mood": "sunny"}}),
        (422, {"set": {"reference": "another"}}),
        (422, {"set": {"status": "lost"}}),
        (422, {"set": {"status": None}}),
        (422, {"set": {"amount": "1,00"}}),
        (422, {"set": {"dispute": {"status": "open"}}}),
        (422, {"set": {"id": "a b"}}),
        (422, {"set": None}),
        (422, {"remove": True}),
        (422, {"remove": False, "set": None}),
        (422, {"silent": "no"}),
        (422, {"more": 1}),
    ],
    ids=str,
)
def test_a_change_that_cannot_be_is_refused(
    payments_simulator: Simulator, status: int, change: dict[str, Any]
) -> None:
    answer = payments_simulator.post("/_sim/rows", GONE | change)

    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"code", "message"}


def test_a_refused_change_changes_nothing(
    charge: PaymentRequest, payment: str, payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    other = seen(payments_api.perform(payments.a_charge())).provider_id
    payments_simulator.set_row("refund", "ref_1", payment_id=payment)
    before = payments_simulator.rows(charge.reference)

    taken = {"kind": "payment", "id": payment, "set": {"id": other, "status": "voided"}}
    moved = {"kind": "refund", "id": "ref_1", "set": {"payment_id": other, "status": "pending"}}
    statuses = [
        payments_simulator.post("/_sim/rows", change).status_code for change in (taken, moved)
    ]

    assert statuses == [409, 422]
    assert payments_simulator.rows(charge.reference) == before


@pytest.mark.parametrize("day", ["2031-02-30", "01/01/2031", "20310101", 20310101])
def test_a_day_that_is_none_is_refused(
    booking: str, supplier_simulator: Simulator, day: object
) -> None:
    change = {"kind": "booking", "id": booking, "set": {"starts_on": day}}

    assert supplier_simulator.post("/_sim/rows", change).status_code == 422


def test_the_rows_of_no_reference_are_refused(payments_simulator: Simulator) -> None:
    assert payments_simulator.rows("nobody") == []
    with pytest.raises(Exception, match="400"):
        payments_simulator.get("/_sim/rows")
