"""The next action of a reservation, and the end of each transaction.

Pure: no clock, no database, no network. Messages, webhooks and timers only ask to plan again. The
next step follows from the ledger alone, so a lost, repeated or late message changes nothing.
`learning` is the other half: it changes the ledger.

Two rules carry the rest. The service rule cancels every live booking but the kept one. The money
rule refunds every held charge but the kept one. They hold after late, doubled and refused calls too.
A contradiction freezes them, until the provider agrees again or a person decides.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reservations.domain.actions import (
    LOOK_QUEUE_OF,
    QUEUE_OF,
    Action,
    Inquire,
    InquireRefunds,
    Plan,
    Send,
    Settled,
    Void,
    Wait,
    provider_of,
)
from reservations.domain.facts import Facts, Operation, Status
from reservations.domain.far_looks import next_far_look
from reservations.domain.fulfilment import Errand, IssueVoucher, SendMail, fulfil, voucher_late_at
from reservations.domain.messages import Queue
from reservations.domain.policy import Moment
from reservations.domain.reservation import Reservation
from reservations.domain.standing import Standing
from reservations.domain.verdict import conclude
from reservations.domain.words import RESTING

# --- the end of a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A concluded reservation, its next wake-up, and its hints: (queue, message type) pairs.

    `timer` is the first time at which something is due by itself. `lease_end` is the time to repeat
    the hints of the work that waits now.
    """

    reservation: Reservation
    timer: datetime | None
    lease_end: datetime | None = None
    hints: tuple[tuple[Queue, str], ...] = ()

    @property
    def next_check_at(self) -> datetime | None:
        """`None` only if no action will be due."""
        return _first((self.timer, self.lease_end))


def settle(
    reservation: Reservation, at: Moment, *, before: Reservation | None = None
) -> Settlement:
    """Take the verdict and plan.

    Work that `before` wanted under a running lease has its hint already, so it gets no other. That
    lease may end earlier and never later: the poller repeats a hint that was lost.
    """
    if reservation.facts.frozen:
        return Settlement(reservation=reservation, timer=_left_until(reservation, at))
    standing = conclude(reservation.standing, at)
    if standing.facts is not reservation.facts:
        reservation = replace(reservation, facts=standing.facts)
    look_at = next_far_look(reservation, at)
    if look_at != reservation.next_look_at:
        reservation = replace(reservation, next_look_at=look_at)
    work = plan(standing, at), fulfil(reservation, at.now)
    todo = _todo(work)
    hinted = _hinted(before, at) if before and todo else ()
    new = [thing for thing in todo if thing not in hinted]
    waits = [thing.until for thing in work if isinstance(thing, Wait)]
    deadline = _next_deadline(reservation, at.now)
    left = _leave(_timers_of_unknown_mails(reservation), at)
    lease_end = at.now + at.policy.hint_lease if todo else None
    running = before.next_check_at if before and len(new) < len(todo) else None
    return Settlement(
        reservation=reservation,
        timer=_first((*waits, deadline, left)),
        lease_end=_first((lease_end, running)),
        hints=tuple((queue, f"{queue}.due") for queue in (_queue_of(t, standing) for t in new)),
    )


def _first(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _todo(work: Iterable[Plan | Errand]) -> list[Action | Errand]:
    return [thing for thing in work if not isinstance(thing, Wait | Settled)]


def _hinted(before: Reservation, at: Moment) -> list[Action | Errand]:
    """The work that waits under a lease, with its hint.

    A step that takes work changes its row before it acts, so work that still waits was not taken.
    """
    if before.next_check_at is None or before.next_check_at <= at.now:
        return []
    standing = conclude(before.standing, at)
    concluded = replace(before, facts=standing.facts)
    return _todo((plan(standing, at), fulfil(concluded, at.now)))


def _left_until(reservation: Reservation, at: Moment) -> datetime | None:
    """The time to look again whether a frozen reservation may go on. One that rested still rests."""
    facts = reservation.facts
    timers = [reservation.next_check_at, *(call.check_at for call in facts.calls)]
    if facts.reason is not None and facts.ended_at is None:
        timers.append(at.now)
    return _leave(timers, at)


def _timers_of_unknown_mails(reservation: Reservation) -> list[datetime | None]:
    return [send.check_at for send in reservation.sends if not send.known]


def _leave(timers: Iterable[datetime | None], at: Moment) -> datetime | None:
    """The first of the timers that another release set. Its work is offered again, but not at once."""
    first = _first(timers)
    return first and max(first, at.now + at.policy.hint_lease_limit)


def hint_lease(settlement: Settlement, at: Moment) -> timedelta:
    """The lease of a reservation that is overdue. It grows with the time overdue, up to a limit.

    A queue that is behind still holds the last hint. Repeating it at a fixed pace would fill the
    queue faster than it empties. Late looks may wait for hours, so their hints repeat least often.
    """
    reservation = settlement.reservation
    timers = [*_timers(reservation.facts), *(send.check_at for send in reservation.sends)]
    since = _first(time for time in timers if time is not None and time <= at.now)
    looks = settlement.hints and all(q in LOOK_QUEUE_OF.values() for q, _ in settlement.hints)
    limit = at.policy.look_lease_limit if looks else at.policy.hint_lease_limit
    return min(max(at.now - (since or reservation.updated_at), at.policy.hint_lease), limit)


def _next_deadline(reservation: Reservation, now: datetime) -> datetime | None:
    """The next time at which a call or the voucher becomes late, so that it shows at once."""
    deadlines = [call.deadline_at for call in reservation.standing.awaited]
    deadlines += filter(None, [voucher_late_at(reservation)])
    return _first(time for time in deadlines if time > now)


def _queue_of(todo: Action | Errand, standing: Standing) -> Queue:
    match todo:
        case IssueVoucher():
            return Queue.VOUCHER
        case SendMail():
            return Queue.NOTIFICATION
        case Inquire() if _is_ordinary(todo, standing):
            return LOOK_QUEUE_OF[provider_of(todo)]
        case _:
            return QUEUE_OF[provider_of(todo)]


def _is_ordinary(look: Inquire, standing: Standing) -> bool:
    """Return `True` for a look at what nobody doubts and nothing waits for: it may wait for hours."""
    doubted = look.call.open or look.call.doubted or bool(standing.lasting)
    return not doubted and standing.state in RESTING


# --- what is due at a provider


def plan(standing: Standing, at: Moment) -> Plan:
    """The first action of the first rule that has one, else a rest. Take the verdict before."""
    if standing.facts.frozen:
        return Settled()
    actions = (action for rule in RULES for action in rule(standing, at))
    return next(actions, None) or _rest(standing, at)


def _inquire_open(standing: Standing, at: Moment) -> Iterator[Action]:
    """Inquire about each open call that is due. Void a pending charge that is not wanted any more.

    The answer to a void is the current payment, so a void is an inquiry too.
    """
    for call in standing.facts.calls:
        due = call.due(at.now)
        pending_charge = call.operation is Operation.CHARGE and call.status is Status.PENDING
        unwanted = pending_charge and _is_unwanted(standing, at)
        # An answer to a void may be unusable for ever, so every other request is an inquiry.
        if unwanted and (not call.void_asked or (due and call.looks % 2 == 0)):
            yield Void(call)
        elif due and call.open:
            yield Inquire(call)


def _look(standing: Standing, at: Moment) -> Iterator[Action]:
    """Look again at what is closed, and at what a contradiction is about.

    A look comes after a charge or a booking, and before anything is undone.
    """
    facts = standing.facts
    doubtful = {row.about for row in facts.contradictions if row.due(at.now)}
    for call in facts.calls:
        closed = not call.open and call.status is not Status.NOT_FOUND
        if (closed and call.due(at.now)) or (call.operation, call.provider_id) in doubtful:
            yield Inquire(call)
        if call.refunds_at is not None and call.refunds_at <= at.now:
            yield InquireRefunds(call)


def _is_unwanted(standing: Standing, at: Moment) -> bool:
    """Return `True` if a charge that succeeds now would be refunded."""
    return standing.closed or standing.kept_charge is not None or standing.hold_is_over(at)


def _service_rule(standing: Standing, at: Moment) -> Iterator[Action]:
    """Cancel every live booking but the kept one. Once closed, cancel them all."""
    kept = standing.kept_booking
    if not standing.closed and (kept is None or not standing.may_cancel_rivals):
        return
    for booking in standing.live_bookings:
        key = f"cancel:{booking.provider_id}"
        if booking is not kept and _may_send(standing.facts, key, at):
            yield Send(operation=Operation.CANCEL_BOOKING, key=key, target=booking.provider_id)


def _money_rule(standing: Standing, at: Moment) -> Iterator[Action]:
    """Refund all charges but the spared one."""
    for charge in standing.held_charges:
        if charge is standing.spared_charge or not standing.may_refund(charge):
            continue
        account = standing.account_of(charge)
        refund, sure_at = account.next_refund, at.now - at.policy.refund_believed
        if refund is None or (account.sent and account.has_turned_up(sure_at)):
            continue
        if _may_send(standing.facts, refund.key, at):
            yield Send(
                operation=Operation.REFUND,
                key=refund.key,
                target=charge.provider_id,
                money=refund.money,
            )


def _forward(standing: Standing, at: Moment) -> Iterator[Action]:
    """Charge, then book."""
    facts = standing.facts
    if standing.closed:
        return
    if standing.kept_charge is None:
        key = f"charge:{facts.reservation_id}"
        in_time = at.now < standing.hold_ends_at(at.policy)
        if not standing.charging and in_time and _may_send(facts, key, at):
            yield Send(operation=Operation.CHARGE, key=key, money=facts.price)
    elif standing.may_book and not standing.may_be_booked:
        key = f"book:{facts.reservation_id}"
        if _may_send(facts, key, at):
            yield Send(operation=Operation.BOOK, key=key)


def _aftercare(standing: Standing, at: Moment) -> Iterator[Action]:
    """Inquire about a call that was not found and is not sent again: it may turn up late."""
    for call in standing.facts.calls:
        if call.due(at.now):
            yield Inquire(call)


Rule = Callable[[Standing, Moment], Iterator[Action]]

RULES: tuple[Rule, ...] = (
    _inquire_open,
    _forward,
    _look,
    _service_rule,
    _money_rule,
    _aftercare,
)


def _may_send(facts: Facts, key: str, at: Moment) -> bool:
    """Return `True` if the key was never sent, or did not arrive and its pause is over.

    The pause is capped. Aftercare may have rescheduled a call days ahead that was blocked when its
    pause ended.
    """
    call = facts.find(key)
    if call is None or call.status is not Status.NOT_FOUND:
        return call is None
    longest = at.policy.resend_pause(max(call.attempts, at.policy.unasked_ladder_limit))
    paused = call.closed_at is not None and at.now < call.closed_at + longest
    return call.check_at is None or call.due(at.now) or not paused


def _timers(facts: Facts) -> Iterator[datetime | None]:
    """All times that are due by themselves."""
    for call in facts.calls:
        yield call.check_at
        yield call.refunds_at
    for row in facts.contradictions:
        yield row.check_at


def _rest(standing: Standing, at: Moment) -> Wait | Settled:
    times = [time for time in _timers(standing.facts) if time is not None]
    if not standing.closed and standing.kept_charge is None:
        hold_ends = standing.hold_ends_at(at.policy)
        times += [time for time in (hold_ends, hold_ends + at.policy.grace) if time > at.now]
    if times:
        return Wait(min(times))
    if standing.state in RESTING and not standing.reviews(at.now):
        return Settled()
    # Only a person can go on from here. A daily check, which calls no provider, keeps it in sight.
    return Wait(at.now + at.policy.reminder)
