"""The answers of both providers that came back whole and were stored, row by row."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.proofs.hostile.rows import Kind
from tests.proofs.hostile.service import Answer, Service
from tests.proofs.hostile.wire import Request

Members = dict[str, Any]
ID = {Kind.PAYMENT: "payment_id", Kind.REFUND: "refund_id", Kind.BOOKING: "booking_id"}
LISTS = {"payments": Kind.PAYMENT, "refunds": Kind.REFUND, "bookings": Kind.BOOKING}
WORDS = {
    Kind.PAYMENT: {"succeeded", "declined", "pending", "voided"},
    Kind.REFUND: {"succeeded", "pending", "rejected"},
    Kind.BOOKING: {"confirmed", "pending", "rejected", "cancelled"},
}


_AMOUNT = re.compile(r"[0-9]+\.[0-9]{2}")
WHOLE = "JPY"


def is_usable(kind: Kind, row: Members) -> bool:
    """`False` for a row that breaks the contract: an alarm is rung, and nothing is known."""
    amount = str(row.get("amount", "0.00"))
    whole = row.get("currency") == WHOLE and amount.isdecimal()
    return row["status"] in WORDS[kind] and (whole or _AMOUNT.fullmatch(amount) is not None)


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: the rows that it has, of one kind."""

    reference: str
    kind: Kind
    rows: list[Members]
    is_listing: bool
    at: datetime


@dataclass(slots=True)
class Heard:
    """Answers by their reservation. An answer counts once its transaction is stored."""

    listed: dict[tuple[str, Kind], Told] = field(default_factory=dict)  # the last listings
    listings: dict[tuple[str, Kind], list[Told]] = field(default_factory=dict)  # all, in order
    first_told: dict[tuple[str, Kind, str, str], datetime] = field(default_factory=dict)
    _said: dict[tuple[str, Kind], list[Members]] = field(default_factory=dict)
    _on_the_way: dict[str, Told] = field(default_factory=dict)  # by the invocation that heard it

    def take(
        self, actor: str, service: Service, request: Request, answer: Answer, at: datetime
    ) -> None:
        """Note an answer that an invocation has in its hands."""
        self._on_the_way.pop(actor, None)
        told = _told(service, request, answer, at) if answer.status < 300 else None
        if told is not None and all(is_usable(told.kind, row) for row in told.rows):
            self._on_the_way[actor] = told

    def store(self, actor: str) -> None:
        """Note that the invocation's transaction is stored."""
        told = self._on_the_way.pop(actor, None)
        if told is None:
            return
        key = told.reference, told.kind
        self._said.setdefault(key, []).extend(told.rows)
        for row in told.rows:
            about = told.reference, told.kind, row[ID[told.kind]], row["status"]
            self.first_told.setdefault(about, told.at)
        if told.is_listing:
            self.listed[key] = told
            self.listings.setdefault(key, []).append(told)

    def said(self, reference: object, kind: Kind, an_id: str | None) -> list[Members]:
        """All that was said of one row, in order."""
        rows = self._said.get((str(reference), kind), [])
        return [row for row in rows if row[ID[kind]] == an_id]

    def statuses(self, reference: object, kind: Kind, an_id: str | None) -> set[str]:
        return {row["status"] for row in self.said(reference, kind, an_id)}


def _told(service: Service, request: Request, answer: Answer, at: datetime) -> Told | None:
    document = json.loads(answer.body)
    reference = request.reference(service)
    for name, listed in LISTS.items():
        if name in document:
            return Told(reference, listed, document[name], is_listing=True, at=at)
    # A refund names no payment, so the order of the kinds does not matter.
    kind = next((kind for kind, name in ID.items() if name in document), None)
    return Told(reference, kind, [document], is_listing=False, at=at) if kind else None
