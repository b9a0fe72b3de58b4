"""Carry out what is due about the customer's money."""

from datetime import datetime
from uuid import UUID

from reservations.application.ports import PaymentRequest, PaymentsApi, Reply, UnitOfWork
from reservations.application.provider_step import StepTaken, take_provider_step
from reservations.domain.actions import Action
from reservations.domain.messages import Queue
from reservations.domain.policy import Policy
from reservations.domain.reservation import Customer, Reservation


def process_payment(
    reservation_id: UUID,
    *,
    uow: UnitOfWork,
    payments: PaymentsApi,
    policy: Policy,
    not_after: datetime,
) -> StepTaken | None:
    """Charge, inquire, void or refund: whichever the facts ask for now; none if nothing is due.

    No call that could end after `not_after` is begun: neither the plan nor this process would be there to hear it.
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
        reservation_id, uow=uow, policy=policy, queue=Queue.PAYMENT, perform=perform
    )
