"""The next thing to do about a reservation: a request to a provider, a wait, or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reservations.domain.facts import PROVIDER_OF, Operation, Provider, Reason
from reservations.domain.messages import Queue
from reservations.domain.money import Money


class Verb(StrEnum):
    """A request to a provider."""

    INQUIRE = "inquire"
    CHARGE = "charge"
    VOID = "void"
    REFUND = "refund"
    BOOK = "book"
    CANCEL_BOOKING = "cancel_booking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A request that is due; `key` is the ledger row it begins, repeats or asks about."""

    verb: Verb
    key: str
    operation: Operation
    target: str | None = None  # the payment to void or refund, the booking to cancel
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class Close:
    """The facts leave no way forward."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing to do, unless somebody from outside asks for it."""


Plan = Action | Close | Wait | Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that left: what, when it was written down, and which attempt of its row it is."""

    action: Action
    at: datetime
    attempt: int


QUEUE_OF: Mapping[Provider, Queue] = {
    Provider.PAYMENTS: Queue.PAYMENT,
    Provider.SUPPLIER: Queue.SUPPLIER,
}


def wanted_queue(action: Action) -> Queue:
    """Where the worker listens that can carry out the action."""
    return QUEUE_OF[PROVIDER_OF[action.operation]]
