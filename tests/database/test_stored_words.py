"""Rows outlive the lists of a release: a word of another release is read, kept and left alone.

Each test takes one word out of a stored enum, as seen from this release.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ops import output
from reservations.adapters.mysql.audit import MySqlAudit
from reservations.adapters.mysql.checkpoints import MySqlCheckpoints
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.oversight import MySqlOversight
from reservations.adapters.mysql.retention import MySqlRetention
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.provider_http import ProviderHttp
from reservations.application import operate
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.application.clean_up import clean_up
from reservations.application.confirm_supplier import confirm_supplier
from reservations.application.issue_voucher import issue_voucher
from reservations.application.notify_customer import Vouchers, notify_customer
from reservations.application.oversee import check_invariants
from reservations.application.poll_outbox import poll_outbox
from reservations.application.ports import Attempt, PaymentsApi, SupplierApi
from reservations.application.process_payment import process_payment
from reservations.application.read_reservation import Reader, link_to_voucher
from reservations.domain.actions import Inquire, Sent, Verb
from reservations.domain.decisions import DecisionRefusedError
from reservations.domain.errors import DocumentStoreUnavailableError
from reservations.domain.facts import Call, Decision, Listing, Reason, Seen, Status
from reservations.domain.fulfilment import record_send
from reservations.domain.learning import record
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.reservation import (
    DocumentType,
    Language,
    MailKind,
    MailStatus,
    Reservation,
)
from reservations.domain.views import View, view
from reservations.domain.words import PublicStatus, Review, State
from tests.worlds.application import KEYS, LIMITS, PAGE, SUPPORT
from tests.worlds.builders import (
    BOOK_KEY,
    CHARGE_KEY,
    CODE,
    HOUR,
    MINUTE,
    RESERVATION_ID,
    a_booking,
    a_cancellation,
    a_charge,
    a_creation,
    a_customer,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.fakes import (
    InMemoryDocumentStore,
    PlainRenderer,
    RecordingMailer,
    RecordingPublisher,
    ScriptedPayments,
    ScriptedSupplier,
)
from tests.worlds.providers import Simulator
from tests.worlds.sql import run

DAY = 24 * HOUR

# The next release has widened these CHECKs before it writes its words.
_WIDENED = {
    "reservation": ("ck_reservation_state", "ck_reservation_reason", "ck_reservation_live"),
    "provider_call": (
        "ck_provider_call_operation",
        "ck_provider_call_status",
        "ck_provider_call_closed",
    ),
    "provider_attempt": ("ck_provider_attempt_verb",),
    "contradiction": ("ck_contradiction_kind", "ck_contradiction_decision"),
    "document": ("ck_document_type",),
    "mail_send": ("ck_mail_send_kind", "ck_mail_send_status"),
    "customer": ("ck_customer_language",),
}
_CHECKS = text(
    "SELECT constraint_name FROM information_schema.check_constraints"
    " WHERE constraint_schema = DATABASE()"
)

_CONTRADICTION = (
    "INSERT INTO contradiction"
    " (reservation_id, kind, subject, number, seen, looks, first_at, last_at, sticky{})"
    " SELECT id, '{}', 'pay_1', 1, 'open', 1, created_at, created_at, 0{} FROM reservation"
)

# One word for each stored enum that decides about money or service.
FREEZING = {
    "state": "UPDATE reservation SET state = 'ON_HOLD'",
    "review": "UPDATE reservation SET review = 'fraud'",
    "reason": "UPDATE reservation SET reason = 'no_show', state = 'CANCELLED'",
    "operation of the charge": "UPDATE provider_call SET operation = 'insure' WHERE operation = 'charge'",
    "status of the charge": "UPDATE provider_call SET status = 'disputed' WHERE operation = 'charge'",
    "kind of a contradiction": _CONTRADICTION.format("", "embargo", ""),
    "decision about a contradiction": _CONTRADICTION.format(
        ", decision, closed_at", "dispute", ", 'appealed', created_at"
    ),
    "status of the booking": "UPDATE provider_call SET status = 'moved' WHERE operation = 'book'",
}


@dataclass(slots=True)
class World:
    """One reservation, two hours old, and what may run on it."""

    database: Database

    def keep(self, *more: Call, **changes: Any) -> None:
        """Store a confirmed reservation with its papers, looked after for a while yet."""
        then = self.database.now() - 2 * HOUR
        calls = (a_charge(at=then, check_at=then), a_booking(at=then, check_at=then))
        facts = some_facts(*calls, *more, confirmed_at=then, created_at=then)
        starts_on = (then + 30 * DAY).date()
        kept = a_reservation(
            facts=facts,
            offer=an_offer(starts_on=starts_on, ends_on=starts_on + 3 * DAY),
            documents=(a_voucher(),),
            sends=(a_send(),),
            next_check_at=then,
            updated_at=then,
        )
        self.add(replace(kept, **changes))

    def keep_untold(self) -> None:
        """Store a confirmed reservation whose voucher and mail are owed."""
        self.keep(documents=(), sends=())

    def keep_unconfirmed(self) -> None:
        """Store a paid reservation that the supplier has rejected: it is to be closed and refunded."""
        then = self.database.now() - DAY
        rejected = a_booking(Status.DECLINED, at=then, check_at=then)
        calls = (a_charge(at=then, check_at=then), rejected)
        facts = some_facts(*calls, created_at=then)
        self.add(a_reservation(facts=facts, next_check_at=then, updated_at=then))

    def add(self, reservation: Reservation) -> None:
        with MySqlUnitOfWork(self.database) as uow:
            uow.add(a_creation(reservation), a_customer())
            uow.commit()

    def change(self, sql: str) -> None:
        run(self.database, text(sql))
        run(
            self.database,
            text("UPDATE reservation SET contradictions = EXISTS (SELECT 1 FROM contradiction)"),
        )
        self.database.commit()

    def value(self, sql: str) -> Any:
        found = run(self.database, text(sql)).scalar_one()
        self.database.rollback()
        return found

    @property
    def cases(self) -> Cases:
        return Cases(uow=MySqlUnitOfWork(self.database), policy=STANDARD)

    @property
    def audit(self) -> MySqlAudit:
        return MySqlAudit(self.database)

    @property
    def oversight(self) -> MySqlOversight:
        return MySqlOversight(self.database)

    def found(self) -> Reservation:
        with MySqlUnitOfWork(self.database) as uow:
            found = uow.reservations.find(CODE)
        assert found is not None
        return found

    def seen(self) -> View:
        return view(self.found(), Moment(self.oversight.now(), STANDARD))

    def cancel(self) -> None:
        cases = self.cases
        with cases.uow as uow:
            cancel_reservation(RESERVATION_ID, cases=cases)
            uow.commit()

    def pay(self, payments: PaymentsApi) -> None:
        not_after = datetime.now(UTC) + MINUTE
        process_payment(RESERVATION_ID, cases=self.cases, payments=payments, not_after=not_after)

    def confirm(self, supplier: SupplierApi) -> None:
        not_after = datetime.now(UTC) + MINUTE
        confirm_supplier(RESERVATION_ID, cases=self.cases, supplier=supplier, not_after=not_after)

    def hand_over(self) -> RecordingMailer:
        mailer, store = RecordingMailer(), InMemoryDocumentStore()
        issue_voucher(
            RESERVATION_ID,
            cases=self.cases,
            renderer=PlainRenderer(),
            store=store,
            keys=KEYS,
            support_contact=SUPPORT,
        )
        notify_customer(
            RESERVATION_ID,
            cases=self.cases,
            mailer=mailer,
            vouchers=Vouchers(store=store, renderer=PlainRenderer()),
            limits=LIMITS,
            page=PAGE,
            support_contact=SUPPORT,
        )
        return mailer

    def all_steps(self) -> None:
        """Take each step, with providers that fail the test when they are asked for anything."""
        self.pay(ScriptedPayments())
        self.confirm(ScriptedSupplier())
        assert self.hand_over().mails == []

    def words(self) -> dict[str, Any]:
        """The stored words, whatever they are."""
        columns = "SELECT state, reason, review, contradictions FROM reservation"
        row = run(self.database, text(columns)).one()
        calls = run(
            self.database, text("SELECT call_key, operation, status FROM provider_call ORDER BY id")
        ).all()
        self.database.rollback()
        return {**row._mapping, "calls": [tuple(call) for call in calls]}


@pytest.fixture
def world(database: Database) -> World:
    there = {name for [name] in run(database, _CHECKS)}
    for table, names in _WIDENED.items():
        for name in there & set(names):
            run(database, text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
    database.commit()
    return World(database)


# --- words that freeze


@pytest.mark.parametrize("word", FREEZING)
def test_a_reservation_with_an_unknown_word_is_read_and_in_review(world: World, word: str) -> None:
    world.keep()
    world.change(FREEZING[word])

    closed = word == "reason"
    seen = world.seen()
    assert seen.status is (PublicStatus.EN_CANCELACION if closed else PublicStatus.CONFIRMADA)
    assert seen.documents == (() if closed else (DocumentType.VOUCHER,))
    assert seen.requires_support
    [strange] = world.found().facts.unknown_words
    assert strange.word in FREEZING[word]


@pytest.mark.parametrize("keep", [World.keep, World.keep_untold, World.keep_unconfirmed])
@pytest.mark.parametrize("word", FREEZING)
def test_nothing_is_sent_and_no_word_is_overwritten(
    world: World, word: str, keep: Callable[[World], None]
) -> None:
    keep(world)
    world.change(FREEZING[word])
    before = world.words()

    world.all_steps()
    poll_outbox(
        uow=MySqlUnitOfWork(world.database), publisher=RecordingPublisher(), policy=STANDARD
    )
    operate.check_now(CODE, cases=world.cases)
    world.all_steps()

    after = world.words()
    kept = {*filter(None, before.pop("review").split(","))}
    assert kept | {Review.UNKNOWN_WORD} <= {*after.pop("review").split(",")}
    assert after == before
    offered_again = world.found().next_check_at
    assert offered_again is not None
    assert MINUTE < offered_again - world.oversight.now() <= STANDARD.hint_lease_limit


@pytest.mark.parametrize("word", FREEZING)
def test_a_reservation_with_an_unknown_word_can_be_cancelled(world: World, word: str) -> None:
    world.keep()
    world.change(FREEZING[word])
    ledger = world.words()["calls"]

    world.cancel()

    assert world.seen().status is PublicStatus.EN_CANCELACION
    stored = world.words()
    assert stored["calls"] == ledger
    assert stored["reason"] == ("no_show" if word == "reason" else Reason.CUSTOMER_CANCELLED)
    if word != "state":  # the new state is one that this release knows: it goes on
        world.all_steps()


@pytest.mark.parametrize("word", sorted({*FREEZING} - {"reason"}))
def test_a_cancellation_wakes_a_reservation_at_rest(world: World, word: str) -> None:
    world.keep(next_check_at=None)
    world.change("UPDATE provider_call SET check_at = NULL")
    world.change(FREEZING[word])

    world.cancel()

    assert world.found().next_check_at is not None


def test_a_cancellation_is_not_over_while_a_row_is_not_understood(world: World) -> None:
    now = world.oversight.now()
    world.add(a_reservation(a_charge(at=now), next_check_at=now, updated_at=now))
    world.change(FREEZING["operation of the charge"])

    world.cancel()

    assert world.words()["state"] == State.CANCELLATION_IN_PROGRESS
    assert world.seen().status is PublicStatus.EN_CANCELACION


def test_a_reservation_that_ended_for_a_reason_out_of_use_is_cancelada(world: World) -> None:
    declined = a_charge(Status.DECLINED)
    facts = some_facts(declined, reason=Reason.PAYMENT_DECLINED, ended_at=declined.closed_at)
    world.add(a_reservation(facts=facts, next_check_at=None))
    world.change("UPDATE reservation SET reason = 'no_funds'")

    assert world.seen().status is PublicStatus.CANCELADA
    assert world.found().standing.state is State.CANCELLED


def test_a_cancellation_with_an_unknown_state_is_undone_to_its_end(world: World) -> None:
    world.keep()
    world.change(FREEZING["state"])
    operate.cancel(CODE, cases=world.cases)
    world.change("UPDATE provider_call SET check_at = NULL")

    world.confirm(ScriptedSupplier(Seen(provider_id="bkg_1", status=Status.SUCCEEDED)))
    refunded = Seen(provider_id="ref_1", status=Status.SUCCEEDED, money=Money(34250, "EUR"))
    world.pay(ScriptedPayments(refunded))

    assert world.seen().status is PublicStatus.CANCELADA
    assert world.words()["state"] == State.REFUNDED


def test_the_release_that_knows_the_word_goes_on(world: World) -> None:
    world.keep()
    world.change(FREEZING["status of the charge"])
    world.all_steps()
    world.change("UPDATE provider_call SET status = 'succeeded' WHERE operation = 'charge'")

    assert not world.found().facts.frozen
    world.pay(ScriptedPayments(Listing.of([Seen(provider_id="pay_1", status=Status.SUCCEEDED)])))
    assert world.seen().status is PublicStatus.CONFIRMADA


def test_a_lost_voucher_waits_for_the_release_that_knows_its_booking(world: World) -> None:
    world.keep()
    world.change(FREEZING["status of the booking"])
    reader = Reader(client_id="web", access_token=KEYS.issue("k1", RESERVATION_ID))

    with pytest.raises(DocumentStoreUnavailableError):
        link_to_voucher(
            CODE,
            reader=reader,
            uow=MySqlUnitOfWork(world.database),
            keys=KEYS,
            store=InMemoryDocumentStore(),
            renderer=PlainRenderer(),
            support_contact=SUPPORT,
        )


@pytest.mark.parametrize("word", FREEZING)
def test_an_unknown_word_breaks_no_invariant(world: World, word: str) -> None:
    world.keep(next_check_at=None)
    world.change(FREEZING[word])

    assert not any(check_invariants(world.audit, policy=STANDARD).values())


@pytest.mark.parametrize("word", FREEZING)
def test_operators_see_the_word_and_are_told_what_they_cannot_do(world: World, word: str) -> None:
    world.keep()
    world.change(FREEZING[word])
    world.all_steps()
    [strange] = world.found().facts.unknown_words

    page = output.whole(world.found(), a_customer(), [], world.oversight.now())
    assert str(strange) in str(page)
    assert [each.code for each in world.oversight.in_review(limit=9)] == [CODE]
    with pytest.raises(DecisionRefusedError, match=strange.word):
        operate.resolve_review(CODE, Decision.REFUNDED, evidence="T-1", cases=world.cases)
    with pytest.raises(DecisionRefusedError, match="in review"):
        operate.erase(CODE, cases=world.cases, store=InMemoryDocumentStore())


@pytest.mark.parametrize("word", FREEZING)
def test_retention_forgets_a_reservation_at_rest_with_a_word_out_of_use(
    world: World, word: str
) -> None:
    world.keep(next_check_at=None)
    world.change(FREEZING[word])
    world.change("UPDATE provider_call SET check_at = NULL")
    world.change("UPDATE reservation SET ended_at = created_at WHERE reason IS NOT NULL")
    world.change("UPDATE reservation SET starts_on = '2020-01-01', ends_on = '2020-01-02'")
    store = InMemoryDocumentStore()
    store.put("vouchers/a.pdf", b"%PDF")

    def run() -> tuple[int, int]:
        done = clean_up(
            lambda: False,
            retention=MySqlRetention(world.database),
            checkpoints=MySqlCheckpoints(world.database),
            cases=world.cases,
            store=store,
        )
        return done.travelers, done.documents

    assert run() == (1, 1)
    assert run() == (0, 0)
    assert not store.exists("vouchers/a.pdf")
    assert world.value("SELECT settled FROM reservation") == 1


# --- what arrives meanwhile


@pytest.mark.parametrize("times", ["", ", closed_at = NULL, quiet_from = NULL"])
@pytest.mark.parametrize(
    ("key", "listed"),
    [
        (CHARGE_KEY, Seen(provider_id="pay_1", status=Status.SUCCEEDED)),
        (BOOK_KEY, Seen(provider_id="bkg_1", status=Status.CANCELLED)),
        ("cancel:bkg_2", Seen(provider_id="bkg_1", status=Status.SUCCEEDED)),
    ],
)
def test_a_late_answer_adds_no_row_and_lowers_no_unknown_status(
    world: World, key: str, listed: Seen, times: str
) -> None:
    gone = a_booking(Status.CANCELLED, key="seen:book:bkg_2", provider_id="bkg_2")
    world.keep(gone, a_cancellation(Status.PENDING, of="bkg_2"))
    world.change(f"UPDATE provider_call SET status = 'moved'{times} WHERE provider_id <> 'bkg_2'")
    world.change("UPDATE provider_call SET status = 'moved' WHERE operation = 'cancel_booking'")
    before = world.words()["calls"]

    with world.cases.open(RESERVATION_ID) as case:
        facts = case.reservation.facts
        sent = Sent(action=Inquire(facts.row(key)), at=case.at.now, attempt=1)
        facts = record(facts, sent, Listing.of([listed]), case.at)
        case.put(replace(case.reservation, facts=facts))

    assert world.words()["calls"] == before


def test_a_late_answer_about_a_known_call_is_kept(world: World) -> None:
    world.keep()
    world.change(FREEZING["status of the charge"])

    with world.cases.open(RESERVATION_ID) as case:
        facts = case.reservation.facts
        sent = Sent(action=Inquire(facts.row(BOOK_KEY)), at=case.at.now, attempt=1)
        gone = Listing.of([Seen(provider_id="bkg_1", status=Status.CANCELLED)])
        case.put(replace(case.reservation, facts=record(facts, sent, gone, case.at)))

    assert [status for _, _, status in world.words()["calls"]] == ["disputed", Status.CANCELLED]
    assert world.seen().status is PublicStatus.CONFIRMADA


def test_a_nudge_keeps_the_times_of_an_unknown_status(world: World) -> None:
    world.keep()
    world.change(FREEZING["status of the charge"])

    operate.check_now(CODE, cases=world.cases)

    charge = world.found().facts.row(CHARGE_KEY)
    assert charge.closed_at is not None
    assert charge.quiet_from is not None
    assert charge.due(world.oversight.now())


# --- words that are read past


def test_a_mail_of_an_unknown_kind_is_left_to_its_release(world: World) -> None:
    world.keep(next_check_at=None)
    world.change("UPDATE provider_call SET check_at = NULL")
    world.change(
        "INSERT INTO mail_send (reservation_id, kind, status, attempts, sent_at, check_at)"
        " SELECT id, 'reminder', 'not_sent', 1, created_at, created_at FROM reservation"
    )
    world.all_steps()

    [_, reminder] = world.found().sends
    assert (reminder.kind, reminder.status) == ("reminder", MailStatus.NOT_SENT)
    offered_again = world.found().next_check_at
    assert offered_again is not None
    assert offered_again - world.oversight.now() <= STANDARD.hint_lease_limit

    world.cancel()
    assert world.seen().status is PublicStatus.EN_CANCELACION
    assert not world.found().facts.frozen


def test_a_mail_in_an_unknown_status_is_not_sent_again_nor_overwritten(world: World) -> None:
    world.keep()
    world.change("UPDATE mail_send SET status = 'queued', check_at = '2020-01-01'")
    world.change("UPDATE provider_call SET check_at = NULL")

    world.all_steps()
    with world.cases.open(RESERVATION_ID) as case:  # the answer to a send that was under way
        case.put(record_send(case.reservation, MailKind.CONFIRMED, MailStatus.SENT, case.at))
    operate.check_now(CODE, cases=world.cases)

    assert world.value("SELECT status FROM mail_send") == "queued"
    assert not any(check_invariants(world.audit, policy=STANDARD).values())
    world.cancel()
    assert world.seen().status is PublicStatus.EN_CANCELACION


def test_a_document_of_an_unknown_type_is_hidden_kept_and_erased_with_the_others(
    world: World,
) -> None:
    world.keep(next_check_at=None)
    world.change(
        "INSERT INTO document (reservation_id, type, s3_key, sha256, issued_at)"
        " SELECT id, 'invoice', 'invoices/a.pdf', REPEAT('0', 64), created_at FROM reservation"
    )
    assert world.seen().documents == (DocumentType.VOUCHER,)
    world.cancel()
    assert [document.type for document in world.found().documents] == ["voucher", "invoice"]

    store = InMemoryDocumentStore()
    store.put("invoices/a.pdf", b"%PDF")
    assert operate.remove_documents(RESERVATION_ID, cases=world.cases, store=store)
    assert not store.exists("invoices/a.pdf")
    assert world.value("SELECT COUNT(*) FROM document WHERE removed_at IS NOT NULL") == 2


def test_a_traveler_of_an_unknown_language_reads_spanish(world: World) -> None:
    world.keep(sends=())
    world.change("UPDATE customer SET language = 'pt'")
    world.change("UPDATE provider_call SET check_at = NULL")

    mailer = world.hand_over()

    assert [(mail.kind, mail.language) for mail in mailer.mails] == [
        (MailKind.CONFIRMED, Language.SPANISH)
    ]
    assert world.value("SELECT language FROM customer") == "pt"
    world.cancel()
    assert world.seen().status is PublicStatus.EN_CANCELACION


def test_an_attempt_with_an_unknown_verb_is_shown(world: World) -> None:
    world.keep()
    now = world.oversight.now()
    with MySqlUnitOfWork(world.database) as uow:
        attempt = Attempt(
            call_key=CHARGE_KEY,
            verb=Verb.CHARGE,
            sent_at=now,
            outcome="Seen",
            http_status=200,
            elapsed_ms=9,
        )
        uow.reservations.add_attempt(RESERVATION_ID, attempt)
        uow.commit()
    world.change("UPDATE provider_attempt SET verb = 'capture'")

    [shown] = world.oversight.attempts(RESERVATION_ID)
    page = output.whole(world.found(), a_customer(), [shown], now)
    assert "capture" in str(page)
    world.cancel()
    assert world.seen().status is PublicStatus.EN_CANCELACION


# --- money


def test_a_payment_in_a_currency_out_of_use_is_taken_and_refunded(
    world: World, tmp_path: Path
) -> None:
    price = Money.parse("120.50", "BGN")
    now = world.oversight.now()
    starts_on = (now + 30 * DAY).date()
    world.add(
        a_reservation(
            facts=some_facts(price=price, created_at=now),
            offer=an_offer(starts_on=starts_on, ends_on=starts_on + DAY),
            next_check_at=now,
            updated_at=now,
        )
    )
    with Simulator("payments", tmp_path) as simulator:
        payments = HttpPaymentsApi(
            ProviderHttp(
                base_url=simulator.url,
                api_key="payments-key",
                connect_seconds=2,
                read_seconds=10,
                now=lambda: datetime.now(UTC),
                traceparent=lambda: None,
            )
        )
        world.pay(payments)
        assert world.found().standing.paid == price
        world.cancel()
        world.pay(payments)

        [charged], [returned] = simulator.ledger("charges"), simulator.ledger("refunds")
        assert (charged["amount"], charged["currency"]) == ("120.50", "BGN")
        assert (returned["amount"], returned["payment_id"]) == ("120.50", charged["payment_id"])
    refund = world.seen().refund
    assert refund is not None
    assert str(refund.money) == "120.50 BGN"
    assert world.seen().status is PublicStatus.CANCELADA
    assert not any(check_invariants(world.audit, policy=STANDARD).values())
