"""Decisions of operators: their effects and their refusals."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from reservations.domain.actions import Action, Sent, Verb
from reservations.domain.decisions import (
    ANSWERS,
    DecisionRefusedError,
    nudge,
    possible,
    refuse_to_erase,
    resolve,
)
from reservations.domain.facts import (
    Call,
    Decision,
    Facts,
    Kind,
    Listing,
    Operation,
    Reason,
    Seen,
    Status,
)
from reservations.domain.learning import record
from reservations.domain.money import Money
from reservations.domain.plan import plan
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import MailKind, Reservation
from reservations.domain.standing import Standing
from reservations.domain.verdict import conclude
from reservations.domain.words import Review, State
from tests.worlds.builders import (
    BOOK_KEY,
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    a_booking,
    a_cancellation,
    a_charge,
    a_contradiction,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)

LATER = NOON + 48 * HOUR  # past every deadline

MISMATCH = some_facts(a_charge(money=Money(34000, "EUR"), check_at=LATER + HOUR))
REFUND_REFUSED = some_facts(a_charge(), a_refund(Status.DECLINED), reason=Reason.CUSTOMER_CANCELLED)
REFUND_SILENT = some_facts(a_charge(), a_refund(Status.UNKNOWN), reason=Reason.CUSTOMER_CANCELLED)
BOOKING_SILENT = some_facts(a_charge(), a_booking(Status.UNKNOWN))
CANCEL_REFUSED = some_facts(
    a_charge(), a_booking(), a_cancellation(Status.DECLINED), reason=Reason.CUSTOMER_CANCELLED
)


def decide(
    facts: Facts, decision: Decision, evidence: str = "REF-1", *, target: str | None = None
) -> Facts:
    """Resolve a review and settle."""
    at = Moment(LATER, STANDARD)
    resolved = resolve(facts, decision, evidence, at, target=target)
    return conclude(Standing(resolved), at).facts


# --- nudges


def test_a_nudge_makes_every_repeatable_call_due() -> None:
    later = NOON + HOUR
    facts = some_facts(
        a_charge(check_at=later),
        a_booking(Status.PENDING, check_at=later),
        a_refund(Status.NOT_FOUND, check_at=later),
        a_cancellation(Status.SUCCEEDED, check_at=None),
    )

    charge, booking, refund, cancellation = nudge(facts, NOON + MINUTE).calls

    assert {charge.check_at, booking.check_at, refund.check_at} == {NOON + MINUTE}
    assert cancellation.check_at is None


def test_a_nudge_changes_no_status_and_restarts_aftercare() -> None:
    facts = some_facts(a_charge(), a_booking())

    nudged = nudge(facts, NOON + MINUTE)

    assert [c.status for c in nudged.calls] == [c.status for c in facts.calls]
    assert {c.quiet_from for c in nudged.calls} == {NOON + MINUTE}
    planned = plan(Standing(nudged), Moment(NOON + MINUTE, STANDARD))
    assert isinstance(planned, Action)
    assert planned.verb is Verb.INQUIRE


# --- decisions


def test_an_accepted_amount_lets_the_reservation_go_on() -> None:
    assert Standing(MISMATCH).reviews(LATER) == {Review.MONEY_MISMATCH}

    accepted = decide(MISMATCH, Decision.PAID)

    assert accepted.accepted_minor == 34000
    assert not Standing(accepted).reviews(LATER)
    planned = plan(Standing(accepted), Moment(LATER, STANDARD))
    assert isinstance(planned, Action)
    assert planned.verb is Verb.BOOK


def test_two_sums_in_question_are_accepted_one_at_a_time_by_name() -> None:
    later = a_contradiction(Kind.OTHER_SUM, "pay_1", seen="341.00 EUR", money=Money(34100, "EUR"))
    facts = replace(MISMATCH, contradictions=(later,))

    with pytest.raises(DecisionRefusedError, match="other_sum:pay_1, money_mismatch"):
        decide(facts, Decision.PAID)
    assert possible(facts, Moment(LATER, STANDARD))[Decision.PAID] == (
        "money_mismatch",
        "other_sum:pay_1",
    )
    first = decide(facts, Decision.PAID, target="money_mismatch")
    both = decide(first, Decision.PAID)

    assert first.accepted_minor == 34000
    assert Standing(first).reviews(LATER) == {Review.OTHER_SUM}
    assert not Standing(both).reviews(LATER)


def test_a_target_that_names_several_contradictions_is_refused_with_their_names() -> None:
    rows = (
        a_contradiction(Kind.DISPUTE, "pay_1", seen="open", money=PRICE),
        a_contradiction(Kind.FOREIGN_REFUND, "ref_x", payment="pay_1", money=Money(2000, "EUR")),
    )
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON, contradictions=rows)

    for target in (None, "pay_1"):
        with pytest.raises(DecisionRefusedError, match="dispute:pay_1, foreign_refund:ref_x"):
            decide(facts, Decision.HONOURED, target=target)

    taken = possible(facts, Moment(LATER, STANDARD))[Decision.HONOURED]
    assert taken == ("dispute:pay_1", "foreign_refund:ref_x")
    [dispute, refund] = decide(facts, Decision.HONOURED, target="ref_x").contradictions
    assert (dispute.decision, refund.decision) == (None, Decision.HONOURED)


def test_a_payment_in_another_currency_is_never_accepted() -> None:
    foreign = some_facts(a_charge(money=Money(PRICE.minor, "USD")))

    with pytest.raises(DecisionRefusedError, match="another currency"):
        decide(foreign, Decision.PAID)


@pytest.mark.parametrize("facts", [REFUND_REFUSED, REFUND_SILENT])
def test_an_attested_refund_ends_the_reservation(facts: Facts) -> None:
    assert Standing(facts).reviews(LATER)

    refunded = decide(facts, Decision.REFUNDED, "SEPA-77")

    refund = refunded.of(Operation.REFUND)[-1]
    assert refund.status is Status.SUCCEEDED
    assert Standing(refunded).state is State.REFUNDED
    assert refunded.ended_at == LATER
    assert not Standing(refunded).reviews(LATER)


@pytest.mark.parametrize("status", [Status.STARTED, Status.UNKNOWN, Status.PENDING])
def test_a_refund_that_may_still_be_answered_in_time_is_not_attested_beside_another(
    status: Status,
) -> None:
    in_time = a_refund(status, of="pay_2", at=LATER, deadline_at=LATER + HOUR)
    second = a_charge(provider_id="pay_2", key="seen:charge:pay_2")
    facts = replace(REFUND_REFUSED, calls=(*REFUND_REFUSED.calls, second, in_time))

    refused, other, attested = decide(facts, Decision.REFUNDED).of(Operation.REFUND)

    assert (refused.status, other) == (Status.DECLINED, in_time)
    assert (attested.status, attested.target) == (Status.SUCCEEDED, "pay_1")


@pytest.mark.parametrize("ours", [Status.UNKNOWN, Status.NOT_FOUND, Status.DECLINED])
def test_an_attested_refund_covers_the_rest_of_a_partial_one(ours: Status) -> None:
    part = a_refund(key="seen:refund:ref_x", provider_id="ref_x", money=Money(10000, "EUR"))
    facts = some_facts(a_charge(), part, a_refund(ours), reason=Reason.CUSTOMER_CANCELLED)

    refunded = decide(facts, Decision.REFUNDED, "SEPA-77")

    attested = next(c for c in refunded.calls if c.provider_id == "evidence:SEPA-77:pay_1")
    assert attested.money == Money(PRICE.minor - 10000, "EUR")
    assert Standing(refunded).state is State.REFUNDED
    assert not Standing(refunded).reviews(LATER)


def test_a_refund_that_its_provider_knows_keeps_its_status_beside_the_attested_one() -> None:
    refused, attested = decide(REFUND_REFUSED, Decision.REFUNDED, "SEPA-77").of(Operation.REFUND)
    [silent] = decide(REFUND_SILENT, Decision.REFUNDED, "SEPA-77").of(Operation.REFUND)

    assert (refused.provider_id, refused.status) == ("ref_pay_1", Status.DECLINED)
    assert attested.provider_id == silent.provider_id == "evidence:SEPA-77:pay_1"


def test_one_piece_of_evidence_attests_one_of_several_refunds() -> None:
    second = a_charge(provider_id="pay_2", key="seen:charge:pay_2")
    other = a_refund(Status.DECLINED, of="pay_2")
    facts = replace(REFUND_REFUSED, calls=(*REFUND_REFUSED.calls, second, other))
    with pytest.raises(DecisionRefusedError, match="--target: pay_1, pay_2"):
        decide(facts, Decision.REFUNDED)
    with pytest.raises(DecisionRefusedError, match="of pay_3 is in question"):
        decide(facts, Decision.REFUNDED, target="pay_3")

    half = decide(facts, Decision.REFUNDED, target="pay_2")

    attested = half.of(Operation.REFUND)[-1]
    assert (attested.status, attested.target) == (Status.SUCCEEDED, "pay_2")
    assert Standing(half).reviews(LATER) == {Review.REFUND_REFUSED}
    assert Standing(decide(half, Decision.REFUNDED)).state is State.REFUNDED


@pytest.mark.parametrize("status", [Status.STARTED, Status.UNKNOWN, Status.PENDING])
@pytest.mark.parametrize(
    ("reason", "ends"),
    [(None, State.PAYMENT_FAILED), (Reason.CUSTOMER_CANCELLED, State.CANCELLED)],
)
def test_a_charge_attested_as_not_made_ends_the_reservation(
    status: Status, reason: Reason | None, ends: State
) -> None:
    facts = some_facts(a_charge(status), reason=reason)

    decided = decide(facts, Decision.NOT_CHARGED, "TICKET-1")

    assert Standing(decided).state is ends
    assert decided.ended_at == LATER
    assert not Standing(decided).reviews(LATER)


def test_a_charge_is_attested_as_not_made_only_past_its_deadline() -> None:
    in_time = some_facts(a_charge(Status.UNKNOWN, deadline_at=LATER + HOUR))

    with pytest.raises(DecisionRefusedError, match="not in review"):
        decide(in_time, Decision.NOT_CHARGED)


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.PENDING])
def test_a_payment_attested_as_not_made_is_found_by_a_late_inquiry_and_refunded(
    status: Status,
) -> None:
    decided = decide(some_facts(a_charge(status)), Decision.NOT_CHARGED, "TICKET-1")
    [charge] = decided.calls
    assert charge.check_at is not None
    look = plan(Standing(decided), Moment(charge.check_at, STANDARD))
    assert isinstance(look, Action)
    payment = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)

    sent = Sent(action=look, at=charge.check_at, attempt=1)
    found = record(decided, sent, Listing.of([payment]), Moment(charge.check_at, STANDARD))

    refund = plan(Standing(found), Moment(charge.check_at, STANDARD))
    assert isinstance(refund, Action)
    assert (refund.verb, refund.target, refund.money) == (Verb.REFUND, "pay_1", PRICE)


@pytest.mark.parametrize("status", [Status.STARTED, Status.UNKNOWN, Status.PENDING])
@pytest.mark.parametrize(
    ("reason", "ends"),
    [(None, Reason.SUPPLIER_REJECTED), (Reason.CUSTOMER_CANCELLED, Reason.CUSTOMER_CANCELLED)],
)
def test_a_booking_that_was_not_made_leads_to_a_refund(
    status: Status, reason: Reason | None, ends: Reason
) -> None:
    facts = some_facts(a_charge(), a_booking(status), reason=reason)

    decided = decide(facts, Decision.NOT_BOOKED, "TICKET-1")

    assert decided.reason is ends
    assert not Standing(decided).reviews(LATER)
    refund = plan(Standing(decided), Moment(LATER, STANDARD))
    assert isinstance(refund, Action)
    assert (refund.verb, refund.money) == (Verb.REFUND, PRICE)


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.PENDING])
def test_a_booking_attested_as_not_made_is_found_by_a_late_inquiry_and_cancelled(
    status: Status,
) -> None:
    facts = some_facts(a_charge(), a_booking(status), a_refund(), reason=Reason.CUSTOMER_CANCELLED)
    decided = decide(facts, Decision.NOT_BOOKED, "TICKET-1")
    look_at = decided.row(BOOK_KEY).check_at
    assert look_at is not None
    look = plan(Standing(decided), Moment(look_at, STANDARD))
    assert isinstance(look, Action)
    booking = Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="HOTEL-77")

    sent = Sent(action=look, at=look_at, attempt=1)
    found = record(decided, sent, Listing.of([booking]), Moment(look_at, STANDARD))

    cancellation = plan(Standing(found), Moment(look_at, STANDARD))
    assert isinstance(cancellation, Action)
    assert (cancellation.verb, cancellation.target) == (Verb.CANCEL_BOOKING, "bkg_1")


def test_of_two_open_payments_a_decision_names_the_one_that_was_not_made() -> None:
    second = a_charge(Status.PENDING, provider_id="pay_2", key="seen:charge:pay_2")
    facts = some_facts(a_charge(Status.UNKNOWN), second)

    with pytest.raises(
        DecisionRefusedError, match=r"by --target: \(no id yet: the last one\), pay_2"
    ):
        decide(facts, Decision.NOT_CHARGED)
    named = decide(facts, Decision.NOT_CHARGED, target="pay_2")
    both = decide(named, Decision.NOT_CHARGED)

    assert [call.status for call in named.calls] == [Status.UNKNOWN, Status.DECLINED]
    assert Standing(both).state is State.PAYMENT_FAILED


def test_an_attested_booking_confirms_under_the_suppliers_own_id() -> None:
    booked = decide(BOOKING_SILENT, Decision.BOOKED, "bkg_9")

    kept = Standing(booked).kept_booking
    assert kept is not None
    assert (kept.key, kept.provider_id) == (BOOK_KEY, "bkg_9")
    assert Standing(booked).state is State.SUPPLIER_CONFIRMED
    assert booked.confirmed_at == LATER


def test_a_booking_is_never_attested_under_another_id_than_the_supplier_gave() -> None:
    pending = some_facts(a_charge(), a_booking(Status.PENDING, provider_id="bkg_1"))

    with pytest.raises(DecisionRefusedError, match="as bkg_1"):
        decide(pending, Decision.BOOKED, "bkg_2")

    assert Standing(decide(pending, Decision.BOOKED, "bkg_1")).state is State.SUPPLIER_CONFIRMED


def test_an_attested_cancellation_lets_the_refund_begin() -> None:
    cancelled = decide(CANCEL_REFUSED, Decision.CANCELLED, "TICKET-5")

    [booking] = cancelled.of(Operation.BOOK)
    assert booking.status is Status.CANCELLED
    assert not Standing(cancelled).reviews(LATER)
    planned = plan(Standing(cancelled), Moment(LATER, STANDARD))
    assert isinstance(planned, Action)
    assert planned.verb is Verb.REFUND


def test_a_cancellation_without_an_answer_is_attested_by_its_booking() -> None:
    silent = replace(
        CANCEL_REFUSED, calls=(a_charge(), a_booking(), a_cancellation(Status.UNKNOWN))
    )

    [cancellation] = decide(silent, Decision.CANCELLED, "TICKET-5").of(Operation.CANCEL_BOOKING)

    assert (cancellation.status, cancellation.provider_id) == (Status.SUCCEEDED, "bkg_1")


def test_a_call_can_be_attested_from_its_deadline_on() -> None:
    due = replace(BOOKING_SILENT, calls=(a_charge(), a_booking(Status.UNKNOWN, deadline_at=LATER)))

    assert Standing(decide(due, Decision.BOOKED, "bkg_9")).state is State.SUPPLIER_CONFIRMED


@pytest.mark.parametrize(
    ("undoing", "decision"),
    [
        (a_refund(Status.NOT_FOUND, deadline_at=LATER), Decision.REFUNDED),
        (a_cancellation(Status.NOT_FOUND, deadline_at=LATER), Decision.CANCELLED),
    ],
)
def test_an_undoing_that_never_arrives_can_be_attested_from_its_deadline_on(
    undoing: Call, decision: Decision
) -> None:
    booking = a_booking(Status.CANCELLED) if decision is Decision.REFUNDED else a_booking()
    facts = some_facts(a_charge(), booking, undoing, reason=Reason.CUSTOMER_CANCELLED)

    attested = decide(facts, decision).row(undoing.key)

    assert (attested.status, attested.check_at) == (Status.SUCCEEDED, None)


IN_REVIEW = {
    Review.MONEY_MISMATCH: MISMATCH,
    Review.REFUND_REFUSED: REFUND_REFUSED,
    Review.DEADLINE: BOOKING_SILENT,
    Review.CANCEL_REFUSED: CANCEL_REFUSED,
}


@pytest.mark.parametrize("decision", Decision)
def test_only_an_open_review_can_be_decided(decision: Decision) -> None:
    with pytest.raises(DecisionRefusedError, match="not in review"):
        decide(some_facts(a_charge(), a_booking(), confirmed_at=NOON), decision)
    for review, facts in IN_REVIEW.items():
        if review not in ANSWERS[decision]:
            with pytest.raises(DecisionRefusedError, match="does not answer its review"):
                decide(facts, decision)


@pytest.mark.parametrize("decision", [Decision.REFUNDED, Decision.CANCELLED, Decision.NOT_CHARGED])
def test_a_deadline_is_answered_by_the_call_that_is_late(decision: Decision) -> None:
    with pytest.raises(DecisionRefusedError, match="in question"):
        decide(BOOKING_SILENT, decision)


def test_every_review_has_a_decision_but_that_of_another_release() -> None:
    assert set().union(*ANSWERS.values()) == set(Review) - {Review.UNKNOWN_WORD}
    assert set(ANSWERS) == set(Decision)


# --- erasing

TRIP = an_offer(starts_on=date(2027, 2, 1), ends_on=date(2027, 2, 3))


def confirmed(*more: Call, **changes: Any) -> Reservation:
    reservation = a_reservation(
        facts=some_facts(a_charge(), a_booking(), *more, confirmed_at=NOON),
        documents=(a_voucher(),),
        sends=(a_send(),),
        offer=TRIP,
    )
    return replace(reservation, **changes)


def test_a_trip_that_is_over_and_one_that_was_refunded_can_be_erased() -> None:
    refunded = some_facts(a_charge(), a_refund(), reason=Reason.CUSTOMER_CANCELLED, ended_at=NOON)
    refuse_to_erase(confirmed(), NOON)
    refuse_to_erase(a_reservation(facts=refunded, sends=(a_send(MailKind.CANCELLED),)), NOON)


@pytest.mark.parametrize(
    ("reservation", "why"),
    [
        (a_reservation(), "it is CREATED"),
        (a_reservation(a_charge()), "it is PAID"),
        (a_reservation(facts=REFUND_REFUSED), "it is REFUND_IN_PROGRESS.*in review"),
        (confirmed(a_charge(Status.PENDING, key="seen:2", provider_id="p2")), "not answered yet"),
        (confirmed(sends=()), "still owed"),
        (confirmed(documents=()), "still owed"),
        (confirmed(offer=replace(TRIP, ends_on=NOON.date())), "not over"),
    ],
)
def test_nothing_is_erased_while_it_is_needed(reservation: Reservation, why: str) -> None:
    with pytest.raises(DecisionRefusedError, match=why):
        refuse_to_erase(reservation, NOON)


def test_the_day_after_the_trip_nothing_needs_the_data() -> None:
    ends_today = replace(TRIP, ends_on=NOON.date())

    refuse_to_erase(confirmed(offer=ends_today), NOON + timedelta(days=1))


def test_a_transfer_answers_all_refused_refunds_of_a_payment() -> None:
    again = a_refund(Status.DECLINED, key="refund:pay_1:2", provider_id="ref_2")
    facts = some_facts(
        a_charge(), a_refund(Status.DECLINED), again, reason=Reason.CUSTOMER_CANCELLED
    )
    assert Standing(facts).reviews(LATER) == {Review.REFUND_REFUSED}

    returned = Standing(decide(facts, Decision.REFUNDED, "SEPA-77"))

    assert (returned.state, returned.reviews(LATER)) == (State.REFUNDED, frozenset())


def test_a_refund_that_waits_for_a_booking_to_be_cancelled_is_no_matter_of_its_own() -> None:
    refused = a_cancellation(Status.DECLINED)
    never_arrived = a_refund(Status.NOT_FOUND, check_at=LATER + HOUR)
    facts = some_facts(
        a_charge(), never_arrived, a_booking(), refused, reason=Reason.CUSTOMER_CANCELLED
    )

    assert Standing(facts).reviews(LATER) == {Review.CANCEL_REFUSED}

    cancelled = decide(facts, Decision.CANCELLED)
    assert Review.DEADLINE in Standing(cancelled).reviews(LATER)
