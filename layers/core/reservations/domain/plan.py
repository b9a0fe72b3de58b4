"""The one thing to do about a reservation now.

Pure: no clock, no database, no network. Messages, webhooks and timers only ask to look again; what
happens next follows from the ledger alone, so a lost, repeated or late message changes nothing.
`learning` is the other half: what changes.

Two rules carry the rest, whatever was late, doubled, refused or cancelled on the way:

- the service rule: no booking lives but the kept one;
- the money rule: no money is held but the kept charge's.
"""

from collections.abc import Callable, Iterator

from reservations.domain.actions import Action, Close, Plan, Settled, Verb, Wait
from reservations.domain.facts import Call, Facts, Operation, Reason, Status
from reservations.domain.policy import Moment
from reservations.domain.standing import (
    covering,
    held,
    hold_ends_at,
    kept_booking,
    kept_charge,
    live,
    reviews,
    right_sum,
    served,
    state_of,
)
from reservations.domain.words import RESTING


def plan(facts: Facts, at: Moment) -> Plan:
    """The one thing to do: close, else the first action of the first step with one, else rest."""
    reason = verdict(facts, at)
    if reason is not None:
        return Close(reason)
    actions = (action for rule in RULES for action in rule(facts, at))
    return next(actions, None) or _rest(facts, at)


def verdict(facts: Facts, at: Moment) -> Reason | None:
    """Whether all the facts together close a reservation that lives, and why."""
    if facts.reason is not None:
        return None
    if kept_charge(facts) is None:
        return _verdict_without_money(facts, at)
    if facts.confirmed_at is not None:
        return None if kept_booking(facts) else Reason.SUPPLIER_CANCELLED
    return _verdict_of_the_supplier(facts, at)


def _verdict_without_money(facts: Facts, at: Moment) -> Reason | None:
    charges = facts.of(Operation.CHARGE)
    if any(charge.open for charge in charges):
        return None
    if any(
        charge.status in (Status.DECLINED, Status.VOIDED) and not charge.void_asked
        for charge in charges
    ):
        return Reason.PAYMENT_DECLINED
    over = at.now >= hold_ends_at(facts, at.policy) + at.policy.grace
    return Reason.EXPIRED if over or any(charge.void_asked for charge in charges) else None


def _verdict_of_the_supplier(facts: Facts, at: Moment) -> Reason | None:
    bookings = facts.of(Operation.BOOK)
    if not bookings or served(facts):
        return None
    refused = any(booking.status in (Status.DECLINED, Status.CANCELLED) for booking in bookings)
    tired = all(at.now >= booking.started_at + at.policy.book_window for booking in bookings)
    return Reason.SUPPLIER_REJECTED if refused or tired else None


def _look_before_you_leap(facts: Facts, at: Moment) -> Iterator[Action]:
    """Ask about what is due; a pending charge that nobody wants any more is asked by voiding it."""
    over = at.now >= hold_ends_at(facts, at.policy) + at.policy.grace
    unwanted = facts.reason is not None or kept_charge(facts) is not None or over
    for call in facts.calls:
        pending_charge = call.operation is Operation.CHARGE and call.status is Status.PENDING
        if pending_charge and unwanted and (call.due(at.now) or not call.void_asked):
            yield _about(call, Verb.VOID, target=call.provider_id)
        elif call.due(at.now) and call.status is not Status.NOT_FOUND:
            yield _about(call, Verb.INQUIRE, target=call.target)


def _service_rule(facts: Facts, at: Moment) -> Iterator[Action]:
    """Cancel every booking that lives beside the kept one, and every one once closed."""
    kept = kept_booking(facts)
    if facts.reason is None and kept is None:
        return
    for booking in facts.of(Operation.BOOK):
        key = f"cancel:{booking.provider_id}"
        if live(booking) and booking is not kept and _may_send(facts, key, at):
            yield Action(
                verb=Verb.CANCEL_BOOKING,
                key=key,
                operation=Operation.CANCEL_BOOKING,
                target=booking.provider_id,
            )


def _money_rule(facts: Facts, at: Moment) -> Iterator[Action]:
    """Give back all but one payment: the kept one, and once closed the one that a booking may still cost us."""
    costs = facts.reason is not None and served(facts)
    spared = covering(facts) if costs else kept_charge(facts)
    for charge in held(facts):
        key = f"refund:{charge.provider_id}"
        if charge is not spared and _may_send(facts, key, at):
            yield Action(
                verb=Verb.REFUND,
                key=key,
                operation=Operation.REFUND,
                target=charge.provider_id,
                money=charge.money,
            )


def _forward(facts: Facts, at: Moment) -> Iterator[Action]:
    """Charge, then book."""
    if facts.reason is not None:
        return
    charge = kept_charge(facts)
    if charge is None:
        key = f"charge:{facts.reservation_id}"
        charging = any(charge.open for charge in facts.of(Operation.CHARGE))
        in_time = at.now < hold_ends_at(facts, at.policy)
        if not charging and in_time and _may_send(facts, key, at):
            yield Action(verb=Verb.CHARGE, key=key, operation=Operation.CHARGE, money=facts.price)
    elif right_sum(facts, charge) and not served(facts):
        key = f"book:{facts.reservation_id}"
        if _may_send(facts, key, at):
            yield Action(verb=Verb.BOOK, key=key, operation=Operation.BOOK)


def _aftercare(facts: Facts, at: Moment) -> Iterator[Action]:
    """Ask about what was not found and is not sent again: it may turn up late."""
    for call in facts.calls:
        if call.due(at.now):
            yield _about(call, Verb.INQUIRE, target=call.target)


Rule = Callable[[Facts, Moment], Iterator[Action]]

RULES: tuple[Rule, ...] = (_look_before_you_leap, _service_rule, _money_rule, _forward, _aftercare)


def _about(call: Call, verb: Verb, *, target: str | None) -> Action:
    return Action(
        verb=verb, key=call.key, operation=call.operation, target=target, money=call.money
    )


def _may_send(facts: Facts, key: str, at: Moment) -> bool:
    """Never begun, or surely not arrived and its pause is over: the same key again.

    No pause is longer than its limit. What could not be sent when it was over, as something stood in its way, has
    been looked after since, and its next look may be days away.
    """
    call = facts.find(key)
    if call is None or call.status is not Status.NOT_FOUND:
        return call is None
    longest = at.policy.rung(at.policy.unasked_ladder_limit)
    paused = call.closed_at is not None and at.now < call.closed_at + longest
    return call.check_at is None or call.due(at.now) or not paused


def _rest(facts: Facts, at: Moment) -> Wait | Settled:
    times = [call.check_at for call in facts.calls if call.check_at is not None]
    if facts.reason is None and kept_charge(facts) is None:
        hold_ends = hold_ends_at(facts, at.policy)
        times += [time for time in (hold_ends, hold_ends + at.policy.grace) if time > at.now]
    if times:
        return Wait(min(times))
    done = state_of(facts) in RESTING
    # Only a person can move the others: come back daily, so that they are never forgotten, and call
    # nobody.
    return Settled() if done and not reviews(facts, at.now) else Wait(at.now + at.policy.reminder)
