"""Documents and mails owed to the traveler: the voucher first, each mail once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reservations.domain.actions import Settled, Wait
from reservations.domain.facts import Call, Reason, Status
from reservations.domain.fulfilment import (
    MAIL_RULES,
    IssueVoucher,
    SendMail,
    ask_again,
    ask_for,
    begin_send,
    fulfil,
    let_mail_go,
    needs_place,
    put_off,
    record_send,
)
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import ASKED_FOR, MailKind, MailSend, MailStatus, Reservation
from reservations.domain.words import PublicStatus
from tests.worlds.builders import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    a_booking,
    a_cancellation,
    a_charge,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)

LATER = NOON + 5 * SECOND


def confirmed(*sends: MailSend) -> Reservation:
    return a_reservation(a_charge(), a_booking(), documents=(a_voucher(),), sends=sends)


def closed(
    reason: Reason, *calls: Call, sends: tuple[MailSend, ...] = (), ended: bool = True
) -> Reservation:
    facts = some_facts(*calls, reason=reason, ended_at=NOON if ended else None)
    return a_reservation(facts=facts, sends=sends)


@pytest.mark.parametrize(
    "calls",
    [[], [a_charge(Status.UNKNOWN)], [a_charge()], [a_charge(), a_booking(Status.PENDING)]],
)
def test_a_mail_is_due_after_two_minutes_in_process(calls: list[Call]) -> None:
    reservation = a_reservation(*calls)

    assert fulfil(reservation, NOON + 2 * MINUTE - SECOND) == Wait(NOON + 2 * MINUTE)
    assert fulfil(reservation, NOON + 2 * MINUTE) == SendMail(MailKind.IN_PROGRESS)


def test_a_person_who_looks_into_it_is_announced_at_once_and_alone() -> None:
    wrong_sum = a_reservation(a_charge(money=Money(1, "EUR")))
    assert fulfil(wrong_sum, LATER) == SendMail(MailKind.UNDER_REVIEW)

    told = replace(wrong_sum, sends=(a_send(MailKind.UNDER_REVIEW),), next_check_at=None)
    assert fulfil(told, NOON + 3 * MINUTE) == Settled()


def test_a_held_mail_about_the_wait_does_not_hold_the_one_about_a_review() -> None:
    held = a_send(MailKind.IN_PROGRESS, MailStatus.HELD, check_at=NOON + HOUR)
    wrong_sum = a_reservation(a_charge(money=Money(1, "EUR")), sends=(held,))

    assert fulfil(wrong_sum, NOON + 3 * MINUTE) == SendMail(MailKind.UNDER_REVIEW)


REVIEWED = {
    "in process": a_reservation(
        a_charge(Status.UNKNOWN, deadline_at=NOON), sends=(a_send(MailKind.IN_PROGRESS),)
    ),
    "confirmed": a_reservation(
        a_charge(money=Money(1, "EUR")),
        a_booking(),
        documents=(a_voucher(),),
        sends=(a_send(MailKind.CONFIRMED),),
    ),
    "rejected": a_reservation(
        a_charge(),
        a_refund(Status.DECLINED),
        reason=Reason.SUPPLIER_REJECTED,
        sends=(a_send(MailKind.REJECTED),),
    ),
}


@pytest.mark.parametrize("reviewed", REVIEWED.values(), ids=REVIEWED)
def test_a_mail_is_due_when_a_person_looks_into_it(reviewed: Reservation) -> None:
    assert fulfil(reviewed, LATER) == SendMail(MailKind.UNDER_REVIEW)

    told = replace(reviewed, sends=(*reviewed.sends, a_send(MailKind.UNDER_REVIEW)))
    assert fulfil(told, LATER) == Settled()


@pytest.mark.parametrize("reviewed", REVIEWED.values(), ids=REVIEWED)
def test_a_review_that_rested_before_owes_no_mail(reviewed: Reservation) -> None:
    assert fulfil(replace(reviewed, next_check_at=None), LATER) == Settled()


@pytest.mark.parametrize("reviewed", REVIEWED.values(), ids=REVIEWED)
@pytest.mark.parametrize("kind", [MailKind.IN_PROGRESS, MailKind.UNDER_REVIEW, MailKind.LINK])
def test_a_mail_on_the_way_needs_a_place_even_if_paid(
    reviewed: Reservation, kind: MailKind
) -> None:
    bare = replace(reviewed, sends=())

    assert needs_place(bare, kind, NOON)
    assert needs_place(replace(bare, sends=(ask_for(MailKind.LINK, NOON),)), MailKind.LINK, NOON)


def test_a_link_that_was_asked_for_waits_for_nothing_else() -> None:
    owes_voucher = a_reservation(a_charge(), a_booking(), sends=(ask_for(MailKind.LINK, NOON),))

    assert fulfil(owes_voucher, NOON) == SendMail(MailKind.LINK)


def test_a_notice_to_an_unpaid_travelers_former_address_needs_no_place() -> None:
    unpaid = a_reservation(sends=(ask_for(MailKind.ADDRESS_CHANGED, NOON),))

    assert fulfil(unpaid, NOON) == SendMail(MailKind.ADDRESS_CHANGED)
    assert not needs_place(unpaid, MailKind.ADDRESS_CHANGED, NOON)


def test_nothing_else_waits_for_a_held_link() -> None:
    link = a_send(MailKind.LINK, MailStatus.HELD, check_at=NOON + MINUTE)

    assert fulfil(confirmed(link), NOON) == SendMail(MailKind.CONFIRMED)
    assert fulfil(confirmed(link, a_send(MailKind.CONFIRMED)), NOON) == Wait(NOON + MINUTE)
    in_process = a_reservation(sends=(link,))
    assert fulfil(in_process, NOON) == Wait(NOON + MINUTE)


def test_the_voucher_comes_before_its_mail() -> None:
    assert fulfil(a_reservation(a_charge(), a_booking()), NOON) == IssueVoucher()
    assert fulfil(confirmed(), NOON) == SendMail(MailKind.CONFIRMED)


def test_a_mail_that_goes_without_its_voucher_is_tried_until_it_rests() -> None:
    let_go = let_mail_go(a_reservation(a_charge(), a_booking()), Moment(NOON, STANDARD))
    assert let_go is not None
    due = NOON + STANDARD.rung(0)
    assert fulfil(let_go, NOON) == Wait(due)
    assert fulfil(let_go, due) == SendMail(MailKind.CONFIRMED)

    begun = begin_send(let_go, MailKind.CONFIRMED, Moment(due, STANDARD))
    sent = record_send(begun, MailKind.CONFIRMED, MailStatus.SENT, Moment(due, STANDARD))

    assert fulfil(sent, due) == IssueVoucher()
    assert let_mail_go(sent, Moment(due, STANDARD)) is None


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.PENDING])
def test_no_voucher_is_issued_while_another_booking_may_replace_the_kept_one(
    status: Status,
) -> None:
    another = a_booking(status, key="seen:book:bkg_2", provider_id="bkg_2")
    ending = a_cancellation(Status.STARTED, of="bkg_2")

    assert fulfil(a_reservation(a_charge(), a_booking(), another), NOON) == Settled()
    assert fulfil(a_reservation(a_charge(), a_booking(), another, ending), NOON) == IssueVoucher()


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.PAYMENT_DECLINED, MailKind.REJECTED),
        (Reason.SUPPLIER_REJECTED, MailKind.REJECTED),
        (Reason.EXPIRED, MailKind.EXPIRED),
        (Reason.SUPPLIER_CANCELLED, MailKind.CANCELLED),
        (Reason.CUSTOMER_CANCELLED, MailKind.CANCELLED),
    ],
)
def test_each_final_status_has_its_mail(reason: Reason, kind: MailKind) -> None:
    assert fulfil(closed(reason), NOON) == SendMail(kind)
    assert fulfil(closed(reason, sends=(a_send(kind),)), NOON) == Settled()


def test_a_rejection_mail_is_sent_before_the_refund() -> None:
    rejected = closed(Reason.SUPPLIER_REJECTED, a_charge(), ended=False)

    assert fulfil(rejected, NOON) == SendMail(MailKind.REJECTED)


def test_a_cancellation_mail_is_sent_once_it_has_ended() -> None:
    assert fulfil(closed(Reason.CUSTOMER_CANCELLED, a_charge(), ended=False), NOON) == Settled()


@pytest.mark.parametrize(
    ("reason", "first"),
    [
        (Reason.SUPPLIER_REJECTED, MailKind.REJECTED),
        (Reason.PAYMENT_DECLINED, MailKind.REJECTED),
        (Reason.EXPIRED, MailKind.EXPIRED),
    ],
)
def test_the_refund_mail_waits_for_the_rejection_mail(reason: Reason, first: MailKind) -> None:
    back = (a_charge(), a_refund())
    sent = a_send(first)

    assert fulfil(closed(reason, *back), NOON) == SendMail(first)
    assert fulfil(closed(reason, *back, sends=(sent,)), NOON) == SendMail(MailKind.REFUNDED)
    both = (sent, a_send(MailKind.REFUNDED))
    assert fulfil(closed(reason, *back, sends=both), NOON) == Settled()


def test_the_cancellation_mail_includes_the_refund() -> None:
    sends = (a_send(MailKind.CANCELLED),)
    cancelled = closed(Reason.CUSTOMER_CANCELLED, a_charge(), a_refund(), sends=sends)

    assert fulfil(cancelled, NOON) == Settled()


def test_a_payment_found_after_the_cancellation_mail_gets_a_refund_mail() -> None:
    sent = a_send(MailKind.CANCELLED, sent_at=NOON)
    late = a_charge(closed_at=LATER)

    held = closed(Reason.CUSTOMER_CANCELLED, late, sends=(sent,))
    back = closed(Reason.CUSTOMER_CANCELLED, late, a_refund(), sends=(sent,))
    mailed = closed(
        Reason.CUSTOMER_CANCELLED, late, a_refund(), sends=(sent, a_send(MailKind.REFUNDED))
    )

    assert fulfil(held, LATER) == Settled()
    assert fulfil(back, LATER) == SendMail(MailKind.REFUNDED)
    assert fulfil(mailed, LATER) == Settled()


def test_a_refund_named_in_the_cancellation_mail_gets_no_mail_of_its_own() -> None:
    sent = a_send(MailKind.CANCELLED, sent_at=LATER)
    begun_later = a_refund(at=LATER + MINUTE)

    back = closed(Reason.CUSTOMER_CANCELLED, a_charge(), begun_later, sends=(sent,))

    assert fulfil(back, LATER + MINUTE) == Settled()


@pytest.mark.parametrize("sends", [(), (a_send(status=MailStatus.NOT_SENT, check_at=NOON),)])
def test_an_unsent_confirmation_lapses_when_the_trip_is_cancelled(
    sends: tuple[MailSend, ...],
) -> None:
    cancelled = closed(Reason.CUSTOMER_CANCELLED, sends=sends)

    assert fulfil(cancelled, NOON) == SendMail(MailKind.CANCELLED)


def test_a_later_mail_waits_for_the_earlier_one() -> None:
    trying = a_send(MailKind.REJECTED, MailStatus.NOT_SENT, check_at=NOON + MINUTE)
    rejected = closed(Reason.SUPPLIER_REJECTED, a_charge(), a_refund(), sends=(trying,))

    assert fulfil(rejected, NOON) == Wait(NOON + MINUTE)


@pytest.mark.parametrize("status", [MailStatus.STARTED, MailStatus.UNKNOWN, MailStatus.NOT_SENT])
def test_a_due_mail_is_sent_again(status: MailStatus) -> None:
    trying = confirmed(a_send(status=status, check_at=NOON + MINUTE))

    assert fulfil(trying, NOON + MINUTE - SECOND) == Wait(NOON + MINUTE)
    assert fulfil(trying, NOON + MINUTE) == SendMail(MailKind.CONFIRMED)


@pytest.mark.parametrize(
    "status",
    [MailStatus.STARTED, MailStatus.UNKNOWN, MailStatus.SENT, MailStatus.REFUSED],
)
def test_a_mail_that_is_not_to_be_repeated_rests(status: MailStatus) -> None:
    assert fulfil(confirmed(a_send(status=status, check_at=None)), NOON) == Settled()


def test_every_kind_of_mail_has_a_rule_and_every_final_status_has_a_mail() -> None:
    assert {rule.kind for rule in MAIL_RULES} | set(ASKED_FOR) == set(MailKind)
    mailed = {rule.status for rule in MAIL_RULES if rule.status}
    assert mailed == set(PublicStatus) - {PublicStatus.EN_CANCELACION}


# --- the send ledger -------------------------------------------------------------------------------


def begun(reservation: Reservation) -> Reservation:
    return begin_send(reservation, MailKind.CONFIRMED, Moment(NOON, STANDARD))


def recorded(reservation: Reservation, status: MailStatus, ses_id: str | None = None) -> MailSend:
    recorded = record_send(
        reservation, MailKind.CONFIRMED, status, Moment(LATER, STANDARD), ses_id=ses_id
    )
    send = recorded.send_of(MailKind.CONFIRMED)
    assert send is not None
    return send


def test_a_send_is_written_down_before_it_is_made() -> None:
    assert begun(confirmed()).sends == (
        a_send(status=MailStatus.STARTED, check_at=NOON + STANDARD.mail_repeat),
    )


@pytest.mark.parametrize("status", [MailStatus.STARTED, MailStatus.UNKNOWN])
def test_the_repeat_of_an_unknown_send_is_the_last(status: MailStatus) -> None:
    [send] = begun(confirmed(a_send(status=status, check_at=NOON))).sends

    assert (send.attempts, send.check_at) == (2, None)


def test_a_send_that_did_not_leave_costs_no_repeat() -> None:
    tried = a_send(status=MailStatus.NOT_SENT, attempts=7, check_at=NOON)

    [send] = begun(confirmed(tried)).sends

    assert (send.attempts, send.check_at) == (8, NOON + STANDARD.mail_repeat)


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ((), MailStatus.NOT_SENT),
        ((a_send(status=MailStatus.NOT_SENT, check_at=NOON),), MailStatus.NOT_SENT),
        ((a_send(status=MailStatus.STARTED, check_at=NOON),), MailStatus.UNKNOWN),
        ((a_send(status=MailStatus.UNKNOWN, check_at=NOON),), MailStatus.UNKNOWN),
    ],
)
def test_a_postponed_send_is_no_more_in_doubt_than_before(
    before: tuple[MailSend, ...], status: MailStatus
) -> None:
    [send] = put_off(confirmed(*before), MailKind.CONFIRMED, Moment(NOON, STANDARD)).sends

    assert send.status is status
    assert send.check_at is not None
    assert send.check_at > NOON


def test_only_a_mail_that_is_still_due_is_repeated() -> None:
    lapsed = a_send(MailKind.REJECTED, MailStatus.UNKNOWN, attempts=2)
    doubtful = a_send(status=MailStatus.UNKNOWN, attempts=2)
    later = NOON + STANDARD.mail_repeat

    asked = ask_again(confirmed(lapsed, doubtful), Moment(later, STANDARD))

    assert asked.sends == (lapsed, replace(doubtful, check_at=later))


def test_a_refused_mail_is_due_again_at_once() -> None:
    refused = a_send(status=MailStatus.REFUSED)

    asked = ask_again(confirmed(refused), Moment(LATER, STANDARD))

    assert fulfil(asked, LATER) == SendMail(MailKind.CONFIRMED)


def test_an_accepted_mail_keeps_the_id_of_the_mail_service() -> None:
    send = recorded(begun(confirmed()), MailStatus.SENT, ses_id="ses-1")

    assert (send.status, send.ses_id, send.check_at) == (MailStatus.SENT, "ses-1", None)


def test_a_refused_send_is_not_tried_again_by_itself() -> None:
    send = recorded(begun(confirmed()), MailStatus.REFUSED)

    assert (send.status, send.check_at) == (MailStatus.REFUSED, None)


def test_an_unknown_send_keeps_the_time_of_its_repeat() -> None:
    send = recorded(begun(confirmed()), MailStatus.UNKNOWN)

    assert (send.status, send.check_at) == (MailStatus.UNKNOWN, NOON + STANDARD.mail_repeat)


@pytest.mark.parametrize(("attempts", "pause"), [(0, 30 * SECOND), (1, MINUTE), (9, 5 * MINUTE)])
def test_a_send_that_did_not_leave_is_retried_up_the_ladder(
    attempts: int, pause: timedelta
) -> None:
    tried = a_send(status=MailStatus.NOT_SENT, attempts=attempts, check_at=NOON)

    send = recorded(begun(confirmed(tried)), MailStatus.NOT_SENT)

    assert (send.status, send.check_at) == (MailStatus.NOT_SENT, LATER + pause)


def test_a_repeat_that_did_not_leave_is_still_the_one_repeat() -> None:
    repeated = begun(confirmed(a_send(status=MailStatus.UNKNOWN, check_at=NOON)))

    send = recorded(repeated, MailStatus.NOT_SENT)

    assert (send.status, send.check_at) == (MailStatus.UNKNOWN, LATER + MINUTE)


@pytest.mark.parametrize("late", [MailStatus.UNKNOWN, MailStatus.NOT_SENT, MailStatus.REFUSED])
def test_a_mail_that_was_sent_stays_sent(late: MailStatus) -> None:
    sent = a_send(ses_id="ses-1")

    assert recorded(confirmed(sent), late) == sent


def test_the_answer_to_a_send_that_was_never_begun_is_a_defect() -> None:
    with pytest.raises(LookupError, match="confirmed"):
        recorded(confirmed(), MailStatus.SENT)


def test_one_kind_of_mail_does_not_change_another() -> None:
    other = a_send(MailKind.CANCELLED)

    assert begun(confirmed(other)).send_of(MailKind.CANCELLED) == other
    tried = a_send(status=MailStatus.NOT_SENT, check_at=NOON)
    assert begun(confirmed(tried, other)).send_of(MailKind.CANCELLED) == other
