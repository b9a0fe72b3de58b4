"""Take a provider's word that something changed: it proves nothing, and makes us ask."""

from dataclasses import replace
from enum import StrEnum
from uuid import UUID

from reservations.application.ports import UnitOfWork, WebhookEvent
from reservations.application.settlement import settle_and_save
from reservations.domain.errors import ReservationNotFoundError
from reservations.domain.learning import wake
from reservations.domain.policy import Moment, Policy


class Received(StrEnum):
    """What became of a webhook; all three are answered alike."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    UNKNOWN_REFERENCE = "unknown_reference"


def receive_webhook(event: WebhookEvent, *, uow: UnitOfWork, policy: Policy) -> Received:
    """Store a webhook once, and make what its sender holds for the reservation due now.

    Raises:
        UnavailableError: nothing was stored; the provider will send it again.
    """
    with uow:
        if not uow.webhooks.add(event):
            return Received.DUPLICATE
        received = _wake(event, uow=uow, policy=policy)
        uow.commit()
    return received


def _wake(event: WebhookEvent, *, uow: UnitOfWork, policy: Policy) -> Received:
    try:
        reservation = uow.reservations.lock(UUID(event.reference))
    except (ReservationNotFoundError, ValueError):
        return Received.UNKNOWN_REFERENCE
    at = Moment(uow.now(), policy)
    woken = replace(reservation, facts=wake(reservation.facts, event.provider, at.now))
    settle_and_save(reservation, woken, uow=uow, at=at)
    return Received.TAKEN
