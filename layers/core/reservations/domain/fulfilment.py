"""The voucher and the mails that a traveler is owed. They never change the state.

A send is written down before it is made, as the mail service has no idempotency key. A send without
an answer is repeated once, so two copies arrive only where a send was cut off.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reservations.domain.actions import Settled, Wait
from reservations.domain.facts import Status
from reservations.domain.policy import Moment
from reservations.domain.reservation import (
    ASKED_FOR,
    MailKind,
    MailSend,
    MailStatus,
    Reservation,
)
from reservations.domain.words import PublicStatus, State


@dataclass(frozen=True, slots=True)
class IssueVoucher:
    """Make the PDF and store it."""


@dataclass(frozen=True, slots=True)
class SendMail:
    """Send a mail of this kind."""

    kind: MailKind


Errand = IssueVoucher | SendMail

VOUCHER_LATE_AFTER = timedelta(minutes=2)  # from the confirmation; then a person is needed


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRule:
    """A mail of `kind` is due while the public status is `status`, in `state` only if given."""

    status: PublicStatus | None = None
    kind: MailKind
    state: State | None = None
    newer: bool = False  # only if the voucher was issued after the mail of the confirmation
    untold: bool = False  # only if a payment was found after the mail of the cancellation
    failed: bool = False  # only if a refund failed after it had succeeded
    reviewed: bool = False  # only while a person looks into it, and the traveler may know
    untroubled: bool = False  # only while no person does: it says that nothing is amiss


IN_PROGRESS_AFTER = timedelta(minutes=2)  # from the creation
# Anyone can have these sent to an address, so they are limited even if paid.
_ALWAYS_LIMITED = frozenset({MailKind.IN_PROGRESS, MailKind.UNDER_REVIEW, MailKind.LINK})
HELD_FOR = timedelta(hours=24)
PLACE_KEPT = timedelta(minutes=10)

MAIL_RULES = (
    MailRule(status=PublicStatus.CONFIRMADA, kind=MailKind.CONFIRMED),
    MailRule(status=PublicStatus.CONFIRMADA, kind=MailKind.VOUCHER, newer=True),
    MailRule(status=PublicStatus.RECHAZADA, kind=MailKind.REJECTED),
    MailRule(status=PublicStatus.RECHAZADA, kind=MailKind.REFUNDED, state=State.REFUNDED),
    MailRule(status=PublicStatus.EXPIRADA, kind=MailKind.EXPIRED),
    MailRule(status=PublicStatus.EXPIRADA, kind=MailKind.REFUNDED, state=State.REFUNDED),
    MailRule(status=PublicStatus.CANCELADA, kind=MailKind.CANCELLED),
    MailRule(
        status=PublicStatus.CANCELADA, kind=MailKind.REFUNDED, state=State.REFUNDED, untold=True
    ),
    MailRule(status=PublicStatus.RECHAZADA, kind=MailKind.REFUND_FAILED, failed=True),
    MailRule(status=PublicStatus.EXPIRADA, kind=MailKind.REFUND_FAILED, failed=True),
    MailRule(status=PublicStatus.CANCELADA, kind=MailKind.REFUND_FAILED, failed=True),
    MailRule(status=PublicStatus.EN_PROCESO, kind=MailKind.IN_PROGRESS, untroubled=True),
    MailRule(kind=MailKind.UNDER_REVIEW, reviewed=True),
)
"""In order: a later mail waits for an earlier one. A mail is no longer due once the status changes."""


def fulfil(reservation: Reservation, now: datetime) -> Errand | Wait | Settled:
    """The one thing to hand over now, or the time to try again. The voucher goes before its mail.

    No voucher is issued while two bookings are live: the saga cancels one of them first. A
    confirmation let go without its voucher is sent first. A mail of `ASKED_FOR` waits for nothing
    else, and nothing else waits for it.
    """
    standing = reservation.standing
    if standing.facts.frozen:
        return Settled()
    asked = [
        _wish(reservation, kind, now) for kind in ASKED_FOR if reservation.send_of(kind) is not None
    ]
    due = (wish for wish in asked if isinstance(wish, SendMail))
    errand = next(due, None) or _errand(reservation, now)
    if not isinstance(errand, Wait | Settled):
        return errand
    waits = [wait for wait in (*asked, errand) if isinstance(wait, Wait)]
    return min(waits, key=lambda wait: wait.until, default=Settled())


def _errand(reservation: Reservation, now: datetime) -> Errand | Wait | Settled:
    standing = reservation.standing
    if standing.state is State.SUPPLIER_CONFIRMED and _lacks_voucher(reservation):
        if standing.rivals:
            return Settled()
        mail = reservation.send_of(MailKind.CONFIRMED)
        if mail is None or mail.check_at is None:
            return IssueVoucher()
    wishes = (_wish(reservation, kind, now) for kind in _owed(reservation, now))
    return next((wish for wish in wishes if wish is not None), Settled())


def is_fulfilled(reservation: Reservation, now: datetime) -> bool:
    """Return `True` once the voucher and the mails were handed over or given up."""
    confirmed = reservation.standing.state is State.SUPPLIER_CONFIRMED
    if confirmed and _lacks_voucher(reservation):
        return False
    return isinstance(fulfil(reservation, now), Settled)


def voucher_late_at(reservation: Reservation) -> datetime | None:
    """The time from which a missing voucher needs a person. `None` if no voucher is missing."""
    standing, confirmed_at = reservation.standing, reservation.facts.confirmed_at
    confirmed = standing.state is State.SUPPLIER_CONFIRMED and confirmed_at is not None
    if standing.facts.frozen or not confirmed or standing.rivals or not _lacks_voucher(reservation):
        return None
    since = filter(None, (confirmed_at, standing.rebooked_at))
    return max(since) + VOUCHER_LATE_AFTER


def _lacks_voucher(reservation: Reservation) -> bool:
    """Return `True` without a voucher, or with one of a booking that has another id now.

    The first look at that booking tells its locator, so the voucher waits for it.
    """
    voucher, rebooked_at = reservation.voucher, reservation.standing.rebooked_at
    booking = reservation.standing.kept_booking
    if rebooked_at is not None and booking and booking.check_at == rebooked_at:
        return False
    if voucher is None:
        return True
    outdated = rebooked_at is not None and voucher.issued_at < rebooked_at
    return outdated and voucher.removed_at is None


def _owed(reservation: Reservation, now: datetime) -> Iterator[MailKind]:
    status, state = reservation.standing.public_status, reservation.standing.state
    newer, untold = _newer_voucher(reservation), _untold_payment(reservation)
    failed = reservation.standing.a_refund_failed
    return (
        rule.kind
        for rule in MAIL_RULES
        if rule.status in (None, status)
        and rule.state in (None, state)
        and (newer or not rule.newer)
        and (untold or not rule.untold)
        and (failed or not rule.failed)
        and (not rule.reviewed or _is_reviewed(reservation, now))
        and not (rule.untroubled and reservation.standing.needs_support(now))
    )


def _is_reviewed(reservation: Reservation, now: datetime) -> bool:
    """Return `True` if a review began, but not for one that rested before: it owes nothing."""
    awake = reservation.next_check_at is not None
    return awake and reservation.standing.needs_support(now)


def _newer_voucher(reservation: Reservation) -> bool:
    """Return `True` if the mail of the confirmation left without the voucher that there is now."""
    told, voucher = reservation.send_of(MailKind.CONFIRMED), reservation.voucher
    return (
        told is not None
        and told.status is not MailStatus.REFUSED
        and voucher is not None
        and voucher.removed_at is None
        and voucher.issued_at > told.sent_at
    )


def _untold_payment(reservation: Reservation) -> bool:
    """Return `True` if a payment was found after the mail of the cancellation was sent."""
    told = reservation.send_of(MailKind.CANCELLED)
    return told is not None and any(
        charge.status is Status.SUCCEEDED and charge.closed_at and charge.closed_at > told.sent_at
        for charge in reservation.standing.charges
    )


def _wish(reservation: Reservation, kind: MailKind, now: datetime) -> SendMail | Wait | None:
    """Return `None` once the mail rests: sent, refused, held without a place, or repeated without an answer."""
    send = reservation.send_of(kind)
    if send is None:
        late_at = reservation.facts.created_at + IN_PROGRESS_AFTER
        waits = kind is MailKind.IN_PROGRESS and now < late_at
        return Wait(late_at) if waits else SendMail(kind)
    if send.check_at is None or not send.known:
        return None
    if reservation.is_held(kind) and not _is_limited(reservation, kind):
        return SendMail(kind)
    return SendMail(kind) if send.check_at <= now else Wait(send.check_at)


def begin_send(reservation: Reservation, kind: MailKind, at: Moment) -> Reservation:
    """Write down a send before it is made. One without an answer is repeated once."""
    before = reservation.send_of(kind)
    if before is not None and before.status is MailStatus.SENT:
        late = at.now + at.policy.mail_repeat
        again = replace(before, attempts=before.attempts + 1, sent_at=at.now, check_at=late)
        return reservation.put_send(again)
    repeats = before is not None and before.status in (MailStatus.STARTED, MailStatus.UNKNOWN)
    send = MailSend(
        kind=kind,
        status=MailStatus.STARTED,
        attempts=before.attempts + 1 if before else 1,
        sent_at=at.now,
        check_at=None if repeats else at.now + at.policy.mail_repeat,
    )
    return reservation.put_send(send)


def ask_for(kind: MailKind, at: datetime) -> MailSend:
    """The entry that makes a mail of `ASKED_FOR` due, whatever became of an earlier one."""
    return MailSend(kind=kind, status=MailStatus.NOT_SENT, attempts=0, sent_at=at, check_at=at)


def is_told(reservation: Reservation, at: Moment) -> bool:
    """Return `True` unless a notice to a former address is due or under way."""
    send = reservation.send_of(MailKind.ADDRESS_CHANGED)
    if send is None:
        return True
    under_way = send.status is MailStatus.STARTED and at.now < send.sent_at + at.policy.mail_repeat
    return send.check_at is None and not under_way


def _is_limited(reservation: Reservation, kind: MailKind) -> bool:
    if kind is MailKind.ADDRESS_CHANGED:  # a person has seen the evidence
        return False
    return kind in _ALWAYS_LIMITED or not reservation.standing.was_paid


def needs_place(reservation: Reservation, kind: MailKind, now: datetime) -> bool:
    """Return `True` for a limited mail that has no place in the limits of an hour yet.

    A repeat has its place already. A held mail has one at its time, and loses it `PLACE_KEPT` later:
    after an outage the mails of many hours may not leave at once.
    """
    if not _is_limited(reservation, kind):
        return False
    send = reservation.send_of(kind)
    if send is None or (send.status is MailStatus.NOT_SENT and send.attempts == 0):
        return True
    return send.status is MailStatus.HELD and (
        send.check_at is None or now > send.check_at + PLACE_KEPT
    )


def held_until(reservation: Reservation, kind: MailKind, now: datetime) -> datetime:
    """The last time at which a mail without a place may leave."""
    before = reservation.send_of(kind)
    return (before.sent_at if before else now) + HELD_FOR


def hold(
    reservation: Reservation, kind: MailKind, at: Moment, *, until: datetime | None
) -> Reservation:
    """Let a mail wait for its place in the limits. Without one, the mail rests unsent."""
    before = reservation.send_of(kind)
    return reservation.put_send(
        MailSend(
            kind=kind,
            status=MailStatus.HELD,
            attempts=0,
            sent_at=before.sent_at if before else at.now,
            check_at=until,
        )
    )


def put_off(reservation: Reservation, kind: MailKind, at: Moment) -> Reservation:
    """Try later a mail that could not be begun. It counts as not sent, and uses up no repeat."""
    begun = begin_send(reservation, kind, at)
    return record_send(begun, kind, MailStatus.NOT_SENT, at)


def let_mail_go(reservation: Reservation, at: Moment) -> Reservation | None:
    """Let the confirmation go without its voucher, whose rendering failed for good.

    An entry in the send ledger is the mark. The voucher is owed again once the mail rests, and a
    mail of its own brings it.
    Return `None` if no mail waits for the voucher.
    """
    if fulfil(reservation, at.now) != IssueVoucher() or reservation.send_of(MailKind.CONFIRMED):
        return None
    return put_off(reservation, MailKind.CONFIRMED, at)


def give_up(reservation: Reservation, kind: MailKind, at: Moment) -> Reservation:
    """Let a mail rest that has no address: the personal data were erased before it was due."""
    begun = begin_send(reservation, kind, at)
    return record_send(begun, kind, MailStatus.REFUSED, at)


def ask_again(reservation: Reservation, at: Moment) -> Reservation:
    """Make due again the mails that were given up in doubt: a person accepts another copy.

    Refused and held mails are due too, as the cause may have been ours. A mail that may still be on its
    way is left alone.
    """
    for kind in _owed(reservation, at.now):
        send = reservation.send_of(kind)
        in_doubt = send and send.in_doubt and send.sent_at + at.policy.mail_repeat <= at.now
        if send and (in_doubt or send.status in (MailStatus.REFUSED, MailStatus.HELD)):
            reservation = reservation.put_send(replace(send, check_at=at.now))
    return reservation


def sendable_again(reservation: Reservation, now: datetime) -> tuple[MailKind, ...]:
    """The kinds of mail that fit the status and were begun before."""
    sends = ((kind, reservation.send_of(kind)) for kind in _owed(reservation, now))
    return tuple(kind for kind, send in sends if send is not None and send.known)


def send_again(reservation: Reservation, kind: MailKind, at: Moment) -> Reservation:
    """Make one more copy of a mail due. Its status stays."""
    send = reservation.send_of(kind)
    assert send is not None  # it is of `sendable_again`
    return reservation.put_send(replace(send, check_at=at.now))


def record_send(
    reservation: Reservation,
    kind: MailKind,
    status: MailStatus,
    at: Moment,
    *,
    ses_id: str | None = None,
) -> Reservation:
    """Keep the answer of the mail service. `ses_id` is its id of a mail that it took."""
    send = reservation.send_of(kind)
    if send is None:
        raise LookupError(f"no send of {kind} was begun")
    return reservation.put_send(_learnt(send, status, ses_id, at))


def _learnt(send: MailSend, status: MailStatus, ses_id: str | None, at: Moment) -> MailSend:
    if not send.known:
        return send
    if send.status is MailStatus.SENT:  # of a copy, only the one that did not leave is due again
        return send if status is MailStatus.NOT_SENT else replace(send, check_at=None)
    match status:
        case MailStatus.SENT | MailStatus.REFUSED:
            return replace(send, status=status, ses_id=ses_id, check_at=None)
        case MailStatus.NOT_SENT:
            return _not_sent(send, at)
        case _:
            return replace(send, status=MailStatus.UNKNOWN)


def _not_sent(send: MailSend, at: Moment) -> MailSend:
    """Go back to the status before. A repeat that did not leave is still due."""
    repeated = send.check_at is None
    rung = at.policy.rung(min(send.attempts - 1, at.policy.unasked_ladder_limit))
    return replace(
        send, status=MailStatus.UNKNOWN if repeated else MailStatus.NOT_SENT, check_at=at.now + rung
    )
