"""Reservations and their parts for tests. A test names only the detail that matters."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from reservations.domain.actions import Action, Send
from reservations.domain.change import Change
from reservations.domain.codes import canonical
from reservations.domain.facts import (
    OPEN,
    Call,
    Contradiction,
    Facts,
    Kind,
    Operation,
    Reason,
    Status,
)
from reservations.domain.money import Money
from reservations.domain.plan import Settlement
from reservations.domain.policy import STANDARD, Moment
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

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

RESERVATION_ID = UUID("0195511f-3c00-7abc-8def-0123456789ab")
CODE = canonical("7KQ2M-XD4RT-S")
PRICE = Money(34250, "EUR")

CHARGE_KEY = f"charge:{RESERVATION_ID}"
BOOK_KEY = f"book:{RESERVATION_ID}"

_NAMELESS = (Status.STARTED, Status.UNKNOWN, Status.NOT_FOUND)  # the provider's id is not known yet


def a_call(operation: Operation, key: str, status: Status, at: datetime, **changes: Any) -> Call:
    """A row begun at `at`, and closed at the same time if its status ends the call."""
    closed_at = None if status in OPEN else at
    row = Call(
        operation=operation,
        key=key,
        status=status,
        started_at=at,
        sent_at=at,
        deadline_at=at + STANDARD.deadline,
        closed_at=closed_at,
        quiet_from=closed_at,
        check_at=at + STANDARD.rung(0) if status in OPEN else None,
    )
    return replace(row, **changes)


def a_charge(
    status: Status = Status.SUCCEEDED,
    *,
    at: datetime = NOON,
    provider_id: str = "pay_1",
    key: str = CHARGE_KEY,
    **changes: Any,
) -> Call:
    named = None if status in _NAMELESS else provider_id
    fields = {"money": PRICE, "provider_id": named, **changes}
    return a_call(Operation.CHARGE, key, status, at, **fields)


def a_booking(
    status: Status = Status.SUCCEEDED,
    *,
    at: datetime = NOON,
    provider_id: str = "bkg_1",
    key: str = BOOK_KEY,
    **changes: Any,
) -> Call:
    named = None if status in _NAMELESS else provider_id
    fields = {"provider_id": named, "locator": "HOTEL-77" if named else None, **changes}
    return a_call(Operation.BOOK, key, status, at, **fields)


def a_refund(
    status: Status = Status.SUCCEEDED, *, of: str = "pay_1", at: datetime = NOON, **changes: Any
) -> Call:
    named = None if status in _NAMELESS else f"ref_{of}"
    fields: dict[str, Any] = {"money": PRICE, "target": of, "provider_id": named, **changes}
    return a_call(Operation.REFUND, fields.pop("key", f"refund:{of}"), status, at, **fields)


def a_cancellation(
    status: Status = Status.SUCCEEDED, *, of: str = "bkg_1", at: datetime = NOON, **changes: Any
) -> Call:
    named = None if status in _NAMELESS else of
    fields = {"target": of, "provider_id": named, **changes}
    return a_call(Operation.CANCEL_BOOKING, f"cancel:{of}", status, at, **fields)


def a_contradiction(
    kind: Kind = Kind.BOOKING_ABSENT, subject: str = "bkg_1", *, at: datetime = NOON, **changes: Any
) -> Contradiction:
    """An open contradiction."""
    row = Contradiction(
        kind=kind,
        subject=subject,
        seen="absent",
        looks=3,
        first_at=at,
        last_at=at,
        opened_at=at,
        check_at=at + STANDARD.reminder,
    )
    return replace(row, **changes)


def row_of(action: Action) -> Call:
    """The ledger row that a request begins or is about."""
    if not isinstance(action, Send):
        return action.call
    fields = {"target": action.target, "money": action.money}
    return a_call(action.operation, action.key, Status.STARTED, NOON, **fields)


def some_facts(*calls: Call, reason: Reason | None = None, **changes: Any) -> Facts:
    facts = Facts(
        reservation_id=RESERVATION_ID, price=PRICE, created_at=NOON, calls=calls, reason=reason
    )
    return replace(facts, **changes)


def a_customer(**changes: Any) -> Customer:
    customer = Customer(
        full_name="Ana Pérez",
        email="ana@example.com",
        phone="+34600111222",
        payment_token="tok_ok",
        language=Language.SPANISH,
    )
    return replace(customer, **changes)


def an_offer(**changes: Any) -> Offer:
    offer = Offer(
        offer_id="HTL-MAD-001",
        description="Hotel Sol, doble",
        starts_on=date(2027, 5, 1),
        ends_on=date(2027, 5, 4),
        guests=2,
    )
    return replace(offer, **changes)


def a_voucher(**changes: Any) -> Document:
    voucher = Document(
        type=DocumentType.VOUCHER, s3_key="vouchers/a.pdf", sha256="0" * 64, issued_at=NOON
    )
    return replace(voucher, **changes)


def a_send(
    kind: MailKind = MailKind.CONFIRMED, status: MailStatus = MailStatus.SENT, **changes: Any
) -> MailSend:
    return replace(MailSend(kind=kind, status=status, attempts=1, sent_at=NOON), **changes)


def a_creation(reservation: Reservation) -> Change:
    """The change that stores a new reservation."""
    return a_change(None, reservation, now=reservation.updated_at)


def a_change(
    before: Reservation | None, after: Reservation, *, now: datetime, actor: str = "system"
) -> Change:
    """The change from a reservation to another, wake-up included."""
    settled = Settlement(reservation=after, timer=after.next_check_at)
    return Change.of(before, settled, Moment(now, STANDARD), actor=actor)


def a_reservation(
    *calls: Call,
    reason: Reason | None = None,
    facts: Facts | None = None,
    documents: tuple[Document, ...] = (),
    sends: tuple[MailSend, ...] = (),
    **changes: Any,
) -> Reservation:
    reservation = Reservation(
        reservation_id=RESERVATION_ID,
        code=CODE,
        client_id="web",
        token_kid="k1",
        offer=an_offer(),
        facts=facts or some_facts(*calls, reason=reason),
        documents=documents,
        sends=sends,
        next_check_at=NOON,
        updated_at=NOON,
    )
    return replace(reservation, **changes)
