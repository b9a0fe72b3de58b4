"""The traveler's view of a reservation."""

from datetime import UTC, datetime

import pytest

from reservations.domain.facts import Call, Reason, Status
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import DocumentType, MailKind, MailStatus, Reservation
from reservations.domain.views import (
    PROGRESS,
    Progress,
    Refund,
    RefundStatus,
    StepStatus,
    View,
    at_rest,
    is_cancellable,
    reads_differently,
    view,
)
from reservations.domain.words import ClosedReason, PublicStatus, State
from tests.worlds.builders import (
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    SECOND,
    a_booking,
    a_charge,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)

PENDING, DONE, FAILED = StepStatus.PENDING, StepStatus.DONE, StepStatus.FAILED


def seen(reservation: Reservation, now: datetime = NOON) -> View:
    return view(reservation, Moment(now, STANDARD))


def a_second_charge(money: Money = PRICE) -> Call:
    return a_charge(provider_id="pay_2", key="seen:charge:pay_2", at=NOON + MINUTE, money=money)


def test_a_new_reservation_is_in_process_until_its_offer_lapses() -> None:
    assert seen(a_reservation()) == View(
        status=PublicStatus.EN_PROCESO,
        progress=Progress(code=DONE, payment=PENDING, supplier=PENDING),
        refund=None,
        documents=(),
        expires_at=NOON + 2 * HOUR,
        requires_support=False,
        supplier_locator=None,
        closed_reason=None,
    )


def test_a_closed_reservation_shows_its_reason_and_no_locator() -> None:
    closed = seen(a_reservation(a_charge(), a_booking(), reason=Reason.SUPPLIER_CANCELLED))

    assert closed.closed_reason is ClosedReason.CANCELLED_BY_HOTEL
    assert closed.supplier_locator is None


@pytest.mark.parametrize(
    ("calls", "payment", "supplier"),
    [
        ([a_charge(Status.UNKNOWN)], PENDING, PENDING),
        ([a_charge()], DONE, PENDING),
        ([a_charge(), a_booking(Status.PENDING)], DONE, PENDING),
        ([a_charge(), a_booking()], DONE, DONE),
    ],
)
def test_progress_of_a_live_reservation(
    calls: list[Call], payment: StepStatus, supplier: StepStatus
) -> None:
    assert seen(a_reservation(*calls)).progress == Progress(payment=payment, supplier=supplier)


@pytest.mark.parametrize(
    ("reason", "calls", "payment"),
    [
        (Reason.PAYMENT_DECLINED, [a_charge(Status.DECLINED)], FAILED),
        (Reason.EXPIRED, [], FAILED),
        (Reason.SUPPLIER_REJECTED, [a_charge(), a_booking(Status.DECLINED)], DONE),
        (Reason.SUPPLIER_REJECTED, [a_charge(), a_refund()], DONE),
        (Reason.CUSTOMER_CANCELLED, [a_charge(Status.PENDING)], PENDING),
        (Reason.CUSTOMER_CANCELLED, [a_charge(), a_booking()], DONE),
    ],
)
def test_progress_of_a_closed_reservation(
    reason: Reason, calls: list[Call], payment: StepStatus
) -> None:
    shown = seen(a_reservation(*calls, reason=reason))

    assert shown.progress == Progress(payment=payment, supplier=FAILED)


def test_every_state_shows_a_progress() -> None:
    assert set(PROGRESS) == set(State)


# --- refunds ---------------------------------------------------------------------------------------


A_PART = a_refund(key="seen:refund:ref_x", money=Money(10000, "EUR"))
THE_REST = a_refund(money=Money(PRICE.minor - 10000, "EUR"))


@pytest.mark.parametrize(
    ("calls", "refund"),
    [
        ([a_charge(Status.DECLINED)], None),
        ([a_charge()], Refund(RefundStatus.PENDING, PRICE)),
        ([a_charge(), a_refund(Status.NOT_FOUND)], Refund(RefundStatus.PENDING, PRICE)),
        ([a_charge(), a_refund(Status.PENDING)], Refund(RefundStatus.PENDING, PRICE)),
        ([a_charge(), a_refund(Status.DECLINED)], Refund(RefundStatus.FAILED, PRICE)),
        ([a_charge(), a_refund()], Refund(RefundStatus.DONE, PRICE)),
        ([a_charge(), A_PART], Refund(RefundStatus.PENDING, PRICE)),
        ([a_charge(), A_PART, a_refund(Status.DECLINED)], Refund(RefundStatus.FAILED, PRICE)),
        ([a_charge(), A_PART, THE_REST], Refund(RefundStatus.DONE, PRICE)),
    ],
)
def test_a_closed_reservation_shows_its_refund(calls: list[Call], refund: Refund | None) -> None:
    assert seen(a_reservation(*calls, reason=Reason.CUSTOMER_CANCELLED)).refund == refund


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (Status.SUCCEEDED, Status.SUCCEEDED, RefundStatus.DONE),
        (Status.SUCCEEDED, Status.PENDING, RefundStatus.PENDING),
        (Status.DECLINED, Status.PENDING, RefundStatus.FAILED),
        (Status.SUCCEEDED, Status.DECLINED, RefundStatus.FAILED),
    ],
)
def test_two_refunds_are_shown_as_one_with_the_worst_status(
    first: Status, second: Status, status: RefundStatus
) -> None:
    shown = seen(
        a_reservation(
            a_charge(),
            a_second_charge(),
            a_refund(first),
            a_refund(second, of="pay_2"),
            reason=Reason.CUSTOMER_CANCELLED,
        )
    )

    assert shown.refund == Refund(status, Money(2 * PRICE.minor, "EUR"))


def test_amounts_in_two_currencies_are_not_added() -> None:
    shown = seen(
        a_reservation(
            a_charge(), a_second_charge(Money(100, "USD")), reason=Reason.CUSTOMER_CANCELLED
        )
    )

    assert shown.refund == Refund(RefundStatus.PENDING, PRICE)


def test_a_refund_refused_and_made_by_hand_is_done() -> None:
    by_hand = a_refund(key="seen:refund:ref_9", provider_id="ref_9")
    calls = (a_charge(), a_refund(Status.DECLINED), by_hand)

    shown = seen(a_reservation(*calls, reason=Reason.EXPIRED))

    assert shown.refund == Refund(RefundStatus.DONE, PRICE)


def test_the_refund_of_a_second_payment_is_not_shown_beside_a_confirmed_trip() -> None:
    surplus = (a_second_charge(), a_refund(Status.PENDING, of="pay_2"))

    assert seen(a_reservation(a_charge(), *surplus)).refund is not None
    assert seen(a_reservation(a_charge(), a_booking(), *surplus)).refund is None


# --- the rest --------------------------------------------------------------------------------------


def test_the_voucher_is_shown_while_the_trip_is_confirmed() -> None:
    issued = (a_voucher(),)
    standing = a_reservation(a_charge(), a_booking(), documents=issued)
    cancelled = a_reservation(documents=issued, reason=Reason.CUSTOMER_CANCELLED)

    assert seen(standing).documents == (DocumentType.VOUCHER,)
    assert seen(cancelled).documents == ()


@pytest.mark.parametrize(
    ("reservation", "expires_at"),
    [
        (a_reservation(a_charge(Status.STARTED)), NOON + 15 * MINUTE),
        (a_reservation(a_charge()), None),
        (a_reservation(reason=Reason.EXPIRED), None),
    ],
)
def test_only_an_offer_that_waits_to_be_paid_expires(
    reservation: Reservation, expires_at: datetime | None
) -> None:
    assert seen(reservation).expires_at == expires_at


@pytest.mark.parametrize(
    ("reservation", "expected"),
    [
        (a_reservation(a_charge(money=Money(1, "EUR"))), True),
        (a_reservation(sends=(a_send(status=MailStatus.REFUSED),)), True),
        (a_reservation(sends=(a_send(status=MailStatus.STARTED),)), True),
        (a_reservation(sends=(a_send(MailKind.CANCELLED, MailStatus.UNKNOWN),)), True),
        (a_reservation(sends=(a_send(status=MailStatus.STARTED, check_at=NOON),)), False),
        (a_reservation(sends=(a_send(status=MailStatus.UNKNOWN, check_at=NOON),)), False),
        (a_reservation(sends=(a_send(status=MailStatus.SENT),)), False),
    ],
)
def test_support_is_required_during_a_review(reservation: Reservation, expected: bool) -> None:
    assert seen(reservation).requires_support is expected


def test_a_reservation_reads_differently_when_something_shown_has_changed() -> None:
    before = a_reservation(a_charge(Status.UNKNOWN))
    looked = a_reservation(a_charge(Status.UNKNOWN, looks=3))
    paid = a_reservation(a_charge())

    assert not reads_differently(before, looked, Moment(NOON + MINUTE, STANDARD))
    assert reads_differently(before, paid, Moment(NOON + MINUTE, STANDARD))


def test_a_reservation_reads_differently_once_its_deadline_has_passed() -> None:
    waiting = a_reservation(a_charge(Status.UNKNOWN))
    deadline = NOON + STANDARD.deadline

    assert not reads_differently(waiting, waiting, Moment(deadline - SECOND, STANDARD))
    assert reads_differently(waiting, waiting, Moment(deadline, STANDARD))


UNDER_WAY = {
    "charged": a_reservation(a_charge()),
    "no voucher": a_reservation(a_charge(), a_booking(), sends=(a_send(),)),
    "no confirmation mail": a_reservation(a_charge(), a_booking(), documents=(a_voucher(),)),
    "a mail without an answer": a_reservation(
        a_charge(),
        a_booking(),
        documents=(a_voucher(),),
        sends=(a_send(status=MailStatus.UNKNOWN, check_at=NOON + MINUTE),),
    ),
    "a second charge": a_reservation(
        a_charge(),
        a_charge(Status.UNKNOWN, key="seen:charge:pay_2"),
        a_booking(),
        documents=(a_voucher(),),
        sends=(a_send(),),
    ),
    "a refund": a_reservation(
        a_charge(), reason=Reason.SUPPLIER_REJECTED, sends=(a_send(MailKind.REJECTED),)
    ),
    "the mail of the refund": a_reservation(
        a_charge(), a_refund(), reason=Reason.SUPPLIER_REJECTED, sends=(a_send(MailKind.REJECTED),)
    ),
    "no mail of the expiry": a_reservation(reason=Reason.EXPIRED),
    "a late refund": a_reservation(
        facts=some_facts(a_charge(), reason=Reason.CUSTOMER_CANCELLED, ended_at=NOON),
        sends=(a_send(MailKind.CANCELLED),),
    ),
}
AT_REST = {
    "confirmed": a_reservation(
        a_charge(), a_booking(), documents=(a_voucher(),), sends=(a_send(),)
    ),
    "voucher removed": a_reservation(
        a_charge(), a_booking(), documents=(a_voucher(removed_at=NOON),), sends=(a_send(),)
    ),
    "a mail refused": a_reservation(
        a_charge(), a_booking(), sends=(a_send(status=MailStatus.REFUSED),)
    ),
    "another sum": a_reservation(a_charge(money=Money(1, "EUR"))),
    "refunded": a_reservation(
        a_charge(),
        a_refund(),
        reason=Reason.SUPPLIER_REJECTED,
        sends=(a_send(MailKind.REJECTED), a_send(MailKind.REFUNDED)),
    ),
    "expired": a_reservation(reason=Reason.EXPIRED, sends=(a_send(MailKind.EXPIRED),)),
}


@pytest.mark.parametrize("name", UNDER_WAY)
def test_a_reader_polls_while_a_call_a_document_or_a_mail_is_under_way(name: str) -> None:
    assert not at_rest(UNDER_WAY[name], NOON)


@pytest.mark.parametrize("name", AT_REST)
def test_a_reader_stops_polling_once_nothing_changes_by_itself(name: str) -> None:
    assert at_rest(AT_REST[name], NOON)


def test_a_reader_polls_for_a_day_after_the_last_change() -> None:
    changed = a_reservation(a_charge(), updated_at=NOON + HOUR)

    assert not at_rest(changed, NOON + 25 * HOUR - SECOND)
    assert at_rest(changed, NOON + 25 * HOUR)


MIDNIGHT_OF_THE_START = datetime(2027, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reservation", "now", "expected"),
    [
        (a_reservation(), NOON, True),
        (a_reservation(a_charge(), a_booking()), MIDNIGHT_OF_THE_START - SECOND, True),
        (a_reservation(a_charge(), a_booking()), MIDNIGHT_OF_THE_START, False),
        (a_reservation(a_charge(), reason=Reason.CUSTOMER_CANCELLED), NOON, False),
        (a_reservation(reason=Reason.CUSTOMER_CANCELLED), NOON, False),
        (a_reservation(reason=Reason.EXPIRED), NOON, False),
        (a_reservation(a_charge(Status.DECLINED), reason=Reason.PAYMENT_DECLINED), NOON, False),
    ],
)
def test_a_trip_is_cancellable_once_and_before_its_day(
    reservation: Reservation, now: datetime, expected: bool
) -> None:
    assert is_cancellable(reservation, now) is expected


def test_facts_alone_make_the_view() -> None:
    assert seen(a_reservation(facts=some_facts())) == seen(a_reservation())
