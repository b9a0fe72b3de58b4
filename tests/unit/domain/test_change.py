"""The version, the history and the payment token after a change."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reservations.domain.change import Change
from reservations.domain.facts import Call, Facts, Reason, Status
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from reservations.domain.words import Review, State
from tests.worlds.builders import (
    MINUTE,
    NOON,
    a_booking,
    a_change,
    a_charge,
    a_creation,
    a_refund,
    a_reservation,
    some_facts,
)

LATER = NOON + MINUTE
WAITING = a_reservation(a_charge(Status.STARTED))


def changed(before: Reservation, *, now: datetime = LATER, **changes: object) -> Change:
    return a_change(before, replace(before, **changes), now=now, actor="operator")  # type: ignore[arg-type]


def test_a_change_that_a_reader_sees_raises_the_version() -> None:
    change = changed(WAITING, facts=some_facts(a_charge()))

    assert (change.after.version, change.after.updated_at) == (2, LATER)


def test_a_change_that_no_reader_sees_keeps_the_version() -> None:
    change = changed(WAITING, facts=some_facts(a_charge(Status.UNKNOWN)), next_check_at=LATER)

    assert (change.after.version, change.after.updated_at) == (1, NOON)
    assert change.after.next_check_at == LATER


@pytest.mark.parametrize(("late_by", "version"), [(timedelta(0), 2), (MINUTE, 2)])
def test_a_deadline_that_passes_raises_the_version_with_nothing_else_changed(
    late_by: timedelta, version: int
) -> None:
    first = changed(WAITING, now=NOON + STANDARD.deadline)
    second = changed(first.after, now=NOON + STANDARD.deadline + late_by)

    assert (first.after.version, second.after.version) == (2, version)
    assert second.reviews == {Review.DEADLINE}


def test_the_history_names_each_change_and_its_actor() -> None:
    change = changed(WAITING, facts=some_facts(a_charge()))

    lines = [(line.event, line.at, line.actor) for line in change.history]
    assert lines == [("payment.succeeded", LATER, "operator")]


def test_a_new_reservation_begins_its_history_under_its_own_version() -> None:
    change = a_creation(a_reservation())

    assert [line.event for line in change.history] == ["reservation.accepted"]
    assert (change.before, change.after) == (None, a_reservation())
    assert (change.state, change.reviews) == (State.CREATED, frozenset())


@pytest.mark.parametrize(
    ("facts", "spent"),
    [
        (some_facts(a_charge(Status.STARTED)), False),
        (some_facts(a_charge(Status.UNKNOWN)), False),
        (some_facts(a_charge(Status.PENDING)), False),
        (some_facts(a_charge(Status.NOT_FOUND)), False),
        (some_facts(a_charge(Status.SUCCEEDED)), True),
        (some_facts(a_charge(Status.DECLINED)), True),
        (some_facts(a_charge(Status.VOIDED)), True),
        (some_facts(reason=Reason.CUSTOMER_CANCELLED, ended_at=NOON), True),
    ],
)
def test_the_payment_token_is_kept_while_a_charge_may_need_it(facts: Facts, spent: bool) -> None:
    assert changed(a_reservation(), facts=facts).token_spent is spent


@pytest.mark.parametrize(
    ("calls", "frees"),
    [
        ((), True),
        ((a_charge(Status.DECLINED),), True),
        ((a_charge(Status.UNKNOWN),), False),
        ((a_charge(),), False),
        ((a_charge(), a_refund(Status.DECLINED)), False),
        ((a_charge(), a_refund()), True),
    ],
)
def test_a_closed_reservation_frees_its_claim_when_nothing_of_its_charge_is_held(
    calls: tuple[Call, ...], frees: bool
) -> None:
    closed = some_facts(*calls, reason=Reason.SUPPLIER_REJECTED)

    assert changed(a_reservation(), facts=closed).frees_claim is frees
    assert not changed(a_reservation(facts=closed), facts=closed).frees_claim
    assert not changed(a_reservation(), facts=some_facts(*calls)).frees_claim


def test_a_token_that_was_spent_is_not_spent_again() -> None:
    paid = a_reservation(facts=some_facts(a_charge()))

    assert not changed(paid, facts=some_facts(a_charge(), a_booking())).token_spent
