"""What the facts add up to (`state_of`) and the one thing to do about them now (`plan`).

Pure: no clock, no database, no network. Messages, webhooks and timers only ask to look again; what
happens next follows from the ledger alone, so a lost, repeated or late message changes nothing.
`learning` is the other half: what changes.

Two rules carry the rest, whatever was late, doubled, refused or cancelled on the way:

- the service rule: no booking lives but the kept one;
- the money rule: no money is held but the kept charge's.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reservations.domain.facts import PROVIDER_OF, Call, Facts, Operation, Provider, Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.policy import Moment, Policy


class State(StrEnum):
    """Where a reservation stands, for those who operate it."""

    CREATED = "CREATED"
    PAYMENT_IN_PROGRESS = "PAYMENT_IN_PROGRESS"
    PAID = "PAID"
    SUPPLIER_CONFIRMED = "SUPPLIER_CONFIRMED"
    CANCELLATION_IN_PROGRESS = "CANCELLATION_IN_PROGRESS"
    REFUND_IN_PROGRESS = "REFUND_IN_PROGRESS"
    REFUNDED = "REFUNDED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class PublicStatus(StrEnum):
    """The word a traveler reads."""

    EN_PROCESO = "EN PROCESO"
    CONFIRMADA = "CONFIRMADA"
    RECHAZADA = "RECHAZADA"
    EXPIRADA = "EXPIRADA"
    EN_CANCELACION = "EN CANCELACION"
    CANCELADA = "CANCELADA"


class Review(StrEnum):
    """Why a person must look."""

    DEADLINE = "deadline"  # open, or due back and not even taken, for too long
    MONEY_MISMATCH = "money_mismatch"  # the provider took another sum than the price
    REFUND_REFUSED = "refund_refused"
    CANCEL_REFUSED = "cancel_refused"  # and the booking is still alive


class Verb(StrEnum):
    """A request to a provider."""

    INQUIRE = "inquire"
    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"
    BOOK = "book"
    CANCEL_BOOKING = "cancel_booking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A request that is due; `key` is the ledger row it begins, repeats or asks about."""

    verb: Verb
    key: str
    operation: Operation
    target: str | None = None  # the payment to void or refund, the booking to cancel
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """The facts leave no way forward."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do, unless somebody from outside asks for it."""


Plan = Action | Close | Wait | Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that left: what, when it was written down, and which attempt of its row it is."""

    action: Action
    at: datetime
    attempt: int


# --- declarations, from which the documents are made ----------------------------------------------

FINAL_STATE: Mapping[Reason, State] = {
    Reason.PAYMENT_DECLINED: State.PAYMENT_FAILED,
    Reason.SUPPLIER_REJECTED: State.CANCELLED,
    Reason.SUPPLIER_CANCELLED: State.CANCELLED,
    Reason.CUSTOMER_CANCELLED: State.CANCELLED,
    Reason.EXPIRED: State.EXPIRED,
}
"""How a closed reservation ends when no money was ever given back; otherwise it ends REFUNDED."""

FINAL = frozenset({*FINAL_STATE.values(), State.REFUNDED})
RESTING = FINAL | {State.SUPPLIER_CONFIRMED}

_TAKING_BACK = frozenset({State.CANCELLATION_IN_PROGRESS, State.REFUND_IN_PROGRESS})

NEXT_STATES: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.PAYMENT_IN_PROGRESS, State.CANCELLED, State.EXPIRED}),
    State.PAYMENT_IN_PROGRESS: frozenset(
        {
            State.PAID,
            State.PAYMENT_FAILED,
            State.EXPIRED,
            State.CANCELLED,
            State.CANCELLATION_IN_PROGRESS,
        }
    ),
    State.PAID: frozenset({State.SUPPLIER_CONFIRMED, *_TAKING_BACK}),
    State.SUPPLIER_CONFIRMED: _TAKING_BACK,
    State.CANCELLATION_IN_PROGRESS: frozenset({State.REFUND_IN_PROGRESS, *FINAL}),
    State.REFUND_IN_PROGRESS: frozenset({State.REFUNDED, State.CANCELLATION_IN_PROGRESS}),
    # What turns up late opens a final state again: it is given back, and the public word stays.
    State.REFUNDED: _TAKING_BACK,
    State.PAYMENT_FAILED: _TAKING_BACK,
    State.EXPIRED: _TAKING_BACK,
    State.CANCELLED: _TAKING_BACK,
}

WORD_OF_LIVE: Mapping[State, PublicStatus] = {
    State.CREATED: PublicStatus.EN_PROCESO,
    State.PAYMENT_IN_PROGRESS: PublicStatus.EN_PROCESO,
    State.PAID: PublicStatus.EN_PROCESO,
    State.SUPPLIER_CONFIRMED: PublicStatus.CONFIRMADA,
}

WORD_OF_CLOSED: Mapping[Reason, PublicStatus] = {
    Reason.PAYMENT_DECLINED: PublicStatus.RECHAZADA,
    Reason.SUPPLIER_REJECTED: PublicStatus.RECHAZADA,
    Reason.EXPIRED: PublicStatus.EXPIRADA,
    Reason.SUPPLIER_CANCELLED: PublicStatus.CANCELADA,
    Reason.CUSTOMER_CANCELLED: PublicStatus.CANCELADA,
}
"""A reservation on its way to CANCELADA is EN CANCELACION until it has ended once."""

WORD_CHANGES: Mapping[PublicStatus, frozenset[PublicStatus]] = {
    PublicStatus.EN_PROCESO: frozenset(PublicStatus) - {PublicStatus.EN_PROCESO},
    PublicStatus.CONFIRMADA: frozenset({PublicStatus.EN_CANCELACION, PublicStatus.CANCELADA}),
    PublicStatus.EN_CANCELACION: frozenset({PublicStatus.CANCELADA}),
    PublicStatus.RECHAZADA: frozenset(),
    PublicStatus.EXPIRADA: frozenset(),
    PublicStatus.CANCELADA: frozenset(),
}
"""What the public word may become: it never flips back."""


# --- what the facts add up to ---------------------------------------------------------------------


def live(booking: Call) -> bool:
    """Whether the supplier holds, or may yet hold, a service for us."""
    return booking.status in (Status.SUCCEEDED, Status.PENDING)


def held(facts: Facts) -> list[Call]:
    """The charges whose money we have, all of it or a part."""
    return [
        charge
        for charge in facts.of(Operation.CHARGE)
        if charge.status is Status.SUCCEEDED and left_of(facts, charge) > 0
    ]


def left_of(facts: Facts, charge: Call) -> int:
    """What no refund gave back of a payment, in minor units; a row without a sum stands for all of it."""
    taken = charge.money or facts.price
    given_back = (
        refund.money or taken
        for refund in facts.of(Operation.REFUND)
        if refund.status is Status.SUCCEEDED and refund.target == charge.provider_id
    )
    return taken.minor - sum(
        money.minor for money in given_back if money.currency == taken.currency
    )


def kept_charge(facts: Facts) -> Call | None:
    """The first to succeed, the right sum before another; never one we began to give back."""
    charge = _covering(facts) if facts.reason is None else None
    return charge if charge and charge.provider_id not in _begun(facts, Operation.REFUND) else None


def _covering(facts: Facts) -> Call | None:
    """The one payment of those we hold that is enough for a service: rather none we began to give back."""
    giving_back = _begun(facts, Operation.REFUND)

    def rank(charge: Call) -> tuple[bool, bool, datetime]:
        begun = charge.provider_id in giving_back
        return begun, not _right_sum(facts, charge), _closed_at(charge)

    return min(held(facts), key=rank, default=None)


def kept_booking(facts: Facts) -> Call | None:
    """The first to be confirmed, in time and not in the ledger; never one we began to cancel.

    Once the traveler was told, no later one takes its place: the voucher names the first.
    """
    if facts.reason is not None:
        return None
    ending = _begun(facts, Operation.CANCEL_BOOKING)
    ours = (
        booking
        for booking in facts.of(Operation.BOOK)
        if booking.status is Status.SUCCEEDED and booking.provider_id not in ending
    )
    kept = min(ours, key=_closed_at, default=None)
    if kept is None or facts.confirmed_at is None or _closed_at(kept) <= facts.confirmed_at:
        return kept
    return None


def rivals(facts: Facts) -> list[Call]:
    """The bookings that live beside the kept one, and that we have not begun to cancel."""
    ending = _begun(facts, Operation.CANCEL_BOOKING)
    kept = kept_booking(facts)
    return [
        booking
        for booking in facts.of(Operation.BOOK)
        if live(booking) and booking is not kept and booking.provider_id not in ending
    ]


def _begun(facts: Facts, undoing: Operation) -> set[str | None]:
    """What we began to give back or to cancel."""
    return {call.target for call in facts.of(undoing)}


def _closed_at(call: Call) -> datetime:
    assert call.closed_at is not None  # a call that succeeded is closed
    return call.closed_at


def _right_sum(facts: Facts, charge: Call) -> bool:
    """The price, or the sum an operator took in its place; another currency is another sum."""
    right = (facts.price.minor, facts.accepted_minor)
    money = charge.money
    return money is not None and money.currency == facts.price.currency and money.minor in right


def sum_differs(facts: Facts) -> bool:
    """Whether the payment we keep is of another sum than the price, and nobody accepted it."""
    charge = kept_charge(facts)
    return charge is not None and not _right_sum(facts, charge)


def paid(facts: Facts) -> Money:
    """What the traveler pays: the price, or the sum of the payment that is kept."""
    charge = kept_charge(facts)
    return charge.money if charge and charge.money else facts.price


def hold_ends_at(facts: Facts, policy: Policy) -> datetime:
    """The end of the offer: from the last send, or from creation while none has arrived.

    An outage is not the traveler's fault, and a charge that left late must have its time to be
    answered.
    """
    sent = [
        charge.sent_at
        for charge in facts.of(Operation.CHARGE)
        if charge.status is not Status.NOT_FOUND
    ]
    return max(sent) + policy.hold if sent else facts.created_at + policy.hold_limit


def awaited(facts: Facts) -> list[Call]:
    """The calls that a person must look at once their deadline is over.

    A charge or a booking that never arrives ends with the hold or the window; what gives money back or
    ends a booking is sent for ever.
    """
    standing = {charge.provider_id for charge in held(facts)} | _alive(facts)
    return [
        call
        for call in facts.calls
        if call.open or (call.status is Status.NOT_FOUND and call.target in standing - {None})
    ]


def _alive(facts: Facts) -> set[str | None]:
    return {booking.provider_id for booking in facts.of(Operation.BOOK) if live(booking)}


def reviews(facts: Facts, now: datetime) -> frozenset[Review]:
    """Why a person must look; derived, so it clears itself."""
    return frozenset(_reviews(facts, now))


def _reviews(facts: Facts, now: datetime) -> Iterator[Review]:
    if any(call.deadline_at <= now for call in awaited(facts)):
        yield Review.DEADLINE
    if _refused_targets(facts, Operation.REFUND) & {charge.provider_id for charge in held(facts)}:
        yield Review.REFUND_REFUSED
    if _refused_targets(facts, Operation.CANCEL_BOOKING) & _alive(facts):
        yield Review.CANCEL_REFUSED
    if sum_differs(facts):
        yield Review.MONEY_MISMATCH


def _refused_targets(facts: Facts, operation: Operation) -> set[str | None]:
    return {call.target for call in facts.of(operation) if call.status is Status.DECLINED}


def state_of(facts: Facts) -> State:
    if facts.reason is None:
        return _state_while_live(facts)
    return _state_once_closed(facts, facts.reason)


def _state_while_live(facts: Facts) -> State:
    if kept_charge(facts) is not None:
        return State.PAID if kept_booking(facts) is None else State.SUPPLIER_CONFIRMED
    return State.PAYMENT_IN_PROGRESS if facts.of(Operation.CHARGE) else State.CREATED


def _state_once_closed(facts: Facts, reason: Reason) -> State:
    if any(call.open for call in facts.of(Operation.CHARGE)) or _served(facts):
        return State.CANCELLATION_IN_PROGRESS
    if held(facts):
        return State.REFUND_IN_PROGRESS
    if any(refund.status is Status.SUCCEEDED for refund in facts.of(Operation.REFUND)):
        return State.REFUNDED
    return FINAL_STATE[reason]


def _served(facts: Facts) -> bool:
    """Whether some booking lives or might."""
    return any(booking.open or live(booking) for booking in facts.of(Operation.BOOK))


def public_status(facts: Facts) -> PublicStatus:
    if facts.reason is None:
        return WORD_OF_LIVE[state_of(facts)]
    word = WORD_OF_CLOSED[facts.reason]
    if word is PublicStatus.CANCELADA and facts.ended_at is None:
        return PublicStatus.EN_CANCELACION
    return word


# --- what to do now -------------------------------------------------------------------------------


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
    if not bookings or _served(facts):
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
    costs = facts.reason is not None and _served(facts)
    spared = _covering(facts) if costs else kept_charge(facts)
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
    elif _right_sum(facts, charge) and not _served(facts):
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


QUEUE_OF: Mapping[Provider, Queue] = {
    Provider.PAYMENTS: Queue.PAYMENT,
    Provider.SUPPLIER: Queue.SUPPLIER,
}


def wanted_queue(action: Action) -> Queue:
    """Where the worker listens that can carry out the action."""
    return QUEUE_OF[PROVIDER_OF[action.operation]]
