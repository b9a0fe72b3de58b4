"""The end of a transaction: an action, a time to wake up, or rest."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reservations.domain.facts import Call, Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.plan import Settlement, hint_lease, settle
from reservations.domain.policy import SHORT, STANDARD, Moment, Policy
from reservations.domain.reservation import MailKind, MailStatus, Reservation
from reservations.domain.verdict import conclude
from reservations.domain.words import State
from tests.worlds.builders import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    a_booking,
    a_charge,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)


def settled(reservation: Reservation, policy: Policy = STANDARD) -> Settlement:
    return settle(reservation, Moment(NOON, policy))


@pytest.mark.parametrize("policy", [STANDARD, SHORT])
def test_a_new_reservation_hints_to_the_payment_step_and_repeats_a_lost_hint(
    policy: Policy,
) -> None:
    result = settled(a_reservation(), policy)

    assert result.hints == ((Queue.PAYMENT, "payment.due"),)
    assert result.next_check_at == NOON + policy.hint_lease


def test_a_paid_reservation_hints_to_the_supplier_step() -> None:
    result = settled(a_reservation(a_charge()))

    assert result.hints == ((Queue.SUPPLIER, "supplier.due"),)


def test_a_call_in_flight_only_sets_the_timer() -> None:
    result = settled(a_reservation(a_charge(Status.STARTED)))

    assert result.hints == ()
    assert result.next_check_at == NOON + 30 * SECOND


def test_a_confirmed_reservation_hints_to_the_voucher_step() -> None:
    result = settled(a_reservation(a_charge(), a_booking()))

    assert result.hints == ((Queue.VOUCHER, "voucher.due"),)
    assert result.next_check_at == NOON + STANDARD.hint_lease


def test_money_and_mail_get_their_hints_together() -> None:
    result = settled(a_reservation(a_charge(), reason=Reason.SUPPLIER_REJECTED))

    assert result.hints == (
        (Queue.PAYMENT, "payment.due"),
        (Queue.NOTIFICATION, "notification.due"),
    )


def test_a_reservation_that_is_done_rests() -> None:
    done = a_reservation(a_charge(), a_booking(), documents=(a_voucher(),), sends=(a_send(),))

    result = settled(done)

    assert (result.hints, result.next_check_at) == ((), None)


@pytest.mark.parametrize(
    ("look_after", "mail_after", "wakes_after"),
    [(HOUR, MINUTE, MINUTE), (MINUTE, HOUR, MINUTE)],
)
def test_the_earlier_of_the_two_timers_wins(
    look_after: timedelta, mail_after: timedelta, wakes_after: timedelta
) -> None:
    waiting = a_reservation(
        a_charge(check_at=NOON + look_after),
        a_booking(),
        documents=(a_voucher(),),
        sends=(a_send(status=MailStatus.UNKNOWN, check_at=NOON + mail_after),),
    )

    assert settled(waiting).next_check_at == NOON + wakes_after


def test_a_mail_to_repeat_keeps_a_finished_saga_awake() -> None:
    waiting = a_reservation(
        a_charge(),
        a_booking(),
        documents=(a_voucher(),),
        sends=(a_send(status=MailStatus.UNKNOWN, check_at=NOON + MINUTE),),
    )

    assert settled(waiting).next_check_at == NOON + MINUTE


@pytest.mark.parametrize(
    ("call", "wakes_after"),
    [
        (a_charge(Status.PENDING, check_at=NOON + HOUR, deadline_at=NOON + SECOND), SECOND),
        (a_charge(Status.PENDING, check_at=NOON + MINUTE, deadline_at=NOON), MINUTE),
    ],
)
def test_a_reservation_wakes_when_a_call_becomes_late_so_that_the_review_shows(
    call: Call, wakes_after: timedelta
) -> None:
    told = a_send(MailKind.UNDER_REVIEW)

    assert settled(a_reservation(call, sends=(told,))).next_check_at == NOON + wakes_after


def test_a_reservation_wakes_when_a_refund_that_never_arrived_becomes_late() -> None:
    owed = a_refund(Status.NOT_FOUND, check_at=NOON + HOUR, deadline_at=NOON + MINUTE)
    sent = a_send(MailKind.EXPIRED)
    reservation = a_reservation(a_charge(), owed, sends=(sent,), reason=Reason.EXPIRED)

    assert settled(reservation).next_check_at == NOON + MINUTE


def test_a_case_takes_the_verdict_before_its_action() -> None:
    lapsed = a_reservation(facts=some_facts(created_at=NOON - STANDARD.hold_limit - STANDARD.grace))

    result = settled(lapsed)

    assert result.reservation.facts.reason is Reason.EXPIRED
    assert result.reservation.facts.ended_at == NOON
    assert result.hints == ((Queue.NOTIFICATION, "notification.due"),)


def test_a_rejected_booking_closes_and_the_refund_is_due_at_once() -> None:
    rejected = a_reservation(a_charge(), a_booking(Status.DECLINED))

    result = settled(rejected)

    assert result.reservation.standing.state is State.REFUND_IN_PROGRESS
    assert (Queue.PAYMENT, "payment.due") in result.hints


def test_open_facts_conclude_nothing() -> None:
    waiting = a_reservation(a_charge(Status.STARTED)).standing

    assert conclude(waiting, Moment(NOON, STANDARD)) is waiting


def lease_of(reservation: Reservation, at: Moment) -> timedelta:
    return hint_lease(settle(reservation, at), at)


@pytest.mark.parametrize(
    ("waited", "lease"),
    [
        (-MINUTE, 30 * SECOND),
        (SECOND, 30 * SECOND),
        (MINUTE, MINUTE),
        (HOUR, 5 * MINUTE),
    ],
)
def test_the_hint_lease_grows_with_the_time_overdue(waited: timedelta, lease: timedelta) -> None:
    begun = a_charge(Status.STARTED, check_at=NOON)
    mail = a_send(status=MailStatus.UNKNOWN, check_at=NOON)

    for waiting in (
        a_reservation(begun, updated_at=NOON + waited),
        a_reservation(a_charge(), a_booking(), sends=(mail,), updated_at=NOON + waited),
        a_reservation(),
    ):
        assert lease_of(waiting, Moment(NOON + waited, STANDARD)) == lease


@pytest.mark.parametrize(
    ("reason", "lease"),
    [(None, STANDARD.look_lease_limit), (Reason.CUSTOMER_CANCELLED, STANDARD.hint_lease_limit)],
    ids=["a late look alone", "a refund waits behind it"],
)
def test_only_a_late_look_that_nothing_waits_for_is_repeated_least_often(
    reason: Reason | None, lease: timedelta
) -> None:
    looked_at = a_reservation(
        a_charge(check_at=NOON),
        a_booking(),
        reason=reason,
        documents=(a_voucher(),),
        sends=(a_send(), a_send(MailKind.CANCELLED)),
    )

    late = Moment(NOON + 6 * HOUR, STANDARD)
    assert lease_of(looked_at, late) == lease


def test_the_lease_grows_with_the_time_since_the_first_due_call() -> None:
    waiting = a_reservation(
        a_charge(check_at=NOON + MINUTE),
        a_booking(check_at=NOON),
        sends=(a_send(status=MailStatus.UNKNOWN, check_at=NOON + HOUR),),
        updated_at=NOON + MINUTE,
    )

    assert lease_of(waiting, Moment(NOON + 2 * MINUTE, STANDARD)) == 2 * MINUTE


# --- hints under way


def leased(reservation: Reservation, *, until: datetime) -> Reservation:
    return replace(reservation, next_check_at=until)


REFUNDED_NEXT = a_reservation(a_charge(), reason=Reason.SUPPLIER_REJECTED)
"""A refund is due at payments, and a mail."""


def test_work_under_a_running_lease_gets_no_second_hint_and_no_longer_lease() -> None:
    hinted = leased(REFUNDED_NEXT, until=NOON + SECOND)

    result = settle(hinted, Moment(NOON, STANDARD), before=hinted)

    assert (result.hints, result.next_check_at) == ((), NOON + SECOND)


def test_a_longer_lease_is_shortened_so_that_a_lost_hint_is_repeated_soon() -> None:
    hinted = leased(REFUNDED_NEXT, until=NOON + HOUR)

    result = settle(hinted, Moment(NOON, STANDARD), before=hinted)

    assert (result.hints, result.next_check_at) == ((), NOON + STANDARD.hint_lease)


def test_new_work_gets_its_hint_beside_work_that_has_one() -> None:
    paid = leased(a_reservation(a_charge()), until=NOON + SECOND)
    closed = leased(REFUNDED_NEXT, until=NOON + SECOND)
    mailed = replace(closed, sends=(a_send(MailKind.REJECTED),))

    assert [queue for queue, _ in settle(closed, Moment(NOON, STANDARD), before=paid).hints] == [
        Queue.PAYMENT,
        Queue.NOTIFICATION,
    ]
    assert [queue for queue, _ in settle(closed, Moment(NOON, STANDARD), before=mailed).hints] == [
        Queue.NOTIFICATION
    ]


def test_the_next_work_for_the_same_queue_gets_a_hint_of_its_own() -> None:
    """The step that is under way took the first hint, and ends with this transaction."""
    first = a_charge(Status.PENDING, check_at=NOON, deadline_at=NOON + HOUR)
    second = replace(first, key="charge:2", provider_id="pay_2")
    before = leased(a_reservation(first, second), until=NOON + SECOND)
    begun = replace(first, check_at=NOON + HOUR)
    after = leased(a_reservation(begun, second), until=NOON + SECOND)

    result = settle(after, Moment(NOON, STANDARD), before=before)

    assert [queue for queue, _ in result.hints] == [Queue.PAYMENT]


@pytest.mark.parametrize("lease_end", [NOON, NOON - SECOND, None])
def test_work_without_a_running_lease_gets_a_hint_again(
    lease_end: datetime | None,
) -> None:
    waiting = replace(REFUNDED_NEXT, next_check_at=lease_end)

    result = settle(waiting, Moment(NOON, STANDARD), before=waiting)

    assert len(result.hints) == 2
    assert result.next_check_at == NOON + STANDARD.hint_lease
