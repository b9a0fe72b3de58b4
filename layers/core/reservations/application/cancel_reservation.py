"""Cancel a reservation for its customer."""

from dataclasses import replace
from uuid import UUID

from reservations.application.ports import UnitOfWork
from reservations.application.settlement import settle_and_save
from reservations.domain.errors import NotCancellableError
from reservations.domain.learning import cancel
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus

BEING_CANCELLED = frozenset({PublicStatus.EN_CANCELACION, PublicStatus.CANCELADA})
OVER = frozenset({PublicStatus.RECHAZADA, PublicStatus.EXPIRADA})


def cancel_reservation(
    reservation_id: UUID,
    *,
    uow: UnitOfWork,
    policy: Policy,
    actor: str = "customer",
    by_operator: bool = False,
) -> Reservation:
    """Close a reservation at its customer's wish, in the caller's transaction.

    One that is being cancelled, or is, stays as it is: asking again is harmless. An operator may end
    what was never confirmed on whatever day: nobody else could, and its money would stay with us.

    Raises:
        NotCancellableError: it ended otherwise, or its service begins today (UTC) or has begun.
        ReservationNotFoundError: there is no such reservation.
    """
    reservation = uow.reservations.lock(reservation_id)
    at = Moment(uow.now(), policy)
    status = reservation.standing.public_status
    if status in BEING_CANCELLED:
        return reservation
    begun = at.now.date() >= reservation.offer.starts_on
    unserved = status is PublicStatus.EN_PROCESO
    if status in OVER or (begun and not (by_operator and unserved)):
        raise NotCancellableError(status)
    closed = replace(reservation, facts=cancel(reservation.facts))
    return settle_and_save(reservation, closed, uow=uow, at=at, actor=actor)
