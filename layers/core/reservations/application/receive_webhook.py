"""Receive a webhook. It proves nothing, but makes us inquire."""

from dataclasses import replace
from enum import StrEnum
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.ports import WebhookEvent
from reservations.domain.errors import ReservationNotFoundError
from reservations.domain.learning import wake


class Received(StrEnum):
    """The outcome of a webhook. All three get the same answer."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    UNKNOWN_REFERENCE = "unknown_reference"


def receive_webhook(event: WebhookEvent, *, cases: Cases) -> Received:
    """Store a webhook once, and make the calls of its sender due now.

    Raises:
        UnavailableError: nothing was stored; the provider sends the webhook again.
    """
    with cases.uow as uow:
        if not uow.webhooks.add(event):
            return Received.DUPLICATE
        received = _wake(event, cases=cases)
        uow.commit()
    cases.send_hints()
    return received


def _wake(event: WebhookEvent, *, cases: Cases) -> Received:
    try:
        reservation_id = UUID(event.reference)
    except ValueError:
        return Received.UNKNOWN_REFERENCE
    try:
        with cases.join(reservation_id) as case:
            facts = wake(case.reservation.facts, event.provider, case.at.now)
            case.put(replace(case.reservation, facts=facts))
    except ReservationNotFoundError:
        return Received.UNKNOWN_REFERENCE
    return Received.TAKEN
