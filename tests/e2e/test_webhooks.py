"""Webhooks of both providers: a signed one brings on an inquiry, and proves nothing itself."""

import json
import time
import uuid
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from local.simulators.webhooks import key_of
from tests.e2e import contract
from tests.e2e.backstage import Backstage, Provider
from tests.e2e.operators import Hand
from tests.e2e.stories import assert_books, given_back, reads, wait_for
from tests.e2e.travel import Json, Trip, a_request, depart, eventually
from tests.worlds.books import ALL_GIVEN_BACK, NOTHING, PAID_AND_BOOKED
from tests.worlds.signing import signed_headers

pytestmark = pytest.mark.timeout(300)

_NOTICES = {
    "payments": ("payment.voided", "payment_id"),
    "supplier": ("booking.cancelled", "booking_id"),
}


def says(
    stack: Json,
    provider: Provider,
    reference: str,
    *,
    webhook_id: str | None = None,
    age_s: int = 0,
    forged: bool = False,
) -> httpx.Response:
    """Send a webhook as a provider does; `forged` signs it with another secret."""
    kind, member = _NOTICES[provider]
    data = {"reference": reference, member: "any"}
    body = json.dumps({"type": kind, "timestamp": "2027-03-01T12:00:00Z", "data": data}).encode()
    secret = key_of(stack["webhook_secrets"][provider])
    headers = signed_headers(
        b"not the secret" if forged else secret,
        webhook_id=webhook_id or f"msg_{uuid.uuid4().hex}",
        timestamp=int(time.time()) - age_s,
        body=body,
    )
    answer = httpx.post(
        f"{stack['api_url']}/v1/webhooks/{provider}",
        content=body,
        headers={"Content-Type": "application/json", **headers},
        timeout=60,
    )
    contract.judge(answer)
    return answer


def its_own_affair(stack: Json, provider: Provider, path: str) -> None:
    """Have a provider do something that we did not ask for."""
    bearer = f"Bearer {stack['provider_keys'][provider]}"
    httpx.post(
        f"{stack[f'{provider}_url']}{path}",
        headers={"Authorization": bearer, "Idempotency-Key": f"itself:{path}"},
        timeout=10,
    ).raise_for_status()


@pytest.fixture
def supplier_says(steady_stack: Json) -> Callable[..., httpx.Response]:
    return partial(says, steady_stack, "supplier")


def test_a_webhook_triggers_an_inquiry_that_was_due_tomorrow(
    api: httpx.Client, backstage: Backstage, hand: Hand, steady_stack: Json
) -> None:
    trip = depart(api, a_request(payment_token="tok_undecided"))
    reference = backstage.reference(trip)
    wait_for(backstage, trip, "charge", "pending")
    eventually(
        lambda: hand.postpone(reference, only="pending"),
        of=f"a break in the looks at {trip.code}",
    )
    [charge] = backstage.charges(trip)
    its_own_affair(steady_stack, "payments", f"/payments/{charge['payment_id']}/void")

    assert says(steady_stack, "payments", reference).is_success

    reads(trip, "RECHAZADA")
    assert_books(backstage, trip, NOTHING)


def test_a_supplier_s_webhook_is_checked_and_only_its_own_books_end_a_trip(
    api: httpx.Client,
    backstage: Backstage,
    hand: Hand,
    steady_stack: Json,
    supplier_says: Callable[..., httpx.Response],
) -> None:
    trip = depart(api, a_request())
    wait_for(backstage, trip, "mail", "sent")
    reference = backstage.reference(trip)
    eventually(lambda: hand.postpone(reference), of=f"a break in the looks at {trip.code}")

    asked = len(looks(backstage, trip))
    assert supplier_says(reference).status_code == httpx.codes.OK
    eventually(lambda: len(looks(backstage, trip)) > asked, of=f"a look at {trip.code}")
    assert trip.read()["status"] == "CONFIRMADA"  # it was not true

    [booking] = backstage.live_bookings(trip)
    its_own_affair(steady_stack, "supplier", f"/bookings/{booking['booking_id']}/cancel")
    assert supplier_says(reference).status_code == httpx.codes.OK

    reading = reads(trip, "CANCELADA")
    assert reading["refund"] == given_back()
    assert_books(backstage, trip, ALL_GIVEN_BACK)


def looks(backstage: Backstage, trip: Trip) -> list[Json]:
    """The inquiries that were made about a trip's bookings."""
    return backstage.rows(
        "SELECT a.id FROM provider_attempt a JOIN provider_call c ON c.id = a.call_id"
        " WHERE c.reservation_id = :id AND c.operation = 'book' AND a.verb = 'inquire'",
        id=uuid.UUID(backstage.reference(trip)).bytes,
    )


def test_forged_stale_and_repeated_webhooks_change_nothing(
    api: httpx.Client, backstage: Backstage, supplier_says: Callable[..., httpx.Response]
) -> None:
    trip = depart(api, a_request())
    wait_for(backstage, trip, "mail", "sent")
    reference, webhook_id = backstage.reference(trip), f"msg_{uuid.uuid4().hex}"

    refused = [
        supplier_says(reference, webhook_id=webhook_id, forged=True),
        supplier_says(reference, webhook_id=webhook_id, age_s=400),
        supplier_says(reference, webhook_id=webhook_id, age_s=-400),
    ]
    stored_after_refusals = kept_webhooks(backstage, webhook_id)
    heard = [supplier_says(reference, webhook_id=webhook_id) for _ in range(2)]

    assert [answer.json()["code"] for answer in refused] == [
        "webhook_signature_invalid",
        "webhook_stale",
        "webhook_stale",
    ]
    assert stored_after_refusals == 0
    assert [answer.status_code for answer in heard] == [httpx.codes.OK] * 2
    assert kept_webhooks(backstage, webhook_id) == 1
    assert trip.read()["status"] == "CONFIRMADA"
    assert_books(backstage, trip, PAID_AND_BOOKED)


def test_a_webhook_about_an_unknown_reservation_is_accepted_and_harmless(
    backstage: Backstage, supplier_says: Callable[..., httpx.Response]
) -> None:
    webhook_id = f"msg_{uuid.uuid4().hex}"

    answer = supplier_says(str(uuid.uuid4()), webhook_id=webhook_id)

    assert answer.status_code == httpx.codes.OK
    assert kept_webhooks(backstage, webhook_id) == 1


def kept_webhooks(backstage: Backstage, webhook_id: str) -> int:
    return len(
        backstage.rows(
            "SELECT 1 FROM webhook WHERE webhook_id = :webhook_id", webhook_id=webhook_id
        )
    )
