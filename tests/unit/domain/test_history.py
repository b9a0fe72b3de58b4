"""The history that follows from a change."""

from dataclasses import replace
from itertools import chain, pairwise

import pytest

from reservations.domain import history
from reservations.domain.facts import Call, Contradiction, Kind, Operation, Reason, Status
from reservations.domain.history import CALLS, CLOSED, FEEDBACK, INTERNAL, MAILS, changes
from reservations.domain.money import Money
from reservations.domain.reservation import MailKind, MailStatus, Reservation
from tests.worlds.builders import (
    NOON,
    a_booking,
    a_cancellation,
    a_charge,
    a_contradiction,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)


def test_a_new_reservation_was_accepted() -> None:
    assert changes(None, a_reservation()) == ("reservation.accepted",)


def test_a_closing_makes_one_event() -> None:
    closed = a_reservation(reason=Reason.EXPIRED)

    assert changes(closed, replace(closed, version=2)) == ()


def test_an_inquiry_without_news_makes_no_event() -> None:
    looked = a_reservation(a_charge(Status.UNKNOWN, looks=4))

    assert changes(a_reservation(a_charge(Status.UNKNOWN)), looked) == ()


@pytest.mark.parametrize(
    ("call", "event"),
    [
        (a_charge(Status.STARTED), "payment.started"),
        (a_charge(Status.UNKNOWN), "payment.unknown"),
        (a_charge(Status.NOT_FOUND), "payment.not_found"),
        (a_charge(Status.PENDING), "payment.pending"),
        (a_charge(Status.DECLINED), "payment.declined"),
        (a_charge(Status.VOIDED), "payment.voided"),
        (a_charge(Status.SUCCEEDED), "payment.succeeded"),
        (a_refund(Status.STARTED), "refund.started"),
        (a_refund(Status.DECLINED), "refund.rejected"),
        (a_refund(Status.SUCCEEDED), "refund.succeeded"),
        (a_booking(Status.STARTED), "booking.started"),
        (a_booking(Status.DECLINED), "booking.rejected"),
        (a_booking(Status.SUCCEEDED), "booking.confirmed"),
        (a_booking(Status.CANCELLED), "booking.cancelled"),
        (a_cancellation(Status.STARTED), "booking_cancellation.started"),
        (a_cancellation(Status.DECLINED), "booking_cancellation.rejected"),
        (a_cancellation(Status.SUCCEEDED), "booking_cancellation.succeeded"),
    ],
)
def test_a_new_call_or_a_new_status_of_a_call_makes_an_event(call: Call, event: str) -> None:
    other = Status.UNKNOWN if call.status is not Status.UNKNOWN else Status.STARTED
    nothing, before, after = (
        a_reservation(*calls, reason=Reason.CUSTOMER_CANCELLED)
        for calls in ([], [replace(call, status=other)], [call])
    )

    assert changes(nothing, after) == (event,)
    assert changes(before, after) == (event,)


@pytest.mark.parametrize(
    ("undoing", "event"),
    [
        (a_refund(Status.STARTED, of="pay_2"), "refund.started"),
        (a_cancellation(Status.STARTED, of="bkg_2"), "booking_cancellation.started"),
    ],
)
def test_undoing_in_an_open_reservation_makes_a_duplicate_event(undoing: Call, event: str) -> None:
    confirmed = a_reservation(a_charge(), a_booking())
    undone = a_reservation(a_charge(), a_booking(), undoing)

    assert changes(confirmed, undone) == ("duplicate.found", event)
    assert changes(undone, undone) == ()


def test_a_payment_of_another_amount_than_the_price_makes_one_event() -> None:
    taken = a_reservation(a_charge(money=Money(100, "EUR")))
    accepted = a_reservation(
        facts=some_facts(a_charge(money=Money(100, "EUR")), accepted_minor=100)
    )

    assert changes(a_reservation(), taken) == ("payment.succeeded", "review.sum_differs")
    assert changes(taken, taken) == ()
    assert changes(taken, accepted) == ("review.sum_accepted",)


@pytest.mark.parametrize(
    ("before", "after"),
    [(Status.NOT_FOUND, Status.STARTED), (Status.STARTED, Status.NOT_FOUND)],
)
def test_repeated_failed_sends_make_one_event(before: Status, after: Status) -> None:
    def reservation(status: Status, attempts: int) -> Reservation:
        return a_reservation(a_charge(status, attempts=attempts))

    assert len(changes(reservation(before, 1), reservation(after, 1))) == 1
    assert changes(reservation(before, 2), reservation(after, 2)) == ()


def test_a_void_of_a_payment_makes_one_event() -> None:
    pending = a_reservation(a_charge(Status.PENDING))
    asked = a_reservation(a_charge(Status.PENDING, void_asked=True))

    assert changes(pending, asked) == ("payment.void_asked",)
    assert changes(asked, asked) == ()


def test_a_confirmation_follows_the_booking_that_caused_it() -> None:
    paid = a_reservation(a_charge())
    confirmed = a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON))

    assert changes(paid, confirmed) == ("booking.confirmed", "reservation.confirmed")


def test_a_refusal_is_logged_with_its_cause_and_its_end() -> None:
    declined = some_facts(a_charge(Status.DECLINED), reason=Reason.PAYMENT_DECLINED, ended_at=NOON)

    assert changes(a_reservation(a_charge(Status.STARTED)), a_reservation(facts=declined)) == (
        "payment.declined",
        "reservation.closed.payment_declined",
        "reservation.ended",
    )


def test_an_accepted_amount_makes_an_event() -> None:
    accepted = a_reservation(facts=some_facts(accepted_minor=100))

    assert changes(a_reservation(), accepted) == ("review.sum_accepted",)


def test_an_issued_voucher_makes_one_event() -> None:
    issued = a_reservation(documents=(a_voucher(),))

    assert changes(a_reservation(), issued) == ("voucher.issued",)
    assert changes(issued, issued) == ()


def test_a_voucher_that_is_issued_again_makes_another_event() -> None:
    first, second = (a_reservation(documents=(a_voucher(s3_key=key),)) for key in ("a", "b"))

    assert changes(first, second) == ("voucher.issued",)


def test_a_removed_voucher_makes_one_event() -> None:
    issued = a_reservation(documents=(a_voucher(),))
    removed = a_reservation(documents=(a_voucher(removed_at=NOON),))

    assert changes(issued, removed) == ("voucher.removed",)
    assert changes(removed, removed) == ()


@pytest.mark.parametrize("status", [MailStatus.SENT, MailStatus.REFUSED, MailStatus.UNKNOWN])
@pytest.mark.parametrize("kind", list(MailKind))
def test_the_end_of_a_mail_makes_an_event_but_its_attempts_do_not(
    kind: MailKind, status: MailStatus
) -> None:
    started = a_reservation(sends=(a_send(kind, MailStatus.STARTED),))
    sent = a_reservation(sends=(a_send(kind, status),))

    assert changes(a_reservation(), started) == ()
    assert changes(started, sent) == (f"mail.{status}.{kind}",)
    assert changes(sent, sent) == ()


# --- contradictions


def contradicted(row: Contradiction) -> Reservation:
    return a_reservation(facts=some_facts(contradictions=(row,)))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_contradiction_makes_one_event_when_believed_and_one_when_over(kind: Kind) -> None:
    suspected = a_contradiction(kind, opened_at=None)
    opened = replace(suspected, opened_at=NOON)
    looked_at = replace(opened, looks=9)
    over = replace(looked_at, over_at=NOON, closed_at=NOON)
    stories = [a_reservation(), *map(contradicted, (suspected, opened, looked_at, over, over))]

    told = [changes(before, after) for before, after in pairwise(stories)]

    line = f"contradiction.{kind}"
    assert told == [(), (line,), (), (f"{line}.over",), ()]


def test_a_suspicion_that_passes_makes_no_event() -> None:
    suspected = a_contradiction(opened_at=None)
    passed = replace(suspected, over_at=NOON, closed_at=NOON)

    assert changes(contradicted(suspected), contradicted(passed)) == ()


def test_a_second_opening_makes_an_event_of_its_own() -> None:
    first = a_contradiction(over_at=NOON, closed_at=NOON)
    both = a_reservation(facts=some_facts(contradictions=(first, a_contradiction(number=2))))

    assert changes(contradicted(first), both) == ("contradiction.booking_absent",)


def test_a_dispute_that_is_lost_makes_an_event_for_operators_only() -> None:
    opened = a_contradiction(Kind.DISPUTE, "pay_1", seen="open")
    lost = replace(opened, seen="lost")

    told = changes(contradicted(opened), contradicted(lost))

    assert told == ("contradiction.dispute.lost",)
    assert changes(a_reservation(), contradicted(lost)) == ("contradiction.dispute", *told)
    assert {*told, "contradiction.dispute", "contradiction.dispute.over"} <= INTERNAL


# --- codes -----------------------------------------------------------------------------------------

SINGLE = {
    value
    for name, value in vars(history).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str)
}
EVENTS = SINGLE.union(CALLS.values(), CLOSED.values(), MAILS.values(), FEEDBACK.values()).union(
    history.CONTRADICTIONS.values(), history.OVER.values(), {history.DISPUTE_LOST}
)


def test_internal_events_are_events() -> None:
    assert INTERNAL < EVENTS


def test_every_operation_has_an_event_for_every_status() -> None:
    assert set(CALLS) == {(operation, status) for operation in Operation for status in Status}
    assert len(set(CALLS.values())) == len(CALLS)


def test_every_event_is_a_stable_dotted_code_that_fits_its_column() -> None:
    parts = set(chain.from_iterable(event.split(".") for event in EVENTS))

    assert all(part.replace("_", "").isalpha() and part == part.lower() for part in parts)
    assert max(map(len, EVENTS)) <= 64
