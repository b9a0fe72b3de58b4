"""The one place where a reservation is closed by its facts."""

from dataclasses import replace

from reservations.domain.facts import Reason, Status
from reservations.domain.policy import Moment
from reservations.domain.standing import Standing
from reservations.domain.words import FINAL, State


def conclude(standing: Standing, at: Moment) -> Standing:
    """Close a reservation that cannot go on. Stamp its first confirmation and its first end."""
    if standing.facts.frozen:
        return standing
    reason = verdict(standing, at)
    if reason is not None:
        standing = Standing(replace(standing.facts, reason=reason))
    facts, state = standing.facts, standing.state
    if facts.confirmed_at is None and state is State.SUPPLIER_CONFIRMED:
        return Standing(replace(facts, confirmed_at=at.now))
    if facts.ended_at is None and state in FINAL:
        return Standing(replace(facts, ended_at=at.now))
    return standing


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
    return Reason.EXPIRED if voided or standing.hold_is_over(at) else None


def _verdict_of_the_supplier(standing: Standing, at: Moment) -> Reason | None:
    """The supplier refused, or never had the booking. It is not its fault while we may not book."""
    bookings = standing.bookings
    if not bookings or standing.may_be_booked:
        return None
    refused = any(booking.status in (Status.DECLINED, Status.CANCELLED) for booking in bookings)
    tired = standing.may_book and all(
        at.now >= booking.started_at + at.policy.book_window for booking in bookings
    )
    return Reason.SUPPLIER_REJECTED if refused or tired else None
