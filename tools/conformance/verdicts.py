"""Promises, and the verdicts about them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    HOLDS = "holds"
    BROKEN = "BROKEN"
    NOT_OBSERVABLE = "not observable"


class BrokenError(Exception):
    """The provider broke the promise under test."""


class NotObservableError(Exception):
    """This run cannot see whether the promise holds."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise that we rely on, and our loss without it.

    `check` takes the orders of one provider and returns what it saw. It raises `BrokenError` or `NotObservableError`.
    """

    name: str
    says: str
    loss: str
    check: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    promise: Promise
    verdict: Verdict
    seen: str


def judge(promise: Promise, orders: object) -> Row:
    """Test one promise."""
    try:
        return Row(promise, Verdict.HOLDS, promise.check(orders))
    except BrokenError as broken:
        return Row(promise, Verdict.BROKEN, str(broken))
    except NotObservableError as unseen:
        return Row(promise, Verdict.NOT_OBSERVABLE, str(unseen))


def require(kept: bool, otherwise: str) -> None:
    """
    Raises:
        BrokenError: the promise is not `kept`.
    """
    if not kept:
        raise BrokenError(otherwise)
