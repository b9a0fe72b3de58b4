"""Failures on the way, each as a short story until its end, with the production durations.

Each story ends settled or in review, and with balanced books at both providers.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from math import ceil

import pytest

from local.simulators.payments import Payments
from local.simulators.provider import Times
from local.simulators.supplier import Supplier
from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.supplier_api import HttpSupplierApi
from reservations.domain.actions import Verb
from reservations.domain.errors import NotCancellableError
from reservations.domain.facts import Decision, Operation, Reason, Status
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD
from reservations.domain.words import PublicStatus, Review, State
from tests.handlers.conftest import Surroundings
from tests.handlers.journey import Journey, departed, next_door, times
from tests.worlds.books import (
    ALL_GIVEN_BACK,
    NOTHING,
    ONLY_MONEY_GIVEN_BACK,
    PAID_AND_BOOKED,
    PRICE,
    Books,
)
from tests.worlds.builders import HOUR, MINUTE, SECOND

DAY = timedelta(days=1)
CHARGE, REFUND = r"POST /payments", r"POST /payments/\w+/refunds"
VOID = r"POST /payments/\w+/void"
BOOK, CANCEL = r"POST /bookings", r"POST /bookings/\w+/cancel"
CANCELLED = "reservation.closed.customer_cancelled"

Depart = Callable[..., Journey]
SOON = times()


@pytest.fixture
def depart(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Depart]:
    """Make a reservation at providers that keep the given times."""
    with ExitStack() as opened:

        def make(
            token: str = "tok_ok",
            offer: str = "HTL-MAD-001",
            at: Times = SOON,
            days_ahead: int = 60,
        ) -> Journey:
            payments = opened.enter_context(next_door(Payments, at, around))
            supplier = opened.enter_context(next_door(Supplier, at, around))
            monkeypatch.setattr(around, "payments_api", lambda: HttpPaymentsApi(payments.client()))
            monkeypatch.setattr(around, "supplier_api", lambda: HttpSupplierApi(supplier.client()))
            return departed(
                around, payments, supplier, token=token, offer=offer, days_ahead=days_ahead
            )

        yield make


def assert_ended(trip: Journey, word: PublicStatus, books: Books) -> None:
    """Travel to the end, days of aftercare included: the trip is settled without a review."""
    trip.travel_to_the_end()

    assert trip.word is word
    assert trip.review == frozenset()
    assert trip.stored.next_check_at is None
    assert trip.books() == books


def assert_stopped(trip: Journey, word: PublicStatus, review: Review, books: Books) -> None:
    """Travel to the end: the trip waits for a person."""
    trip.travel_to_the_end()

    assert trip.word is word
    assert trip.review == {review}
    assert trip.books() == books


# --- cancellations on the way ---------------------------------------------------------------------

MOMENTS: dict[str, tuple[str, str, Callable[[Journey], bool]]] = {
    "before any request": ("tok_ok", "HTL-", lambda _: True),
    "while a payment has no answer": (
        "tok_timeout",
        "HTL-",
        lambda trip: trip.has(Operation.CHARGE, Status.UNKNOWN),
    ),
    "while a payment is pending": (
        "tok_pending",
        "HTL-",
        lambda trip: trip.has(Operation.CHARGE, Status.PENDING),
    ),
    "when it is paid": ("tok_ok", "HTL-", lambda trip: trip.stored.standing.state is State.PAID),
    "while a booking has no answer": (
        "tok_ok",
        "TMO-",
        lambda trip: trip.has(Operation.BOOK, Status.UNKNOWN),
    ),
    "while a booking is pending": (
        "tok_ok",
        "PEN-",
        lambda trip: trip.has(Operation.BOOK, Status.PENDING),
    ),
    "when it is confirmed": ("tok_ok", "HTL-", lambda trip: trip.word is PublicStatus.CONFIRMADA),
    "with its voucher": ("tok_ok", "HTL-", lambda trip: trip.stored.voucher is not None),
    "with its mail": ("tok_ok", "HTL-", lambda trip: bool(trip.stored.sends)),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_trip_cancelled_between_two_steps_costs_nothing(depart: Depart, moment: str) -> None:
    token, offer, reached = MOMENTS[moment]
    trip = depart(token, f"{offer}MAD-001")
    trip.travel(until=reached)

    trip.cancel()

    trip.travel_to_the_end()
    books = trip.books()
    assert_ended(trip, PublicStatus.CANCELADA, replace(books, kept=Decimal(0), alive=0))


@pytest.mark.parametrize(
    ("request_line", "books"),
    [
        (CHARGE, ONLY_MONEY_GIVEN_BACK),
        (r"GET /payments", ONLY_MONEY_GIVEN_BACK),
        (BOOK, ALL_GIVEN_BACK),
        (r"GET /bookings", ALL_GIVEN_BACK),
    ],
)
def test_a_trip_cancelled_while_a_request_is_on_its_way_costs_nothing(
    depart: Depart, request_line: str, books: Books
) -> None:
    offer = "TMO-MAD-001" if "bookings" in request_line else "HTL-MAD-001"
    trip = depart("tok_timeout", offer)
    for provider in (trip.payments, trip.supplier):
        provider.meanwhile = (request_line, trip.cancel)

    trip.travel(until=lambda trip: trip.stored.facts.reason is not None)

    assert_ended(trip, PublicStatus.CANCELADA, books)


def test_a_rejected_trip_is_not_cancellable(depart: Depart) -> None:
    trip = depart(offer="REJ-MAD-001")
    trip.travel(until=lambda trip: trip.has(Operation.REFUND))

    with pytest.raises(NotCancellableError):
        trip.cancel()

    assert_ended(trip, PublicStatus.RECHAZADA, ONLY_MONEY_GIVEN_BACK)


# --- holds ----------------------------------------------------------------------------------------


def test_a_payments_outage_longer_than_the_hold_does_not_expire_the_trip(depart: Depart) -> None:
    trip = depart()
    trip.payments.faults("outage")
    trip.travel_for(STANDARD.hold * 4)
    assert trip.word is PublicStatus.EN_PROCESO

    trip.payments.faults("ok")

    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)


def test_a_trip_not_charged_for_two_hours_expires_without_a_cost(
    depart: Depart,
) -> None:
    trip = depart()
    trip.payments.faults("outage")
    trip.travel_for(STANDARD.hold_limit + STANDARD.grace + MINUTE)
    assert trip.word is PublicStatus.EXPIRADA

    trip.payments.faults("ok")

    assert_ended(trip, PublicStatus.EXPIRADA, NOTHING)


def test_a_pending_payment_that_succeeds_within_the_grace_is_kept(depart: Depart) -> None:
    trip = depart("tok_pending", at=times(pending=STANDARD.hold + STANDARD.grace - SECOND))

    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)


def test_a_pending_payment_is_voided_when_its_hold_ends_and_the_trip_expires(
    depart: Depart,
) -> None:
    trip = depart("tok_undecided")

    assert_ended(trip, PublicStatus.EXPIRADA, NOTHING)

    [voided] = trip.times_of("void")
    assert STANDARD.hold + STANDARD.grace <= voided < STANDARD.hold + STANDARD.grace + MINUTE
    assert trip.has(Operation.CHARGE, Status.VOIDED)
    assert not trip.has(Operation.BOOK)
    assert not trip.has(Operation.REFUND)


def test_a_payment_that_succeeds_before_its_void_arrives_is_kept(depart: Depart) -> None:
    trip = depart("tok_pending", at=times(pending=STANDARD.hold + STANDARD.grace + 10 * SECOND))
    trip.payments.meanwhile = (VOID, lambda: trip.wait(MINUTE))

    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)

    assert len(trip.times_of("void")) == 1


# --- missing answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "offer", "unknown"),
    [
        ("tok_timeout", "HTL-MAD-001", "payment.unknown"),
        ("tok_late", "HTL-MAD-001", "payment.not_found"),
        ("tok_ok", "TMO-MAD-001", "booking.unknown"),
        ("tok_ok", "LAT-MAD-001", "booking.not_found"),
    ],
)
def test_a_charge_or_booking_without_an_answer_is_found_and_made_once(
    depart: Depart, token: str, offer: str, unknown: str
) -> None:
    trip = depart(token, offer, at=times(late=12 * MINUTE))

    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)

    assert unknown in trip.events


def test_an_unknown_charge_is_inquired_up_the_ladder_until_it_is_certainly_absent(
    depart: Depart,
) -> None:
    trip = depart("tok_flaky")
    sure = STANDARD.call_limit + STANDARD.visibility

    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)

    first, second, *_ = trip.times_of("charge")
    looks = [at for at in trip.times_of("inquire") if at < second]
    pauses = [later - earlier for earlier, later in zip([first, *looks], looks, strict=False)]
    assert second - first >= sure
    assert len(looks) >= 2
    assert pauses[:3] == list(STANDARD.ladder[:3])


@pytest.mark.parametrize(
    ("request_line", "unknown"),
    [(REFUND, "refund.unknown"), (CANCEL, "booking_cancellation.unknown")],
)
def test_a_refund_or_a_cancellation_without_an_answer_is_made_once(
    depart: Depart, request_line: str, unknown: str
) -> None:
    trip = depart()
    trip.travel(until=lambda trip: trip.word is PublicStatus.CONFIRMADA)
    trip.payments.mute = trip.supplier.mute = [request_line]

    trip.cancel()

    assert_ended(trip, PublicStatus.CANCELADA, ALL_GIVEN_BACK)
    assert unknown in trip.events


@pytest.mark.parametrize("provider", ["payments", "supplier"])
def test_a_cancellation_blocked_by_an_outage_is_completed_after_it(
    depart: Depart, provider: str
) -> None:
    trip = depart()
    trip.travel(until=lambda trip: trip.word is PublicStatus.CONFIRMADA)
    door = getattr(trip, provider)
    door.faults("outage")
    trip.cancel()
    trip.travel_for(20 * MINUTE)
    assert trip.word is PublicStatus.EN_CANCELACION

    door.faults("ok")

    assert_ended(trip, PublicStatus.CANCELADA, ALL_GIVEN_BACK)


# --- late charges and bookings --------------------------------------------------------------------


def test_a_payment_found_after_the_cancellation_is_refunded_and_the_status_stays(
    depart: Depart,
) -> None:
    trip = depart("tok_late", at=times(late=3 * HOUR))
    trip.travel(until=lambda trip: trip.has(Operation.CHARGE, Status.UNKNOWN))
    trip.cancel()
    trip.travel_for(HOUR)
    assert trip.word is PublicStatus.CANCELADA

    assert_ended(trip, PublicStatus.CANCELADA, ONLY_MONEY_GIVEN_BACK)


def test_a_payment_found_after_the_hold_expired_is_refunded_and_the_status_stays(
    depart: Depart,
) -> None:
    trip = depart("tok_late", at=times(late=DAY))
    trip.travel_for(12 * HOUR)
    assert trip.word is PublicStatus.EXPIRADA

    assert_ended(trip, PublicStatus.EXPIRADA, ONLY_MONEY_GIVEN_BACK)


def test_a_booking_found_after_the_cancellation_is_cancelled_and_the_status_stays(
    depart: Depart,
) -> None:
    trip = depart(offer="LAT-MAD-001", at=times(late=3 * HOUR))
    trip.travel(until=lambda trip: trip.has(Operation.BOOK, Status.UNKNOWN))
    trip.cancel()
    trip.travel_for(HOUR)
    assert trip.word is PublicStatus.CANCELADA

    assert_ended(trip, PublicStatus.CANCELADA, ALL_GIVEN_BACK)


# --- duplicates -----------------------------------------------------------------------------------


def test_a_second_payment_is_found_and_refunded(depart: Depart) -> None:
    trip = depart("tok_twice")

    assert_ended(trip, PublicStatus.CONFIRMADA, replace(PAID_AND_BOOKED, taken=2))


def test_a_second_booking_is_found_and_cancelled(depart: Depart) -> None:
    trip = depart(offer="TWI-MAD-001")

    assert_ended(trip, PublicStatus.CONFIRMADA, replace(PAID_AND_BOOKED, booked=2))


def test_cancelling_a_trip_paid_and_booked_twice_leaves_nothing(
    depart: Depart,
) -> None:
    trip = depart("tok_twice", "TWI-MAD-001")
    trip.travel(until=lambda trip: trip.word is PublicStatus.CONFIRMADA)

    trip.cancel()

    assert_ended(trip, PublicStatus.CANCELADA, Books(taken=2, kept=Decimal(0), booked=2, alive=0))


# --- unexpected acts of providers -----------------------------------------------------------------


@pytest.mark.parametrize("after", [HOUR / 2, 10 * DAY])
def test_a_confirmed_booking_cancelled_by_the_supplier_cancels_and_refunds_the_trip(
    depart: Depart, after: timedelta
) -> None:
    """Without a webhook, the look after an hour finds it, or the far look a week before the trip."""
    trip = depart(offer="CXL-MAD-001", at=times(pending=after), days_ahead=20)
    trip.travel_for(after - MINUTE)
    assert trip.word is PublicStatus.CONFIRMADA

    assert_ended(trip, PublicStatus.CANCELADA, ALL_GIVEN_BACK)
    assert trip.stored.facts.reason is Reason.SUPPLIER_CANCELLED


@pytest.mark.parametrize(
    ("token", "taken"),
    [("tok_wrong_amount", Money(34350, "EUR")), ("tok_wrong_currency", Money(34250, "USD"))],
)
def test_a_charge_of_another_amount_or_currency_waits_for_a_person(
    depart: Depart, token: str, taken: Money
) -> None:
    trip = depart(token)

    kept = Books(taken=1, kept=Decimal(taken.amount), booked=0, alive=0)
    assert_stopped(trip, PublicStatus.EN_PROCESO, Review.MONEY_MISMATCH, kept)

    [charge] = trip.stored.facts.of(Operation.CHARGE)
    assert charge.money == taken
    trip.cancel()
    assert_ended(trip, PublicStatus.CANCELADA, ONLY_MONEY_GIVEN_BACK)


def test_a_trip_continues_after_an_operator_accepts_its_amount(depart: Depart) -> None:
    trip = depart("tok_wrong_amount")
    trip.travel_to_the_end()

    trip.decide(Decision.PAID)

    assert_ended(trip, PublicStatus.CONFIRMADA, replace(PAID_AND_BOOKED, kept=PRICE + 1))


def test_an_answer_with_the_reference_of_another_payment_is_no_answer_and_an_alarm(
    depart: Depart,
) -> None:
    trip = depart("tok_wrong_reference")

    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)

    assert "payment.unknown" in trip.events
    alarms = [line["alarm"] for line in trip.around.logs.saying("provider answer needs a person")]
    assert alarms == ["foreign_reference"]


# --- refusals -------------------------------------------------------------------------------------


def test_a_refused_refund_keeps_the_status_and_waits_for_a_person(depart: Depart) -> None:
    trip = depart("tok_refund_rejected", "REJ-MAD-001")

    # The review is about the money that was not refunded.
    held = Books(taken=1, kept=PRICE, booked=0, alive=0)
    assert_stopped(trip, PublicStatus.RECHAZADA, Review.REFUND_REFUSED, held)


def test_a_refused_cancellation_refunds_nothing_and_waits_for_a_person(
    depart: Depart,
) -> None:
    trip = depart(offer="NOC-MAD-001")
    trip.travel(until=lambda trip: trip.word is PublicStatus.CONFIRMADA)

    trip.cancel()

    assert_stopped(trip, PublicStatus.EN_CANCELACION, Review.CANCEL_REFUSED, PAID_AND_BOOKED)


def test_a_pending_refund_is_awaited(depart: Depart) -> None:
    trip = depart("tok_refund_pending", "REJ-MAD-001", at=times(pending=5 * HOUR))

    assert_ended(trip, PublicStatus.RECHAZADA, ONLY_MONEY_GIVEN_BACK)


# --- aftercare ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days_ahead", "looks"),
    [
        (40, ["charge", "book", "book -7", "book -1", "charge -1"]),
        (7, ["charge", "book", "book -1", "charge -1"]),
        (1, ["charge", "book"]),
    ],
    ids=lambda value: value if isinstance(value, int) else f"{len(value) + 2} requests",
)
def test_an_ordinary_trip_costs_a_charge_a_booking_and_few_looks(
    depart: Depart, days_ahead: int, looks: list[str]
) -> None:
    """One look each after an hour, and far looks shortly before the trip, unless that time is past."""
    trip = depart(days_ahead=days_ahead)
    accepted_at, starts_at = trip.now, trip.now.replace(hour=0) + days_ahead * DAY

    trip.travel_for((days_ahead + 1) * DAY)

    made = trip.around.database.attempts[trip.reservation_id]
    charge, book, *later = [(attempt.verb, attempt.call_key, attempt.sent_at) for attempt in made]
    assert (charge[0], book[0]) == (Verb.CHARGE, Verb.BOOK)
    seen = []
    for verb, key, at in later:
        assert verb is Verb.INQUIRE
        soon = at < accepted_at + 2 * HOUR
        seen.append(key.split(":")[0] + ("" if soon else f" -{ceil((starts_at - at) / DAY)}"))
    assert sorted(seen) == sorted(looks)
    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)


@pytest.mark.parametrize(
    ("token", "offer", "operation"),
    [
        ("tok_timeout", "HTL-MAD-001", Operation.CHARGE),
        ("tok_ok", "TMO-MAD-001", Operation.BOOK),
    ],
)
def test_a_charge_or_booking_that_was_in_doubt_is_looked_at_five_times(
    depart: Depart, token: str, offer: str, operation: Operation
) -> None:
    trip = depart(token, offer)

    assert_ended(trip, PublicStatus.CONFIRMADA, PAID_AND_BOOKED)

    [call] = trip.stored.facts.of(operation)
    assert call.closed_at is not None
    looks = [
        round((attempt.sent_at - call.closed_at) / MINUTE)
        for attempt in trip.around.database.attempts[trip.reservation_id]
        if attempt.call_key == call.key and attempt.sent_at > call.closed_at
    ]
    assert looks == [round(after / MINUTE) for after in STANDARD.aftercare]
