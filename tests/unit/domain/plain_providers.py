"""Payments and a supplier as plain ledgers: what they made is the truth, whoever hears of it."""

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
    """What a provider makes of a request, if it asks for something new."""

    status: Status = Status.SUCCEEDED
    ends_as: Status = Status.SUCCEEDED  # what it becomes when it is pending
    listed_after: timedelta = timedelta(0)


HONEST = Fate()


@dataclass(slots=True, kw_only=True)
class Made:
    """A payment, a refund or a booking as its provider has it; nobody asked for one without a key."""

    provider_id: str
    key: str | None
    status: Status
    ends_as: Status
    listed_from: datetime
    money: Money | None = None
    target: str | None = None
    ending: bool = False  # a booking whose cancellation takes its time

    @property
    def moves(self) -> bool:
        """Whether it will change by itself."""
        return self.status is Status.PENDING or (self.ending and self.status in ALIVE)

    def end(self) -> None:
        self.status = Status.CANCELLED if self.ending else self.ends_as

    def told(self) -> Seen:
        return Seen(provider_id=self.provider_id, status=self.status, money=self.money)


@dataclass(slots=True)
class PlainProviders:
    """Both providers. The same key is the same thing: asking again makes nothing new."""

    takes: Money = PRICE  # for a charge
    undoes: Status = Status.SUCCEEDED  # what comes of a refund, a void or a cancellation
    payments: list[Made] = field(default_factory=list)
    refunds: list[Made] = field(default_factory=list)
    bookings: list[Made] = field(default_factory=list)
    by_hand: list[Money] = field(default_factory=list)  # what operators gave back by transfer

    def perform(self, action: Action, now: datetime, fate: Fate) -> Outcome:
        """Do what a request asks that arrives now, and answer."""
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
                    made.told() for made in self._asked_about(action) if made.listed_from <= now
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
        """The payments whose money the provider has not given back."""
        given_back = {made.target for made in self.refunds if made.status is Status.SUCCEEDED}
        for payment in self.payments:
            if payment.status is Status.SUCCEEDED and payment.provider_id not in given_back:
                yield payment

    def balance(self) -> dict[str, int]:
        """What was taken less what was given back, by currency."""
        signed = [(made.money, 1) for made in self.payments if made.status is Status.SUCCEEDED]
        signed += [(made.money, -1) for made in self.refunds if made.status is Status.SUCCEEDED]
        signed += [(money, -1) for money in self.by_hand]
        return total(signed)


def total(signed: list[tuple[Money | None, int]]) -> dict[str, int]:
    """Add up sums of several currencies; one that comes to nothing is left out."""
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
    """Add something to a ledger, under the provider's own id."""
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
    return made.told()


def _named(ledger: list[Made], provider_id: str | None) -> Made:
    return next(made for made in ledger if made.provider_id == provider_id)


def _void(payment: Made, undoes: Status) -> Seen:
    """It answers with the payment as it stands, as one that succeeded meanwhile does."""
    if payment.status is Status.PENDING and undoes is Status.SUCCEEDED:
        payment.status = Status.VOIDED
    return payment.told()


def _cancel(booking: Made, undoes: Status) -> Seen:
    status = undoes if booking.status in ALIVE else Status.SUCCEEDED
    if status is Status.PENDING:
        booking.ending = True
    elif status is Status.SUCCEEDED and booking.status in ALIVE:
        booking.status = Status.CANCELLED
    return Seen(provider_id=booking.provider_id, status=status)
