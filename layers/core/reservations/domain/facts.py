"""The facts of a reservation: its reason to be closed, and its ledger of calls to providers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from reservations.domain.legibility import is_legible
from reservations.domain.money import Money
from reservations.domain.stored_words import UnknownWord


class Operation(StrEnum):
    """A logical operation at a provider: one ledger row, whatever the number of attempts."""

    CHARGE = "charge"
    REFUND = "refund"
    BOOK = "book"
    CANCEL_BOOKING = "cancel_booking"


class Provider(StrEnum):
    """The party that answers for an operation. The value is its name in the webhook's URL."""

    PAYMENTS = "payments"
    SUPPLIER = "supplier"


PROVIDER_OF = {
    Operation.CHARGE: Provider.PAYMENTS,
    Operation.REFUND: Provider.PAYMENTS,
    Operation.BOOK: Provider.SUPPLIER,
    Operation.CANCEL_BOOKING: Provider.SUPPLIER,
}


class Status(StrEnum):
    """The status of a call, as far as we know."""

    STARTED = "started"
    UNKNOWN = "unknown"
    NOT_FOUND = "not_found"
    PENDING = "pending"
    DECLINED = "declined"
    VOIDED = "voided"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


class DisputeStatus(StrEnum):
    """The stage of a dispute. A lost one has returned its money to the payer."""

    OPEN = "open"
    LOST = "lost"
    WON = "won"


class Kind(StrEnum):
    """The kind of a contradiction: what a provider says that does not fit the ledger."""

    BOOKING_ABSENT = "booking_absent"
    BOOKING_CHANGED = "booking_changed"  # a lower status, other dates or price, an id in other case
    BOOKING_ALIVE = "booking_alive"  # although it was cancelled
    PAYMENT_ABSENT = "payment_absent"  # or voided
    PAYMENT_CHANGED = "payment_changed"  # a lower status, an id in other case
    FOREIGN_REFUND = "foreign_refund"  # we did not ask for it
    REFUND_FAILED = "refund_failed"  # although it had succeeded
    DISPUTE = "dispute"
    OTHER_SUM = "other_sum"  # of a payment or of a refund


OF_BOOKINGS = frozenset({Kind.BOOKING_ABSENT, Kind.BOOKING_CHANGED, Kind.BOOKING_ALIVE})
OF_PAYMENTS = frozenset(Kind) - OF_BOOKINGS


class Decision(StrEnum):
    """The end of a review: evidence that an operator has seen."""

    PAID = "paid"  # the sum of the payment is accepted in place of the price
    NOT_CHARGED = "not_charged"  # no payment was made; if that was wrong, a late inquiry finds it
    REFUNDED = "refunded"
    BOOKED = "booked"
    NOT_BOOKED = "not_booked"  # no booking was made; if that was wrong, a late inquiry finds it
    CANCELLED = "cancelled"
    STANDS = "stands"  # the provider confirmed by other means that nothing changed
    GONE = "gone"  # the booking does not exist any more
    REBOOKED = "rebooked"  # the booking lives on under another id
    HONOURED = "honoured"  # the reservation stays as it is, and the loss is accepted
    REFUND_AGAIN = "refund_again"
    RETURNED = "returned"  # the traveler has the money back by another way


class Reason(StrEnum):
    """The reason why a reservation is closed. An open one has `None`."""

    PAYMENT_DECLINED = "payment_declined"
    SUPPLIER_REJECTED = "supplier_rejected"
    SUPPLIER_CANCELLED = "supplier_cancelled"
    CUSTOMER_CANCELLED = "customer_cancelled"
    EXPIRED = "expired"


ATTESTED_BY_EVIDENCE = "evidence:"  # begins the id that an operator's evidence gives to a call

OPEN = frozenset({Status.STARTED, Status.UNKNOWN, Status.PENDING})
ENDED = frozenset(Status) - OPEN
LIVE = frozenset({Status.PENDING, Status.SUCCEEDED})

# Knowledge only grows: an answer raises a call's rank or changes nothing. A stale one is harmless.
RANK = {
    Status.STARTED: 0,
    Status.UNKNOWN: 1,
    Status.NOT_FOUND: 2,
    Status.PENDING: 3,
    Status.DECLINED: 4,
    Status.VOIDED: 4,
    Status.SUCCEEDED: 5,
    Status.CANCELLED: 6,
}


def rank_of(status: Status) -> int:
    """The rank of a status. One of another release is above ours: it is never replaced."""
    return RANK.get(status, len(RANK))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One row of the ledger.

    `check_at` is the time of the next act: inquire while open, send again once not found, inquire
    once more when closed. Those late inquiries count from `quiet_from`.
    """

    operation: Operation
    key: str
    started_at: datetime
    sent_at: datetime
    deadline_at: datetime
    status: Status = Status.STARTED
    money: Money | None = None
    target: str | None = None  # the payment to refund, the booking to cancel
    provider_id: str | None = None
    locator: str | None = None  # the supplier's own reference, the one a hotel knows
    attempts: int = 1
    looks: int = 0
    closed_at: datetime | None = None
    quiet_from: datetime | None = None
    missing_since: datetime | None = None  # the first listing without it, not yet refuted
    void_asked: bool = False
    check_at: datetime | None = None
    doubted: bool = False  # it was unknown, not found or sent again at some time
    refunded_minor: int | None = None  # of a charge: the provider's last word
    refunds_at: datetime | None = None  # of a charge: the time to list its refunds
    priced: bool = False  # of a booking: its request carries the price, in every attempt

    @property
    def open(self) -> bool:
        """`True` until its end is known. A status of another release tells no end."""
        return self.status not in ENDED

    @property
    def live(self) -> bool:
        """`True` while the supplier has this booking, confirmed or pending."""
        return self.status in LIVE

    @property
    def reference(self) -> str | None:
        """The text that a hotel finds a guest by: the locator if a reader can see it, else the provider's id."""
        legible = self.locator is not None and is_legible(self.locator)
        return self.locator if legible else self.provider_id

    def due(self, now: datetime) -> bool:
        return self.check_at is not None and self.check_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """One time that a provider did not fit the ledger.

    `subject` is the provider's id of the payment, booking or refund in question, `seen` the provider's
    word about it. `opened_at` is the time at which it was believed, `over_at` the time at which the
    provider agreed again. Each state is read from four members:

    | State                               | opened_at | over_at | closed_at | decision |
    |-------------------------------------|-----------|---------|-----------|----------|
    | suspected                           | `None`    | `None`  | `None`    | `None`   |
    | passed: it was never believed       | `None`    | set     | set       | `None`   |
    | open                                | set       | `None`  | `None`    | `None`   |
    | open, sticky: the provider agrees   | set       | set     | `None`    | `None`   |
    | ended by the provider               | set       | set     | set       | `None`   |
    | counted: others refunded, no review | set       | `None`  | set       | `None`   |
    | decided: the same word opens none   | any       | `None`  | set       | set      |
    | decided, and the provider agrees    | any       | set     | set       | set      |
    """

    kind: Kind
    subject: str
    seen: str
    number: int = 1  # counts the times of the same kind and subject
    payment: str | None = None  # of a refund
    money: Money | None = None
    looks: int = 1
    first_at: datetime
    last_at: datetime
    check_at: datetime | None = None
    opened_at: datetime | None = None
    over_at: datetime | None = None
    closed_at: datetime | None = None
    sticky: bool = False  # only a decision closes it
    decision: Decision | None = None
    evidence: str | None = None

    @property
    def lasts(self) -> bool:
        """`True` while suspected or open."""
        return self.closed_at is None

    @property
    def open(self) -> bool:
        return self.opened_at is not None and self.closed_at is None

    @property
    def by_person(self) -> bool:
        """`True` for what a person wrote down without a provider's word."""
        return self.looks == 0

    @property
    def passed(self) -> bool:
        """`True` for a suspicion that came to nothing."""
        return self.opened_at is None and self.decision is None and self.closed_at is not None

    @property
    def matter(self) -> tuple[Kind, str]:
        return self.kind, self.subject

    @property
    def about(self) -> tuple[Operation, str]:
        """The charge or the booking that a look at it inquires about."""
        if self.kind in OF_BOOKINGS:
            return Operation.BOOK, self.subject
        return Operation.CHARGE, self.payment or self.subject

    def due(self, now: datetime) -> bool:
        return self.check_at is not None and self.check_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The input of every decision of the saga."""

    reservation_id: UUID
    price: Money
    created_at: datetime
    calls: tuple[Call, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()  # in the order of their first looks
    reason: Reason | None = None
    accepted_minor: int | None = None  # the amount an operator accepted in place of the price
    confirmed_at: datetime | None = None  # stamped once
    ended_at: datetime | None = None  # stamped once
    unknown_words: tuple[UnknownWord, ...] = ()  # of another release: nothing is decided meanwhile

    @property
    def frozen(self) -> bool:
        """`True` while another release has to go on: see `stored_words`."""
        return bool(self.unknown_words)

    def of(self, operation: Operation) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.operation is operation)

    def find(self, key: str) -> Call | None:
        return next((call for call in self.calls if call.key == key), None)

    def row(self, key: str) -> Call:
        """The call with that key, which must exist.

        Raises:
            LookupError: the call was never begun: a defect of ours.
        """
        call = self.find(key)
        if call is None:
            raise LookupError(f"no call under {key}")
        return call

    def put(self, call: Call) -> "Facts":
        """Replace the row with the call's key, or add it at the end."""
        if self.find(call.key) is None:
            return replace(self, calls=(*self.calls, call))
        return replace(
            self, calls=tuple(call if old.key == call.key else old for old in self.calls)
        )

    def last(
        self, kind: Kind, subject: str | None, *, opened: bool = False
    ) -> Contradiction | None:
        """The last contradiction of that kind about the subject; with `opened`, the last believed one."""
        rows = (
            row
            for row in self.contradictions
            if row.matter == (kind, subject) and (not opened or row.opened_at is not None)
        )
        return max(rows, key=lambda row: row.number, default=None)

    def put_contradiction(self, row: Contradiction) -> "Facts":
        """Replace the contradiction with the same matter and number, or add it at the end."""
        rows = self.contradictions
        if not any((old.matter, old.number) == (row.matter, row.number) for old in rows):
            return replace(self, contradictions=(*rows, row))
        kept = (
            row if (old.matter, old.number) == (row.matter, row.number) else old for old in rows
        )
        return replace(self, contradictions=tuple(kept))


@dataclass(frozen=True, slots=True)
class Dispute:
    """A payer's claim at their bank, as payments reports it."""

    status: DisputeStatus
    money: Money


OTHER_DATES, UNREADABLE = "other dates", "unreadable"
"""The heads of `Seen.other_terms`. An older release stored the first one alone, for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A payment, a booking or a refund as its provider reports it.

    `money` of a booking is its price, if the supplier tells it. `refunded_minor` is the part of a
    payment that was returned, in minor units. `other_terms` names the dates of a booking that we did
    not ask for, and unreadable dates or an unreadable price. `None` is a booking as we asked for it.
    """

    provider_id: str
    status: Status
    money: Money | None = None
    locator: str | None = None
    refunded_minor: int | None = None
    dispute: Dispute | None = None
    other_terms: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything a provider has under our reference."""

    seen: tuple[Seen, ...]

    @classmethod
    def of(cls, seen: Iterable[Seen]) -> "Listing":
        return cls(tuple(seen))


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing reached the provider, for sure. `retry_after_s` is the pause it asked for, if any."""

    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request left and no usable answer came back: the provider may have acted or not."""

    retry_after_s: int | None = None


Outcome = Seen | Listing | NotSent | NoAnswer
