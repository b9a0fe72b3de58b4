"""The space of contradicted facts: every small ledger, crossed with each word against it and each decision.

Statuses that the plan and the verdict treat alike stand for each other: UNKNOWN for STARTED, DECLINED
for VOIDED. The same holds for the reasons of a closed reservation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, cached_property
from itertools import product
from typing import Any

from reservations.domain.comparison import ABSENT, Comparison, Observation
from reservations.domain.contradictions import note
from reservations.domain.decisions import ANSWERS, DecisionRefusedError, resolve
from reservations.domain.facts import (
    OF_BOOKINGS,
    Call,
    Contradiction,
    Decision,
    Dispute,
    DisputeStatus,
    Facts,
    Kind,
    Operation,
    Reason,
    Seen,
    Status,
)
from reservations.domain.learning import next_look
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.standing import Standing
from reservations.domain.words import Review, State
from tests.unit.domain.changing_providers import ChangingProviders
from tests.worlds.builders import (
    MINUTE,
    NOON,
    PRICE,
    a_booking,
    a_cancellation,
    a_charge,
    a_contradiction,
    a_refund,
    some_facts,
)

PART = Money(10_000, PRICE.currency)
OPENED_BY = NOON + 16 * MINUTE  # every contradiction is believed by then
LOOKED_AT = [NOON, NOON + 5 * MINUTE, NOON + 15 * MINUTE]
NEW_ID = "bkg_9"
CHANGES = (Status.PENDING, "other dates 2027-05-02/2027-05-05")  # of a booking
SECOND_CHARGE: dict[str, Any] = {"provider_id": "pay_2", "key": "seen:charge:pay_2"}
SECOND_BOOKING: dict[str, Any] = {"provider_id": "bkg_2", "key": "seen:book:bkg_2"}

Halves = list[tuple[Call, ...]]  # of a ledger: what one provider has


# --- ledgers


def _watched(row: Call) -> Call:
    """The row with the next inquiry that the saga leaves it."""
    return replace(row, check_at=next_look(row, NOON, Moment(NOON, STANDARD)))


def _payments() -> Iterator[tuple[Call, ...]]:
    """Charges and their refunds, with one charge that succeeded."""
    refunds = (
        Status.UNKNOWN,
        Status.NOT_FOUND,
        Status.PENDING,
        Status.DECLINED,
        Status.SUCCEEDED,
    )
    seconds: Halves = [
        (),
        (a_charge(Status.PENDING, **SECOND_CHARGE),),
        (a_charge(**SECOND_CHARGE),),
        (a_charge(**SECOND_CHARGE), a_refund(of="pay_2")),
    ]
    for rest in seconds:
        yield (a_charge(), *rest)
        for status in refunds:
            yield (a_charge(), a_refund(status), *rest)
    again = a_refund(key="refund:pay_1:2", provider_id="ref_2")
    yield (a_charge(), a_refund(Status.DECLINED), again)
    for status in (Status.UNKNOWN, Status.NOT_FOUND, Status.PENDING, Status.DECLINED):
        yield (a_charge(status), a_charge(**SECOND_CHARGE))


def _bookings() -> Iterator[tuple[Call, ...]]:
    """Bookings and their cancellations. The booking of a cancellation that succeeded is cancelled."""
    cancellations = (
        a_cancellation(Status.UNKNOWN),
        a_cancellation(Status.DECLINED),
        a_cancellation(Status.NOT_FOUND),
        a_cancellation(Status.NOT_FOUND, missing_since=NOON),
    )
    firsts: Halves = [
        (),
        *(
            (a_booking(status),)
            for status in Status
            if status not in (Status.STARTED, Status.VOIDED)
        ),
        *((a_booking(), cancellation) for cancellation in cancellations),
        (a_booking(Status.CANCELLED), a_cancellation()),
    ]
    seconds: Halves = [
        (),
        *(
            (a_booking(s, **SECOND_BOOKING),)
            for s in (Status.PENDING, Status.SUCCEEDED, Status.CANCELLED)
        ),
    ]
    yield from ((*first, *rest) for first, rest in product(firsts, seconds))


HISTORIES: list[tuple[Reason | None, datetime | None]] = [
    (None, None),
    (None, NOON),
    (Reason.EXPIRED, None),
    (Reason.CUSTOMER_CANCELLED, NOON),
]


def _bases(payments: Halves, bookings: Halves) -> Iterator[Facts]:
    for paid, booked in product(payments, bookings):
        calls = tuple(_watched(call) for call in (*paid, *booked))
        for reason, confirmed_at in HISTORIES:
            facts = some_facts(*calls, reason=reason, confirmed_at=confirmed_at)
            if _can_be(facts):
                yield facts


def _can_be(facts: Facts) -> bool:
    """Return `False` where a confirmation and its booking differ, or what a trip stands on is undone."""
    ever_booked = {Status.SUCCEEDED, Status.CANCELLED}
    if facts.confirmed_at and not any(
        row.status in ever_booked for row in facts.of(Operation.BOOK)
    ):
        return False
    if facts.reason is not None:
        return True
    if facts.confirmed_at is None and Standing(facts).state is State.SUPPLIER_CONFIRMED:
        return False
    refunded, cancelled = (
        {row.target for row in facts.of(back)}
        for back in (Operation.REFUND, Operation.CANCEL_BOOKING)
    )
    paid = {row.provider_id for row in facts.of(Operation.CHARGE) if row.status is Status.SUCCEEDED}
    booked = {row.provider_id for row in facts.of(Operation.BOOK) if row.status is Status.SUCCEEDED}
    return bool(paid - refunded) and (not cancelled or bool(booked - cancelled))


PAYMENTS, BOOKINGS = list(_payments()), list(_bookings())
# One of each sort, for the half that a contradiction is not about.
FEW_PAYMENTS: Halves = [
    (a_charge(),),
    (a_charge(), a_charge(**SECOND_CHARGE)),
    (a_charge(), a_charge(Status.PENDING, **SECOND_CHARGE)),
    (a_charge(), a_refund(Status.UNKNOWN)),
    (a_charge(), a_refund(Status.NOT_FOUND)),
    (a_charge(), a_refund()),
    (a_charge(Status.DECLINED), a_charge(**SECOND_CHARGE)),
]
FEW_BOOKINGS: Halves = [
    (),
    (a_booking(Status.UNKNOWN),),
    (a_booking(Status.NOT_FOUND),),
    (a_booking(Status.DECLINED),),
    (a_booking(),),
    (a_booking(), a_booking(**SECOND_BOOKING)),
    (a_booking(), a_cancellation(Status.DECLINED)),
    (a_booking(Status.CANCELLED), a_cancellation()),
]
FEW_BASES = list(_bases(FEW_PAYMENTS, FEW_BOOKINGS))
_BASES_OF_BOOKINGS = list(_bases(FEW_PAYMENTS, BOOKINGS))
_BASES_OF_PAYMENTS = list(_bases(PAYMENTS, FEW_BOOKINGS))


def bases(kind: Kind) -> list[Facts]:
    """The ledgers before a contradiction of that kind. One charge in each has succeeded."""
    return _BASES_OF_BOOKINGS if kind in OF_BOOKINGS else _BASES_OF_PAYMENTS


# --- words against them


@dataclass(frozen=True, slots=True)
class Word:
    """A provider's word against a ledger, and the refunded amount that it tells with a payment."""

    observation: Observation
    refunded_minor: int | None = None

    @property
    def subject(self) -> str:
        return self.observation.subject


def _word(
    kind: Kind,
    subject: str | None,
    seen: str,
    *,
    payment: str | None = None,
    money: Money | None = None,
    refunded: int | None = None,
) -> Word:
    told = Observation(kind=kind, subject=subject or "", seen=seen, payment=payment, money=money)
    return Word(told, refunded)


def words(facts: Facts, kind: Kind) -> Iterator[Word]:
    """The words of a kind that a provider can say about these facts."""
    standing = Standing(facts)
    match kind:
        case Kind.BOOKING_ABSENT | Kind.BOOKING_CHANGED:
            for booking in standing.bookings:
                ended = booking.status is Status.CANCELLED
                if booking is standing.kept_booking or (
                    standing.closed and (booking.live or ended)
                ):
                    for seen in (ABSENT,) if kind is Kind.BOOKING_ABSENT else CHANGES:
                        yield _word(kind, booking.provider_id, seen)
        case Kind.BOOKING_ALIVE:
            for booking in standing.ended_bookings:
                yield _word(kind, booking.provider_id, Status.SUCCEEDED)
        case Kind.REFUND_FAILED:
            for refund in _succeeded(standing.refunds):
                told = (
                    (Status.DECLINED, 0),
                    (Status.DECLINED, None),
                    (Status.PENDING, 0),
                    (ABSENT, 0),
                )
                for seen, returned in told:
                    yield _word(
                        kind,
                        refund.provider_id,
                        seen,
                        payment=refund.target,
                        money=PRICE,
                        refunded=returned,
                    )
        case _:
            disputed = kind is Kind.DISPUTE  # a bank may dispute what is still pending
            named = (charge for charge in standing.charges if charge.provider_id)
            for charge in named if disputed else _succeeded(standing.charges):
                yield from _words_about_payment(standing, charge, kind)


def _succeeded(calls: tuple[Call, ...]) -> Iterator[Call]:
    return (call for call in calls if call.status is Status.SUCCEEDED)


def _words_about_payment(standing: Standing, charge: Call, kind: Kind) -> Iterator[Word]:
    about = charge.provider_id
    ours = [refund for refund in _succeeded(standing.refunds) if refund.target == about]
    returned = sum(refund.money.minor for refund in ours if refund.money)
    match kind:
        case Kind.PAYMENT_ABSENT | Kind.PAYMENT_CHANGED if charge in standing.held_charges:
            for seen in (
                (ABSENT, Status.VOIDED) if kind is Kind.PAYMENT_ABSENT else (Status.PENDING,)
            ):
                yield _word(kind, about, seen)
        case Kind.DISPUTE:
            for status, money in ((DisputeStatus.OPEN, PRICE), (DisputeStatus.LOST, PART)):
                yield _word(kind, about, status, money=money, refunded=returned)
        case Kind.OTHER_SUM:
            for money in (PART, Money(PRICE.minor, "GBP")):
                yield _word(kind, about, str(money), money=money, refunded=returned)
            for refund in ours:
                yield _word(kind, refund.provider_id, str(PART), payment=about, money=PART)
        case Kind.FOREIGN_REFUND:
            for money in (PART, PRICE):
                told = returned + money.minor
                yield _word(kind, "re_x", "succeeded", payment=about, money=money, refunded=told)
                yield _word(kind, about, "unexplained", payment=about, money=money, refunded=told)
            if returned:
                yield _word(kind, about, "unexplained -", payment=about, refunded=0)


# --- the life of a contradiction


@dataclass(frozen=True)  # no slots: a cached property keeps its answer in `__dict__`
class Point:
    """Facts with a contradiction, and the same facts without it."""

    facts: Facts
    base: Facts
    stage: str  # suspected, open, sticky, over, or the decision

    @cached_property
    def standing(self) -> Standing:
        return Standing(self.facts)

    @cached_property
    def before(self) -> Standing:
        return Standing(self.base)

    @property
    def row(self) -> Contradiction:
        return self.facts.contradictions[0]

    def __str__(self) -> str:
        calls = " ".join(
            f"{c.operation}:{c.provider_id or c.key}={c.status}" for c in self.facts.calls
        )
        row = self.row
        return (
            f"{row.kind} {row.subject} {row.seen} {row.money or ''} is {self.stage}: {calls}; "
            f"reason {self.facts.reason}, confirmed {self.facts.confirmed_at}"
        )


@cache
def stages(observation: Observation, *, closed: bool) -> dict[str, Contradiction]:
    """The contradiction at each stage that needs no person, as the real rules leave it."""
    facts = some_facts(reason=Reason.CUSTOMER_CANCELLED if closed else None)
    found, rows = {}, []
    for looked_at in LOOKED_AT:
        facts = note(facts, Comparison(looked_at, [observation]), Moment(looked_at, STANDARD))
        rows.append(facts.contradictions[0])
    first, last = rows[0], rows[-1]
    if first.opened_at is None:
        found["suspected"] = first
    found["open"] = last
    found["over"] = _agreed(last)
    if last.lasts:
        found["sticky"] = _agreed(replace(last, sticky=True))
    return found


def _agreed(row: Contradiction) -> Contradiction:
    facts = replace(some_facts(), contradictions=(row,))
    found = Comparison(OPENED_BY, judged={row.matter})
    return note(facts, found, Moment(OPENED_BY, STANDARD)).contradictions[0]


def _told(facts: Facts, word: Word, refunded_minor: int | None) -> Facts:
    """Keep the refunded amount in the payment that the word is about."""
    about = word.observation.payment or word.subject
    for charge in facts.of(Operation.CHARGE):
        if charge.provider_id == about and refunded_minor is not None:
            facts = facts.put(replace(charge, refunded_minor=refunded_minor))
    return facts


def points(kind: Kind, ledgers: list[Facts] | None = None) -> Iterator[Point]:
    """Each ledger, with each contradiction of that kind in each stage, and after each decision."""
    for base in ledgers or bases(kind):
        for word in words(base, kind):
            facts = _told(base, word, word.refunded_minor)
            for stage, row in stages(word.observation, closed=base.reason is not None).items():
                told = base if stage == "over" else facts
                point = Point(replace(told, contradictions=(row,)), base, stage)
                yield point
                if stage == "open":
                    yield from _decided(point)


def _decided(point: Point) -> Iterator[Point]:
    row = point.row
    for decision in ANSWERS:
        if Review(row.kind) not in ANSWERS[decision]:
            continue
        rebooked = decision is Decision.REBOOKED
        others = {call.provider_id for call in point.base.of(Operation.BOOK)} - {None, row.subject}
        for evidence in (NEW_ID, *filter(None, others)) if rebooked else ("T-1",):
            decided = _resolved(point.facts, decision, evidence, f"{row.kind}:{row.subject}")
            if decided is not None:
                yield Point(decided, point.base, decision)
            if decided is not None and evidence == NEW_ID:
                corrected = _corrected(decided, row.subject)
                yield Point(corrected, point.base, decision)


def _corrected(facts: Facts, subject: str) -> Facts:
    """The facts once the new id was not found, and a person takes the old one back."""
    absent = a_contradiction(subject=NEW_ID, at=OPENED_BY)
    facts = replace(facts, contradictions=(*facts.contradictions, absent))
    back = _resolved(facts, Decision.REBOOKED, subject, f"{absent.kind}:{NEW_ID}")
    return back or facts


def _resolved(facts: Facts, decision: Decision, evidence: str, target: str) -> Facts | None:
    try:
        return resolve(facts, decision, evidence, Moment(OPENED_BY, STANDARD), target=target)
    except DecisionRefusedError:
        return None


def with_another(kind: Kind, subject: str, point: Point) -> Facts:
    """The facts of a point with an open contradiction beside its own."""
    row = a_contradiction(kind, subject, at=OPENED_BY, number=9)
    return replace(point.facts, contradictions=(*point.facts.contradictions, row))


# --- providers that stay at their word


def providers_of(point: Point) -> ChangingProviders:
    """Providers with the rows of a ledger, except for the row in question: they repeat their word."""
    facts, row = point.facts, point.row
    providers = ChangingProviders(
        payments=[_listed(charge) for charge in _named(facts, Operation.CHARGE)],
        bookings=[_listed(booking) for booking in _named(facts, Operation.BOOK)],
    )
    for refund in _named(facts, Operation.REFUND):
        providers.refunds.setdefault(refund.target or "", []).append(_listed(refund))
    if row.seen == ABSENT:
        _remove(providers, row.subject)
        return providers
    match row.kind:
        case Kind.BOOKING_CHANGED if row.seen in CHANGES[1:]:
            providers.set_booking(row.subject, other_terms=row.seen)
        case Kind.BOOKING_CHANGED | Kind.BOOKING_ALIVE:
            providers.set_booking(row.subject, status=Status(row.seen))
        case Kind.PAYMENT_ABSENT | Kind.PAYMENT_CHANGED:
            providers.set_payment(row.subject, status=Status(row.seen))
        case Kind.REFUND_FAILED:
            providers.set_refund(row.subject, status=Status(row.seen))
        case Kind.DISPUTE if row.money:
            dispute = Dispute(DisputeStatus(row.seen), row.money)
            providers.set_payment(row.subject, dispute=dispute)
        case Kind.OTHER_SUM:
            providers.set_payment(row.subject, money=row.money)
            providers.set_refund(row.subject, money=row.money)
        case Kind.FOREIGN_REFUND if row.payment and row.payment != row.subject and row.money:
            providers.refund(row.payment, row.money)
        case Kind.FOREIGN_REFUND:
            told = {call.provider_id: call.refunded_minor for call in facts.of(Operation.CHARGE)}
            providers.set_payment(row.subject, refunded_minor=told[row.subject])
    return providers


def _named(facts: Facts, operation: Operation) -> list[Call]:
    return [call for call in facts.of(operation) if call.provider_id]


def _listed(call: Call) -> Seen:
    return Seen(
        provider_id=call.provider_id or "",
        status=call.status,
        money=call.money,
        locator=call.locator,
    )


def _remove(providers: ChangingProviders, subject: str) -> None:
    def others(rows: list[Seen]) -> list[Seen]:
        return [row for row in rows if row.provider_id != subject]

    providers.payments = others(providers.payments)
    providers.bookings = others(providers.bookings)
    providers.refunds = {of: others(rows) for of, rows in providers.refunds.items()}
