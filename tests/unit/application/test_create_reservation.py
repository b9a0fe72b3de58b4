"""Creating a reservation: one transaction stores it and its first hint."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reservations.application import create_reservation as module
from reservations.application.cases import Cases
from reservations.application.create_reservation import CreateReservation, create_reservation
from reservations.application.ports import ChargeClaim
from reservations.domain.errors import DuplicateCodeError, PaymentInProgressError
from reservations.domain.facts import Call, Facts, Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus
from tests.worlds.application import TRACEPARENT
from tests.worlds.builders import (
    CODE,
    HOUR,
    NOON,
    PRICE,
    SECOND,
    a_charge,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    an_offer,
)
from tests.worlds.fakes import InMemoryDatabase, InMemoryUnitOfWork

COMMAND = CreateReservation(
    client_id="web", offer=an_offer(), price=PRICE, customer=a_customer(payment_token="tok_1")
)


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


def create(database: InMemoryDatabase, command: CreateReservation = COMMAND) -> Reservation:
    with InMemoryUnitOfWork(database, traceparent=TRACEPARENT) as uow:
        reservation = create_reservation(
            command, cases=Cases(uow=uow, policy=STANDARD), token_kid="k1"
        )
        uow.commit()
    return reservation


def take(database: InMemoryDatabase, code: str) -> None:
    with InMemoryUnitOfWork(database) as uow:
        uow.add(a_creation(a_reservation(code=code)), a_customer())
        uow.commit()


def test_a_reservation_and_its_first_hint_are_stored_together(
    database: InMemoryDatabase,
) -> None:
    reservation = create(database)

    assert database.reservations == {reservation.reservation_id: reservation}
    assert database.customers == {reservation.reservation_id: COMMAND.customer}
    [row] = database.outbox.values()
    assert row.hint.queue is Queue.PAYMENT
    assert row.hint.reservation_id == reservation.reservation_id
    assert row.hint.traceparent == TRACEPARENT


def test_a_new_reservation_keeps_the_request(database: InMemoryDatabase) -> None:
    reservation = create(database)

    assert reservation.offer == COMMAND.offer
    assert reservation.facts.price == COMMAND.price
    assert reservation.facts.created_at == NOON
    assert (reservation.client_id, reservation.token_kid) == ("web", "k1")
    assert reservation.standing.public_status is PublicStatus.EN_PROCESO


def test_a_reservation_whose_hint_is_lost_wakes_by_itself(database: InMemoryDatabase) -> None:
    reservation = create(database)
    assert reservation.next_check_at == NOON + STANDARD.hint_lease


def test_without_a_commit_nothing_is_stored(database: InMemoryDatabase) -> None:
    with InMemoryUnitOfWork(database) as uow:
        create_reservation(COMMAND, cases=Cases(uow=uow, policy=STANDARD), token_kid="k1")

    assert not database.reservations
    assert not database.customers
    assert not database.outbox


def test_a_code_that_is_taken_refuses_the_reservation(
    database: InMemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(database, CODE)
    monkeypatch.setattr(module, "new_code", lambda: CODE)

    with pytest.raises(DuplicateCodeError):
        create(database)

    assert len(database.reservations) == 1
    assert not database.outbox


CLAIMING = replace(COMMAND, claim=ChargeClaim("web", (bytes(32),)))


def change_facts(database: InMemoryDatabase, reservation: Reservation, facts: Facts) -> None:
    database.reservations[reservation.reservation_id] = replace(reservation, facts=facts)


@pytest.mark.parametrize(
    ("calls", "age"),
    [
        ((), 48 * HOUR),
        ((a_charge(Status.UNKNOWN),), 48 * HOUR),
        ((a_charge(Status.NOT_FOUND),), 48 * HOUR),
        ((a_charge(),), 24 * HOUR - SECOND),
    ],
    ids=["no charge yet", "without an answer", "not arrived", "charged today"],
)
def test_an_unsettled_or_recent_charge_refuses_an_equal_one(
    database: InMemoryDatabase, calls: tuple[Call, ...], age: timedelta
) -> None:
    first = create(database, CLAIMING)
    change_facts(database, first, replace(first.facts, calls=calls))
    database.now += age

    with pytest.raises(PaymentInProgressError) as refusal:
        create(database, CLAIMING)

    assert refusal.value.reservation_code == first.code
    assert list(database.reservations) == [first.reservation_id]


def test_an_equal_charge_is_allowed_a_day_after_the_first(database: InMemoryDatabase) -> None:
    first = create(database, CLAIMING)
    change_facts(database, first, replace(first.facts, calls=(a_charge(),)))
    database.now += 24 * HOUR

    second = create(database, CLAIMING)

    with pytest.raises(PaymentInProgressError) as refusal:
        create(database, CLAIMING)
    assert refusal.value.reservation_code == second.code


@pytest.mark.parametrize(
    "calls",
    [
        (a_charge(Status.UNKNOWN),),
        (a_charge(),),
        (a_charge(), a_refund(Status.DECLINED)),
        (a_charge(), a_refund(Status.PENDING)),
        (a_charge(), a_refund(money=Money(PRICE.minor - 1, PRICE.currency))),
    ],
    ids=["may be charged", "held", "refund refused", "refund pending", "refunded in part"],
)
def test_a_closed_reservation_refuses_an_equal_charge_until_it_gave_its_own_back(
    database: InMemoryDatabase, calls: tuple[Call, ...]
) -> None:
    first = create(database, CLAIMING)
    closed = replace(first.facts, reason=Reason.SUPPLIER_REJECTED, calls=calls)
    change_facts(database, first, closed)
    database.now += 48 * HOUR

    with pytest.raises(PaymentInProgressError) as refusal:
        create(database, CLAIMING)
    assert refusal.value.reservation_code == first.code

    change_facts(database, first, replace(closed, calls=(a_charge(), a_refund())))
    assert create(database, CLAIMING).code != first.code


def test_a_claim_that_outlived_its_reservation_refuses_nothing(database: InMemoryDatabase) -> None:
    """The release before closes reservations without their claims."""
    first = create(database, CLAIMING)
    closed = replace(first.facts, reason=Reason.CUSTOMER_CANCELLED)
    change_facts(database, first, closed)

    assert create(database, CLAIMING).code != first.code
