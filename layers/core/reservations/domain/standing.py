"""The answers to every question about one state of a ledger.

Five words have one meaning each. The end of an *open* call is not known yet (`Call.open`). A *live*
booking is confirmed or pending at the supplier (`Call.live`). A *held* charge was taken and is not
wholly refunded. The *kept* charge and the *kept* booking are those that the reservation stands on.
A *closed* reservation has a reason, and from then on everything is undone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from reservations.domain.account import OF_CHARGE, Account, is_rejected, is_unexplained
from reservations.domain.facts import (
    Call,
    Contradiction,
    Decision,
    Facts,
    Kind,
    Operation,
    Status,
)
from reservations.domain.money import Money
from reservations.domain.policy import Moment, Policy
from reservations.domain.words import (
    CLOSED_REASON,
    FINAL_STATE,
    ClosedReason,
    PublicStatus,
    Review,
    State,
    public_status_of,
)

CLAIMED_FOR = timedelta(hours=24)

_UNSURE_PAYMENT = frozenset({Kind.PAYMENT_ABSENT, Kind.PAYMENT_CHANGED})
# Reviews that the traveler hears of. The others are between the providers and us.
FOR_TRAVELERS = frozenset(Review) - {
    Review.BOOKING_ALIVE,
    Review.FOREIGN_REFUND,
    Review.REFUND_FAILED,
    Review.DISPUTE,
    Review.OTHER_SUM,
}


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

    @property
    def was_paid(self) -> bool:
        """`True` once a charge succeeded, whatever was returned since."""
        return any(charge.status is Status.SUCCEEDED for charge in self.charges)

    @cached_property
    def held_charges(self) -> tuple[Call, ...]:
        """The charges of which we hold all or a part of the money."""
        return tuple(
            charge
            for charge in self.charges
            if charge.status is Status.SUCCEEDED and self.left_of(charge) > 0
        )

    def left_of(self, charge: Call) -> int:
        """Amount of a charge not yet returned, in minor units; see `Account.left`."""
        return self.account_of(charge).left

    def account_of(self, charge: Call) -> Account:
        return self._accounts.setdefault(charge.key, Account(self.facts, charge))

    @cached_property
    def _accounts(self) -> dict[str, Account]:
        return {}

    # --- contradictions

    @cached_property
    def lasting(self) -> tuple[Contradiction, ...]:
        """The contradictions that are suspected or open."""
        return tuple(row for row in self.facts.contradictions if row.lasts)

    def may_refund(self, charge: Call) -> bool:
        """`False` while a contradiction freezes the refund of a charge."""
        account = self.account_of(charge)
        known = account.explained + account.answered
        if account.disputed or account.stands_lost or (charge.refunded_minor or 0) > known:
            return False
        if (charge.refunded_minor or 0) >= account.taken.minor:
            return False  # payments says that nothing is left
        if self._may_be_refunded_already:
            return False
        frozen = {charge.provider_id}
        if self.kept_charge is not None:
            frozen.add(self.kept_charge.provider_id)
        return not any(
            row.kind is Kind.BOOKING_ALIVE
            or ((row.kind in _UNSURE_PAYMENT or is_unexplained(row)) and row.subject in frozen)
            or (_is_unsure_sum(row, closed=self.closed) and row.subject in frozen)
            for row in self.lasting
        )

    @cached_property
    def _may_be_refunded_already(self) -> bool:
        """`True` while a payment is absent that was returned, or whose refund was begun.

        Another payment may be the same one under a new id.
        """
        absent = {row.subject for row in self.lasting if row.kind is Kind.PAYMENT_ABSENT}
        accounts = [self.account_of(c) for c in self.charges if c.provider_id in absent]
        return any(account.refunds or account.returned_by_hand for account in accounts)

    @property
    def a_refund_failed(self) -> bool:
        """`True` once a refund that had succeeded was believed to be rejected."""
        return any(map(is_rejected, self.facts.contradictions))

    @property
    def rebooked_at(self) -> datetime | None:
        """The time of the last decision that the booking has another id."""
        times = (
            row.closed_at
            for row in self.facts.contradictions
            if row.decision is Decision.REBOOKED and row.closed_at is not None
        )
        return max(times, default=None)

    @cached_property
    def may_cancel_rivals(self) -> bool:
        """`False` while the kept booking is absent or contradicted."""
        kept = self.kept_booking
        return not any(
            row.kind in (Kind.BOOKING_ABSENT, Kind.BOOKING_CHANGED)
            and kept is not None
            and row.subject == kept.provider_id
            for row in self.lasting
        )

    @cached_property
    def may_book(self) -> bool:
        """`False` while the payment is of another sum or contradicted for sure: it buys nothing."""
        kept = self.kept_charge
        return not self.sum_differs and not any(
            row.open and kept is not None and row.subject == kept.provider_id
            for row in self.lasting
            if row.kind in OF_CHARGE
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

    @property
    def spared_charge(self) -> Call | None:
        """The charge that is not refunded now: the kept one or, once closed, the cover of a possible booking."""
        return self.covering_charge if self.closed and self.may_be_booked else self.kept_charge

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

    @property
    def is_given_back(self) -> bool:
        """`True` if the reservation is closed, holds no money and can take none."""
        return self.closed and not self.charging and not self.held_charges

    def claims_its_charge(self, now: datetime) -> bool:
        """`True` while an equal request with the same token would charge twice by mistake.

        This is so until the charge is settled, and until it is `CLAIMED_FOR` old. A closed reservation settles it by
        giving all back.
        """
        if self.closed:
            return not self.is_given_back
        charge = self.kept_charge
        return charge is None or now < charge.started_at + CLAIMED_FOR

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
        return tuple(
            booking
            for booking in self.bookings
            if booking.live and booking not in self.ended_bookings
        )

    @cached_property
    def ended_bookings(self) -> tuple[Call, ...]:
        """The bookings that were cancelled, that a person saw under another id, or that are gone.

        One that a person calls gone is ended once the supplier, asked to cancel it, does not list it.
        A request that never left asked for nothing.
        """
        missed = {
            cancellation.target
            for cancellation in self.cancellations
            if cancellation.status is Status.NOT_FOUND and cancellation.missing_since is not None
        }
        return tuple(
            booking
            for booking in self.bookings
            if booking.status is Status.CANCELLED
            or booking.provider_id in self._replaced
            or (booking.provider_id in self._gone and booking.provider_id in missed)
        )

    @cached_property
    def _replaced(self) -> dict[str, str]:
        """The new ids of bookings, by the old ones, as a person saw them. The last decision wins.

        An id that a later decision names lives again: a person has corrected a mistyped one.
        """
        decided = [
            (row.closed_at, row.subject, row.evidence)
            for row in self.facts.contradictions
            if row.decision is Decision.REBOOKED and row.closed_at and row.evidence
        ]
        replaced: dict[str, str] = {}
        for _, old, new in sorted(decided, key=lambda each: each[0]):
            replaced.pop(old, None)
            replaced.pop(new, None)
            replaced[old] = new
        return replaced

    @cached_property
    def _gone(self) -> frozenset[str]:
        return frozenset(
            row.subject for row in self.facts.contradictions if row.decision is Decision.GONE
        )

    def is_undone(self, booking: Call) -> bool:
        """`True` if a booking is cancelled, called gone or, while the trip stands, being cancelled."""
        cancelling = booking.provider_id in self._cancelling and not self.closed
        return booking.status is Status.CANCELLED or booking.provider_id in self._gone or cancelling

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
        ours = [
            booking
            for booking in self.live_bookings
            if booking.status is Status.SUCCEEDED
            and booking.provider_id not in self._cancelling
            and booking.provider_id not in self._gone
        ]
        for new_id in reversed(self._replaced.values()):
            for booking in ours:
                if booking.provider_id == new_id:
                    return booking
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
        cancellation is sent for ever, while there is something to give back. The money of a booking
        that may live is not sent back meanwhile.
        """
        due_back = {call.provider_id for call in (*self.held_charges, *self.live_bookings)} - {None}
        spared = self.spared_charge.provider_id if self.spared_charge else None
        return tuple(
            call
            for call in self.facts.calls
            if (call.open and (call.target in due_back or call.operation is not Operation.REFUND))
            or (call.target in due_back - {spared} and self._is_sent_for_ever(call))
        )

    def _is_sent_for_ever(self, call: Call) -> bool:
        """`True` for a refund or a cancellation that never arrived, unless another took its place."""
        later = [refund for refund in self.refunds if refund.target == call.target]
        replaced = call in later and later[-1] is not call
        return call.status is Status.NOT_FOUND and not replaced

    def needs_support(self, now: datetime) -> bool:
        """`True` if the traveler may want to talk to us about it."""
        reviews = self.reviews(now)
        if reviews & FOR_TRAVELERS or self._is_refunded_by_others:
            return True
        if any(row.kind is Kind.REFUND_FAILED and not is_rejected(row) for row in self.lasting):
            return Review.REFUND_FAILED in reviews
        return Review.REFUND_FAILED in reviews and bool(self.short_refunded)

    @property
    def _is_refunded_by_others(self) -> bool:
        """`True` if others returned the whole payment of a reservation that stands."""
        kept = self.kept_charge
        if kept is None or Review.FOREIGN_REFUND not in self._timeless_reviews:
            return False
        return self.account_of(kept).is_returned_by_others

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
        if self.facts.frozen:
            yield Review.UNKNOWN_WORD
        for row in filter(self.in_review, self.lasting):
            yield Review(row.kind)
        if self.over_refunded:
            yield Review.FOREIGN_REFUND
        if self.short_refunded and not self.lasting:
            yield Review.REFUND_FAILED

    def in_review(self, row: Contradiction) -> bool:
        """`True` for an open contradiction, but a refund of others once the reservation is closed."""
        explained = row.kind is Kind.FOREIGN_REFUND and not is_unexplained(row)
        return row.open and not (explained and self.closed)

    @cached_property
    def over_refunded(self) -> tuple[Call, ...]:
        """The charges of a closed reservation of which more was returned than was taken."""
        return tuple(charge for charge in self.charges if self.closed and self.left_of(charge) < 0)

    @cached_property
    def short_refunded(self) -> tuple[Call, ...]:
        """The charges that are to be returned, and that no refund of ours will return any more."""
        needed = self.may_be_booked or not self.closed
        spared = self.covering_charge if needed else None
        refused = _refused(self.refunds)
        return tuple(
            charge
            for charge in self.held_charges
            if charge is not spared
            and self.account_of(charge).to_refund > 0
            and charge.provider_id not in refused
            and not self.account_of(charge).stands_lost
            and not self._is_being_refunded(charge)
        )

    def _is_being_refunded(self, charge: Call) -> bool:
        account = self.account_of(charge)
        return account.refunding or (account.next_refund is not None and self.may_refund(charge))

    # --- words

    @cached_property
    def state(self) -> State:
        reason = self.facts.reason
        if reason is None:
            if self.facts.frozen and self.facts.confirmed_at is not None:
                return State.SUPPLIER_CONFIRMED
            if self.kept_charge is None:
                return State.PAYMENT_IN_PROGRESS if self.charges else State.CREATED
            return State.PAID if self.kept_booking is None else State.SUPPLIER_CONFIRMED
        unended = self.facts.frozen and self.facts.ended_at is None
        if unended or self.charging or self.may_be_booked:
            return State.CANCELLATION_IN_PROGRESS
        if self.held_charges:
            return State.REFUND_IN_PROGRESS
        return State.REFUNDED if self.was_paid else FINAL_STATE.get(reason, State.CANCELLED)

    @cached_property
    def public_status(self) -> PublicStatus:
        facts = self.facts
        return public_status_of(self.state, facts.reason, ended=facts.ended_at is not None)

    @property
    def closed_reason(self) -> ClosedReason | None:
        """The reason that a traveler reads. `None` while it is open, and for a reason of another release."""
        reason = self.facts.reason
        return CLOSED_REASON.get(reason) if reason is not None else None


def _is_unsure_sum(row: Contradiction, *, closed: bool) -> bool:
    """Return `True` for another sum. Two looks make it sure once the reservation is closed."""
    return row.kind is Kind.OTHER_SUM and not (closed and row.looks > 1)


def _closed_at(call: Call) -> datetime:
    assert call.closed_at is not None  # a call that succeeded is closed
    return call.closed_at


def _refused(calls: tuple[Call, ...]) -> set[str | None]:
    """The targets of the refunds or cancellations that their provider declined."""
    return {call.target for call in calls if call.status is Status.DECLINED}
