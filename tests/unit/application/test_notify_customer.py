"""Each mail is sent once, written down before, and repeated once if its answer is unknown."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import pytest

from reservations.application.cases import Cases
from reservations.application.manage_page import ManagePage
from reservations.application.notify_customer import (
    Notified,
    UnpaidMailLimits,
    Vouchers,
    notify_customer,
)
from reservations.application.operate import change_address, check_now, erase
from reservations.application.ports import (
    Mail,
    MailAccepted,
    MailNotSent,
    MailOutcome,
    MailRefused,
    MailUnknown,
    Notice,
)
from reservations.application.vouchers import voucher_of
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import display, new_code
from reservations.domain.decisions import DecisionRefusedError
from reservations.domain.errors import DocumentStoreUnavailableError, ReservationNotFoundError
from reservations.domain.facts import Facts, Reason, Status
from reservations.domain.fulfilment import SendMail, ask_again, fulfil, needs_place
from reservations.domain.learning import cancel
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.plan import settle
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import Language, MailKind, MailStatus, Reservation
from reservations.domain.views import view
from tests.worlds.application import KEYS, LIMITS, PAGE, SUPPORT, CrashError, World
from tests.worlds.builders import (
    CODE,
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    RESERVATION_ID,
    SECOND,
    a_booking,
    a_charge,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)
from tests.worlds.fakes import (
    FailingRenderer,
    InMemoryDatabase,
    InMemoryDocumentStore,
    InMemoryUnitOfWork,
    PlainRenderer,
    RecordingMailer,
)

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
    """Records the committed rows at the moment of sending."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.seen: list[MailStatus] = []

    def send(self, mail: Mail) -> MailOutcome:
        send = self._world.stored.send_of(mail.kind)
        assert send is not None
        self.seen.append(send.status)
        return super().send(mail)


class HangingStore(InMemoryDocumentStore):
    """Gives no answer during the invocation."""

    def get(self, key: str) -> bytes | None:
        raise CrashError


class InterruptedStore(InMemoryDocumentStore):
    """Runs another change during the read of the voucher."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile = meanwhile

    def get(self, key: str) -> bytes | None:
        self._meanwhile()
        return PDF


class DyingMailer(RecordingMailer):
    """Accepts the mail, and the process dies before the answer."""

    def send(self, mail: Mail) -> MailOutcome:
        super().send(mail)
        raise CrashError

    def notify(self, notice: Notice) -> MailOutcome:
        super().notify(notice)
        raise CrashError


def status(world: World, kind: MailKind = MailKind.CONFIRMED) -> MailStatus | None:
    send = world.stored.send_of(kind)
    return send.status if send else None


def requires_support(world: World) -> bool:
    return view(world.stored, Moment(world.now, STANDARD)).requires_support


@pytest.mark.parametrize("down", [True, False], ids=["store down", "lost and not drawn"])
def test_the_mail_of_a_voucher_waits_until_it_can_bring_it(down: bool) -> None:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    late = a_voucher(issued_at=NOON + MINUTE)
    world = World(a_reservation(facts=facts, documents=(late,), sends=(a_send(),)))
    mailer = RecordingMailer(MailAccepted("ses-1"))
    world.wait(MINUTE)

    world.store.down = down
    world.notify(mailer, renderer=FailingRenderer())
    assert mailer.mails == []
    assert status(world, MailKind.VOUCHER) is MailStatus.NOT_SENT

    world.store.down = False
    world.store.documents[late.s3_key] = PDF
    world.wait_until_due()
    world.notify(mailer)
    assert [(mail.kind, mail.voucher_pdf) for mail in mailer.mails] == [(MailKind.VOUCHER, PDF)]


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


def test_voucher_and_confirmation_show_the_amount_accepted_in_place_of_the_price() -> None:
    taken = Money(34000, "EUR")
    facts = some_facts(
        a_charge(money=taken), a_booking(), confirmed_at=NOON, accepted_minor=taken.minor
    )
    world, mailer = World(a_reservation(facts=facts, documents=(a_voucher(),))), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.price == taken
    assert voucher_of(world.stored, a_customer(), support_contact=SUPPORT).price == taken


def test_the_confirmation_waits_for_the_voucher() -> None:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    world, mailer = World(a_reservation(facts=facts)), RecordingMailer()

    assert world.notify(mailer) is None

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


def test_a_traveler_gets_mails_in_the_language_of_the_reservation() -> None:
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
    assert world.notify(mailer) is None
    world.wait_until_due()
    world.notify(mailer)

    assert len(dying.mails + mailer.mails) == 2
    assert status(world) is MailStatus.SENT


def test_a_charge_that_was_surely_not_sent_is_sent_later() -> None:
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
    assert requires_support(world)


def test_a_voucher_the_store_has_lost_is_made_again() -> None:
    world, mailer = confirmed(), RecordingMailer()
    world.store.documents.clear()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.voucher_pdf == world.store.documents[a_voucher().s3_key]


def test_a_lost_voucher_that_cannot_be_drawn_is_missing_from_its_mail() -> None:
    world, mailer = confirmed(), RecordingMailer()
    world.store.documents.clear()

    world.notify(mailer, renderer=FailingRenderer())

    [mail] = mailer.mails
    assert mail.voucher_pdf is None


def test_a_voucher_that_was_removed_is_not_made_again_for_a_mail() -> None:
    removed = a_voucher(removed_at=NOON)
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    world, mailer = World(a_reservation(facts=facts, documents=(removed,))), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.voucher_pdf is None
    assert world.store.documents == {}


def test_a_store_that_is_down_postpones_the_confirmation() -> None:
    world, mailer = confirmed(), RecordingMailer()
    world.store.down = True

    world.notify(mailer)
    assert mailer.mails == []
    assert status(world) is MailStatus.NOT_SENT

    world.store.down = False
    world.wait_until_due()
    world.notify(mailer)
    assert len(mailer.mails) == 1


def test_a_store_that_hangs_costs_no_send() -> None:
    world, mailer = confirmed(), RecordingMailer()
    for _ in range(3):
        with pytest.raises(CrashError):
            world.notify(mailer, store=HangingStore())
        world.wait(STANDARD.mail_repeat)
    assert world.stored.sends == ()

    world.notify(mailer)

    assert status(world) is MailStatus.SENT


def test_a_store_that_is_down_uses_up_no_repeat() -> None:
    world, mailer = confirmed(), RecordingMailer(MailUnknown())
    world.notify(mailer)
    world.store.down = True
    for _ in range(3):
        world.wait_until_due()
        put_off = Notified(kind=MailKind.CONFIRMED, status=MailStatus.NOT_SENT)
        assert world.notify(mailer) == put_off
        assert status(world) is MailStatus.UNKNOWN

    world.store.down, mailer.outcome = False, None
    world.wait_until_due()
    world.notify(mailer)

    assert len(mailer.mails) == 2
    assert status(world) is MailStatus.SENT


def test_of_two_workers_at_once_one_sends() -> None:
    world, faster, slower = confirmed(), RecordingMailer(), RecordingMailer()

    assert world.notify(slower, store=InterruptedStore(lambda: world.notify(faster))) is None

    assert (len(faster.mails), len(slower.mails)) == (1, 0)


def test_a_store_failure_after_another_worker_sent_the_mail_postpones_nothing() -> None:
    world, mailer = confirmed(), RecordingMailer()

    def sent_and_down() -> None:
        world.notify(mailer)
        raise DocumentStoreUnavailableError

    assert world.notify(mailer, store=InterruptedStore(sent_and_down)) is None

    assert status(world) is MailStatus.SENT


def test_a_trip_cancelled_while_its_voucher_is_read_is_not_confirmed_any_more() -> None:
    world, mailer = confirmed(), RecordingMailer()

    def cancelled() -> None:
        with world.cases().open(RESERVATION_ID) as case:
            case.put(replace(case.reservation, facts=cancel(case.reservation.facts)))

    assert world.notify(mailer, store=InterruptedStore(cancelled)) is None

    assert mailer.mails == []
    assert world.stored.sends == ()
    assert world.take_hints() == [Queue.SUPPLIER]  # to cancel the booking


@pytest.mark.parametrize("dies", [True, False])
def test_a_mail_that_stays_in_doubt_requires_support_until_it_is_sent(dies: bool) -> None:
    world = confirmed()
    for _ in range(2):
        assert not requires_support(world)
        with suppress(CrashError):
            world.notify(DyingMailer() if dies else RecordingMailer(MailUnknown()))
        world.wait(STANDARD.mail_repeat)
    assert requires_support(world)
    version = world.stored.version

    check_now(CODE, cases=world.cases(actor="ana"))
    assert not requires_support(world)
    world.notify()

    assert status(world) is MailStatus.SENT
    assert not requires_support(world)
    assert world.stored.version > version


def test_a_mail_that_may_still_be_on_its_way_is_not_sent_again() -> None:
    world, mailer = confirmed(), RecordingMailer(MailUnknown())
    world.notify(mailer)
    world.wait(STANDARD.mail_repeat)
    world.notify(mailer)

    check_now(CODE, cases=world.cases(actor="ana"))

    assert world.notify(mailer) is None


def test_a_nudge_sends_no_accepted_mail_again() -> None:
    world, mailer = confirmed(), RecordingMailer(MailAccepted("ses-1"))
    world.notify(mailer)
    world.wait(STANDARD.mail_repeat)

    check_now(CODE, cases=world.cases(actor="ana"))

    assert world.notify(mailer) is None


def test_a_nudge_sends_a_refused_mail_again_once_its_cause_is_fixed() -> None:
    world = confirmed()
    world.notify(RecordingMailer(MailRefused()))

    check_now(CODE, cases=world.cases(actor="ana"))
    world.notify()

    assert status(world) is MailStatus.SENT
    assert not requires_support(world)


def test_an_erased_traveler_gets_no_mail_and_support_is_required() -> None:
    world, mailer = World(rejected()), RecordingMailer()
    with world.unit_of_work() as uow:
        uow.reservations.erase_customer(RESERVATION_ID)
        uow.commit()

    notified = world.notify(mailer)

    assert notified == Notified(kind=MailKind.REJECTED, status=MailStatus.REFUSED)
    assert mailer.mails == []
    assert status(world, MailKind.REJECTED) is MailStatus.REFUSED
    assert requires_support(world)


def test_a_rejection_mail_announces_the_refund() -> None:
    world, mailer = World(rejected()), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.kind is MailKind.REJECTED
    assert (mail.refund, mail.refund_done) == (PRICE, False)
    assert mail.voucher_pdf is None


def test_the_refund_mail_follows_the_rejection_mail() -> None:
    world, mailer = World(rejected(refunded=True)), RecordingMailer()

    world.notify(mailer)
    world.notify(mailer)
    world.notify(mailer)

    assert [mail.kind for mail in mailer.mails] == [MailKind.REJECTED, MailKind.REFUNDED]
    assert mailer.mails[-1].refund_done


def test_a_reservation_without_a_charge_is_promised_no_refund() -> None:
    world, mailer = World(a_reservation(reason=Reason.EXPIRED)), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert (mail.kind, mail.refund) == (MailKind.EXPIRED, None)


def test_a_reservation_in_process_gets_no_mail() -> None:
    world, mailer = World(a_reservation(a_charge())), RecordingMailer()

    assert world.notify(mailer) is None

    assert mailer.mails == []


def test_a_hint_for_no_reservation_sends_nothing() -> None:
    world, mailer = confirmed(), RecordingMailer()
    del world.database.reservations[RESERVATION_ID]

    with pytest.raises(ReservationNotFoundError):
        world.notify(mailer)

    assert mailer.mails == []


# --- the way back


@pytest.mark.parametrize("version", [0, 2])
def test_a_mail_has_a_link_that_opens_its_reservation(version: int) -> None:
    world, mailer = World(replace(confirmed().stored, token_version=version)), RecordingMailer()

    world.notify(mailer)

    [mail] = mailer.mails
    assert mail.manage_url is not None
    page, _, fragment = mail.manage_url.partition("#")
    carried = dict(parse_qsl(fragment))
    assert page == PAGE.url
    assert carried["code"] == display(CODE)
    assert KEYS.verify(carried["token"], "k1", RESERVATION_ID, version)
    assert carried["token"] not in repr(mail)


@pytest.mark.parametrize(
    "page",
    [replace(PAGE, url=None), replace(PAGE, keys=KeyRing(current="k2", keys={"k2": bytes(32)}))],
    ids=["without a page", "without the token's key"],
)
def test_a_mail_leaves_without_a_link_that_would_open_nothing(page: ManagePage) -> None:
    world, mailer = confirmed(), RecordingMailer()

    world.notify(mailer, page=page)

    assert [mail.manage_url for mail in mailer.mails] == [None]


# --- limits of what was never paid


class Mailbox:
    """Declined reservations in one database, whose mails go through one mailer."""

    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.mailer = RecordingMailer()

    def declined(self, number: int, *, email: str = "ana@example.com", **changes: Any) -> None:
        reservation_id = _id(number)
        facts = replace(
            some_facts(a_charge(Status.DECLINED), reason=Reason.PAYMENT_DECLINED),
            reservation_id=reservation_id,
        )
        reservation = a_reservation(facts=facts, reservation_id=reservation_id, code=new_code())
        with InMemoryUnitOfWork(self.database) as uow:
            uow.add(a_creation(replace(reservation, **changes)), a_customer(email=email))
            uow.commit()

    def notify(self, number: int, *, limits: UnpaidMailLimits = LIMITS) -> MailStatus | None:
        notified = notify_customer(
            _id(number),
            cases=Cases(uow=InMemoryUnitOfWork(self.database), policy=STANDARD),
            mailer=self.mailer,
            vouchers=Vouchers(store=InMemoryDocumentStore(), renderer=PlainRenderer()),
            limits=limits,
            page=PAGE,
            support_contact=SUPPORT,
        )
        return notified.status if notified else None

    def stored(self, number: int) -> Reservation:
        return self.database.reservations[_id(number)]


def _id(number: int) -> UUID:
    return UUID(int=number)


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


SPELLINGS = ["ana@example.com", "Ana@Example.com", "ana+1@example.com", "a.n.a@example.com"]


def test_thirty_declined_reservations_send_three_mails_in_an_hour(mailbox: Mailbox) -> None:
    for number in range(30):
        mailbox.declined(number, email=SPELLINGS[number % len(SPELLINGS)])

    statuses = [mailbox.notify(number) for number in range(30)]

    assert statuses == [MailStatus.SENT] * 3 + [MailStatus.HELD] * 27
    assert len(mailbox.mailer.mails) == 3


def test_a_held_mail_leaves_when_it_has_a_place(mailbox: Mailbox) -> None:
    for number in range(4):
        mailbox.declined(number)
        mailbox.notify(number)
    [held] = mailbox.stored(3).sends
    assert (held.status, held.check_at) == (MailStatus.HELD, NOON + HOUR)

    mailbox.database.now = NOON + HOUR - SECOND
    assert mailbox.notify(3) is None
    mailbox.database.now = NOON + HOUR

    assert mailbox.notify(3) is MailStatus.SENT
    assert mailbox.stored(3).sends[0].attempts == 1


def test_a_mail_without_a_place_within_a_day_rests_at_once(mailbox: Mailbox) -> None:
    for number in range(76):
        mailbox.declined(number)
        mailbox.notify(number)

    [held] = mailbox.stored(74).sends
    assert (held.status, held.check_at) == (MailStatus.HELD, NOON + 24 * HOUR)
    [held] = mailbox.stored(75).sends
    assert (held.status, held.check_at) == (MailStatus.HELD, None)
    assert settle(mailbox.stored(75), Moment(NOON, STANDARD)).next_check_at is None
    assert not view(mailbox.stored(75), Moment(NOON, STANDARD)).requires_support


@pytest.mark.parametrize(("address", "client"), [(50, 1000), (1000, 50)])
def test_each_mail_of_a_flood_wakes_once(mailbox: Mailbox, address: int, client: int) -> None:
    limits = replace(LIMITS, address=address, client=client)
    due = [(NOON + number * 18 * SECOND, number) for number in range(200)]
    for _, number in due:
        mailbox.declined(number)
    calls, sent = 0, []

    while due:
        mailbox.database.now, number = heappop(due)
        calls += 1
        if mailbox.notify(number, limits=limits) is MailStatus.SENT:
            sent.append(mailbox.database.now)
        elif check_at := mailbox.stored(number).sends[0].check_at:
            heappush(due, (check_at, number))

    assert len(sent) == 200
    assert calls == 350  # the first 50 leave at once
    assert all(later - first >= HOUR for first, later in zip(sent, sent[50:], strict=False))


def test_after_an_outage_held_mails_do_not_leave_all_at_once(mailbox: Mailbox) -> None:
    for number in range(12):
        mailbox.declined(number)
        mailbox.notify(number)
    mailbox.database.now = NOON + 5 * HOUR

    statuses = [mailbox.notify(number) for number in range(3, 12)]

    assert statuses == [MailStatus.SENT] * 3 + [MailStatus.HELD] * 6


def test_one_client_has_a_limit_of_its_own(mailbox: Mailbox) -> None:
    limits = replace(LIMITS, client=2)
    for number in range(3):
        mailbox.declined(number, email=f"ana{number}@example.com")
    mailbox.declined(3, email="eva@example.com", client_id="partner")

    statuses = [mailbox.notify(number, limits=limits) for number in range(4)]

    assert statuses == [MailStatus.SENT, MailStatus.SENT, MailStatus.HELD, MailStatus.SENT]


@pytest.mark.parametrize(
    "facts",
    [
        some_facts(a_charge(), a_booking(), confirmed_at=NOON),
        some_facts(a_charge(), a_refund(), reason=Reason.SUPPLIER_REJECTED),
        some_facts(a_charge(), a_refund(), reason=Reason.CUSTOMER_CANCELLED, ended_at=NOON),
    ],
    ids=["confirmed", "refunded", "cancelled"],
)
def test_a_flood_holds_back_no_mail_about_what_was_paid(mailbox: Mailbox, facts: Facts) -> None:
    for number in range(9):
        mailbox.declined(number)
        mailbox.notify(number)
    mailbox.declined(9, facts=replace(facts, reservation_id=_id(9)), documents=(a_voucher(),))

    assert mailbox.notify(9) is MailStatus.SENT


def test_a_held_mail_leaves_at_once_when_a_payment_is_found(mailbox: Mailbox) -> None:
    for number in range(4):
        mailbox.declined(number)
        mailbox.notify(number)
    before = mailbox.stored(3)
    paid = (a_charge(Status.DECLINED), a_charge(provider_id="pay_2", key="seen:charge:pay_2"))
    after = replace(before, facts=replace(before.facts, calls=paid))

    assert fulfil(after, NOON) == SendMail(MailKind.REJECTED)
    assert not needs_place(after, MailKind.REJECTED, NOON)


def test_a_repeat_takes_no_second_place(mailbox: Mailbox) -> None:
    mailbox.declined(0)
    mailbox.mailer.outcome = MailNotSent()
    for attempt in range(5):
        mailbox.database.now = NOON + attempt * 6 * MINUTE
        assert mailbox.notify(0) is MailStatus.NOT_SENT

    mailbox.declined(1)
    assert mailbox.notify(1) is MailStatus.NOT_SENT


def test_an_operator_may_send_a_mail_that_rests_unsent(mailbox: Mailbox) -> None:
    send = a_send(MailKind.REJECTED, MailStatus.HELD, attempts=0)
    mailbox.declined(0, sends=(send,))

    again = ask_again(mailbox.stored(0), Moment(NOON + 48 * HOUR, STANDARD))

    assert fulfil(again, NOON + 48 * HOUR) == SendMail(MailKind.REJECTED)


# --- the notice to a former address


def readdressed() -> World:
    """A world whose traveler has another address, at rest but for the notice."""
    world = confirmed()
    world.notify()
    change_address(CODE, "new@example.com", evidence="TICKET-5", cases=world.cases(), keys=KEYS)
    return world


def former(world: World) -> str | None:
    return world.database.customers[RESERVATION_ID].former_email


def notice(world: World) -> MailStatus:
    send = world.stored.send_of(MailKind.ADDRESS_CHANGED)
    assert send is not None
    return send.status


def test_a_changed_address_hints_to_the_mail_step_in_its_transaction() -> None:
    assert readdressed().take_hints()[-1:] == [Queue.NOTIFICATION]


def test_a_notice_goes_to_the_former_address_which_is_then_forgotten() -> None:
    world, mailer = readdressed(), RecordingMailer()
    assert former(world) == a_customer().email

    notified = world.notify(mailer)

    assert notified == Notified(kind=MailKind.ADDRESS_CHANGED, status=MailStatus.SENT)
    assert [told.to for told in mailer.notices] == [a_customer().email]
    assert mailer.mails == []
    assert former(world) is None
    assert world.events[-1] == "mail.sent.address_changed"
    assert world.stored.next_check_at is None


def test_a_crash_in_a_notice_costs_one_repeat() -> None:
    world, dying, mailer = readdressed(), DyingMailer(), RecordingMailer()
    with pytest.raises(CrashError):
        world.notify(dying)

    world.wait_until_due()
    world.notify(mailer)

    assert len(mailer.notices) == 1
    assert (notice(world), former(world)) == (MailStatus.SENT, None)


def test_a_notice_that_surely_did_not_leave_keeps_its_address() -> None:
    world, mailer = readdressed(), RecordingMailer(MailNotSent())
    world.notify(mailer)
    assert former(world) == a_customer().email

    mailer.outcome = None
    world.wait_until_due()
    world.notify(mailer)

    assert (notice(world), former(world)) == (MailStatus.SENT, None)


def test_a_refused_notice_is_history_and_no_matter_for_the_traveler() -> None:
    world = readdressed()

    world.notify(RecordingMailer(MailRefused()))

    assert world.events[-1] == "mail.refused.address_changed"
    assert former(world) is None
    assert not view(world.stored, Moment(world.now, STANDARD)).requires_support


def test_each_former_address_gets_a_notice() -> None:
    world, mailer = readdressed(), RecordingMailer()
    world.notify(mailer)

    change_address(CODE, "third@example.com", evidence="TICKET-6", cases=world.cases(), keys=KEYS)
    world.notify(mailer)

    assert [told.to for told in mailer.notices] == [a_customer().email, "new@example.com"]
    assert world.events.count("mail.sent.address_changed") == 2


def test_nothing_is_erased_while_a_notice_is_due() -> None:
    world = readdressed()

    with pytest.raises(DecisionRefusedError):
        erase(CODE, cases=world.cases(), store=world.store)

    assert former(world) == a_customer().email
