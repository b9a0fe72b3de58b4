"""The books of both providers about one reservation, from their own ledgers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

PRICE = Decimal("342.50")
_LIVE = {"confirmed", "pending"}

_Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Payments ever taken, money not refunded, bookings ever made, and bookings still live."""

    taken: int
    kept: Decimal
    booked: int
    alive: int

    @classmethod
    def of(
        cls,
        reference: str,
        *,
        payments: Mapping[str, list[_Row]],
        supplier: Mapping[str, list[_Row]],
    ) -> Self:
        """Read the answers of `GET /_sim/ledger` of both simulators for one reference."""
        charges = [row for row in payments["charges"] if row["reference"] == reference]
        taken = [row for row in charges if row["status"] == "succeeded"]
        ids = {row["payment_id"] for row in taken}
        refunds = [row for row in payments["refunds"] if row["payment_id"] in ids]
        bookings = [row for row in supplier["bookings"] if row["reference"] == reference]
        return cls(
            taken=len(taken),
            kept=_total(taken) - _total(refunds),
            booked=sum(row["status"] != "rejected" for row in bookings),
            alive=sum(row["status"] in _LIVE for row in bookings),
        )


NOTHING = Books(taken=0, kept=Decimal(0), booked=0, alive=0)
PAID_AND_BOOKED = Books(taken=1, kept=PRICE, booked=1, alive=1)
ALL_GIVEN_BACK = Books(taken=1, kept=Decimal(0), booked=1, alive=0)
ONLY_MONEY_GIVEN_BACK = Books(taken=1, kept=Decimal(0), booked=0, alive=0)


def _total(rows: Iterable[_Row]) -> Decimal:
    return sum((Decimal(row["amount"]) for row in rows), Decimal(0))
