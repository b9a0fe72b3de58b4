"""The payments API and the supplier as they really are, each with the moods of a real one."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Protocol
from uuid import UUID

from reservations.application.ports import (
    PaymentRequest,
    PaymentsApi,
    Reply,
    SupplierApi,
    SupplierRequest,
)
from reservations.domain.facts import (
    Listing,
    NoAnswer,
    NotSent,
    Operation,
    Outcome,
    Provider,
    Seen,
    Status,
)
from reservations.domain.money import Money
from reservations.domain.reservation import Customer, Offer
from reservations.domain.saga import Verb
from tests.proofs.simulation.rules import ViolationError

LIMITS = {Provider.PAYMENTS: timedelta(seconds=14), Provider.SUPPLIER: timedelta(seconds=66)}
"""Connect twice and read: how long one request may take."""

PENDING_FOR = tuple(timedelta(seconds=seconds) for seconds in (60, 600, 2400, 3 * 3600))
LAGS = tuple(timedelta(seconds=seconds) for seconds in (45, 175))
ALIVE = (Status.SUCCEEDED, Status.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Personality:
    """How a provider treats one reservation: odds of each of its ways."""

    refuses: float = 0  # nothing reaches it: connection refused, 429, 503
    drops: float = 0  # the request is lost before it acts
    silences: float = 0  # it acts, and the answer is lost
    pends: float = 0.1
    declines: float = 0.08
    resolves_well: float = 0.6  # what pends ends as we hope
    lags: float = 0  # a listing does not show yet what was made
    cheats: float = 0  # another sum, or another currency
    repeats: float = 0  # it ignores the key once, and makes a second one
    clings: float = 0  # it refuses refunds and cancellations
    slow: float = 0  # others run meanwhile


PERSONALITIES: dict[str, Personality] = {
    "fast": Personality(),
    "slow": Personality(slow=0.9),
    "flaky": Personality(refuses=0.25, drops=0.15, silences=0.15),
    "silent": Personality(silences=0.8),
    "lossy": Personality(drops=0.7),
    "busy": Personality(refuses=0.7),
    "pensive": Personality(pends=0.9, resolves_well=0.5),
    "lagging": Personality(lags=0.9, silences=0.4),
    "forgetful": Personality(repeats=0.7, lags=0.4, silences=0.2),
    "cheating": Personality(cheats=0.7, repeats=0.3),
    "clinging": Personality(clings=0.5, pends=0.3),
    "refusing": Personality(declines=0.8),
    "moody": Personality(
        refuses=0.12, drops=0.12, silences=0.12, pends=0.25, declines=0.08, resolves_well=0.6,
        lags=0.4, cheats=0.05, repeats=0.1, clings=0.1, slow=0.3,
    ),
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Party:
    """One traveler's reservation as the outside knows it."""

    name: str
    customer: Customer
    offer: Offer
    price: Money
    moods: dict[Provider, Personality]
    mood_names: str
    reservation_id: UUID | None = None
    asked_to_cancel: bool = False
    supplier_cancelled: bool = False
    repeated: bool = False  # a provider made what we did not ask for


@dataclass(slots=True, kw_only=True)
class Truth:
    """A payment, booking or refund as its provider has it."""

    provider_id: str
    reference: UUID
    key: str
    status: Status
    money: Money | None = None
    listed_from: datetime
    made_at: datetime
    target: str | None = None  # the payment that a refund gives back
    foreign: bool = False  # made by the provider, not by a request of ours
    ending: bool = False  # a pending booking whose cancellation was taken

    def __str__(self) -> str:
        return f"{self.provider_id} {self.status}{f' {self.money}' if self.money else ''}"


@dataclass(slots=True)
class Ledger:
    """What a provider has, by reference."""

    prefix: str
    provider: Provider
    rows: list[Truth] = field(default_factory=list)

    def of(self, reference: UUID) -> list[Truth]:
        return [truth for truth in self.rows if truth.reference == reference]

    def get(self, provider_id: str | None) -> Truth:
        """
        Raises:
            ViolationError: a request about what the provider never had.
        """
        for truth in self.rows:
            if truth.provider_id == provider_id:
                return truth
        raise ViolationError("key", f"nobody has {provider_id}")


class Outside(Protocol):
    """What providers need of the world around them."""

    random: Random
    hostile: bool

    @property
    def now(self) -> datetime: ...

    def boundary(self, where: str, *, pause: float = 0) -> None: ...

    def say(self, text: str) -> None: ...

    def later(self, delay: timedelta, event: Callable[[], None]) -> None: ...

    def party(self, reservation_id: UUID) -> Party: ...

    def notify(self, provider: Provider, reference: UUID) -> None:
        """Send webhooks, as reliably as webhooks come."""

    def outage_until(self, provider: Provider) -> datetime: ...


class Providers:
    """The ledgers of both, and the ways of the wire to them."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.payments = Ledger("pay", Provider.PAYMENTS)
        self.refunds = Ledger("ref", Provider.PAYMENTS)
        self.bookings = Ledger("bkg", Provider.SUPPLIER)
        self.by_hand: list[tuple[UUID, Money]] = []  # what operators gave back by transfer
        self.calls = 0
        self._ids = itertools.count(1)
        self._posted_at: dict[str, datetime] = {}

    # --- the wire

    def exchange(
        self,
        request: PaymentRequest | SupplierRequest,
        act: Callable[[], Outcome],
        *,
        provider: Provider,
    ) -> Reply:
        """Carry a request to its provider and the answer back, if both arrive."""
        world, mood = self.outside, self._mood(request.reference, provider)
        world.boundary(f"before {request.verb}", pause=mood.slow)
        outcome = self._outcome(request, act, provider=provider, mood=mood)
        world.say(f"{provider}: {request.verb} {request.key}: {describe(outcome)}")
        world.boundary(f"after {request.verb}", pause=mood.slow)
        return Reply(outcome=outcome, http_status=None, elapsed_ms=0)

    def _mood(self, reference: UUID, provider: Provider) -> Personality:
        return self.outside.party(reference).moods[provider]

    def _outcome(
        self,
        request: PaymentRequest | SupplierRequest,
        act: Callable[[], Outcome],
        *,
        provider: Provider,
        mood: Personality,
    ) -> Outcome:
        world = self.outside
        self.calls += 1
        if world.now + LIMITS[provider] > request.not_after:
            return NotSent()  # the adapter refuses to start a call that nobody would hear
        if world.now < world.outage_until(provider) or self._happens(mood.refuses):
            return NotSent(retry_after_s=world.random.choice((None, None, 5, 900)))
        if request.verb in (Verb.CHARGE, Verb.REFUND, Verb.BOOK, Verb.CANCEL_BOOKING):
            self._check_pause(request.key)
        if self._happens(mood.drops):
            return NoAnswer()
        outcome = act()
        return NoAnswer() if self._happens(mood.silences) else outcome

    def _happens(self, odds: float) -> bool:
        """In calm times, no request and no answer is lost."""
        return bool(odds) and self.outside.hostile and self.outside.random.random() < odds

    def _check_pause(self, key: str) -> None:
        last, now = self._posted_at.get(key), self.outside.now
        if last is not None and now < last + timedelta(seconds=20):
            raise ViolationError("calls", f"{key} sent again after {now - last}")
        self._posted_at[key] = now

    # --- what they make

    def make(
        self,
        ledger: Ledger,
        reference: UUID,
        key: str,
        *,
        money: Money | None = None,
        target: str | None = None,
        foreign: bool = False,
    ) -> Truth:
        """Make a payment, a booking or a refund; one that is pending ends by itself."""
        world, mood = self.outside, self._mood(reference, ledger.provider)
        lag = world.random.choice(LAGS) if self._happens(mood.lags) else timedelta(0)
        made = Truth(
            provider_id=f"{ledger.prefix}_{next(self._ids)}",
            reference=reference,
            key=key,
            status=self._fate(mood, refund=ledger is self.refunds),
            money=money,
            listed_from=world.now + lag,
            made_at=world.now,
            target=target,
            foreign=foreign,
        )
        ledger.rows.append(made)
        world.say(f"  truth: {made}{' (nobody asked for it)' if foreign else ''}")
        if made.status is Status.PENDING:
            good = world.random.random() < mood.resolves_well
            final = Status.SUCCEEDED if good else Status.DECLINED
            self._resolve_later(made, ledger.provider, final)
        return made

    def _fate(self, mood: Personality, *, refund: bool) -> Status:
        chance = self.outside.random.random()
        if chance < mood.pends:
            return Status.PENDING
        declines = mood.clings if refund else mood.declines
        return Status.DECLINED if chance < mood.pends + declines else Status.SUCCEEDED

    def _resolve_later(self, made: Truth, provider: Provider, final: Status) -> None:
        def resolve() -> None:
            if made.status is not Status.PENDING:
                return
            made.status = Status.CANCELLED if made.ending else final
            self.outside.say(f"  truth: {made}")
            self.outside.notify(provider, made.reference)

        self.outside.later(self.outside.random.choice(PENDING_FOR), resolve)

    def post(self, ledger: Ledger, reference: UUID, key: str, money: Money | None) -> Truth:
        """The same key, the same answer; but a forgetful provider makes a second one, once."""
        before = [truth for truth in ledger.rows if truth.key == key and not truth.foreign]
        made = before[0] if before else self.make(ledger, reference, key, money=money)
        party = self.outside.party(reference)
        if not party.repeated and self._happens(party.moods[ledger.provider].repeats):
            party.repeated = True
            second = money and self.outside.random.choice((money, party.price))
            self.make(ledger, reference, key, money=second, foreign=True)
        return made


def describe(outcome: Outcome) -> str:
    match outcome:
        case Seen():
            return f"{outcome.provider_id} is {outcome.status}"
        case Listing():
            return f"lists [{', '.join(f'{s.provider_id} {s.status}' for s in outcome.seen)}]"
        case NotSent(retry_after_s=None):
            return "not sent"
        case NotSent():
            return f"not sent, retry after {outcome.retry_after_s} s"
        case NoAnswer():
            return "no answer"


class SimulatedPayments(PaymentsApi):
    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def perform(self, request: PaymentRequest) -> Reply:
        return self._providers.exchange(
            request, lambda: self._act(request), provider=Provider.PAYMENTS
        )

    def _act(self, request: PaymentRequest) -> Outcome:
        match request.verb:
            case Verb.CHARGE:
                return _told(self._charge(request))
            case Verb.VOID:
                return _told(self._void(request))
            case Verb.REFUND:
                return _told(self._refund(request))
            case Verb.INQUIRE if request.operation is Operation.REFUND:
                return self._listing(self._refunds_of(request.target))
            case Verb.INQUIRE:
                return self._listing(self._providers.payments.of(request.reference))
        raise ViolationError("key", f"payments asked to {request.verb}")

    def _listing(self, truths: list[Truth]) -> Listing:
        now = self._providers.outside.now
        return Listing.of(_told(truth) for truth in truths if truth.listed_from <= now)

    def _refunds_of(self, payment: str | None) -> list[Truth]:
        return [truth for truth in self._providers.refunds.rows if truth.target == payment]

    def _charge(self, request: PaymentRequest) -> Truth:
        party = self._providers.outside.party(request.reference)
        _expect("key", request.key, f"charge:{request.reference}")
        _expect("charge", (request.money, request.payment_token),
                (party.price, f"token of {party.name}"))  # fmt: skip
        return self._providers.post(
            self._providers.payments, request.reference, request.key, self._sum_taken(party)
        )

    def _sum_taken(self, party: Party) -> Money:
        outside = self._providers.outside
        odds = party.moods[Provider.PAYMENTS].cheats
        if not outside.hostile or outside.random.random() >= odds:
            return party.price
        less, more = (Money(party.price.minor + by, party.price.currency) for by in (-100, 100))
        return outside.random.choice((less, more, Money(party.price.minor, "USD")))

    def _void(self, request: PaymentRequest) -> Truth:
        payment = self._providers.payments.get(request.target)
        _expect("key", payment.reference, request.reference)
        if payment.status is Status.PENDING and self._providers.outside.random.random() < 0.75:
            payment.status = Status.VOIDED
        return payment

    def _refund(self, request: PaymentRequest) -> Truth:
        _expect("key", request.key, f"refund:{request.target}")
        payment = self._providers.payments.get(request.target)
        _expect("money", (payment.reference, payment.status, payment.money),
                (request.reference, Status.SUCCEEDED, request.money))  # fmt: skip
        before = [r for r in self._refunds_of(request.target) if r.key == request.key]
        if before:
            return before[0]
        return self._providers.make(
            self._providers.refunds, request.reference, request.key,
            money=request.money, target=request.target,
        )  # fmt: skip


class SimulatedSupplier(SupplierApi):
    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def perform(self, request: SupplierRequest) -> Reply:
        return self._providers.exchange(
            request, lambda: self._act(request), provider=Provider.SUPPLIER
        )

    def _act(self, request: SupplierRequest) -> Outcome:
        match request.verb:
            case Verb.BOOK:
                return _told(self._book(request))
            case Verb.CANCEL_BOOKING:
                return self._cancel(request)
            case Verb.INQUIRE:
                now = self._providers.outside.now
                bookings = self._providers.bookings.of(request.reference)
                return Listing.of(_told(b) for b in bookings if b.listed_from <= now)
        raise ViolationError("key", f"supplier asked to {request.verb}")

    def _book(self, request: SupplierRequest) -> Truth:
        party = self._providers.outside.party(request.reference)
        _expect("key", request.key, f"book:{request.reference}")
        _expect("book", (request.offer_id, request.lead_guest),
                (party.offer.offer_id, party.customer.full_name))  # fmt: skip
        return self._providers.post(self._providers.bookings, request.reference, request.key, None)

    def _cancel(self, request: SupplierRequest) -> Seen:
        _expect("key", request.key, f"cancel:{request.target}")
        outside, booking = self._providers.outside, self._providers.bookings.get(request.target)
        _expect("key", booking.reference, request.reference)
        clings = outside.party(request.reference).moods[Provider.SUPPLIER].clings
        if booking.status in ALIVE:
            if outside.hostile and outside.random.random() < clings:
                return Seen(provider_id=booking.provider_id, status=Status.DECLINED)
            if booking.status is Status.PENDING and outside.random.random() < 0.3:
                booking.ending = True
                return Seen(provider_id=booking.provider_id, status=Status.PENDING)
            booking.status = Status.CANCELLED
        return Seen(provider_id=booking.provider_id, status=Status.SUCCEEDED)


def _told(truth: Truth) -> Seen:
    locator = f"LOC-{truth.provider_id}" if truth.provider_id.startswith("bkg") else None
    return Seen(
        provider_id=truth.provider_id, status=truth.status, money=truth.money, locator=locator
    )


def _expect(rule: str, found: object, expected: object) -> None:
    if found != expected:
        raise ViolationError(rule, f"{found} instead of {expected}")
