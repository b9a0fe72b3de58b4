"""The supplier's API we rely on: our client, the simulator and the document keep one promise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from reservations.application.ports import Reply, SupplierApi, SupplierRequest
from reservations.domain.actions import Inquire, Send
from reservations.domain.facts import Listing, NoAnswer, Operation, Seen, Status
from tests.worlds.builders import PRICE, an_offer, row_of
from tests.worlds.contracts import Contract
from tests.worlds.providers import Receiver, Simulator, eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_booking(offer_id: str = "HTL-MAD-001") -> SupplierRequest:
    reference = uuid4()
    return SupplierRequest(
        action=Send(operation=Operation.BOOK, key=f"book:{reference}"),
        reference=reference,
        offer=an_offer(offer_id=offer_id),
        lead_guest="Ana Pérez",
        price=PRICE,
        not_after=datetime.now(UTC) + timedelta(minutes=1),
    )


def an_inquiry(booking: SupplierRequest) -> SupplierRequest:
    return replace(booking, action=Inquire(row_of(booking.action)), lead_guest=None)


def a_cancellation(booking: SupplierRequest, booking_id: str) -> SupplierRequest:
    cancellation = Send(
        operation=Operation.CANCEL_BOOKING, key=f"cancel:{booking_id}", target=booking_id
    )
    return replace(booking, action=cancellation, lead_guest=None)


def seen(reply: Reply) -> Seen:
    assert isinstance(reply.outcome, Seen)
    return reply.outcome


def listed(reply: Reply) -> tuple[Seen, ...]:
    assert isinstance(reply.outcome, Listing)
    return reply.outcome.seen


@pytest.mark.parametrize(
    ("offer_id", "status"),
    [
        ("HTL-MAD-001", Status.SUCCEEDED),
        ("REJ-MAD-001", Status.DECLINED),
        ("PEN-MAD-001", Status.PENDING),
        ("NOT-HEARD-OF", Status.DECLINED),
    ],
)
def test_a_booking_is_answered_as_its_offer_says(
    supplier_api: SupplierApi, offer_id: str, status: Status
) -> None:
    booking = seen(supplier_api.perform(a_booking(offer_id)))

    assert booking.status is status
    assert (booking.locator is not None) == (status is Status.SUCCEEDED)


def test_a_booking_sent_again_under_its_key_is_made_once(
    supplier_api: SupplierApi, supplier_simulator: Simulator
) -> None:
    request = a_booking()

    first, second = supplier_api.perform(request), supplier_api.perform(request)

    assert seen(first) == seen(second)
    assert first.http_status == 201
    [row] = supplier_simulator.ledger("bookings", request.reference)
    assert row == {
        "booking_id": seen(first).provider_id,
        "reference": str(request.reference),
        "offer_id": "HTL-MAD-001",
        "status": "confirmed",
    }


def test_a_key_takes_no_booking_with_another_price(
    supplier_api: SupplierApi, supplier_simulator: Simulator
) -> None:
    older = replace(a_booking(), price=None)
    booked = seen(supplier_api.perform(older))

    assert supplier_api.perform(replace(older, price=PRICE)).http_status == 422
    assert seen(supplier_api.perform(older)) == booked
    assert len(supplier_simulator.ledger("bookings", older.reference)) == 1


def test_a_cancellation_sent_again_under_its_key_ends_the_booking_once(
    supplier_api: SupplierApi, supplier_simulator: Simulator
) -> None:
    request = a_booking()
    booking = seen(supplier_api.perform(request))
    cancellation = a_cancellation(request, booking.provider_id)

    first, second = supplier_api.perform(cancellation), supplier_api.perform(cancellation)

    ended = Seen(provider_id=booking.provider_id, status=Status.SUCCEEDED)
    assert (seen(first), seen(second)) == (ended, ended)
    [now] = listed(supplier_api.perform(an_inquiry(request)))
    assert now.status is Status.CANCELLED
    [row] = supplier_simulator.ledger("bookings", request.reference)
    assert row["status"] == "cancelled"


def test_a_cancelled_pending_booking_is_never_confirmed(supplier_api: SupplierApi) -> None:
    unwanted, later = a_booking("PEN-MAD-001"), a_booking("PEN-MAD-001")
    booking = seen(supplier_api.perform(unwanted))

    cancellation = supplier_api.perform(a_cancellation(unwanted, booking.provider_id))
    supplier_api.perform(later)
    eventually(
        lambda: listed(supplier_api.perform(an_inquiry(later)))[0].status is Status.SUCCEEDED
    )

    assert seen(cancellation).status is Status.SUCCEEDED
    [now] = listed(supplier_api.perform(an_inquiry(unwanted)))
    assert now.status is Status.CANCELLED


def test_a_rejected_booking_needs_no_cancellation(supplier_api: SupplierApi) -> None:
    request = a_booking("REJ-MAD-001")
    booking = seen(supplier_api.perform(request))

    cancellation = supplier_api.perform(a_cancellation(request, booking.provider_id))

    assert seen(cancellation).status is Status.SUCCEEDED
    assert listed(supplier_api.perform(an_inquiry(request))) == (booking,)


def test_a_booking_that_does_not_exist_is_no_answer(supplier_api: SupplierApi) -> None:
    reply = supplier_api.perform(a_cancellation(a_booking(), "bkg_nowhere"))

    assert (reply.outcome, reply.http_status, reply.alarm) == (NoAnswer(), 404, "contract")


def test_a_cancellation_by_the_supplier_is_announced_by_a_webhook(
    supplier_api: SupplierApi,
    supplier_simulator: Simulator,
    supplier_contract: Contract,
    receiver: Receiver,
) -> None:
    supplier_simulator.tell(receiver.url, SECRET)
    request = a_booking("CXL-MAD-001")
    booking = seen(supplier_api.perform(request))

    [webhook] = eventually(lambda: receiver.received)

    assert booking.status is Status.SUCCEEDED
    body = supplier_contract.check_webhook("bookingChanged", webhook.headers, webhook.body)
    assert body["type"] == "booking.cancelled"
    assert body["data"] == {
        "reference": str(request.reference),
        "booking_id": booking.provider_id,
    }
    [now] = listed(supplier_api.perform(an_inquiry(request)))
    assert (now.status, now.locator) == (Status.CANCELLED, booking.locator)


def test_a_booking_that_cannot_be_cancelled_stays_as_it_is(
    supplier_api: SupplierApi, supplier_simulator: Simulator
) -> None:
    request = a_booking("NOC-MAD-001")
    booking = seen(supplier_api.perform(request))

    refusal = seen(supplier_api.perform(a_cancellation(request, booking.provider_id)))

    assert refusal.status is Status.DECLINED
    assert listed(supplier_api.perform(an_inquiry(request))) == (booking,)
    [row] = supplier_simulator.ledger("bookings", request.reference)
    assert row["status"] == "confirmed"


def test_a_booking_confirmed_later_is_announced_by_a_webhook(
    supplier_api: SupplierApi,
    supplier_simulator: Simulator,
    supplier_contract: Contract,
    receiver: Receiver,
) -> None:
    supplier_simulator.tell(receiver.url, SECRET)
    request = a_booking("PEN-MAD-001")
    booking = seen(supplier_api.perform(request))

    [webhook] = eventually(lambda: receiver.received)

    body = supplier_contract.check_webhook("bookingChanged", webhook.headers, webhook.body)
    assert body["type"] == "booking.confirmed"
    assert body["data"] == {
        "reference": str(request.reference),
        "booking_id": booking.provider_id,
    }
    [now] = listed(supplier_api.perform(an_inquiry(request)))
    assert now.status is Status.SUCCEEDED
    assert now.locator is not None


def test_the_guest_is_not_in_the_ledger(
    supplier_api: SupplierApi, supplier_simulator: Simulator
) -> None:
    supplier_api.perform(replace(a_booking(), lead_guest="CANARY-GUEST"))
    supplier_simulator.stop()  # the journal is folded into the file

    kept = supplier_simulator.state.read_bytes()
    supplier_simulator.start()

    assert b"HTL-MAD-001" in kept
    assert b"CANARY" not in kept


GOOD = {
    "reference": "r",
    "offer_id": "HTL-1",
    "starts_on": "2027-05-01",
    "ends_on": "2027-05-04",
    "guests": 2,
    "lead_guest": "Ana Pérez",
}
WITH_KEY = {"Authorization": "Bearer k", "Idempotency-Key": "a-key"}


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (401, {"Idempotency-Key": "a-key"}, GOOD),
        (400, {"Authorization": "Bearer k"}, GOOD),
        (400, WITH_KEY, None),
        (422, WITH_KEY, {**GOOD, "guests": 0}),
        (422, WITH_KEY, {**GOOD, "guests": "2"}),
        (422, WITH_KEY, {**GOOD, "starts_on": "1 May"}),
        (422, WITH_KEY, {**GOOD, "ends_on": "2027-04-30"}),
        (422, WITH_KEY, {**GOOD, "price": {"amount": 1, "currency": "EUR"}}),
        (422, WITH_KEY, {**GOOD, "email": "ana@example.com"}),
        (422, WITH_KEY, {"reference": "r"}),
    ],
)
def test_a_request_outside_the_contract_is_refused_and_does_nothing(
    supplier_simulator: Simulator,
    supplier_contract: Contract,
    status: int,
    headers: dict[str, str],
    body: dict[str, Any] | None,
) -> None:
    with httpx.Client(base_url=supplier_simulator.url, trust_env=False) as client:
        response = client.post("/bookings", headers=headers, json=body)

    assert response.status_code == status
    supplier_contract.check_answer(response.request, response)
    assert supplier_simulator.ledger("bookings") == []
