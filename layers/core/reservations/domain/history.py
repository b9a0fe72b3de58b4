"""Events that follow from a change of facts.

The codes are stable: they are stored and shown to operators. `reservations.texts` has their texts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reservations.domain.facts import (
    Call,
    Contradiction,
    DisputeStatus,
    Facts,
    Kind,
    Operation,
    Reason,
    Status,
)
from reservations.domain.reservation import (
    MailFeedback,
    MailKind,
    MailStatus,
    Reservation,
)
from reservations.domain.standing import Standing

ACCEPTED = "reservation.accepted"
CONFIRMED = "reservation.confirmed"
ENDED = "reservation.ended"
SUM_DIFFERS = "review.sum_differs"
SUM_ACCEPTED = "review.sum_accepted"
DUPLICATE = "duplicate.found"
VOID_ASKED = "payment.void_asked"
VOUCHER_ISSUED = "voucher.issued"
VOUCHER_REMOVED = "voucher.removed"

# Acts of a person, with the actor. They follow from no change of facts.
NUDGED = "operator.nudged"
MAIL_ASKED = "operator.mail_resent"
ADDRESS_CHANGED = "operator.address_changed"
HINT_REVIVED = "operator.hint_revived"
MESSAGE_REDRIVEN = "operator.message_redriven"
MESSAGE_DROPPED = "operator.message_dropped"
REVIEW_RESOLVED = "review.resolved"
TOKEN_REISSUED = "access_token.reissued"  # noqa: S105  # the name of an event
CUSTOMER_ERASED = "customer.erased"


CLOSED: Mapping[Reason, str] = {reason: f"reservation.closed.{reason}" for reason in Reason}

_NOUNS = {
    Operation.CHARGE: "payment",
    Operation.REFUND: "refund",
    Operation.BOOK: "booking",
    Operation.CANCEL_BOOKING: "booking_cancellation",
}
_WORDS = {
    (Operation.BOOK, Status.SUCCEEDED): "confirmed",
    (Operation.BOOK, Status.DECLINED): "rejected",
    (Operation.REFUND, Status.DECLINED): "rejected",
    (Operation.CANCEL_BOOKING, Status.DECLINED): "rejected",
}
CALLS: Mapping[tuple[Operation, Status], str] = {
    (operation, status): f"{noun}.{_WORDS.get((operation, status), status)}"
    for operation, noun in _NOUNS.items()
    for status in Status
}

CONTRADICTIONS: Mapping[Kind, str] = {kind: f"contradiction.{kind}" for kind in Kind}
OVER: Mapping[Kind, str] = {kind: f"contradiction.{kind}.over" for kind in Kind}
DISPUTE_LOST = "contradiction.dispute.lost"

# A send is logged when it ends, not while it is in progress.
_TOLD_SENDS = (MailStatus.SENT, MailStatus.REFUSED, MailStatus.UNKNOWN)
MAILS: Mapping[tuple[MailKind, MailStatus], str] = {
    (kind, status): f"mail.{status}.{kind}" for kind in MailKind for status in _TOLD_SENDS
}

FEEDBACK: Mapping[tuple[MailKind, MailFeedback], str] = {
    (kind, feedback): f"mail.{feedback}.{kind}" for kind in MailKind for feedback in MailFeedback
}

# Shown to operators, not to travelers: our messages, the bank's dispute with us,
# and the notice to an address that is not theirs now.
INTERNAL = frozenset(
    {
        MAIL_ASKED,
        ADDRESS_CHANGED,
        HINT_REVIVED,
        MESSAGE_REDRIVEN,
        MESSAGE_DROPPED,
        CONTRADICTIONS[Kind.DISPUTE],
        OVER[Kind.DISPUTE],
        DISPUTE_LOST,
        *(MAILS[MailKind.ADDRESS_CHANGED, status] for status in _TOLD_SENDS),
        *(FEEDBACK[MailKind.ADDRESS_CHANGED, feedback] for feedback in MailFeedback),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of a reservation's timeline."""

    event: str
    at: datetime
    actor: str
    note: str | None = None  # the evidence an operator gave; never personal data


def changes(before: Reservation | None, after: Reservation) -> tuple[str, ...]:
    """The events that lead from one stored reservation to the next, causes before consequences."""
    return (ACCEPTED,) if before is None else tuple(_changes(before, after))


def _changes(before: Reservation, after: Reservation) -> Iterator[str]:
    old, new = before.facts, after.facts
    if new.reason is None and _undoing(after.standing) > _undoing(before.standing):
        yield DUPLICATE
    for call in new.calls:
        yield from _call_changes(old.find(call.key), call)
    for row in new.contradictions:
        yield from _contradiction_changes(_earlier(old, row), row)
    if after.standing.sum_differs and not before.standing.sum_differs:
        yield SUM_DIFFERS
    if new.accepted_minor != old.accepted_minor:
        yield SUM_ACCEPTED
    if new.confirmed_at != old.confirmed_at:
        yield CONFIRMED
    if new.reason is not None and new.reason is not old.reason:
        yield CLOSED[new.reason]
    if new.ended_at != old.ended_at:
        yield ENDED
    if after.voucher is not None and after.voucher.s3_key != _voucher_key(before):
        yield VOUCHER_ISSUED
    if _removed(after) and not _removed(before):
        yield VOUCHER_REMOVED
    for send in after.sends:
        earlier = before.send_of(send.kind)
        if send.status in _TOLD_SENDS and (earlier is None or earlier.status is not send.status):
            yield MAILS[send.kind, send.status]


def _undoing(standing: Standing) -> int:
    """Count the refunds and cancellations. Before the closing they undo only duplicates."""
    return len(standing.refunds) + len(standing.cancellations)


def _voucher_key(reservation: Reservation) -> str | None:
    return reservation.voucher.s3_key if reservation.voucher else None


def _removed(reservation: Reservation) -> bool:
    return reservation.voucher is not None and reservation.voucher.removed_at is not None


def _call_changes(old: Call | None, new: Call) -> Iterator[str]:
    if new.void_asked and not (old and old.void_asked):
        yield VOID_ASKED
    if old is None and new.attempts == 0:
        return  # a refund that waits for its send, after an operator's decision
    if old is None or (old.status is not new.status and not _only_repeated(old, new)):
        yield CALLS[new.operation, new.status]


def _earlier(facts: Facts, row: Contradiction) -> Contradiction | None:
    same = (old for old in facts.contradictions if old.matter == row.matter)
    return next((old for old in same if old.number == row.number), None)


def _contradiction_changes(old: Contradiction | None, new: Contradiction) -> Iterator[str]:
    if new.opened_at is None:
        return
    if old is None or old.opened_at is None:
        yield CONTRADICTIONS[new.kind]
    lost = new.kind is Kind.DISPUTE and new.seen == DisputeStatus.LOST
    if lost and (old is None or old.seen != new.seen):
        yield DISPUTE_LOST
    agrees = new.over_at is not None and (old is None or old.over_at is None)
    if agrees and new.decision is None:
        yield OVER[new.kind]


def _only_repeated(old: Call, new: Call) -> bool:
    """Return `True` for a repeated send in vain, as in an outage: only the first one is news."""
    return new.attempts > 1 and {old.status, new.status} == {Status.STARTED, Status.NOT_FOUND}
