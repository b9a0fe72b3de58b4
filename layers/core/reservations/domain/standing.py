"""What a ledger adds up to."""

from collections.abc import Iterator
from datetime import datetime

from reservations.domain.facts import Call, Facts, Operation, Reason, Status
from reservations.domain.money import Money
from reservations.domain.policy import Policy
from reservations.domain.words import (
    FINAL_STATE,
    WORD_OF_CLOSED,
    WORD_OF_LIVE,
    PublicStatus,
    Review,
    State,
)


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
    charge = covering(facts) if facts.reason is None else None
    return charge if charge and charge.provider_id not in _begun(facts, Operation.REFUND) else None


def covering(facts: Facts) -> Call | None:
    """The one payment of those we hold that is enough for a service: rather none we began to give back."""
    giving_back = _begun(facts, Operation.REFUND)

    def rank(charge: Call) -> tuple[bool, bool, datetime]:
        begun = charge.provider_id in giving_back
        return begun, not right_sum(facts, charge), _closed_at(charge)

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


def right_sum(facts: Facts, charge: Call) -> bool:
    """The price, or the sum an operator took in its place; another currency is another sum."""
    right = (facts.price.minor, facts.accepted_minor)
    money = charge.money
    return money is not None and money.currency == facts.price.currency and money.minor in right


def sum_differs(facts: Facts) -> bool:
    """Whether the payment we keep is of another sum than the price, and nobody accepted it."""
    charge = kept_charge(facts)
    return charge is not None and not right_sum(facts, charge)


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
    if any(call.open for call in facts.of(Operation.CHARGE)) or served(facts):
        return State.CANCELLATION_IN_PROGRESS
    if held(facts):
        return State.REFUND_IN_PROGRESS
    if any(refund.status is Status.SUCCEEDED for refund in facts.of(Operation.REFUND)):
        return State.REFUNDED
    return FINAL_STATE[reason]


def served(facts: Facts) -> bool:
    """Whether some booking lives or might."""
    return any(booking.open or live(booking) for booking in facts.of(Operation.BOOK))


def public_status(facts: Facts) -> PublicStatus:
    if facts.reason is None:
        return WORD_OF_LIVE[state_of(facts)]
    word = WORD_OF_CLOSED[facts.reason]
    if word is PublicStatus.CANCELADA and facts.ended_at is None:
        return PublicStatus.EN_CANCELACION
    return word
