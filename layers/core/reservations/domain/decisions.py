"""What a person may decide about a reservation; a decision is one more fact, under the same rules.

Nothing is ever taken back: what an operator attests raises a call's status as a provider's answer
would, and the saga goes on from there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from reservations.domain.facts import Call, Facts, Operation, Provider, Seen, Status
from reservations.domain.fulfilment import fulfil
from reservations.domain.learning import record, wake
from reservations.domain.policy import Policy
from reservations.domain.reservation import Reservation
from reservations.domain.saga import (
    FINAL,
    Action,
    Review,
    Sent,
    Settled,
    State,
    Verb,
    kept_charge,
    reviews,
    state_of,
)


class Decision(StrEnum):
    """How a review ends: what an operator has seen with their own eyes."""

    PAID = "paid"  # the sum that was taken is accepted in place of the price
    REFUNDED = "refunded"
    BOOKED = "booked"
    CANCELLED = "cancelled"


ANSWERS: Mapping[Decision, frozenset[Review]] = {
    Decision.PAID: frozenset({Review.MONEY_MISMATCH}),
    Decision.REFUNDED: frozenset({Review.REFUND_REFUSED, Review.DEADLINE}),
    Decision.BOOKED: frozenset({Review.DEADLINE}),
    Decision.CANCELLED: frozenset({Review.CANCEL_REFUSED, Review.DEADLINE}),
}
"""Which reviews a decision can answer."""

ATTESTED: Mapping[Decision, Operation] = {
    Decision.REFUNDED: Operation.REFUND,
    Decision.BOOKED: Operation.BOOK,
    Decision.CANCELLED: Operation.CANCEL_BOOKING,
}


class DecisionRefusedError(Exception):
    """The facts do not allow it; outside the error tree, as no request of a client can cause it."""


def nudge(facts: Facts, now: datetime) -> Facts:
    """Make everything due that can be asked or sent again, as a webhook of each provider would."""
    for provider in Provider:
        facts = wake(facts, provider, now)
    for call in facts.calls:
        if call.status is Status.NOT_FOUND:
            facts = facts.put(replace(call, check_at=now))
    return facts


def resolve(
    facts: Facts, decision: Decision, evidence: str, now: datetime, policy: Policy
) -> Facts:
    """Answer a review; `evidence` is a reference outside this system, of a booking the supplier's id.

    Raises:
        DecisionRefusedError: nothing is in review that this decision answers.
    """
    open_reviews = reviews(facts, now)
    if not open_reviews & ANSWERS[decision]:
        standing = ", ".join(sorted(open_reviews)) or "nothing"
        raise DecisionRefusedError(f"in review: {standing}; `{decision}` does not answer it")
    if decision is Decision.PAID:
        return _accept_sum(facts)
    return _attest(facts, ATTESTED[decision], evidence, now, policy)


def _accept_sum(facts: Facts) -> Facts:
    charge = kept_charge(facts)
    assert charge is not None  # the review is about it
    if charge.money is None or charge.money.currency != facts.price.currency:
        raise DecisionRefusedError("the payment is in another currency: cancel the reservation")
    return replace(facts, accepted_minor=charge.money.minor)


def _attest(
    facts: Facts, operation: Operation, evidence: str, now: datetime, policy: Policy
) -> Facts:
    calls = [call for call in facts.of(operation) if _in_question(call, now)]
    if not calls:
        raise DecisionRefusedError(f"no {operation} is in question: nudge it, and look again")
    if operation is Operation.BOOK and any(
        call.provider_id not in (None, evidence) for call in calls
    ):
        known = ", ".join(call.provider_id for call in calls if call.provider_id)
        raise DecisionRefusedError(f"the supplier knows this booking as {known}")
    for call in calls:
        seen = Seen(
            provider_id=call.provider_id or _NAMED[operation](call, evidence),
            status=Status.SUCCEEDED,
            money=call.money,
        )
        facts = record(facts, _asked(call, now), seen, now, policy)
    return facts


def _in_question(call: Call, now: datetime) -> bool:
    """Whether a review is about it; what may still be answered in time is not the operator's."""
    return call.status is Status.DECLINED or (call.open and call.deadline_at <= now)


# A later listing files what it tells under the provider's id, so ours must never look like one, but
# for a booking: the service rule would cancel the same one under another id.
_NAMED: Mapping[Operation, Callable[[Call, str], str]] = {
    Operation.REFUND: lambda _, evidence: f"evidence:{evidence}",
    Operation.BOOK: lambda _, evidence: evidence,
    Operation.CANCEL_BOOKING: lambda call, evidence: call.target or evidence,
}


def _asked(call: Call, now: datetime) -> Sent:
    action = Action(
        verb=Verb.INQUIRE,
        key=call.key,
        operation=call.operation,
        target=call.target,
        money=call.money,
    )
    return Sent(action=action, at=now, attempt=call.attempts)


def refuse_to_erase(reservation: Reservation, now: datetime) -> None:
    """Let the personal data go only when neither money nor a mail can still need them.

    Raises:
        DecisionRefusedError: naming all that still needs them.
    """
    needs = list(_needs(reservation, now))
    if needs:
        raise DecisionRefusedError("; ".join(needs))


def _needs(reservation: Reservation, now: datetime) -> Iterator[str]:
    facts = reservation.facts
    state = state_of(facts)
    if state not in FINAL and state is not State.SUPPLIER_CONFIRMED:
        yield f"money is open: it is {state}"
    if any(call.open for call in facts.calls):
        yield "money is open: a provider has not answered yet"
    if reviews(facts, now):
        yield "it is in review"
    if state is State.SUPPLIER_CONFIRMED and now.date() <= reservation.offer.ends_on:
        yield "the trip is not over: cancel it first"
    if not isinstance(fulfil(reservation, now), Settled):
        yield "the traveler is still owed a document or a mail"
