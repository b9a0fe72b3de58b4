"""Far looks: one look at each provider shortly before a trip, however long ago it was paid.

Their time is in a column of its own, so that a trip in two years leaves its reservation settled.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time

from reservations.domain.facts import Operation, Provider
from reservations.domain.learning import make_due
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Reservation


def next_far_look(reservation: Reservation, at: Moment) -> datetime | None:
    """The time of the next far look. One that is due stays until it is taken; a past one is skipped."""
    planned = reservation.next_look_at
    if planned is not None and planned <= at.now:
        return planned
    times = (when for when, _ in _far_looks(reservation, at.policy) if when > at.now)
    return min(times, default=None)


def take_far_look(reservation: Reservation, at: Moment) -> Reservation:
    """Make the inquiries of the far look due that is due now."""
    planned, facts = reservation.next_look_at, reservation.facts
    if planned is None or planned > at.now:
        return reservation
    for when, provider in _far_looks(reservation, at.policy):
        if planned <= when <= at.now:
            facts = make_due(facts, provider, at.now)
    return replace(reservation, facts=facts, next_look_at=None)


def _far_looks(reservation: Reservation, policy: Policy) -> Iterator[tuple[datetime, Provider]]:
    """Each far look: at what stands, and once at what does not, as a refused one may turn up late."""
    starts_at = datetime.combine(reservation.offer.starts_on, time(), UTC)
    starts_at += _share(reservation) * policy.looks_spread
    standing = reservation.standing
    if standing.kept_booking is not None:
        for before in policy.supplier_looks:
            yield starts_at - before, Provider.SUPPLIER
    elif any(call.provider_id for call in reservation.facts.of(Operation.BOOK)):
        yield starts_at - min(policy.supplier_looks), Provider.SUPPLIER
    if any(call.provider_id for call in reservation.facts.of(Operation.CHARGE)):
        for before in policy.payment_looks:
            yield starts_at - before, Provider.PAYMENTS


def _share(reservation: Reservation) -> float:
    """From 0 to 1, by the random bits of the id (RFC 9562, section 5.7), so that looks spread evenly."""
    return (reservation.reservation_id.int & 0xFFFFFFFF) / 0x1_0000_0000
