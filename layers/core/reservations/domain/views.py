"""The traveler's view of a reservation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

from reservations.domain.facts import Call, Status
from reservations.domain.fulfilment import is_fulfilled, voucher_late_at
from reservations.domain.money import Money
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import (
    DocumentType,
    MailKind,
    MailSend,
    MailStatus,
    Reservation,
)
from reservations.domain.standing import Standing
from reservations.domain.stored_words import is_known
from reservations.domain.words import RESTING, ClosedReason, PublicStatus, State


class StepStatus(StrEnum):
    """The status of a condition of the confirmation. Failed: it will not hold, or no longer does."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class RefundStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The three conditions: our code, the payment, the supplier's confirmation."""

    code: StepStatus = StepStatus.DONE
    payment: StepStatus
    supplier: StepStatus


@dataclass(frozen=True, slots=True)
class Refund:
    """Money on its way back, or back."""

    status: RefundStatus
    money: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The part of an answer that changes; two equal views are one version."""

    status: PublicStatus
    progress: Progress
    refund: Refund | None
    documents: tuple[DocumentType, ...]  # those that are valid now
    expires_at: datetime | None  # the end of the hold of an unpaid offer
    requires_support: bool
    supplier_locator: str | None  # of a confirmed trip
    closed_reason: ClosedReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The members of a stored reservation that decide most polls of a reader."""

    reservation_id: UUID
    client_id: str
    token_kid: str
    token_version: int
    starts_on: date
    created_at: datetime
    state: State
    reviewed: bool  # some review was open at the last change of the row
    mailing: bool  # some mail is not sent, or due again
    served: bool  # all calls succeeded, no contradiction, and the mail has its voucher
    next_check_at: datetime | None
    version: int
    updated_at: datetime

    def at_rest(self, now: datetime) -> bool | None:
        """Return `at_rest` of the whole reservation, or `None` if these members do not decide it."""
        if now - self.updated_at >= POLLED_FOR:
            return True
        if self.reviewed or not is_known(self.state):
            return None
        if self.state not in RESTING:
            return None if self.mailing else False
        served = self.state is State.SUPPLIER_CONFIRMED and self.served and not self.mailing
        return True if served or self.next_check_at is None else None

    def may_lose_cancel_link(self, now: datetime) -> bool:
        """Return `True` if the day of the start began after the last change."""
        return self.updated_at < _start_of(self.starts_on) <= now


PROGRESS: Mapping[State, Progress] = {
    State.CREATED: Progress(payment=StepStatus.PENDING, supplier=StepStatus.PENDING),
    State.PAYMENT_IN_PROGRESS: Progress(payment=StepStatus.PENDING, supplier=StepStatus.PENDING),
    State.PAID: Progress(payment=StepStatus.DONE, supplier=StepStatus.PENDING),
    State.SUPPLIER_CONFIRMED: Progress(payment=StepStatus.DONE, supplier=StepStatus.DONE),
    State.CANCELLATION_IN_PROGRESS: Progress(
        payment=StepStatus.PENDING, supplier=StepStatus.FAILED
    ),
    State.REFUND_IN_PROGRESS: Progress(payment=StepStatus.DONE, supplier=StepStatus.FAILED),
    State.REFUNDED: Progress(payment=StepStatus.DONE, supplier=StepStatus.FAILED),
    State.PAYMENT_FAILED: Progress(payment=StepStatus.FAILED, supplier=StepStatus.FAILED),
    State.EXPIRED: Progress(payment=StepStatus.FAILED, supplier=StepStatus.FAILED),
    State.CANCELLED: Progress(payment=StepStatus.FAILED, supplier=StepStatus.FAILED),
}
"""One exception: during a cancellation, a held charge shows the payment as done."""

POLLED_FOR = timedelta(hours=24)  # after the last change of the view

_CANCELLABLE = frozenset({PublicStatus.EN_PROCESO, PublicStatus.CONFIRMADA})
_SPEAKING_ORDER = (RefundStatus.FAILED, RefundStatus.PENDING, RefundStatus.DONE)


def view(reservation: Reservation, at: Moment) -> View:
    standing = reservation.standing
    status = standing.public_status
    confirmed = status is PublicStatus.CONFIRMADA
    return View(
        status=status,
        progress=_progress(standing),
        # Beside a confirmed trip, the refund of a second payment would only alarm.
        refund=None if confirmed else _refund(standing),
        # The voucher of a trip that is not confirmed any more is not shown.
        documents=tuple(_available(reservation)) if confirmed else (),
        expires_at=_expires_at(standing, at.policy),
        requires_support=needs_support(reservation, at.now),
        supplier_locator=_locator(standing) if confirmed else None,
        closed_reason=standing.closed_reason,
    )


def _locator(standing: Standing) -> str | None:
    booking = standing.kept_booking
    return booking.reference if booking else None


def needs_support(reservation: Reservation, now: datetime) -> bool:
    """Return `True` if the traveler may want to talk to us: about the trip, or a paper that is missing."""
    late_at = voucher_late_at(reservation)
    if late_at is not None and late_at <= now:
        return True
    untold = any(_is_missed(send) for send in reservation.sends)
    return untold or reservation.standing.needs_support(now)


def _is_missed(send: MailSend) -> bool:
    """Return `True` for a mail that the traveler may not have. Another address is not theirs now."""
    failed = send.status is MailStatus.REFUSED or send.in_doubt
    return failed and send.kind is not MailKind.ADDRESS_CHANGED


def _available(reservation: Reservation) -> Iterator[DocumentType]:
    return (
        document.type
        for document in reservation.documents
        if document.removed_at is None and is_known(document.type)
    )


def at_rest(reservation: Reservation, now: datetime) -> bool:
    """Return `True` once a reader may stop polling: no call, document or mail is under way.

    A person has to act, or nothing changed for `POLLED_FOR`: polling helps no more either.
    """
    if now - reservation.updated_at >= POLLED_FOR:
        return True
    standing = reservation.standing
    if needs_support(reservation, reservation.updated_at):
        return True
    under_way = standing.state not in RESTING or bool(standing.awaited)
    return not under_way and is_fulfilled(reservation, now)


def cancellable_until(reservation: Reservation, now: datetime) -> datetime | None:
    """Return the first instant of the day of the start (UTC), or `None` if the traveler cannot cancel now."""
    start = _start_of(reservation.offer.starts_on)
    cancellable = reservation.standing.public_status in _CANCELLABLE and now < start
    return start if cancellable else None


def is_cancellable(reservation: Reservation, now: datetime) -> bool:
    """Return `True` while the traveler may cancel: before the day of the start (UTC)."""
    return cancellable_until(reservation, now) is not None


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


def reads_differently(before: Reservation, after: Reservation, at: Moment) -> bool:
    """Return `True` if a reader would see another answer than at `before.updated_at`."""
    return view(before, Moment(before.updated_at, at.policy)) != view(after, at)


def _progress(standing: Standing) -> Progress:
    if standing.state is State.CANCELLATION_IN_PROGRESS and standing.held_charges:
        return Progress(payment=StepStatus.DONE, supplier=StepStatus.FAILED)
    return PROGRESS[standing.state]


def _expires_at(standing: Standing, policy: Policy) -> datetime | None:
    if standing.closed or standing.kept_charge is not None:
        return None
    return standing.hold_ends_at(policy)


def _refund(standing: Standing) -> Refund | None:
    """All refunds as one: failed comes before pending, pending before done."""
    returns = {
        charge: status for charge in standing.charges if (status := _return_of(charge, standing))
    }
    total = _total(charge.money for charge in returns)
    if total is None:
        return None
    speaks = next(status for status in _SPEAKING_ORDER if status in returns.values())
    return Refund(speaks, total)


def _return_of(charge: Call, standing: Standing) -> RefundStatus | None:
    """The status of a charge's refund, or `None` while no refund is due."""
    account = standing.account_of(charge)
    refunds = {refund.status for refund in account.refunds if not account.has_failed(refund)}
    owed = standing.closed and charge.status is Status.SUCCEEDED
    if (owed or Status.SUCCEEDED in refunds) and charge not in standing.held_charges:
        return RefundStatus.DONE
    if Status.DECLINED in refunds:
        return RefundStatus.FAILED
    return RefundStatus.PENDING if refunds or owed else None


def _total(sums: Iterable[Money | None]) -> Money | None:
    """The total in the currency of the first amount. Other currencies are left out."""
    known = [money for money in sums if money is not None]
    if not known:
        return None
    currency = known[0].currency
    return Money(sum(money.minor for money in known if money.currency == currency), currency)
