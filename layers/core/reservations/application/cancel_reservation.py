"""Cancel a reservation for its customer."""

from dataclasses import replace
from uuid import UUID

from reservations.application.cases import Case, Cases
from reservations.domain.errors import NotCancellableError
from reservations.domain.learning import cancel
from reservations.domain.reservation import Reservation
from reservations.domain.views import is_cancellable
from reservations.domain.words import PublicStatus

ACTOR = "customer"
BEING_CANCELLED = frozenset({PublicStatus.EN_CANCELACION, PublicStatus.CANCELADA})


def cancel_reservation(reservation_id: UUID, *, cases: Cases) -> Reservation:
    """Close a reservation for its customer, in the caller's transaction.

    Raises:
        NotCancellableError: see `close_case`.
        ReservationNotFoundError: there is no such reservation.
    """
    with replace(cases, actor=ACTOR).join(reservation_id) as case:
        close_case(case)
    return case.reservation


def close_case(case: Case, *, by_operator: bool = False) -> None:
    """Close a reservation. Leave one that is being cancelled, so that a repeat is harmless.

    An operator may end an unconfirmed trip on any day: otherwise its money would stay with us.

    Raises:
        NotCancellableError: it ended otherwise, or its service begins today (UTC) or has begun.
    """
    reservation = case.reservation
    status = reservation.standing.public_status
    if status in BEING_CANCELLED:
        case.leave()
        return
    unserved = by_operator and status is PublicStatus.EN_PROCESO
    if not (unserved or is_cancellable(reservation, case.at.now)):
        raise NotCancellableError(status)
    case.put(replace(reservation, facts=cancel(reservation.facts)))
