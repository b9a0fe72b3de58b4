"""The voucher: made once for who is confirmed, harmless to make twice."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from reservations.domain.errors import DocumentStoreUnavailableError, ReservationNotFoundError
from reservations.domain.facts import Reason
from reservations.domain.learning import cancel
from reservations.domain.messages import Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from tests.builders import (
    NOON,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_refund,
    a_reservation,
    some_facts,
)
from tests.fakes import InMemoryDocumentStore
from tests.unit.application.world import KEYS, World


def confirmed() -> Reservation:
    return a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON))


class InterruptedStore(InMemoryDocumentStore):
    """Something else happens between looking and registering."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def put(self, key: str, content: bytes) -> None:
        super().put(key, content)
        self._meanwhile()


def test_a_confirmed_reservation_gets_its_voucher_and_the_mail_is_asked_for() -> None:
    world = World(confirmed())

    assert world.issue()

    [(key, content)] = world.store.documents.items()
    document = world.stored.voucher
    assert document is not None
    assert (document.s3_key, document.sha256) == (key, sha256(content).hexdigest())
    assert document.issued_at == NOON
    assert world.take_hints() == [Queue.NOTIFICATION]


def test_the_voucher_tells_the_code_the_guest_and_the_hotels_own_reference() -> None:
    world = World(confirmed())

    world.issue()

    [content] = world.store.documents.values()
    assert content.decode() == f"{world.reservation.code} Ana Pérez HOTEL-77"


def test_the_name_of_the_voucher_cannot_be_guessed_and_tells_nothing() -> None:
    world = World(confirmed())

    world.issue()

    [key] = world.store.documents
    assert key == f"vouchers/{KEYS.document_name('k1', RESERVATION_ID)}.pdf"
    assert world.reservation.code not in key
    assert str(RESERVATION_ID) not in key


def test_a_doubled_hint_makes_no_second_voucher() -> None:
    world = World(confirmed())
    world.issue()
    first = world.stored

    world.store.documents.clear()
    assert not world.issue()

    assert world.store.documents == {}
    assert world.stored.documents == first.documents


@pytest.mark.parametrize(
    "reservation",
    [
        a_reservation(),
        a_reservation(a_charge()),
        a_reservation(a_charge(), a_refund(), reason=Reason.SUPPLIER_REJECTED),
    ],
    ids=["accepted", "paid", "rejected"],
)
def test_who_is_not_confirmed_gets_no_voucher(reservation: Reservation) -> None:
    world = World(reservation)

    assert not world.issue()

    assert world.store.documents == {}
    assert world.stored.voucher is None


def test_two_workers_at_once_put_the_same_twice_and_register_it_once() -> None:
    world = World(confirmed())
    store = InterruptedStore(world.issue)

    assert not world.issue(store)

    assert store.documents == world.store.documents
    assert len(world.stored.documents) == 1


def test_a_voucher_of_a_trip_cancelled_meanwhile_is_not_registered() -> None:
    world = World(confirmed())

    def cancelled() -> None:
        with world.unit_of_work() as uow:
            reservation = uow.reservations.lock(RESERVATION_ID)
            facts = cancel(reservation.facts, world.now, STANDARD)
            uow.reservations.save(replace(reservation, facts=facts), now=world.now)
            uow.commit()

    assert not world.issue(InterruptedStore(cancelled))

    assert world.stored.voucher is None
    assert world.take_hints() == [Queue.SUPPLIER]  # to cancel the booking


def test_a_store_that_is_down_leaves_the_voucher_owed() -> None:
    world = World(confirmed())
    world.store.down = True

    with pytest.raises(DocumentStoreUnavailableError):
        world.issue()
    assert world.stored.voucher is None

    world.store.down = False
    assert world.issue()


def test_a_hint_for_no_reservation_is_an_error() -> None:
    world = World(confirmed())
    world.database.reservations.clear()

    with pytest.raises(ReservationNotFoundError):
        world.issue()
