"""The step that both providers share: read, plan, write down; act; read, record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from reservations.application.cases import Case, Cases
from reservations.application.ports import Attempt, Reply
from reservations.domain.actions import Action, Sent
from reservations.domain.facts import Contradiction, Facts, Provider
from reservations.domain.learning import begin, record
from reservations.domain.reservation import Customer, Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTaken:
    """The action of a step, its reply, and the contradictions that it opened, for logs and metrics."""

    action: Action
    reply: Reply
    opened: tuple[Contradiction, ...] = ()


Perform = Callable[[Reservation, Customer, Action], Reply]


def take_provider_step(
    reservation_id: UUID, *, cases: Cases, provider: Provider, perform: Perform
) -> StepTaken | None:
    """Do the action that is due at `provider`. Return `None` if no action is.

    `perform` never raises for a provider's answer or silence.

    Raises:
        ReservationNotFoundError: there is no such reservation.
        UnavailableError: the database did not answer; the stored facts stay true, a retry is safe.
    """
    with cases.open(reservation_id, customer=True) as case:
        action = case.due(provider)
        if action is None:
            return None
        sent = _begin(case, action)
        reservation, customer = case.reservation, case.customer

    reply = perform(reservation, customer, action)

    with cases.open(reservation_id) as case:
        before = case.reservation.facts
        facts = record(before, sent, reply.outcome, case.at)
        case.put(replace(case.reservation, facts=facts))
        case.prove(_evidence(sent, reply))
    return StepTaken(action=action, reply=reply, opened=_opened(before, facts))


def _begin(case: Case, action: Action) -> Sent:
    facts = begin(case.reservation.facts, action, case.at)
    case.put(replace(case.reservation, facts=facts))
    return Sent(action=action, at=case.at.now, attempt=facts.row(action.key).attempts)


def _opened(before: Facts, after: Facts) -> tuple[Contradiction, ...]:
    known = {(row.matter, row.number) for row in before.contradictions if row.opened_at}
    return tuple(
        row
        for row in after.contradictions
        if row.opened_at and (row.matter, row.number) not in known
    )


def _evidence(sent: Sent, reply: Reply) -> Attempt:
    return Attempt(
        call_key=sent.action.key,
        verb=sent.action.verb,
        sent_at=sent.at,
        outcome=type(reply.outcome).__name__,
        http_status=reply.http_status,
        elapsed_ms=reply.elapsed_ms,
        code=reply.code,
    )
