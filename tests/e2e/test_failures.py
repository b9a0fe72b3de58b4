"""Failures on the way, each as a short story that ends with consistent books at both providers."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Semaphore

import httpx
import pytest

from tests.e2e.backstage import Backstage
from tests.e2e.operators import Hand
from tests.e2e.stories import (
    ARRIVED,
    assert_books,
    assert_order,
    given_back,
    reads,
    seen_when,
    types,
    wait_for,
)
from tests.e2e.travel import Trip, a_request, cancel, depart, eventually, new_key
from tests.worlds.books import (
    ALL_GIVEN_BACK,
    NOTHING,
    ONLY_MONEY_GIVEN_BACK,
    PAID_AND_BOOKED,
    PRICE,
    Books,
)

pytestmark = pytest.mark.timeout(300)

AT_ONCE = 2  # that many set out together: each cold start costs the small machine a process
CANCELLED = "reservation.closed.customer_cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Events of a trip. It is cancelled when a call of that operation reaches that status.

    ARRIVED means that the provider's own ledger has the call, even if we do not know yet.
    """

    token: str = "tok_ok"
    offer: str = "HTL-MAD-001"
    cancelled_when: tuple[str, str] | None = None
    long_ago: bool = False  # made longer ago than a charge may take to arrive at all
    held_too_long: bool = False  # its charge was sent longer ago than it may stay pending


STORIES = {
    "cancelled at once": Story(cancelled_when=("reservation", "accepted")),
    "cancelled with the payment asked for": Story(
        token="tok_timeout", cancelled_when=("charge", ARRIVED)
    ),
    "cancelled with the payment pending": Story(
        token="tok_undecided", cancelled_when=("charge", "pending")
    ),
    "cancelled with the booking asked for": Story(
        offer="TMO-MAD-001", cancelled_when=("book", ARRIVED)
    ),
    "cancelled with the booking pending": Story(
        offer="PEN-MAD-001", cancelled_when=("book", "pending")
    ),
    "cancelled when confirmed": Story(cancelled_when=("mail", "sent")),
    "cancelled, then paid": Story(token="tok_late", cancelled_when=("charge", ARRIVED)),
    "cancelled, then booked": Story(offer="LAT-MAD-001", cancelled_when=("book", ARRIVED)),
    "expired, then paid": Story(token="tok_lost", long_ago=True),
    "pending too long": Story(token="tok_undecided", held_too_long=True),
    "never charged": Story(token="tok_lost", long_ago=True),
    "payment listed late": Story(token="tok_late"),
    "booking listed late": Story(offer="LAT-MAD-001"),
    "refund not answered": Story(token="tok_refund_timeout", offer="REJ-MAD-001"),
    "refund pending": Story(token="tok_refund_pending", offer="REJ-MAD-001"),
    "refund rejected": Story(token="tok_refund_rejected", offer="REJ-MAD-001"),
    "paid twice": Story(token="tok_twice"),
    "booked twice": Story(offer="TWI-MAD-001"),
    "cancelled by the supplier": Story(offer="CXL-MAD-001"),
    "another sum": Story(token="tok_wrong_amount"),
    "another sum, then cancelled": Story(
        token="tok_wrong_amount", cancelled_when=("charge", "succeeded")
    ),
    "cannot be cancelled": Story(offer="NOC-MAD-001", cancelled_when=("book", "succeeded")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A trip on its way, and the answer to its cancellation, if any."""

    trip: Trip
    answer: httpx.Response | None = None


Begin = Callable[[str], Begun]


# --- setting out ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def begun(api: httpx.Client, backstage: Backstage, hand: Hand) -> Iterator[Begin]:
    """All stories begin together and go on meanwhile, so that waiting for one is waiting for all."""
    gate = Semaphore(AT_ONCE)

    def set_out(story: Story) -> Trip:
        with gate:
            request = a_request(payment_token=story.token, offer={"offer_id": story.offer})
            return depart(api, request)

    def voided_for_its_age(trip: Trip) -> bool:
        """Repeat the change each time: a running step may overwrite it with an older state."""
        [charge] = backstage.calls(trip, "charge")
        sent_long_ago = "UPDATE provider_call SET sent_at = started_at - INTERVAL 5 MINUTE"
        hand.change(f"{sent_long_ago} WHERE id = :id", id=charge["id"])
        return bool(charge["status"] == "voided")

    def begin(name: str) -> Begun:
        story = STORIES[name]
        trip = set_out(story)
        if story.long_ago:
            wait_for(backstage, trip, "charge", "unknown")
            hand.change_trip(trip, "created_at = created_at - INTERVAL 15 MINUTE")
        if story.held_too_long:
            wait_for(backstage, trip, "charge", "pending")
            eventually(lambda: voided_for_its_age(trip), of=f"the void of {trip.code}")
        if story.cancelled_when is None:
            return Begun(trip=trip)
        wait_for(backstage, trip, *story.cancelled_when)
        return Begun(trip=trip, answer=cancel(trip))

    with ThreadPoolExecutor(len(STORIES)) as crowd:
        beginnings = {name: crowd.submit(begin, name) for name in STORIES}
        yield lambda name: beginnings[name].result()


# --- cancelled on the way -------------------------------------------------------------------------


def test_a_trip_cancelled_at_once_costs_nothing(begun: Begin, backstage: Backstage) -> None:
    story = begun("cancelled at once")

    reads(story.trip, "CANCELADA")

    assert story.answer is not None
    assert story.answer.status_code in (httpx.codes.OK, httpx.codes.ACCEPTED)
    assert_nothing_is_left(backstage, story.trip)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("cancelled with the payment asked for", "payment.started"),
        ("cancelled with the payment pending", "payment.started"),
        ("cancelled with the booking asked for", "booking.started"),
        ("cancelled with the booking pending", "booking.started"),
    ],
)
def test_a_trip_cancelled_while_a_provider_is_at_work_costs_nothing(
    begun: Begin, backstage: Backstage, name: str, before: str
) -> None:
    story = begun(name)

    reads(story.trip, "CANCELADA")

    assert story.answer is not None
    assert story.answer.status_code == httpx.codes.ACCEPTED
    assert story.answer.json()["status"] == "EN CANCELACION"
    assert_order(story.trip, before, CANCELLED, "reservation.ended")
    assert_nothing_is_left(backstage, story.trip)


def assert_nothing_is_left(backstage: Backstage, trip: Trip) -> None:
    """Assert that no money and no booking is left. Late calls may have been made and undone."""
    final = backstage.books(trip)
    assert (final.kept, final.alive) == (Decimal(0), 0), final


def test_a_confirmed_trip_that_is_cancelled_loses_its_voucher_and_is_refunded(
    begun: Begin, backstage: Backstage
) -> None:
    story = begun("cancelled when confirmed")
    trip = story.trip

    reading = reads(trip, "CANCELADA")

    assert story.answer is not None
    assert story.answer.status_code == httpx.codes.ACCEPTED
    assert story.answer.json()["status"] == "EN CANCELACION"
    assert reading["refund"] == given_back()
    assert reading["documents"] == []
    assert trip.get("/voucher").status_code == httpx.codes.NOT_FOUND
    assert_order(
        trip,
        "reservation.confirmed",
        "voucher.issued",
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


def test_a_booking_found_after_the_cancellation_is_cancelled_and_the_status_stays(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("cancelled, then booked").trip
    reads(trip, "CANCELADA")

    eventually(
        lambda: "booking_cancellation.succeeded" in types(trip),
        of=f"the end of the late booking of {trip.code}",
    )

    assert reads(trip, "CANCELADA")["refund"] == given_back()
    assert_order(trip, "booking.started", CANCELLED, "booking_cancellation.succeeded")
    assert "reservation.confirmed" not in types(trip)
    assert_books(backstage, trip, ALL_GIVEN_BACK)


# --- missing answers ------------------------------------------------------------------------------


def test_a_payment_that_is_neither_answered_nor_listed_for_a_while_is_taken_once(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("payment listed late").trip

    reads(trip, "CONFIRMADA")

    assert "payment.unknown" in types(trip)
    assert_books(backstage, trip, PAID_AND_BOOKED)


def test_a_booking_that_is_neither_answered_nor_listed_for_a_while_is_made_once(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("booking listed late").trip

    reads(trip, "CONFIRMADA")

    assert "booking.unknown" in types(trip)
    assert_books(backstage, trip, PAID_AND_BOOKED)


def test_a_refund_without_an_answer_is_made_once(begun: Begin, backstage: Backstage) -> None:
    trip = begun("refund not answered").trip

    reading = reads(trip, "RECHAZADA")

    assert reading["refund"] == given_back()
    assert_order(trip, "refund.started", "refund.succeeded")  # a webhook may come before we give up
    assert_books(backstage, trip, ONLY_MONEY_GIVEN_BACK)


def test_a_pending_refund_is_awaited(begun: Begin, backstage: Backstage) -> None:
    trip = begun("refund pending").trip

    reading = reads(trip, "RECHAZADA")

    assert reading["refund"] == given_back()
    assert_order(trip, "refund.pending", "refund.succeeded")
    assert_books(backstage, trip, ONLY_MONEY_GIVEN_BACK)


# --- too late -------------------------------------------------------------------------------------


def test_a_hold_that_could_not_be_charged_in_time_expires_without_a_cost(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("never charged").trip

    reading = reads(trip, "EXPIRADA")

    assert reading["refund"] is None
    assert_books(backstage, trip, NOTHING)


def test_a_payment_that_stays_pending_is_voided_when_the_hold_ends(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("pending too long").trip

    reading = reads(trip, "EXPIRADA")

    assert reading["refund"] is None
    assert [charge["status"] for charge in backstage.charges(trip)] == ["voided"]
    assert_books(backstage, trip, NOTHING)


@pytest.mark.parametrize(
    ("name", "word"), [("cancelled, then paid", "CANCELADA"), ("expired, then paid", "EXPIRADA")]
)
def test_a_payment_that_turns_up_after_the_end_is_refunded_and_the_status_stays(
    begun: Begin, backstage: Backstage, name: str, word: str
) -> None:
    trip = begun(name).trip
    reads(trip, word)
    if word == "EXPIRADA":  # listed late, a slow machine hears of it before the end
        backstage.take_late(trip)

    reading = seen_when(trip, lambda seen: seen["refund"] == given_back(), of="its money back")

    assert reading["status"] == word
    assert_books(backstage, trip, ONLY_MONEY_GIVEN_BACK)


# --- twice ----------------------------------------------------------------------------------------


def test_a_second_payment_is_found_and_refunded(begun: Begin, backstage: Backstage) -> None:
    trip = begun("paid twice").trip
    reads(trip, "CONFIRMADA")

    assert_books(backstage, trip, Books(taken=2, kept=PRICE, booked=1, alive=1))

    reading = reads(trip, "CONFIRMADA")
    assert reading["refund"] is None  # our own correction would only worry the traveler
    assert not reading["requires_support"]


def test_a_second_booking_is_found_and_cancelled(begun: Begin, backstage: Backstage) -> None:
    trip = begun("booked twice").trip
    reads(trip, "CONFIRMADA")

    assert_books(backstage, trip, Books(taken=1, kept=PRICE, booked=2, alive=1))

    [alive] = backstage.live_bookings(trip)

    def kept() -> list[str]:
        rows = backstage.calls(trip, "book")
        return [row["provider_id"] for row in rows if row["status"] == "succeeded"]

    eventually(
        lambda: kept() == [alive["booking_id"]], of=f"one booking on the ledger of {trip.code}"
    )
    assert reads(trip, "CONFIRMADA")["progress"]["supplier"] == "done"


# --- changes by the providers themselves ----------------------------------------------------------


def test_a_confirmed_booking_cancelled_by_the_supplier_cancels_and_refunds_the_trip(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("cancelled by the supplier").trip

    reading = reads(trip, "CANCELADA")

    assert_order(
        trip,
        "reservation.confirmed",
        "reservation.closed.supplier_cancelled",
        "refund.succeeded",
    )
    assert reading["refund"] == given_back()
    assert_books(backstage, trip, ALL_GIVEN_BACK)
    eventually(
        lambda: kept_webhook_types(backstage, trip) == ["booking.cancelled"],
        of=f"the supplier's webhook about {trip.code}",
    )


def kept_webhook_types(backstage: Backstage, trip: Trip) -> list[str]:
    told = backstage.rows(
        "SELECT type FROM webhook WHERE reference = :reference",
        reference=backstage.reference(trip),
    )
    return [row["type"] for row in told]


def test_another_sum_than_the_price_waits_for_a_person(begun: Begin, backstage: Backstage) -> None:
    trip = begun("another sum").trip

    reading = seen_when(trip, lambda seen: bool(seen["requires_support"]), of="a call for help")

    assert reading["status"] == "EN PROCESO"
    # The review is about the other sum.
    assert_books(backstage, trip, Books(taken=1, kept=PRICE + 1, booked=0, alive=0))


def test_a_trip_with_another_sum_than_the_price_can_be_cancelled_and_is_refunded_in_full(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("another sum, then cancelled").trip

    reading = reads(trip, "CANCELADA")

    assert reading["refund"] == given_back(PRICE + 1)
    assert not reading["requires_support"]
    assert_books(backstage, trip, ONLY_MONEY_GIVEN_BACK)


def test_a_refused_refund_is_shown_and_needs_a_person(begun: Begin, backstage: Backstage) -> None:
    trip = begun("refund rejected").trip

    reading = seen_when(trip, lambda seen: bool(seen["requires_support"]), of="a call for help")

    assert reading["status"] == "RECHAZADA"
    assert reading["refund"] == given_back(status="failed")
    assert "refund.rejected" in types(trip)
    # The review is about the money that was not refunded.
    assert_books(backstage, trip, Books(taken=1, kept=PRICE, booked=0, alive=0))


def test_a_refused_cancellation_keeps_money_and_booking_and_needs_a_person(
    begun: Begin, backstage: Backstage
) -> None:
    trip = begun("cannot be cancelled").trip

    reading = seen_when(trip, lambda seen: bool(seen["requires_support"]), of="a call for help")

    assert reading["status"] == "EN CANCELACION"
    assert "booking_cancellation.rejected" in types(trip)
    # No service without payment: money and booking stay until a person decides.
    assert_books(backstage, trip, PAID_AND_BOOKED)


# --- refused --------------------------------------------------------------------------------------


def test_a_cancellation_is_repeated_word_for_word_and_its_key_is_for_one_trip_only(
    api: httpx.Client, backstage: Backstage
) -> None:
    trip, other = depart(api, a_request()), depart(api, a_request())
    key = new_key()

    first, again = cancel(trip, key=key), cancel(trip, key=key)
    misused = cancel(other, key=key)

    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (misused.status_code, misused.json()["code"]) == (422, "idempotency_key_reused")
    reads(other, "CONFIRMADA")
    assert_books(backstage, other, PAID_AND_BOOKED)
    reads(trip, "CANCELADA")
    assert_nothing_is_left(backstage, trip)


def test_a_trip_that_begins_today_cannot_be_cancelled_and_that_is_repeated_word_for_word(
    api: httpx.Client,
) -> None:
    today = datetime.now(UTC).date()
    dates = {"starts_on": f"{today}", "ends_on": f"{today + timedelta(days=3)}"}
    trip = depart(api, a_request(offer=dates))
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
