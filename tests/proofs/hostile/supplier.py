"""The supplier's API of another team: bookings and their cancellation."""

import json
from collections.abc import Mapping
from typing import Any

from tests.proofs.hostile.rows import PENDING, Kind, Row
from tests.proofs.hostile.service import Answer, Asked, Service, failed

MEMBERS = {"reference", "offer_id", "starts_on", "ends_on", "guests", "lead_guest", "price"}
TELLS_ALL = 0.5  # of the bookings: dates and price are told as well
WITHOUT_LOCATOR = 0.1
CANCELS_LATER = 0.3  # of the pending ones
NET_PRICE = {"amount": "120.00", "currency": "EUR"}  # not what the traveler pays


class SupplierService(Service):
    name = "supplier"
    main = Kind.BOOKING
    routes = (
        ("POST", r"/bookings", "book"),
        ("GET", r"/bookings", "list_bookings"),
        ("POST", r"/bookings/([^/]+)/cancel", "cancel"),
    )

    # --- the truth

    def make_booking(self, reference: str, stay: Mapping[str, Any], *, key: str | None) -> Row:
        """Make a booking. `stay` has the dates of the request."""
        random = self.outside.random
        told = {**stay, "price": NET_PRICE} if random.random() < TELLS_ALL else {}
        row = self.make(Kind.BOOKING, reference, key=key, stay=told, asked=dict(stay))
        row.locator = None if random.random() < WITHOUT_LOCATOR else f"LOC-{row.id}"
        return row

    # --- HTTP

    def book(self, asked: Asked) -> Answer:
        told = json.loads(asked.body)
        if asked.key is None or set(told) != MEMBERS:
            return failed(400 if asked.key is None else 422, "invalid_request")
        reference = told["reference"]
        stay = {day: told[day] for day in ("starts_on", "ends_on")}
        made = self.make_booking(reference, stay, key=asked.key)
        if self.repeat_once(reference):
            self.make_booking(reference, stay, key=None)
        return self.answer(made, 201)

    def list_bookings(self, asked: Asked) -> Answer:
        reference = asked.reference
        if not reference:
            return failed(400, "no_reference")
        return self.listing("bookings", self.of(reference, Kind.BOOKING), self._mood(reference))

    def cancel(self, an_id: str, asked: Asked) -> Answer:
        booking = self.find(an_id, Kind.BOOKING)
        if asked.key is None:
            return failed(400, "no_key")
        if booking is None or booking.gone:
            return failed(404, "not_found")
        if booking.alive and not self.happens(self._mood(booking.reference).clings):
            if booking.status == PENDING and self.outside.random.random() < CANCELS_LATER:
                booking.ends_as = "cancelled"
            else:
                self.change(booking, "cancelled")
        return self.answer(booking)

    def members(self, row: Row) -> dict[str, Any]:
        locator = row.locator if row.status != PENDING else None
        return {
            "booking_id": row.id, "locator": locator, "status": row.status,
            "reference": row.reference, **row.stay,
        }  # fmt: skip
