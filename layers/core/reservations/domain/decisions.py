"""Decisions of a person about a reservation. A decision is one more fact, under the same rules.

Nothing is withdrawn. An operator's evidence raises the status of a call as a provider's answer does,
and the saga goes on from there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from reservations.domain.actions import Inquire, Sent, Settled
from reservations.domain.facts import Call, Facts, Operation, Provider, Seen, Status
from reservations.domain.fulfilment import fulfil
from reservations.domain.learning import record, wake
from reservations.domain.money import Money
from reservations.domain.policy import Moment
from reservations.domain.reservation import Reservation
from reservations.domain.standing import Standing
from reservations.domain.words import RESTING, Review, State


class Decision(StrEnum):
    """The end of a review: evidence that an operator has seen."""

    PAID = "paid"  # the sum of the payment is accepted in place of the price
    NOT_CHARGED = "not_charged"  # no payment was made; if that was wrong, a late inquiry finds it
    REFUNDED = "refunded"
    BOOKED = "booked"
    NOT_BOOKED = (
        "not_booked"  # the supplier has no booking; if that was wrong, a late inquiry finds it
    )
    CANCELLED = "cancelled"


ANSWERS: Mapping[Decision, frozenset[Review]] = {
    Decision.PAID: frozenset({Review.MONEY_MISMATCH}),
    Decision.NOT_CHARGED: frozenset({Review.DEADLINE}),
    Decision.REFUNDED: frozenset({Review.REFUND_REFUSED, Review.DEADLINE}),
    Decision.BOOKED: frozenset({Review.DEADLINE}),
    Decision.NOT_BOOKED: frozenset({Review.DEADLINE}),
    Decision.CANCELLED: frozenset({Review.CANCEL_REFUSED, Review.DEADLINE}),
}
"""The reviews that each decision can answer."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """The status that a decision gives to a call. `name` makes an id for a call without one."""

    operation: Operation
    status: Status
    name: Callable[[Call, str], str]


def _ours(_: Call, evidence: str) -> str:
    """Unlike any id of a provider, so that a later listing is filed apart."""
    return f"evidence:{evidence}"


def _of_its_payment(call: Call, evidence: str) -> str:
    """One transfer may refund many payments."""
    return f"{_ours(call, evidence)}:{call.target}"


def _the_supplier_s(_: Call, evidence: str) -> str:
    """Under another id, the service rule would cancel the booking."""
    return evidence


ATTESTED: Mapping[Decision, Attestation] = {
    Decision.NOT_CHARGED: Attestation(Operation.CHARGE, Status.DECLINED, _ours),
    Decision.REFUNDED: Attestation(Operation.REFUND, Status.SUCCEEDED, _of_its_payment),
    Decision.BOOKED: Attestation(Operation.BOOK, Status.SUCCEEDED, _the_supplier_s),
    Decision.NOT_BOOKED: Attestation(Operation.BOOK, Status.DECLINED, _ours),
    Decision.CANCELLED: Attestation(
        Operation.CANCEL_BOOKING, Status.SUCCEEDED, lambda call, evidence: call.target or evidence
    ),
}


class DecisionRefusedError(Exception):
    """The facts do not allow it. It is outside the error tree, as no client can cause it."""


def nudge(facts: Facts, now: datetime) -> Facts:
    """Make every call due that can be inquired about or sent again, as webhooks of all providers would."""
    for provider in Provider:
        facts = wake(facts, provider, now)
    for call in facts.calls:
        if call.status is Status.NOT_FOUND:
            facts = facts.put(replace(call, check_at=now))
    return facts


def resolve(
    facts: Facts,
    decision: Decision,
    evidence: str,
    at: Moment,
    *,
    target: str | None = None,
) -> Facts:
    """Answer a review. `evidence` is a reference outside this system; for a booking, the supplier's id.

    `target` is the payment or booking in question. It is needed where there are several, as one
    piece of evidence proves one.

    Raises:
        DecisionRefusedError: no review, or more than one, is answered by this decision.
    """
    standing = Standing(facts)
    open_reviews = standing.reviews(at.now)
    if not open_reviews & ANSWERS[decision]:
        found = ", ".join(sorted(open_reviews)) or "nothing"
        raise DecisionRefusedError(f"in review: {found}; `{decision}` does not answer it")
    if decision is Decision.PAID:
        return _accept_sum(standing)
    call = _the_one_in_question(standing, ATTESTED[decision].operation, at.now, target)
    if decision is Decision.BOOKED and call.provider_id not in (None, evidence):
        raise DecisionRefusedError(f"the supplier knows this booking as {call.provider_id}")
    return _attest(standing, call, ATTESTED[decision], evidence, at)


def _accept_sum(standing: Standing) -> Facts:
    facts, charge = standing.facts, standing.kept_charge
    assert charge is not None  # a `MONEY_MISMATCH` review implies it
    if charge.money is None or charge.money.currency != facts.price.currency:
        raise DecisionRefusedError("the payment is in another currency: cancel the reservation")
    return replace(facts, accepted_minor=charge.money.minor)


def _the_one_in_question(
    standing: Standing, operation: Operation, now: datetime, target: str | None
) -> Call:
    asked = [c for c in standing.facts.of(operation) if _in_question(standing, c, now)]
    calls = [call for call in asked if target in (None, _named(call))]
    match calls:
        case [call]:
            return call
        case []:
            of = f" of {target}" if target and asked else ""
            raise DecisionRefusedError(
                f"no {operation}{of} is in question: nudge it, and look again"
            )
        case _:
            targets = ", ".join(_named(call) or "(no id yet: the last one)" for call in calls)
            raise DecisionRefusedError(
                f"several are in question: say which, one at a time, by --target: {targets}"
            )


def _named(call: Call) -> str | None:
    """The name of a call for operators: the id of its target, else its own."""
    return call.target or call.provider_id


def _attest(standing: Standing, call: Call, said: Attestation, evidence: str, at: Moment) -> Facts:
    call = replace(call, money=_what_was_left(standing, call))
    facts = standing.facts.put(call)
    seen = Seen(
        provider_id=call.provider_id or said.name(call, evidence),
        status=said.status,
        money=call.money,
    )
    return record(facts, _asked(call, at.now), seen, at)


def _what_was_left(standing: Standing, call: Call) -> Money | None:
    """An attested refund is of the amount that other refunds had left of the payment."""
    for charge in standing.held_charges:
        if call.operation is Operation.REFUND and charge.provider_id == call.target and call.money:
            return Money(standing.left_of(charge), call.money.currency)
    return call.money


def _in_question(standing: Standing, call: Call, now: datetime) -> bool:
    """Return `True` if a review is about the call. One that may still be answered in time is not."""
    refused = call.status is Status.DECLINED and call.operation is not Operation.CHARGE
    return refused or (call in standing.awaited and call.deadline_at <= now)


def _asked(call: Call, now: datetime) -> Sent:
    return Sent(action=Inquire(call), at=now, attempt=call.attempts)


def refuse_to_erase(reservation: Reservation, now: datetime) -> None:
    """Refuse to erase personal data that money, a mail or a document still need.

    Raises:
        DecisionRefusedError: its text names all that still needs them.
    """
    needs = list(_needs(reservation, now))
    if needs:
        raise DecisionRefusedError("; ".join(needs))


def _needs(reservation: Reservation, now: datetime) -> Iterator[str]:
    standing = reservation.standing
    state = standing.state
    if state not in RESTING:
        yield f"money is open: it is {state}"
    if any(call.open for call in reservation.facts.calls):
        yield "money is open: a provider has not answered yet"
    if standing.reviews(now):
        yield "it is in review"
    if state is State.SUPPLIER_CONFIRMED and now.date() <= reservation.offer.ends_on:
        yield "the trip is not over: cancel it first"
    if not isinstance(fulfil(reservation, now), Settled):
        yield "the traveler is still owed a document or a mail"
