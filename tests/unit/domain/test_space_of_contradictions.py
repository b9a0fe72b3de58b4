"""Every small ledger, with every word of a provider against it, keeps the rules of a contradiction.

Each rule is a row of the table of ADR-015, written from the table and not from the code. The case
gives every action that is due, whichever comes first, and those that would be due without the word.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import product

import pytest

from reservations.domain.actions import Action, Inquire, Send, Settled, Wait
from reservations.domain.decisions import ANSWERS, DecisionRefusedError, resolve
from reservations.domain.facts import (
    OPEN,
    Call,
    Decision,
    Facts,
    Kind,
    Operation,
    Reason,
    Status,
)
from reservations.domain.learning import cancel
from reservations.domain.money import Money
from reservations.domain.plan import RULES, plan
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.standing import Standing
from reservations.domain.verdict import conclude, verdict
from reservations.domain.views import view
from reservations.domain.words import PublicStatus, Review
from tests.unit.domain.changing_providers import Story
from tests.unit.domain.contradicted import (
    FEW_BASES,
    NEW_ID,
    OPENED_BY,
    Point,
    points,
    providers_of,
    with_another,
)
from tests.worlds.builders import a_reservation

# Just opened, and after every window, when everything is due.
MOMENTS = [OPENED_BY + timedelta(hours=hours) for hours in (0, 200)]
LAST = MOMENTS[-1]

UNDECIDED = {"suspected", "open", "sticky"}
MISSED_BOOKING = {Kind.BOOKING_ABSENT, Kind.BOOKING_CHANGED}
UNSURE_PAYMENT = {Kind.PAYMENT_ABSENT, Kind.PAYMENT_CHANGED}


@dataclass(frozen=True)  # no slots: a cached property keeps its answer in `__dict__`
class Case:
    """A point at a time, and all that its facts ask for then."""

    point: Point
    now: datetime

    @property
    def at(self) -> Moment:
        return Moment(self.now, STANDARD)

    @cached_property
    def actions(self) -> list[Action]:
        return [action for rule in RULES for action in rule(self.point.standing, self.at)]

    @cached_property
    def sends(self) -> list[Send]:
        return [action for action in self.actions if isinstance(action, Send)]

    @cached_property
    def usual_sends(self) -> list[Send]:
        """The sends without the contradiction."""
        actions = (action for rule in RULES for action in rule(self.point.before, self.at))
        return [action for action in actions if isinstance(action, Send)]

    def sent(self, operation: Operation) -> list[Send]:
        return [send for send in self.sends if send.operation is operation]

    @cached_property
    def verdict(self) -> Reason | None:
        return verdict(self.point.standing, self.at)

    @cached_property
    def usual_verdict(self) -> Reason | None:
        return verdict(self.point.before, self.at)

    @property
    def refunded(self) -> set[str | None]:
        return {send.target for send in self.sent(Operation.REFUND)}


# --- the rules


def nothing_is_charged_again(case: Case) -> None:
    assert not case.sent(Operation.CHARGE)


def a_doubtful_booking_freezes_cancellations(case: Case) -> None:
    row = case.point.row
    if row.lasts and row.kind in MISSED_BOOKING and case.point.base.reason is None:
        assert not case.sent(Operation.CANCEL_BOOKING)


def a_doubtful_payment_is_not_refunded_and_buys_nothing(case: Case) -> None:
    row, kept = case.point.row, case.point.before.kept_charge
    stands = case.point.base.reason is None
    of_charge = row.kind in UNSURE_PAYMENT or (row.kind is Kind.OTHER_SUM and row.payment is None)
    if not row.lasts or not of_charge or (row.kind is Kind.OTHER_SUM and not stands):
        return
    assert row.subject not in case.refunded
    if kept is not None and kept.provider_id == row.subject:
        assert not case.refunded
        assert not (row.open and case.sent(Operation.BOOK))


def no_refund_leaves_while_a_cancelled_booking_lives(case: Case) -> None:
    if case.point.row.lasts and case.point.row.kind is Kind.BOOKING_ALIVE:
        assert not case.refunded


def no_refund_leaves_beside_a_dispute(case: Case) -> None:
    """Until it is won, whatever a person has decided."""
    if case.point.row.kind is Kind.DISPUTE and case.point.row.over_at is None:
        assert case.point.row.subject not in case.refunded


def an_unexplained_refund_freezes_the_refunds_of_its_payment(case: Case) -> None:
    row = case.point.row
    if row.lasts and row.kind is Kind.FOREIGN_REFUND and row.subject == row.payment:
        assert row.subject not in case.refunded


def a_payment_has_at_most_two_refunds_unless_a_person_asks_for_one(case: Case) -> None:
    refunds = case.sent(Operation.REFUND)
    assert len(refunds) == len(case.refunded)
    for send in refunds:
        first = f"refund:{send.target}"
        earlier = case.point.facts.find(first)
        asked_for = case.point.stage == Decision.REFUND_AGAIN
        assert send.key in (first, f"{first}:2") or (asked_for and send.key == f"{first}:3")
        if send.key != first and case.point.stage in UNDECIDED:
            assert earlier is not None
            assert earlier.status is Status.NOT_FOUND or _is_sure_to_have_failed(case, earlier)


def _is_sure_to_have_failed(case: Case, refund: Call) -> bool:
    """Two looks show it as rejected, and the refunded amount agrees."""
    row = case.point.row
    charge = next(c for c in case.point.standing.charges if c.provider_id == refund.target)
    told = (row.kind, row.subject, row.seen) == (
        Kind.REFUND_FAILED,
        refund.provider_id,
        Status.DECLINED,
    )
    return told and row.opened_at is not None and row.looks > 1 and charge.refunded_minor == 0


def a_refund_that_is_sure_to_have_failed_is_sent_once_more(case: Case) -> None:
    refunds, first = case.point.standing.refunds, case.point.facts.find("refund:pay_1")
    if first is None or case.point.stage != "open" or not case.point.standing.closed:
        return
    if _is_sure_to_have_failed(case, first) and not case.point.standing.may_be_booked:
        again = [refund for refund in refunds if refund.target == "pay_1" and refund != first]
        assert again or "refund:pay_1:2" in {send.key for send in case.sends}


def no_more_is_refunded_than_was_taken(case: Case) -> None:
    for send in case.sent(Operation.REFUND):
        charge = next(c for c in case.point.standing.charges if c.provider_id == send.target)
        assert charge.money
        assert send.money
        assert 0 < send.money.minor <= charge.money.minor - _returned(case.point, charge, send.key)


def _returned(point: Point, charge: Call, but: str) -> int:
    """The amount that went back or may yet, without the refund of a key."""
    row, known = point.row, point.facts.of(Operation.REFUND)
    ours = [
        (refund.money or charge.money)
        for refund in known
        if refund.target == charge.provider_id and refund.key != but
        if refund.status in OPEN
        or (refund.status is Status.SUCCEEDED and not _failed_later(point, refund))
    ]
    foreign = row.kind is Kind.FOREIGN_REFUND and row.payment == charge.provider_id
    believed = row.opened_at is not None and row.over_at is None
    ours += [row.money] if foreign and believed and row.subject != row.payment else []
    return sum(money.minor for money in ours if money)


def _failed_later(point: Point, refund: Call) -> bool:
    row = point.row
    if (row.kind, row.subject) != (Kind.REFUND_FAILED, refund.provider_id):
        return False
    if row.over_at is not None or row.decision is Decision.RETURNED:
        return False
    again = row.decision is Decision.REFUND_AGAIN
    return again or (row.opened_at is not None and row.seen == Status.DECLINED)


def a_word_alone_moves_no_money_and_no_booking(case: Case) -> None:
    """Undecided, it only stops what would be sent. A failed refund may be sent a second time."""
    if case.point.stage not in UNDECIDED:
        return
    usual = {(send.key, send.target): send.money for send in case.usual_sends}
    for send in case.sends:
        if not send.key.endswith(":2"):
            assert (send.key, send.target) in usual
            most = usual[send.key, send.target]
            assert not (send.money and most) or send.money.minor <= most.minor
    assert case.point.standing.public_status is case.point.before.public_status
    assert case.verdict in (None, case.usual_verdict)


def a_word_that_is_over_or_stands_leaves_no_trace(case: Case) -> None:
    if case.point.stage in ("over", Decision.STANDS):
        assert case.sends == case.usual_sends
        assert case.verdict is case.usual_verdict
        assert case.point.standing.state is case.point.before.state
        assert case.point.standing.reviews(case.now) == case.point.before.reviews(case.now)


def a_confirmed_reservation_closes_only_by_the_supplier_s_word_or_a_person_s(case: Case) -> None:
    facts, stage = case.point.facts, case.point.stage
    if facts.confirmed_at is not None and facts.reason is None:
        assert case.verdict in (None, Reason.SUPPLIER_CANCELLED)
    if case.point.before.public_status is PublicStatus.CONFIRMADA:
        gone = stage == Decision.GONE and not _booked_beside(case.point)
        assert case.verdict is (Reason.SUPPLIER_CANCELLED if gone else None)
        assert gone or case.point.standing.public_status is PublicStatus.CONFIRMADA


def _booked_beside(point: Point) -> list[Call]:
    """The bookings confirmed together with the one in question, and not being cancelled."""
    cancelled = {row.target for row in point.base.of(Operation.CANCEL_BOOKING)}
    return [
        row
        for row in point.base.of(Operation.BOOK)
        if row.status is Status.SUCCEEDED and row.provider_id not in {*cancelled, point.row.subject}
    ]


def what_is_due_is_looked_at(case: Case) -> None:
    looks = [action.call for action in case.actions if isinstance(action, Inquire)]
    looked_at = {(call.operation, call.provider_id) for call in looks}
    for row in case.point.facts.contradictions:
        assert row.check_at is not None or not row.lasts
        assert row.about in looked_at or not row.due(case.now)


def it_acts_or_waits_for_its_first_timer_or_rests(case: Case) -> None:
    facts = case.point.facts
    times = [time for call in facts.calls for time in (call.check_at, call.refunds_at)]
    times += [row.check_at for row in facts.contradictions]
    match case.verdict or plan(case.point.standing, case.at):
        case Wait(until):
            assert case.now < until <= min((time for time in times if time), default=until)
        case Settled():
            assert not any(times)
            assert not case.point.row.lasts
            assert not case.point.standing.reviews(case.now)


def an_open_one_calls_a_person_and_a_suspicion_does_not(case: Case) -> None:
    row, reviews = case.point.row, case.point.standing.reviews(case.now)
    counts_by_itself = row.kind is Kind.FOREIGN_REFUND and row.subject != row.payment
    if row.open and not (counts_by_itself and case.point.base.reason):
        assert Review(row.kind) in reviews
    if case.point.stage == "suspected":
        assert reviews <= case.point.before.reviews(case.now) | {Review.FOREIGN_REFUND}


def the_traveler_hears_of_it_as_the_table_says(case: Case) -> None:
    row, needs_support = case.point.row, case.point.standing.needs_support(case.now)
    if row.open and row.kind in MISSED_BOOKING | UNSURE_PAYMENT:
        assert needs_support
    if row.kind in (Kind.DISPUTE, Kind.BOOKING_ALIVE) and case.point.stage in UNDECIDED:
        assert case.point.before.needs_support(case.now) or not needs_support


def it_can_be_shown(case: Case) -> None:
    if case.now == LAST:
        return
    shown = view(a_reservation(facts=case.point.facts), case.at)
    assert shown.status is case.point.standing.public_status
    assert not (shown.status is PublicStatus.CONFIRMADA and (shown.refund or shown.expires_at))


HELD: list[Callable[[Case], None]] = [
    nothing_is_charged_again,
    a_doubtful_booking_freezes_cancellations,
    a_doubtful_payment_is_not_refunded_and_buys_nothing,
    no_refund_leaves_while_a_cancelled_booking_lives,
    no_refund_leaves_beside_a_dispute,
    an_unexplained_refund_freezes_the_refunds_of_its_payment,
    a_payment_has_at_most_two_refunds_unless_a_person_asks_for_one,
    a_refund_that_is_sure_to_have_failed_is_sent_once_more,
    no_more_is_refunded_than_was_taken,
    a_word_alone_moves_no_money_and_no_booking,
    a_word_that_is_over_or_stands_leaves_no_trace,
    a_confirmed_reservation_closes_only_by_the_supplier_s_word_or_a_person_s,
    what_is_due_is_looked_at,
    it_acts_or_waits_for_its_first_timer_or_rests,
    an_open_one_calls_a_person_and_a_suspicion_does_not,
    the_traveler_hears_of_it_as_the_table_says,
    it_can_be_shown,
]


@pytest.mark.parametrize("kind", Kind)
def test_every_stage_and_decision_of_a_contradiction_keeps_the_rules(kind: Kind) -> None:
    for point, now in product(points(kind), MOMENTS):
        case = Case(point, now)
        for rule in HELD:
            try:
                rule(case)
            except AssertionError as error:
                keys = [f"{send.key} {send.money or ''}" for send in case.sends]
                error.add_note(f"{rule.__name__}: {point}, {now - OPENED_BY} later: {keys}")
                raise


# --- two at once


@pytest.mark.parametrize("kind", Kind)
def test_another_contradiction_joins_the_set_and_frees_nothing(kind: Kind) -> None:
    for point in points(kind, FEW_BASES):
        if point.stage not in UNDECIDED:
            continue
        alone = sends(point.standing)
        for other, subject in ((Kind.PAYMENT_ABSENT, "pay_1"), (Kind.BOOKING_ABSENT, "bkg_1")):
            both = Standing(with_another(other, subject, point))
            assert sends(both) <= alone, point
            assert point.standing.reviews(LAST) | {Review(other)} <= both.reviews(LAST), point


def sends(standing: Standing) -> set[tuple[str, str | None, Money | None]]:
    actions = (action for rule in RULES for action in rule(standing, Moment(LAST, STANDARD)))
    return {(a.key, a.target, a.money) for a in actions if isinstance(a, Send)}


# --- people


@pytest.mark.parametrize("kind", Kind)
def test_every_review_beside_a_contradiction_has_decisions_that_end_it(kind: Kind) -> None:
    for point in points(kind, FEW_BASES):
        if point.stage in UNDECIDED:
            assert can_end(point.facts, decisions=6), point


def can_end(facts: Facts, decisions: int) -> bool:
    """Return `True` if some decisions, or a cancellation, leave nothing for a person to do."""
    facts = conclude(Standing(facts), Moment(LAST, STANDARD)).facts
    if not Standing(facts).reviews(LAST):
        return True
    return decisions > 0 and any(can_end(after, decisions - 1) for after in _decided(facts))


def _decided(facts: Facts) -> Iterator[Facts]:
    reviews = Standing(facts).reviews(LAST)
    names = [f"{row.kind}:{row.subject}" for row in facts.contradictions if row.open]
    names += [call.target or call.provider_id or "" for call in facts.calls]
    for decision, target in product(ANSWERS, dict.fromkeys((*names, None))):
        evidence = NEW_ID if decision in (Decision.REBOOKED, Decision.BOOKED) else "T-1"
        if reviews & ANSWERS[decision]:
            try:
                yield resolve(facts, decision, evidence, Moment(LAST, STANDARD), target=target)
            except DecisionRefusedError:
                continue
    if facts.reason is None:
        yield cancel(facts)


# --- time


@pytest.mark.parametrize("kind", Kind)
def test_a_provider_that_stays_at_its_word_is_asked_ever_less_and_sent_nothing_twice(
    kind: Kind,
) -> None:
    for point in points(kind, FEW_BASES[::3]):
        if point.stage != "open":
            continue
        reservation = a_reservation(facts=point.facts)
        story = Story(providers_of(point), now=OPENED_BY, reservation=reservation)

        story.run(timedelta(days=10))

        at_once = Counter(asked_at.replace(second=0) for asked_at, _ in story.asked)
        keys = Counter(send.key for send in story.sends)
        assert max(at_once.values(), default=0) <= 8, point
        assert len(story.asked) <= 100, point
        assert max(keys.values(), default=0) <= 1, (point, keys)
        assert story.reviews or not story.facts.contradictions[0].open, point
