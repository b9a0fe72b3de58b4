"""The supplier's API: bookings, programmed by the beginning of the offer's id."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import Field

from local.simulators.ledger import Transaction
from local.simulators.provider import (
    FAILURES_BEFORE_OK,
    Answer,
    Behavior,
    Body,
    Provider,
    RefusedError,
    Request,
    Route,
    Times,
    denied,
    fails_now,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferBehavior(Behavior):
    """Behavior of an offer: the later status of its booking, and whether it can be cancelled."""

    becomes: str | None = None
    cancellable: bool = True


OFFERS: Mapping[str, OfferBehavior] = {
    "HTL-": OfferBehavior(status="confirmed"),
    "REJ-": OfferBehavior(status="rejected"),
    "PEN-": OfferBehavior(status="pending", becomes="confirmed"),
    "TMO-": OfferBehavior(status="confirmed", silent=True),
    "FLK-": OfferBehavior(status="confirmed", failures=FAILURES_BEFORE_OK),
    "LAT-": OfferBehavior(status="confirmed", silent=True, late=True),
    "TWI-": OfferBehavior(status="confirmed", twice=True),
    "CXL-": OfferBehavior(status="confirmed", becomes="cancelled"),
    "NOC-": OfferBehavior(status="confirmed", cancellable=False),
}
_UNKNOWN_OFFER = OfferBehavior(status="rejected")
_PREFIX = 4


class Booking(Body):
    reference: str = Field(min_length=1, max_length=64)
    offer_id: str = Field(min_length=1, max_length=64)
    starts_on: date
    ends_on: date
    guests: int = Field(ge=1, le=99)
    lead_guest: str = Field(min_length=1, max_length=200)


class Supplier(Provider):
    """Books rooms that do not exist."""

    name = "supplier"
    tables = ("booking",)
    # The guest's name is not kept: nothing here needs it.
    schema = """
    CREATE TABLE IF NOT EXISTS booking (
      booking_id TEXT PRIMARY KEY, reference TEXT NOT NULL, offer_id TEXT NOT NULL,
      status TEXT NOT NULL, locator TEXT, listed_at REAL NOT NULL, settles_at REAL);
    CREATE INDEX IF NOT EXISTS booking_reference ON booking (reference);
    CREATE INDEX IF NOT EXISTS booking_settles ON booking (settles_at);
    """

    def __init__(self, times: Times) -> None:
        self._times = times
        self.routes = (
            Route("POST", "/bookings", self.book, keyed=True),
            Route("GET", "/bookings", self.bookings),
            Route("POST", "/bookings/{booking_id}/cancel", self.cancel, keyed=True),
        )

    def book(self, request: Request, transaction: Transaction) -> Answer:
        body = request.parse(Booking)
        if body.ends_on < body.starts_on:
            raise RefusedError(422, "validation_failed", "ends_on: before starts_on")
        behavior = _behavior_of(body.offer_id)
        if failed := fails_now(behavior, request, transaction):
            return failed
        booking = _shown(self._make(body, behavior, transaction))
        lie = denied(behavior, request, transaction)
        return lie or Answer(status=201, body=booking, silent=behavior.silent)

    def _make(
        self, booking: Booking, behavior: OfferBehavior, transaction: Transaction
    ) -> dict[str, Any]:
        booking_id = f"bkg_{secrets.token_hex(10)}"
        transaction.db.execute(
            "INSERT INTO booking VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                booking_id,
                booking.reference,
                booking.offer_id,
                behavior.status,
                _locator() if behavior.status == "confirmed" else None,
                self._times.listed_at(behavior, transaction.now),
                transaction.now + self._times.pending if behavior.becomes else None,
            ),
        )
        return _booking(booking_id, transaction)

    def bookings(self, request: Request, transaction: Transaction) -> Answer:
        reference = request.query.get("reference")
        if not reference:
            raise RefusedError(400, "reference_missing", "reference is required")
        rows = transaction.db.execute(
            "SELECT * FROM booking WHERE reference = ? AND listed_at <= ? ORDER BY rowid",
            (reference, transaction.now),
        ).fetchall()
        return Answer(status=200, body={"bookings": [_shown(row) for row in rows]})

    def cancel(self, request: Request, transaction: Transaction) -> Answer:
        booking = _booking(request.ids["booking_id"], transaction)
        if _behavior_of(booking["offer_id"]).cancellable:
            transaction.db.execute(
                "UPDATE booking SET status = 'cancelled', settles_at = NULL"
                " WHERE booking_id = ? AND status IN ('confirmed', 'pending')",
                (booking["booking_id"],),
            )
        return Answer(status=200, body=_shown(_booking(booking["booking_id"], transaction)))

    def settle(self, transaction: Transaction) -> None:
        due = transaction.db.execute(
            "SELECT * FROM booking WHERE settles_at <= ?", (transaction.now,)
        ).fetchall()
        for booking in due:
            status = _behavior_of(booking["offer_id"]).becomes
            transaction.db.execute(
                "UPDATE booking SET status = ?, locator = coalesce(locator, ?), settles_at = NULL"
                " WHERE booking_id = ?",
                (status, _locator(), booking["booking_id"]),
            )
            transaction.announce(
                f"booking.{status}",
                reference=booking["reference"],
                booking_id=booking["booking_id"],
            )

    def ledger(self, transaction: Transaction) -> dict[str, Any]:
        rows = transaction.db.execute(
            "SELECT booking_id, reference, offer_id, status FROM booking ORDER BY rowid"
        )
        return {"bookings": rows.fetchall()}


def _behavior_of(offer_id: str) -> OfferBehavior:
    return OFFERS.get(offer_id[:_PREFIX], _UNKNOWN_OFFER)


def _locator() -> str:
    return secrets.token_hex(4).upper()


def _booking(booking_id: str, transaction: Transaction) -> dict[str, Any]:
    row: dict[str, Any] | None = transaction.db.execute(
        "SELECT * FROM booking WHERE booking_id = ?", (booking_id,)
    ).fetchone()
    if row is None:
        raise RefusedError(404, "not_found", "there is no such booking")
    return row


def _shown(booking: dict[str, Any]) -> dict[str, Any]:
    return {name: booking[name] for name in ("booking_id", "locator", "status", "reference")}
