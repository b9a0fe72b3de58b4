"""The answers to every question about one state of a ledger.

Five words have one meaning each. The end of an *open* call is not known yet (`Call.open`). A *live*
booking is confirmed or pending at the supplier (`Call.live`). A *held* charge was taken and is not
wholly refunded. The *kept* charge and the *kept* booking are those that the reservation stands on.
A *closed* reservation has a reason, and from then on everything is undone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from reservations.domain.facts import Call, Facts, Operation, Status
from reservations.domain.money import Money
from reservations.domain.policy import Moment, Policy
from reservations.domain.words import (
    FINAL_STATE,
    PUBLIC_STATUS_OF_REASON,
    PUBLIC_STATUS_OF_STATE,
    PublicStatus,
    Review,
    State,
)


@dataclass(frozen=True)  # no slots: a cached property keeps its answer in `__dict__`
class Standing:
    """A ledger and all that follows from it. Each answer is computed once."""

    facts: Facts

    @property
    def closed(self) -> bool:
        return self.facts.reason is not None

    # --- calls by operation

    @cached_property
    def charges(self) -> tuple[Call, ...]:
        return self.facts.of(Operation.CHARGE)

    @cached_property
    def refunds(self) -> tuple[Call, ...]:
        return self.facts.of(Operation.REFUND)

    @cached_property
    def bookings(self) -> tuple[Call, ...]:
        return self.facts.of(Operation.BOOK)

    @cached_property
    def cancellations(self) -> tuple[Call, ...]:
        return self.facts.of(Operation.CANCEL_BOOKING)

    # --- money

    @cached_property
    def charging(self) -> bool:
        """`True` while a charge is open, so that money may still be taken."""
        return any(charge.open for charge in self.charges)

    @cached_property
    def held_charges(self) -> tuple[Call, ...]:
        """The charges of which we hold all or a part of the money."""
        return tuple(
            charge
            for charge in self.charges
            if charge.status is Status.SUCCEEDED and self.left_of(charge) > 0
        )

    def left_of(self, charge: Call) -> int:
        """Amount of a charge not yet refunded, in minor units.

        A charge without an amount counts as the price, a refund without one as the whole charge.
        """
        taken = charge.money or self.facts.price
        refunded = (
            refund.money or taken
            for refund in self.refunds
            if refund.status is Status.SUCCEEDED and refund.target == charge.provider_id
        )
        return taken.minor - sum(
            money.minor for money in refunded if money.currency == taken.currency
        )

    @cached_property
    def kept_charge(self) -> Call | None:
        """The first charge to succeed, the right amount before others, without a refund begun."""
        charge = None if self.closed else self.covering_charge
        return charge if charge and charge.provider_id not in self._refunding else None

    @cached_property
    def covering_charge(self) -> Call | None:
        """The held charge that pays for a service, if possible one without a refund begun."""

        def rank(charge: Call) -> tuple[bool, bool, datetime]:
            begun = charge.provider_id in self._refunding
            return begun, charge.key in self._of_another_sum, _closed_at(charge)

        return min(self.held_charges, key=rank, default=None)

    @cached_property
    def _refunding(self) -> frozenset[str | None]:
        """The payments whose refund was begun."""
        return frozenset(refund.target for refund in self.refunds)

    @cached_property
    def _of_another_sum(self) -> frozenset[str]:
        """Keys of the held charges whose amount is neither the price nor the accepted one."""
        price = self.facts.price
        right = (price.minor, self.facts.accepted_minor)

        def fits(money: Money | None) -> bool:
            return money is not None and money.currency == price.currency and money.minor in right

        return frozenset(charge.key for charge in self.held_charges if not fits(charge.money))

    @cached_property
    def sum_differs(self) -> bool:
        """`True` if the kept charge is of another sum than the price or the accepted one."""
        return self.kept_charge is not None and self.kept_charge.key in self._of_another_sum

    @property
    def paid(self) -> Money:
        """The amount of the kept charge, else the price."""
        charge = self.kept_charge
        return charge.money if charge and charge.money else self.facts.price

    def hold_ends_at(self, policy: Policy) -> datetime:
        """The end of the hold: from the last send, or from creation while no charge has arrived.

        An outage is not the traveler's fault. A charge that left late gets its time for an answer.
        """
        sent = [charge.sent_at for charge in self.charges if charge.status is not Status.NOT_FOUND]
        return max(sent) + policy.hold if sent else self.facts.created_at + policy.hold_limit

    def hold_is_over(self, at: Moment) -> bool:
        """`True` once the hold and its grace have passed."""
        return at.now >= self.hold_ends_at(at.policy) + at.policy.grace

    # --- service

    @cached_property
    def live_bookings(self) -> tuple[Call, ...]:
        return tuple(booking for booking in self.bookings if booking.live)

    @cached_property
    def may_be_booked(self) -> bool:
        """`True` if a booking is live, or open and may yet turn out to be."""
        return bool(self.live_bookings) or any(booking.open for booking in self.bookings)

    @cached_property
    def kept_booking(self) -> Call | None:
        """The booking that was confirmed first, by time, without a cancellation begun.

        After the confirmation no later booking takes its place: the voucher names the first.
        """
        if self.closed:
            return None
        ours = (
            booking
            for booking in self.bookings
            if booking.status is Status.SUCCEEDED and booking.provider_id not in self._cancelling
        )
        kept, confirmed_at = min(ours, key=_closed_at, default=None), self.facts.confirmed_at
        if kept is None or confirmed_at is None or _closed_at(kept) <= confirmed_at:
            return kept
        return None

    @cached_property
    def rivals(self) -> tuple[Call, ...]:
        """The live bookings beside the kept one whose cancellation was not begun."""
        return tuple(
            booking
            for booking in self.live_bookings
            if booking is not self.kept_booking and booking.provider_id not in self._cancelling
        )

    @cached_property
    def _cancelling(self) -> frozenset[str | None]:
        """The bookings whose cancellation was begun."""
        return frozenset(cancellation.target for cancellation in self.cancellations)

    # --- people

    @cached_property
    def awaited(self) -> tuple[Call, ...]:
        """The calls that need a person once their deadline is over.

        A charge or a booking that never arrives ends with the hold or the window. A refund or a
        cancellation is sent for ever.
        """
        due_back = {call.provider_id for call in (*self.held_charges, *self.live_bookings)} - {None}
        return tuple(
            call
            for call in self.facts.calls
            if call.open or (call.status is Status.NOT_FOUND and call.target in due_back)
        )

    def reviews(self, now: datetime) -> frozenset[Review]:
        """The reasons for a person to check. They are derived, so they clear themselves."""
        late = self._first_deadline is not None and self._first_deadline <= now
        return self._timeless_reviews | {Review.DEADLINE} if late else self._timeless_reviews

    @cached_property
    def _first_deadline(self) -> datetime | None:
        return min((call.deadline_at for call in self.awaited), default=None)

    @cached_property
    def _timeless_reviews(self) -> frozenset[Review]:
        return frozenset(self._find_timeless_reviews())

    def _find_timeless_reviews(self) -> Iterator[Review]:
        if _refused(self.refunds) & {charge.provider_id for charge in self.held_charges}:
            yield Review.REFUND_REFUSED
        if _refused(self.cancellations) & {booking.provider_id for booking in self.live_bookings}:
            yield Review.CANCEL_REFUSED
        if self.sum_differs:
            yield Review.MONEY_MISMATCH

    # --- words

    @cached_property
    def state(self) -> State:
        reason = self.facts.reason
        if reason is None:
            if self.kept_charge is None:
                return State.PAYMENT_IN_PROGRESS if self.charges else State.CREATED
            return State.PAID if self.kept_booking is None else State.SUPPLIER_CONFIRMED
        if self.charging or self.may_be_booked:
            return State.CANCELLATION_IN_PROGRESS
        if self.held_charges:
            return State.REFUND_IN_PROGRESS
        refunded = any(refund.status is Status.SUCCEEDED for refund in self.refunds)
        return State.REFUNDED if refunded else FINAL_STATE[reason]

    @cached_property
    def public_status(self) -> PublicStatus:
        if self.facts.reason is None:
            return PUBLIC_STATUS_OF_STATE[self.state]
        status = PUBLIC_STATUS_OF_REASON[self.facts.reason]
        if status is PublicStatus.CANCELADA and self.facts.ended_at is None:
            return PublicStatus.EN_CANCELACION
        return status


def _closed_at(call: Call) -> datetime:
    assert call.closed_at is not None  # a call that succeeded is closed
    return call.closed_at


def _refused(calls: tuple[Call, ...]) -> set[str | None]:
    """The targets of the refunds or cancellations that their provider declined."""
    return {call.target for call in calls if call.status is Status.DECLINED}
