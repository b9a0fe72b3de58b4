"""Races for one reservation on real servers: the second one waits for its row, and is not lost."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from threading import Event
from typing import TypeVar

import pytest
from sqlalchemy import text

from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.application.confirm_supplier import confirm_supplier
from reservations.application.create_reservation import CreateReservation, create_reservation
from reservations.application.ports import PaymentRequest, Reply, SupplierRequest, WebhookEvent
from reservations.application.process_payment import process_payment
from reservations.application.provider_step import StepTaken
from reservations.application.receive_webhook import Received, receive_webhook
from reservations.domain.actions import Action, Verb
from reservations.domain.facts import Listing, Outcome, Provider, Seen, Status
from reservations.domain.plan import plan
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.words import PublicStatus, State
from tests.database.waiting import DEADLINE_SECONDS, wait_until_blocked
from tests.worlds.builders import PRICE, a_customer, an_offer
from tests.worlds.databases import Connect
from tests.worlds.providers import eventually
from tests.worlds.sql import run

T = TypeVar("T")

ANSWERS = {
    Verb.CHARGE: Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE),
    Verb.BOOK: Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="HOTEL-77"),
    Verb.REFUND: Seen(provider_id="ref_1", status=Status.SUCCEEDED, money=PRICE),
    Verb.CANCEL_BOOKING: Seen(provider_id="bkg_1", status=Status.SUCCEEDED),
}
ASKED_OF_SUPPLIER = {Verb.BOOK, Verb.CANCEL_BOOKING}

Outlook = tuple[State, PublicStatus, Verb | None]  # the verb is what is due next
CANCELLED: Outlook = (State.CANCELLED, PublicStatus.CANCELADA, None)
REPAYING: Outlook = (State.REFUND_IN_PROGRESS, PublicStatus.EN_CANCELACION, Verb.REFUND)
ENDING: Outlook = (
    State.CANCELLATION_IN_PROGRESS,
    PublicStatus.EN_CANCELACION,
    Verb.CANCEL_BOOKING,
)

CLOSED = "reservation.closed.customer_cancelled"
PAID = ["payment.started", "payment.succeeded"]
CONFIRMED = [*PAID, "booking.started", "booking.confirmed", "reservation.confirmed"]


class HeldCall:
    """Either provider: it takes a request, and holds its answer until `may_answer` is set."""

    def __init__(self, outcome: Outcome) -> None:
        self.verbs: list[Verb] = []
        self.asked, self.may_answer = Event(), Event()
        self._reply = Reply(outcome=outcome, http_status=200, elapsed_ms=12)

    @property
    def in_flight(self) -> bool:
        return self.asked.is_set() and not self.may_answer.is_set()

    def perform(self, request: PaymentRequest | SupplierRequest) -> Reply:
        self.verbs.append(request.action.verb)
        self.asked.set()
        assert self.may_answer.wait(DEADLINE_SECONDS)
        return self._reply


class Trip:
    """A reservation and its possible events, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.connections: list[Database] = []
        offer = an_offer(starts_on=date(2099, 5, 1), ends_on=date(2099, 5, 4))
        command = CreateReservation(
            client_id="web", offer=offer, price=PRICE, customer=a_customer()
        )
        with self._unit() as uow:
            accepted = create_reservation(
                command, cases=Cases(uow=uow, policy=STANDARD), token_kid="k1"
            )
            uow.commit()
        self._id = accepted.reservation_id

    def _unit(self) -> MySqlUnitOfWork:
        connection = Database(connector(self.url, answer_seconds=DEADLINE_SECONDS))
        self.connections.append(connection)
        # Long enough for a busy machine to see that it waits.
        run(connection, text(f"SET SESSION innodb_lock_wait_timeout = {DEADLINE_SECONDS}"))
        connection.rollback()
        return MySqlUnitOfWork(connection)

    def step(self, verb: Verb, call: HeldCall) -> StepTaken | None:
        """Deliver the hint of the queue that carries out `verb`."""
        not_after = datetime.max.replace(tzinfo=UTC)
        cases = Cases(uow=self._unit(), policy=STANDARD)
        if verb in ASKED_OF_SUPPLIER:
            return confirm_supplier(self._id, cases=cases, supplier=call, not_after=not_after)
        return process_payment(self._id, cases=cases, payments=call, not_after=not_after)

    def cancel(self) -> None:
        with self._unit() as uow:
            cancel_reservation(self._id, cases=Cases(uow=uow, policy=STANDARD))
            uow.commit()

    def announce(self, verb: Verb) -> Received:
        """Deliver a webhook of the provider that carries out `verb`."""
        event = WebhookEvent(
            provider=Provider.SUPPLIER if verb in ASKED_OF_SUPPLIER else Provider.PAYMENTS,
            webhook_id="msg_1",
            type="changed",
            reference=str(self._id),
        )
        return receive_webhook(event, cases=Cases(uow=self._unit(), policy=STANDARD))

    def has_come_to(self, verb: Verb) -> "Trip":
        """Take all steps before `verb`."""
        for earlier in BEFORE[verb]:
            call = HeldCall(ANSWERS[earlier])
            call.may_answer.set()
            self.step(earlier, call)
        if verb in (Verb.REFUND, Verb.CANCEL_BOOKING):
            self.cancel()
        return self

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the row: all others wait for it, in the order they came."""
        with self._unit() as uow:
            uow.open(self._id)
            yield

    def assert_stands(self, outlook: Outlook, history: list[str]) -> None:
        """Check also that each call began once, a check is due, and no transaction is open."""
        assert not any(connection.in_transaction for connection in self.connections)
        with self._unit() as uow:
            reservation = uow.open(self._id).reservation
            events = [entry.event for entry in uow.reservations.history(self._id)]
            planned = plan(reservation.standing, Moment(uow.now(), STANDARD))
        standing, due = reservation.standing, planned.verb if isinstance(planned, Action) else None
        assert events == ["reservation.accepted", *history]
        assert (standing.state, standing.public_status, due) == outlook
        begun = [event for event in history if event.endswith(".started")]
        assert [call.attempts for call in reservation.facts.calls] == [1] * len(begun)
        assert reservation.next_check_at is not None


BEFORE: Mapping[Verb, list[Verb]] = {
    Verb.CHARGE: [],
    Verb.BOOK: [Verb.CHARGE],
    Verb.REFUND: [Verb.CHARGE],
    Verb.CANCEL_BOOKING: [Verb.CHARGE, Verb.BOOK],
}


@pytest.fixture
def trip(url: str, connect: Connect) -> Iterator[Trip]:
    trip = Trip(url)
    yield trip
    for connection in trip.connections:
        connection.close()


def play(
    order: str,
    trip: Trip,
    *,
    moves: Mapping[str, Callable[[], T]],
    answers: Mapping[str, HeldCall],
) -> list[T]:
    """Start the moves in `order`, each in a thread of its own, and return their results.

    Before the next word, all moves are done, in their call, or waiting for the row that `hold` locked.
    """
    running: list[Future[T]] = []

    def moving() -> int:
        in_flight = sum(call.in_flight for call in answers.values())
        return sum(not move.done() for move in running) - in_flight

    held = False
    with ThreadPoolExecutor(len(moves)) as pool, ExitStack() as holder:
        for word in order.split():
            if word == "hold":
                holder.enter_context(trip.held())
                held = True
            elif word == "release":
                holder.close()
                held = False
            elif word in answers:
                answers[word].may_answer.set()
            else:
                running.append(pool.submit(moves[word]))
            if held and moving():
                wait_until_blocked(trip.url, moving())
            else:
                eventually(lambda: moving() == 0)
    return [move.result() for move in running]


MOMENTS = {
    "before the call": ("before", "rival call answer"),
    "at once with the call, and first": ("before", "hold rival call release answer"),
    "at once with the call, and second": ("during", "hold call rival release answer"),
    "during the call": ("during", "call rival answer"),
    "at once with the answer, and first": ("during", "call hold rival answer release"),
    "at once with the answer, and second": ("after", "call hold answer rival release"),
    "after the answer": ("after", "call answer rival"),
}
IF_CANCELLED = {
    (Verb.CHARGE, "before"): (CANCELLED, [CLOSED, "reservation.ended"]),
    (Verb.CHARGE, "during"): (REPAYING, ["payment.started", CLOSED, "payment.succeeded"]),
    (Verb.CHARGE, "after"): (REPAYING, [*PAID, CLOSED]),
    (Verb.BOOK, "before"): (REPAYING, [*PAID, CLOSED]),
    (Verb.BOOK, "during"): (ENDING, [*PAID, "booking.started", CLOSED, "booking.confirmed"]),
    (Verb.BOOK, "after"): (ENDING, [*CONFIRMED, CLOSED]),
}
OTHERWISE: Mapping[Verb, tuple[Outlook, list[str]]] = {
    Verb.CHARGE: ((State.PAID, PublicStatus.EN_PROCESO, Verb.BOOK), PAID),
    Verb.BOOK: ((State.SUPPLIER_CONFIRMED, PublicStatus.CONFIRMADA, None), CONFIRMED),
}


def race(trip: Trip, order: str, verb: Verb, *, rival: Callable[[], object]) -> HeldCall:
    call = HeldCall(ANSWERS[verb])
    moves: dict[str, Callable[[], object]] = {
        "call": partial(trip.step, verb, call),
        "rival": rival,
    }
    play(order, trip, moves=moves, answers={"answer": call})
    return call


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.BOOK])
def test_a_cancellation_undoes_a_call_done_or_in_flight(
    trip: Trip, verb: Verb, moment: str
) -> None:
    phase, order = MOMENTS[moment]

    call = race(trip.has_come_to(verb), order, verb, rival=trip.cancel)

    assert call.verbs == ([] if phase == "before" else [verb])
    trip.assert_stands(*IF_CANCELLED[verb, phase])


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.BOOK])
def test_a_webhook_changes_nothing_and_makes_us_inquire_about_an_answered_call(
    trip: Trip, verb: Verb, moment: str
) -> None:
    phase, order = MOMENTS[moment]

    call = race(trip.has_come_to(verb), order, verb, rival=partial(trip.announce, verb))

    (state, status, due), history = OTHERWISE[verb]
    assert call.verbs == [verb]
    # A look waits until the booking has left.
    looks = phase == "after" and due is not Verb.BOOK
    trip.assert_stands((state, status, Verb.INQUIRE if looks else due), history)


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed yet"])
@pytest.mark.parametrize("order", ["answer listing", "listing answer"])
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.BOOK])
def test_a_call_that_a_webhook_makes_us_inquire_about_in_flight_is_made_once(
    trip: Trip, verb: Verb, order: str, listed: bool
) -> None:
    call, inquiry = HeldCall(ANSWERS[verb]), HeldCall(Listing((ANSWERS[verb],) if listed else ()))
    trip.has_come_to(verb)

    moves: dict[str, Callable[[], object]] = {
        "call": partial(trip.step, verb, call),
        "webhook": partial(trip.announce, verb),
        "ask": partial(trip.step, verb, inquiry),
    }
    answers = {"answer": call, "listing": inquiry}
    play(f"call webhook ask hold {order} release", trip, moves=moves, answers=answers)

    assert (call.verbs, inquiry.verbs) == ([verb], [Verb.INQUIRE])
    trip.assert_stands(*OTHERWISE[verb])


def twice(move: Callable[[], T], trip: Trip, *, answer: HeldCall | None = None) -> list[T]:
    order, answers = "hold one other release", {"answer": answer} if answer else {}
    moves = {"one": move, "other": move}
    return play(f"{order} {' '.join(answers)}", trip, moves=moves, answers=answers)


@pytest.mark.parametrize("verb", BEFORE)
def test_of_two_deliveries_of_a_hint_at_once_one_calls(trip: Trip, verb: Verb) -> None:
    call = HeldCall(ANSWERS[verb])
    trip.has_come_to(verb)

    taken = twice(partial(trip.step, verb, call), trip, answer=call)

    assert call.verbs == [verb]
    assert taken.count(None) == 1


def test_two_cancellations_at_once_close_it_once(trip: Trip) -> None:
    twice(trip.has_come_to(Verb.BOOK).cancel, trip)

    trip.assert_stands(REPAYING, [*PAID, CLOSED])


def test_of_two_deliveries_of_a_webhook_at_once_one_is_taken(trip: Trip) -> None:
    received = twice(partial(trip.has_come_to(Verb.BOOK).announce, Verb.CHARGE), trip)

    assert sorted(received) == [Received.DUPLICATE, Received.TAKEN]
    trip.assert_stands((State.PAID, PublicStatus.EN_PROCESO, Verb.BOOK), PAID)
