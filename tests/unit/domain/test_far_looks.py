"""Far looks: their times, their spread, and that none is lost or taken late."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from reservations.domain.facts import Operation, Reason, Status
from reservations.domain.far_looks import next_far_look, take_far_look
from reservations.domain.plan import settle
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import Reservation
from tests.worlds.builders import (
    HOUR,
    NOON,
    SECOND,
    a_booking,
    a_cancellation,
    a_charge,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)

DAY = timedelta(days=1)
FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)  # the lowest and the highest share
STARTS_AT = datetime(2027, 5, 1, tzinfo=UTC)


def confirmed(reservation_id: UUID = FIRST_ID, **changes: object) -> Reservation:
    """A confirmed reservation at rest, of a trip in two months."""
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    reservation = a_reservation(
        facts=replace(facts, reservation_id=reservation_id),
        documents=(a_voucher(),),
        sends=(a_send(),),
    )
    return replace(reservation, reservation_id=reservation_id, **changes)  # type: ignore[arg-type]


def settled(reservation: Reservation, now: datetime) -> Reservation:
    settlement = settle(reservation, Moment(now, STANDARD))
    return replace(settlement.reservation, next_check_at=settlement.next_check_at)


def looked_at(before: Reservation, after: Reservation, now: datetime) -> set[Operation]:
    """The operations whose calls became due."""
    pairs = zip(before.facts.calls, after.facts.calls, strict=True)
    return {new.operation for old, new in pairs if new.check_at == now != old.check_at}


def test_far_looks_come_at_the_supplier_twice_and_at_payments_once() -> None:
    reservation, taken = settled(confirmed(), NOON), []
    while reservation.next_look_at is not None:
        now = reservation.next_look_at
        after = take_far_look(reservation, Moment(now, STANDARD))
        taken.append((STARTS_AT - now, looked_at(reservation, after, now)))
        reservation = settled(after, now)

    assert taken == [
        (7 * DAY, {Operation.BOOK}),
        (1 * DAY, {Operation.BOOK, Operation.CHARGE}),
    ]


def test_a_far_look_leaves_a_reservation_settled() -> None:
    reservation = settled(confirmed(), NOON)

    assert reservation.next_look_at == STARTS_AT - 7 * DAY
    assert reservation.next_check_at is None


@pytest.mark.parametrize(
    ("reservation_id", "after"), [(FIRST_ID, 0 * HOUR), (LAST_ID, 12 * HOUR - SECOND)]
)
def test_far_looks_are_spread_over_twelve_hours(reservation_id: UUID, after: timedelta) -> None:
    planned = settled(confirmed(reservation_id), NOON).next_look_at

    assert planned is not None
    late = planned - (STARTS_AT - 7 * DAY)
    assert after <= late < 12 * HOUR
    assert late - after < SECOND


@pytest.mark.parametrize(
    ("now", "planned"),
    [
        (STARTS_AT - 7 * DAY, STARTS_AT - 1 * DAY),
        (STARTS_AT - 2 * DAY, STARTS_AT - 1 * DAY),
        (STARTS_AT - 1 * DAY, None),
        (STARTS_AT + 1 * DAY, None),
    ],
)
def test_moments_that_passed_before_the_confirmation_are_skipped(
    now: datetime, planned: datetime | None
) -> None:
    assert next_far_look(confirmed(), Moment(now, STANDARD)) == planned


def test_a_due_look_is_not_lost_by_a_transaction_about_something_else() -> None:
    reservation = settled(confirmed(), NOON)
    due = reservation.next_look_at
    assert due is not None

    for _ in range(3):  # the poller is late, and other work settles the reservation
        reservation = settled(reservation, due + HOUR)

    assert reservation.next_look_at == due
    taken = take_far_look(reservation, Moment(due + 2 * HOUR, STANDARD))
    assert looked_at(reservation, taken, due + 2 * HOUR) == {Operation.BOOK}


def test_a_look_that_was_put_off_past_the_next_one_takes_both() -> None:
    reservation, now = settled(confirmed(), NOON), STARTS_AT

    taken = take_far_look(reservation, Moment(now, STANDARD))

    assert looked_at(reservation, taken, now) == {Operation.BOOK, Operation.CHARGE}
    assert settled(taken, now).next_look_at is None


def test_no_look_is_taken_before_its_time() -> None:
    reservation = settled(confirmed(), NOON)

    assert take_far_look(reservation, Moment(NOON + HOUR, STANDARD)) is reservation


def test_the_times_of_far_looks_do_not_move() -> None:
    reservation = settled(confirmed(), NOON)

    assert settled(reservation, NOON + 30 * DAY).next_look_at == reservation.next_look_at


def test_a_cancelled_trip_is_looked_at_once_for_its_money_and_its_booking() -> None:
    facts = some_facts(
        a_charge(),
        a_booking(Status.CANCELLED),
        a_cancellation(),
        a_refund(),
        reason=Reason.CUSTOMER_CANCELLED,
        ended_at=NOON,
    )
    reservation = a_reservation(facts=facts)
    now = next_far_look(reservation, Moment(NOON, STANDARD))

    assert now is not None
    assert STARTS_AT - DAY <= now < STARTS_AT
    planned = replace(reservation, next_look_at=now)
    taken = take_far_look(planned, Moment(now, STANDARD))
    assert looked_at(planned, taken, now) == {Operation.CHARGE, Operation.BOOK}


def test_a_reservation_without_a_payment_has_no_far_look() -> None:
    expired = a_reservation(a_charge(Status.NOT_FOUND), reason=Reason.EXPIRED)

    assert next_far_look(expired, Moment(NOON, STANDARD)) is None


def test_a_payment_that_was_refused_is_looked_at_once_more_before_the_trip() -> None:
    declined = a_reservation(a_charge(Status.DECLINED), reason=Reason.PAYMENT_DECLINED)

    assert next_far_look(declined, Moment(NOON, STANDARD)) is not None


def test_a_trip_of_tomorrow_has_no_far_look_in_the_past() -> None:
    tomorrow = confirmed(LAST_ID, offer=an_offer(starts_on=date(2027, 3, 2)))

    assert next_far_look(tomorrow, Moment(NOON, STANDARD)) is None
