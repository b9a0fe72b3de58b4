"""The one thing to do about a reservation now.

Pure: no clock, no database, no network. Messages, webhooks and timers only ask to look again; what
happens next follows from the ledger alone, so a lost, repeated or late message changes nothing.
`learning` is the other half: what changes.

Two rules carry the rest, whatever was late, doubled, refused or cancelled on the way:

- the service rule: no booking lives but the kept one;
- the money rule: no money is held but the kept charge's.
"""

from collections.abc import Callable, Iterator

from reservations.domain.actions import Action, Close, Inquire, Plan, Send, Settled, Void, Wait
from reservations.domain.facts import Facts, Operation, Reason, Status
from reservations.domain.policy import Moment
from reservations.domain.standing import Standing
from reservations.domain.words import RESTING


def plan(standing: Standing, at: Moment) -> Plan:
    """The one thing to do: close, else the first action of the first rule with one, else rest."""
    reason = verdict(standing, at)
    if reason is not None:
        return Close(reason)
    actions = (action for rule in RULES for action in rule(standing, at))
    return next(actions, None) or _rest(standing, at)


def verdict(standing: Standing, at: Moment) -> Reason | None:
    """The reason to close a reservation that is not closed yet, if its facts together give one."""
    if standing.closed:
        return None
    if standing.kept_charge is None:
        return _verdict_without_money(standing, at)
    if standing.facts.confirmed_at is not None:
        return None if standing.kept_booking else Reason.SUPPLIER_CANCELLED
    return _verdict_of_the_supplier(standing, at)


def _verdict_without_money(standing: Standing, at: Moment) -> Reason | None:
    charges = standing.charges
    if standing.charging:
        return None
    if any(
        charge.status in (Status.DECLINED, Status.VOIDED) and not charge.void_asked
        for charge in charges
    ):
        return Reason.PAYMENT_DECLINED
    voided = any(charge.void_asked for charge in charges)
    return Reason.EXPIRED if voided or _hold_is_over(standing, at) else None


def _verdict_of_the_supplier(standing: Standing, at: Moment) -> Reason | None:
    bookings = standing.bookings
    if not bookings or standing.may_be_booked:
        return None
    refused = any(booking.status in (Status.DECLINED, Status.CANCELLED) for booking in bookings)
    tired = all(at.now >= booking.started_at + at.policy.book_window for booking in bookings)
    return Reason.SUPPLIER_REJECTED if refused or tired else None


def _hold_is_over(standing: Standing, at: Moment) -> bool:
    return at.now >= standing.hold_ends_at(at.policy) + at.policy.grace


def _inquire_first(standing: Standing, at: Moment) -> Iterator[Action]:
    """Inquire about each call that is due. Void a pending charge that nobody wants any more.

    A void is answered with the payment as it stands, so it is an inquiry too.
    """
    for call in standing.facts.calls:
        due = call.due(at.now)
        pending_charge = call.operation is Operation.CHARGE and call.status is Status.PENDING
        if pending_charge and (due or not call.void_asked) and _is_unwanted(standing, at):
            yield Void(call)
        elif due and call.status is not Status.NOT_FOUND:
            yield Inquire(call)


def _is_unwanted(standing: Standing, at: Moment) -> bool:
    """Whether a charge that succeeds now would be refunded."""
    return standing.closed or standing.kept_charge is not None or _hold_is_over(standing, at)


def _service_rule(standing: Standing, at: Moment) -> Iterator[Action]:
    """Cancel every live booking beside the kept one, and every one once closed."""
    kept = standing.kept_booking
    if not standing.closed and kept is None:
        return
    for booking in standing.live_bookings:
        key = f"cancel:{booking.provider_id}"
        if booking is not kept and _may_send(standing.facts, key, at):
            yield Send(operation=Operation.CANCEL_BOOKING, key=key, target=booking.provider_id)


def _money_rule(standing: Standing, at: Moment) -> Iterator[Action]:
    """Refund all but one charge: the kept one or, once closed, the one that a booking may cost us."""
    costs = standing.closed and standing.may_be_booked
    spared = standing.covering_charge if costs else standing.kept_charge
    for charge in standing.held_charges:
        key = f"refund:{charge.provider_id}"
        if charge is not spared and _may_send(standing.facts, key, at):
            yield Send(
                operation=Operation.REFUND,
                key=key,
                target=charge.provider_id,
                money=charge.money,
            )


def _forward(standing: Standing, at: Moment) -> Iterator[Action]:
    """Charge, then book."""
    facts = standing.facts
    if standing.closed:
        return
    if standing.kept_charge is None:
        key = f"charge:{facts.reservation_id}"
        in_time = at.now < standing.hold_ends_at(at.policy)
        if not standing.charging and in_time and _may_send(facts, key, at):
            yield Send(operation=Operation.CHARGE, key=key, money=facts.price)
    elif not standing.sum_differs and not standing.may_be_booked:
        key = f"book:{facts.reservation_id}"
        if _may_send(facts, key, at):
            yield Send(operation=Operation.BOOK, key=key)


def _aftercare(standing: Standing, at: Moment) -> Iterator[Action]:
    """Inquire about what was not found and is not sent again: it may turn up late."""
    for call in standing.facts.calls:
        if call.due(at.now):
            yield Inquire(call)


Rule = Callable[[Standing, Moment], Iterator[Action]]

RULES: tuple[Rule, ...] = (_inquire_first, _service_rule, _money_rule, _forward, _aftercare)


def _may_send(facts: Facts, key: str, at: Moment) -> bool:
    """Whether the key was never sent, or surely did not arrive and its pause is over.

    Cap the pause. A call that was blocked when its pause ended may have been rescheduled days ahead
    by aftercare.
    """
    call = facts.find(key)
    if call is None or call.status is not Status.NOT_FOUND:
        return call is None
    longest = at.policy.rung(at.policy.unasked_ladder_limit)
    paused = call.closed_at is not None and at.now < call.closed_at + longest
    return call.check_at is None or call.due(at.now) or not paused


def _rest(standing: Standing, at: Moment) -> Wait | Settled:
    times = [call.check_at for call in standing.facts.calls if call.check_at is not None]
    if not standing.closed and standing.kept_charge is None:
        hold_ends = standing.hold_ends_at(at.policy)
        times += [time for time in (hold_ends, hold_ends + at.policy.grace) if time > at.now]
    if times:
        return Wait(min(times))
    if standing.state in RESTING and not standing.reviews(at.now):
        return Settled()
    # Only a person can go on from here. A daily check, which calls no provider, keeps it in sight.
    return Wait(at.now + at.policy.reminder)
