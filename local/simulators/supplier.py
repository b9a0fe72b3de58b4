"""The supplier's API: bookings, programmed by the beginning of the offer's id."""

import secrets
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
    fails_now,
)

OFFERS = {
    "HTL-": Behavior(status="confirmed"),
    "REJ-": Behavior(status="rejected"),
    "PEN-": Behavior(status="pending"),
    "TMO-": Behavior(status="confirmed", silent=True),
    "FLK-": Behavior(status="confirmed", failures=FAILURES_BEFORE_OK),
}
_UNKNOWN_OFFER = Behavior(status="rejected")
_PREFIX = 4


class Booking(Body):
    reference: str = Field(min_length=1, max_length=64)
    offer_id: str = Field(min_length=1, max_length=64)
    starts_on: date
    ends_on: date
    guests: int = Field(ge=1, le=99)
    lead_guest: str = Field(min_length=1, max_length=200)


class Supplier(Provider):
    """Books rooms that do not exist; `pending_seconds` is how long a pending booking stays so."""

    name = "supplier"
    tables = ("booking",)
    # The guest's name is not kept: nothing here needs it.
    schema = """
    CREATE TABLE IF NOT EXISTS booking (
      booking_id TEXT PRIMARY KEY, reference TEXT NOT NULL, offer_id TEXT NOT NULL,
      status TEXT NOT NULL, locator TEXT, settles_at REAL);
    CREATE INDEX IF NOT EXISTS booking_reference ON booking (reference);
    CREATE INDEX IF NOT EXISTS booking_settles ON booking (settles_at);
    """

    def __init__(self, *, pending_seconds: float) -> None:
        self._pending_seconds = pending_seconds
        self.routes = (
            Route("POST", "/bookings", self.book, keyed=True),
            Route("GET", "/bookings", self.bookings),
            Route("POST", "/bookings/{booking_id}/cancel", self.cancel, keyed=True),
        )

    def book(self, request: Request, transaction: Transaction) -> Answer:
        body = request.parse(Booking)
        if body.ends_on < body.starts_on:
            raise RefusedError(422, "validation_failed", "ends_on: before starts_on")
        behavior = OFFERS.get(body.offer_id[:_PREFIX], _UNKNOWN_OFFER)
        if failed := fails_now(behavior, request, transaction):
            return failed
        booking_id = f"bkg_{secrets.token_hex(10)}"
        pending = behavior.status == "pending"
        transaction.db.execute(
            "INSERT INTO booking VALUES (?, ?, ?, ?, ?, ?)",
            (
                booking_id,
                body.reference,
                body.offer_id,
                behavior.status,
                _locator() if behavior.status == "confirmed" else None,
                transaction.now + self._pending_seconds if pending else None,
            ),
        )
        booking = _shown(_booking(booking_id, transaction))
        return Answer(status=201, body=booking, silent=behavior.silent)

    def bookings(self, request: Request, transaction: Transaction) -> Answer:
        reference = request.query.get("reference")
        if not reference:
            raise RefusedError(400, "reference_missing", "reference is required")
        rows = transaction.db.execute(
            "SELECT * FROM booking WHERE reference = ? ORDER BY rowid", (reference,)
        ).fetchall()
        return Answer(status=200, body={"bookings": [_shown(row) for row in rows]})

    def cancel(self, request: Request, transaction: Transaction) -> Answer:
        booking_id = _booking(request.ids["booking_id"], transaction)["booking_id"]
        transaction.db.execute(
            "UPDATE booking SET status = 'cancelled', settles_at = NULL"
            " WHERE booking_id = ? AND status IN ('confirmed', 'pending')",
            (booking_id,),
        )
        return Answer(status=200, body=_shown(_booking(booking_id, transaction)))

    def settle(self, transaction: Transaction) -> None:
        due = transaction.db.execute(
            "SELECT reference, booking_id FROM booking WHERE settles_at <= ?", (transaction.now,)
        ).fetchall()
        for booking in due:
            transaction.db.execute(
                "UPDATE booking SET status = 'confirmed', locator = ?, settles_at = NULL"
                " WHERE booking_id = ?",
                (_locator(), booking["booking_id"]),
            )
            transaction.announce("booking.confirmed", **booking)

    def ledger(self, transaction: Transaction) -> dict[str, Any]:
        rows = transaction.db.execute(
            "SELECT booking_id, reference, offer_id, status FROM booking ORDER BY rowid"
        )
        return {"bookings": rows.fetchall()}


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
