"""The voucher is issued once, for confirmed reservations only. A repeat is harmless."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from reservations.application.poll_outbox import poll_outbox
from reservations.application.ports import MailAccepted, Voucher
from reservations.domain.errors import (
    DocumentStoreUnavailableError,
    ReservationNotFoundError,
    VoucherNotDrawnError,
)
from reservations.domain.facts import Decision, Reason
from reservations.domain.learning import cancel
from reservations.domain.messages import Queue
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import MailKind, MailStatus, Reservation
from reservations.domain.views import view
from tests.worlds.application import KEYS, World
from tests.worlds.builders import (
    MINUTE,
    NOON,
    RESERVATION_ID,
    a_booking,
    a_change,
    a_charge,
    a_contradiction,
    a_refund,
    a_reservation,
    a_voucher,
    some_facts,
)
from tests.worlds.fakes import (
    FailingRenderer,
    InMemoryDocumentStore,
    PlainRenderer,
    RecordingMailer,
    RecordingPublisher,
)


def confirmed() -> Reservation:
    return a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON))


class InterruptedRenderer(PlainRenderer):
    """Runs another change between the check and the registration."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile = meanwhile

    def render(self, voucher: Voucher) -> bytes:
        self._meanwhile()
        return super().render(voucher)


class WatchedStore(InMemoryDocumentStore):
    """Records the documents that were registered at the moment of storing one."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.registered: list[str] = []

    def put(self, key: str, content: bytes) -> None:
        self.registered += [document.s3_key for document in self._world.stored.documents]
        super().put(key, content)


def test_a_confirmed_reservation_gets_its_voucher_and_the_mail_is_asked_for() -> None:
    world = World(confirmed())

    assert world.issue()

    [(key, content)] = world.store.documents.items()
    document = world.stored.voucher
    assert document is not None
    assert (document.s3_key, document.sha256) == (key, sha256(content).hexdigest())
    assert document.issued_at == NOON
    assert world.take_hints() == [Queue.NOTIFICATION]


def test_the_voucher_shows_the_code_the_guest_and_the_hotels_own_reference() -> None:
    world = World(confirmed())

    world.issue()

    [content] = world.store.documents.values()
    assert content.decode() == f"{world.reservation.code} Ana Pérez HOTEL-77"


@pytest.mark.parametrize(
    "locator",
    ["", "   ", "\N{ZERO WIDTH SPACE}", "\N{HANGUL FILLER}", "\N{BRAILLE PATTERN BLANK}", "AB\0C"],
    ids=ascii,
)
def test_a_locator_that_nobody_can_read_gives_way_to_the_bookings_id(locator: str) -> None:
    booking = a_booking(locator=locator)
    world = World(a_reservation(facts=some_facts(a_charge(), booking, confirmed_at=NOON)))

    world.issue()

    [content] = world.store.documents.values()
    assert content.decode() == f"{world.reservation.code} Ana Pérez {booking.provider_id}"


def test_the_name_of_the_voucher_cannot_be_guessed_and_has_no_personal_data() -> None:
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


REBOOKED = a_contradiction(
    closed_at=NOON + MINUTE, decision=Decision.REBOOKED, evidence="bkg_9", check_at=None
)


def rebooked(world: World) -> Reservation:
    """Store that the booking has another id now, as a decision does."""
    booking = a_booking(provider_id="bkg_9", key="seen:book:bkg_9", locator="HOTEL-99")
    world.wait(2 * MINUTE)
    with world.unit_of_work() as uow:
        before = uow.open(RESERVATION_ID).reservation
        facts = replace(
            before.facts, calls=(*before.facts.calls, booking), contradictions=(REBOOKED,)
        )
        uow.store(a_change(before, replace(before, facts=facts), now=world.now))
        uow.commit()
    return world.stored


def test_a_rebooked_trip_gets_a_voucher_of_its_new_booking_under_a_key_of_its_own() -> None:
    world = World(confirmed())
    world.issue()
    [first] = world.store.documents
    rebooked(world)

    assert world.issue()

    document = world.stored.voucher
    assert document is not None
    assert document.s3_key != first
    assert document.issued_at == world.now
    content = world.store.documents[document.s3_key]
    assert content.decode() == f"{world.reservation.code} Ana Pérez HOTEL-99"
    assert world.events.count("voucher.issued") == 2
    assert not world.issue()


def test_a_voucher_that_was_erased_is_not_issued_again_for_a_rebooked_trip() -> None:
    removed = a_voucher(removed_at=NOON)
    world = World(replace(confirmed(), documents=(removed,)))
    rebooked(world)

    assert not world.issue()
    assert world.store.documents == {}


@pytest.mark.parametrize(
    "reservation",
    [
        a_reservation(),
        a_reservation(a_charge()),
        a_reservation(a_charge(), a_refund(), reason=Reason.SUPPLIER_REJECTED),
    ],
    ids=["accepted", "paid", "rejected"],
)
def test_an_unconfirmed_reservation_gets_no_voucher(reservation: Reservation) -> None:
    world = World(reservation)

    assert not world.issue()

    assert world.store.documents == {}
    assert world.stored.voucher is None


def test_of_two_workers_at_once_one_registers_and_stores() -> None:
    world, slower = World(confirmed()), InMemoryDocumentStore()

    assert not world.issue(slower, renderer=InterruptedRenderer(world.issue))

    assert slower.documents == {}
    assert list(world.store.documents) == [each.s3_key for each in world.stored.documents]


def test_every_stored_file_is_registered_for_erasure() -> None:
    world = World(confirmed())
    store = WatchedStore(world)

    world.issue(store)

    assert store.registered == list(store.documents)


def test_a_voucher_of_a_trip_cancelled_meanwhile_is_neither_registered_nor_stored() -> None:
    world = World(confirmed())

    def cancelled() -> None:
        with world.cases().open(RESERVATION_ID) as case:
            case.put(replace(case.reservation, facts=cancel(case.reservation.facts)))

    assert not world.issue(renderer=InterruptedRenderer(cancelled))

    assert world.stored.voucher is None
    assert world.store.documents == {}
    assert world.take_hints() == [Queue.SUPPLIER]  # to cancel the booking


def test_a_voucher_that_could_not_be_stored_is_stored_with_its_mail() -> None:
    world = World(confirmed())
    world.store.down = True
    with pytest.raises(DocumentStoreUnavailableError):
        world.issue()
    registered = world.stored.voucher
    assert registered is not None

    world.store.down = False
    world.notify()

    content = world.store.documents[registered.s3_key]
    assert sha256(content).hexdigest() == registered.sha256


def fail_to_draw(world: World) -> None:
    with pytest.raises(VoucherNotDrawnError):
        world.issue(renderer=FailingRenderer())


def test_a_voucher_that_cannot_be_drawn_lets_its_mail_go_without_it() -> None:
    world, mailer = World(confirmed()), RecordingMailer(MailAccepted("ses-1"))

    fail_to_draw(world)
    assert not world.issue()
    world.wait_until_due()
    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.voucher_pdf is None
    assert [send.status for send in world.stored.sends] == [MailStatus.SENT]


def test_one_later_mail_brings_a_voucher_that_could_not_be_drawn_at_first() -> None:
    world = World(confirmed())
    mailer = RecordingMailer(MailAccepted("ses-1"))
    fail_to_draw(world)
    world.wait_until_due()
    world.notify(mailer)
    assert world.take_hints() == [Queue.VOUCHER]

    world.wait(MINUTE)
    assert world.issue()
    world.notify(mailer)
    assert world.notify(mailer) is None

    _, later = mailer.mails
    assert later.kind is MailKind.VOUCHER
    assert later.voucher_pdf == world.store.documents[next(iter(world.store.documents))]
    assert world.events[-1] == "mail.sent.voucher"


def test_a_voucher_issued_before_its_mail_brings_no_second_mail() -> None:
    world, mailer = World(confirmed()), RecordingMailer(MailAccepted("ses-1"))
    world.issue()
    world.wait(MINUTE)

    world.notify(mailer)

    assert world.notify(mailer) is None
    assert [mail.kind for mail in mailer.mails] == [MailKind.CONFIRMED]


def test_a_voucher_missing_for_two_minutes_requires_support_until_it_is_issued() -> None:
    world = World(confirmed())
    fail_to_draw(world)

    def requires_support() -> bool:
        return view(world.stored, Moment(world.stored.updated_at, STANDARD)).requires_support

    poll(world)
    assert not requires_support()

    world.wait(2 * MINUTE)
    poll(world)
    assert requires_support()

    world.issue()
    world.notify(RecordingMailer(MailAccepted("ses-1")))
    world.issue()
    assert world.stored.voucher is not None
    assert not requires_support()


def poll(world: World) -> None:
    publisher = RecordingPublisher()
    poll_outbox(uow=world.unit_of_work(), publisher=publisher, policy=STANDARD)


def test_a_voucher_that_fails_again_sends_no_hint_at_once() -> None:
    world = World(confirmed())
    fail_to_draw(world)
    world.wait_until_due()
    world.notify(RecordingMailer(MailAccepted("ses-1")))
    world.take_hints()
    before = world.stored

    fail_to_draw(world)

    assert world.stored == before
    assert world.take_hints() == []


def test_a_hint_for_no_reservation_is_an_error() -> None:
    world = World(confirmed())
    world.database.reservations.clear()

    with pytest.raises(ReservationNotFoundError):
        world.issue()
