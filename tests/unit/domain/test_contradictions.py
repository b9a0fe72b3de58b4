"""What follows when a provider changes its word, kind by kind: looks, freeze, decisions, end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from reservations.domain.actions import Action, Inquire, Send, Sent, Verb, Wait
from reservations.domain.decisions import DecisionRefusedError, resolve
from reservations.domain.facts import (
    Call,
    Decision,
    Dispute,
    DisputeStatus,
    Facts,
    Kind,
    Listing,
    NoAnswer,
    NotSent,
    Operation,
    Outcome,
    Reason,
    Seen,
    Status,
)
from reservations.domain.learning import begin, record
from reservations.domain.money import Money
from reservations.domain.plan import plan, settle
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import MailKind
from reservations.domain.standing import Standing
from reservations.domain.views import Refund, RefundStatus
from reservations.domain.words import PublicStatus, Review, State
from tests.unit.domain.changing_providers import ChangingProviders, Story
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
    a_contradiction,
    a_refund,
    some_facts,
)

DAY = timedelta(days=1)
CENT, PART, REST = Money(1, "EUR"), Money(6000, "EUR"), Money(PRICE.minor - 6000, "EUR")
OTHER_SUM = Money(PRICE.minor - 100, "EUR")
SECOND_REFUND = "refund:pay_1:2"
BK_2: dict[str, Any] = {"provider_id": "bk_2", "key": "seen:book:bk_2"}
DATES, MORE_DATES = "other dates 2027-05-02/2027-05-05", "other dates 2027-06-02/2027-06-05"
UNDOING = {Verb.CHARGE, Verb.BOOK, Verb.REFUND, Verb.CANCEL_BOOKING}

Change = Callable[[ChangingProviders], None]


def confirmed() -> Story:
    """A confirmed reservation at rest, with its voucher and its mail."""
    story = Story()
    story.run(3 * HOUR)
    assert (story.status, story.mails) == (PublicStatus.CONFIRMADA, [MailKind.CONFIRMED])
    assert settle(story.reservation, story.at).next_check_at is None
    story.forget()
    return story


def refunded() -> Story:
    """A reservation that its traveler has cancelled, with the money back, at rest."""
    story = confirmed()
    story.cancel()
    story.run(3 * HOUR)
    assert (story.status, story.state) == (PublicStatus.CANCELADA, State.REFUNDED)
    story.forget()
    return story


def contradicted(change: Change, *, after: Callable[[], Story] = confirmed) -> Story:
    """A story whose providers changed their word, and said so."""
    story = after()
    change(story.providers)
    story.webhook()
    return story


def believed(change: Change, *, after: Callable[[], Story] = confirmed) -> Story:
    """A story whose contradiction has its review."""
    story = contradicted(change, after=after)
    story.run(20 * MINUTE)
    assert story.reviews
    return story


def much_later(story: Story) -> None:
    """Pass ten days, with notices of both providers that tell nothing new."""
    story.run(2 * DAY)
    story.webhook()
    story.run(8 * DAY)


def is_at_rest(story: Story) -> bool:
    """Return `True` once nothing is due any more, a far look excepted."""
    return settle(story.reservation, story.at).next_check_at is None


# --- the changes ---------------------------------------------------------------------------------


def booking_absent(providers: ChangingProviders) -> None:
    providers.bookings = []


def booking_pending(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", status=Status.PENDING)


def booking_rejected(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", status=Status.DECLINED)


def other_dates(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", other_terms=DATES)


def other_price(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", money=OTHER_SUM)


def further_dates(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", other_terms=MORE_DATES)


def third_price(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", money=CENT)


def dates_in_capitals(providers: ChangingProviders) -> None:
    providers.set_booking("BK_1", other_terms=DATES)


def booking_in_capitals(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", provider_id="BK_1")


def booking_alive(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", status=Status.SUCCEEDED)


def booking_cancelled(providers: ChangingProviders) -> None:
    providers.set_booking("bk_1", status=Status.CANCELLED)


def payment_absent(providers: ChangingProviders) -> None:
    providers.payments = []


def payment_voided(providers: ChangingProviders) -> None:
    providers.set_payment("pay_1", status=Status.VOIDED)


def payment_pending(providers: ChangingProviders) -> None:
    providers.set_payment("pay_1", status=Status.PENDING)


def payment_declined(providers: ChangingProviders) -> None:
    providers.set_payment("pay_1", status=Status.DECLINED)


def payment_in_capitals(providers: ChangingProviders) -> None:
    providers.set_payment("pay_1", provider_id="PAY_1")


def all_returned_by_hand(providers: ChangingProviders) -> None:
    providers.refund("pay_1", PRICE)


def part_returned_by_hand(providers: ChangingProviders) -> None:
    providers.refund("pay_1", PART)


def cent_returned_by_hand(providers: ChangingProviders) -> None:
    providers.refund("pay_1", CENT)


def refund_failed(providers: ChangingProviders) -> None:
    providers.set_refund("re_1", status=Status.DECLINED)


def refund_absent(providers: ChangingProviders) -> None:
    providers.refunds = {}


def dispute(status: DisputeStatus) -> Change:
    def change(providers: ChangingProviders) -> None:
        providers.set_payment("pay_1", dispute=Dispute(status, PRICE))

    return change


dispute_open, dispute_lost, dispute_won = map(dispute, DisputeStatus)


def payment_of_another_sum(providers: ChangingProviders) -> None:
    providers.set_payment("pay_1", money=OTHER_SUM)


def payment_in_dollars(providers: ChangingProviders) -> None:
    providers.set_payment("pay_1", money=Money(PRICE.minor, "USD"))


# --- a confirmed reservation: looks, freeze, status, history -------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A change beside a confirmed reservation; the own looks that show it for sure, `after` the first."""

    change: Change
    kind: Kind
    after: timedelta
    support: bool


CONFIRMED = {
    row.change.__name__: row
    for row in (
        Row(change=booking_absent, kind=Kind.BOOKING_ABSENT, after=15 * MINUTE, support=True),
        Row(change=booking_pending, kind=Kind.BOOKING_CHANGED, after=5 * MINUTE, support=True),
        Row(change=booking_rejected, kind=Kind.BOOKING_CHANGED, after=5 * MINUTE, support=True),
        Row(change=other_dates, kind=Kind.BOOKING_CHANGED, after=5 * MINUTE, support=True),
        Row(change=other_price, kind=Kind.BOOKING_CHANGED, after=5 * MINUTE, support=True),
        Row(change=booking_in_capitals, kind=Kind.BOOKING_CHANGED, after=5 * MINUTE, support=True),
        Row(change=payment_absent, kind=Kind.PAYMENT_ABSENT, after=15 * MINUTE, support=True),
        Row(change=payment_voided, kind=Kind.PAYMENT_ABSENT, after=15 * MINUTE, support=True),
        Row(change=payment_pending, kind=Kind.PAYMENT_CHANGED, after=5 * MINUTE, support=True),
        Row(change=payment_declined, kind=Kind.PAYMENT_CHANGED, after=5 * MINUTE, support=True),
        Row(change=payment_in_capitals, kind=Kind.PAYMENT_CHANGED, after=5 * MINUTE, support=True),
        Row(change=all_returned_by_hand, kind=Kind.FOREIGN_REFUND, after=15 * MINUTE, support=True),
        Row(
            change=part_returned_by_hand, kind=Kind.FOREIGN_REFUND, after=15 * MINUTE, support=False
        ),
        Row(
            change=cent_returned_by_hand, kind=Kind.FOREIGN_REFUND, after=15 * MINUTE, support=False
        ),
        Row(change=payment_of_another_sum, kind=Kind.OTHER_SUM, after=0 * MINUTE, support=False),
        Row(change=payment_in_dollars, kind=Kind.OTHER_SUM, after=0 * MINUTE, support=False),
    )
} | {
    "dispute_open": Row(change=dispute_open, kind=Kind.DISPUTE, after=0 * MINUTE, support=False),
    "dispute_lost": Row(change=dispute_lost, kind=Kind.DISPUTE, after=0 * MINUTE, support=False),
}
ROWS = pytest.mark.parametrize("row", CONFIRMED.values(), ids=CONFIRMED)


@ROWS
def test_a_change_is_not_believed_one_look_too_early(row: Row) -> None:
    story = contradicted(row.change)

    story.run(row.after - MINUTE)

    assert bool(story.reviews) == (not row.after)
    assert bool(story.events) == (not row.after)
    assert not story.view.requires_support


@ROWS
def test_a_believed_change_calls_a_person_and_moves_nothing(row: Row) -> None:
    story = contradicted(row.change)

    story.run(row.after + MINUTE)

    assert story.reviews == {Review(row.kind)}
    assert story.events[0] == f"contradiction.{row.kind}"
    assert story.view.requires_support is row.support
    story.run(3 * DAY)
    assert story.reviews == {Review(row.kind)}
    assert story.status is PublicStatus.CONFIRMADA
    assert story.view.refund is None
    mails = [MailKind.UNDER_REVIEW] if row.support else []
    events = [f"contradiction.{row.kind}", *(f"mail.sent.{kind}" for kind in mails)]
    assert [event for event in story.events if "lost" not in event] == events
    assert (story.verbs, story.mails) == ([], mails)


@ROWS
def test_an_open_change_is_looked_at_daily(row: Row) -> None:
    story = believed(row.change)
    story.run(6 * DAY)  # past the looks that the webhook brought
    story.forget()

    story.run(4 * DAY)

    about = {action.operation for _, action in story.asked}
    days = {asked_at.date() for asked_at, _ in story.asked}
    assert len(days) >= 4
    assert len(story.asked) <= 4 * len(about) + 1


@ROWS
def test_a_change_is_over_once_the_provider_agrees_again(row: Row) -> None:
    story = confirmed()
    before = replace(story.providers)
    row.change(story.providers)
    story.webhook()
    story.run(20 * MINUTE)
    assert story.reviews

    story.providers.payments = before.payments
    story.providers.bookings = before.bookings
    story.providers.refunds = {}
    if row.kind is Kind.DISPUTE:  # a dispute ends by a word
        dispute_won(story.providers)
    story.run(2 * DAY)

    assert story.reviews == frozenset()
    assert story.events[-1] == f"contradiction.{row.kind}.over"
    much_later(story)
    assert is_at_rest(story)
    assert (story.status, story.verbs) == (PublicStatus.CONFIRMADA, [])


@ROWS
def test_a_traveler_who_cancels_in_the_middle_is_never_paid_twice(row: Row) -> None:
    story = contradicted(row.change)
    story.run(2 * MINUTE)

    story.cancel()
    story.run(20 * DAY)

    back = sum(r.money.minor for r in story.providers.refunds.get("pay_1", []) if r.money)
    assert back <= PRICE.minor
    assert story.verbs.count(Verb.REFUND) <= 1
    assert Verb.CHARGE not in story.verbs
    assert Verb.BOOK not in story.verbs
    assert story.status in (PublicStatus.EN_CANCELACION, PublicStatus.CANCELADA)
    # Money that was not given back, or a room that may live, is in front of a person.
    assert story.state is State.REFUNDED or story.reviews


LOOKS = {
    Kind.BOOKING_ABSENT: (booking_absent, 3, 15 * MINUTE),
    Kind.BOOKING_CHANGED: (booking_pending, 2, 5 * MINUTE),
    Kind.PAYMENT_ABSENT: (payment_voided, 3, 15 * MINUTE),
    Kind.PAYMENT_CHANGED: (payment_pending, 2, 5 * MINUTE),
    Kind.DISPUTE: (dispute_open, 1, 0 * MINUTE),
    Kind.OTHER_SUM: (payment_of_another_sum, 1, 0 * MINUTE),
}


def told(story: Story, facts: Facts, operation: Operation, now_after: timedelta) -> Facts:
    """Record one listing of a provider, without the saga's own looks."""
    key = BOOK_KEY if operation is Operation.BOOK else CHARGE_KEY
    inquiry, asked_at = Inquire(facts.row(key)), story.now + now_after
    outcome = story.providers.answer(inquiry)
    sent = Sent(action=inquiry, at=asked_at, attempt=1)
    return record(facts, sent, outcome, Moment(asked_at + SECOND, STANDARD))


@pytest.mark.parametrize("kind", LOOKS)
def test_neither_looks_nor_time_alone_make_a_change_believed(kind: Kind) -> None:
    change, looks, over = LOOKS[kind]
    story = confirmed()
    change(story.providers)
    operation = (
        Operation.BOOK
        if kind in (Kind.BOOKING_ABSENT, Kind.BOOKING_CHANGED)
        else (Operation.CHARGE)
    )

    def opened(*times: timedelta) -> bool:
        facts = story.facts
        for time in times:
            facts = told(story, facts, operation, time)
        return any(row.open for row in facts.contradictions)

    in_time = [over * n / max(looks - 1, 1) for n in range(looks)]
    assert opened(*in_time)
    if looks > 1:
        assert not opened(*in_time[:-1])  # one look less
        assert not opened(*in_time[: looks - 2], over)  # the time, but not the looks
        assert not opened(*in_time[:-1], over - SECOND)  # the looks, but not the time


def test_an_answer_to_an_older_question_is_no_further_look() -> None:
    story = contradicted(booking_pending)
    story.run(5 * MINUTE - 5 * SECOND)
    facts = story.facts

    for _ in range(3):
        facts = told(story, facts, Operation.BOOK, -5 * MINUTE)

    assert facts.contradictions == story.facts.contradictions


@pytest.mark.parametrize("change", [booking_absent, payment_absent])
def test_a_listing_that_lags_for_minutes_moves_nothing(change: Change) -> None:
    story = confirmed()
    payments, bookings = story.providers.payments, story.providers.bookings
    for _ in range(4):
        change(story.providers)
        story.webhook()
        story.run(14 * MINUTE)
        story.providers.payments, story.providers.bookings = payments, bookings
        story.run(2 * MINUTE)

    assert not any(row.lasts for row in story.facts.contradictions)
    assert (story.events, story.verbs, story.mails) == ([], [], [])
    assert story.status is PublicStatus.CONFIRMADA


@pytest.mark.parametrize("change", [booking_absent, payment_absent])
def test_a_listing_that_loses_its_row_unnoticed_is_found_by_a_look_of_our_own(
    change: Change,
) -> None:
    story = Story()
    story.run(10 * MINUTE)
    change(story.providers)  # and no webhook

    story.run(2 * HOUR)

    assert story.reviews
    assert story.view.requires_support


# --- sticky --------------------------------------------------------------------------------------


def comes_and_goes(story: Story, change: Change, times: int) -> None:
    payments, bookings = story.providers.payments, story.providers.bookings
    for _ in range(times):
        change(story.providers)
        story.webhook()
        story.run(30 * MINUTE)
        story.providers.payments, story.providers.bookings = payments, bookings
        story.webhook()
        story.run(30 * MINUTE)


STICKY = [
    (booking_absent, Kind.BOOKING_ABSENT, Decision.STANDS),
    (booking_pending, Kind.BOOKING_CHANGED, Decision.STANDS),
    (payment_voided, Kind.PAYMENT_ABSENT, Decision.HONOURED),
    (payment_pending, Kind.PAYMENT_CHANGED, Decision.STANDS),
    (payment_of_another_sum, Kind.OTHER_SUM, Decision.PAID),
]


@pytest.mark.parametrize(("change", "kind", "decision"), STICKY)
def test_the_third_opening_in_a_week_stays_until_a_person_decides(
    change: Change, kind: Kind, decision: Decision
) -> None:
    story = confirmed()

    comes_and_goes(story, change, 2)
    assert story.reviews == frozenset()
    comes_and_goes(story, change, 1)

    story.run(5 * DAY)
    assert story.reviews == {Review(kind)}
    assert len(story.opened(kind)) == 3
    story.decide(decision)
    much_later(story)
    assert story.reviews == frozenset()
    assert is_at_rest(story)
    assert (story.status, story.verbs) == (PublicStatus.CONFIRMADA, [])


def test_openings_more_than_a_week_apart_do_not_add_up() -> None:
    story = confirmed()
    for _ in range(3):
        comes_and_goes(story, booking_pending, 1)
        story.run(4 * DAY)

    assert story.reviews == frozenset()


def test_a_word_given_up_before_the_decision_is_news_when_it_comes_back() -> None:
    story = confirmed()
    comes_and_goes(story, booking_absent, 3)
    story.decide(Decision.STANDS)

    booking_absent(story.providers)
    story.webhook()
    story.run(20 * MINUTE)

    assert story.reviews == {Review.BOOKING_ABSENT}


# --- a decision answers one opening --------------------------------------------------------------


def test_the_word_that_was_decided_does_not_come_back() -> None:
    story = believed(booking_pending)

    story.decide(Decision.STANDS)
    for _ in range(5):
        story.webhook()
        story.run(DAY)

    assert story.reviews == frozenset()
    assert len(story.facts.contradictions) == 1


@pytest.mark.parametrize("other", [booking_rejected, other_dates, other_price])
def test_another_word_after_a_decision_opens_again(other: Change) -> None:
    story = believed(booking_pending)
    story.decide(Decision.STANDS)
    booking_alive(story.providers)  # it is listed as confirmed, but with the other word
    other(story.providers)

    story.webhook()
    story.run(6 * MINUTE)

    assert story.reviews == {Review.BOOKING_CHANGED}
    assert [row.number for row in story.opened(Kind.BOOKING_CHANGED)] == [1, 2]


def test_the_same_word_opens_again_once_the_provider_had_agreed() -> None:
    story = believed(booking_pending)
    story.decide(Decision.STANDS)
    booking_alive(story.providers)
    story.webhook()
    booking_pending(story.providers)

    story.webhook()
    story.run(6 * MINUTE)

    assert story.reviews == {Review.BOOKING_CHANGED}


def test_a_second_kind_joins_and_is_not_answered_by_the_first_decision() -> None:
    story = believed(booking_pending)
    payment_voided(story.providers)
    story.webhook()
    story.run(20 * MINUTE)
    assert story.reviews == {Review.BOOKING_CHANGED, Review.PAYMENT_ABSENT}

    story.decide(Decision.STANDS)

    assert story.reviews == {Review.PAYMENT_ABSENT}


def test_a_change_during_a_review_is_not_answered_by_an_old_decision() -> None:
    story = believed(booking_absent)
    story.decide(Decision.STANDS)
    booking = a_booking(provider_id="bk_1")
    story.providers.bookings = [
        Seen(provider_id="bk_1", status=Status.PENDING, money=booking.money)
    ]

    story.webhook()
    story.run(20 * MINUTE)

    assert story.reviews == {Review.BOOKING_CHANGED}


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        (booking_absent, Decision.HONOURED),
        (payment_absent, Decision.STANDS),
        (payment_absent, Decision.GONE),
        (all_returned_by_hand, Decision.RETURNED),
        (payment_absent, Decision.RETURNED),
        (dispute_open, Decision.RETURNED),
        (dispute_open, Decision.REFUND_AGAIN),
        (payment_in_dollars, Decision.PAID),
        (payment_of_another_sum, Decision.RETURNED),
    ],
)
def test_a_decision_that_does_not_fit_is_refused_and_changes_nothing(
    change: Change, decision: Decision
) -> None:
    story = believed(change)
    before = story.facts

    with pytest.raises(DecisionRefusedError):
        story.decide(decision)

    assert story.facts == before


# --- the supplier's own word ---------------------------------------------------------------------


def test_an_explicit_cancellation_is_the_supplier_s_word_at_once() -> None:
    story = contradicted(booking_cancelled)

    story.run(MINUTE)

    assert story.facts.reason is Reason.SUPPLIER_CANCELLED
    assert story.verbs == [Verb.REFUND]
    assert story.view.refund == Refund(RefundStatus.DONE, PRICE)
    assert story.status is PublicStatus.CANCELADA
    assert story.mails == [MailKind.CANCELLED]
    assert (story.reviews, story.view.requires_support) == (frozenset(), False)
    assert not any(event.startswith("contradiction.") for event in story.events)


def test_an_explicit_cancellation_is_in_progress_while_its_refund_is() -> None:
    story = confirmed()
    story.providers.instead = lambda action: NoAnswer() if action.verb is Verb.REFUND else None

    booking_cancelled(story.providers)
    story.webhook()

    assert story.status is PublicStatus.EN_CANCELACION


@pytest.mark.parametrize("first", [booking_absent, booking_pending, booking_rejected, other_dates])
def test_an_explicit_cancellation_ends_every_doubt_about_its_booking(first: Change) -> None:
    story = confirmed()
    listed = story.providers.bookings
    first(story.providers)
    story.webhook()
    story.run(20 * MINUTE)

    story.providers.bookings = [replace(listed[0], status=Status.CANCELLED)]
    story.webhook()
    story.run(MINUTE)

    assert story.facts.reason is Reason.SUPPLIER_CANCELLED
    assert story.verbs == [Verb.REFUND]
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())


# --- the kept booking is absent or changed -------------------------------------------------------

BOOKING_CHANGES = [
    booking_absent,
    booking_pending,
    booking_rejected,
    other_dates,
    other_price,
    booking_in_capitals,
]


@pytest.mark.parametrize("change", BOOKING_CHANGES)
def test_a_booking_that_stands_goes_on_as_before(change: Change) -> None:
    story = believed(change)

    story.decide(Decision.STANDS)
    much_later(story)

    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])
    assert not story.view.requires_support
    assert is_at_rest(story)


def test_a_booking_that_is_called_gone_and_lives_in_another_case_keeps_the_money() -> None:
    story = believed(booking_in_capitals)
    story.providers.instead = unknown_to_the_supplier(story.providers)

    story.decide(Decision.GONE)
    story.run(DAY)

    assert story.verbs.count(Verb.REFUND) == 0
    assert Review.BOOKING_ALIVE in story.reviews


@pytest.mark.parametrize("change", BOOKING_CHANGES[:-1])
def test_a_booking_that_is_gone_is_cancelled_before_its_money_goes_back(change: Change) -> None:
    story = believed(change)
    story.providers.instead = unknown_to_the_supplier(story.providers)

    story.decide(Decision.GONE)
    story.run(HOUR)

    assert story.facts.reason is Reason.SUPPLIER_CANCELLED
    assert story.verbs[0] is Verb.CANCEL_BOOKING
    assert story.verbs[-1] is Verb.REFUND
    assert story.verbs.count(Verb.REFUND) == 1
    assert story.mails[-1] is MailKind.CANCELLED
    assert (story.status, story.state) == (PublicStatus.CANCELADA, State.REFUNDED)
    much_later(story)
    assert story.reviews == frozenset()
    assert is_at_rest(story)


def unknown_to_the_supplier(providers: ChangingProviders) -> Callable[[Action], Outcome | None]:
    """A supplier that answers 404 to the cancellation of a booking that it does not list."""

    def instead(action: Action) -> Outcome | None:
        listed = {booking.provider_id for booking in providers.bookings}
        unknown = action.verb is Verb.CANCEL_BOOKING and action.target not in listed
        return NoAnswer() if unknown else None

    return instead


def test_a_booking_that_is_gone_is_not_refunded_before_the_supplier_was_asked() -> None:
    story = believed(booking_absent)
    busy = [NotSent(retry_after_s=60)] * 3  # 429

    def instead(action: Action) -> Outcome | None:
        if action.verb is not Verb.CANCEL_BOOKING:
            return None
        return busy.pop() if busy else NoAnswer()

    story.providers.instead = instead
    story.decide(Decision.GONE)
    story.run(3 * HOUR)

    assert busy == []
    assert story.verbs == [*[Verb.CANCEL_BOOKING] * 4, Verb.REFUND]
    assert story.status is PublicStatus.CANCELADA


def test_a_booking_that_is_not_gone_after_all_is_cancelled_by_the_supplier() -> None:
    story = confirmed()
    listed = story.providers.bookings
    story.providers.bookings = []
    story.webhook()
    story.run(20 * MINUTE)
    story.providers.bookings = listed  # the listing regains it

    story.decide(Decision.GONE)
    story.run(MINUTE)

    assert story.verbs == [Verb.CANCEL_BOOKING, Verb.REFUND]
    assert story.providers.bookings[0].status is Status.CANCELLED


def test_a_booking_that_is_gone_but_cannot_be_cancelled_keeps_its_money() -> None:
    story = believed(booking_pending)
    refusal = Seen(provider_id="bk_1", status=Status.DECLINED)
    story.providers.instead = lambda action: refusal if action.verb is Verb.CANCEL_BOOKING else None

    story.decide(Decision.GONE)
    story.run(3 * DAY)

    assert story.verbs == [Verb.CANCEL_BOOKING]
    assert Review.CANCEL_REFUSED in story.reviews


@pytest.mark.parametrize("change", [booking_absent, booking_rejected, booking_in_capitals])
def test_a_booking_with_a_new_id_is_kept_and_its_voucher_issued_again(change: Change) -> None:
    story = believed(change)
    reissued = Seen(provider_id="bk_9", status=Status.SUCCEEDED, money=PRICE, locator="HOTEL-99")
    story.providers.bookings = [reissued]

    story.decide(Decision.REBOOKED, "bk_9")
    much_later(story)

    kept = story.reservation.standing.kept_booking
    assert kept is not None
    assert (kept.provider_id, kept.locator) == ("bk_9", "HOTEL-99")
    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])
    assert story.reservation.voucher is not None
    assert story.reservation.voucher.issued_at > NOON + HOUR
    assert is_at_rest(story)


def test_a_booking_with_a_new_id_is_watched_under_that_id() -> None:
    story = believed(booking_absent)
    story.providers.bookings = [Seen(provider_id="bk_9", status=Status.SUCCEEDED)]
    story.decide(Decision.REBOOKED, "bk_9")
    story.run(HOUR)
    story.forget()

    story.providers.bookings = []
    story.webhook()
    story.run(20 * MINUTE)

    assert story.reviews == {Review.BOOKING_ABSENT}
    assert story.last.subject == "bk_9"
    assert story.verbs == []


def test_a_booking_with_a_new_id_is_cancelled_under_that_id() -> None:
    story = believed(booking_absent)
    story.providers.bookings = [Seen(provider_id="bk_9", status=Status.SUCCEEDED)]
    story.decide(Decision.REBOOKED, "bk_9")
    story.run(HOUR)
    story.forget()

    story.cancel()
    story.run(HOUR)

    assert [(send.verb, send.target) for send in story.sends] == [
        (Verb.CANCEL_BOOKING, "bk_9"),
        (Verb.REFUND, "pay_1"),
    ]
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())


def test_the_old_booking_that_lives_beside_its_new_id_is_in_front_of_a_person() -> None:
    story = believed(booking_absent)
    new = Seen(provider_id="bk_9", status=Status.SUCCEEDED)
    story.providers.bookings = [new]
    story.decide(Decision.REBOOKED, "bk_9")
    story.run(HOUR)
    story.providers.bookings = [new, Seen(provider_id="bk_1", status=Status.SUCCEEDED)]

    story.webhook()
    story.run(6 * MINUTE)

    assert story.reviews == {Review.BOOKING_ALIVE}
    assert (story.status, story.verbs) == (PublicStatus.CONFIRMADA, [])


def mistyped() -> Story:
    """A story whose absent booking was filed under a mistyped id, which is absent too."""
    story = believed(booking_absent)
    story.decide(Decision.REBOOKED, "bk_9")
    story.run(20 * MINUTE)
    assert story.reviews == {Review.BOOKING_ABSENT}
    return story


def kept_id(story: Story) -> str | None:
    kept = story.reservation.standing.kept_booking
    return kept.provider_id if kept else None


def test_a_mistyped_new_id_is_corrected_to_the_old_one_that_is_listed_again() -> None:
    story = mistyped()
    story.providers.bookings = [Seen(provider_id="bk_1", status=Status.SUCCEEDED)]
    story.run(2 * DAY)
    assert story.reviews == {Review.BOOKING_ABSENT, Review.BOOKING_ALIVE}

    story.decide(Decision.REBOOKED, "bk_1")
    much_later(story)

    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])
    assert kept_id(story) == "bk_1"
    assert is_at_rest(story)


def test_a_corrected_id_that_is_not_listed_is_in_front_of_a_person_until_it_is() -> None:
    story = mistyped()

    story.decide(Decision.REBOOKED, "bk_1")
    story.run(20 * MINUTE)

    assert story.reviews == {Review.BOOKING_ABSENT}
    assert (story.last.subject, story.last.number) == ("bk_1", 2)
    story.providers.bookings = [Seen(provider_id="bk_1", status=Status.SUCCEEDED)]
    much_later(story)
    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])


def test_a_mistyped_new_id_is_corrected_to_a_third_one_and_the_last_decision_wins() -> None:
    story = mistyped()
    story.providers.bookings = [Seen(provider_id="bk_5", status=Status.SUCCEEDED)]

    story.decide(Decision.REBOOKED, "bk_5", target="booking_absent:bk_9")
    much_later(story)

    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])
    assert kept_id(story) == "bk_5"


def test_a_corrected_booking_is_the_one_that_a_cancellation_cancels_before_any_refund() -> None:
    story = mistyped()
    story.decide(Decision.REBOOKED, "bk_1")
    story.providers.bookings = [Seen(provider_id="bk_1", status=Status.SUCCEEDED)]
    story.run(HOUR)
    story.forget()

    story.cancel()
    story.run(HOUR)

    assert [(send.verb, send.target) for send in story.sends] == [
        (Verb.CANCEL_BOOKING, "bk_1"),
        (Verb.REFUND, "pay_1"),
    ]


@pytest.mark.parametrize("typed", ["bk_2", "BK_2"])
def test_a_trip_is_not_moved_to_a_booking_that_we_have_cancelled(typed: str) -> None:
    story = confirmed()
    story.providers.bookings += [Seen(provider_id="bk_2", status=Status.SUCCEEDED)]
    story.webhook()
    story.providers.bookings = story.providers.bookings[1:]
    story.webhook()
    story.run(20 * MINUTE)

    with pytest.raises(DecisionRefusedError, match="give the new id, or use `gone`"):
        story.decide(Decision.REBOOKED, typed)
    much_later(story)

    assert story.status is PublicStatus.CONFIRMADA
    assert story.verbs == [Verb.CANCEL_BOOKING]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ((a_booking(Status.PENDING, **BK_2),), "has bk_2 as pending"),
        ((a_booking(Status.DECLINED, **BK_2),), "has bk_2 as declined"),
        ((a_booking(**BK_2), a_cancellation(Status.DECLINED, of="bk_2")), "being cancelled"),
    ],
    ids=["pending", "declined", "cancelling"],
)
def test_a_trip_is_moved_only_to_a_booking_that_it_can_stand_on(
    other: tuple[Call, ...], reason: str
) -> None:
    absent = a_contradiction(subject="bk_1")
    calls = (a_charge(), a_booking(provider_id="bk_1"), *other)
    facts = some_facts(*calls, confirmed_at=NOON, contradictions=(absent,))

    with pytest.raises(DecisionRefusedError, match=reason):
        resolve(facts, Decision.REBOOKED, "bk_2", Moment(NOON + HOUR, STANDARD))


# --- further words about a booking after a decision


NEXT_WORDS: dict[str, tuple[Change, Change, str]] = {
    "further dates": (other_dates, further_dates, MORE_DATES),
    "a price beside the dates": (other_dates, other_price, f"{DATES}, {OTHER_SUM}"),
    "dates beside the price": (other_price, other_dates, f"{DATES}, {OTHER_SUM}"),
    "another price": (other_price, third_price, str(CENT)),
    "dates under another id": (booking_in_capitals, dates_in_capitals, f"BK_1, {DATES}"),
    "dates of a pending booking": (booking_pending, other_dates, f"pending, {DATES}"),
}


@pytest.mark.parametrize("case", NEXT_WORDS.values(), ids=NEXT_WORDS)
def test_a_decision_about_some_terms_does_not_answer_others(
    case: tuple[Change, Change, str],
) -> None:
    first, then, word = case
    story = believed(first)
    story.decide(Decision.STANDS)
    much_later(story)
    assert not story.reviews

    then(story.providers)
    story.webhook()
    story.run(6 * MINUTE)

    assert story.reviews == {Review.BOOKING_CHANGED}
    assert (story.last.number, story.last.seen) == (2, word)


def stored_by_an_older_release(story: Story) -> None:
    """Give the last row the text that an older release stored, without dates."""
    row = replace(story.last, seen="other dates")
    facts = story.facts.put_contradiction(row)
    story.reservation = replace(story.reservation, facts=facts)


@pytest.mark.parametrize("terms", [DATES, "unreadable dates", "unreadable price"])
def test_a_decision_about_dates_that_an_older_release_stored_is_not_asked_again(terms: str) -> None:
    story = believed(other_dates)
    story.decide(Decision.STANDS)
    stored_by_an_older_release(story)
    story.providers.set_booking("bk_1", other_terms=terms, money=OTHER_SUM)
    story.forget()

    much_later(story)

    assert (story.reviews, story.verbs) == (frozenset(), [])
    assert not [event for event in story.events if event.startswith("contradiction")]
    further_dates(story.providers)
    story.webhook()
    story.run(6 * MINUTE)
    assert story.reviews == {Review.BOOKING_CHANGED}


def test_an_open_row_of_an_older_release_takes_the_new_word_and_ends_as_ever() -> None:
    story = believed(other_dates)
    stored_by_an_older_release(story)

    story.webhook()

    assert (story.last.number, story.last.seen, story.last.open) == (1, DATES, True)
    story.providers.set_booking("bk_1", other_terms=None)
    story.webhook()
    assert not story.reviews


@pytest.mark.parametrize("told_by", ["listing", "answer"])
def test_a_price_that_changes_between_pending_and_confirmed_is_heard(told_by: str) -> None:
    pending = a_booking(Status.PENDING, provider_id="bk_1", money=PRICE, attempts=2)
    facts = some_facts(a_charge(), pending)
    seen = Seen(provider_id="bk_1", status=Status.SUCCEEDED, money=OTHER_SUM)
    send = Send(operation=Operation.BOOK, key=BOOK_KEY)
    asked, outcome = (send, seen) if told_by == "answer" else (Inquire(pending), Listing.of([seen]))
    sent = Sent(action=asked, at=NOON + MINUTE, attempt=2)

    facts = record(facts, sent, outcome, Moment(NOON + MINUTE + SECOND, STANDARD))

    [row] = facts.contradictions
    assert (row.kind, row.seen, row.money) == (Kind.BOOKING_CHANGED, str(OTHER_SUM), OTHER_SUM)
    assert facts.row(BOOK_KEY).status is Status.SUCCEEDED


# --- the answer to a booking request is about one booking


def booked_late(facts: Facts, status: Status) -> Facts:
    """Record the late answer to a booking request: a second booking, on other dates."""
    send = Send(operation=Operation.BOOK, key=BOOK_KEY)
    seen = Seen(provider_id="bk_2", status=status, other_terms=DATES)
    sent = Sent(action=send, at=NOON + MINUTE, attempt=2)
    return record(facts, sent, seen, Moment(NOON + MINUTE + SECOND, STANDARD))


def test_an_answer_about_one_booking_does_not_miss_another() -> None:
    ours = a_booking(provider_id="bk_1", key="seen:book:bk_1")
    unknown = a_booking(Status.STARTED, attempts=2)
    facts = some_facts(a_charge(), ours, unknown, confirmed_at=NOON)

    told = booked_late(facts, Status.SUCCEEDED)

    assert told.contradictions == ()


def test_an_answer_about_one_booking_does_not_end_a_doubt_about_another() -> None:
    cancelled = a_booking(Status.CANCELLED, provider_id="bk_1", key="seen:book:bk_1")
    alive = a_contradiction(Kind.BOOKING_ALIVE, "bk_1", seen="succeeded")
    unknown = a_booking(Status.STARTED, attempts=2)
    facts = some_facts(
        a_charge(), cancelled, unknown, reason=Reason.CUSTOMER_CANCELLED, contradictions=(alive,)
    )

    told = booked_late(facts, Status.DECLINED)

    assert told.contradictions == (alive,)
    assert not Standing(told).may_refund(told.row(CHARGE_KEY))


def test_no_rival_is_cancelled_while_the_kept_booking_is_contradicted() -> None:
    story = confirmed()
    story.providers.bookings = [Seen(provider_id="bk_2", status=Status.SUCCEEDED)]

    story.webhook()
    story.run(3 * DAY)

    assert story.verbs == []
    assert story.reviews == {Review.BOOKING_ABSENT}
    assert story.status is PublicStatus.CONFIRMADA


def test_a_rival_is_cancelled_once_the_kept_booking_is_healthy_again() -> None:
    story = confirmed()
    kept = story.providers.bookings[0]
    rival = Seen(provider_id="bk_2", status=Status.SUCCEEDED)
    story.providers.bookings = [rival]
    story.webhook()
    story.run(HOUR)
    story.providers.bookings = [kept, rival]

    story.webhook()
    story.run(MINUTE)

    assert [(send.verb, send.target) for send in story.sends] == [(Verb.CANCEL_BOOKING, "bk_2")]
    assert story.status is PublicStatus.CONFIRMADA


@pytest.mark.parametrize("opened", [False, True])
def test_a_traveler_s_cancellation_of_an_absent_booking_waits_for_a_person(opened: bool) -> None:
    story = contradicted(booking_absent)
    story.run(20 * MINUTE if opened else MINUTE)
    story.providers.instead = unknown_to_the_supplier(story.providers)

    story.cancel()
    story.run(2 * DAY)

    assert set(story.verbs) == {Verb.CANCEL_BOOKING}
    assert story.state is State.CANCELLATION_IN_PROGRESS
    assert Review.BOOKING_ABSENT in story.reviews
    assert story.view.requires_support
    story.decide(Decision.GONE)
    story.run(HOUR)
    assert story.verbs[-1] is Verb.REFUND
    assert story.status is PublicStatus.CANCELADA
    much_later(story)
    assert (story.reviews, story.verbs.count(Verb.REFUND)) == (frozenset(), 1)


# --- a cancelled booking lives -------------------------------------------------------------------


def test_a_cancelled_booking_that_lives_is_believed_after_two_looks_and_keeps_its_status() -> None:
    story = contradicted(booking_alive, after=refunded)
    story.run(4 * MINUTE)
    assert story.reviews == frozenset()

    story.run(2 * MINUTE)

    assert story.reviews == {Review.BOOKING_ALIVE}
    assert story.events == ["contradiction.booking_alive"]
    assert not story.view.requires_support
    story.run(3 * DAY)
    assert (story.status, story.verbs, story.mails) == (PublicStatus.CANCELADA, [], [])


def test_a_cancelled_booking_that_lives_is_over_once_cancelled_by_hand() -> None:
    story = believed(booking_alive, after=refunded)

    booking_cancelled(story.providers)
    story.run(2 * DAY)

    assert story.reviews == frozenset()
    much_later(story)
    assert is_at_rest(story)


def test_a_cancelled_booking_that_lives_may_be_honoured() -> None:
    story = believed(booking_alive, after=refunded)

    story.decide(Decision.HONOURED)
    much_later(story)

    assert (story.reviews, story.status) == (frozenset(), PublicStatus.CANCELADA)
    assert story.verbs == []
    assert is_at_rest(story)


def test_no_refund_leaves_while_a_cancelled_booking_lives() -> None:
    story = confirmed()
    story.providers.instead = lambda action: NotSent() if action.verb is Verb.REFUND else None
    story.cancel()
    story.run(SECOND)
    booking_alive(story.providers)
    story.webhook()
    story.forget()
    story.providers.instead = lambda _: None

    story.run(3 * DAY)

    assert story.verbs == []
    assert story.reviews >= {Review.BOOKING_ALIVE}
    booking_cancelled(story.providers)
    story.run(2 * DAY)
    assert story.verbs == [Verb.REFUND]
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())


# --- a second payment or booking -----------------------------------------------------------------


def second_payment(providers: ChangingProviders) -> None:
    providers.payments.append(Seen(provider_id="pay_2", status=Status.SUCCEEDED, money=PRICE))


def second_booking(providers: ChangingProviders) -> None:
    providers.bookings.append(Seen(provider_id="bk_2", status=Status.SUCCEEDED))


@pytest.mark.parametrize(
    ("change", "verb", "target"),
    [
        (second_payment, Verb.REFUND, "pay_2"),
        (second_booking, Verb.CANCEL_BOOKING, "bk_2"),
    ],
)
def test_a_second_one_beside_a_healthy_one_is_undone_at_one_look(
    change: Change, verb: Verb, target: str
) -> None:
    story = contradicted(change)

    story.run(MINUTE)

    assert [(send.verb, send.target) for send in story.sends] == [(verb, target)]
    assert (story.status, story.reviews) == (PublicStatus.CONFIRMADA, frozenset())
    assert not story.view.requires_support
    much_later(story)
    assert len(story.sends) == 1


@pytest.mark.parametrize(
    "change", [payment_absent, payment_voided, payment_pending, payment_of_another_sum]
)
def test_no_second_payment_is_refunded_while_the_kept_one_is_contradicted(change: Change) -> None:
    story = confirmed()
    change(story.providers)
    second_payment(story.providers)

    story.webhook()
    story.run(3 * DAY)

    assert story.verbs == []
    assert story.status is PublicStatus.CONFIRMADA


def test_a_second_payment_whose_loss_is_honoured_is_not_refunded() -> None:
    story = believed(lambda providers: providers.set_payment("pay_1", provider_id="pay_2"))
    story.providers.set_payment("pay_2", provider_id="pay_3")
    story.webhook()
    story.run(20 * MINUTE)

    story.decide(Decision.HONOURED, target="pay_1")
    story.decide(Decision.HONOURED, target="pay_2")
    much_later(story)

    assert [send.target for send in story.sends] == ["pay_3"]
    assert (story.status, story.reviews) == (PublicStatus.CONFIRMADA, frozenset())


def test_a_second_payment_that_others_refunded_in_part_is_refunded_the_rest() -> None:
    def change(providers: ChangingProviders) -> None:
        second_payment(providers)
        providers.refund("pay_2", PART)

    story = believed(change)
    story.decide(Decision.HONOURED)
    much_later(story)

    assert [send.money for send in story.sends] == [REST]
    assert (story.status, story.reviews) == (PublicStatus.CONFIRMADA, frozenset())
    assert is_at_rest(story)


def test_a_second_payment_whose_refund_fails_late_is_refunded_once_more() -> None:
    story = contradicted(second_payment)
    story.run(HOUR)
    story.forget()

    refund_failed(story.providers)
    story.webhook()
    story.run(20 * MINUTE)

    assert [send.key for send in story.sends] == ["refund:pay_2:2"]
    assert story.status is PublicStatus.CONFIRMADA


# --- a foreign refund ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [all_returned_by_hand, part_returned_by_hand, cent_returned_by_hand]
)
def test_an_honoured_foreign_refund_keeps_the_trip(change: Change) -> None:
    story = believed(change)

    story.decide(Decision.HONOURED)
    much_later(story)

    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])
    assert not story.view.requires_support
    assert is_at_rest(story)


@pytest.mark.parametrize("decided", [False, True])
@pytest.mark.parametrize(
    ("by_hand", "rest"), [(PRICE, None), (PART, REST), (CENT, Money(PRICE.minor - 1, "EUR"))]
)
def test_a_cancellation_after_a_foreign_refund_returns_the_rest(
    by_hand: Money, rest: Money | None, decided: bool
) -> None:
    def change(providers: ChangingProviders) -> None:
        providers.refund("pay_1", by_hand)

    story = believed(change)
    if decided:
        story.decide(Decision.HONOURED)

    story.cancel()
    much_later(story)

    refunds = [send.money for send in story.sends if send.verb is Verb.REFUND]
    assert refunds == ([rest] if rest else [])
    assert story.view.refund == Refund(RefundStatus.DONE, PRICE)
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())
    assert is_at_rest(story)


def test_a_foreign_refund_of_a_closed_reservation_counts_at_one_look() -> None:
    story = confirmed()
    story.providers.instead = lambda action: NotSent() if action.verb is Verb.REFUND else None
    story.cancel()
    story.run(SECOND)
    story.forget()
    part_returned_by_hand(story.providers)
    story.webhook()
    story.providers.instead = lambda _: None

    story.run(10 * MINUTE)

    assert sum_given_back(story) == PRICE.minor
    assert story.view.refund == Refund(RefundStatus.DONE, PRICE)
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())


def test_a_foreign_refund_that_succeeds_after_it_was_pending_counts_once() -> None:
    story = confirmed()
    story.providers.instead = lambda action: NotSent() if action.verb is Verb.REFUND else None
    story.cancel()
    part_returned_by_hand(story.providers)
    story.providers.set_refund("re_1", status=Status.PENDING)
    story.providers.set_payment("pay_1", refunded_minor=PART.minor)
    story.webhook()
    story.run(10 * SECOND)
    story.providers.set_refund("re_1", status=Status.SUCCEEDED)
    story.providers.set_payment("pay_1", refunded_minor=None)
    story.run(10 * MINUTE)
    story.providers.instead = lambda _: None

    story.run(HOUR)

    assert sum_given_back(story) == PRICE.minor


@pytest.mark.parametrize("by_hand", [PRICE, PART])
def test_a_foreign_refund_counts_for_its_payment_under_a_new_id_too(by_hand: Money) -> None:
    story = confirmed()
    story.providers.refund("pay_1", by_hand)
    story.webhook()
    story.cancel()
    much_later(story)
    assert (story.state, sum_given_back(story)) == (State.REFUNDED, PRICE.minor)
    story.forget()

    story.providers.refunds["pay_2"] = story.providers.refunds["pay_1"]
    story.providers.set_payment("pay_1", provider_id="pay_2")
    for _ in range(3):
        story.webhook()
        story.run(DAY)
    much_later(story)

    assert (story.state, story.verbs, story.reviews) == (State.REFUNDED, [], frozenset())
    each_once = len(story.providers.refunds["pay_2"])
    assert story.events.count("contradiction.foreign_refund") == each_once


def sum_given_back(story: Story, payment: str = "pay_1") -> int:
    """All that the traveler has back of a payment, whoever returned it."""
    rows = story.providers.refunds.get(payment, [])
    return sum(row.money.minor for row in rows if row.money and row.status is Status.SUCCEEDED)


def test_a_refund_refused_as_too_large_goes_again_for_the_rest_after_a_person() -> None:
    story = confirmed()
    refusal = Seen(provider_id="re_0", status=Status.DECLINED, money=PRICE)
    story.providers.instead = lambda action: refusal if action.verb is Verb.REFUND else None
    part_returned_by_hand(story.providers)
    story.cancel()
    story.run(SECOND)
    story.providers.refunds["pay_1"].append(refusal)
    story.webhook()
    story.providers.instead = lambda _: None
    assert story.reviews == {Review.REFUND_REFUSED}
    story.forget()

    story.decide(Decision.REFUND_AGAIN)
    story.run(HOUR)

    assert [(send.key, send.money) for send in story.sends] == [(SECOND_REFUND, REST)]
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())


def refund_beside_a_part_seen_at(first_at: datetime) -> tuple[str, Money | None] | None:
    """The refund due at NOON + 1 h: ours got no answer and is not listed, a part is."""
    part = a_contradiction(
        Kind.FOREIGN_REFUND, "re_9", at=first_at, payment="pay_1", money=PART, seen="succeeded"
    )
    facts = some_facts(
        a_charge(refunded_minor=PART.minor),
        a_refund(Status.NOT_FOUND),
        reason=Reason.CUSTOMER_CANCELLED,
        contradictions=(part,),
    )
    action = plan(Standing(facts), Moment(NOON + HOUR, STANDARD))
    return (action.key, action.money) if isinstance(action, Send) else None


def test_no_second_refund_leaves_beside_a_part_that_has_just_turned_up() -> None:
    nine_minutes_ago = NOON + 51 * MINUTE
    assert refund_beside_a_part_seen_at(nine_minutes_ago) is None


def test_the_rest_leaves_once_the_part_has_stood_for_ten_minutes() -> None:
    ten_minutes_ago = NOON + 50 * MINUTE
    assert refund_beside_a_part_seen_at(ten_minutes_ago) == (SECOND_REFUND, REST)


def test_more_returned_than_taken_is_in_front_of_a_person() -> None:
    story = contradicted(cent_returned_by_hand, after=refunded)

    story.run(HOUR)

    assert story.reviews == {Review.FOREIGN_REFUND}
    assert not story.view.requires_support
    story.decide(Decision.HONOURED)
    much_later(story)
    assert (story.reviews, story.verbs) == (frozenset(), [])
    assert is_at_rest(story)


def test_a_refunded_amount_without_refunds_freezes_and_calls_a_person() -> None:
    story = believed(lambda providers: providers.set_payment("pay_1", refunded_minor=6000))

    assert story.reviews == {Review.FOREIGN_REFUND}
    story.cancel()
    story.run(3 * DAY)
    assert story.verbs == [Verb.CANCEL_BOOKING]
    assert Review.FOREIGN_REFUND in story.reviews


# --- our own refund fails late -------------------------------------------------------------------


def test_a_refund_that_fails_late_is_sent_once_more_and_told() -> None:
    story = contradicted(refund_failed, after=refunded)
    story.run(9 * MINUTE)
    assert (story.reviews, story.verbs) == (frozenset(), [])

    story.run(7 * MINUTE)

    assert [(send.key, send.money) for send in story.sends] == [(SECOND_REFUND, PRICE)]
    assert story.view.refund == Refund(RefundStatus.DONE, PRICE)
    assert story.mails == [MailKind.REFUND_FAILED]
    assert story.status is PublicStatus.CANCELADA
    assert story.events[0] == "contradiction.refund_failed"
    much_later(story)
    assert (story.reviews, len(story.sends), len(story.mails)) == (frozenset(), 1, 1)
    assert is_at_rest(story)


def test_a_refund_that_failed_late_is_pending_until_the_second_is_done() -> None:
    story = refunded()
    story.providers.instead = lambda action: NoAnswer() if action.verb is Verb.REFUND else None

    refund_failed(story.providers)
    story.webhook()
    story.run(20 * MINUTE)

    assert story.view.refund == Refund(RefundStatus.PENDING, PRICE)
    assert story.status is PublicStatus.CANCELADA
    assert not story.view.requires_support


def test_a_refund_that_fails_late_without_a_webhook_is_found() -> None:
    story = confirmed()
    story.cancel()
    story.run(10 * MINUTE)
    story.forget()
    refund_failed(story.providers)

    story.run(3 * HOUR)

    assert [send.key for send in story.sends] == [SECOND_REFUND]


def test_a_part_that_others_returned_is_not_returned_again_by_the_second_refund() -> None:
    story = believed(part_returned_by_hand)
    story.cancel()
    much_later(story)
    story.forget()

    story.providers.set_refund("re_2", status=Status.DECLINED)
    story.webhook()
    story.run(20 * MINUTE)

    assert [(send.key, send.money) for send in story.sends] == [(SECOND_REFUND, REST)]
    assert sum_given_back(story) == PRICE.minor


def test_there_is_no_third_refund_without_a_person() -> None:
    story = contradicted(refund_failed, after=refunded)
    story.run(20 * MINUTE)

    story.providers.set_refund("re_2", status=Status.DECLINED)
    story.webhook()
    story.run(3 * DAY)

    assert [send.key for send in story.sends] == [SECOND_REFUND]
    assert story.reviews == {Review.REFUND_FAILED}
    assert story.view.requires_support
    assert story.status is PublicStatus.CANCELADA
    story.decide(Decision.REFUND_AGAIN, target="re_2")
    story.run(HOUR)
    assert sum_given_back(story) == PRICE.minor
    assert (story.reviews, story.view.requires_support) == (frozenset(), False)


def test_a_failed_refund_that_was_returned_by_another_way_is_done() -> None:
    story = contradicted(refund_failed, after=refunded)
    story.run(20 * MINUTE)
    story.providers.set_refund("re_2", status=Status.DECLINED)
    story.webhook()
    story.run(HOUR)
    story.forget()

    story.decide(Decision.RETURNED, target="re_2")
    much_later(story)

    assert story.view.refund == Refund(RefundStatus.DONE, PRICE)
    assert (story.reviews, story.verbs) == (frozenset(), [])
    assert is_at_rest(story)


def test_a_refund_that_is_absent_is_not_repeated_without_a_person() -> None:
    story = contradicted(refund_absent, after=refunded)

    story.run(3 * DAY)

    assert story.reviews == {Review.REFUND_FAILED}
    assert (story.verbs, story.mails) == ([], [MailKind.UNDER_REVIEW])
    story.decide(Decision.REFUND_AGAIN)
    story.run(HOUR)
    assert [send.key for send in story.sends] == [SECOND_REFUND]


def test_no_second_refund_leaves_while_the_refunded_amount_says_otherwise() -> None:
    def disagreeing(providers: ChangingProviders) -> None:
        refund_failed(providers)
        providers.set_payment("pay_1", refunded_minor=PRICE.minor)

    story = contradicted(disagreeing, after=refunded)
    story.run(3 * DAY)

    assert story.verbs == []
    assert Review.REFUND_FAILED in story.reviews


@pytest.mark.parametrize("decided", [False, True])
def test_no_second_refund_leaves_beside_an_open_dispute_decided_or_not(decided: bool) -> None:
    story = contradicted(dispute_open, after=refunded)
    story.run(MINUTE)
    if decided:
        story.decide(Decision.HONOURED)

    refund_failed(story.providers)
    story.webhook()
    story.run(3 * DAY)

    assert story.verbs == []


def test_a_second_refund_leaves_once_the_dispute_is_won() -> None:
    story = contradicted(dispute_open, after=refunded)
    refund_failed(story.providers)
    story.webhook()
    story.run(HOUR)
    assert story.verbs == []

    dispute_won(story.providers)
    story.run(2 * DAY)

    assert [send.key for send in story.sends] == [SECOND_REFUND]
    assert story.reviews == frozenset()


def test_one_look_at_a_failed_refund_is_not_enough() -> None:
    story = contradicted(refund_failed, after=refunded)

    story.providers.set_refund("re_1", status=Status.SUCCEEDED)
    much_later(story)

    assert (story.reviews, story.verbs, story.mails, story.events) == (frozenset(), [], [], [])


# --- the payment is absent, voided or changed ----------------------------------------------------

PAYMENT_CHANGES = [
    (payment_absent, Decision.HONOURED),
    (payment_voided, Decision.HONOURED),
    (payment_pending, Decision.HONOURED),
    (payment_pending, Decision.STANDS),
    (payment_in_capitals, Decision.STANDS),
]


@pytest.mark.parametrize(("change", "decision"), PAYMENT_CHANGES)
def test_a_decided_payment_keeps_the_trip_and_is_never_charged_again(
    change: Change, decision: Decision
) -> None:
    story = believed(change)

    story.decide(decision)
    much_later(story)

    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])
    assert not story.view.requires_support
    assert is_at_rest(story)


@pytest.mark.parametrize("change", [payment_absent, payment_voided, payment_pending])
def test_a_cancellation_beside_a_contradicted_payment_ends_the_service_only(change: Change) -> None:
    story = believed(change)

    story.cancel()
    story.run(3 * DAY)

    assert story.verbs == [Verb.CANCEL_BOOKING]
    assert story.view.requires_support
    assert story.status is PublicStatus.EN_CANCELACION


@pytest.mark.parametrize("decision", [Decision.RETURNED, Decision.HONOURED])
def test_a_voided_payment_of_a_cancelled_trip_ends_by_a_decision(decision: Decision) -> None:
    story = believed(payment_voided)
    story.cancel()
    story.run(DAY)

    story.decide(decision)
    much_later(story)

    assert story.verbs == [Verb.CANCEL_BOOKING]
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())
    assert is_at_rest(story)


def test_a_payment_that_is_healthy_again_is_refunded_after_a_cancellation() -> None:
    story = confirmed()
    payments = story.providers.payments
    payment_absent(story.providers)
    story.webhook()
    story.run(HOUR)
    story.cancel()
    story.run(HOUR)

    story.providers.payments = payments
    story.run(2 * DAY)

    assert story.verbs == [Verb.CANCEL_BOOKING, Verb.REFUND]
    assert story.status is PublicStatus.CANCELADA


# --- disputes ------------------------------------------------------------------------------------


def test_a_dispute_is_the_operators_matter_only() -> None:
    story = contradicted(dispute_open)

    assert story.reviews == {Review.DISPUTE}
    assert not story.view.requires_support
    much_later(story)
    assert (story.status, story.verbs, story.mails) == (PublicStatus.CONFIRMADA, [], [])
    assert story.events == ["contradiction.dispute"]


@pytest.mark.parametrize("decided", [False, True])
def test_a_cancellation_beside_an_open_dispute_refunds_nothing_until_it_is_won(
    decided: bool,
) -> None:
    story = contradicted(dispute_open)
    story.cancel()
    story.run(3 * DAY)
    assert story.verbs == [Verb.CANCEL_BOOKING]
    if decided:
        story.decide(Decision.HONOURED)
        story.run(3 * DAY)
        assert story.verbs == [Verb.CANCEL_BOOKING]

    dispute_won(story.providers)
    story.webhook()
    story.run(2 * DAY)

    assert story.verbs == [Verb.CANCEL_BOOKING, Verb.REFUND]
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())


def test_a_decided_dispute_is_watched_until_the_bank_decides() -> None:
    story = contradicted(dispute_open)
    story.decide(Decision.HONOURED)
    much_later(story)
    assert story.reviews == frozenset()

    dispute_lost(story.providers)  # and no webhook
    story.run(8 * DAY)

    assert story.reviews == {Review.DISPUTE}
    assert "contradiction.dispute.lost" in story.events


@pytest.mark.parametrize("cancelled_first", [False, True])
def test_a_lost_dispute_counts_as_returned(cancelled_first: bool) -> None:
    story = contradicted(dispute_open)
    if cancelled_first:
        story.cancel()
        story.run(HOUR)
    dispute_lost(story.providers)
    story.webhook()
    story.run(HOUR)
    assert story.reviews == {Review.DISPUTE}
    if not cancelled_first:
        assert story.status is PublicStatus.CONFIRMADA
        story.cancel()

    story.run(3 * DAY)

    assert story.verbs == [Verb.CANCEL_BOOKING]
    assert (story.status, story.state) == (PublicStatus.CANCELADA, State.REFUNDED)
    assert story.view.refund == Refund(RefundStatus.DONE, PRICE)
    story.decide(Decision.HONOURED)
    much_later(story)
    assert (story.reviews, story.verbs) == (frozenset(), [Verb.CANCEL_BOOKING])
    assert is_at_rest(story)


def test_a_dispute_lost_after_our_refund_is_in_front_of_a_person() -> None:
    story = contradicted(dispute_lost, after=refunded)

    story.run(HOUR)

    assert Review.DISPUTE in story.reviews
    assert story.verbs == []


def test_a_dispute_of_a_pending_payment_is_looked_at_when_due_whatever_the_payment_waits_for() -> (
    None
):
    charge = a_charge(Status.PENDING, check_at=NOON + 48 * HOUR, void_asked=True)
    dispute = a_contradiction(Kind.DISPUTE, "pay_1", seen=DisputeStatus.OPEN)
    facts = some_facts(charge, contradictions=(dispute,), reason=Reason.CUSTOMER_CANCELLED)

    planned = plan(Standing(facts), Moment(NOON + 25 * HOUR, STANDARD))

    assert planned == Inquire(charge)


def test_a_dispute_that_leaves_the_listing_is_not_over() -> None:
    story = contradicted(dispute_open)

    story.providers.set_payment("pay_1", dispute=None)
    story.webhook()
    story.run(3 * DAY)

    assert story.reviews == {Review.DISPUTE}


# --- another sum ---------------------------------------------------------------------------------


def test_an_accepted_sum_is_what_a_cancellation_returns() -> None:
    story = believed(payment_of_another_sum)

    story.decide(Decision.PAID)
    much_later(story)
    assert (story.status, story.reviews, story.verbs) == (PublicStatus.CONFIRMADA, frozenset(), [])
    story.cancel()
    story.run(HOUR)

    refunds = [send.money for send in story.sends if send.verb is Verb.REFUND]
    assert refunds == [OTHER_SUM]
    assert story.status is PublicStatus.CANCELADA


@pytest.mark.parametrize("wrong", [OTHER_SUM, Money(PRICE.minor, "USD")])
def test_a_refund_answered_with_another_sum_is_one_review_and_no_repetition(wrong: Money) -> None:
    story = confirmed()

    def instead(action: Action) -> Outcome | None:
        return story.providers.refund("pay_1", wrong) if action.verb is Verb.REFUND else None

    story.providers.instead = instead
    story.cancel()
    story.run(MINUTE)
    assert Review.OTHER_SUM in story.reviews
    story.run(3 * DAY)

    assert story.verbs.count(Verb.REFUND) == 1
    assert Review.OTHER_SUM in story.reviews
    assert story.events.count("contradiction.other_sum") == 1


def test_a_refund_of_another_sum_that_was_made_good_by_another_way_ends() -> None:
    story = confirmed()

    def instead(action: Action) -> Outcome | None:
        return story.providers.refund("pay_1", OTHER_SUM) if action.verb is Verb.REFUND else None

    story.providers.instead = instead
    story.cancel()
    story.run(HOUR)

    story.decide(Decision.RETURNED)
    much_later(story)

    assert story.verbs.count(Verb.REFUND) == 1
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())
    assert is_at_rest(story)


# --- both providers, ids in another case, reservations on their way ------------------------------


def test_a_payment_in_another_case_is_believed_in_its_status_and_its_sum() -> None:
    story = believed(payment_in_capitals)
    story.decide(Decision.STANDS)

    story.providers.set_payment("PAY_1", status=Status.VOIDED, money=OTHER_SUM)
    story.webhook()
    story.run(20 * MINUTE)

    assert story.reviews == {Review.PAYMENT_ABSENT, Review.OTHER_SUM}


def test_a_refund_that_fails_after_its_payment_was_written_off_is_sent_once_more() -> None:
    story = contradicted(payment_of_another_sum)
    story.cancel()
    story.run(3 * HOUR)
    story.decide(Decision.RETURNED)
    story.forget()

    refund_failed(story.providers)
    story.webhook()
    story.run(HOUR)

    assert [(send.key, send.money) for send in story.sends] == [(SECOND_REFUND, OTHER_SUM)]
    assert (story.state, story.reviews) == (State.REFUNDED, frozenset())


def test_a_payment_is_not_returned_by_another_way_while_its_refund_is_under_way() -> None:
    story = contradicted(payment_of_another_sum)
    story.providers.instead = lambda action: (
        Seen(provider_id="re_1", status=Status.PENDING) if action.verb is Verb.REFUND else None
    )
    story.cancel()
    story.run(6 * MINUTE)

    with pytest.raises(DecisionRefusedError, match="a refund of pay_1 may still succeed"):
        story.decide(Decision.RETURNED)


def test_a_foreign_refund_of_a_closed_reservation_takes_no_decision() -> None:
    story = believed(part_returned_by_hand)
    story.providers.set_payment("pay_1", money=OTHER_SUM)
    story.webhook()
    story.cancel()

    with pytest.raises(DecisionRefusedError):
        story.decide(Decision.RETURNED, target="re_1")


def test_a_payment_that_a_person_returned_is_not_refunded_under_a_new_id() -> None:
    story = confirmed()
    refusal = Seen(provider_id="re_0", status=Status.DECLINED, money=PRICE)
    story.providers.instead = lambda action: refusal if action.verb is Verb.REFUND else None
    story.cancel()
    story.run(MINUTE)
    story.decide(Decision.REFUNDED)
    story.run(4 * DAY)
    story.providers.instead = lambda _: None
    story.forget()

    story.providers.set_payment("pay_1", provider_id="pay_2")
    story.webhook()
    story.run(HOUR)

    assert not story.verbs
    assert story.reviews == {Review.PAYMENT_ABSENT}
    story.decide(Decision.RETURNED, target="pay_2")
    story.decide(Decision.HONOURED, target="pay_1")
    much_later(story)
    assert (story.verbs, story.reviews, story.state) == ([], frozenset(), State.REFUNDED)


def test_a_foreign_refund_of_a_payment_returned_by_hand_is_in_front_of_a_person() -> None:
    story = contradicted(payment_of_another_sum)
    story.providers.instead = lambda action: NotSent() if action.verb is Verb.REFUND else None
    story.cancel()
    story.run(SECOND)
    story.decide(Decision.RETURNED)
    story.run(3 * DAY)

    story.providers.instead = lambda _: None
    cent_returned_by_hand(story.providers)
    story.webhook()

    assert story.reviews == {Review.FOREIGN_REFUND}
    story.decide(Decision.HONOURED)
    much_later(story)
    assert (story.state, story.reviews) == (State.REFUNDED, frozenset())
    assert is_at_rest(story)


def test_a_payment_whose_refund_is_under_way_is_not_refunded_under_a_new_id() -> None:
    story = confirmed()
    pending = Seen(provider_id="re_1", status=Status.PENDING, money=PRICE)
    story.providers.instead = lambda action: pending if action.verb is Verb.REFUND else None
    story.cancel()
    story.run(SECOND)

    story.providers.refunds = {"pay_1": [pending], "pay_2": [pending]}
    story.providers.set_payment("pay_1", provider_id="pay_2")
    story.webhook()
    story.run(HOUR)

    assert [send.key for send in story.sends if send.verb is Verb.REFUND] == ["refund:pay_1"]
    assert story.reviews == {Review.PAYMENT_ABSENT}


def test_an_accepted_loss_is_over_once_the_refund_comes_back() -> None:
    story = refunded()
    dispute(DisputeStatus.LOST)(story.providers)
    story.webhook()
    story.decide(Decision.HONOURED, target="dispute:pay_1")
    story.decide(Decision.HONOURED)

    refund_failed(story.providers)
    story.webhook()
    story.run(2 * DAY)

    assert (story.state, story.verbs) == (State.REFUNDED, [])


def test_no_second_refund_leaves_while_its_payment_is_absent() -> None:
    story = confirmed()
    story.cancel()
    story.run(3 * SECOND)
    payment_absent(story.providers)
    refund_failed(story.providers)
    story.webhook()
    story.run(HOUR)

    assert story.verbs == [Verb.CANCEL_BOOKING, Verb.REFUND]
    assert story.reviews == {Review.PAYMENT_ABSENT, Review.REFUND_FAILED}


def test_both_providers_contradict_at_once() -> None:
    story = confirmed()
    booking_absent(story.providers)
    payment_voided(story.providers)
    story.webhook()
    story.run(3 * DAY)

    assert story.reviews == {Review.BOOKING_ABSENT, Review.PAYMENT_ABSENT}
    assert (story.status, story.verbs) == (PublicStatus.CONFIRMADA, [])
    story.decide(Decision.GONE)
    story.providers.instead = unknown_to_the_supplier(story.providers)
    story.run(HOUR)
    assert set(story.verbs) == {Verb.CANCEL_BOOKING}
    assert story.reviews == {Review.PAYMENT_ABSENT}
    story.decide(Decision.RETURNED)
    story.run(HOUR)
    assert (story.status, story.reviews) == (PublicStatus.CANCELADA, frozenset())


@pytest.mark.parametrize("both_spellings", [False, True])
def test_an_id_in_another_case_is_not_a_second_one(both_spellings: bool) -> None:
    story = confirmed()
    payment, booking = story.providers.payments[0], story.providers.bookings[0]
    payment_in_capitals(story.providers)
    booking_in_capitals(story.providers)
    if both_spellings:
        story.providers.payments.append(payment)
        story.providers.bookings.append(booking)

    story.webhook()
    story.run(3 * DAY)

    assert story.verbs == []
    assert story.reviews == {Review.PAYMENT_CHANGED, Review.BOOKING_CHANGED}
    assert len(story.facts.calls) == 2
    assert story.status is PublicStatus.CONFIRMADA


ON_THE_WAY = [
    payment_absent,
    payment_voided,
    payment_pending,
    payment_declined,
    payment_in_capitals,
    payment_of_another_sum,
]


@pytest.mark.parametrize("change", ON_THE_WAY)
def test_a_payment_contradicted_before_the_confirmation_is_not_charged_again(
    change: Change,
) -> None:
    story = Story()
    story.providers.instead = lambda action: NoAnswer() if action.verb is Verb.BOOK else None
    story.run(MINUTE)
    change(story.providers)
    story.webhook()
    story.run(20 * MINUTE)
    assert story.reviews
    story.forget()
    story.providers.instead = lambda _: None

    story.run(3 * DAY)

    assert (story.verbs, story.mails) == ([], [])  # such a payment buys nothing
    assert story.status is PublicStatus.EN_PROCESO
    assert story.reviews
    story.cancel()
    story.run(3 * DAY)
    assert Verb.CHARGE not in story.verbs
    assert Verb.BOOK not in story.verbs
    assert story.verbs.count(Verb.REFUND) <= 1


def test_a_pending_booking_that_disappears_is_no_contradiction_of_the_confirmation() -> None:
    story = Story()
    pending = Seen(provider_id="bk_1", status=Status.PENDING)

    def instead(action: Action) -> Outcome | None:
        return pending if action.verb is Verb.BOOK else None

    story.providers.instead = instead
    story.run(2 * DAY)

    assert story.reviews == {Review.DEADLINE}
    assert story.status is PublicStatus.EN_PROCESO
    assert set(story.verbs) == {Verb.CHARGE, Verb.BOOK}


def test_a_foreign_refund_before_the_confirmation_buys_nothing_more() -> None:
    story = Story()
    story.providers.instead = lambda action: NoAnswer() if action.verb is Verb.BOOK else None
    story.run(MINUTE)
    all_returned_by_hand(story.providers)
    story.webhook()
    story.run(20 * MINUTE)

    assert Review.FOREIGN_REFUND in story.reviews
    assert Verb.REFUND not in story.verbs


# --- back-off ------------------------------------------------------------------------------------


def test_a_void_whose_answer_is_never_usable_is_asked_ever_more_seldom() -> None:
    story = Story()
    pending = Seen(provider_id="pay_1", status=Status.PENDING, money=PRICE, refunded_minor=0)
    outcomes: dict[Verb, Outcome] = {Verb.CHARGE: pending, Verb.VOID: NoAnswer()}
    story.providers.instead = lambda action: outcomes.get(action.verb)
    story.providers.payments = [pending]
    story.run(MINUTE)
    story.cancel()

    story.run(7 * DAY)

    assert sum(action.verb is Verb.VOID for _, action in story.asked) < 30
    assert story.reviews == {Review.DEADLINE}


def sends_in_nine_hours(verb: Verb, outcome: Outcome) -> int:
    story = confirmed() if verb in (Verb.REFUND, Verb.CANCEL_BOOKING) else Story()
    story.providers.instead = lambda action: outcome if action.verb is verb else None
    if verb in (Verb.REFUND, Verb.CANCEL_BOOKING):
        story.cancel()
    story.run(9 * HOUR)
    return story.verbs.count(verb)


@pytest.mark.parametrize("verb", [Verb.REFUND, Verb.CANCEL_BOOKING])
def test_the_back_off_counts_for_the_matter_not_for_the_attempt(verb: Verb) -> None:
    assert sends_in_nine_hours(verb, NoAnswer()) <= 15


def test_an_honoured_sum_without_refunds_takes_only_that_sum_from_what_is_owed() -> None:
    story = believed(lambda providers: providers.set_payment("pay_1", refunded_minor=6000))
    story.decide(Decision.HONOURED)
    much_later(story)

    story.cancel()
    much_later(story)

    assert [send.money for send in story.sends if send.verb is Verb.REFUND] == [REST]
    assert story.status is PublicStatus.CANCELADA


def test_a_refund_by_hand_after_an_accepted_loss_is_in_front_of_a_person_again() -> None:
    story = contradicted(cent_returned_by_hand, after=refunded)
    story.run(HOUR)
    story.decide(Decision.HONOURED)
    story.run(DAY)

    all_returned_by_hand(story.providers)
    story.webhook()
    story.run(HOUR)

    assert story.reviews == {Review.FOREIGN_REFUND}


def test_a_refund_that_is_absent_for_a_while_moves_nothing() -> None:
    story = refunded()
    listed = story.providers.refunds
    refund_absent(story.providers)
    story.webhook()
    story.run(20 * MINUTE)
    assert story.view.refund == Refund(RefundStatus.DONE, PRICE)

    story.providers.refunds = listed
    much_later(story)

    assert (story.reviews, story.verbs) == (frozenset(), [])
    assert story.mails == [MailKind.UNDER_REVIEW]
    assert is_at_rest(story)


@pytest.mark.parametrize("decision", [Decision.HONOURED, Decision.RETURNED])
def test_a_dispute_lost_in_part_hides_nothing_that_is_still_owed(decision: Decision) -> None:
    def change(providers: ChangingProviders) -> None:
        providers.set_payment("pay_1", dispute=Dispute(DisputeStatus.LOST, PART))

    story = contradicted(change)
    story.cancel()
    story.run(3 * DAY)
    assert story.state is State.REFUND_IN_PROGRESS

    story.decide(decision)
    much_later(story)

    assert story.verbs == [Verb.CANCEL_BOOKING]
    assert story.state is State.REFUND_IN_PROGRESS
    assert story.reviews
    assert story.view.refund == Refund(RefundStatus.PENDING, PRICE)


# --- words that change twice ---------------------------------------------------------------------


def a_told_amount(cents: int) -> Change:
    def change(providers: ChangingProviders) -> None:
        providers.set_payment("pay_1", refunded_minor=cents)

    return change


def refund_pending(providers: ChangingProviders) -> None:
    providers.set_refund("re_1", status=Status.PENDING)


def tell(story: Story, change: Change, *, within: timedelta = 20 * MINUTE) -> None:
    """Change the word of a provider, have it say so, and pass some time."""
    change(story.providers)
    story.webhook()
    story.run(within)


def test_an_inquiry_that_was_written_down_is_not_planned_again_beside_itself() -> None:
    story = contradicted(booking_absent)
    story.now = story.facts.contradictions[0].check_at or story.now
    look = plan(Standing(story.facts), story.at)
    assert isinstance(look, Inquire)

    begun = begin(story.facts, look, story.at)

    assert isinstance(plan(Standing(begun), story.at), Wait)


def test_an_unexplained_amount_that_grows_is_counted_once() -> None:
    story = believed(a_told_amount(2000))
    story.decide(Decision.HONOURED)
    tell(story, a_told_amount(3000))
    story.decide(Decision.HONOURED)

    story.cancel()
    story.run(HOUR)

    assert story.sends[-1].money == Money(PRICE.minor - 3000, "EUR")
    assert story.state is State.REFUNDED


@pytest.mark.parametrize(
    "words", [(dispute_lost, dispute_won), (dispute_won, dispute_open, dispute_won)]
)
def test_a_disputed_payment_that_a_person_returned_is_never_refunded(
    words: tuple[Change, ...],
) -> None:
    story = believed(dispute_open)
    story.cancel()
    story.run(HOUR)
    story.decide(Decision.RETURNED)

    for word in words:
        story.run(8 * DAY)
        tell(story, word)

    assert Verb.REFUND not in story.verbs
    assert story.state is State.REFUNDED


def test_a_rejected_refund_that_leaves_the_listing_is_rejected_still() -> None:
    story = refunded()
    nothing_arrives = story.providers.instead
    story.providers.instead = lambda action: NotSent() if action.verb is Verb.REFUND else None
    tell(story, refund_failed)
    story.providers.instead = nothing_arrives

    tell(story, refund_absent, within=2 * DAY)

    assert [send.key for send in story.sends if send.verb is Verb.REFUND][-1] == SECOND_REFUND
    assert (story.state, story.reviews) == (State.REFUNDED, frozenset())


def test_a_rejected_refund_that_was_made_good_and_leaves_the_listing_is_no_news() -> None:
    story = refunded()
    tell(story, refund_failed, within=HOUR)

    story.providers.refunds["pay_1"].pop(0)
    tell(story, lambda _: None, within=HOUR)

    assert len(story.opened(Kind.REFUND_FAILED)) == 1
    assert (story.state, story.reviews) == (State.REFUNDED, frozenset())


def test_a_refund_that_is_pending_and_then_rejected_is_never_shown_as_done() -> None:
    story = refunded()
    tell(story, refund_pending)
    assert story.state is State.REFUND_IN_PROGRESS

    tell(story, refund_failed, within=SECOND)

    assert story.state is State.REFUND_IN_PROGRESS
    assert Verb.REFUND not in story.verbs  # one look is not enough for a second refund


def test_a_word_that_a_decision_answered_stays_answered_after_a_listing_that_lagged() -> None:
    story = believed(other_dates)
    story.decide(Decision.STANDS)

    tell(story, booking_pending, within=SECOND)
    story.providers.set_booking("bk_1", status=Status.SUCCEEDED)
    tell(story, other_dates)

    assert len(story.opened(Kind.BOOKING_CHANGED)) == 1
    assert not story.reviews


def test_a_refund_of_others_that_was_honoured_still_counts_after_a_listing_that_lagged() -> None:
    story = believed(part_returned_by_hand)
    story.decide(Decision.HONOURED)
    returned = story.providers.refunds

    pending = [replace(row, status=Status.PENDING) for row in returned["pay_1"]]
    story.providers.refunds = {"pay_1": pending}
    tell(story, lambda _: None, within=SECOND)
    story.providers.refunds = returned
    tell(story, lambda _: None)
    story.cancel()
    story.run(HOUR)

    assert story.sends[-1].money == REST


def test_another_sum_of_a_closed_reservation_is_refunded_after_two_looks() -> None:
    story = confirmed()
    story.cancel()
    tell(story, payment_of_another_sum, within=4 * MINUTE)
    assert Verb.REFUND not in story.verbs

    story.run(2 * MINUTE)

    assert story.sends[-1].money == OTHER_SUM


def test_another_sum_that_one_listing_told_by_mistake_moves_no_money() -> None:
    story = confirmed()
    story.cancel()
    tell(story, payment_of_another_sum, within=SECOND)

    tell(story, lambda providers: providers.set_payment("pay_1", money=PRICE))

    assert [send.money for send in story.sends if send.verb is Verb.REFUND] == [PRICE]
