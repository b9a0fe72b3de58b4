"""How every transaction ends: plan again, set the timer, stage the hints."""

from uuid import UUID

from reservations.application.ports import UnitOfWork
from reservations.domain.change import Change
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from reservations.domain.plan import settle
from reservations.domain.policy import Moment
from reservations.domain.reservation import Reservation


def settle_and_save(
    before: Reservation,
    after: Reservation,
    *,
    uow: UnitOfWork,
    at: Moment,
    actor: str = "system",
) -> Reservation:
    """Store a reservation with its next wake-up, and the hints for whoever acts next, in one transaction."""
    change = Change.of(before, settle(after, at), at, actor=actor)
    uow.reservations.save(change)
    for hint in hints_of(
        change.after.reservation_id, change.hints, at, traceparent=uow.traceparent
    ):
        uow.outbox.add(hint)
    return change.after


def pass_on(reservation: Reservation, *, uow: UnitOfWork, at: Moment) -> Reservation:
    """Settle what was locked when nothing is due here; whoever is being told already is not told again.

    Otherwise each copy of a message would make another one: a queue that falls behind would never catch up.
    """
    settlement = settle(reservation, at)
    under_lease = reservation.next_check_at is not None and reservation.next_check_at > at.now
    if settlement.hints and under_lease and settlement.reservation.facts == reservation.facts:
        return reservation
    return settle_and_save(reservation, reservation, uow=uow, at=at)


def hints_of(
    reservation_id: UUID,
    wanted: tuple[tuple[Queue, str], ...],
    at: Moment,
    *,
    traceparent: str | None,
) -> list[Hint]:
    """Make messages of (queue, message type) pairs, ready to be stored or sent."""
    return [
        Hint(
            message_id=uuid7(at.now),
            queue=queue,
            reservation_id=reservation_id,
            type=message_type,
            occurred_at=at.now,
            traceparent=traceparent,
        )
        for queue, message_type in wanted
    ]
