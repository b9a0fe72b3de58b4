"""Contradictions: what a provider says that does not fit the ledger.

A contradiction lowers no ledger row. It freezes what would be undone, calls a person, and is watched
until the provider agrees again or the person decides. One look is not enough to believe most of them,
as listings lag: `believed_after` has the looks and the time between the first and the last.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from reservations.domain.account import is_rejected, is_unexplained
from reservations.domain.comparison import ABSENT, Comparison, Observation
from reservations.domain.facts import (
    OTHER_DATES,
    UNREADABLE,
    Call,
    Contradiction,
    Decision,
    DisputeStatus,
    Facts,
    Kind,
)
from reservations.domain.policy import Moment, Policy
from reservations.domain.standing import Standing

_UNHEALTHY = frozenset(
    {
        Kind.BOOKING_ABSENT,
        Kind.BOOKING_CHANGED,
        Kind.PAYMENT_ABSENT,
        Kind.PAYMENT_CHANGED,
    }
)


def believed_after(kind: Kind, policy: Policy) -> tuple[int, timedelta]:
    """The looks that make a contradiction believed, and the time from the first to the last of them."""
    match kind:
        case Kind.DISPUTE | Kind.OTHER_SUM:
            return 1, timedelta(0)
        case Kind.BOOKING_ABSENT | Kind.PAYMENT_ABSENT:
            return 3, policy.absence_believed
        case Kind.FOREIGN_REFUND | Kind.REFUND_FAILED:
            return 2, policy.refund_believed
        case _:
            return 2, policy.change_believed


# --- the life of a contradiction


def note(facts: Facts, found: Comparison, at: Moment) -> Facts:
    """Keep what an answer contradicts. What it judges and does not contradict is over."""
    for observation in found.observed:
        facts = _observe(_in_new_words(facts, observation), observation, found.asked_at, at)
    for row in facts.contradictions:
        agreed = row.matter in found.judged and not found.contradicts(*row.matter)
        watched = not row.by_person and (row.lasts or row.over_at is None)
        elsewhere = found.payment not in (None, row.payment)
        if agreed and watched and not elsewhere and row.last_at <= found.asked_at:
            facts = facts.put_contradiction(_agreed(row, at))
    return facts


def _in_new_words(facts: Facts, seen: Observation) -> Facts:
    """Complete a decided row of an older release, which stored no dates, by the first full text.

    Its decision stays. Later dates or another price are new evidence.
    """
    for row in facts.contradictions:
        answered = row.decision is not None and row.over_at is None and row.seen == OTHER_DATES
        same = row.matter == (seen.kind, seen.subject)
        if answered and same and seen.seen.startswith((OTHER_DATES, UNREADABLE)):
            facts = facts.put_contradiction(replace(row, seen=seen.seen))
    return facts


def _observe(facts: Facts, seen: Observation, asked_at: datetime, at: Moment) -> Facts:
    row = facts.last(seen.kind, seen.subject)
    if row is None:
        return facts.put_contradiction(_first(facts, seen, asked_at, at, number=1))
    if not row.open and _is_answered(facts, seen):
        return facts.put_contradiction(_agreed(row, at)) if row.lasts else facts
    if row.lasts:
        if asked_at <= row.last_at:
            return facts
        row = _again(facts, row, seen, asked_at, at)
        return _replace_suspicions(facts.put_contradiction(row), row, at)
    if row.passed:
        return facts.put_contradiction(_first(facts, seen, asked_at, at, number=row.number))
    if _is_a_rejected_one_missing(row, seen):
        return facts
    facts = facts.put_contradiction(replace(row, check_at=None))  # the next one is watched instead
    return facts.put_contradiction(_first(facts, seen, asked_at, at, number=row.number + 1))


def _is_answered(facts: Facts, seen: Observation) -> bool:
    """`True` for a word that a decision answered, also after a listing that lagged."""
    words = [row for row in facts.contradictions if row.matter == (seen.kind, seen.subject)]
    last = next((row for row in reversed(words) if row.opened_at or row.decision), None)
    if last is None or last.lasts or last.over_at is not None:
        return False
    return last.seen == seen.seen and not _counts_elsewhere(facts, seen)


def _is_a_rejected_one_missing(row: Contradiction, seen: Observation) -> bool:
    """`True` for a refund that was rejected and is not listed any more: it is rejected still."""
    return is_rejected(row) and row.over_at is None and seen.seen == ABSENT


def _counts_elsewhere(facts: Facts, seen: Observation) -> bool:
    """`True` for a refund that others made, once closed, of a payment that has another id now.

    The money counts for each of the two ids: they may be one payment.
    """
    matter = (seen.kind, seen.subject)
    counted = {row.payment for row in facts.contradictions if row.matter == matter}
    return facts.reason is not None and seen.payment not in counted


def _replace_suspicions(facts: Facts, opened: Contradiction, at: Moment) -> Facts:
    """An open contradiction takes the place of suspicions about the same row: nobody looks at both."""
    for row in facts.contradictions:
        beside = row.kind in _UNHEALTHY and row.subject == opened.subject and row != opened
        if opened.open and opened.kind in _UNHEALTHY and beside and row.lasts and not row.open:
            facts = facts.put_contradiction(_agreed(row, at))
    return facts


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
    """One more look. Where money would move, looks must agree, so another word begins again."""
    if _is_a_rejected_one_missing(row, seen):
        return _scheduled(facts, replace(row, last_at=asked_at), at)
    waits = {
        Kind.REFUND_FAILED: at.policy.refund_believed,
        Kind.OTHER_SUM: at.policy.change_believed,
    }
    begins = row.kind in waits and row.seen != seen.seen
    soon = row.open and asked_at - row.first_at < waits.get(row.kind, timedelta(0))
    row = replace(
        row,
        seen=seen.seen,
        money=seen.money or row.money,
        looks=1 if begins else row.looks + (not soon),
        first_at=asked_at if begins else row.first_at,
        last_at=asked_at,
        over_at=None,
    )
    return _scheduled(facts, _opened(facts, row, at), at)


def _opened(facts: Facts, row: Contradiction, at: Moment) -> Contradiction:
    """Believe a contradiction after enough looks. The third within a week stays until a decision."""
    looks, time = believed_after(row.kind, at.policy)
    believed = row.looks >= looks and row.last_at - row.first_at >= time
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
    if facts.reason is not None and row.kind is Kind.FOREIGN_REFUND and not is_unexplained(row):
        return replace(row, opened_at=row.opened_at or at.now, closed_at=at.now, check_at=None)
    of_a_refund = row.kind is Kind.OTHER_SUM and row.payment is not None
    if (row.open and row.looks > 1) or row.kind is Kind.DISPUTE or of_a_refund:
        return replace(row, check_at=at.now + at.policy.reminder)
    ladder = (row.first_at + after for after in at.policy.suspicion)
    later = at.policy.reminder if row.open else at.policy.suspicion[-1]
    return replace(row, check_at=next((t for t in ladder if t > at.now), at.now + later))


def _agreed(row: Contradiction, at: Moment) -> Contradiction:
    """The provider agrees again. A sticky one stays open until a decision."""
    if row.sticky and row.lasts:
        return replace(row, over_at=row.over_at or at.now, check_at=at.now + at.policy.reminder)
    return end(row, at)


def end(row: Contradiction, at: Moment) -> Contradiction:
    """End a contradiction whose subject a person has cleared: the same word is news again."""
    return replace(row, over_at=at.now, closed_at=row.closed_at or at.now, check_at=None)


def decide(row: Contradiction, decision: Decision, evidence: str, at: Moment) -> Contradiction:
    """Close a contradiction for a person. Another word of the provider opens the next.

    A bank may take months to decide a dispute, so it is looked at until then.
    """
    row = replace(row, decision=decision, evidence=evidence, closed_at=at.now, check_at=None)
    return _watched(row, at) if row.seen == DisputeStatus.OPEN else row


def _watched(row: Contradiction, at: Moment) -> Contradiction:
    """The next look at a dispute that a person has decided, and the bank has not."""
    look_at = at.now + at.policy.dispute_look
    over = row.closed_at is None or look_at > row.closed_at + at.policy.dispute_watched
    return replace(row, check_at=None if over else look_at)


def ask_about(facts: Facts, call: Call, look_at: datetime, at: Moment) -> Facts:
    """Note that an inquiry about a call leaves. Its due looks are due again at `look_at`."""
    for row in facts.contradictions:
        if row.due(at.now) and row.about == (call.operation, call.provider_id):
            facts = facts.put_contradiction(replace(row, check_at=look_at))
    return facts


def is_asked_about(row: Contradiction, call: Call, at: Moment) -> bool:
    """`True` if an inquiry about a call is about a row too: it is due, or was when the inquiry left."""
    return row.due(at.now) or (row.check_at is not None and row.check_at == call.check_at)


def look_later(facts: Facts, kinds: frozenset[Kind], call: Call, at: Moment) -> Facts:
    """Put off the looks of an inquiry without an answer about them."""
    for row in facts.contradictions:
        if row.kind in kinds and is_asked_about(row, call, at):
            later = _scheduled(facts, row, at) if row.lasts else _watched(row, at)
            facts = facts.put_contradiction(later)
    return facts


def close_made_good(facts: Facts, at: Moment) -> Facts:
    """Close the failed refunds of a payment of which nothing is held any more."""
    standing = Standing(facts)
    held = {charge.provider_id for charge in standing.held_charges}
    for row in facts.contradictions:
        if row.open and is_rejected(row) and row.payment not in held:
            facts = facts.put_contradiction(replace(row, closed_at=at.now, check_at=None))
    return facts
