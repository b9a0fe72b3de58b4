"""What an answer of a provider contradicts.

A comparison judges only rows whose end was known before the question. What it cannot judge it leaves
as it was: an absent payment says nothing about its sum, and a dispute ends by a word, not by silence.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from reservations.domain.account import OF_CHARGE, Account
from reservations.domain.facts import (
    ATTESTED_BY_EVIDENCE,
    LIVE,
    OF_BOOKINGS,
    Call,
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
from reservations.domain.standing import Standing

ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One contradiction in one answer."""

    kind: Kind
    subject: str
    seen: str
    payment: str | None = None
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The matters that an answer asked for at `asked_at` can judge, and those it contradicts.

    An answer that lists the refunds of one `payment` says nothing about those of another.
    """

    asked_at: datetime
    observed: list[Observation] = field(default_factory=list)
    judged: set[tuple[Kind, str]] = field(default_factory=set)
    payment: str | None = None

    def judge(self, subject: str, *kinds: Kind) -> None:
        self.judged.update((kind, subject) for kind in kinds)

    def observe(
        self,
        kind: Kind,
        subject: str,
        seen: str,
        *,
        payment: str | None = None,
        money: Money | None = None,
    ) -> None:
        self.observed.append(
            Observation(kind=kind, subject=subject, seen=seen, payment=payment, money=money)
        )

    def contradicts(self, kind: Kind, subject: str) -> bool:
        return any((seen.kind, seen.subject) == (kind, subject) for seen in self.observed)


def as_known(facts: Facts, operation: Operation, listing: Listing) -> Listing:
    """Give an id that differs by case from one of ours our spelling: a second id is no second call.

    It is no word about ours either, while the reservation stands: only an id that is equal cancels.
    Of a booking that a person calls gone it says nothing at all.
    """
    gone = {row.subject for row in facts.contradictions if row.decision is Decision.GONE}
    ours = {call.provider_id for call in facts.of(operation)} - {None}
    spelt = {known.casefold(): known for known in ours if known}

    def known_as(seen: Seen) -> Seen | None:
        known = spelt.get(seen.provider_id.casefold())
        if known is None or seen.provider_id in ours:
            return seen
        cancels = seen.status is Status.CANCELLED and facts.reason is None
        return None if cancels or known in gone else replace(seen, provider_id=known)

    return Listing.of(seen for seen in map(known_as, listing.seen) if seen is not None)


# --- bookings


def compare_bookings(facts: Facts, listing: Listing, asked_at: datetime) -> Comparison:
    found, standing = Comparison(asked_at), Standing(facts)
    doubtful = {row.subject for row in facts.contradictions if row.kind in OF_BOOKINGS}
    for seen in listing.seen:
        if seen.status is Status.CANCELLED:  # the supplier's own word ends every doubt
            found.judge(seen.provider_id, Kind.BOOKING_ABSENT, Kind.BOOKING_CHANGED)
    for row in _judgeable(standing.bookings, listing, asked_at):
        about, told, twin = _id(row), _told(listing, row), _twin(listing, row)
        if row in standing.ended_bookings:
            found.judge(about, *OF_BOOKINGS)
            alive = told or twin
            if alive is not None and alive.status in LIVE:
                found.observe(Kind.BOOKING_ALIVE, about, alive.status)
        elif row.status is Status.SUCCEEDED and (
            standing.closed or row is standing.kept_booking or about in doubtful
        ):
            _compare_booking(found, row, told, twin)
    return found


def _compare_booking(found: Comparison, row: Call, seen: Seen | None, twin: Seen | None) -> None:
    about, told = _id(row), seen or twin
    found.judge(about, Kind.BOOKING_ABSENT)
    if told is None:
        found.observe(Kind.BOOKING_ABSENT, about, ABSENT)
        return
    found.judge(about, Kind.BOOKING_CHANGED)
    _observe_change(found, row, told, _change_of(row, seen, twin))


def compare_answer(facts: Facts, seen: Seen, asked_at: datetime) -> Comparison:
    """Compare the answer to a booking request with its own booking. No other booking is judged."""
    found, standing = Comparison(asked_at), Standing(facts)
    for row in standing.live_bookings:
        stands = standing.closed or row is standing.kept_booking
        if row.provider_id == seen.provider_id and row.status is Status.SUCCEEDED and stands:
            _observe_change(found, row, seen, None)
    return found


def _observe_change(found: Comparison, row: Call, told: Seen, change: str | None) -> None:
    """Observe all differences as one text: after a decision about one of them, another one is news."""
    money = told.money if _has_other_price(row, told) else None
    price = None if money is None else str(money)
    word = ", ".join(filter(None, (change, told.other_terms, price)))
    if word:
        found.observe(Kind.BOOKING_CHANGED, _id(row), word, money=money)


def _has_other_price(row: Call, told: Seen) -> bool:
    return row.money is not None and told.money is not None and told.money != row.money


# --- payments


def compare_payments(facts: Facts, listing: Listing, asked_at: datetime) -> Comparison:
    found, standing = Comparison(asked_at), Standing(facts)
    doubtful = {row.subject for row in facts.contradictions if row.kind in OF_CHARGE}
    # A refund that failed is sent again only while its payment is there to say so.
    doubtful |= {row.payment or "" for row in standing.lasting if row.kind is Kind.REFUND_FAILED}
    known = {charge.provider_id: charge for charge in standing.charges if charge.provider_id}
    due_back = any(charge is not standing.kept_charge for charge in standing.held_charges)
    for seen in as_known(facts, Operation.CHARGE, listing).seen:
        if seen.provider_id in known:
            _compare_dispute(found, seen)
            _compare_refunded(found, Account(facts, known[seen.provider_id]), seen)
    for row in _judgeable(standing.charges, listing, asked_at):
        if row.status is not Status.SUCCEEDED:
            continue
        told, twin = _told(listing, row), _twin(listing, row)
        if (
            row in standing.held_charges
            or row.provider_id in doubtful
            or (due_back and standing.account_of(row).returned_by_hand)
        ):
            _compare_charge(found, row, told, twin)
        money = (told or twin or row).money
        if (told or twin) and row.money and money:
            found.judge(_id(row), Kind.OTHER_SUM)
            if money != row.money:
                found.observe(Kind.OTHER_SUM, _id(row), str(money), money=money)
    return found


def _compare_dispute(found: Comparison, seen: Seen) -> None:
    """A dispute is told with its payment, however new that is to us."""
    if seen.dispute is None:
        return
    found.judge(seen.provider_id, Kind.DISPUTE)
    if seen.dispute.status is not DisputeStatus.WON:
        found.observe(Kind.DISPUTE, seen.provider_id, seen.dispute.status, money=seen.dispute.money)


def _compare_refunded(found: Comparison, account: Account, seen: Seen) -> None:
    """Compare the refunded amount with the refunds that we know. An open one of ours may be in it."""
    if seen.refunded_minor is None or account.refunding:
        return
    if account.charge.status is Status.SUCCEEDED:
        _compare_sum_of_refunds(found, account.charge, seen.refunded_minor - account.explained)


def _compare_sum_of_refunds(found: Comparison, charge: Call, rest: int) -> None:
    """Observe the part of a refunded amount that no refund explains, in minor units."""
    about = _id(charge)
    found.judge(about, Kind.FOREIGN_REFUND)
    if rest and charge.money:
        money = Money(abs(rest), charge.money.currency)
        more = rest > 0
        found.observe(
            Kind.FOREIGN_REFUND,
            about,
            f"unexplained {'' if more else '-'}{money}",
            payment=about,
            money=money if more else None,
        )


def _compare_charge(found: Comparison, row: Call, seen: Seen | None, twin: Seen | None) -> None:
    about, change = _id(row), _change_of(row, seen, twin)
    found.judge(about, Kind.PAYMENT_ABSENT)
    if seen is None and twin is None:
        found.observe(Kind.PAYMENT_ABSENT, about, ABSENT)
        return
    found.judge(about, Kind.PAYMENT_CHANGED)
    if change == Status.VOIDED:
        found.observe(Kind.PAYMENT_ABSENT, about, change)
    elif change is not None:
        found.observe(Kind.PAYMENT_CHANGED, about, change)


# --- refunds


def compare_refunds(
    facts: Facts, payment: Call, listing: Listing, asked_at: datetime, *, just_told: bool
) -> Comparison:
    """Compare the refunds of a payment with ours. A refund of unknown origin is foreign.

    Their sum is compared with the payment's refunded amount if that was `just_told`.
    """
    about = _id(payment)
    found = Comparison(asked_at, payment=about)
    ours = [row for row in facts.of(Operation.REFUND) if row.target == about]
    for row in _judgeable(ours, listing, asked_at):
        if row.status is Status.SUCCEEDED:
            _compare_refund(found, row, _told(listing, row), _twin(listing, row))
            _compare_told_sum(found, facts, row, _told(listing, row))
    for known in facts.contradictions:
        if known.kind is Kind.FOREIGN_REFUND and known.payment == about:
            found.judge(known.subject, known.kind)
    spelt = {_id(row).casefold() for row in ours if row.provider_id}
    for seen in listing.seen:
        if seen.status in LIVE and seen.provider_id.casefold() not in spelt:
            observe_foreign_refund(found, seen, about)
    told, money = payment.refunded_minor, payment.money
    if just_told and told is not None and money is not None:
        done = (seen.money for seen in listing.seen if seen.status is Status.SUCCEEDED)
        listed = sum(each.minor for each in done if each and each.currency == money.currency)
        _compare_sum_of_refunds(found, payment, told - listed)
    return found


def observe_foreign_refund(found: Comparison, seen: Seen, payment: str | None) -> None:
    found.observe(
        Kind.FOREIGN_REFUND,
        seen.provider_id,
        f"{seen.status} {seen.money}",
        payment=payment,
        money=seen.money,
    )


def _compare_refund(found: Comparison, row: Call, seen: Seen | None, twin: Seen | None) -> None:
    about, change = _id(row), _change_of(row, seen, twin)
    found.judge(about, Kind.REFUND_FAILED)
    if change is not None or seen is None:
        failed = change or ABSENT
        found.observe(Kind.REFUND_FAILED, about, failed, payment=row.target, money=row.money)


def _compare_told_sum(found: Comparison, facts: Facts, row: Call, seen: Seen | None) -> None:
    """A refund of another sum than was asked for stays one: its row holds the sum that was told."""
    if seen is None or seen.money is None or row.money is None:
        return
    matter = (Kind.OTHER_SUM, _id(row))
    told = (other for other in facts.contradictions if other.matter == matter)
    wrong = {other.money for other in told if other.over_at is None}
    found.judge(_id(row), Kind.OTHER_SUM)
    if seen.money != row.money or seen.money in wrong:
        observe_other_sum(found, row, seen)


def observe_other_sum(found: Comparison, refund: Call, seen: Seen) -> None:
    """A refund of another sum than we asked for, or than the one that was told before."""
    found.observe(
        Kind.OTHER_SUM,
        seen.provider_id,
        str(seen.money),
        payment=refund.target,
        money=seen.money,
    )


# --- rows and entries


def _judgeable(rows: Iterable[Call], listing: Listing, asked_at: datetime) -> Iterator[Call]:
    """The rows whose end was known before the question, and those listed in another case or on other terms.

    A row that an operator attested is not listed.
    """
    for row in rows:
        known = row.provider_id is not None and not _id(row).startswith(ATTESTED_BY_EVIDENCE)
        if not known or row.closed_at is None:
            continue
        told, twin = _told(listing, row), _twin(listing, row)
        at_once = twin is not None if told is None else _tells_other_terms(row, told)
        if row.closed_at <= asked_at or at_once:
            yield row


def _tells_other_terms(row: Call, told: Seen) -> bool:
    of_booking = row.operation is Operation.BOOK
    return told.other_terms is not None or (of_booking and _has_other_price(row, told))


def _id(row: Call) -> str:
    assert row.provider_id is not None  # the callers leave the others out
    return row.provider_id


def _told(listing: Listing, row: Call) -> Seen | None:
    return next((seen for seen in listing.seen if seen.provider_id == row.provider_id), None)


def _twin(listing: Listing, row: Call) -> Seen | None:
    """The entry whose id differs from the row's by case only."""
    folded = _id(row).casefold()
    same = (seen for seen in listing.seen if seen.provider_id.casefold() == folded)
    return next((seen for seen in same if seen.provider_id != row.provider_id), None)


def _change_of(row: Call, seen: Seen | None, twin: Seen | None) -> str | None:
    """A lower status, whatever the case of its id, or an id that differs by case."""
    told = seen or twin
    if told is not None and rank_of(told.status) < rank_of(row.status):
        return told.status
    return twin.provider_id if twin is not None else None
