"""Operators find a reservation by whatever they have, on both engines."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from ops.__main__ import ops
from ops.desk import Desk
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.search import MySqlSearch
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.ports import Doubt, Search
from reservations.domain.codes import display
from reservations.domain.facts import Kind, Reason
from reservations.domain.identifiers import uuid7
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus
from tests.database.test_oversight import DAY, Stored
from tests.worlds.builders import HOUR, a_contradiction, a_creation, a_customer
from tests.worlds.services import OnDatabase

ADDRESS = "Ana.Lopez@Example.com"


class OnSearch(OnDatabase):
    def search(self) -> Search:
        return MySqlSearch(self._database)


@pytest.fixture
def stored(database: Database) -> Stored:
    return Stored(database)


@pytest.fixture
def search(database: Database) -> MySqlSearch:
    return MySqlSearch(database)


@pytest.fixture
def find(database: Database) -> Callable[..., Result]:
    desk = Desk(OnSearch(database), stack="none")

    def find(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(ops, ["--stage", "x", "find", *arguments], obj=desk, input=typed)

    return find


def with_address(database: Database, reservation: Reservation, address: str) -> Reservation:
    """Store a copy with an address and a code of its own."""
    own = replace(reservation, reservation_id=uuid7(reservation.updated_at), code="23456789ABH")
    own = replace(own, facts=replace(own.facts, reservation_id=own.reservation_id, calls=()))
    with MySqlUnitOfWork(database) as uow:
        uow.add(a_creation(own), replace(a_customer(), email=address))
        uow.commit()
    return own


CLUES: dict[str, Callable[[Reservation], str | None]] = {
    "code": lambda r: display(r.code).lower().replace("-", "—"),
    "reservation_id": lambda r: str(r.reservation_id),
    "id without dashes": lambda r: r.reservation_id.hex.upper(),
    "payment": lambda r: r.facts.calls[0].provider_id,
    "booking": lambda r: r.facts.calls[1].provider_id,
    "locator": lambda r: r.facts.calls[1].locator,
    "locator in lower case": lambda r: (r.facts.calls[1].locator or "").lower(),
}


@pytest.mark.parametrize("clue", CLUES)
def test_a_reservation_is_found_by_each_clue(
    stored: Stored, find: Callable[..., Result], clue: str
) -> None:
    stored.confirmed()
    booking = stored.booking(locator=f"LOC{clue[:3].upper()}7")
    one = stored.keep(stored.charge(), booking, confirmed_at=stored.then)
    typed = CLUES[clue](one)
    assert typed

    said = find(typed)

    assert said.exit_code == 0, said.stderr
    assert display(one.code) in said.stdout
    assert said.stdout.count("CONFIRMADA") == 1


@pytest.mark.parametrize(
    ("address", "typed"),
    [
        (ADDRESS, "ana.lopez@EXAMPLE.com\n"),
        ("ana@xn--bcher-kva.example", "Ana@Bücher.example\n"),
        ("ana@localhost", "ana@localhost\n"),  # which no release takes any more
    ],
    ids=["case", "international domain", "stored by older rules"],
)
def test_an_address_is_read_from_standard_input_as_it_is_typed(
    database: Database, stored: Stored, find: Callable[..., Result], address: str, typed: str
) -> None:
    one = with_address(database, stored.confirmed(), address)

    said = find("--address", typed=typed)

    assert display(one.code) in said.stdout
    assert "@" not in said.stdout


def test_an_erased_address_finds_nothing(
    database: Database, stored: Stored, find: Callable[..., Result]
) -> None:
    one = with_address(database, stored.confirmed(), ADDRESS)
    with MySqlUnitOfWork(database) as uow:
        uow.reservations.erase_customer(one.reservation_id)
        uow.commit()

    assert find("--address", typed=ADDRESS).exit_code == 2


@pytest.mark.parametrize("arguments", [(), ("--address", "x")])
def test_a_search_takes_a_clue_or_an_address(
    find: Callable[..., Result], arguments: tuple[str, ...]
) -> None:
    assert "Give a clue" in find(*arguments).stderr


def test_reservations_are_counted_by_status_and_age(stored: Stored, search: MySqlSearch) -> None:
    stored.confirmed()
    stored.keep(at=stored.now)
    stored.keep(resting=False, at=stored.now - 3 * DAY)
    stored.keep(at=stored.now - 3 * DAY)  # settled: it needs nobody

    found = {(each.status, each.age): each.reservations for each in search.counts()}

    assert found == {
        (PublicStatus.CONFIRMADA, "day"): 1,
        (PublicStatus.EN_PROCESO, "hour"): 1,
        (PublicStatus.EN_PROCESO, "older"): 1,
    }


def test_each_public_status_lists_its_own_reservations(stored: Stored, search: MySqlSearch) -> None:
    kept = {
        PublicStatus.CONFIRMADA: stored.confirmed(),
        PublicStatus.EN_PROCESO: stored.keep(),
        PublicStatus.RECHAZADA: stored.keep(reason=Reason.PAYMENT_DECLINED, ended_at=stored.then),
        PublicStatus.EXPIRADA: stored.keep(reason=Reason.EXPIRED, ended_at=stored.then),
        PublicStatus.CANCELADA: stored.keep(reason=Reason.CUSTOMER_CANCELLED, ended_at=stored.then),
        PublicStatus.EN_CANCELACION: stored.keep(
            stored.charge(), reason=Reason.CUSTOMER_CANCELLED, resting=False
        ),
    }
    since = stored.now - timedelta(days=1)

    found = {status: search.by_status(status, since=since, limit=9) for status in PublicStatus}

    assert {status: [each.code for each in rows] for status, rows in found.items()} == {
        status: [reservation.code] for status, reservation in kept.items()
    }
    assert all(each.status is status for status, rows in found.items() for each in rows)


def test_contradictions_are_counted_while_they_last(stored: Stored, search: MySqlSearch) -> None:
    lasting = a_contradiction(Kind.BOOKING_ABSENT)
    stored.confirmed(resting=False, next_check_at=stored.now, contradictions=(lasting,))
    suspected = replace(lasting, opened_at=None)
    stored.confirmed(resting=False, next_check_at=stored.now, contradictions=(suspected,))
    over = replace(lasting, closed_at=stored.now - HOUR)
    stored.confirmed(resting=False, next_check_at=stored.now, contradictions=(over,))

    assert search.doubts() == [Doubt(kind="booking_absent", opened=1, suspected=1)]
