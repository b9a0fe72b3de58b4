"""Both providers' ledgers beside our reservations, and an answer that is not ours."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx

Json = dict[str, Any]

LIVE_BOOKING = {"confirmed", "pending"}
# LocalStack's gateway sometimes gives this answer instead of calling the function. The text is from
# github.com/python/cpython/issues/106905. It is no answer of the API: it is counted apart and retried.
EMULATOR_FAULT = "AST constructor recursion depth mismatch"


class ProvidersBooks:
    """Both providers' ledgers, read once."""

    def __init__(self, stack: Json) -> None:
        charges, refunds = (_ledger(stack, "payments", part) for part in ("charges", "refunds"))
        returned: defaultdict[str, Decimal] = defaultdict(Decimal)
        for refund in refunds:
            returned[refund["payment_id"]] += Decimal(refund["amount"])
        self._taken: defaultdict[str, list[Decimal]] = defaultdict(list)
        self._kept: defaultdict[str, Decimal] = defaultdict(Decimal)
        for charge in charges:
            if charge["status"] == "succeeded":
                amount = Decimal(charge["amount"])
                self._taken[charge["reference"]].append(amount)
                self._kept[charge["reference"]] += amount - returned[charge["payment_id"]]
        self._booked = Counter(
            booking["reference"]
            for booking in _ledger(stack, "supplier", "bookings")
            if booking["status"] in LIVE_BOOKING
        )

    def differences(self, code: str, row: Json, *, confirmed: bool) -> Iterator[str]:
        reference = str(uuid.UUID(bytes=row["id"]))
        owed = Decimal(row["price_minor"]) / 100 if confirmed else Decimal(0)
        if len(self._taken[reference]) > 1:
            yield f"{code} was charged {len(self._taken[reference])} times"
        if self._kept[reference] != owed:
            yield f"{code} ({row['state']}): {self._kept[reference]} is kept instead of {owed}"
        if self._booked[reference] != confirmed:
            yield f"{code} ({row['state']}): {self._booked[reference]} live bookings"


def _ledger(stack: Json, provider: str, part: str) -> list[Json]:
    url = f"{stack[f'{provider}_url']}/_sim/ledger"
    rows: list[Json] = httpx.get(url, timeout=30, trust_env=False).raise_for_status().json()[part]
    return rows
