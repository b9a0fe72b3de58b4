"""The reservation: the request, the facts since, and the documents and mails handed over."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from uuid import UUID

from reservations.domain.facts import Facts
from reservations.domain.standing import Standing
from reservations.domain.stored_words import is_known


class Language(StrEnum):
    SPANISH = "es"
    ENGLISH = "en"


class DocumentType(StrEnum):
    VOUCHER = "voucher"


class MailKind(StrEnum):
    """A kind of mail: due once per reservation, but those of `ASKED_FOR` each time.

    A send without an answer is repeated once.
    """

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    VOUCHER = "voucher"
    IN_PROGRESS = "in_progress"  # it lasts longer than a traveler waits at the screen
    UNDER_REVIEW = "under_review"
    LINK = "link"  # the way back to the reservation
    ADDRESS_CHANGED = "address_changed"  # to the address before


ASKED_FOR = (MailKind.ADDRESS_CHANGED, MailKind.LINK)
"""Mails that a person asks for. They wait for no other mail, nor any mail for them."""


class MailStatus(StrEnum):
    STARTED = "started"
    UNKNOWN = "unknown"  # the request left and no answer came
    NOT_SENT = "not_sent"  # surely not sent: it is retried
    HELD = "held"  # never sent: too many mails about what was never paid
    SENT = "sent"
    REFUSED = "refused"  # the mail service will never take it: a person must check


class MailFeedback(StrEnum):
    """Feedback about a mail that the mail service took."""

    BOUNCED = "bounced"  # it will never arrive there
    RETURNED = "returned"  # a full mailbox, or an automatic answer
    COMPLAINED = "complained"  # the traveler called it unwanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The trip that the traveler chose, as the frontend sent it."""

    offer_id: str
    description: str
    starts_on: date
    ends_on: date
    guests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Personal data and the payment token. One table stores them, and no log shows them."""

    full_name: str = field(repr=False)
    email: str = field(repr=False)
    phone: str | None = field(default=None, repr=False)
    payment_token: str | None = field(default=None, repr=False)
    language: Language = Language.SPANISH
    former_email: str | None = field(default=None, repr=False)  # until its notice is sent


ERASED = Customer(full_name="", email="")  # a customer whose data were deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A stored document. After `removed_at` its object is gone and is not made again."""

    type: DocumentType
    s3_key: str
    sha256: str
    issued_at: datetime
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSend:
    """One row of the send ledger, written before the send: mails have no idempotency key."""

    kind: MailKind
    status: MailStatus
    attempts: int
    sent_at: datetime
    check_at: datetime | None = None
    ses_id: str | None = None

    @property
    def known(self) -> bool:
        """`False` for a mail of another release, which alone may touch it."""
        return is_known(self.kind) and is_known(self.status)

    @property
    def in_doubt(self) -> bool:
        """`True` if the last send may never have left. It is not tried again by itself."""
        return self.check_at is None and self.status in (MailStatus.STARTED, MailStatus.UNKNOWN)


@dataclass(frozen=True, kw_only=True)  # no slots: it keeps its standing
class Reservation:
    """One reservation as stored. It is replaced inside the transaction that locks its row."""

    reservation_id: UUID
    code: str
    client_id: str
    token_kid: str
    token_version: int = 0  # raised by each revocation of the access token
    quoted: bool = False  # whoever priced the offer signed it, description included
    offer: Offer
    facts: Facts
    documents: tuple[Document, ...] = ()
    sends: tuple[MailSend, ...] = ()
    next_check_at: datetime | None
    next_look_at: datetime | None = (
        None  # the next far look, which leaves a settled reservation settled
    )
    version: int = 1
    updated_at: datetime

    @cached_property
    def standing(self) -> Standing:
        return Standing(self.facts)

    def send_of(self, kind: MailKind) -> MailSend | None:
        return next((send for send in self.sends if send.kind is kind), None)

    def is_held(self, kind: MailKind) -> bool:
        send = self.send_of(kind)
        return send is not None and send.status is MailStatus.HELD

    def put_send(self, send: MailSend) -> "Reservation":
        """Replace the send of that kind, or add it at the end."""
        if self.send_of(send.kind) is None:
            return replace(self, sends=(*self.sends, send))
        return replace(
            self, sends=tuple(send if old.kind is send.kind else old for old in self.sends)
        )

    @property
    def voucher(self) -> Document | None:
        return {document.type: document for document in self.documents}.get(DocumentType.VOUCHER)
