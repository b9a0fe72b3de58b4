"""Invariants of every reservation, checked against the database."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from reservations.application.ports import Finding, Oversight, Projected
from reservations.domain.plan import settle
from reservations.domain.policy import Moment, Policy
from reservations.domain.words import Review

PAGE = 200  # reservations read at once
RECENT = timedelta(days=7)  # for the frequent check: a settled reservation does not change itself
PROJECTIONS = "projections_differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """A condition that must never occur, and its remedy."""

    meaning: str
    remedy: str


INVARIANTS: Mapping[str, Invariant] = {
    "paid_without_charge": Invariant(
        meaning="paid or confirmed, and no charge of it succeeded",
        remedy="stop deployments; compare its ledger with the payments API (`ops show`)",
    ),
    "confirmed_sum": Invariant(
        meaning="confirmed, and charged less refunded is neither the price nor the accepted sum",
        remedy="`ops nudge`; if it stays, compare its ledger with the payments API",
    ),
    "money_left": Invariant(
        meaning="settled without being confirmed, and charged less refunded is not zero",
        remedy="`ops nudge`; if it stays, refund by hand and `ops review resolve`",
    ),
    PROJECTIONS: Invariant(
        meaning="the stored state, review or rest differs from the one that its facts give",
        remedy="`ops nudge` writes it again; find the change that was made by hand",
    ),
    "shared_provider_id": Invariant(
        meaning="two reservations have the same payment, booking or refund of a provider",
        remedy="report it to the provider: it answers for another reservation",
    ),
    "two_kept": Invariant(
        meaning="two charges or bookings, and neither is being undone",
        remedy="`ops nudge`; if it stays, stop deployments: the money rule is broken",
    ),
    "overdue": Invariant(
        meaning="not settled and due for more than 10 minutes, or a far look due for more than a day",
        remedy="check that the poller and the queues run (`ops outbox lag`)",
    ),
    "confirmed_without_papers": Invariant(
        meaning="confirmed for more than 2 minutes without voucher, or 10 without mail",
        remedy="check the errors of issue_voucher and notify_customer; `ops nudge` when they run",
    ),
}


def check_invariants(
    oversight: Oversight, *, policy: Policy, since: datetime | None = None
) -> dict[str, list[Finding]]:
    """Find the violations of each invariant, in reservations made `since` and in all not settled.

    Raises:
        UnavailableError: the database did not answer.
    """
    found = {
        name: oversight.broken(name, since=since) for name in INVARIANTS if name != PROJECTIONS
    }
    now = oversight.now()
    # Steps may change a reservation during the first read. Only a difference under lock counts.
    suspects = [
        oversight.projected_now(stored.reservation.reservation_id)
        for stored in _pages(oversight, since=since)
        if _difference(stored, now, policy)
    ]
    found[PROJECTIONS] = [
        Finding(invariant=PROJECTIONS, code=stored.reservation.code, detail=difference)
        for stored in suspects
        if (difference := _difference(stored, oversight.now(), policy))
    ]
    return {name: found[name] for name in INVARIANTS}


def _pages(oversight: Oversight, *, since: datetime | None) -> Iterator[Projected]:
    after = None
    while page := oversight.projected(since=since, after=after, limit=PAGE):
        yield from page
        after = page[-1].reservation.reservation_id


def _difference(stored: Projected, now: datetime, policy: Policy) -> str | None:
    if stored.reservation.facts.frozen:
        return None  # the release that knows its words derives them
    checks: tuple[Callable[[Projected, datetime, Policy], str | None], ...] = (
        _state,
        _review,
        _rest,
    )
    return next((found for check in checks if (found := check(stored, now, policy))), None)


def _state(stored: Projected, now: datetime, policy: Policy) -> str | None:
    state = stored.reservation.standing.state
    return None if stored.state == state else f"state {stored.state}, by its facts {state}"


def _review(stored: Projected, now: datetime, policy: Policy) -> str | None:
    kept = set(filter(None, stored.review.split(",")))
    derived = set(stored.reservation.standing.reviews(now))
    # A reservation is due at its deadline. Its review is stored by the step that follows.
    if kept <= derived <= kept | {Review.DEADLINE}:
        return None
    return f"review {sorted(kept)}, by its facts {sorted(derived)}"


def _rest(stored: Projected, now: datetime, policy: Policy) -> str | None:
    if stored.reservation.next_check_at is not None:
        return None
    due = settle(stored.reservation, Moment(now, policy)).next_check_at
    return None if due is None else "settled, and something is due by its facts"
