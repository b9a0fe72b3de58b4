"""How every transaction ends: plan again, set the timer, stage the hints."""

from datetime import datetime

from reservations.application.ports import UnitOfWork
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint
from reservations.domain.plan import Settlement, settle
from reservations.domain.policy import Moment
from reservations.domain.reservation import Reservation


def settle_and_save(
    reservation: Reservation,
    *,
    uow: UnitOfWork,
    at: Moment,
    actor: str = "system",
) -> Reservation:
    """Store a reservation with its next wake-up, and the hints for whoever acts next, in one transaction."""
    settlement = settle(reservation, at)
    stored = uow.reservations.save(settlement.reservation, now=at.now, actor=actor)
    for hint in hints_of(settlement, now=at.now, traceparent=uow.traceparent):
        uow.outbox.add(hint)
    return stored


def pass_on(reservation: Reservation, *, uow: UnitOfWork, at: Moment) -> Reservation:
    """Settle what was locked when nothing is due here; whoever is being told already is not told again.

    Otherwise each copy of a message would make another one: a queue that falls behind would never catch up.
    """
    settlement = settle(reservation, at)
    under_lease = reservation.next_check_at is not None and reservation.next_check_at > at.now
    if settlement.hints and under_lease and settlement.reservation.facts == reservation.facts:
        return reservation
    return settle_and_save(reservation, uow=uow, at=at)


def hints_of(settlement: Settlement, *, now: datetime, traceparent: str | None) -> list[Hint]:
    """The messages a settlement asks for, ready to be stored or sent."""
    return [
        Hint(
            message_id=uuid7(now),
            queue=queue,
            reservation_id=settlement.reservation.reservation_id,
            type=message_type,
            occurred_at=now,
            traceparent=traceparent,
        )
        for queue, message_type in settlement.hints
    ]
