"""Changes of the facts by calls, answers, silence, webhooks and cancellations."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reservations.domain.actions import Action, Inquire, Send, Sent, Verb, Void
from reservations.domain.facts import (
    Call,
    Facts,
    Kind,
    Listing,
    NoAnswer,
    NotSent,
    Operation,
    Outcome,
    Provider,
    Reason,
    Seen,
    Status,
)
from reservations.domain.learning import begin, cancel, record, wake
from reservations.domain.money import Money
from reservations.domain.plan import plan
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.standing import Standing
from reservations.domain.verdict import conclude
from reservations.domain.words import State
from tests.worlds.builders import (
    BOOK_KEY,
    CHARGE_KEY,
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    SECOND,
    a_booking,
    a_cancellation,
    a_charge,
    a_refund,
    some_facts,
)

LATER = NOON + 5 * SECOND

PAID = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
BOOKED = Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="HOTEL-77")
NOTHING = Listing(())


def about(call: Call, verb: Verb) -> Action:
    match verb:
        case Verb.INQUIRE:
            return Inquire(call)
        case Verb.VOID:
            return Void(call)
    return Send(operation=call.operation, key=call.key, target=call.target, money=call.money)


def learnt(
    facts: Facts,
    verb: Verb,
    outcome: Outcome,
    *,
    key: str = CHARGE_KEY,
    asked_at: datetime = NOON,
    now: datetime = LATER,
    attempt: int = 1,
) -> Facts:
    sent = Sent(action=about(facts.row(key), verb), at=asked_at, attempt=attempt)
    return record(facts, sent, outcome, Moment(now, STANDARD))


def inquired(
    facts: Facts,
    outcome: Outcome,
    *,
    key: str = CHARGE_KEY,
    asked_at: datetime = NOON,
    now: datetime = LATER,
) -> Facts:
    return learnt(facts, Verb.INQUIRE, outcome, key=key, asked_at=asked_at, now=now)


def concluded(facts: Facts, now: datetime = LATER) -> Facts:
    """The facts after the end of the transaction."""
    return conclude(Standing(facts), Moment(now, STANDARD)).facts


# --- begin ----------------------------------------------------------------------------------------


def test_a_first_call_is_written_as_started_with_its_deadline_and_first_inquiry() -> None:
    facts = some_facts()
    action = plan(Standing(facts), Moment(NOON, STANDARD))
    assert isinstance(action, Action)

    [call] = begin(facts, action, Moment(NOON, STANDARD)).calls

    assert call == a_charge(
        Status.STARTED,
        started_at=NOON,
        sent_at=NOON,
        deadline_at=NOON + 30 * MINUTE,
        check_at=NOON + 30 * SECOND,
    )


def test_a_refund_has_a_day() -> None:
    facts = some_facts(a_charge(), reason=Reason.EXPIRED)
    action = plan(Standing(facts), Moment(NOON, STANDARD))
    assert isinstance(action, Action)

    refund = begin(facts, action, Moment(NOON, STANDARD)).row("refund:pay_1")

    assert refund.deadline_at == NOON + timedelta(days=1)
    assert (refund.target, refund.money) == ("pay_1", PRICE)


@pytest.mark.parametrize(
    ("before", "verb"),
    [
        (a_refund(Status.NOT_FOUND), Verb.REFUND),
        (a_cancellation(Status.NOT_FOUND), Verb.CANCEL_BOOKING),
    ],
)
def test_a_refund_or_cancellation_sent_again_keeps_its_deadline(before: Call, verb: Verb) -> None:
    again = begin(some_facts(before), about(before, verb), Moment(NOON + HOUR, STANDARD)).row(
        before.key
    )

    assert (again.sent_at, again.deadline_at) == (NOON + HOUR, before.deadline_at)


@pytest.mark.parametrize(
    ("before", "verb"),
    [(a_charge(Status.NOT_FOUND), Verb.CHARGE), (a_booking(Status.NOT_FOUND), Verb.BOOK)],
)
def test_a_charge_or_a_booking_sent_again_has_its_whole_time(before: Call, verb: Verb) -> None:
    again = begin(some_facts(before), about(before, verb), Moment(NOON + HOUR, STANDARD)).row(
        before.key
    )

    assert again.deadline_at == NOON + HOUR + STANDARD.deadline


def test_a_call_sent_again_keeps_its_key_and_its_beginning_and_counts_its_attempts() -> None:
    lost = a_charge(Status.NOT_FOUND, attempts=2)
    facts = begin(some_facts(lost), about(lost, Verb.CHARGE), Moment(NOON + MINUTE, STANDARD))

    [call] = facts.calls

    assert (call.key, call.started_at, call.sent_at) == (CHARGE_KEY, NOON, NOON + MINUTE)
    assert (call.status, call.attempts) == (Status.STARTED, 3)


@pytest.mark.parametrize(("verb", "void_asked"), [(Verb.INQUIRE, False), (Verb.VOID, True)])
def test_an_inquiry_only_schedules_the_next_one(verb: Verb, void_asked: bool) -> None:
    pending = a_charge(Status.PENDING, looks=2, check_at=NOON)

    [call] = begin(some_facts(pending), about(pending, verb), Moment(NOON, STANDARD)).calls

    assert call == replace(pending, void_asked=void_asked, check_at=NOON + 2 * MINUTE)


def test_an_inquiry_keeps_the_record_of_a_void() -> None:
    pending = a_charge(Status.PENDING, void_asked=True)

    [call] = begin(some_facts(pending), about(pending, Verb.INQUIRE), Moment(NOON, STANDARD)).calls

    assert call.void_asked


def test_an_inquiry_about_a_call_that_was_never_begun_is_a_defect() -> None:
    with pytest.raises(LookupError, match="charge:"):
        begin(some_facts(), about(a_charge(), Verb.INQUIRE), Moment(NOON, STANDARD))


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [Status.SUCCEEDED, Status.DECLINED, Status.VOIDED, Status.PENDING]
)
def test_an_answer_becomes_a_fact(status: Status) -> None:
    facts = learnt(some_facts(a_charge(Status.STARTED)), Verb.CHARGE, replace(PAID, status=status))

    [call] = facts.calls
    assert (call.status, call.provider_id, call.money) == (status, "pay_1", PRICE)


@pytest.mark.parametrize(
    ("status", "closed_at", "check_at"),
    [
        (Status.SUCCEEDED, LATER, LATER + HOUR),
        (Status.PENDING, None, LATER + 30 * SECOND),
    ],
)
def test_an_answer_sets_the_next_inquiry(
    status: Status, closed_at: datetime | None, check_at: datetime
) -> None:
    unknown = a_charge(Status.UNKNOWN, looks=4, missing_since=NOON)

    [call] = learnt(some_facts(unknown), Verb.CHARGE, replace(PAID, status=status)).calls

    assert (call.closed_at, call.quiet_from, call.check_at) == (closed_at, closed_at, check_at)
    assert (call.looks, call.missing_since) == (0, None)


def test_a_stale_answer_changes_only_the_inquiry_count() -> None:
    paid = a_charge(check_at=None)

    facts = learnt(some_facts(paid), Verb.CHARGE, replace(PAID, status=Status.PENDING))

    assert facts.row(CHARGE_KEY) == replace(paid, check_at=NOON + HOUR)


def test_another_amount_is_recorded_unchanged() -> None:
    dollars = Money(PRICE.minor, "USD")

    facts = learnt(some_facts(a_charge(Status.STARTED)), Verb.CHARGE, replace(PAID, money=dollars))

    assert facts.row(CHARGE_KEY).money == dollars


def test_the_locator_is_recorded_with_the_booking_and_kept() -> None:
    facts = some_facts(a_charge(), a_booking(Status.STARTED))

    facts = learnt(facts, Verb.BOOK, BOOKED, key=BOOK_KEY)
    facts = learnt(
        facts,
        Verb.INQUIRE,
        Listing.of([Seen(provider_id="bkg_1", status=Status.CANCELLED)]),
        key=BOOK_KEY,
    )

    assert facts.row(BOOK_KEY).status is Status.CANCELLED
    assert facts.row(BOOK_KEY).locator == "HOTEL-77"


def test_an_answer_under_another_id_gets_a_row_of_its_own() -> None:
    facts = learnt(some_facts(a_charge()), Verb.CHARGE, replace(PAID, provider_id="pay_2"))

    first, second = facts.calls
    assert first == a_charge()
    assert (second.key, second.provider_id) == ("seen:charge:pay_2", "pay_2")
    assert (second.started_at, second.sent_at) == (LATER, LATER)


def test_a_found_call_has_the_deadline_of_a_sent_one() -> None:
    pending = Seen(provider_id="other", status=Status.PENDING, money=PRICE)
    facts = some_facts(a_charge(), reason=Reason.EXPIRED)

    facts = learnt(facts, Verb.CHARGE, pending)

    assert facts.row("seen:charge:other").deadline_at == LATER + STANDARD.deadline


def test_an_answer_to_one_row_is_filed_under_the_row_that_has_its_id() -> None:
    ours, other = (
        a_charge(Status.UNKNOWN),
        a_charge(Status.PENDING, provider_id="pay_2", key="seen:charge:pay_2"),
    )

    facts = learnt(some_facts(ours, other), Verb.CHARGE, replace(PAID, provider_id="pay_2"))

    assert facts.row(CHARGE_KEY) == ours
    assert facts.row("seen:charge:pay_2").status is Status.SUCCEEDED


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.PENDING, Status.DECLINED])
def test_the_answer_to_a_refund_becomes_a_fact(status: Status) -> None:
    facts = some_facts(a_charge(), a_refund(Status.STARTED), reason=Reason.EXPIRED)

    facts = learnt(facts, Verb.REFUND, Seen(provider_id="ref_1", status=status), key="refund:pay_1")

    refund = facts.row("refund:pay_1")
    assert (refund.status, refund.provider_id, refund.money) == (status, "ref_1", PRICE)


def test_a_refund_that_succeeded_is_never_inquired_about_again() -> None:
    facts = some_facts(a_charge(), a_refund(Status.STARTED), reason=Reason.EXPIRED)

    facts = learnt(
        facts,
        Verb.REFUND,
        Seen(provider_id="ref_1", status=Status.SUCCEEDED),
        key="refund:pay_1",
    )

    assert facts.row("refund:pay_1").check_at is None


def test_a_cancellation_that_succeeds_ends_its_booking() -> None:
    facts = some_facts(
        a_booking(), a_cancellation(Status.STARTED), reason=Reason.CUSTOMER_CANCELLED
    )

    facts = learnt(
        facts,
        Verb.CANCEL_BOOKING,
        Seen(provider_id="bkg_1", status=Status.SUCCEEDED),
        key="cancel:bkg_1",
    )

    assert facts.row("cancel:bkg_1").status is Status.SUCCEEDED
    assert facts.row(BOOK_KEY).status is Status.CANCELLED


@pytest.mark.parametrize("status", [Status.DECLINED, Status.PENDING])
def test_a_cancellation_that_does_not_succeed_leaves_its_booking_live(status: Status) -> None:
    facts = some_facts(
        a_booking(), a_cancellation(Status.STARTED), reason=Reason.CUSTOMER_CANCELLED
    )

    facts = learnt(
        facts, Verb.CANCEL_BOOKING, Seen(provider_id="bkg_1", status=status), key="cancel:bkg_1"
    )

    assert facts.row("cancel:bkg_1").status is status
    assert facts.row(BOOK_KEY) == a_booking()


def test_the_answer_to_a_void_is_the_current_payment() -> None:
    pending = a_charge(Status.PENDING, void_asked=True)
    facts = some_facts(pending, reason=Reason.CUSTOMER_CANCELLED)

    assert learnt(facts, Verb.VOID, PAID).row(CHARGE_KEY).status is Status.SUCCEEDED


# --- no answer ------------------------------------------------------------------------------------


def test_a_call_without_an_answer_is_unknown_and_inquired_about_soon() -> None:
    [call] = learnt(some_facts(a_charge(Status.STARTED)), Verb.CHARGE, NoAnswer()).calls

    assert call == a_charge(Status.UNKNOWN, check_at=LATER + 30 * SECOND, doubted=True)


@pytest.mark.parametrize(
    ("attempts", "pause"),
    [(1, 30 * SECOND), (2, MINUTE), (3, 2 * MINUTE), (4, 5 * MINUTE), (40, 5 * MINUTE)],
)
def test_a_call_that_was_not_sent_is_sent_again_after_a_growing_pause(
    attempts: int, pause: timedelta
) -> None:
    started = a_charge(Status.STARTED, attempts=attempts)

    [call] = learnt(some_facts(started), Verb.CHARGE, NotSent(), attempt=attempts).calls

    assert (call.status, call.closed_at, call.quiet_from) == (Status.NOT_FOUND, LATER, LATER)
    assert call.check_at == LATER + pause


@pytest.mark.parametrize(
    ("retry_after_s", "pause"),
    [(0, 30 * SECOND), (90, 90 * SECOND), (300, 5 * MINUTE), (86400, 5 * MINUTE)],
)
@pytest.mark.parametrize("kind", [NotSent, NoAnswer])
def test_a_retry_after_of_a_provider_is_obeyed_within_bounds(
    kind: type[NotSent] | type[NoAnswer], retry_after_s: int, pause: timedelta
) -> None:
    facts = some_facts(a_charge(Status.STARTED))

    assert learnt(facts, Verb.CHARGE, kind(retry_after_s)).row(CHARGE_KEY).check_at == LATER + pause


def test_an_unsent_attempt_changes_nothing_of_a_later_one() -> None:
    again = a_charge(Status.STARTED, attempts=2)

    [call] = learnt(some_facts(again), Verb.CHARGE, NotSent(), attempt=1).calls

    assert call.status is Status.UNKNOWN


@pytest.mark.parametrize("outcome", [NotSent(), NoAnswer()])
def test_a_void_without_an_answer_keeps_a_known_status(outcome: NotSent | NoAnswer) -> None:
    pending = a_charge(Status.PENDING, void_asked=True)
    facts = some_facts(pending, reason=Reason.CUSTOMER_CANCELLED)

    assert learnt(facts, Verb.VOID, outcome).row(CHARGE_KEY) == replace(
        pending, looks=1, check_at=LATER + MINUTE
    )


@pytest.mark.parametrize("outcome", [NotSent(), NoAnswer()])
def test_a_call_without_an_answer_keeps_the_status_of_a_later_inquiry(
    outcome: NotSent | NoAnswer,
) -> None:
    found = a_booking(Status.PENDING)

    heard = learnt(some_facts(a_charge(), found), Verb.BOOK, outcome, key=BOOK_KEY)

    assert heard.row(BOOK_KEY) == replace(found, looks=1, check_at=LATER + MINUTE)


@pytest.mark.parametrize("outcome", [NotSent(), NoAnswer()])
@pytest.mark.parametrize(("looks", "pause"), [(0, MINUTE), (2, 5 * MINUTE), (9, 5 * MINUTE)])
def test_an_inquiry_without_an_answer_is_repeated_within_five_minutes(
    outcome: NotSent | NoAnswer, looks: int, pause: timedelta
) -> None:
    unknown = a_charge(Status.UNKNOWN, looks=looks)

    [call] = inquired(some_facts(unknown), outcome).calls

    assert (call.status, call.check_at) == (Status.UNKNOWN, LATER + pause)
    assert call.looks == min(looks + 1, STANDARD.unasked_ladder_limit)


@pytest.mark.parametrize("outcome", [NotSent(90), NoAnswer(90)])
def test_a_postponed_inquiry_is_made_after_retry_after(
    outcome: NotSent | NoAnswer,
) -> None:
    [call] = inquired(some_facts(a_charge(Status.UNKNOWN)), outcome).calls

    assert call.check_at == LATER + 90 * SECOND


@pytest.mark.parametrize("outcome", [NotSent(), NoAnswer()])
def test_a_void_without_an_answer_is_repeated_within_five_minutes_or_after_retry_after(
    outcome: NotSent | NoAnswer,
) -> None:
    pending = a_charge(Status.PENDING, void_asked=True, looks=9)
    facts = some_facts(pending, reason=Reason.CUSTOMER_CANCELLED)

    assert learnt(facts, Verb.VOID, outcome).row(CHARGE_KEY).check_at == LATER + 5 * MINUTE

    put_off = learnt(facts, Verb.VOID, replace(outcome, retry_after_s=90))
    assert put_off.row(CHARGE_KEY).check_at == LATER + 90 * SECOND


@pytest.mark.parametrize(("check_at", "next_at"), [(NOON, LATER + 10 * MINUTE), (None, None)])
def test_a_late_inquiry_without_an_answer_is_repeated_only_if_one_was_due(
    check_at: datetime | None, next_at: datetime | None
) -> None:
    facts = inquired(some_facts(a_charge(check_at=check_at)), NoAnswer())

    assert facts.row(CHARGE_KEY).check_at == next_at


# --- listings -------------------------------------------------------------------------------------


def test_a_listing_is_filed_whole_highest_rank_first() -> None:
    refused = Seen(provider_id="pay_9", status=Status.DECLINED, money=PRICE)

    facts = inquired(some_facts(a_charge(Status.UNKNOWN)), Listing.of([refused, PAID]))

    assert facts.row(CHARGE_KEY).provider_id == "pay_1"
    assert facts.row("seen:charge:pay_9").status is Status.DECLINED


def test_a_listing_gives_each_known_id_to_its_row() -> None:
    ours = a_charge(Status.PENDING, provider_id="pay_9")
    refused = Seen(provider_id="pay_9", status=Status.DECLINED, money=PRICE)

    facts = inquired(some_facts(ours), Listing.of([PAID, refused]))

    assert facts.row(CHARGE_KEY).status is Status.DECLINED
    assert facts.row("seen:charge:pay_1").status is Status.SUCCEEDED


def test_a_known_id_is_filed_before_an_unknown_one_of_higher_rank() -> None:
    nameless = a_charge(Status.UNKNOWN)
    other = a_charge(Status.PENDING, provider_id="pay_9", key="seen:charge:pay_9")
    news = Seen(provider_id="pay_9", status=Status.DECLINED, money=PRICE)

    facts = inquired(some_facts(nameless, other), Listing.of([PAID, news]))

    assert len(facts.calls) == 2
    assert facts.row(CHARGE_KEY).provider_id == "pay_1"
    assert facts.row("seen:charge:pay_9").status is Status.DECLINED


SURE_AT = NOON + STANDARD.call_limit + STANDARD.visibility


def test_not_being_listed_once_is_only_evidence() -> None:
    facts = inquired(some_facts(a_charge(Status.UNKNOWN)), NOTHING, asked_at=SURE_AT, now=SURE_AT)

    [call] = facts.calls
    assert (call.status, call.missing_since) == (Status.UNKNOWN, SURE_AT)
    assert call.looks == 1


@pytest.mark.parametrize(
    ("missing_since", "asked_at", "status"),
    [
        (NOON, SURE_AT - SECOND, Status.UNKNOWN),
        (NOON, SURE_AT, Status.NOT_FOUND),
        (SURE_AT, SURE_AT + 59 * SECOND, Status.UNKNOWN),
        (SURE_AT, SURE_AT + 60 * SECOND, Status.NOT_FOUND),
    ],
)
def test_a_call_is_closed_as_not_found_after_two_late_listings_without_it(
    missing_since: datetime, asked_at: datetime, status: Status
) -> None:
    unknown = a_charge(Status.UNKNOWN, missing_since=missing_since)

    [call] = inquired(some_facts(unknown), NOTHING, asked_at=asked_at, now=asked_at).calls

    assert call.status is status


@pytest.mark.parametrize(
    ("asking", "asked_at", "waits"),
    [(BOOK_KEY, LATER, True), ("cancel:bkg_2", NOON, True), ("cancel:bkg_2", LATER, False)],
)
def test_only_a_later_inquiry_of_its_own_moves_the_retry_of_a_call(
    asking: str, asked_at: datetime, waits: bool
) -> None:
    send_at = NOON + 30 * SECOND
    surplus = a_booking(key="seen:book:bkg_2", provider_id="bkg_2")
    not_sent = a_cancellation(Status.NOT_FOUND, of="bkg_2", check_at=send_at)
    both = Listing((BOOKED, Seen(provider_id="bkg_2", status=Status.SUCCEEDED)))

    facts = inquired(
        some_facts(a_charge(), a_booking(), surplus, not_sent),
        both,
        key=asking,
        asked_at=asked_at,
        now=LATER + SECOND,
    )

    assert (facts.row("cancel:bkg_2").check_at == send_at) is waits


def test_a_call_that_is_not_found_may_be_sent_again_at_once() -> None:
    unknown = a_charge(Status.UNKNOWN, missing_since=NOON)

    facts = inquired(some_facts(unknown), NOTHING, asked_at=SURE_AT, now=SURE_AT)

    assert plan(Standing(facts), Moment(SURE_AT, STANDARD)) == about(unknown, Verb.CHARGE)
    assert facts.row(CHARGE_KEY).check_at == SURE_AT


def test_a_late_inquiry_about_a_missing_call_schedules_the_next() -> None:
    facts = some_facts(a_charge(Status.NOT_FOUND, check_at=NOON), reason=Reason.EXPIRED)

    facts = inquired(facts, NOTHING, asked_at=LATER, now=LATER + SECOND)

    assert facts.row(CHARGE_KEY).check_at == NOON + 10 * MINUTE


def test_a_call_that_is_not_found_is_closed_and_its_ladder_goes_on() -> None:
    unknown = a_charge(Status.UNKNOWN, missing_since=NOON, looks=4)

    [call] = inquired(some_facts(unknown), NOTHING, asked_at=SURE_AT, now=SURE_AT + SECOND).calls

    closed_at = SURE_AT + SECOND
    assert call == a_charge(
        Status.NOT_FOUND,
        closed_at=closed_at,
        quiet_from=closed_at,
        check_at=closed_at,
        looks=4,
        missing_since=NOON,
        doubted=True,
    )


def test_the_deciding_inquiry_comes_as_soon_as_it_can() -> None:
    unknown = a_charge(Status.UNKNOWN, looks=5)

    [call] = inquired(some_facts(unknown), NOTHING, asked_at=SURE_AT, now=SURE_AT).calls

    assert call.check_at == SURE_AT + STANDARD.not_found_gap


@pytest.mark.parametrize(
    ("asked_after", "looks", "pause"),
    [
        (SECOND, 0, MINUTE),  # the next rung comes before it can be sure
        (SECOND, 1, 2 * MINUTE),
        (6 * MINUTE, 5, MINUTE),  # sure after two listings a minute apart
        (7 * MINUTE - 10 * SECOND, 5, MINUTE),
    ],
)
def test_the_next_inquiry_about_an_unlisted_call_is_never_later_than_the_ladder_or_certainty(
    asked_after: timedelta, looks: int, pause: timedelta
) -> None:
    asked_at = NOON + asked_after

    [call] = inquired(
        some_facts(a_charge(Status.UNKNOWN, looks=looks)), NOTHING, asked_at=asked_at, now=asked_at
    ).calls

    assert call.check_at == asked_at + pause
    assert (call.looks, call.missing_since) == (looks + 1, asked_at)


def test_a_deciding_inquiry_that_is_due_at_once_still_pauses() -> None:
    unknown = a_charge(Status.UNKNOWN, looks=5, missing_since=NOON)

    [call] = inquired(
        some_facts(unknown), NOTHING, asked_at=SURE_AT - SECOND, now=SURE_AT + SECOND
    ).calls

    assert call.check_at == SURE_AT + SECOND + 30 * SECOND


def test_a_listing_requested_in_the_moment_of_the_send_is_evidence() -> None:
    [call] = inquired(some_facts(a_charge(Status.UNKNOWN)), NOTHING, asked_at=NOON).calls

    assert call.missing_since == NOON


def test_a_listing_requested_before_the_last_send_is_no_evidence() -> None:
    again = a_charge(Status.UNKNOWN, missing_since=NOON, sent_at=SURE_AT + SECOND)

    [call] = inquired(some_facts(again), NOTHING, asked_at=SURE_AT, now=SURE_AT).calls

    assert (call.status, call.missing_since) == (Status.UNKNOWN, NOON)


@pytest.mark.parametrize("status", [Status.PENDING, Status.SUCCEEDED, Status.DECLINED])
def test_a_call_the_provider_once_reported_stays_when_it_is_not_listed(status: Status) -> None:
    facts = inquired(some_facts(a_charge(status)), NOTHING, asked_at=SURE_AT, now=SURE_AT)

    assert facts.row(CHARGE_KEY).status is status


def test_the_refunds_of_one_payment_do_not_count_for_another() -> None:
    facts = some_facts(
        a_charge(),
        a_charge(provider_id="pay_2", key="seen:charge:pay_2"),
        a_refund(Status.UNKNOWN),
        a_refund(Status.UNKNOWN, of="pay_2"),
        reason=Reason.EXPIRED,
    )
    done = Listing.of([Seen(provider_id="ref_1", status=Status.SUCCEEDED)])

    facts = inquired(facts, done, key="refund:pay_1")

    assert facts.row("refund:pay_1").status is Status.SUCCEEDED
    assert facts.row("refund:pay_2") == a_refund(Status.UNKNOWN, of="pay_2")


def test_a_refund_of_another_amount_was_made_elsewhere() -> None:
    facts = some_facts(a_charge(), a_refund(Status.UNKNOWN), reason=Reason.CUSTOMER_CANCELLED)
    part = Seen(provider_id="ref_x", status=Status.SUCCEEDED, money=Money(100, "EUR"))

    facts = inquired(facts, Listing.of([part]), key="refund:pay_1")

    [elsewhere] = facts.contradictions
    assert (elsewhere.matter, elsewhere.payment) == ((Kind.FOREIGN_REFUND, "ref_x"), "pay_1")
    assert facts.row("refund:pay_1").status is Status.UNKNOWN
    assert Standing(facts).left_of(facts.row(CHARGE_KEY)) == PRICE.minor - 100
    assert Standing(facts).state is State.REFUND_IN_PROGRESS


def test_a_refund_of_our_amount_is_ours_also_beside_another() -> None:
    facts = some_facts(a_charge(), a_refund(Status.UNKNOWN), reason=Reason.CUSTOMER_CANCELLED)
    part = Seen(provider_id="ref_x", status=Status.DECLINED, money=Money(100, "EUR"))
    ours = Seen(provider_id="ref_1", status=Status.SUCCEEDED, money=PRICE)

    facts = inquired(facts, Listing.of([part, ours]), key="refund:pay_1")

    assert facts.row("refund:pay_1").provider_id == "ref_1"
    assert Standing(facts).state is State.REFUNDED


def test_a_refund_that_is_not_listed_is_not_found() -> None:
    lost = a_refund(Status.UNKNOWN, missing_since=NOON)
    facts = some_facts(a_charge(), lost, reason=Reason.EXPIRED)

    facts = inquired(facts, NOTHING, key="refund:pay_1", asked_at=SURE_AT, now=SURE_AT)

    assert facts.row("refund:pay_1").status is Status.NOT_FOUND


def test_a_refund_made_by_hand_counts_for_its_payment() -> None:
    facts = some_facts(a_charge(), a_refund(Status.PENDING), reason=Reason.EXPIRED)
    listing = Listing.of(
        [
            Seen(provider_id="ref_pay_1", status=Status.DECLINED),
            Seen(provider_id="ref_9", status=Status.SUCCEEDED, money=PRICE),
        ]
    )

    facts = inquired(facts, listing, key="refund:pay_1")

    assert [call.key for call in facts.of(Operation.REFUND)] == ["refund:pay_1"]
    assert Standing(facts).state is State.REFUNDED


@pytest.mark.parametrize("status", [Status.STARTED, Status.UNKNOWN, Status.PENDING])
def test_a_cancellation_is_done_when_its_booking_is_listed_as_cancelled(status: Status) -> None:
    facts = some_facts(a_booking(), a_cancellation(status), reason=Reason.CUSTOMER_CANCELLED)
    gone = Listing.of([Seen(provider_id="bkg_1", status=Status.CANCELLED)])

    facts = inquired(facts, gone, key="cancel:bkg_1")

    cancellation = facts.row("cancel:bkg_1")
    assert (cancellation.status, cancellation.closed_at) == (Status.SUCCEEDED, LATER)
    assert cancellation.check_at is None


def test_a_listing_concludes_every_cancellation_after_an_answered_one() -> None:
    facts = some_facts(
        a_booking(),
        a_booking(provider_id="bkg_2", key="seen:book:bkg_2"),
        a_cancellation(Status.DECLINED),
        a_cancellation(Status.UNKNOWN, of="bkg_2"),
        reason=Reason.CUSTOMER_CANCELLED,
    )
    gone = Listing.of([BOOKED, Seen(provider_id="bkg_2", status=Status.CANCELLED)])

    facts = inquired(facts, gone, key=BOOK_KEY)

    assert facts.row("cancel:bkg_1").status is Status.DECLINED
    assert facts.row("cancel:bkg_2").status is Status.SUCCEEDED


def test_a_cancellation_whose_booking_stays_live_is_not_found() -> None:
    lost = a_cancellation(Status.UNKNOWN, missing_since=NOON)
    facts = some_facts(a_booking(), lost, reason=Reason.CUSTOMER_CANCELLED)

    facts = inquired(facts, Listing.of([BOOKED]), key="cancel:bkg_1", asked_at=SURE_AT, now=SURE_AT)

    assert facts.row("cancel:bkg_1").status is Status.NOT_FOUND


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.DECLINED])
def test_a_cancellation_that_was_answered_is_not_touched_by_a_listing(status: Status) -> None:
    answered = a_cancellation(status)
    facts = some_facts(a_booking(), answered, reason=Reason.CUSTOMER_CANCELLED)

    assert inquired(facts, Listing.of([BOOKED]), key=BOOK_KEY).row("cancel:bkg_1") == answered


# --- late inquiries -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_after", "next_after"),
    [
        (timedelta(0), 10 * MINUTE),
        (10 * MINUTE, HOUR),
        (HOUR, 6 * HOUR),
        (6 * HOUR, 24 * HOUR),
        (23 * HOUR, 24 * HOUR),
        (24 * HOUR, 72 * HOUR),
        (72 * HOUR, None),
    ],
)
def test_a_charge_that_was_in_doubt_is_inquired_about_on_schedule_and_then_rests(
    asked_after: timedelta, next_after: timedelta | None
) -> None:
    asked_at = NOON + asked_after

    facts = inquired(
        some_facts(a_charge(doubted=True)),
        Listing.of([PAID]),
        asked_at=asked_at,
        now=asked_at + SECOND,
    )

    expected = None if next_after is None else NOON + next_after
    assert facts.row(CHARGE_KEY).check_at == expected


@pytest.mark.parametrize("asked_after", [timedelta(0), HOUR])
def test_a_charge_that_was_never_in_doubt_is_inquired_about_once(asked_after: timedelta) -> None:
    asked_at = NOON + asked_after

    facts = inquired(
        some_facts(a_charge()), Listing.of([PAID]), asked_at=asked_at, now=asked_at + SECOND
    )

    assert facts.row(CHARGE_KEY).check_at == (None if asked_after else NOON + HOUR)


@pytest.mark.parametrize(
    ("looks", "pause"),
    [
        (0, MINUTE),
        (1, 2 * MINUTE),
        (2, 5 * MINUTE),
        (3, 10 * MINUTE),
        (4, 20 * MINUTE),
        (5, HOUR),
        (17, HOUR),
        (18, 2 * HOUR),
        (50, 24 * HOUR),
    ],
)
def test_an_open_charge_is_inquired_about_less_and_less_often(looks: int, pause: timedelta) -> None:
    pending = a_charge(Status.PENDING, looks=looks)
    still = Listing.of([replace(PAID, status=Status.PENDING)])

    [call] = inquired(some_facts(pending), still).calls

    assert (call.looks, call.check_at) == (looks + 1, LATER + pause)


# --- webhooks and cancellations -----------------------------------------------------------------


def test_a_webhook_makes_the_calls_of_its_provider_due_and_nothing_else() -> None:
    facts = some_facts(
        a_charge(),
        a_refund(Status.PENDING),
        a_refund(of="pay_0"),
        a_booking(),
        a_cancellation(Status.UNKNOWN),
        reason=Reason.EXPIRED,
    )

    woken = wake(facts, Provider.PAYMENTS, LATER)

    due = {call.key for call in woken.calls if call.due(LATER)}
    assert due == {CHARGE_KEY, "refund:pay_1"}
    assert woken.row(CHARGE_KEY).quiet_from == LATER
    assert woken.row("refund:pay_1").quiet_from is None
    assert woken.of(Operation.BOOK) == facts.of(Operation.BOOK)


def test_an_inquiry_after_a_webhook_restarts_the_ladder() -> None:
    facts = some_facts(a_charge(), a_booking(Status.PENDING, looks=9))
    still = Listing((Seen(provider_id="bkg_1", status=Status.PENDING),))

    woken = wake(facts, Provider.SUPPLIER, LATER)

    [look] = begin(woken, about(woken.row(BOOK_KEY), Verb.INQUIRE), Moment(LATER, STANDARD)).of(
        Operation.BOOK
    )
    assert look.check_at == LATER + STANDARD.ladder[0]
    # Also if the inquiry left before the webhook arrived.
    for asked_at in (NOON, LATER):
        lagged = inquired(woken, still, key=BOOK_KEY, asked_at=asked_at)
        assert lagged.row(BOOK_KEY).check_at == LATER + STANDARD.ladder[1]


def test_a_webhook_of_the_supplier_wakes_bookings_and_open_cancellations() -> None:
    facts = some_facts(
        a_charge(), a_booking(), a_cancellation(Status.PENDING), reason=Reason.CUSTOMER_CANCELLED
    )

    woken = wake(facts, Provider.SUPPLIER, LATER)

    assert {call.key for call in woken.calls if call.due(LATER)} == {BOOK_KEY, "cancel:bkg_1"}


def test_a_cancellation_before_anything_was_charged_ends_at_once() -> None:
    facts = concluded(cancel(some_facts()))

    assert (facts.reason, facts.ended_at) == (Reason.CUSTOMER_CANCELLED, LATER)


def test_the_first_reason_stays() -> None:
    assert cancel(some_facts(reason=Reason.EXPIRED)).reason is Reason.EXPIRED


# --- knowledge ------------------------------------------------------------------------------------


def test_the_answer_that_leaves_no_way_forward_closes_the_reservation() -> None:
    declined = replace(PAID, status=Status.DECLINED)

    facts = concluded(learnt(some_facts(a_charge(Status.STARTED)), Verb.CHARGE, declined))

    assert (facts.reason, facts.ended_at) == (Reason.PAYMENT_DECLINED, LATER)


def test_the_confirmation_is_stamped_once() -> None:
    facts = some_facts(a_charge(), a_booking(Status.STARTED))

    confirmed = concluded(learnt(facts, Verb.BOOK, BOOKED, key=BOOK_KEY))
    seen_again = inquired(confirmed, Listing.of([BOOKED]), key=BOOK_KEY, now=LATER + HOUR)
    seen_again = concluded(seen_again, now=LATER + HOUR)

    assert confirmed.confirmed_at == LATER
    assert seen_again.confirmed_at == LATER


def test_the_end_is_stamped_once() -> None:
    ended = some_facts(a_charge(Status.UNKNOWN), reason=Reason.CUSTOMER_CANCELLED, ended_at=NOON)

    assert concluded(inquired(ended, Listing.of([PAID]))).ended_at == NOON
