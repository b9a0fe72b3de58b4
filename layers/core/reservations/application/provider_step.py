"""The step both providers share: lock, plan, write down, act, lock, record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from reservations.application.ports import Attempt, Reply, UnitOfWork
from reservations.application.settlement import pass_on, settle_and_save
from reservations.domain.actions import Action, Sent, wanted_queue
from reservations.domain.learning import begin, record
from reservations.domain.messages import Queue
from reservations.domain.plan import plan
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Customer, Reservation
from reservations.domain.verdict import conclude


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """What a step did, for logs and metrics."""

    action: Action
    reply: Reply


Perform = Callable[[Reservation, Customer, Action], Reply]


def take_provider_step(
    reservation_id: UUID, *, uow: UnitOfWork, policy: Policy, queue: Queue, perform: Perform
) -> StepTaken | None:
    """Do the one thing that is due at the provider behind `queue`; none if nothing is.

    `perform` runs outside any transaction and never raises for a provider's answer or silence.

    Raises:
        ReservationNotFoundError: there is no such reservation.
        UnavailableError: the database did not answer; what was written stays true, so a retry is safe.
    """
    with uow:
        locked = uow.reservations.lock(reservation_id)
        at = Moment(uow.now(), policy)
        concluded = conclude(locked.standing, at)
        action = plan(concluded, at)
        if not isinstance(action, Action) or wanted_queue(action) is not queue:
            pass_on(locked, uow=uow, at=at)
            uow.commit()
            return None
        reservation = replace(locked, facts=begin(concluded.facts, action, at))
        customer = uow.reservations.customer(reservation_id)
        settle_and_save(locked, reservation, uow=uow, at=at)
        uow.commit()

    attempt = reservation.facts.row(action.key).attempts
    sent = Sent(action=action, at=at.now, attempt=attempt)
    reply = perform(reservation, customer, action)

    _record(reservation_id, sent, reply, uow=uow, policy=policy)
    return StepTaken(action=action, reply=reply)


def _record(
    reservation_id: UUID, sent: Sent, reply: Reply, *, uow: UnitOfWork, policy: Policy
) -> None:
    with uow:
        reservation = uow.reservations.lock(reservation_id)
        at = Moment(uow.now(), policy)
        facts = record(reservation.facts, sent, reply.outcome, at)
        settle_and_save(reservation, replace(reservation, facts=facts), uow=uow, at=at)
        uow.reservations.add_attempt(reservation_id, _evidence(sent, reply))
        uow.commit()


def _evidence(sent: Sent, reply: Reply) -> Attempt:
    return Attempt(
        call_key=sent.action.key,
        verb=sent.action.verb,
        sent_at=sent.at,
        outcome=type(reply.outcome).__name__,
        http_status=reply.http_status,
        elapsed_ms=reply.elapsed_ms,
    )
