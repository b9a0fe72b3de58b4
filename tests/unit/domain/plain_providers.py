"""Payments and a supplier as plain ledgers, which are the truth even if an answer is lost."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reservations.domain.actions import Action, Verb
from reservations.domain.facts import Listing, Operation, Outcome, Seen, Status
from reservations.domain.money import Money
from tests.worlds.builders import PRICE

ALIVE = (Status.PENDING, Status.SUCCEEDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """The decision of a provider about a new request."""

    status: Status = Status.SUCCEEDED
    ends_as: Status = Status.SUCCEEDED  # the end of a pending one
    listed_after: timedelta = timedelta(0)


HONEST = Fate()


@dataclass(slots=True, kw_only=True)
class Made:
    """A payment, a refund or a booking of a provider. One without a key was made unasked."""

    provider_id: str
    key: str | None
    status: Status
    ends_as: Status
    listed_from: datetime
    money: Money | None = None
    target: str | None = None
    ending: bool = False  # a booking with a pending cancellation

    @property
    def moves(self) -> bool:
        """Return `True` if it will change by itself."""
        return self.status is Status.PENDING or (self.ending and self.status in ALIVE)

    def end(self) -> None:
        self.status = Status.CANCELLED if self.ending else self.ends_as

    def as_seen(self) -> Seen:
        return Seen(provider_id=self.provider_id, status=self.status, money=self.money)


@dataclass(slots=True)
class PlainProviders:
    """Both providers. A repeated key makes nothing new."""

    takes: Money = PRICE  # for a charge
    undoes: Status = Status.SUCCEEDED  # the result of a refund, a void or a cancellation
    payments: list[Made] = field(default_factory=list)
    refunds: list[Made] = field(default_factory=list)
    bookings: list[Made] = field(default_factory=list)
    by_hand: list[Money] = field(default_factory=list)  # refunds of operators by bank transfer

    def perform(self, action: Action, now: datetime, fate: Fate) -> Outcome:
        """Carry out a request that arrives now, and answer."""
        match action.verb:
            case Verb.CHARGE:
                return _post(self.payments, action, now, fate, money=self.takes)
            case Verb.REFUND:
                self._check_refund(action)
                undoing = replace(fate, status=self.undoes)
                return _post(self.refunds, action, now, undoing, money=action.money)
            case Verb.BOOK:
                return _post(self.bookings, action, now, fate)
            case Verb.VOID:
                return _void(_named(self.payments, action.target), self.undoes)
            case Verb.CANCEL_BOOKING:
                return _cancel(_named(self.bookings, action.target), self.undoes)
            case Verb.INQUIRE:
                return Listing.of(
                    made.as_seen() for made in self._asked_about(action) if made.listed_from <= now
                )

    def _asked_about(self, action: Action) -> list[Made]:
        match action.operation:
            case Operation.CHARGE:
                return self.payments
            case Operation.REFUND:
                return [refund for refund in self.refunds if refund.target == action.target]
            case _:
                return self.bookings

    def _check_refund(self, action: Action) -> None:
        payment = _named(self.payments, action.target)
        assert payment.status is Status.SUCCEEDED, f"{payment} has nothing to give back"
        assert payment.money == action.money, f"{action.money} is not what {payment} took"

    def everything(self) -> list[Made]:
        return self.payments + self.refunds + self.bookings

    def moving(self) -> list[Made]:
        return [made for made in self.everything() if made.moves]

    def have(self, key: str) -> bool:
        return any(made.key == key for made in self.everything())

    def booking(self, provider_id: str | None) -> Made:
        return _named(self.bookings, provider_id)

    def alive(self) -> set[str]:
        return {made.provider_id for made in self.bookings if made.status in ALIVE}

    def kept(self) -> Iterator[Made]:
        """The payments that the provider has not refunded."""
        refunded = {made.target for made in self.refunds if made.status is Status.SUCCEEDED}
        for payment in self.payments:
            if payment.status is Status.SUCCEEDED and payment.provider_id not in refunded:
                yield payment

    def balance(self) -> dict[str, int]:
        """Payments less refunds, by currency."""
        signed = [(made.money, 1) for made in self.payments if made.status is Status.SUCCEEDED]
        signed += [(made.money, -1) for made in self.refunds if made.status is Status.SUCCEEDED]
        signed += [(money, -1) for money in self.by_hand]
        return total(signed)


def total(signed: list[tuple[Money | None, int]]) -> dict[str, int]:
    """Total by currency, without totals of zero."""
    sums: dict[str, int] = {}
    for money, sign in signed:
        assert money is not None
        sums[money.currency] = sums.get(money.currency, 0) + sign * money.minor
    return {currency: minor for currency, minor in sums.items() if minor}


def make(
    ledger: list[Made],
    now: datetime,
    fate: Fate,
    *,
    key: str | None = None,
    money: Money | None = None,
    target: str | None = None,
) -> Made:
    """Add a row to a ledger, under the provider's own id."""
    made = Made(
        provider_id=f"{target or key or 'unasked'}/{len(ledger) + 1}",
        key=key,
        status=fate.status,
        ends_as=fate.ends_as,
        listed_from=now + fate.listed_after,
        money=money,
        target=target,
    )
    ledger.append(made)
    return made


def _post(
    ledger: list[Made], action: Action, now: datetime, fate: Fate, *, money: Money | None = None
) -> Seen:
    before = next((made for made in ledger if made.key == action.key), None)
    made = before or make(ledger, now, fate, key=action.key, money=money, target=action.target)
    return made.as_seen()


def _named(ledger: list[Made], provider_id: str | None) -> Made:
    return next(made for made in ledger if made.provider_id == provider_id)


def _void(payment: Made, undoes: Status) -> Seen:
    """Void a pending payment. Answer with the current payment, even if it has succeeded."""
    if payment.status is Status.PENDING and undoes is Status.SUCCEEDED:
        payment.status = Status.VOIDED
    return payment.as_seen()


def _cancel(booking: Made, undoes: Status) -> Seen:
    status = undoes if booking.status in ALIVE else Status.SUCCEEDED
    if status is Status.PENDING:
        booking.ending = True
    elif status is Status.SUCCEEDED and booking.status in ALIVE:
        booking.status = Status.CANCELLED
    return Seen(provider_id=booking.provider_id, status=status)
