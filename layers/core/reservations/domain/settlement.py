"""How every transaction ends: plan again, so each reservation acts, wakes in time, or rests."""

from dataclasses import dataclass, replace
from datetime import datetime

from reservations.domain.actions import Action, Close, Settled, Wait, wanted_queue
from reservations.domain.fulfilment import Errand, IssueVoucher, SendMail, fulfil
from reservations.domain.learning import close
from reservations.domain.messages import Queue
from reservations.domain.plan import plan
from reservations.domain.policy import Moment
from reservations.domain.reservation import Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A reservation with its next wake-up, and who has to be told: (queue, message type) pairs."""

    reservation: Reservation
    hints: tuple[tuple[Queue, str], ...] = ()


def settle(reservation: Reservation, at: Moment) -> Settlement:
    """Close what is to be closed, and set `next_check_at`: none only if nothing will be due."""
    reservation, planned = decide(reservation, at)
    owed = fulfil(reservation, at.now)
    wishes = [
        _wish(planned, at),
        _wish(owed, at),
        _next_deadline(reservation, at.now),
    ]
    next_check_at = min((time for time in wishes if time is not None), default=None)
    todo = [
        thing for thing in (planned, owed) if isinstance(thing, Action | IssueVoucher | SendMail)
    ]
    return Settlement(
        reservation=replace(reservation, next_check_at=next_check_at),
        hints=tuple((queue, f"{queue}.due") for queue in map(_queue_of, todo)),
    )


def patient(reservation: Reservation, at: Moment) -> Moment:
    """Grow the hint lease with the time the reservation has been overdue, up to `hint_lease_limit`.

    A queue that is behind still holds the last hint. Repeating it at a fixed pace would fill the
    queue faster than it empties.
    """
    timers = [call.check_at for call in reservation.facts.calls]
    timers += [send.check_at for send in reservation.sends]
    due = (time for time in timers if time is not None and time <= at.now)
    waited = at.now - min(due, default=reservation.updated_at)
    lease = min(max(waited, at.policy.hint_lease), at.policy.hint_lease_limit)
    return replace(at, policy=replace(at.policy, hint_lease=lease))


def decide(reservation: Reservation, at: Moment) -> tuple[Reservation, Action | Wait | Settled]:
    """Apply what closes the reservation, and tell what to do after that."""
    planned = plan(reservation.standing, at)
    while isinstance(planned, Close):
        reservation = replace(reservation, facts=close(reservation.facts, planned.reason, at))
        planned = plan(reservation.standing, at)
    return reservation, planned


def _wish(planned: Action | Errand | Wait | Settled, at: Moment) -> datetime | None:
    match planned:
        case Wait(until):
            return until
        case Settled():
            return None
        case _:  # somebody is told now; if the message is lost, tell again
            return at.now + at.policy.hint_lease


def _next_deadline(reservation: Reservation, now: datetime) -> datetime | None:
    """When a call will be late: the review must show at once, not at the next look."""
    deadlines = (call.deadline_at for call in reservation.standing.awaited)
    return min((time for time in deadlines if time > now), default=None)


def _queue_of(todo: Action | Errand) -> Queue:
    match todo:
        case IssueVoucher():
            return Queue.VOUCHER
        case SendMail():
            return Queue.NOTIFICATION
        case _:
            return wanted_queue(todo)
