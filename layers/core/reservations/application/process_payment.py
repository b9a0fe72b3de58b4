"""Carry out the next action about the customer's money."""

from datetime import datetime
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.ports import PaymentRequest, PaymentsApi, Reply
from reservations.application.provider_step import StepTaken, take_provider_step
from reservations.domain.actions import Action
from reservations.domain.facts import Provider
from reservations.domain.reservation import Customer, Reservation


def process_payment(
    reservation_id: UUID,
    *,
    cases: Cases,
    payments: PaymentsApi,
    not_after: datetime,
) -> StepTaken | None:
    """Charge, inquire, void or refund: the action that is due. Return `None` if no action is.

    Do not start a call that could outlast `not_after`: this invocation would end before the answer.
    """

    def perform(reservation: Reservation, customer: Customer, action: Action) -> Reply:
        return payments.perform(
            PaymentRequest(
                action=action,
                reference=reservation_id,
                money=action.money or reservation.facts.price,
                payment_token=customer.payment_token,
                not_after=not_after,
            )
        )

    return take_provider_step(
        reservation_id, cases=cases, provider=Provider.PAYMENTS, perform=perform
    )
