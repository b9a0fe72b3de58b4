"""Reservations that wait for a person, with the money at stake and the ways out."""

from dataclasses import dataclass
from datetime import datetime

from reservations.application.ports import Oversight, UnitOfWork
from reservations.domain.decisions import possible
from reservations.domain.facts import Decision
from reservations.domain.money import Money
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus, Review

AT_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """A reservation in review. Each of its `ways` out is a decision with its possible targets."""

    code: str
    status: PublicStatus
    reviews: frozenset[Review]
    at_stake: Money
    since: datetime
    cancellable: bool
    ways: tuple[tuple[Decision, tuple[str, ...]], ...]


def reviews(oversight: Oversight, *, uow: UnitOfWork, policy: Policy) -> list[Matter]:
    """The reservations in review, by kind."""
    found = [uow.reservations.find(each.code) for each in oversight.in_review(limit=AT_MOST)]
    at = Moment(uow.now(), policy)
    return [matter_of(reservation, at) for reservation in found if reservation]


def matter_of(reservation: Reservation, at: Moment) -> Matter:
    """The money at stake in a reservation, and the ways out of its reviews."""
    standing = reservation.standing
    return Matter(
        code=reservation.code,
        status=standing.public_status,
        reviews=frozenset(standing.reviews(at.now)),
        at_stake=at_stake(reservation),
        since=reservation.updated_at,
        cancellable=standing.public_status in (PublicStatus.EN_PROCESO, PublicStatus.CONFIRMADA),
        ways=tuple(possible(reservation.facts, at).items()),
    )


def at_stake(reservation: Reservation) -> Money:
    """The money of the traveler that we hold, else the price."""
    standing = reservation.standing
    price = reservation.facts.price
    held = [charge for charge in standing.held_charges if charge.money]
    currency = held[0].money.currency if held and held[0].money else price.currency
    same = (c for c in held if c.money and c.money.currency == currency)
    return Money(sum(standing.left_of(charge) for charge in same), currency) if held else price
