"""What goes wrong on the way, each as a short story that ends with both providers' books adding up."""

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import httpx
import pytest

from local.simulators.webhooks import key_of
from tests.e2e import contract
from tests.e2e.backstage import Backstage
from tests.e2e.operators import Hand
from tests.e2e.travel import Json, Trip, a_request, depart, eventually, new_key
from tests.signing import signed_headers

pytestmark = pytest.mark.timeout(240)

PRICE = Decimal("342.50")
AT_ONCE = 5  # that many set out together: each cold start costs the small machine a process
CANCELLED = "reservation.closed.customer_cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a trip meets, and the ledger row whose status has it cancelled as soon as it is seen."""

    token: str = "tok_ok"
    offer: str = "HTL-MAD-001"
    cancelled_when: tuple[str, str] | None = None


STORIES = {
    "cancelled at once": Story(),
    "cancelled during the payment": Story(token="tok_timeout", cancelled_when=("charge", "%")),
    "cancelled with the payment pending": Story(
        token="tok_pending", cancelled_when=("charge", "pending")
    ),
    "cancelled during the booking": Story(offer="TMO-MAD-001", cancelled_when=("book", "%")),
    "cancelled with the booking pending": Story(
        offer="PEN-MAD-001", cancelled_when=("book", "pending")
    ),
    "to be cancelled when confirmed": Story(),
    "payment listed late": Story(token="tok_late"),
    "booking listed late": Story(offer="LAT-MAD-001"),
    "refund not answered": Story(token="tok_refund_timeout", offer="REJ-MAD-001"),
    "refund pending": Story(token="tok_refund_pending", offer="REJ-MAD-001"),
    "refund rejected": Story(token="tok_refund_rejected", offer="REJ-MAD-001"),
    "never charged": Story(token="tok_lost"),
    "cancelled, then paid": Story(token="tok_late", cancelled_when=("charge", "unknown")),
    "expired, then paid": Story(token="tok_late"),
    "paid twice": Story(token="tok_twice"),
    "booked twice": Story(offer="TWI-MAD-001"),
    "cancelled by the supplier": Story(offer="CXL-MAD-001"),
    "another sum": Story(token="tok_wrong_amount"),
    "cannot be cancelled": Story(offer="NOC-MAD-001"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What both providers have of a trip: payments taken ever, money kept, bookings ever, and alive."""

    taken: int
    kept: Decimal
    booked: int
    alive: int


NOTHING = Books(taken=0, kept=Decimal(0), booked=0, alive=0)
PAID_AND_BOOKED = Books(taken=1, kept=PRICE, booked=1, alive=1)
ALL_GIVEN_BACK = Books(taken=1, kept=Decimal(0), booked=1, alive=0)


def books(backstage: Backstage, trip: Trip) -> Books:
    taken = [row for row in backstage.charges(trip) if row["status"] == "succeeded"]
    booked = [row for row in backstage.bookings(trip) if row["status"] != "rejected"]
    return Books(
        taken=len(taken),
        kept=backstage.money_kept(trip),
        booked=len(booked),
        alive=len(backstage.live_bookings(trip)),
    )


def assert_books(backstage: Backstage, trip: Trip, expected: Books) -> None:
    """Wait for the books to be these; what turns up late is put right some time after the end."""
    with contextlib.suppress(AssertionError):  # the comparison below says more
        eventually(lambda: books(backstage, trip) == expected, of="books that add up")
    assert books(backstage, trip) == expected


# --- setting out ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hand(steady_stack: Json) -> Hand:
    return Hand(steady_stack)


@pytest.fixture(scope="module")
def trips(api: httpx.Client, backstage: Backstage, hand: Hand) -> dict[str, Trip]:
    """All stories begin together, so that waiting for one is waiting for all."""

    def begin(name: str) -> Trip:
        story = STORIES[name]
        trip = depart(api, a_request(payment_token=story.token, offer={"offer_id": story.offer}))
        if name == "cancelled at once":
            cancel(trip)
        if story.cancelled_when:
            wait_for_row(backstage, trip, *story.cancelled_when)
            cancel(trip)
        if name in ("never charged", "expired, then paid"):
            wait_for_row(backstage, trip, "charge", "unknown")
            # Longer ago than a charge may take to arrive at all.
            hand.change_trip(trip, "created_at = created_at - INTERVAL 5 MINUTE")
        return trip

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        return dict(zip(STORIES, crowd.map(begin, STORIES), strict=True))


def wait_for_row(backstage: Backstage, trip: Trip, operation: str, status: str) -> None:
    """Wait until the ledger has a row of that operation in that status, or in a later one."""
    earlier = {"unknown": ("started",), "pending": ("started", "unknown")}.get(status, ())
    eventually(
        lambda: any(row["status"] not in earlier for row in backstage.calls(trip, operation)),
        of=f"a {operation} of {trip.code}",
    )


def cancel(trip: Trip, *, key: str | None = None, bearer: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key or new_key(), "Authorization": bearer or trip.bearer}
    return trip.api.post(f"/v1/reservations/{trip.code}/cancel", headers=headers)


def reads(trip: Trip, word: str) -> Json:
    """Wait until a trip rests under that word."""

    def look() -> Json | None:
        answer = trip.get()
        reading: Json = answer.json()
        return reading if reading["status"] == word and at_rest(answer) else None

    return eventually(look, of=f"{trip.code} resting as {word}")


def at_rest(answer: httpx.Response) -> bool:
    return "Retry-After" not in answer.headers


def seen_when(trip: Trip, sees: Callable[[Json], bool], *, of: str) -> Json:
    return eventually(
        lambda: reading if sees(reading := trip.read()) else None, of=f"{trip.code} with {of}"
    )


def types(trip: Trip) -> list[str]:
    return [event["type"] for event in trip.events()]


def assert_order(trip: Trip, *expected: str) -> None:
    """Assert that these happened, in this order, whatever happened between."""
    happened = types(trip)
    assert [happened.index(event) for event in expected] == sorted(
        happened.index(event) for event in expected
    ), happened


def given_back(amount: Decimal = PRICE, status: str = "done") -> Json:
    return {"status": status, "amount": str(amount), "currency": "EUR"}


# --- cancelled on the way -------------------------------------------------------------------------


def test_a_trip_cancelled_at_once_costs_nothing(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["cancelled at once"]

    reads(trip, "CANCELADA")

    eventually(lambda: books(backstage, trip).kept == 0, of=f"nothing kept for {trip.code}")
    assert books(backstage, trip).alive == 0


def test_a_trip_cancelled_while_the_payment_was_asked_for_gets_the_money_back(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["cancelled during the payment"]

    reading = reads(trip, "CANCELADA")

    assert_order(trip, "payment.started", CANCELLED, "payment.succeeded", "refund.succeeded")
    assert reading["refund"] == given_back()
    assert_books(backstage, trip, Books(taken=1, kept=Decimal(0), booked=0, alive=0))


def test_a_trip_cancelled_with_its_payment_pending_is_never_booked(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["cancelled with the payment pending"]

    reads(trip, "CANCELADA")

    assert_order(trip, "payment.pending", CANCELLED)
    assert "booking.started" not in types(trip)
    final = books(backstage, trip)
    assert (final.kept, final.booked) == (Decimal(0), 0)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("cancelled during the booking", "booking.started"),
        ("cancelled with the booking pending", "booking.pending"),
    ],
)
def test_a_trip_cancelled_while_it_is_booked_ends_the_booking_and_then_returns_the_money(
    trips: dict[str, Trip], backstage: Backstage, name: str, before: str
) -> None:
    trip = trips[name]

    reading = reads(trip, "CANCELADA")

    assert_order(trip, before, CANCELLED, "booking_cancellation.succeeded", "refund.succeeded")
    assert reading["refund"] == given_back()
    assert "reservation.confirmed" not in types(trip)
    assert_books(backstage, trip, ALL_GIVEN_BACK)


def test_a_confirmed_trip_that_is_cancelled_gives_up_its_voucher_and_is_paid_back(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["to be cancelled when confirmed"]
    trip.documented()
    eventually(lambda: backstage.mails_sent(trip), of=f"the first mail about {trip.code}")

    answer = cancel(trip)
    reading = reads(trip, "CANCELADA")

    assert (answer.status_code, answer.json()["status"]) == (202, "EN CANCELACION")
    assert reading["refund"] == given_back()
    assert reading["documents"] == []
    assert trip.get("/voucher").status_code == httpx.codes.NOT_FOUND
    assert_order(
        trip,
        "reservation.confirmed",
        CANCELLED,
        "booking_cancellation.succeeded",
        "refund.succeeded",
    )
    assert_books(backstage, trip, ALL_GIVEN_BACK)
    eventually(
        lambda: backstage.mails_sent(trip) == {"confirmed", "cancelled"},
        of=f"the mail about the end of {trip.code}",
    )
    assert cancel(trip).status_code == httpx.codes.OK


# --- answers that did not come --------------------------------------------------------------------


def test_a_payment_that_is_neither_answered_nor_listed_for_a_while_is_taken_once(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["payment listed late"]

    reads(trip, "CONFIRMADA")

    assert "payment.unknown" in types(trip)
    assert_books(backstage, trip, PAID_AND_BOOKED)


def test_a_booking_that_is_neither_answered_nor_listed_for_a_while_is_made_once(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["booking listed late"]

    reads(trip, "CONFIRMADA")

    assert "booking.unknown" in types(trip)
    assert_books(backstage, trip, PAID_AND_BOOKED)


def test_a_refund_without_an_answer_is_made_once(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["refund not answered"]

    reading = reads(trip, "RECHAZADA")

    assert reading["refund"] == given_back()
    assert_order(trip, "refund.started", "refund.unknown", "refund.succeeded")
    assert_books(backstage, trip, Books(taken=1, kept=Decimal(0), booked=0, alive=0))


def test_a_refund_that_takes_its_time_is_waited_for(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["refund pending"]

    reading = reads(trip, "RECHAZADA")

    assert reading["refund"] == given_back()
    assert_order(trip, "refund.pending", "refund.succeeded")
    assert_books(backstage, trip, Books(taken=1, kept=Decimal(0), booked=0, alive=0))


# --- too late -------------------------------------------------------------------------------------


def test_an_offer_that_could_not_be_charged_in_time_expires_without_a_cost(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["never charged"]

    reading = reads(trip, "EXPIRADA")

    assert reading["refund"] is None
    assert_books(backstage, trip, NOTHING)


@pytest.mark.parametrize(
    ("name", "word"), [("cancelled, then paid", "CANCELADA"), ("expired, then paid", "EXPIRADA")]
)
def test_a_payment_that_turns_up_after_the_end_is_given_back_and_the_word_stays(
    trips: dict[str, Trip], backstage: Backstage, name: str, word: str
) -> None:
    trip = trips[name]
    reads(trip, word)

    reading = seen_when(trip, lambda seen: seen["refund"] == given_back(), of="its money back")

    assert reading["status"] == word
    assert_books(backstage, trip, Books(taken=1, kept=Decimal(0), booked=0, alive=0))


# --- twice ----------------------------------------------------------------------------------------


def test_a_second_payment_is_found_and_given_back(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["paid twice"]
    reads(trip, "CONFIRMADA")

    assert_books(backstage, trip, Books(taken=2, kept=PRICE, booked=1, alive=1))

    reading = reads(trip, "CONFIRMADA")
    assert reading["refund"] is None  # it would only alarm
    assert not reading["requires_support"]


def test_a_second_booking_is_found_and_cancelled(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["booked twice"]
    reads(trip, "CONFIRMADA")

    assert_books(backstage, trip, Books(taken=1, kept=PRICE, booked=2, alive=1))

    [alive] = backstage.live_bookings(trip)
    kept = [row for row in backstage.calls(trip, "book") if row["status"] == "succeeded"]
    assert [row["provider_id"] for row in kept] == [alive["booking_id"]]
    assert reads(trip, "CONFIRMADA")["progress"]["supplier"] == "done"


# --- what providers do of their own accord --------------------------------------------------------


def test_a_supplier_that_cancels_after_it_confirmed_ends_the_trip_and_the_money_returns(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["cancelled by the supplier"]

    reading = reads(trip, "CANCELADA")

    assert_order(
        trip,
        "reservation.confirmed",
        "reservation.closed.supplier_cancelled",
        "refund.succeeded",
    )
    assert reading["refund"] == given_back()
    assert_books(backstage, trip, ALL_GIVEN_BACK)


def test_another_sum_than_the_price_waits_for_a_person_and_can_be_cancelled(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["another sum"]
    reading = seen_when(trip, lambda seen: bool(seen["requires_support"]), of="a call for help")
    assert reading["status"] == "EN PROCESO"
    taken = PRICE + 1
    assert_books(backstage, trip, Books(taken=1, kept=taken, booked=0, alive=0))

    answer = cancel(trip)
    reading = reads(trip, "CANCELADA")

    assert answer.status_code == httpx.codes.ACCEPTED
    assert reading["refund"] == given_back(taken)
    assert not reading["requires_support"]
    assert_books(backstage, trip, Books(taken=1, kept=Decimal(0), booked=0, alive=0))


def test_a_refused_refund_is_told_and_calls_for_a_person(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["refund rejected"]

    reading = seen_when(trip, lambda seen: bool(seen["requires_support"]), of="a call for help")

    assert reading["status"] == "RECHAZADA"
    assert reading["refund"] == given_back(status="failed")
    assert "refund.rejected" in types(trip)
    # The money that is still held is what the call for help is about.
    assert_books(backstage, trip, Books(taken=1, kept=PRICE, booked=0, alive=0))


def test_a_refused_cancellation_keeps_the_money_with_the_service_and_calls_for_a_person(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["cannot be cancelled"]
    reads(trip, "CONFIRMADA")

    answer = cancel(trip)
    reading = seen_when(trip, lambda seen: bool(seen["requires_support"]), of="a call for help")

    assert answer.status_code == httpx.codes.ACCEPTED
    assert reading["status"] == "EN CANCELACION"
    assert "booking_cancellation.rejected" in types(trip)
    # Nobody gets a service for nothing: money and booking stay until a person decides.
    assert_books(backstage, trip, PAID_AND_BOOKED)


# --- refused --------------------------------------------------------------------------------------


def test_a_cancellation_is_repeated_word_for_word_and_its_key_is_for_one_trip_only(
    api: httpx.Client,
) -> None:
    trip, other = depart(api, a_request()), depart(api, a_request())
    key = new_key()

    first, again = cancel(trip, key=key), cancel(trip, key=key)
    misused = cancel(other, key=key)

    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (misused.status_code, misused.json()["code"]) == (422, "idempotency_key_reused")
    assert "reservation.closed.customer_cancelled" not in types(other)


def test_a_trip_that_begins_today_cannot_be_cancelled_and_that_is_repeated_word_for_word(
    api: httpx.Client,
) -> None:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    trip = depart(api, a_request(offer={"starts_on": today}))
    key = new_key()

    first, again = cancel(trip, key=key), cancel(trip, key=key)

    assert (first.status_code, first.json()["code"]) == (409, "not_cancellable")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == first.content
    reads(trip, "CONFIRMADA")


def test_a_stranger_cancels_nothing_and_uses_up_no_key(
    api: httpx.Client, partner: httpx.Client, backstage: Backstage
) -> None:
    trip, other = depart(api, a_request()), depart(api, a_request())
    key = new_key()

    answers = [
        cancel(trip, key=key, bearer=other.bearer),
        cancel(Trip(api=partner, request=trip.request, created=trip.created), key=key),
    ]

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    kept = backstage.rows("SELECT 1 FROM idempotency WHERE idempotency_key = :key", key=key)
    assert kept == []
    assert CANCELLED not in types(trip)
    assert cancel(trip, key=key).status_code in (200, 202)


# --- webhooks -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def supplier_says(steady_stack: Json) -> Iterator[Callable[..., httpx.Response]]:
    """Send a webhook as the supplier does; `forged` signs it with another secret."""
    with httpx.Client(timeout=60, event_hooks={"response": [contract.judge]}) as client:

        def say(
            reference: str, *, webhook_id: str | None = None, age_s: int = 0, forged: bool = False
        ) -> httpx.Response:
            data = {"reference": reference, "booking_id": "bkg_any"}
            notice = {"type": "booking.cancelled", "timestamp": "2027-03-01T12:00:00Z"}
            body = json.dumps({**notice, "data": data}).encode()
            secret = key_of(steady_stack["webhook_secrets"]["supplier"])
            headers = signed_headers(
                b"not the secret" if forged else secret,
                webhook_id=webhook_id or f"msg_{uuid.uuid4().hex}",
                timestamp=int(time.time()) - age_s,
                body=body,
            )
            return client.post(
                f"{steady_stack['api_url']}/v1/webhooks/supplier",
                content=body,
                headers={"Content-Type": "application/json", **headers},
            )

        yield say


def postpone(backstage: Backstage, hand: Hand, trip: Trip, *, only: str = "%") -> bool:
    """Put off by a day every look that is not due yet; tell whether any was put off and still waits."""
    reservation = uuid.UUID(backstage.reference(trip)).bytes
    hand.change(
        "UPDATE provider_call SET check_at = check_at + INTERVAL 1 DAY"
        " WHERE reservation_id = :id AND status LIKE :only AND check_at > UTC_TIMESTAMP(6)",
        id=reservation,
        only=only,
    )
    hand.change(
        "UPDATE reservation SET next_check_at = next_check_at + INTERVAL 1 DAY"
        " WHERE id = :id AND next_check_at > UTC_TIMESTAMP(6)",
        id=reservation,
    )
    put_off = backstage.rows(
        "SELECT 1 FROM provider_call WHERE reservation_id = :id AND status LIKE :only"
        " AND check_at > UTC_TIMESTAMP(6) + INTERVAL 12 HOUR",
        id=reservation,
        only=only,
    )
    return bool(put_off)


def test_a_webhook_brings_on_what_is_pending_and_would_be_looked_at_tomorrow(
    api: httpx.Client, backstage: Backstage, hand: Hand
) -> None:
    def pending_and_put_off() -> Trip | None:
        """None when the payment was no longer pending by the time it was seen."""
        trip = depart(api, a_request(payment_token="tok_pending"))
        wait_for_row(backstage, trip, "charge", "pending")
        return trip if postpone(backstage, hand, trip, only="pending") else None

    trip = eventually(pending_and_put_off, of="a payment still pending when it is first seen")

    reads(trip, "CONFIRMADA")

    told = backstage.rows(
        "SELECT type FROM webhook WHERE provider = 'payments' AND reference = :reference",
        reference=backstage.reference(trip),
    )
    assert [row["type"] for row in told] == ["payment.succeeded"]
    assert_books(backstage, trip, PAID_AND_BOOKED)


def test_a_supplier_s_word_is_checked_and_only_its_own_books_end_a_trip(
    api: httpx.Client,
    backstage: Backstage,
    hand: Hand,
    steady_stack: Json,
    supplier_says: Callable[..., httpx.Response],
) -> None:
    trip = depart(api, a_request())
    reads(trip, "CONFIRMADA")
    eventually(lambda: backstage.mails_sent(trip), of=f"the mail about {trip.code}")
    reference = backstage.reference(trip)
    assert postpone(backstage, hand, trip)

    asked = len(looks(backstage, trip))
    assert supplier_says(reference).status_code == httpx.codes.OK
    eventually(lambda: len(looks(backstage, trip)) > asked, of=f"a look at {trip.code}")
    assert trip.read()["status"] == "CONFIRMADA"  # it was not true

    [booking] = backstage.live_bookings(trip)
    httpx.post(
        f"{steady_stack['supplier_url']}/bookings/{booking['booking_id']}/cancel",
        headers={"Authorization": "Bearer itself", "Idempotency-Key": f"itself:{reference}"},
        timeout=10,
    ).raise_for_status()
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
    reads(trip, "CONFIRMADA")
    eventually(lambda: backstage.mails_sent(trip), of=f"the mail about {trip.code}")
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


def test_a_webhook_about_a_reservation_that_is_not_there_is_taken_and_harmless(
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
