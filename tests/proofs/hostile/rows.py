"""Rows of a provider: what is true of each, and what the provider says of it.

The words are those of `docs/contratos/payments-openapi.yaml` and `supplier-openapi.yaml`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of rows. The value begins their ids."""

    PAYMENT = "pay"
    REFUND = "ref"
    BOOKING = "bkg"


GOOD = {Kind.PAYMENT: "succeeded", Kind.REFUND: "succeeded", Kind.BOOKING: "confirmed"}
BAD = {Kind.PAYMENT: "declined", Kind.REFUND: "rejected", Kind.BOOKING: "rejected"}
PENDING = "pending"
WHOLE = {"JPY"}  # currencies without a smaller unit


@dataclass(slots=True, kw_only=True, eq=False)
class Row:
    """A payment, a refund or a booking. Amounts are in hundredths of their currency."""

    kind: Kind
    id: str
    reference: str
    key: str | None  # of the request that made it; `None` if nobody asked for it
    status: str
    made_at: datetime
    listed_from: datetime  # a listing lags behind
    ends_as: str | None = None  # the later status of a pending row
    minor: int = 0
    currency: str = ""
    payment: "Row | None" = None  # of a refund
    locator: str | None = None
    asked: dict[str, Any] = field(default_factory=dict)  # the dates of the request
    stay: dict[str, Any] = field(
        default_factory=dict
    )  # dates and price, where a supplier tells them
    dispute: tuple[str, int] | None = None  # open, won or lost, and its amount
    gone: bool = False  # the provider has it no longer
    hidden_until: datetime | None = None  # listings leave it out; a listing finds it again then
    stale: tuple[str, datetime] | None = None  # listings show this status until then
    says: dict[str, Any] = field(default_factory=dict)  # members told otherwise than they are
    lied: bool = False  # it was told otherwise at some time
    former_ids: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """`True` if the money was moved, or the booking stands."""
        return not self.gone and self.status == GOOD[self.kind]

    @property
    def alive(self) -> bool:
        return not self.gone and self.status in (GOOD[self.kind], PENDING)

    @property
    def misreported(self) -> bool:
        """`True` if listings ever told something else than the truth, for longer than a lag."""
        return self.hidden_until is not None or self.lied or bool(self.former_ids)

    def is_called(self, an_id: str) -> bool:
        """Ids of every time, in any case: a provider finds a row by each of them."""
        return an_id.lower() in {self.id.lower(), *(former.lower() for former in self.former_ids)}

    def shown(self, now: datetime) -> bool:
        """`True` if a listing has it now."""
        hidden = self.hidden_until is not None and now < self.hidden_until
        return not self.gone and not hidden and self.listed_from <= now

    def status_listed(self, now: datetime) -> str:
        return self.stale[0] if self.stale and now < self.stale[1] else self.status

    def __str__(self) -> str:
        money = f" {decimal(self.minor, self.currency)} {self.currency}" if self.currency else ""
        return f"{self.id} {'gone' if self.gone else self.status}{money}"


def decimal(minor: int, currency: str) -> str:
    """Write hundredths as the contract's decimal, with the digits of its currency."""
    return str(minor // 100) if currency in WHOLE else f"{minor // 100}.{minor % 100:02}"


def hundredths(amount: str) -> int:
    """Read the contract's decimal of a currency with two digits or none."""
    whole, _, fraction = amount.partition(".")
    return int(whole) * 100 + int(fraction.ljust(2, "0"))
