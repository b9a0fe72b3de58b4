"""The ledger of a provider: payments, refunds or bookings, one per idempotency key.

Clock, identifiers, fates and storage are given to it.
Times are seconds since 1970.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

PENDING, SUCCEEDED, DECLINED = "pending", "succeeded", "declined"
VOIDED, CANCELLED = "voided", "cancelled"
ALIVE = (PENDING, SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Fate:
    """Outcome of a request: a status, the one that it `becomes` later, and the delay of listings, in seconds."""

    status: str = SUCCEEDED
    becomes: str | None = None
    changes_after: float = 0
    listed_after: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A payment, a refund or a booking. Its `key` is `None` if no request asked for it.

    A removed one is kept, but neither listed nor found. `refunded_amount` stands for the sum of the
    refunds. `dispute` and `price` are members as the contracts write them.
    """

    provider_id: str
    reference: str
    key: str | None
    status: str
    listed_at: float
    becomes: str | None
    changes_at: float
    locator: str | None = None
    amount: str = ""
    currency: str = ""
    target: str | None = None  # the payment of a refund
    mood: str = ""  # the token or the offer that programs what follows
    starts_on: str | None = None
    ends_on: str | None = None
    price: dict[str, str] | None = None
    refunded_amount: str | None = None
    dispute: dict[str, str] | None = None
    removed: bool = False

    def __str__(self) -> str:
        return f"{self.provider_id} {self.status} {self.amount} {self.currency}".rstrip()


class NoSuchEntryError(LookupError):
    """The provider never had it, or it was removed by hand."""


class Ledger:
    """All entries of one kind. `rows` may be any mapping, such as one that outlives the process."""

    def __init__(
        self,
        prefix: str,
        *,
        clock: Callable[[], float],
        number: Callable[[], object],
        rows: MutableMapping[str, Entry] | None = None,
    ) -> None:
        self.rows: MutableMapping[str, Entry] = {} if rows is None else rows
        self._prefix = prefix
        self._clock = clock
        self._number = number

    def get(self, provider_id: str | None) -> Entry:
        """
        Raises:
            NoSuchEntryError: the provider never had it, or it was removed.
        """
        entry = self.rows.get(provider_id or "")
        if entry is None or entry.removed:
            raise NoSuchEntryError(f"there is no {provider_id}")
        return entry

    def of(self, reference: object) -> list[Entry]:
        return [entry for entry in self.rows.values() if entry.reference == str(reference)]

    def of_payment(self, target: str | None) -> list[Entry]:
        return [entry for entry in self.rows.values() if entry.target == target]

    def listed(self, entries: list[Entry]) -> list[Entry]:
        """Leave out the entries that a listing does not show yet, or no more."""
        now = self._clock()
        return [entry for entry in entries if entry.listed_at <= now and not entry.removed]

    def under(self, key: str) -> Entry | None:
        return next((entry for entry in self.rows.values() if entry.key == key), None)

    def make(self, fate: Fate, *, reference: str, key: str | None = None, **about: Any) -> Entry:
        now = self._clock()
        made = Entry(
            provider_id=f"{self._prefix}_{self._number()}",
            reference=reference,
            key=key,
            status=fate.status,
            listed_at=now + fate.listed_after,
            becomes=fate.becomes,
            changes_at=now + fate.changes_after,
            **about,
        )
        return self.put(made)

    def end(self, entry: Entry, status: str, *, among: tuple[str, ...] = ALIVE) -> Entry:
        """Void or cancel an entry with a status `among` those; leave any other as it is."""
        if entry.status not in among:
            return entry
        return self.put(replace(entry, status=status, becomes=None))

    def settle(self) -> list[Entry]:
        """Change all entries that are due. Each of them owes a webhook."""
        now = self._clock()
        due = [e for e in self.rows.values() if e.becomes is not None and e.changes_at <= now]
        return [self.change(entry) for entry in due]

    def change(self, entry: Entry) -> Entry:
        return self.put(replace(entry, status=entry.becomes or entry.status, becomes=None))

    def rename(self, entry: Entry, provider_id: str) -> Entry:
        """Give an entry another id, and keep its place in the listing."""
        rows = list(self.rows.values())
        renamed = replace(entry, provider_id=provider_id)
        place = [row.provider_id for row in rows].index(entry.provider_id)
        for row in rows[place:]:
            del self.rows[row.provider_id]
        for row in (renamed, *rows[place + 1 :]):
            self.rows[row.provider_id] = row
        return renamed

    def put(self, entry: Entry) -> Entry:
        if entry.status == SUCCEEDED and entry.locator is None:
            entry = replace(entry, locator=entry.provider_id[-8:].upper())
        self.rows[entry.provider_id] = entry
        return entry
