"""The end of a case settles and stores. Only an exception or `leave` stores nothing."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from reservations.application.cases import Case, Cases
from reservations.domain.errors import InvalidReservationCodeError, ReservationNotFoundError
from reservations.domain.facts import Provider
from reservations.domain.messages import Queue
from reservations.domain.policy import STANDARD
from tests.worlds.application import World
from tests.worlds.builders import (
    CODE,
    MINUTE,
    NOON,
    RESERVATION_ID,
    SECOND,
    a_charge,
    a_customer,
    a_reservation,
)

PAID = a_reservation(a_charge(check_at=None))


def waiting() -> World:
    """A new reservation with a due charge and its hint under way."""
    world = World(replace(a_reservation(), next_check_at=NOON + SECOND))
    world.take_hints()
    return world


def paid(case: Case) -> None:
    case.put(replace(case.reservation, facts=PAID.facts))


def test_a_change_is_settled_stored_and_committed_with_its_hints() -> None:
    world = waiting()

    with world.cases(actor="operator:7").open(RESERVATION_ID) as case:
        paid(case)

    assert world.stored == case.reservation
    assert (case.reservation.version, case.reservation.updated_at) == (2, NOON)
    assert world.take_hints() == [Queue.SUPPLIER]
    assert [line.actor for line in world.database.history[RESERVATION_ID]] == [
        "system",
        "operator:7",
    ]


def test_an_early_return_from_the_block_settles_too() -> None:
    def step(cases: Cases) -> None:
        with cases.open(RESERVATION_ID) as case:
            paid(case)
            return

    world = waiting()
    step(world.cases())

    assert world.take_hints() == [Queue.SUPPLIER]


def test_an_exception_stores_nothing_and_releases_the_row() -> None:
    world = waiting()

    with suppress(ZeroDivisionError), world.cases().open(RESERVATION_ID) as case:
        paid(case)
        raise ZeroDivisionError

    assert world.stored == world.reservation
    assert world.database.held == {}


def test_a_case_that_is_left_stores_nothing() -> None:
    world = waiting()

    with world.cases().open(RESERVATION_ID) as case:
        paid(case)
        case.note("operator.nudged")
        case.leave()

    assert world.stored == world.reservation
    assert world.take_hints() == []
    assert world.events == ["reservation.accepted"]


@pytest.mark.parametrize("waited", [SECOND / 2, MINUTE])
def test_a_case_without_a_change_leaves_the_hint_to_the_poller(waited: timedelta) -> None:
    """It is under way, or the poller repeats it when its lease ends."""
    world = waiting()
    world.wait(waited)

    with world.cases().open(RESERVATION_ID):
        pass

    assert (world.take_hints(), world.stored) == ([], world.reservation)


def test_a_case_without_a_change_wakes_a_reservation_that_has_no_timer() -> None:
    world = World(replace(a_reservation(), next_check_at=None))
    world.take_hints()

    with world.cases().open(RESERVATION_ID):
        pass

    assert world.take_hints() == [Queue.PAYMENT]
    assert world.stored.next_check_at == NOON + STANDARD.hint_lease


@pytest.mark.parametrize(
    ("waited", "hints"), [(SECOND / 2, []), (MINUTE, [Queue.PAYMENT])], ids=["leased", "overdue"]
)
def test_a_note_is_stored_and_repeats_only_a_hint_whose_lease_is_over(
    waited: timedelta, hints: list[Queue]
) -> None:
    world = waiting()
    world.wait(waited)

    with world.cases().open(RESERVATION_ID) as case:
        case.note("operator.nudged", "TICKET-1")

    assert world.take_hints() == hints
    assert world.events[-1] == "operator.nudged"
    assert world.stored.next_check_at is not None
    assert world.stored.next_check_at > world.now


def test_a_note_comes_before_the_lines_that_follow_from_the_change() -> None:
    world = waiting()

    with world.cases().open(RESERVATION_ID) as case:
        paid(case)
        case.note("operator.nudged", "TICKET-1")

    lines = world.database.history[RESERVATION_ID][1:]
    assert [(line.event, line.note) for line in lines] == [
        ("operator.nudged", "TICKET-1"),
        ("payment.succeeded", None),
    ]


def test_a_joined_case_leaves_the_commit_to_the_owner_of_the_transaction() -> None:
    world = waiting()
    cases = world.cases()

    with cases.uow, cases.join(RESERVATION_ID) as case:
        paid(case)
    assert world.stored == world.reservation

    with cases.uow as uow:
        with cases.join(RESERVATION_ID) as case:
            paid(case)
        uow.commit()
    assert world.stored == case.reservation


def test_the_personal_data_come_only_with_a_case_opened_with_them() -> None:
    with World().cases().open(RESERVATION_ID, customer=True) as case:
        assert case.customer == a_customer()


def test_only_the_action_at_the_provider_is_due() -> None:
    with World(PAID).cases().open(RESERVATION_ID) as case:
        assert case.due(Provider.PAYMENTS) is None
        assert case.due(Provider.SUPPLIER) is not None


def test_a_case_is_found_by_the_code_that_a_person_types() -> None:
    cases = World().cases()

    with cases.find(CODE.lower()) as case:
        assert case.reservation.reservation_id == RESERVATION_ID
    with pytest.raises(InvalidReservationCodeError), cases.find("7KQ2M"):
        pass
    with pytest.raises(ReservationNotFoundError), cases.find("22222222222"):
        pass
