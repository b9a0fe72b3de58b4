"""The owner reads everything. All other readers get the same refusal."""

import pytest

from reservations.application.read_reservation import (
    LINK_LIFETIME,
    Reader,
    link_to_voucher,
    read_reservation,
    read_timeline,
)
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import display
from reservations.domain.errors import DocumentStoreUnavailableError, ReservationNotFoundError
from reservations.domain.facts import Reason
from reservations.domain.history import INTERNAL, HistoryEntry
from reservations.domain.reservation import Reservation
from tests.worlds.application import KEYS, SUPPORT, World
from tests.worlds.builders import (
    CODE,
    NOON,
    RESERVATION_ID,
    a_booking,
    a_cancellation,
    a_charge,
    a_refund,
    a_reservation,
    a_voucher,
    some_facts,
)
from tests.worlds.fakes import PlainRenderer

OWNER = Reader(client_id="web", access_token=KEYS.issue("k1", RESERVATION_ID))
ANOTHER_CODE = "23456-789AB-P"  # a valid code of no reservation
WRONG_CHECK = "7KQ2M-XD4RT-T"


def with_voucher() -> Reservation:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    return a_reservation(facts=facts, documents=(a_voucher(),))


def read(
    world: World, code: str = CODE, reader: Reader = OWNER, keys: KeyRing = KEYS
) -> Reservation:
    return read_reservation(code, reader=reader, uow=world.unit_of_work(), keys=keys)


def link(world: World, reader: Reader = OWNER) -> str:
    return link_to_voucher(
        CODE,
        reader=reader,
        uow=world.unit_of_work(),
        keys=KEYS,
        store=world.store,
        renderer=PlainRenderer(),
        support_contact=SUPPORT,
    )


@pytest.mark.parametrize("code", [CODE, display(CODE), display(CODE).lower(), " ".join(CODE)])
def test_the_owner_reads_by_the_code_however_it_is_written(code: str) -> None:
    world = World()
    assert read(world, code) == world.stored


@pytest.mark.parametrize(
    ("code", "reader"),
    [
        (ANOTHER_CODE, OWNER),
        (WRONG_CHECK, OWNER),
        ("", OWNER),
        (CODE, Reader(client_id="web", access_token="k1.wrong")),
        (CODE, Reader(client_id="web", access_token="ñ")),
        (CODE, Reader(client_id="partner", access_token=OWNER.access_token)),
    ],
    ids=["unknown", "wrong check", "empty", "wrong token", "not ASCII", "another client"],
)
def test_every_reader_but_the_owner_gets_not_found(code: str, reader: Reader) -> None:
    with pytest.raises(ReservationNotFoundError) as refusal:
        read(World(), code, reader)
    assert str(refusal.value) == ""


def test_a_token_lives_on_when_a_new_key_becomes_current() -> None:
    rotated = KeyRing(current="k2", keys={"k2": b"2" * 32, "k1": bytes(32)})
    assert read(World(), keys=rotated).reservation_id == RESERVATION_ID


def test_a_token_dies_with_its_key() -> None:
    without_it = KeyRing(current="k2", keys={"k2": b"2" * 32})
    with pytest.raises(ReservationNotFoundError):
        read(World(), keys=without_it)


def test_reading_takes_no_lock_and_changes_nothing() -> None:
    world = World()

    with world.unit_of_work() as worker:
        worker.open(RESERVATION_ID)
        assert read(world) == world.stored


def test_the_timeline_is_shown_to_its_owner_only() -> None:
    world = World()

    reservation, history = read_timeline(CODE, reader=OWNER, uow=world.unit_of_work(), keys=KEYS)

    assert reservation == world.stored
    assert [entry.event for entry in history] == world.events != []
    stranger = Reader(client_id="web", access_token="k1.wrong")
    with pytest.raises(ReservationNotFoundError):
        read_timeline(CODE, reader=stranger, uow=world.unit_of_work(), keys=KEYS)


@pytest.mark.parametrize("event", sorted(INTERNAL))
def test_operator_actions_on_our_messages_are_not_on_the_timeline(event: str) -> None:
    world = World()
    shown = world.events
    with world.unit_of_work() as uow:
        entry = HistoryEntry(event=event, at=NOON, actor="operator:on-call")
        uow.reservations.add_history(RESERVATION_ID, entry)
        uow.commit()

    _, history = read_timeline(CODE, reader=OWNER, uow=world.unit_of_work(), keys=KEYS)

    assert [entry.event for entry in history] == shown
    assert world.events == [*shown, event]


# --- the voucher ----------------------------------------------------------------------------------


def test_the_link_serves_the_voucher_for_a_minute_under_the_code() -> None:
    world = World(with_voucher())
    world.store.documents[a_voucher().s3_key] = b"%PDF"

    url = link(world)

    assert a_voucher().s3_key in url
    assert f"filename=bono-{display(CODE)}.pdf" in url
    assert f"lifetime={LINK_LIFETIME.seconds}" in url


def test_a_voucher_the_store_has_lost_is_made_again_before_the_link_is_given() -> None:
    world = World(with_voucher())

    link(world)

    assert list(world.store.documents) == [a_voucher().s3_key]


@pytest.mark.parametrize(
    "reservation",
    [
        a_reservation(a_charge()),
        a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON)),
        a_reservation(
            a_charge(),
            a_booking(),
            a_cancellation(),
            a_refund(),
            reason=Reason.CUSTOMER_CANCELLED,
            documents=(a_voucher(),),
        ),
    ],
    ids=["not confirmed", "not issued yet", "cancelled"],
)
def test_without_a_valid_voucher_there_is_no_link(reservation: Reservation) -> None:
    with pytest.raises(ReservationNotFoundError):
        link(World(reservation))


def test_a_stranger_gets_no_link() -> None:
    world = World(with_voucher())
    with pytest.raises(ReservationNotFoundError):
        link(world, Reader(client_id="partner", access_token=OWNER.access_token))


def test_a_store_that_is_down_raises_unavailable() -> None:
    world = World(with_voucher())
    world.store.down = True

    with pytest.raises(DocumentStoreUnavailableError):
        link(world)
