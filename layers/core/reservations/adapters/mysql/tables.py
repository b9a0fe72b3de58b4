"""The tables, as SQLModel classes: storage only, as SQLModel does not validate a table's rows.

Ids, codes and keys compare byte by byte. The CHECKs come from the domain's own declarations.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BIGINT,
    BINARY,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.mysql import CHAR, DATETIME, TEXT, VARCHAR
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

from reservations.domain.actions import Verb
from reservations.domain.facts import OPEN, Decision, Kind, Operation, Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.reservation import DocumentType, Language, MailKind, MailStatus
from reservations.domain.words import PUBLIC_STATUS_OF_STATE, State


class Uuid(TypeDecorator[UUID]):
    """Sixteen bytes in the order of the text, so that UUIDv7 keys grow at the end of the index."""

    impl = BINARY(16)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.bytes

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> UUID | None:
        return None if value is None else UUID(bytes=value)


class Utc(TypeDecorator[datetime]):
    """An aware UTC time with microseconds; the column has no zone of its own."""

    impl = DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class OutboxStatus(StrEnum):
    PENDING = "pending"
    PUBLISHED = "published"
    DEAD = "dead"  # refused too often through our own fault, so it needs a person


def _ascii(length: int) -> VARCHAR:
    return VARCHAR(length, charset="ascii", collation="ascii_bin")


def _fixed_ascii(length: int) -> CHAR:
    return CHAR(length, charset="ascii", collation="ascii_bin")


def _text(length: int) -> VARCHAR:
    return VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")


def _required(kind: TypeEngine[Any] | type[TypeEngine[Any]], *rest: Any, **options: Any) -> Any:
    return Field(sa_column=Column(kind, *rest, nullable=False, **options))


def _optional(kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> Any:
    return Field(default=None, sa_column=Column(kind, nullable=True))


def _number() -> Any:
    """A key numbered by the server."""
    return Field(default=None, sa_column=Column(BIGINT, primary_key=True, autoincrement=True))


def _reservation(**options: Any) -> Any:
    return _required(Uuid, ForeignKey("reservation.id"), **options)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


def _one_of(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({_listed(values)})"


_FOR_EVER = "6 años o más: nada la borra"
_UNIDENTIFIED = (Status.STARTED, Status.UNKNOWN, Status.NOT_FOUND)


def _options(purpose: str, *, personal: str = "–", kept: str) -> dict[str, Any]:
    """Options of a table, with its row of docs/02 that `make docs` writes.

    The row, in Spanish: purpose, personal data, and the time a row is kept. `{HINTS_KEPT.days}` is
    a period of `clean_up`.
    """
    return {
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
        "mysql_row_format": "DYNAMIC",
        "info": {"purpose": purpose, "personal": personal, "kept": kept},
    }


class ReservationRow(SQLModel, table=True):
    """`state`, `settled` and `review` are projections of the facts, compared by the invariants."""

    __tablename__ = "reservation"
    __table_args__ = (
        UniqueConstraint("code", name="uq_reservation_code"),
        Index("ix_reservation_next_check_at", "next_check_at", "id"),
        Index("ix_reservation_next_look_at", "next_look_at", "id"),
        Index("ix_reservation_state", "state", "updated_at", "id"),
        Index("ix_reservation_review", "review", "id"),
        CheckConstraint(_one_of("state", State), name="ck_reservation_state"),
        CheckConstraint(
            f"reason IS NULL OR {_one_of('reason', Reason)}", name="ck_reservation_reason"
        ),
        CheckConstraint(
            f"(reason IS NULL) = ({_one_of('state', PUBLIC_STATUS_OF_STATE)})",
            name="ck_reservation_live",
        ),
        CheckConstraint("settled = (next_check_at IS NULL)", name="ck_reservation_settled"),
        CheckConstraint(
            f"state <> '{State.SUPPLIER_CONFIRMED}' OR confirmed_at IS NOT NULL",
            name="ck_reservation_confirmed",
        ),
        CheckConstraint("ended_at IS NULL OR reason IS NOT NULL", name="ck_reservation_ended"),
        CheckConstraint("starts_on <= ends_on AND guests > 0", name="ck_reservation_offer"),
        CheckConstraint("price_minor > 0", name="ck_reservation_price"),
        CheckConstraint("version > 0", name="ck_reservation_version"),
        _options("oferta, precio, motivo de cierre y lo derivado de los hechos", kept=_FOR_EVER),
    )

    id: UUID = _required(Uuid, primary_key=True)
    code: str = _required(_fixed_ascii(11))
    client_id: str = _required(_ascii(64))
    token_kid: str = _required(_ascii(64))
    offer_id: str = _required(_text(128))
    description: str = _required(_text(500))
    starts_on: date = _required(Date)
    ends_on: date = _required(Date)
    guests: int = _required(Integer)
    price_minor: int = _required(BIGINT)
    currency: str = _required(_fixed_ascii(3))
    reason: str | None = _optional(_ascii(32))
    accepted_minor: int | None = _optional(BIGINT)
    state: str = _required(_ascii(32))
    settled: bool = _required(Boolean)
    review: str = _required(_ascii(255))
    confirmed_at: datetime | None = _optional(Utc)
    ended_at: datetime | None = _optional(Utc)
    next_check_at: datetime | None = _optional(Utc)
    lease_token: UUID | None = _optional(Uuid)
    version: int = _required(Integer)
    created_at: datetime = _required(Utc)
    updated_at: datetime = _required(Utc)
    next_look_at: datetime | None = _optional(Utc)
    contradictions: int = _required(Integer, server_default=text("0"))  # its rows; 0 saves a read
    quoted: bool = _required(Boolean, server_default=text("0"))
    token_version: int = _required(Integer, server_default=text("0"))


class CustomerRow(SQLModel, table=True):
    """All personal data, and the payment token while it may be needed."""

    __tablename__ = "customer"
    __table_args__ = (
        Index("ix_customer_address", "address"),
        CheckConstraint(_one_of("language", Language), name="ck_customer_language"),
        _options(
            "el titular",
            personal="nombre, correo, teléfono, idioma, y el vale y el correo anterior mientras hagan falta",
            kept="{PERSONAL_DATA_KEPT.days} días tras el viaje, o hasta `ops erase`",
        ),
    )

    reservation_id: UUID = _reservation(primary_key=True)
    full_name: str = _required(_text(200))
    email: str = _required(_text(320))
    phone: str | None = _optional(_text(32))
    payment_token: str | None = _optional(_text(255))
    language: str = _required(_fixed_ascii(2))
    # The server computes it, so that no writer of an older release can forget it.
    address: str | None = Field(
        default=None,
        sa_column=Column(_text(320), Computed("LOWER(email)", persisted=False), nullable=True),
    )
    former_email: str | None = _optional(_text(320))


class ProviderCallRow(SQLModel, table=True):
    """The ledger.

    A provider's id is unique per reservation only: a faulty provider must not block another one.
    """

    __tablename__ = "provider_call"
    __table_args__ = (
        UniqueConstraint("reservation_id", "call_key", name="uq_provider_call_key"),
        UniqueConstraint(
            "reservation_id", "operation", "provider_id", name="uq_provider_call_provider_id"
        ),
        Index("ix_provider_call_shared", "operation", "provider_id"),
        Index("ix_provider_call_locator", "locator"),
        Index("ix_provider_call_closed_at", "closed_at", "reservation_id"),
        CheckConstraint(_one_of("operation", Operation), name="ck_provider_call_operation"),
        CheckConstraint(_one_of("status", Status), name="ck_provider_call_status"),
        CheckConstraint(
            f"(closed_at IS NULL) = ({_one_of('status', OPEN)})", name="ck_provider_call_closed"
        ),
        CheckConstraint(
            f"provider_id IS NOT NULL OR {_one_of('status', _UNIDENTIFIED)}"
            f" OR operation = '{Operation.CANCEL_BOOKING}'",
            name="ck_provider_call_provider_id",
        ),
        CheckConstraint(
            "(money_minor IS NULL) = (currency IS NULL)", name="ck_provider_call_money"
        ),
        CheckConstraint("attempts >= 0 AND looks >= 0", name="ck_provider_call_counts"),
        _options("libro de llamadas: lo pedido a cada proveedor y lo sabido", kept=_FOR_EVER),
    )

    id: int | None = _number()
    reservation_id: UUID = _reservation()
    call_key: str = _required(_text(300))
    operation: str = _required(_ascii(16))
    target: str | None = _optional(_text(255))
    status: str = _required(_ascii(16))
    provider_id: str | None = _optional(_text(255))
    locator: str | None = _optional(_text(255))
    money_minor: int | None = _optional(BIGINT)
    currency: str | None = _optional(_fixed_ascii(3))
    attempts: int = _required(Integer)
    looks: int = _required(Integer)
    started_at: datetime = _required(Utc)
    sent_at: datetime = _required(Utc)
    closed_at: datetime | None = _optional(Utc)
    quiet_from: datetime | None = _optional(Utc)
    missing_since: datetime | None = _optional(Utc)
    void_asked: bool = _required(Boolean)
    check_at: datetime | None = _optional(Utc)
    deadline_at: datetime = _required(Utc)
    doubted: bool = _required(Boolean, server_default=text("0"))
    refunded_minor: int | None = _optional(BIGINT)
    refunds_at: datetime | None = _optional(Utc)
    priced: bool = _required(Boolean, server_default=text("0"))


class ContradictionRow(SQLModel, table=True):
    """Words of a provider that do not fit the ledger. They freeze what is undone, and change nothing."""

    __tablename__ = "contradiction"
    __table_args__ = (
        UniqueConstraint(
            "reservation_id", "kind", "subject", "number", name="uq_contradiction_matter"
        ),
        Index("ix_contradiction_closed_at", "closed_at", "opened_at"),
        CheckConstraint(_one_of("kind", Kind), name="ck_contradiction_kind"),
        CheckConstraint(
            f"decision IS NULL OR {_one_of('decision', Decision)}", name="ck_contradiction_decision"
        ),
        CheckConstraint(
            "(money_minor IS NULL) = (currency IS NULL)", name="ck_contradiction_money"
        ),
        CheckConstraint("looks >= 0 AND number > 0", name="ck_contradiction_counts"),
        _options("lo que un proveedor dice y no casa con el libro", kept=_FOR_EVER),
    )

    id: int | None = _number()
    reservation_id: UUID = _reservation()
    kind: str = _required(_ascii(32))
    subject: str = _required(_text(255))
    number: int = _required(Integer)
    seen: str = _required(_text(255))
    payment: str | None = _optional(_text(255))
    money_minor: int | None = _optional(BIGINT)
    currency: str | None = _optional(_fixed_ascii(3))
    looks: int = _required(Integer)
    first_at: datetime = _required(Utc)
    last_at: datetime = _required(Utc)
    check_at: datetime | None = _optional(Utc)
    opened_at: datetime | None = _optional(Utc)
    over_at: datetime | None = _optional(Utc)
    closed_at: datetime | None = _optional(Utc)
    sticky: bool = _required(Boolean)
    decision: str | None = _optional(_ascii(16))
    evidence: str | None = _optional(_ascii(128))


class ProviderAttemptRow(SQLModel, table=True):
    """Evidence of each request made for a ledger row."""

    __tablename__ = "provider_attempt"
    __table_args__ = (
        Index("ix_provider_attempt_call", "call_id", "id"),
        CheckConstraint(_one_of("verb", Verb), name="ck_provider_attempt_verb"),
        _options("la prueba de cada petición de una llamada", kept=_FOR_EVER),
    )

    id: int | None = _number()
    call_id: int = _required(BIGINT, ForeignKey("provider_call.id"))
    verb: str = _required(_ascii(16))
    sent_at: datetime = _required(Utc)
    outcome: str = _required(_ascii(32))
    http_status: int | None = _optional(Integer)
    elapsed_ms: int = _required(Integer)
    code: str | None = _optional(_ascii(48))


class HistoryRow(SQLModel, table=True):
    __tablename__ = "history"
    __table_args__ = (
        Index("ix_history_reservation", "reservation_id", "id"),
        _options("qué pasó, cuándo y por quién", kept=_FOR_EVER),
    )

    id: int | None = _number()
    reservation_id: UUID = _reservation()
    event: str = _required(_ascii(64))
    at: datetime = _required(Utc)
    actor: str = _required(_text(128))
    note: str | None = _optional(_ascii(128))


class OutboxRow(SQLModel, table=True):
    """No foreign key: publishing must not wait for a reservation's row lock."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_claim", "status", "available_at", "id"),
        CheckConstraint(_one_of("status", OutboxStatus), name="ck_outbox_status"),
        CheckConstraint(_one_of("queue", Queue), name="ck_outbox_queue"),
        CheckConstraint(
            f"lease_token IS NULL OR status = '{OutboxStatus.PENDING}'", name="ck_outbox_lease"
        ),
        CheckConstraint("refusals >= 0", name="ck_outbox_refusals"),
        _options(
            "indicios que esperan a publicarse",
            kept="{HINTS_KEPT.days} días desde que se publica. `dead`, hasta que alguien lo revisa",
        ),
    )

    id: int | None = _number()
    message_id: UUID = _required(Uuid)
    queue: str = _required(_ascii(16))
    status: str = _required(_ascii(16))
    available_at: datetime = _required(Utc)
    lease_token: UUID | None = _optional(Uuid)
    refusals: int = _required(Integer)
    reservation_id: UUID = _required(Uuid)
    type: str = _required(_ascii(64))
    occurred_at: datetime = _required(Utc)
    traceparent: str | None = _optional(_ascii(64))


class DocumentRow(SQLModel, table=True):
    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("reservation_id", "type", name="uq_document_type"),
        CheckConstraint(_one_of("type", DocumentType), name="ck_document_type"),
        _options(
            "dónde está el bono y su huella",
            kept="6 años o más. El PDF, {DOCUMENTS_KEPT.days} días tras el viaje",
        ),
    )

    id: int | None = _number()
    reservation_id: UUID = _reservation()
    type: str = _required(_ascii(16))
    s3_key: str = _required(_ascii(255))
    sha256: str = _required(_fixed_ascii(64))
    issued_at: datetime = _required(Utc)
    removed_at: datetime | None = _optional(Utc)


class MailSendRow(SQLModel, table=True):
    __tablename__ = "mail_send"
    __table_args__ = (
        UniqueConstraint("reservation_id", "kind", name="uq_mail_send_kind"),
        CheckConstraint(_one_of("kind", MailKind), name="ck_mail_send_kind"),
        CheckConstraint(_one_of("status", MailStatus), name="ck_mail_send_status"),
        CheckConstraint("attempts >= 0", name="ck_mail_send_attempts"),
        _options("qué correo se envió y cómo acabó", kept=_FOR_EVER),
    )

    id: int | None = _number()
    reservation_id: UUID = _reservation()
    kind: str = _required(_ascii(16))
    status: str = _required(_ascii(16))
    attempts: int = _required(Integer)
    sent_at: datetime = _required(Utc)
    check_at: datetime | None = _optional(Utc)
    ses_id: str | None = _optional(_ascii(128))


class WebhookRow(SQLModel, table=True):
    """Webhooks of the providers, each stored once. The reference may match no reservation."""

    __tablename__ = "webhook"
    __table_args__ = (
        Index("ix_webhook_received_at", "received_at"),
        _options(
            "webhooks recibidos, para tomar cada uno una vez", kept="{WEBHOOKS_KEPT.days} días"
        ),
    )

    provider: str = _required(_ascii(32), primary_key=True)
    webhook_id: str = _required(_text(255), primary_key=True)
    type: str = _required(_text(64))
    reference: str = _required(_text(255))
    received_at: datetime = _required(Utc)


class IdempotencyRow(SQLModel, table=True):
    """`response` is null only until its transaction fills it. A JSON column would reorder members."""

    __tablename__ = "idempotency"
    __table_args__ = (
        Index("ix_idempotency_expires_at", "expires_at"),
        _options("la respuesta a cada clave de idempotencia", kept="{KEYS_KEPT.days} días"),
    )

    client_id: str = _required(_ascii(64), primary_key=True)
    operation: str = _required(_ascii(64), primary_key=True)
    idempotency_key: str = _required(_ascii(255), primary_key=True)
    fingerprint: str = _required(_fixed_ascii(64))
    response: str | None = _optional(TEXT)
    expires_at: datetime = _required(Utc)


class ChargeClaimRow(SQLModel, table=True):
    """One row for each key of the ring, so that a rotation between two requests hides neither."""

    __tablename__ = "charge_claim"
    __table_args__ = (
        Index("ix_charge_claim_reservation", "reservation_id"),
        Index("ix_charge_claim_claimed_at", "claimed_at"),
        _options(
            "qué reserva cobra con un mismo vale y cuerpo",
            personal="resumen con clave del vale y el cuerpo",
            kept="hasta que se cierra, o {CLAIMS_KEPT.days} días una vez pagada",
        ),
    )

    client_id: str = _required(_ascii(64), primary_key=True)
    digest: bytes = _required(BINARY(32), primary_key=True)
    reservation_id: UUID = _reservation()
    claimed_at: datetime = _required(Utc)


class UnpaidMailRow(SQLModel, table=True):
    """The last mails about what was never paid, of one address or of one client."""

    __tablename__ = "unpaid_mail"
    __table_args__ = (
        Index("ix_unpaid_mail_sent_at", "sent_at"),
        _options(
            "sitios de los correos sobre lo no pagado: los de la última hora y los reservados",
            personal="resumen con clave de la dirección",
            kept="hasta una hora después de su momento, y la limpieza de ese día",
        ),
    )

    digest: bytes = _required(BINARY(32), primary_key=True)
    slot: int = _required(Integer, primary_key=True, autoincrement=False)
    sent_at: datetime = _required(Utc)


class CheckpointRow(SQLModel, table=True):
    """The place of a scheduled job in its pass over a whole table."""

    __tablename__ = "checkpoint"
    __table_args__ = (
        _options(
            "hasta dónde llegó cada trabajo del reloj que va por partes",
            kept="siempre: una fila por trabajo",
        ),
    )

    job: str = _required(_ascii(32), primary_key=True)
    reservation_id: UUID | None = _optional(Uuid)
    history_id: int | None = _optional(BIGINT)
    began_at: datetime = _required(Utc)
    whole_at: datetime | None = _optional(Utc)  # the beginning of the last pass that ended


class FindingRow(SQLModel, table=True):
    """Broken invariants. No foreign key: a check must not wait for a reservation's row lock."""

    __tablename__ = "finding"
    __table_args__ = (
        _options(
            "invariantes rotas, hasta que dejan de estarlo", kept="hasta que la fila se arregla"
        ),
    )

    reservation_id: UUID = _required(Uuid, primary_key=True)
    invariant: str = _required(_ascii(32), primary_key=True)
    found_at: datetime = _required(Utc)


METADATA = SQLModel.metadata
RESERVATION: Table = METADATA.tables["reservation"]
OUTBOX: Table = METADATA.tables["outbox"]
