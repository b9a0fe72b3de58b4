"""Rows to reservations and back. A row has the driver's types: bytes for an id, an integer for a truth value."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from enum import StrEnum
from typing import Any
from uuid import UUID

from reservations.adapters.mysql.engine import Row
from reservations.domain.change import Change
from reservations.domain.facts import (
    Call,
    Contradiction,
    Decision,
    Facts,
    Kind,
    Operation,
    Reason,
    Status,
)
from reservations.domain.messages import Hint, Queue
from reservations.domain.money import Money
from reservations.domain.reservation import (
    Customer,
    Document,
    DocumentType,
    Language,
    MailKind,
    MailSend,
    MailStatus,
    Offer,
    Reservation,
)
from reservations.domain.stored_words import UnknownWord, is_known, read_word
from reservations.domain.views import Glance
from reservations.domain.words import Review, State

Values = dict[str, Any]

_REVIEW, _KIND = "review", "kind"
_OFFER = [field.name for field in fields(Offer)]  # its columns have the names of its members


def identifier(stored: bytes) -> UUID:
    return UUID(bytes=stored)


def reservation_from(
    row: Row,
    *,
    calls: Sequence[Call],
    contradictions: Sequence[Contradiction],
    documents: Sequence[Document],
    sends: Sequence[MailSend],
) -> Reservation:
    """Put a reservation together from the rows of five tables."""
    return Reservation(
        reservation_id=identifier(row.id),
        code=row.code,
        client_id=row.client_id,
        token_kid=row.token_kid,
        token_version=row.token_version,
        quoted=bool(row.quoted),
        offer=Offer(**{column: getattr(row, column) for column in _OFFER}),
        facts=Facts(
            reservation_id=identifier(row.id),
            price=Money(row.price_minor, row.currency),
            created_at=row.created_at,
            calls=tuple(call for call in calls if is_known(call.operation)),
            contradictions=tuple(each for each in contradictions if is_known(each.kind)),
            reason=None if row.reason is None else read_word(Reason, row.reason),
            accepted_minor=row.accepted_minor,
            confirmed_at=row.confirmed_at,
            ended_at=row.ended_at,
            unknown_words=tuple(_unknown_words(row, calls, contradictions)),
        ),
        documents=tuple(documents),
        sends=tuple(sends),
        next_check_at=row.next_check_at,
        next_look_at=row.next_look_at,
        version=row.version,
        updated_at=row.updated_at,
    )


def glance_from(row: Row) -> Glance:
    return Glance(
        reservation_id=identifier(row.id),
        client_id=row.client_id,
        token_kid=row.token_kid,
        token_version=row.token_version,
        starts_on=row.starts_on,
        created_at=row.created_at,
        state=read_word(State, row.state),
        reviewed=bool(row.review),
        mailing=bool(row.mailing),
        served=bool(row.served),
        next_check_at=row.next_check_at,
        version=row.version,
        updated_at=row.updated_at,
    )


def _unknown_words(
    row: Row, calls: Sequence[Call], contradictions: Sequence[Contradiction]
) -> Iterator[UnknownWord]:
    """The words that freeze a reservation."""
    words: list[tuple[str, StrEnum]] = [("state", read_word(State, row.state))]
    words += [(_REVIEW, read_word(Review, word)) for word in filter(None, row.review.split(","))]
    words += [("reason", read_word(Reason, row.reason))] if row.reason else []
    words += [("operation", call.operation) for call in calls]
    words += [("status", call.status) for call in calls]
    words += [(_KIND, each.kind) for each in contradictions]
    words += [("decision", each.decision) for each in contradictions if each.decision]
    for column, word in words:
        if not is_known(word):
            yield UnknownWord(column=column, word=word)


def fixed_values(reservation: Reservation) -> Values:
    """The columns that are written once, with a new reservation."""
    facts = reservation.facts
    return {
        "id": reservation.reservation_id,
        "code": reservation.code,
        "client_id": reservation.client_id,
        "quoted": reservation.quoted,
        **{column: getattr(reservation.offer, column) for column in _OFFER},
        "price_minor": facts.price.minor,
        "currency": facts.price.currency,
        "created_at": facts.created_at,
    }


def changing_values(change: Change) -> Values:
    """The columns that change. Writing them ends a poller's lease."""
    reservation, facts = change.after, change.after.facts
    others = {word.word for word in facts.unknown_words if word.column == _REVIEW}
    set_aside = sum(word.column == _KIND for word in facts.unknown_words)
    return {
        "token_kid": reservation.token_kid,
        "token_version": reservation.token_version,
        "reason": facts.reason,
        "accepted_minor": facts.accepted_minor,
        "state": None if _keeps_its_state(change) else change.state,
        "settled": reservation.next_check_at is None,
        "review": ",".join(sorted(change.reviews | others)),
        "confirmed_at": facts.confirmed_at,
        "ended_at": facts.ended_at,
        "next_check_at": reservation.next_check_at,
        "next_look_at": reservation.next_look_at,
        "contradictions": len(facts.contradictions) + set_aside,
        "lease_token": None,
        "version": reservation.version,
        "updated_at": reservation.updated_at,
    }


def _keeps_its_state(change: Change) -> bool:
    """Return `True` for a frozen reservation, unless it is closed now."""
    before, facts = change.before, change.after.facts
    return facts.frozen and before is not None and before.facts.reason == facts.reason


def call_from(row: Row) -> Call:
    return Call(
        operation=read_word(Operation, row.operation),
        key=row.call_key,
        started_at=row.started_at,
        sent_at=row.sent_at,
        deadline_at=row.deadline_at,
        status=read_word(Status, row.status),
        money=None if row.money_minor is None else Money(row.money_minor, row.currency),
        target=row.target,
        provider_id=row.provider_id,
        locator=row.locator,
        attempts=row.attempts,
        looks=row.looks,
        closed_at=row.closed_at,
        quiet_from=row.quiet_from,
        missing_since=row.missing_since,
        void_asked=bool(row.void_asked),
        check_at=row.check_at,
        doubted=bool(row.doubted),
        priced=bool(row.priced),
        refunded_minor=row.refunded_minor,
        refunds_at=row.refunds_at,
    )


def call_values(reservation_id: UUID, call: Call) -> Values:
    return {
        "reservation_id": reservation_id,
        "call_key": call.key,
        "operation": call.operation,
        "target": call.target,
        "priced": call.priced,
        "started_at": call.started_at,
        **changing_call_values(call),
    }


def changing_call_values(call: Call) -> Values:
    """The columns of a ledger row that change."""
    return {
        "status": call.status,
        "provider_id": call.provider_id,
        "locator": call.locator,
        "money_minor": call.money.minor if call.money else None,
        "currency": call.money.currency if call.money else None,
        "attempts": call.attempts,
        "looks": call.looks,
        "sent_at": call.sent_at,
        "closed_at": call.closed_at,
        "quiet_from": call.quiet_from,
        "missing_since": call.missing_since,
        "void_asked": call.void_asked,
        "check_at": call.check_at,
        "deadline_at": call.deadline_at,
        "doubted": call.doubted,
        "refunded_minor": call.refunded_minor,
        "refunds_at": call.refunds_at,
    }


def contradiction_from(row: Row) -> Contradiction:
    return Contradiction(
        kind=read_word(Kind, row.kind),
        subject=row.subject,
        seen=row.seen,
        number=row.number,
        payment=row.payment,
        money=None if row.money_minor is None else Money(row.money_minor, row.currency),
        looks=row.looks,
        first_at=row.first_at,
        last_at=row.last_at,
        check_at=row.check_at,
        opened_at=row.opened_at,
        over_at=row.over_at,
        closed_at=row.closed_at,
        sticky=bool(row.sticky),
        decision=None if row.decision is None else read_word(Decision, row.decision),
        evidence=row.evidence,
    )


def contradiction_values(reservation_id: UUID, row: Contradiction) -> Values:
    values = {member.name: getattr(row, member.name) for member in fields(row)}
    del values["money"]
    return {
        "reservation_id": reservation_id,
        **values,
        "money_minor": row.money.minor if row.money else None,
        "currency": row.money.currency if row.money else None,
    }


def document_from(row: Row) -> Document:
    return Document(
        type=read_word(DocumentType, row.type),
        s3_key=row.s3_key,
        sha256=row.sha256,
        issued_at=row.issued_at,
        removed_at=row.removed_at,
    )


def document_values(reservation_id: UUID, document: Document) -> Values:
    return {
        "reservation_id": reservation_id,
        "type": document.type,
        "s3_key": document.s3_key,
        "sha256": document.sha256,
        "issued_at": document.issued_at,
        "removed_at": document.removed_at,
    }


def send_from(row: Row) -> MailSend:
    return MailSend(
        kind=read_word(MailKind, row.kind),
        status=read_word(MailStatus, row.status),
        attempts=row.attempts,
        sent_at=row.sent_at,
        check_at=row.check_at,
        ses_id=row.ses_id,
    )


def send_values(reservation_id: UUID, send: MailSend) -> Values:
    return {
        "reservation_id": reservation_id,
        "kind": send.kind,
        "status": send.status,
        "attempts": send.attempts,
        "sent_at": send.sent_at,
        "check_at": send.check_at,
        "ses_id": send.ses_id,
    }


def customer_from(row: Row) -> Customer:
    return Customer(
        full_name=row.full_name,
        email=row.email,
        phone=row.phone,
        payment_token=row.payment_token,
        language=Language(row.language) if row.language in set(Language) else Language.SPANISH,
        former_email=row.former_email,
    )


def customer_values(reservation_id: UUID, customer: Customer) -> Values:
    return {
        "reservation_id": reservation_id,
        "full_name": customer.full_name,
        "email": customer.email,
        "phone": customer.phone,
        "payment_token": customer.payment_token,
        "language": customer.language,
        "former_email": customer.former_email,
    }


def hint_from(row: Row) -> Hint:
    return Hint(
        message_id=identifier(row.message_id),
        queue=Queue(row.queue),
        reservation_id=identifier(row.reservation_id),
        type=row.type,
        occurred_at=row.occurred_at,
        traceparent=row.traceparent,
    )


def hint_values(hint: Hint) -> Values:
    return {
        "message_id": hint.message_id,
        "queue": hint.queue,
        "reservation_id": hint.reservation_id,
        "type": hint.type,
        "occurred_at": hint.occurred_at,
        "traceparent": hint.traceparent,
    }
