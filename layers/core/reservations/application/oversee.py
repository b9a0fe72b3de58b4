"""Invariants of every reservation, checked against the database in slices.

A reservation is checked after each change and, by the audit, once a day. A finding is stored, and
checked again in each run until the reservation is sound.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from uuid import UUID

from reservations.application.ports import Audit, Checkpoints, Finding, Projected
from reservations.domain.identifiers import uuid7
from reservations.domain.plan import settle
from reservations.domain.policy import Moment, Policy
from reservations.domain.words import Review

PAGE = 200  # reservations read at once
LINES = 1000  # of history, read at once
SLICE = 20_000  # reservations checked in a run
PATIENCE = timedelta(minutes=11)  # longer than any invariant waits, and than a transaction lasts
AUDIT_EVERY = timedelta(days=1)
RECENT = timedelta(days=7)  # for an operator who does not want to wait for all
SHOWN_AT_MOST = 50  # of one invariant: more would show nothing new
AUDIT, CHANGES = "audit", "changes"  # jobs with a checkpoint
PROJECTIONS, OVERDUE = "projections_differ", "overdue"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The work of one slice: counts of reservations and of their violations."""

    checked: int
    broken: int


Finished = Callable[[], bool]


def check_invariants(
    audit: Audit, *, policy: Policy, since: datetime | None = None
) -> dict[str, list[Finding]]:
    """Check every reservation, or those made `since`, and store nothing. This may take long.

    Raises:
        UnavailableError: the database did not answer.
    """
    found: dict[str, list[Finding]] = {name: [] for name in INVARIANTS}
    found[OVERDUE] = audit.overdue(limit=SHOWN_AT_MOST)
    after = None if since is None else uuid7(since, random_bits=lambda _: 0)
    while page := audit.page(after=after, limit=PAGE):
        for finding in _violations(page, audit=audit, policy=policy):
            if len(found[finding.invariant]) < SHOWN_AT_MOST:
                found[finding.invariant].append(finding)
        after = page[-1]
    return found


def check_changes(
    finished: Finished, *, audit: Audit, checkpoints: Checkpoints, policy: Policy
) -> Checked:
    """Check what changed since the last run, and again until `PATIENCE` after its change.

    By then each invariant that allows some time can be judged. Each finding is stored.
    """
    place = checkpoints.get(CHANGES)
    if place.history_id is None:
        newest = audit.lines(after=None, limit=LINES)
        begun = replace(place, history_id=newest[0].history_id - 1 if newest else 0)
        place = begun if checkpoints.move(place, begun) else checkpoints.get(CHANGES)
    seen, checked, broken = place.history_id, 0, 0
    settled_before = place.read_at - PATIENCE
    while checked < SLICE and not finished():
        lines = audit.lines(after=seen, limit=LINES)
        for page in _pages(list(dict.fromkeys(line.reservation_id for line in lines))):
            broken += _check(page, audit=audit, policy=policy)
            checked += len(page)
        settled = list(takewhile(lambda line: line.at < settled_before, lines))
        if settled:
            after = replace(place, history_id=settled[-1].history_id)
            if not checkpoints.move(place, after):
                break
            place = after
        if len(lines) < LINES:
            break
        seen = lines[-1].history_id
    return Checked(checked=checked, broken=broken)


def check_found(finished: Finished, *, audit: Audit, policy: Policy) -> dict[str, list[Finding]]:
    """Check the reservations with a finding again. Return all that is still broken, and overdue.

    The answer leaves out reservations that there is no time for. They keep their findings.
    """
    found: dict[str, list[Finding]] = {name: [] for name in INVARIANTS}
    found[OVERDUE] = audit.overdue(limit=SHOWN_AT_MOST)
    after = None
    while not finished() and (page := audit.found(after=after, limit=PAGE)):
        findings = _violations(page, audit=audit, policy=policy)
        audit.record(page, findings)
        for finding in findings:
            found[finding.invariant].append(finding)
        after = page[-1]
    return found


def audit_slice(
    finished: Finished, *, audit: Audit, checkpoints: Checkpoints, policy: Policy
) -> Checked:
    """Check the next reservations of the pass over all of them, and store each finding.

    A pass begins `AUDIT_EVERY` after the last one began, or later when that one ends.
    """
    place = checkpoints.get(AUDIT)
    checked = broken = 0
    if place.whole_at == place.began_at and place.age >= AUDIT_EVERY:
        begun = replace(place, began_at=place.read_at)
        place = begun if checkpoints.move(place, begun) else place
    while place.whole_at != place.began_at and checked < SLICE and not finished():
        page = audit.page(after=place.reservation_id, limit=PAGE)
        broken += _check(page, audit=audit, policy=policy)
        checked += len(page)
        after = (
            replace(place, reservation_id=page[-1])
            if len(page) == PAGE
            else replace(place, reservation_id=None, whole_at=place.began_at)
        )
        if not checkpoints.move(place, after):
            break  # another run is at it
        place = after
    return Checked(checked=checked, broken=broken)


def _check(page: Sequence[UUID], *, audit: Audit, policy: Policy) -> int:
    """Store the violations of a page. Return their number."""
    if not page:
        return 0
    findings = _violations(page, audit=audit, policy=policy)
    audit.record(page, findings)
    return len(findings)


def _pages(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for first in range(0, len(ids), PAGE):
        yield ids[first : first + PAGE]


def _violations(page: Sequence[UUID], *, audit: Audit, policy: Policy) -> list[Finding]:
    """Find the violations. Steps may change a reservation meanwhile, so a difference is read again.

    Only one under its lock counts.
    """
    now = audit.now()
    suspects = [
        audit.projected_now(stored.reservation.reservation_id)
        for stored in audit.projected(page)
        if _difference(stored, now, policy)
    ]
    return audit.broken(page) + [
        Finding(
            invariant=PROJECTIONS,
            reservation_id=stored.reservation.reservation_id,
            code=stored.reservation.code,
            detail=difference,
        )
        for stored in suspects
        if (difference := _difference(stored, audit.now(), policy))
    ]


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
