"""The payments API and the supplier over the ledgers of `local.simulators`, with moods drawn from the seed."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Protocol
from uuid import UUID

from local.simulators.ledger import (
    ALIVE,
    CANCELLED,
    DECLINED,
    PENDING,
    SUCCEEDED,
    VOIDED,
    Entry,
    Fate,
    Ledger,
)
from reservations.application.ports import (
    PaymentRequest,
    PaymentsApi,
    Reply,
    SupplierApi,
    SupplierRequest,
)
from reservations.domain.actions import Inquire, Send, Void
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
from tests.proofs.simulation.rules import ViolationError

LIMITS = {Provider.PAYMENTS: timedelta(seconds=14), Provider.SUPPLIER: timedelta(seconds=66)}
"""Longest duration of one request: connect twice and read."""

PENDING_FOR = (60, 600, 2400, 3 * 3600)  # seconds
LAGS = (45, 175)  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Personality:
    """The odds of each behaviour of a provider, for one reservation."""

    refuses: float = 0  # the request does not reach it: connection refused, 429, 503
    drops: float = 0  # the request is lost before it acts
    silences: float = 0  # it acts, and the answer is lost
    pends: float = 0.1
    declines: float = 0.08
    resolves_well: float = 0.6  # a pending entry succeeds
    lags: float = 0  # a listing does not show a new entry yet
    cheats: float = 0  # another sum, or another currency
    repeats: float = 0  # it ignores the key once, and makes a second one
    clings: float = 0  # it refuses refunds and cancellations
    slow: float = 0  # other workers run meanwhile


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
    """One traveler's reservation, as the outside sees it."""

    name: str
    customer: Customer
    offer: Offer
    price: Money
    moods: dict[Provider, Personality]
    mood_names: str
    reservation_id: UUID | None = None
    asked_to_cancel: bool = False
    supplier_cancelled: bool = False
    repeated: bool = False  # a provider made an entry without a request


class Outside(Protocol):
    """The world around the providers and the services."""

    random: Random
    hostile: bool
    trouble: float  # odds that a service of ours fails, in hostile times

    @property
    def now(self) -> datetime: ...

    def boundary(self, where: str, *, pause: float = 0) -> None: ...

    def say(self, text: str) -> None: ...

    def later(self, delay: timedelta, event: Callable[[], None]) -> None: ...

    def party(self, reservation_id: UUID) -> Party: ...

    def notify(self, provider: Provider, reference: UUID) -> None:
        """Send webhooks, which may be lost, repeated or late."""

    def outage_until(self, provider: Provider) -> datetime: ...

    def service_down(self, service: str) -> bool: ...


class Providers:
    """The ledgers of both providers, and the unreliable network to them."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self._ids = itertools.count(1)
        self.payments, self.refunds = self._ledger("pay"), self._ledger("ref")
        self.bookings = self._ledger("bkg")
        self.by_hand: list[tuple[UUID, Money]] = []  # refunds by transfer
        self.calls = 0
        self._posted_at: dict[str, datetime] = {}

    def _ledger(self, prefix: str) -> Ledger:
        return Ledger(
            prefix,
            clock=lambda: self.outside.now.timestamp(),
            number=lambda: next(self._ids),
        )

    def provider_of(self, ledger: Ledger) -> Provider:
        return Provider.SUPPLIER if ledger is self.bookings else Provider.PAYMENTS

    # --- the wire

    def exchange(
        self,
        request: PaymentRequest | SupplierRequest,
        act: Callable[[], Outcome],
        *,
        provider: Provider,
    ) -> Reply:
        """Carry a request to its provider and the answer back. Either may be lost."""
        world, mood = self.outside, self._mood(request.reference, provider)
        world.boundary(f"before {request.action.verb}", pause=mood.slow)
        outcome = self._outcome(request, act, provider=provider, mood=mood)
        world.say(f"{provider}: {request.action.verb} {request.action.key}: {describe(outcome)}")
        world.boundary(f"after {request.action.verb}", pause=mood.slow)
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
            return NotSent()  # the adapter refuses to start a call that could end too late
        if world.now < world.outage_until(provider) or self._happens(mood.refuses):
            return NotSent(retry_after_s=world.random.choice((None, None, 5, 900)))
        if isinstance(request.action, Send):
            self._check_pause(request.action.key)
        if self._happens(mood.drops):
            return NoAnswer()
        outcome = act()
        return NoAnswer() if self._happens(mood.silences) else outcome

    def _happens(self, odds: float) -> bool:
        """Draw an event with these odds. In calm times it never happens."""
        return bool(odds) and self.outside.hostile and self.outside.random.random() < odds

    def _check_pause(self, key: str) -> None:
        last, now = self._posted_at.get(key), self.outside.now
        if last is not None and now < last + timedelta(seconds=20):
            raise ViolationError("calls", f"{key} sent again after {now - last}")
        self._posted_at[key] = now

    # --- entries

    def make(
        self,
        ledger: Ledger,
        reference: UUID,
        *,
        key: str | None = None,
        money: Money | None = None,
        target: str | None = None,
    ) -> Entry:
        """Make a payment, a booking or a refund. A pending one ends by itself."""
        sum_taken = {"amount": money.amount, "currency": money.currency} if money else {}
        fate = self._fate(ledger, reference)
        made = ledger.make(fate, reference=str(reference), key=key, target=target, **sum_taken)
        self.outside.say(f"  truth: {made}{'' if key else ' (unrequested)'}")
        if made.becomes:
            self.outside.later(
                timedelta(seconds=fate.changes_after), lambda: self._resolve(ledger, made)
            )
        return made

    def _fate(self, ledger: Ledger, reference: UUID) -> Fate:
        random, mood = self.outside.random, self._mood(reference, self.provider_of(ledger))
        lag = random.choice(LAGS) if self._happens(mood.lags) else 0
        chance = random.random()
        if chance < mood.pends:
            good = random.random() < mood.resolves_well
            ends_as = SUCCEEDED if good else DECLINED
            return Fate(PENDING, ends_as, random.choice(PENDING_FOR), listed_after=lag)
        declines = mood.clings if ledger is self.refunds else mood.declines
        status = DECLINED if chance < mood.pends + declines else SUCCEEDED
        return Fate(status, listed_after=lag)

    def _resolve(self, ledger: Ledger, made: Entry) -> None:
        pending = ledger.get(made.provider_id)
        if pending.becomes is None:
            return
        self.outside.say(f"  truth: {ledger.change(pending)}")
        self.outside.notify(self.provider_of(ledger), UUID(made.reference))

    def post(self, ledger: Ledger, reference: UUID, key: str, money: Money | None) -> Entry:
        """Make an entry, or return the one with the same key. A forgetful provider once makes a second one."""
        made = ledger.under(key) or self.make(ledger, reference, key=key, money=money)
        party = self.outside.party(reference)
        if not party.repeated and self._happens(party.moods[self.provider_of(ledger)].repeats):
            party.repeated = True
            second = money and self.outside.random.choice((money, party.price))
            self.make(ledger, reference, money=second)
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
        match request.action:
            case Send(operation=Operation.CHARGE):
                return _told(self._charge(request))
            case Void():
                return _told(self._void(request))
            case Send(operation=Operation.REFUND):
                return _told(self._refund(request))
            case Inquire(operation=Operation.REFUND):
                refunds = self._providers.refunds
                return _listing(refunds, refunds.of_payment(request.action.target))
            case Inquire():
                payments = self._providers.payments
                return _listing(payments, payments.of(request.reference))
        raise ViolationError("key", f"payments asked to {request.action.verb}")

    def _charge(self, request: PaymentRequest) -> Entry:
        party = self._providers.outside.party(request.reference)
        _expect("key", request.action.key, f"charge:{request.reference}")
        _expect("charge", (request.money, request.payment_token),
                (party.price, f"token of {party.name}"))  # fmt: skip
        return self._providers.post(
            self._providers.payments, request.reference, request.action.key, self._sum_taken(party)
        )

    def _sum_taken(self, party: Party) -> Money:
        outside = self._providers.outside
        odds = party.moods[Provider.PAYMENTS].cheats
        if not outside.hostile or outside.random.random() >= odds:
            return party.price
        less, more = (Money(party.price.minor + by, party.price.currency) for by in (-100, 100))
        return outside.random.choice((less, more, Money(party.price.minor, "USD")))

    def _void(self, request: PaymentRequest) -> Entry:
        payment = self._providers.payments.get(request.action.target)
        _expect("key", payment.reference, str(request.reference))
        if payment.status == PENDING and self._providers.outside.random.random() < 0.75:
            return self._providers.payments.end(payment, VOIDED)
        return payment

    def _refund(self, request: PaymentRequest) -> Entry:
        action, refunds = request.action, self._providers.refunds
        _expect("key", action.key, f"refund:{action.target}")
        payment = self._providers.payments.get(action.target)
        _expect("money", (payment.reference, payment.status, money_of(payment)),
                (str(request.reference), SUCCEEDED, request.money))  # fmt: skip
        return refunds.under(action.key) or self._providers.make(
            refunds, request.reference, key=action.key, money=request.money, target=action.target,
        )  # fmt: skip


class SimulatedSupplier(SupplierApi):
    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    def perform(self, request: SupplierRequest) -> Reply:
        return self._providers.exchange(
            request, lambda: self._act(request), provider=Provider.SUPPLIER
        )

    def _act(self, request: SupplierRequest) -> Outcome:
        match request.action:
            case Send(operation=Operation.BOOK):
                return _told(self._book(request))
            case Send(operation=Operation.CANCEL_BOOKING):
                return self._cancel(request)
            case Inquire():
                bookings = self._providers.bookings
                return _listing(bookings, bookings.of(request.reference))
        raise ViolationError("key", f"supplier asked to {request.action.verb}")

    def _book(self, request: SupplierRequest) -> Entry:
        party = self._providers.outside.party(request.reference)
        _expect("key", request.action.key, f"book:{request.reference}")
        _expect("book", (request.offer.offer_id, request.lead_guest),
                (party.offer.offer_id, party.customer.full_name))  # fmt: skip
        return self._providers.post(
            self._providers.bookings, request.reference, request.action.key, None
        )

    def _cancel(self, request: SupplierRequest) -> Seen:
        action, outside = request.action, self._providers.outside
        _expect("key", action.key, f"cancel:{action.target}")
        bookings = self._providers.bookings
        booking = bookings.get(action.target)
        _expect("key", booking.reference, str(request.reference))
        clings = outside.party(request.reference).moods[Provider.SUPPLIER].clings
        if booking.status in ALIVE:
            if outside.hostile and outside.random.random() < clings:
                return Seen(provider_id=booking.provider_id, status=Status.DECLINED)
            if booking.status == PENDING and outside.random.random() < 0.3:
                bookings.put(replace(booking, becomes=CANCELLED))
                return Seen(provider_id=booking.provider_id, status=Status.PENDING)
            bookings.end(booking, CANCELLED)
        return Seen(provider_id=booking.provider_id, status=Status.SUCCEEDED)


def money_of(entry: Entry) -> Money | None:
    return Money.parse(entry.amount, entry.currency) if entry.amount else None


def _listing(ledger: Ledger, entries: list[Entry]) -> Listing:
    return Listing.of(_told(entry) for entry in ledger.listed(entries))


def _told(entry: Entry) -> Seen:
    locator = f"LOC-{entry.provider_id}" if entry.provider_id.startswith("bkg") else None
    return Seen(
        provider_id=entry.provider_id,
        status=Status(entry.status),
        money=money_of(entry),
        locator=locator,
    )


def _expect(rule: str, found: object, expected: object) -> None:
    if found != expected:
        raise ViolationError(rule, f"{found} instead of {expected}")
