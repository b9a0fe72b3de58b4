"""The mails: each once, written down before it is sent, repeated once when nobody knows."""

import pytest

from reservations.application.notify_customer import Notified
from reservations.application.ports import (
    Mail,
    MailAccepted,
    MailNotSent,
    MailOutcome,
    MailRefused,
    MailUnknown,
)
from reservations.domain.errors import ReservationNotFoundError
from reservations.domain.facts import Reason
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Language, MailKind, MailStatus, Reservation
from reservations.domain.views import view
from tests.builders import (
    NOON,
    PRICE,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_customer,
    a_refund,
    a_reservation,
    a_voucher,
    some_facts,
)
from tests.fakes import RecordingMailer
from tests.unit.application.world import SUPPORT, CrashError, World

PDF = b"%PDF-1.7 a voucher"


def confirmed() -> World:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    world = World(a_reservation(facts=facts, documents=(a_voucher(),)))
    world.store.documents[a_voucher().s3_key] = PDF
    return world


def rejected(*, refunded: bool = False) -> Reservation:
    calls = (a_charge(), a_refund()) if refunded else (a_charge(),)
    return a_reservation(*calls, reason=Reason.SUPPLIER_REJECTED)


class WatchedMailer(RecordingMailer):
    """Tells what was committed at the moment of sending."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.seen: list[MailStatus] = []

    def send(self, mail: Mail) -> MailOutcome:
        send = self._world.stored.send_of(mail.kind)
        assert send is not None
        self.seen.append(send.status)
        return super().send(mail)


class DyingMailer(RecordingMailer):
    """Takes the mail, and the process dies before it hears so."""

    def send(self, mail: Mail) -> MailOutcome:
        super().send(mail)
        raise CrashError


def status(world: World, kind: MailKind = MailKind.CONFIRMED) -> MailStatus | None:
    send = world.stored.send_of(kind)
    return send.status if send else None


def test_the_confirmation_carries_the_voucher_and_all_a_traveler_needs() -> None:
    world, mailer = confirmed(), RecordingMailer(MailAccepted("ses-1"))

    assert world.notify(mailer) == Notified(kind=MailKind.CONFIRMED, status=MailStatus.SENT)

    [mail] = mailer.mails
    assert mail.voucher_pdf == PDF
    assert (mail.to, mail.guest) == ("ana@example.com", "Ana Pérez")
    assert (mail.supplier_locator, mail.price) == ("HOTEL-77", PRICE)
    assert mail.support_contact == SUPPORT
    send = world.stored.send_of(MailKind.CONFIRMED)
    assert send is not None
    assert (send.status, send.ses_id) == (MailStatus.SENT, "ses-1")


def test_the_confirmation_waits_for_the_voucher() -> None:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    world, mailer = World(a_reservation(facts=facts)), RecordingMailer()

    assert world.notify(mailer) == Notified()

    assert mailer.mails == []


def test_a_mail_is_written_down_before_it_is_sent() -> None:
    world = confirmed()
    mailer = WatchedMailer(world)

    world.notify(mailer)

    assert mailer.seen == [MailStatus.STARTED]


def test_a_doubled_hint_sends_no_second_mail() -> None:
    world, mailer = confirmed(), RecordingMailer()

    world.notify(mailer)
    world.wait(STANDARD.mail_repeat)
    world.notify(mailer)

    assert len(mailer.mails) == 1


def test_a_traveler_is_written_to_in_the_language_they_spoke() -> None:
    world, mailer = World(rejected(), a_customer(language=Language.ENGLISH)), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.language is Language.ENGLISH


def test_a_send_whose_answer_is_unknown_is_repeated_once_and_never_again() -> None:
    world, mailer = confirmed(), RecordingMailer(MailUnknown())

    world.notify(mailer)
    world.notify(mailer)
    assert len(mailer.mails) == 1
    world.wait(STANDARD.mail_repeat)
    world.notify(mailer)
    world.wait(10 * STANDARD.mail_repeat)
    world.notify(mailer)

    assert len(mailer.mails) == 2
    assert status(world) is MailStatus.UNKNOWN


def test_a_crash_in_the_send_costs_one_repeat() -> None:
    world, dying = confirmed(), DyingMailer()
    with pytest.raises(CrashError):
        world.notify(dying)

    mailer = RecordingMailer()
    assert world.notify(mailer) == Notified()
    world.wait_until_due()
    world.notify(mailer)

    assert len(dying.mails + mailer.mails) == 2
    assert status(world) is MailStatus.SENT


def test_what_surely_was_not_sent_is_sent_later() -> None:
    world, mailer = confirmed(), RecordingMailer(MailNotSent())

    world.notify(mailer)
    assert status(world) is MailStatus.NOT_SENT
    world.wait_until_due()
    mailer.outcome = None
    world.notify(mailer)

    assert status(world) is MailStatus.SENT


def test_a_refused_mail_is_left_to_a_person() -> None:
    world, mailer = confirmed(), RecordingMailer(MailRefused())

    world.notify(mailer)
    world.wait(10 * STANDARD.mail_repeat)
    world.notify(mailer)

    assert len(mailer.mails) == 1
    assert status(world) is MailStatus.REFUSED
    assert view(world.stored, world.now, STANDARD).requires_support


def test_a_voucher_the_store_has_lost_is_made_again() -> None:
    world, mailer = confirmed(), RecordingMailer()
    world.store.documents.clear()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.voucher_pdf == world.store.documents[a_voucher().s3_key]


def test_a_store_that_is_down_puts_the_confirmation_off() -> None:
    world, mailer = confirmed(), RecordingMailer()
    world.store.down = True

    world.notify(mailer)
    assert mailer.mails == []
    assert status(world) is MailStatus.NOT_SENT

    world.store.down = False
    world.wait_until_due()
    world.notify(mailer)
    assert len(mailer.mails) == 1


def test_a_rejection_says_that_the_money_is_on_its_way() -> None:
    world, mailer = World(rejected()), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.kind is MailKind.REJECTED
    assert (mail.refund, mail.refund_done) == (PRICE, False)
    assert mail.voucher_pdf is None


def test_after_the_rejection_comes_the_mail_of_the_refund() -> None:
    world, mailer = World(rejected(refunded=True)), RecordingMailer()

    world.notify(mailer)
    world.notify(mailer)
    world.notify(mailer)

    assert [mail.kind for mail in mailer.mails] == [MailKind.REJECTED, MailKind.REFUNDED]
    assert mailer.mails[-1].refund_done


def test_who_was_never_charged_is_promised_no_refund() -> None:
    world, mailer = World(a_reservation(reason=Reason.EXPIRED)), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert (mail.kind, mail.refund) == (MailKind.EXPIRED, None)


def test_who_waits_for_an_answer_gets_no_mail() -> None:
    world, mailer = World(a_reservation(a_charge())), RecordingMailer()

    assert world.notify(mailer) == Notified()

    assert mailer.mails == []


def test_a_hint_for_no_reservation_sends_nothing() -> None:
    world, mailer = confirmed(), RecordingMailer()
    del world.database.reservations[RESERVATION_ID]

    with pytest.raises(ReservationNotFoundError):
        world.notify(mailer)

    assert mailer.mails == []
