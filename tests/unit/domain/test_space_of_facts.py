"""Every small combination of facts has a state, a status, a plan and a view."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from local.paths import ROOT
from reservations.domain.actions import Inquire, Send, Settled, Void, Wait, provider_of
from reservations.domain.facts import Call, Facts, Operation, Provider, Reason, Status
from reservations.domain.learning import next_look
from reservations.domain.plan import plan, settle
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.standing import Standing
from reservations.domain.verdict import conclude, verdict
from reservations.domain.views import StepStatus, at_rest, view
from reservations.domain.words import FINAL, PublicStatus, State
from tests.worlds.builders import (
    NOON,
    PRICE,
    RESERVATION_ID,
    SECOND,
    a_booking,
    a_cancellation,
    a_charge,
    a_refund,
    a_reservation,
)
from tests.worlds.fakes import glance_of

SIDE_STATUSES = [
    Status.STARTED,
    Status.UNKNOWN,
    Status.PENDING,
    Status.SUCCEEDED,
    Status.DECLINED,
    Status.NOT_FOUND,
]

# Times before and after the hold and its grace, the booking window and the last late inquiry.
MOMENTS = [NOON + seconds * SECOND for seconds in (1, 700, 1021, 7500, 300_000)]


def rows(
    a_row: Callable[..., Call], statuses: Iterable[Status], **changes: Any
) -> list[Call | None]:
    """No row, or a row in each status with its next inquiry set, as the saga leaves it."""
    built = [a_row(status, **changes) for status in statuses]
    return [
        None,
        *(replace(row, check_at=next_look(row, NOON, Moment(NOON, STANDARD))) for row in built),
    ]


CHARGES = rows(a_charge, [status for status in Status if status is not Status.CANCELLED])
SECOND_CHARGES = rows(
    a_charge,
    (Status.PENDING, Status.SUCCEEDED, Status.DECLINED),
    provider_id="pay_2",
    key="seen:charge:pay_2",
)
BOOKINGS = rows(a_booking, [status for status in Status if status is not Status.VOIDED])
SECOND_BOOKINGS = rows(
    a_booking,
    (Status.PENDING, Status.SUCCEEDED, Status.CANCELLED),
    provider_id="bkg_2",
    key="seen:book:bkg_2",
)
REFUNDS = rows(a_refund, SIDE_STATUSES)
CANCELLATIONS = rows(a_cancellation, SIDE_STATUSES)


def ledgers() -> Iterator[tuple[Call, ...]]:
    for charge, second_charge, booking, second_booking, refund, cancellation in product(
        CHARGES, SECOND_CHARGES, BOOKINGS, SECOND_BOOKINGS, REFUNDS, CANCELLATIONS
    ):
        paid = charge and charge.status is Status.SUCCEEDED
        booked = booking and booking.status in (Status.SUCCEEDED, Status.CANCELLED)
        if (refund and not paid) or (cancellation and not booked):
            continue
        row = (charge, second_charge, booking, second_booking, refund, cancellation)
        yield tuple(call for call in row if call)


LEDGERS = list(ledgers())


def points(reason: Reason | None) -> Iterator[Facts]:
    for calls, confirmed_at in product(LEDGERS, (None, NOON)):
        yield Facts(
            reservation_id=RESERVATION_ID,
            price=PRICE,
            created_at=NOON,
            calls=calls,
            reason=reason,
            confirmed_at=confirmed_at,
        )


def has_succeeded(facts: Facts, operation: Operation) -> bool:
    return any(call.status is Status.SUCCEEDED for call in facts.of(operation))


@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_point_acts_or_waits_for_the_future_or_rests(reason: Reason | None) -> None:
    for facts, now in product(points(reason), MOMENTS):
        standing, at = Standing(facts), Moment(now, STANDARD)
        todo = verdict(standing, at) or plan(standing, at)
        match todo:
            case Wait(until):
                assert until > now, (facts, now)
            case Settled():
                state = Standing(facts).state
                assert state in FINAL or state is State.SUPPLIER_CONFIRMED, (facts, now)
                assert not any(call.open for call in facts.calls), (facts, now)
                assert not Standing(facts).reviews(now), (facts, now)
            case Reason():
                assert facts.reason is None, (facts, now)
            case Send() | Inquire() | Void():
                assert facts.find(todo.key) or todo.key.endswith(
                    (str(facts.reservation_id), "pay_1", "pay_2", "bkg_1", "bkg_2")
                )


@pytest.mark.parametrize("reason", [None, *Reason])
def test_the_row_alone_decides_as_the_whole_reservation_does(reason: Reason | None) -> None:
    told = set()
    for facts, now in product(points(reason), (MOMENTS[0], MOMENTS[3])):
        settlement = settle(a_reservation(facts=facts), Moment(now, STANDARD))
        stored = replace(settlement.reservation, next_check_at=settlement.next_check_at)
        answer = glance_of(stored, now).at_rest(now)
        assert answer in (None, at_rest(stored, now)), (facts, now)
        told.add(answer)

    assert len(told) > 1


MOVERS = {Provider.PAYMENTS: "process_payment", Provider.SUPPLIER: "confirm_supplier"}


def test_the_document_names_the_functions_that_move_each_intermediate_state() -> None:
    moved: dict[str, set[str]] = {}
    for reason in (None, *Reason):
        for facts, now in product(points(reason), (MOMENTS[0], MOMENTS[3])):
            standing, at = Standing(facts), Moment(now, STANDARD)
            todo = verdict(standing, at) or plan(standing, at)
            if isinstance(todo, (Send, Inquire, Void)):
                moved.setdefault(standing.state, set()).add(MOVERS[provider_of(todo)])

    text = (ROOT / "docs/05-tolerancia-fallos.md").read_text(encoding="utf-8")
    section = text.split("## 6. Estados intermedios")[1].split("\n## ")[0]
    told = {
        state: set(re.findall(r"`(\w+)`", movers))
        for state, movers in re.findall(r"^\| ([A-Z_]+) \|[^|]+\|([^|]+)\|", section, re.MULTILINE)
    }
    at_rest = {*FINAL, State.SUPPLIER_CONFIRMED}
    assert told == {state: movers for state, movers in moved.items() if state not in at_rest}


@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_confirmed_point_is_paid_and_booked(reason: Reason | None) -> None:
    for facts in points(reason):
        if Standing(facts).public_status is PublicStatus.CONFIRMADA:
            assert has_succeeded(facts, Operation.CHARGE), facts
            assert has_succeeded(facts, Operation.BOOK), facts


def test_closing_is_final_at_every_point() -> None:
    late = NOON + timedelta(days=30)
    for facts in points(None):
        concluded = conclude(Standing(facts), Moment(late, STANDARD))
        assert conclude(concluded, Moment(late, STANDARD)) is concluded, facts


@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_point_is_left_with_a_timer_in_the_future_or_is_settled(
    reason: Reason | None,
) -> None:
    now = MOMENTS[1]
    for facts in points(reason):
        settlement = settle(a_reservation(facts=facts), Moment(now, STANDARD))
        wakes_at = settlement.next_check_at
        if wakes_at is None:
            assert settlement.hints == ()
            assert isinstance(
                plan(settlement.reservation.standing, Moment(now, STANDARD)), Settled
            ), facts
        else:
            assert wakes_at > now, facts


@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_point_can_be_shown_without_a_contradiction(reason: Reason | None) -> None:
    for facts in points(reason):
        shown = view(a_reservation(facts=facts), Moment(NOON, STANDARD))
        confirmed = shown.status is PublicStatus.CONFIRMADA
        assert confirmed == (
            shown.progress.payment is shown.progress.supplier is StepStatus.DONE
        ), facts
        assert not (confirmed and (shown.refund or shown.expires_at)), facts


def test_the_space_is_as_large_as_the_documents_say() -> None:
    assert len(LEDGERS) * 2 * len([None, *Reason]) * len(MOMENTS) == 268_800
