"""Changes that the database itself refuses."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import CheckConstraint, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from reservations.adapters.mysql.engine import Database, error_number
from reservations.adapters.mysql.tables import METADATA
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.ports import Attempt
from reservations.domain.actions import Verb
from reservations.domain.errors import KnowledgeLostError
from reservations.domain.facts import Contradiction, Kind
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from tests.worlds.builders import (
    CHARGE_KEY,
    NOON,
    RESERVATION_ID,
    a_change,
    a_charge,
    a_creation,
    a_customer,
    a_reservation,
    a_send,
    a_voucher,
)
from tests.worlds.sql import run

CHECK_VIOLATED = (3819, 4025)  # MySQL, MariaDB

# One change that each check refuses, to rows that satisfy all of them.
BREAKS = {
    "ck_reservation_state": "reservation SET state = 'LOST', reason = 'expired'",
    "ck_reservation_reason": "reservation SET reason = 'bored', state = 'CANCELLED'",
    "ck_reservation_live": "reservation SET reason = 'expired'",
    "ck_reservation_settled": "reservation SET settled = 1",
    "ck_reservation_confirmed": "reservation SET state = 'SUPPLIER_CONFIRMED'",
    "ck_reservation_ended": "reservation SET ended_at = created_at",
    "ck_reservation_offer": "reservation SET guests = 0",
    "ck_reservation_price": "reservation SET price_minor = 0",
    "ck_reservation_version": "reservation SET version = 0",
    "ck_customer_language": "customer SET language = 'fr'",
    "ck_provider_call_operation": "provider_call SET operation = 'gift'",
    "ck_provider_call_status": "provider_call SET status = 'perhaps'",
    "ck_provider_call_closed": "provider_call SET closed_at = NULL",
    "ck_provider_call_provider_id": "provider_call SET provider_id = NULL",
    "ck_provider_call_money": "provider_call SET currency = NULL",
    "ck_provider_call_counts": "provider_call SET looks = -1",
    "ck_provider_attempt_verb": "provider_attempt SET verb = 'beg'",
    "ck_outbox_status": "outbox SET status = 'lost', lease_token = NULL",
    "ck_outbox_queue": "outbox SET queue = 'nowhere'",
    "ck_outbox_lease": "outbox SET status = 'published', lease_token = message_id",
    "ck_outbox_refusals": "outbox SET refusals = -1",
    "ck_document_type": "document SET type = 'poem'",
    "ck_mail_send_kind": "mail_send SET kind = 'love'",
    "ck_mail_send_status": "mail_send SET status = 'lost'",
    "ck_mail_send_attempts": "mail_send SET attempts = -1",
    "ck_contradiction_kind": "contradiction SET kind = 'quarrel'",
    "ck_contradiction_decision": "contradiction SET decision = 'perhaps'",
    "ck_contradiction_money": "contradiction SET money_minor = 1",
    "ck_contradiction_counts": "contradiction SET looks = -1",
}


@pytest.fixture
def filled(database: Database) -> Database:
    """One row in every table that has a check."""
    reservation = a_reservation(
        a_charge(), documents=(a_voucher(),), sends=(a_send(ses_id="0102"),)
    )
    absent = Contradiction(
        kind=Kind.PAYMENT_ABSENT, subject="pay_1", seen="absent", first_at=NOON, last_at=NOON
    )
    doubtful = replace(reservation, facts=reservation.facts.put_contradiction(absent))
    attempt = Attempt(
        call_key=CHARGE_KEY,
        verb=Verb.CHARGE,
        sent_at=NOON,
        outcome="Seen",
        http_status=201,
        elapsed_ms=12,
    )
    hint = Hint(
        message_id=uuid7(NOON),
        queue=Queue.PAYMENT,
        reservation_id=RESERVATION_ID,
        type="payment.due",
        occurred_at=NOON,
    )
    with MySqlUnitOfWork(database) as uow:
        uow.add(a_creation(doubtful), a_customer())
        uow.reservations.add_attempt(RESERVATION_ID, attempt)
        uow.outbox.add(hint, lease=timedelta(0))
        uow.commit()
    return database


def number_of(error: DBAPIError) -> int | None:
    return error_number(error.orig) if error.orig else None


def test_there_is_a_breaking_change_for_every_check() -> None:
    declared = {
        constraint.name
        for table in METADATA.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert declared == BREAKS.keys()


@pytest.mark.parametrize("name", BREAKS)
def test_a_check_refuses(filled: Database, name: str) -> None:
    with pytest.raises(DBAPIError) as caught:
        run(filled, text(f"UPDATE {BREAKS[name]}"))

    assert number_of(caught.value) in CHECK_VIOLATED
    assert name in str(caught.value.orig)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM reservation",
        "DELETE FROM provider_call",
        "INSERT INTO history (reservation_id, event, at, actor)"
        " VALUES (REPEAT('x', 16), 'e', UTC_TIMESTAMP(6), 'a')",
    ],
)
def test_dependent_rows_keep_their_reservation(filled: Database, statement: str) -> None:
    with pytest.raises(IntegrityError):
        run(filled, text(statement))


def test_a_row_that_changed_under_its_reader_is_not_overwritten(filled: Database) -> None:
    with MySqlUnitOfWork(filled) as uow:
        read = uow.open(RESERVATION_ID).reservation
        run(filled, text("UPDATE reservation SET version = version + 1"))
        uow.store(a_change(read, read, now=NOON))

        with pytest.raises(KnowledgeLostError):
            uow.commit()


def test_text_that_does_not_fit_is_refused_not_cut(filled: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        run(filled, text("UPDATE customer SET full_name = REPEAT('x', 201)"))

    assert number_of(caught.value) == 1406
