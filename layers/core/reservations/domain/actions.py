"""The next thing to do about a reservation: a request to a provider, a wait, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reservations.domain.facts import PROVIDER_OF, Call, Operation, Provider
from reservations.domain.messages import Queue
from reservations.domain.money import Money


class Verb(StrEnum):
    """The text that evidence keeps of a request to a provider."""

    INQUIRE = "inquire"
    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"
    BOOK = "book"
    CANCEL_BOOKING = "cancel_booking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A charge, a refund, a booking or a cancellation, under the key of its ledger row."""

    operation: Operation
    key: str
    target: str | None = None  # the payment to refund, the booking to cancel
    money: Money | None = None

    @property
    def verb(self) -> Verb:
        return Verb(self.operation)


@dataclass(frozen=True, slots=True)
class _AboutCall:
    """A request about a call that was sent before."""

    call: Call

    @property
    def operation(self) -> Operation:
        return self.call.operation

    @property
    def key(self) -> str:
        return self.call.key

    @property
    def money(self) -> Money | None:
        return self.call.money


class Inquire(_AboutCall):
    """A request for the status of a call."""

    __slots__ = ()
    verb = Verb.INQUIRE

    @property
    def target(self) -> str | None:
        return self.call.target


class InquireRefunds(Inquire):
    """A request for all refunds of a charge, whoever made them."""

    __slots__ = ()

    @property
    def operation(self) -> Operation:
        return Operation.REFUND

    @property
    def target(self) -> str | None:
        return self.call.provider_id


class Void(_AboutCall):
    """A request to end a pending charge. Its answer is the current payment."""

    __slots__ = ()
    verb = Verb.VOID

    @property
    def target(self) -> str | None:
        return self.call.provider_id


Action = Send | Inquire | Void


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do until a request from outside."""


Plan = Action | Wait | Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that left. `at` is when it was written down, `attempt` its number in the row."""

    action: Action
    at: datetime
    attempt: int


QUEUE_OF: Mapping[Provider, Queue] = {
    Provider.PAYMENTS: Queue.PAYMENT,
    Provider.SUPPLIER: Queue.SUPPLIER,
}
LOOK_QUEUE_OF: Mapping[Provider, Queue] = {
    Provider.PAYMENTS: Queue.PAYMENT_LOOK,
    Provider.SUPPLIER: Queue.SUPPLIER_LOOK,
}


def provider_of(action: Action) -> Provider:
    return PROVIDER_OF[action.operation]
