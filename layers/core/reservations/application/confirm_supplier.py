"""Carry out what is due about the service: book it, ask about it, or cancel it."""

from datetime import datetime
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.ports import Reply, SupplierApi, SupplierRequest
from reservations.application.provider_step import StepTaken, take_provider_step
from reservations.domain.actions import Action
from reservations.domain.facts import Provider
from reservations.domain.reservation import Customer, Reservation


def confirm_supplier(
    reservation_id: UUID,
    *,
    cases: Cases,
    supplier: SupplierApi,
    not_after: datetime,
) -> StepTaken | None:
    """Book, inquire or cancel, whichever is due; see `process_payment`."""

    def perform(reservation: Reservation, customer: Customer, action: Action) -> Reply:
        facts = reservation.facts
        return supplier.perform(
            SupplierRequest(
                action=action,
                reference=reservation_id,
                offer=reservation.offer,
                lead_guest=customer.full_name or None,
                price=facts.price if facts.row(action.key).priced else None,
                not_after=not_after,
            )
        )

    return take_provider_step(
        reservation_id, cases=cases, provider=Provider.SUPPLIER, perform=perform
    )
