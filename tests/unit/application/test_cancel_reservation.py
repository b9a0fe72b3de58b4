"""Cancelling before, during and after each step, and the refunds that follow."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reservations.application import operate
from reservations.application.cancel_reservation import cancel_reservation
from reservations.domain.actions import Verb
from reservations.domain.errors import NotCancellableError, ReservationNotFoundError
from reservations.domain.facts import Call, Listing, NoAnswer, NotSent, Reason, Seen, Status
from reservations.domain.messages import Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus, Review, State
from tests.worlds.application import World
from tests.worlds.builders import (
    BOOK_KEY,
    CHARGE_KEY,
    CODE,
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    RESERVATION_ID,
    SECOND,
    a_booking,
    a_cancellation,
    a_charge,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.fakes import ScriptedPayments, ScriptedSupplier

PAID = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
VOIDED = Seen(provider_id="pay_1", status=Status.VOIDED, money=PRICE)
BOOKED = Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="HOTEL-77")
ENDED = Seen(provider_id="bkg_1", status=Status.SUCCEEDED)  # of a cancellation
REFUNDED = Seen(provider_id="ref_1", status=Status.SUCCEEDED)


def cancel(world: World) -> Reservation:
    cases = world.cases()
    with cases.uow as uow:
        reservation = cancel_reservation(RESERVATION_ID, cases=cases)
        uow.commit()
    return reservation


def cancel_as_operator(world: World) -> Reservation:
    return operate.cancel(CODE, cases=world.cases(actor="operator:7"))


def at(*calls: Call, **changes: Any) -> World:
    return World(a_reservation(facts=some_facts(*calls, **changes)))


def confirmed(**changes: Any) -> World:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    settled = a_reservation(
        facts=facts, documents=(a_voucher(),), sends=(a_send(),), next_check_at=None
    )
    return World(replace(settled, **changes))


def verbs(provider: ScriptedPayments | ScriptedSupplier) -> list[Verb]:
    return [request.action.verb for request in provider.requests]


# --- final at once --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "calls",
    [[], [a_charge(Status.NOT_FOUND)], [a_charge(Status.NOT_FOUND, attempts=7)]],
    ids=["before anything", "a charge that never arrived", "and that many times"],
)
def test_an_uncharged_reservation_is_cancelled_at_once(calls: list[Call]) -> None:
    world = at(*calls)

    cancelled = cancel(world)

    assert cancelled == world.stored
    assert (world.state(), world.public_status()) == (State.CANCELLED, PublicStatus.CANCELADA)
    assert world.stored.facts.ended_at == NOON
    world.pay(ScriptedPayments())  # a hint that comes late finds nothing to charge


def test_nothing_is_charged_after_the_cancellation() -> None:
    world = at(a_charge(Status.NOT_FOUND, check_at=NOON))
    cancel(world)

    payments = ScriptedPayments(Listing(()))
    world.pay(payments)

    assert verbs(payments) == [Verb.INQUIRE]  # it may have arrived late; it is never sent again


# --- at each step ---------------------------------------------------------------------------------

STEPS = {
    "during the charge": ([a_charge(Status.STARTED)], State.CANCELLATION_IN_PROGRESS),
    "a charge without an answer": ([a_charge(Status.UNKNOWN)], State.CANCELLATION_IN_PROGRESS),
    "a pending charge": ([a_charge(Status.PENDING)], State.CANCELLATION_IN_PROGRESS),
    "after the charge": ([a_charge()], State.REFUND_IN_PROGRESS),
    "during the booking": (
        [a_charge(), a_booking(Status.STARTED)],
        State.CANCELLATION_IN_PROGRESS,
    ),
    "a booking without an answer": (
        [a_charge(), a_booking(Status.UNKNOWN)],
        State.CANCELLATION_IN_PROGRESS,
    ),
    "a booking that never arrived": (
        [a_charge(), a_booking(Status.NOT_FOUND)],
        State.REFUND_IN_PROGRESS,
    ),
    "a pending booking": (
        [a_charge(), a_booking(Status.PENDING)],
        State.CANCELLATION_IN_PROGRESS,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_cancellation_is_accepted_and_in_progress_at_any_step(name: str) -> None:
    calls, state = STEPS[name]
    world = at(*calls)

    cancel(world)

    assert (world.state(), world.public_status()) == (state, PublicStatus.EN_CANCELACION)
    assert world.stored.facts.reason is Reason.CUSTOMER_CANCELLED
    assert world.stored.facts.calls == tuple(calls)  # only the reason is new
    assert world.stored.next_check_at is not None


@pytest.mark.parametrize(
    ("calls", "queue"),
    [
        ([a_charge(Status.PENDING)], Queue.PAYMENT),
        ([a_charge()], Queue.PAYMENT),
        ([a_charge(), a_booking(Status.PENDING)], Queue.SUPPLIER),
    ],
    ids=["void", "refund", "cancel the booking"],
)
def test_the_hint_for_the_next_step_is_stored_in_the_same_transaction(
    calls: list[Call], queue: Queue
) -> None:
    world = at(*calls)
    cancel(world)
    assert world.take_hints() == [queue]
    assert world.stored.next_check_at == NOON + STANDARD.hint_lease


def test_after_the_confirmation_the_booking_is_cancelled_before_the_refund() -> None:
    world = confirmed()
    cancel(world)
    payments, supplier = ScriptedPayments(REFUNDED), ScriptedSupplier(ENDED)

    world.pay(payments)
    assert payments.requests == []
    world.confirm(supplier)
    world.pay(payments)

    assert verbs(supplier) == [Verb.CANCEL_BOOKING]
    assert verbs(payments) == [Verb.REFUND]
    assert payments.requests[0].money == PRICE
    assert (world.state(), world.public_status()) == (State.REFUNDED, PublicStatus.CANCELADA)


def test_a_pending_payment_is_voided_and_nothing_is_refunded() -> None:
    world = at(a_charge(Status.PENDING))
    cancel(world)
    payments = ScriptedPayments(VOIDED)

    world.pay(payments)

    assert verbs(payments) == [Verb.VOID]
    assert (world.state(), world.public_status()) == (State.CANCELLED, PublicStatus.CANCELADA)


def test_a_void_that_comes_too_late_becomes_a_refund() -> None:
    world = at(a_charge(Status.PENDING))
    cancel(world)
    payments = ScriptedPayments(PAID, REFUNDED)

    world.pay(payments)
    world.pay(payments)

    assert verbs(payments) == [Verb.VOID, Verb.REFUND]
    assert world.public_status() is PublicStatus.CANCELADA


def test_a_payment_answered_after_the_cancellation_is_refunded() -> None:
    """The charge has left, its customer cancels, and then the answer is recorded."""
    world = World()

    class WhileItRuns(ScriptedPayments):
        def perform(self, request: object) -> object:  # type: ignore[override]
            reply = super().perform(request)  # type: ignore[arg-type]
            cancel(world)
            return reply

    world.pay(WhileItRuns(PAID))
    assert world.public_status() is PublicStatus.EN_CANCELACION
    world.pay(ScriptedPayments(REFUNDED))

    assert (world.state(), world.public_status()) == (State.REFUNDED, PublicStatus.CANCELADA)


def test_a_booking_answered_after_the_cancellation_is_cancelled() -> None:
    world = at(a_charge())

    class WhileItRuns(ScriptedSupplier):
        def perform(self, request: object) -> object:  # type: ignore[override]
            reply = super().perform(request)  # type: ignore[arg-type]
            cancel(world)
            return reply

    world.confirm(WhileItRuns(BOOKED))
    assert world.public_status() is PublicStatus.EN_CANCELACION
    assert world.stored.facts.confirmed_at is None  # no confirmation was ever sent
    world.confirm(ScriptedSupplier(ENDED))
    world.pay(ScriptedPayments(REFUNDED))

    assert world.public_status() is PublicStatus.CANCELADA


def test_an_unknown_payment_that_proves_taken_is_refunded() -> None:
    world = at(a_charge(Status.UNKNOWN, check_at=NOON))
    cancel(world)
    payments = ScriptedPayments(Listing((PAID,)), REFUNDED)

    world.pay(payments)
    world.pay(payments)

    assert verbs(payments) == [Verb.INQUIRE, Verb.REFUND]
    assert world.public_status() is PublicStatus.CANCELADA


def test_an_unknown_payment_that_never_arrived_ends_once_that_is_sure() -> None:
    world = at(a_charge(Status.UNKNOWN, check_at=NOON))
    cancel(world)
    for _ in range(3):
        world.wait(STANDARD.call_limit + STANDARD.visibility)
        world.pay(ScriptedPayments(Listing(())))

    assert (world.state(), world.public_status()) == (State.CANCELLED, PublicStatus.CANCELADA)
    assert world.call(CHARGE_KEY).status is Status.NOT_FOUND


def test_no_money_is_refunded_while_a_booking_may_still_cost_us() -> None:
    world = at(a_charge(), a_booking(Status.UNKNOWN, check_at=NOON))
    cancel(world)
    payments = ScriptedPayments()
    supplier = ScriptedSupplier(Listing((BOOKED,)), ENDED)

    world.pay(payments)
    world.confirm(supplier)
    world.pay(payments)
    world.confirm(supplier)
    world.pay(ScriptedPayments(REFUNDED))

    assert verbs(supplier) == [Verb.INQUIRE, Verb.CANCEL_BOOKING]
    assert world.public_status() is PublicStatus.CANCELADA


def test_a_supplier_that_refuses_to_cancel_keeps_the_money_and_needs_a_person() -> None:
    world = confirmed()
    cancel(world)

    world.confirm(ScriptedSupplier(Seen(provider_id="bkg_1", status=Status.DECLINED)))
    world.pay(ScriptedPayments())

    assert world.public_status() is PublicStatus.EN_CANCELACION
    assert world.stored.standing.reviews(world.now) == {Review.CANCEL_REFUSED}


def test_a_refused_refund_is_in_review_and_its_cancellation_stays_in_progress() -> None:
    world = at(a_charge())
    cancel(world)

    world.pay(ScriptedPayments(Seen(provider_id="ref_1", status=Status.DECLINED)))

    assert world.public_status() is PublicStatus.EN_CANCELACION
    assert world.stored.standing.reviews(world.now) == {Review.REFUND_REFUSED}


@pytest.mark.parametrize("silence", [NoAnswer(), NotSent()], ids=["no answer", "not sent"])
def test_a_cancellation_without_an_answer_stays_due(silence: NoAnswer | NotSent) -> None:
    world = confirmed()
    cancel(world)

    world.confirm(ScriptedSupplier(silence))

    assert world.public_status() is PublicStatus.EN_CANCELACION
    assert world.stored.next_check_at is not None
    assert world.stored.next_check_at <= world.now + 5 * MINUTE


# --- again, and too late --------------------------------------------------------------------------


def test_a_second_cancellation_in_progress_changes_nothing() -> None:
    world = confirmed()
    cancel(world)
    before = world.stored
    world.take_hints()
    world.wait(SECOND)

    assert cancel(world) == before

    assert world.stored == before
    assert world.take_hints() == []


@pytest.mark.parametrize("reason", [Reason.CUSTOMER_CANCELLED, Reason.SUPPLIER_CANCELLED])
def test_cancelling_a_cancelled_reservation_changes_nothing(reason: Reason) -> None:
    calls = (a_charge(), a_booking(Status.CANCELLED), a_cancellation(), a_refund())
    world = at(*calls, reason=reason, confirmed_at=NOON, ended_at=NOON)
    before = world.stored

    assert cancel(world) == before
    assert world.public_status() is PublicStatus.CANCELADA


@pytest.mark.parametrize(
    "reservation",
    [
        a_reservation(a_charge(Status.DECLINED), reason=Reason.PAYMENT_DECLINED),
        a_reservation(a_charge(), a_booking(Status.DECLINED), reason=Reason.SUPPLIER_REJECTED),
        a_reservation(
            a_charge(), a_booking(Status.DECLINED), a_refund(), reason=Reason.SUPPLIER_REJECTED
        ),
        a_reservation(reason=Reason.EXPIRED),
        a_reservation(a_charge(Status.PENDING), reason=Reason.EXPIRED),
    ],
    ids=["declined", "rejected, refund to come", "rejected", "expired", "expired, still pending"],
)
def test_a_rejected_or_expired_reservation_cannot_be_cancelled(reservation: Reservation) -> None:
    world = World(reservation)
    before = world.stored

    with pytest.raises(NotCancellableError):
        cancel(world)

    assert world.stored == before
    assert world.take_hints() == []


START = datetime(2027, 5, 1, tzinfo=UTC)
A_MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize("late_by", [timedelta(0), A_MOMENT, 24 * HOUR])
def test_a_cancellation_is_too_late_from_the_first_day_by_utc(late_by: timedelta) -> None:
    world = confirmed(offer=an_offer(starts_on=START.date()))
    world.database.now = START + late_by

    with pytest.raises(NotCancellableError):
        cancel(world)

    assert world.public_status() is PublicStatus.CONFIRMADA


def test_a_cancellation_is_in_time_until_the_last_moment_before_the_first_day() -> None:
    world = confirmed(offer=an_offer(starts_on=START.date()))
    world.database.now = START - A_MOMENT

    cancel(world)

    assert world.public_status() is PublicStatus.EN_CANCELACION


def test_a_cancellation_in_progress_goes_on_after_the_first_day() -> None:
    world = confirmed(offer=an_offer(starts_on=START.date()))
    world.database.now = START - A_MOMENT
    cancel(world)
    world.database.now = START

    cancel(world)

    assert world.public_status() is PublicStatus.EN_CANCELACION


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "cancels"), [("customer", cancel), ("operator:7", cancel_as_operator)]
)
def test_the_history_names_the_actor(actor: str, cancels: Callable[[World], Reservation]) -> None:
    world = at(a_charge())
    cancels(world)
    [line] = [
        line
        for line in world.database.history[RESERVATION_ID]
        if line.event == "reservation.closed.customer_cancelled"
    ]
    assert (line.actor, line.at) == (actor, NOON)


def test_the_payment_token_is_forgotten() -> None:
    world = World()
    cancel(world)
    assert world.database.customers[RESERVATION_ID].payment_token is None


def test_the_answer_to_a_reader_is_a_new_version() -> None:
    world = confirmed()
    assert cancel(world).version == 2


def test_without_a_commit_nothing_is_cancelled() -> None:
    world = confirmed()
    cases = world.cases()
    with cases.uow:
        cancel_reservation(RESERVATION_ID, cases=cases)

    assert world.public_status() is PublicStatus.CONFIRMADA
    assert world.take_hints() == []


def test_an_unknown_reservation_raises_not_found() -> None:
    world = World()
    del world.database.reservations[RESERVATION_ID]
    with pytest.raises(ReservationNotFoundError):
        cancel(world)


def test_a_booking_is_never_made_after_the_cancellation() -> None:
    world = at(a_charge(), a_booking(Status.NOT_FOUND, check_at=NOON))
    cancel(world)
    supplier = ScriptedSupplier(Listing(()))

    world.confirm(supplier)

    assert verbs(supplier) in ([], [Verb.INQUIRE])
    assert world.call(BOOK_KEY).attempts == 1
