"""Decisions of a person about a reservation. A decision is one more fact, under the same rules.

Nothing is withdrawn. An operator's evidence raises the status of a call as a provider's answer does,
or closes a contradiction, and the saga goes on from there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reservations.domain import contradictions
from reservations.domain.actions import Inquire, Sent, Settled
from reservations.domain.contradictions import decide
from reservations.domain.facts import (
    ATTESTED_BY_EVIDENCE,
    OF_BOOKINGS,
    Call,
    Contradiction,
    Decision,
    Facts,
    Kind,
    Operation,
    Provider,
    Seen,
    Status,
)
from reservations.domain.fulfilment import fulfil
from reservations.domain.learning import record, wake
from reservations.domain.money import Money
from reservations.domain.policy import Moment
from reservations.domain.reservation import Reservation
from reservations.domain.standing import Standing
from reservations.domain.words import RESTING, Review, State

ANSWERS: Mapping[Decision, frozenset[Review]] = {
    Decision.PAID: frozenset({Review.MONEY_MISMATCH, Review.OTHER_SUM}),
    Decision.NOT_CHARGED: frozenset({Review.DEADLINE}),
    Decision.REFUNDED: frozenset({Review.REFUND_REFUSED, Review.DEADLINE}),
    Decision.BOOKED: frozenset({Review.DEADLINE}),
    Decision.NOT_BOOKED: frozenset({Review.DEADLINE}),
    Decision.CANCELLED: frozenset({Review.CANCEL_REFUSED, Review.DEADLINE}),
    Decision.STANDS: frozenset(
        {Review.BOOKING_ABSENT, Review.BOOKING_CHANGED, Review.PAYMENT_CHANGED}
    ),
    Decision.GONE: frozenset({Review.BOOKING_ABSENT, Review.BOOKING_CHANGED}),
    Decision.REBOOKED: frozenset({Review.BOOKING_ABSENT, Review.BOOKING_CHANGED}),
    Decision.HONOURED: frozenset(
        {
            Review.BOOKING_ALIVE,
            Review.FOREIGN_REFUND,
            Review.PAYMENT_ABSENT,
            Review.PAYMENT_CHANGED,
            Review.DISPUTE,
        }
    ),
    Decision.REFUND_AGAIN: frozenset({Review.REFUND_FAILED, Review.REFUND_REFUSED}),
    Decision.RETURNED: frozenset(
        {
            Review.REFUND_FAILED,
            Review.OTHER_SUM,
            Review.PAYMENT_ABSENT,
            Review.DISPUTE,
            Review.FOREIGN_REFUND,
        }
    ),
}
"""The reviews that each decision can answer."""

SUM = str(Review.MONEY_MISMATCH)
"""The target that names the first sum of the payment, beside a later one: a contradiction."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """The status that a decision gives to a call. `name` makes an id for a call without one."""

    operation: Operation
    status: Status
    name: Callable[[Call, str], str]


def _ours(_: Call, evidence: str) -> str:
    """Unlike any id of a provider, so that a later listing is filed apart."""
    return f"{ATTESTED_BY_EVIDENCE}{evidence}"


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

    `target` is the payment, booking or refund in question. It is needed where there are several, as
    one piece of evidence proves one. A decision about a contradiction closes that one time of it.

    Raises:
        DecisionRefusedError: no review, or more than one, is answered by this decision. A frozen
        reservation takes none.
    """
    if facts.frozen:
        words = ", ".join(map(str, facts.unknown_words))
        raise DecisionRefusedError(f"this release does not know {words}: deploy one that does")
    standing = Standing(facts)
    open_reviews = standing.reviews(at.now)
    if not open_reviews & ANSWERS[decision]:
        if not open_reviews:
            raise DecisionRefusedError("it is not in review, or not any more")
        found = ", ".join(sorted(open_reviews))
        raise DecisionRefusedError(f"`{decision}` does not answer its review: {found}")
    row = _contradiction_in_question(standing, decision, target)
    if row is not None:
        return _decide(standing, row, decision, evidence, at)
    if _accepts_sum(standing, decision) and target in (None, SUM, _kept_id(standing)):
        return _accept_sum(standing)
    if decision is Decision.REFUND_AGAIN:
        return _refund_again(standing, _held_charge(standing, target), at)
    wrongly_refunded = {
        Decision.HONOURED: standing.over_refunded,
        Decision.RETURNED: standing.short_refunded,
    }.get(decision, ())
    for charge in wrongly_refunded:
        if target in (None, charge.provider_id):
            return _settle_account(standing, charge, decision, evidence, at)
    if decision not in ATTESTED:
        raise DecisionRefusedError("nothing of this is open: nudge it, and look again")
    call = _the_one_in_question(standing, ATTESTED[decision].operation, at.now, target)
    if decision is Decision.BOOKED and call.provider_id not in (None, evidence):
        raise DecisionRefusedError(f"the supplier knows this booking as {call.provider_id}")
    return _attest(standing, call, ATTESTED[decision], evidence, at)


def possible(facts: Facts, at: Moment) -> Mapping[Decision, tuple[str, ...]]:
    """The decisions that would be taken now, each with the targets to choose from, if it needs one."""
    standing = Standing(facts)
    reviews = standing.reviews(at.now)
    found = {
        decision: _targets_taken(facts, decision, at)
        for decision in Decision
        if reviews & ANSWERS[decision]
    }
    return {decision: targets for decision, targets in found.items() if targets is not None}


def _targets_taken(facts: Facts, decision: Decision, at: Moment) -> tuple[str, ...] | None:
    if _is_taken(facts, decision, None, at):
        return ()
    ids = {call.target or call.provider_id for call in facts.calls} - {None}
    matters = {f"{row.kind}:{row.subject}" for row in facts.contradictions}
    taken = tuple(
        t for t in sorted({*filter(None, ids), *matters, SUM}) if _is_taken(facts, decision, t, at)
    )
    return taken or None


def _is_taken(facts: Facts, decision: Decision, target: str | None, at: Moment) -> bool:
    # A booking is attested by the supplier's own id, if that is known.
    known = [call.provider_id for call in facts.of(Operation.BOOK) if call.provider_id]
    for evidence in ("a-reference", *known):
        try:
            resolve(facts, decision, evidence, at, target=target)
        except DecisionRefusedError:
            continue
        return True
    return False


def _contradiction_in_question(
    standing: Standing, decision: Decision, target: str | None
) -> Contradiction | None:
    rows = [
        row
        for row in standing.lasting
        if standing.in_review(row)
        and Review(row.kind) in ANSWERS[decision]
        and _may_answer(standing, row, decision)
    ]
    by_name = {f"{row.kind}:{row.subject}": row for row in rows}
    if target in by_name:
        return by_name[target]
    named = [
        name
        for name, row in by_name.items()
        if target in (None, row.kind, row.subject, row.payment)
    ]
    if _accepts_sum(standing, decision) and target in (None, _kept_id(standing)):
        named.append(SUM)
    if len(named) > 1:
        several = ", ".join(named)
        raise DecisionRefusedError(f"several are in question: say which, by --target: {several}")
    return next((by_name[name] for name in named if name in by_name), None)


def _kept_id(standing: Standing) -> str | None:
    return standing.kept_charge.provider_id if standing.kept_charge else None


def _accepts_sum(standing: Standing, decision: Decision) -> bool:
    return decision is Decision.PAID and standing.sum_differs


def _may_answer(standing: Standing, row: Contradiction, decision: Decision) -> bool:
    """Return `False` for a decision about money that the reservation still stands on."""
    if decision is Decision.PAID:
        return row.payment is None  # a refund's sum cannot be accepted in place of the price
    if decision is Decision.RETURNED and (row.payment is None or row.kind is Kind.FOREIGN_REFUND):
        return standing.closed
    return True


def _decide(
    standing: Standing, row: Contradiction, decision: Decision, evidence: str, at: Moment
) -> Facts:
    if (
        decision is Decision.PAID
        and row.money
        and row.money.currency != standing.facts.price.currency
    ):
        raise DecisionRefusedError("the payment is in another currency: cancel the reservation")
    if decision is Decision.REFUND_AGAIN and row.seen == Status.PENDING:
        raise DecisionRefusedError(f"{row.subject} is pending: it may still succeed")
    about = row.payment or row.subject
    if decision is Decision.RETURNED and any(
        refund.open and refund.target == about for refund in standing.refunds
    ):
        raise DecisionRefusedError(f"a refund of {about} may still succeed")
    facts = standing.facts.put_contradiction(decide(row, decision, evidence, at))
    if decision is Decision.REBOOKED:
        return _rebooked(facts, row, evidence, at)
    if decision is Decision.REFUND_AGAIN:
        return _refund_again(Standing(facts), _held_charge(Standing(facts), row.payment), at)
    return facts


def _settle_account(
    standing: Standing, charge: Call, decision: Decision, evidence: str, at: Moment
) -> Facts:
    """Keep that no more money of a charge is due, to either side."""
    about, left = charge.provider_id or "", standing.left_of(charge)
    before = standing.facts.last(Kind.FOREIGN_REFUND, about)
    row = Contradiction(
        kind=Kind.FOREIGN_REFUND,
        subject=about,
        seen=f"left {left}",
        number=before.number + 1 if before else 1,
        payment=about,
        money=Money(abs(left), standing.account_of(charge).taken.currency),
        looks=0,  # by a person: no answer of a provider ends it
        first_at=at.now,
        last_at=at.now,
    )
    return standing.facts.put_contradiction(decide(row, decision, evidence, at))


def _rebooked(facts: Facts, row: Contradiction, evidence: str, at: Moment) -> Facts:
    """File the booking under its new id. A listing tells its locator.

    The doubts about that id are over: their decisions were about another booking.
    """
    if evidence == row.subject:
        raise DecisionRefusedError("this is its old id: use `stands` if nothing changed")
    for doubt in facts.contradictions:
        about_it = doubt.subject == evidence and doubt.kind in OF_BOOKINGS
        if about_it and (doubt.lasts or doubt.over_at is None):
            facts = facts.put_contradiction(contradictions.end(doubt, at))
    known = _booking_to_move_to(Standing(facts), row, evidence)
    if known is not None:
        return facts.put(replace(known, check_at=at.now))
    call = Call(
        operation=Operation.BOOK,
        key=f"seen:{Operation.BOOK}:{evidence}",
        started_at=at.now,
        sent_at=at.now,
        deadline_at=at.now + at.policy.deadline,
    )
    seen = Seen(provider_id=evidence, status=Status.SUCCEEDED)
    facts = record(facts.put(call), _asked(call, at.now), seen, at)
    return facts.put(replace(facts.row(call.key), check_at=at.now))


def _booking_to_move_to(standing: Standing, row: Contradiction, evidence: str) -> Call | None:
    """The booking with that id, if we know it. One that the trip cannot stand on is refused."""
    for booking in standing.bookings:
        about = booking.provider_id or ""
        if about.casefold() != evidence.casefold() or about == row.subject:
            continue
        if standing.is_undone(booking):
            raise DecisionRefusedError(
                f"{about} is cancelled, or is being cancelled: book again at the supplier and give"
                " the new id, or use `gone` to refund the trip"
            )
        if about == evidence and booking.status is not Status.SUCCEEDED and not standing.closed:
            raise DecisionRefusedError(
                f"the supplier has {about} as {booking.status}: wait until it is confirmed, or use"
                " `gone` to refund the trip"
            )
        if about == evidence:
            return booking
    return None


def _held_charge(standing: Standing, target: str | None) -> Call:
    held = [c for c in standing.held_charges if target in (None, c.provider_id)]
    if len(held) != 1:
        names = ", ".join(charge.provider_id or "" for charge in held) or "none"
        raise DecisionRefusedError(f"say by --target which payment to refund; held: {names}")
    return held[0]


def _refund_again(standing: Standing, charge: Call, at: Moment) -> Facts:
    """Let the next refund of a charge go: a row that waits to be sent.

    A new key is safe only when every earlier refund failed or was refused, and beside no dispute.
    """
    account = standing.account_of(charge)
    for refund in account.refunds:
        if refund.status is not Status.DECLINED and not account.has_failed(refund):
            raise DecisionRefusedError(f"{refund.provider_id or refund.key} may still succeed")
    if not standing.may_refund(charge):
        raise DecisionRefusedError("a contradiction freezes its refund: end that review first")
    call = Call(
        operation=Operation.REFUND,
        key=account.refund_key(len(account.sent) + 1),
        status=Status.NOT_FOUND,
        money=Money(account.to_refund, account.taken.currency),
        target=charge.provider_id,
        attempts=0,
        started_at=at.now,
        sent_at=at.now,
        deadline_at=at.now + at.policy.refund_deadline,
        closed_at=at.now,
        quiet_from=at.now,
        check_at=at.now,
        doubted=True,
    )
    return standing.facts.put(call)


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
    if operation is Operation.REFUND and len({call.target for call in calls}) == 1:
        calls = calls[-1:]  # the last refund of a payment stands for those that were refused before
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
    if call.operation is Operation.REFUND and call.provider_id is not None:
        return standing.facts.put(_returned_elsewhere(call, said.name(call, evidence), at))
    facts = standing.facts.put(call)
    seen = Seen(
        provider_id=call.provider_id or said.name(call, evidence),
        status=said.status,
        money=call.money,
    )
    return record(facts, _asked(call, at.now), seen, at)


def _returned_elsewhere(refund: Call, name: str, at: Moment) -> Call:
    """A row of its own for money returned by another way: the provider's refund stays refused."""
    return replace(
        refund,
        key=name,
        provider_id=name,
        status=Status.SUCCEEDED,
        attempts=1,
        closed_at=at.now,
        quiet_from=at.now,
        check_at=None,
    )


def _what_was_left(standing: Standing, call: Call) -> Money | None:
    """An attested refund is of the amount that other refunds had left of the payment."""
    for charge in standing.held_charges:
        if call.operation is Operation.REFUND and charge.provider_id == call.target and call.money:
            return Money(standing.left_of(charge), call.money.currency)
    return call.money


def _in_question(standing: Standing, call: Call, now: datetime) -> bool:
    """Return `True` if a review is about the call. One that may still be answered in time is not."""
    due_back = {c.provider_id for c in (*standing.held_charges, *standing.live_bookings)}
    refused = call.status is Status.DECLINED and call.target in due_back - {None}
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
