"""No known fact is ever taken back, for any answers of providers in any order."""

import random
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reservations.domain.actions import Action, Inquire, Send, Sent, Void, Wait
from reservations.domain.facts import (
    RANK,
    Call,
    Facts,
    Listing,
    NoAnswer,
    NotSent,
    Operation,
    Outcome,
    Provider,
    Seen,
    Status,
)
from reservations.domain.learning import begin, cancel, record, wake
from reservations.domain.plan import plan
from reservations.domain.policy import SHORT, STANDARD, Moment, Policy
from reservations.domain.standing import Standing
from reservations.domain.verdict import conclude
from reservations.domain.words import NEXT_PUBLIC_STATUSES, NEXT_STATES
from tests.worlds.builders import NOON, PRICE, some_facts

STEPS = 60

SEEDS = st.integers(min_value=0, max_value=2**32)
POLICIES = st.sampled_from([STANDARD, SHORT])

ANSWERS = {
    Operation.CHARGE: (Status.PENDING, Status.SUCCEEDED, Status.DECLINED, Status.VOIDED),
    Operation.REFUND: (Status.PENDING, Status.SUCCEEDED, Status.DECLINED),
    Operation.BOOK: (Status.PENDING, Status.SUCCEEDED, Status.DECLINED, Status.CANCELLED),
    Operation.CANCEL_BOOKING: (Status.PENDING, Status.SUCCEEDED, Status.DECLINED),
}


class Walk:
    """One reservation among providers that answer anything, late, twice or never."""

    def __init__(self, seed: int, policy: Policy) -> None:
        self.random = random.Random(seed)
        self.policy = policy
        self.now = NOON
        self.facts = some_facts()
        self.in_flight: list[Sent] = []

    def run(self) -> list[Facts]:
        states = [self.facts]
        for _ in range(STEPS):
            self.step()
            states.append(self.facts)
        return states

    def step(self) -> None:
        move = self.random.randrange(10)
        if move == 0:
            self.now += self.random.choice((timedelta(seconds=40), timedelta(hours=3)))
        elif move == 1:
            provider = self.random.choice(list(Provider))
            self.facts = wake(self.facts, provider, self.now)
        elif move == 2 and self.random.random() < 0.1:
            self.facts = cancel(self.facts)
        elif move < 6 and self.in_flight:
            self.answer(self.random.choice(self.in_flight))
        else:
            self.follow_the_plan()
        self.facts = self.concluded().facts

    def concluded(self) -> Standing:
        return conclude(Standing(self.facts), Moment(self.now, self.policy))

    def follow_the_plan(self) -> None:
        concluded = self.concluded()
        match plan(concluded, Moment(self.now, self.policy)):
            case Send() | Inquire() | Void() as action:
                self.facts = begin(concluded.facts, action, Moment(self.now, self.policy))
                attempt = self.facts.row(action.key).attempts
                self.in_flight.append(Sent(action=action, at=self.now, attempt=attempt))
            case Wait(until) if until < NOON + timedelta(days=30):
                self.now = until

    def answer(self, sent: Sent) -> None:
        if self.random.random() < 0.7:
            self.in_flight.remove(sent)
        outcome = self.outcome(sent.action)
        self.facts = record(self.facts, sent, outcome, Moment(self.now, self.policy))

    def outcome(self, action: Action) -> Outcome:
        kind = self.random.randrange(6)
        if kind == 0:
            return NoAnswer(self.random.choice((None, 0, 60, 9999)))
        if kind == 1:
            return NotSent(self.random.choice((None, 0, 60, 9999)))
        if isinstance(action, Inquire):
            listed = self.random.randrange(3)
            return Listing.of(self.seen(action.operation, action) for _ in range(listed))
        return self.seen(action.operation, action)

    def seen(self, operation: Operation, action: Action) -> Seen:
        if operation is Operation.CANCEL_BOOKING:
            if not isinstance(action, Inquire):
                assert action.target is not None
                status = self.random.choice(ANSWERS[operation])
                return Seen(provider_id=action.target, status=status)
            operation = Operation.BOOK
        return Seen(
            provider_id=f"{operation}-{self.random.randrange(3)}",
            status=self.random.choice(ANSWERS[operation]),
            money=PRICE if operation is Operation.CHARGE else None,
        )


def changes_of(seed: int, policy: Policy) -> list[tuple[Facts, Facts]]:
    states = Walk(seed, policy).run()
    return list(pairwise(states))


def grew(before: Call, after: Call) -> bool:
    sent_again = before.status is Status.NOT_FOUND and after.attempts == before.attempts + 1
    return RANK[after.status] > RANK[before.status] or sent_again


@given(SEEDS, POLICIES)
def test_a_row_never_disappears_and_only_grows(seed: int, policy: Policy) -> None:
    for before, after in changes_of(seed, policy):
        for call in before.calls:
            row = after.row(call.key)
            assert row.status is call.status or grew(call, row)
            assert row.attempts >= call.attempts
            assert row.started_at == call.started_at


@given(SEEDS, POLICIES)
def test_a_provider_id_never_changes_and_never_repeats(seed: int, policy: Policy) -> None:
    for before, after in changes_of(seed, policy):
        for call in before.calls:
            assert call.provider_id in (None, after.row(call.key).provider_id)
        named = [(call.operation, call.provider_id) for call in after.calls if call.provider_id]
        assert len(named) == len(set(named))


@given(SEEDS, POLICIES)
def test_the_reason_and_the_stamps_are_set_once(seed: int, policy: Policy) -> None:
    for before, after in changes_of(seed, policy):
        assert before.reason in (None, after.reason)
        assert before.confirmed_at in (None, after.confirmed_at)
        assert before.ended_at in (None, after.ended_at)


@given(SEEDS, POLICIES)
def test_a_closed_row_has_its_closing_time_and_an_open_one_its_next_inquiry(
    seed: int, policy: Policy
) -> None:
    for _, facts in changes_of(seed, policy):
        for call in facts.calls:
            assert call.open == (call.closed_at is None)
            assert call.check_at is not None or not call.open


@given(SEEDS, POLICIES)
def test_the_public_status_changes_only_as_declared(seed: int, policy: Policy) -> None:
    for before, after in changes_of(seed, policy):
        was, is_now = Standing(before).public_status, Standing(after).public_status
        assert was is is_now or is_now in NEXT_PUBLIC_STATUSES[was]


@given(SEEDS, POLICIES)
def test_the_state_changes_only_as_declared(seed: int, policy: Policy) -> None:
    for before, after in changes_of(seed, policy):
        was, is_now = Standing(before).state, Standing(after).state
        assert was is is_now or is_now in NEXT_STATES[was]


@given(SEEDS, POLICIES)
def test_no_thing_has_two_requests_of_one_kind_at_a_provider(seed: int, policy: Policy) -> None:
    facts = Walk(seed, policy).run()[-1]
    ours = [call for call in facts.calls if not call.key.startswith("seen:")]

    assert len([call for call in ours if call.operation is Operation.CHARGE]) <= 1
    assert len([call for call in ours if call.operation is Operation.BOOK]) <= 1
    refunded = [call.target for call in ours if call.operation is Operation.REFUND]
    assert len(refunded) == len(set(refunded))


@given(SEEDS)
def test_no_wait_ends_in_the_past(seed: int) -> None:
    walk = Walk(seed, STANDARD)
    for _ in range(STEPS):
        walk.step()
        todo = plan(walk.concluded(), Moment(walk.now, STANDARD))
        assert not isinstance(todo, Wait) or todo.until > walk.now


def test_the_walks_reach_far_enough_to_mean_something() -> None:
    reached = {Standing(facts).state for seed in range(300) for facts in Walk(seed, STANDARD).run()}

    assert reached == set(NEXT_STATES)
