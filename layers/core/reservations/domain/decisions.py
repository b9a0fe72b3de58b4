"""Decisions of operators about a reservation: each is one more fact, under the same rules.

No fact is ever taken back. An operator's evidence raises a call's status as a provider's answer
would, and the saga goes on from there.
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
    """The result of a review: the state of things that an operator verified."""

    PAID = "paid"  # the amount that was taken is accepted in place of the price
    NOT_CHARGED = "not_charged"  # no money was taken; if that was wrong, a late inquiry finds it
    REFUNDED = "refunded"
    BOOKED = "booked"
    # The supplier has no booking. If that was wrong, a late inquiry finds it and it is cancelled.
    NOT_BOOKED = "not_booked"
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
    """The status that a decision gives a call; `name` makes the id of a call without one."""

    operation: Operation
    status: Status
    name: Callable[[Call, str], str]


def _ours(_: Call, evidence: str) -> str:
    """Make an id unlike any provider's, so that no later listing is filed under it."""
    return f"evidence:{evidence}"


def _of_its_payment(call: Call, evidence: str) -> str:
    """Add the payment to the id: one bank transfer may refund many payments."""
    return f"{_ours(call, evidence)}:{call.target}"


def _the_supplier_s(_: Call, evidence: str) -> str:
    """Use the supplier's id: under another one the service rule would cancel the same booking."""
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
    """The facts do not allow the decision. No client can cause it, so it is outside the error tree."""


def nudge(facts: Facts, now: datetime) -> Facts:
    """Make due now every call that can be inquired about or sent again, as webhooks would."""
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
    """Answer a review.

    `evidence` is a reference outside this system: for a booking, the supplier's id. `target` names
    the payment or booking. It is required if several are in question: one reference proves one.

    Raises:
        DecisionRefusedError: the decision answers no open review, or several calls match it.
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
    """The name an operator uses: the id of the call that it undoes, else its own provider id."""
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
    """Amount of an attested refund: the part of the payment that other refunds left."""
    for charge in standing.held_charges:
        if call.operation is Operation.REFUND and charge.provider_id == call.target and call.money:
            return Money(standing.left_of(charge), call.money.currency)
    return call.money


def _in_question(standing: Standing, call: Call, now: datetime) -> bool:
    """Return `True` if a review is about the call: refused, or unanswered past its deadline."""
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
