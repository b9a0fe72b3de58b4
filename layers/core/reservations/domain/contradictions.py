"""Contradictions: what a provider says that does not fit the ledger.

A contradiction lowers no ledger row. It freezes what would be undone, calls a person, and is watched
until the provider agrees again or the person decides. One look is not enough to believe most of them,
as listings lag: `Policy` has the looks and the time between the first and the last.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reservations.domain.facts import (
    ATTESTED_BY_EVIDENCE,
    LIVE,
    OF_BOOKINGS,
    Call,
    Contradiction,
    Decision,
    DisputeStatus,
    Facts,
    Kind,
    Listing,
    Operation,
    Seen,
    Status,
    rank_of,
)
from reservations.domain.money import Money
from reservations.domain.policy import Moment, Policy
from reservations.domain.standing import Standing

ABSENT = "absent"

_LOOKS: Mapping[Kind, int] = {
    Kind.BOOKING_ABSENT: 3,
    Kind.BOOKING_CHANGED: 2,
    Kind.BOOKING_ALIVE: 2,
    Kind.PAYMENT_ABSENT: 3,
    Kind.PAYMENT_CHANGED: 2,
    Kind.FOREIGN_REFUND: 2,
    Kind.REFUND_FAILED: 2,
    Kind.DISPUTE: 1,
    Kind.OTHER_SUM: 1,
}
"""Looks after which a contradiction is believed."""

# Ways in which one row may differ. A look that shows one of them is no agreement about another.
_UNHEALTHY = OF_BOOKINGS | {Kind.PAYMENT_ABSENT, Kind.PAYMENT_CHANGED}


def _time_over(kind: Kind, policy: Policy) -> timedelta:
    """The time from the first look to the one that is believed."""
    match kind:
        case Kind.DISPUTE | Kind.OTHER_SUM:
            return timedelta(0)
        case Kind.BOOKING_ABSENT | Kind.PAYMENT_ABSENT:
            return policy.absence_believed
        case Kind.FOREIGN_REFUND | Kind.REFUND_FAILED:
            return policy.refund_believed
        case _:
            return policy.change_believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One contradiction in one answer."""

    kind: Kind
    subject: str
    seen: str
    payment: str | None = None
    money: Money | None = None


# --- what an answer contradicts


def without_twins(facts: Facts, operation: Operation, listing: Listing) -> Listing:
    """Leave out ids that differ only by case from one of ours: a second id is not a second booking."""
    known = {call.provider_id for call in facts.of(operation) if call.provider_id}
    folded = {provider_id.casefold() for provider_id in known}
    return Listing.of(
        seen
        for seen in listing.seen
        if seen.provider_id in known or seen.provider_id.casefold() not in folded
    )


def of_bookings(facts: Facts, listing: Listing, asked_at: datetime) -> Iterator[Observation]:
    """Compare a listing of bookings with the rows that were closed before it was asked for."""
    standing = Standing(facts)
    for row in _settled(standing.bookings, asked_at):
        seen, twin = _told(listing, row), _twin(listing, row)
        if row in standing.ended_bookings:
            if seen is not None and seen.status in LIVE:
                yield Observation(kind=Kind.BOOKING_ALIVE, subject=_id(row), seen=seen.status)
        elif row.status is Status.SUCCEEDED and (standing.closed or row is standing.kept_booking):
            yield from _of_live_booking(row, seen, twin)


def _of_live_booking(row: Call, seen: Seen | None, twin: Seen | None) -> Iterator[Observation]:
    change = _change_of(row, seen, twin)
    if change is not None:
        yield Observation(kind=Kind.BOOKING_CHANGED, subject=_id(row), seen=change)
    elif seen is None:
        yield Observation(kind=Kind.BOOKING_ABSENT, subject=_id(row), seen=ABSENT)
    elif not seen.as_asked:
        yield Observation(kind=Kind.BOOKING_CHANGED, subject=_id(row), seen="other dates")
    elif row.money and seen.money and seen.money != row.money:
        yield Observation(
            kind=Kind.BOOKING_CHANGED, subject=_id(row), seen=str(seen.money), money=seen.money
        )


def of_payments(facts: Facts, listing: Listing, asked_at: datetime) -> Iterator[Observation]:
    """Compare a listing of payments with the charges that were closed before it was asked for."""
    standing = Standing(facts)
    yield from _of_disputes(standing.charges, listing)
    for row in _settled(standing.held_charges, asked_at):
        yield from _of_held_charge(row, _told(listing, row), _twin(listing, row))


def _of_disputes(charges: Iterable[Call], listing: Listing) -> Iterator[Observation]:
    """A dispute is told with the payment, however new it is to us."""
    known = {charge.provider_id for charge in charges}
    for seen in listing.seen:
        dispute = seen.dispute if seen.provider_id in known else None
        if dispute is not None and dispute.status is not DisputeStatus.WON:
            yield Observation(
                kind=Kind.DISPUTE,
                subject=seen.provider_id,
                seen=dispute.status,
                money=dispute.money,
            )


def _of_held_charge(row: Call, seen: Seen | None, twin: Seen | None) -> Iterator[Observation]:
    change = _change_of(row, seen, twin)
    if seen is None and twin is None:
        yield Observation(kind=Kind.PAYMENT_ABSENT, subject=_id(row), seen=ABSENT)
    elif change == Status.VOIDED:
        yield Observation(kind=Kind.PAYMENT_ABSENT, subject=_id(row), seen=change)
    elif change is not None:
        yield Observation(kind=Kind.PAYMENT_CHANGED, subject=_id(row), seen=change)
    if seen is not None and row.money and seen.money and seen.money != row.money:
        yield Observation(
            kind=Kind.OTHER_SUM, subject=_id(row), seen=str(seen.money), money=seen.money
        )


def of_refunds(
    facts: Facts, payment: Call, listing: Listing, asked_at: datetime
) -> Iterator[Observation]:
    """Compare the refunds of a payment with ours. A refund of unknown origin is foreign."""
    about = _id(payment)
    ours = [row for row in facts.of(Operation.REFUND) if row.target == about]
    for row in _settled(ours, asked_at):
        if row.status is Status.SUCCEEDED:
            yield from _of_refund(row, _told(listing, row), _twin(listing, row), about)
    known = {_id(row).casefold() for row in ours if row.provider_id}
    for seen in listing.seen:
        if seen.status in LIVE and seen.provider_id.casefold() not in known:
            yield foreign_refund(seen, about)
    yield from _unexplained(payment, listing)


def _of_refund(
    row: Call, seen: Seen | None, twin: Seen | None, payment: str
) -> Iterator[Observation]:
    change = _change_of(row, seen, twin) or (ABSENT if seen is None else None)
    if change is not None:
        yield Observation(
            kind=Kind.REFUND_FAILED, subject=_id(row), seen=change, payment=payment, money=row.money
        )
    elif seen is not None and seen.money and row.money and seen.money != row.money:
        yield other_sum_of_refund(row, seen)


def other_sum_of_refund(row: Call, seen: Seen) -> Observation:
    """A refund of another sum than we asked for, or than the one that was told before."""
    return Observation(
        kind=Kind.OTHER_SUM,
        subject=seen.provider_id,
        seen=str(seen.money),
        payment=row.target,
        money=seen.money,
    )


def foreign_refund(seen: Seen, payment: str | None) -> Observation:
    """A refund that we did not ask for."""
    return Observation(
        kind=Kind.FOREIGN_REFUND,
        subject=seen.provider_id,
        seen=f"{seen.status} {seen.money}",
        payment=payment,
        money=seen.money,
    )


def _unexplained(payment: Call, listing: Listing) -> Iterator[Observation]:
    """The sum that a payment shows as refunded, when its refunds do not add up to it."""
    told, money = payment.refunded_minor, payment.money
    if told is None or money is None:
        return
    done = [seen.money for seen in listing.seen if seen.status is Status.SUCCEEDED and seen.money]
    rest = told - sum(each.minor for each in done if each.currency == money.currency)
    yield from unexplained_refund(payment, rest)


def unexplained_refund(payment: Call, rest: int) -> Iterator[Observation]:
    """A refunded amount that no known refund explains, in minor units."""
    if rest and payment.money:
        yield Observation(
            kind=Kind.FOREIGN_REFUND,
            subject=_id(payment),
            seen=f"unexplained {'-' if rest < 0 else ''}{Money(abs(rest), payment.money.currency)}",
            payment=payment.provider_id,
        )


def _settled(rows: Iterable[Call], asked_at: datetime) -> Iterator[Call]:
    """The rows whose end was known before the question. What an operator attested is not listed."""
    for row in rows:
        known = row.provider_id is not None and not _id(row).startswith(ATTESTED_BY_EVIDENCE)
        if known and row.closed_at is not None and row.closed_at <= asked_at:
            yield row


def _id(row: Call) -> str:
    assert row.provider_id is not None  # `_settled` leaves the others out
    return row.provider_id


def _told(listing: Listing, row: Call) -> Seen | None:
    return next((seen for seen in listing.seen if seen.provider_id == row.provider_id), None)


def _twin(listing: Listing, row: Call) -> Seen | None:
    """The entry whose id differs from the row's by case only."""
    folded = _id(row).casefold()
    same = (seen for seen in listing.seen if seen.provider_id.casefold() == folded)
    return next((seen for seen in same if seen.provider_id != row.provider_id), None)


def _change_of(row: Call, seen: Seen | None, twin: Seen | None) -> str | None:
    """A lower status, or an id that differs by case."""
    if twin is not None:
        return twin.provider_id
    if seen is not None and rank_of(seen.status) < rank_of(row.status):
        return seen.status
    return None


# --- the life of a contradiction


def note(
    facts: Facts,
    observed: Iterable[Observation],
    *,
    covered: Iterable[Contradiction] = (),
    asked_at: datetime,
    at: Moment,
) -> Facts:
    """Keep what an answer contradicts. Of the `covered` ones, those it does not mention are over."""
    observed = list(observed)
    for observation in observed:
        facts = _observe(facts, observation, asked_at, at)
    mentioned = {(_family(seen.kind), seen.subject) for seen in observed}
    for row in covered:
        still = (_family(row.kind), row.subject) in mentioned
        if not still and row.over_at is None and row.last_at <= asked_at:
            facts = facts.put_contradiction(_agreed(row, at))
    return facts


def _family(kind: Kind) -> str:
    return "unhealthy" if kind in _UNHEALTHY else kind


def covered(
    facts: Facts, kinds: Iterable[Kind], listing: Listing, *, payment: str | None = None
) -> list[Contradiction]:
    """The contradictions that a listing can end.

    A row that it leaves out shows no sum, and a dispute ends by a word, not by its absence.
    """
    listed = {seen.provider_id for seen in listing.seen}
    won = {
        seen.provider_id
        for seen in listing.seen
        if seen.dispute and seen.dispute.status is DisputeStatus.WON
    }
    ends = {Kind.DISPUTE: won, Kind.OTHER_SUM: listed}
    return [
        row
        for row in facts.contradictions
        if row.kind in kinds
        and row.payment == payment
        and row.subject in ends.get(row.kind, {row.subject})
    ]


def _observe(facts: Facts, seen: Observation, asked_at: datetime, at: Moment) -> Facts:
    row = latest(facts, seen.kind, seen.subject)
    if row is None:
        return facts.put_contradiction(_first(facts, seen, asked_at, at, number=1))
    if row.lasts:
        if asked_at <= row.last_at:
            return facts
        return facts.put_contradiction(_again(facts, row, seen, asked_at, at))
    if row.opened_at is None:  # a suspicion that had passed
        return facts.put_contradiction(_first(facts, seen, asked_at, at, number=row.number))
    if row.over_at is None and row.seen == seen.seen:
        return facts.put_contradiction(_watched(row, at))  # a decision answered this
    return facts.put_contradiction(_first(facts, seen, asked_at, at, number=row.number + 1))


def latest(facts: Facts, kind: Kind, subject: str) -> Contradiction | None:
    """The last time of a matter."""
    rows = [row for row in facts.contradictions if row.matter == (kind, subject)]
    return max(rows, key=lambda row: row.number, default=None)


def _first(
    facts: Facts, seen: Observation, asked_at: datetime, at: Moment, *, number: int
) -> Contradiction:
    row = Contradiction(
        kind=seen.kind,
        subject=seen.subject,
        seen=seen.seen,
        number=number,
        payment=seen.payment,
        money=seen.money,
        first_at=asked_at,
        last_at=asked_at,
    )
    return _scheduled(facts, _opened(facts, row, at), at)


def _again(
    facts: Facts, row: Contradiction, seen: Observation, asked_at: datetime, at: Moment
) -> Contradiction:
    """One more look. A second refund needs looks that agree, so there another word begins again."""
    begins = row.kind is Kind.REFUND_FAILED and row.seen != seen.seen and not row.open
    row = replace(
        row,
        seen=seen.seen,
        money=seen.money or row.money,
        looks=1 if begins else row.looks + 1,
        first_at=asked_at if begins else row.first_at,
        last_at=asked_at,
    )
    return _scheduled(facts, _opened(facts, row, at), at)


def _opened(facts: Facts, row: Contradiction, at: Moment) -> Contradiction:
    """Believe a contradiction after enough looks. The third within a week stays until a decision."""
    believed = row.looks >= _LOOKS[row.kind] and row.last_at - row.first_at >= _time_over(
        row.kind, at.policy
    )
    if row.opened_at is not None or not believed:
        return row
    since = at.now - at.policy.sticky_within
    before = [
        old
        for old in facts.contradictions
        if old.matter == row.matter and old.opened_at is not None and old.opened_at > since
    ]
    return replace(row, opened_at=at.now, sticky=len(before) + 1 >= at.policy.sticky_after)


def _scheduled(facts: Facts, row: Contradiction, at: Moment) -> Contradiction:
    """The next look of its own: soon while suspected, daily while open, none if nobody need act.

    A refund that others made counts once the reservation is closed: the saga returns the rest.
    """
    if facts.reason is not None and row.kind is Kind.FOREIGN_REFUND and row.money:
        return replace(row, opened_at=row.opened_at or at.now, closed_at=at.now, check_at=None)
    if row.open:
        return replace(row, check_at=at.now + at.policy.reminder)
    ladder = (row.first_at + after for after in at.policy.suspicion)
    soon = next((time for time in ladder if time > at.now), at.now + at.policy.suspicion[-1])
    return replace(row, check_at=soon)


def _agreed(row: Contradiction, at: Moment) -> Contradiction:
    """The provider agrees again. A sticky one stays open until a decision."""
    if row.sticky and row.lasts:
        return replace(row, check_at=at.now + at.policy.reminder)
    return replace(row, over_at=at.now, closed_at=row.closed_at or at.now, check_at=None)


def _watched(row: Contradiction, at: Moment) -> Contradiction:
    """A decided dispute is looked at until the bank has decided it too."""
    return replace(row, check_at=row.check_at and at.now + at.policy.reminder)


def decide(row: Contradiction, decision: Decision, evidence: str, at: Moment) -> Contradiction:
    """Close an open contradiction for a person. Another word of the provider opens the next."""
    watched = row.kind is Kind.DISPUTE and row.seen == DisputeStatus.OPEN
    return replace(
        row,
        decision=decision,
        evidence=evidence,
        closed_at=at.now,
        check_at=at.now + at.policy.reminder if watched else None,
    )


def put_off(facts: Facts, kinds: frozenset[Kind], at: Moment) -> Facts:
    """Look again later at what is due, as the provider did not answer or told nothing about it."""
    for row in facts.contradictions:
        if row.kind in kinds and row.due(at.now):
            pause = at.policy.rung(at.policy.unasked_ladder_limit)
            facts = facts.put_contradiction(replace(row, check_at=at.now + pause))
    return facts


def close_made_good(facts: Facts, at: Moment) -> Facts:
    """Close the failed refunds of a payment of which nothing is held any more."""
    standing = Standing(facts)
    held = {charge.provider_id for charge in standing.held_charges}
    for row in facts.contradictions:
        if row.kind is Kind.REFUND_FAILED and row.open and row.payment not in held:
            facts = facts.put_contradiction(replace(row, closed_at=at.now, check_at=None))
    return facts
