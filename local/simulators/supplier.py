"""The supplier's API: bookings, programmed by the beginning of the offer's id."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from local.simulators.ledger import CANCELLED, DECLINED, PENDING, SUCCEEDED, Entry
from local.simulators.provider import (
    FAILURES_BEFORE_OK,
    Answer,
    Behavior,
    Body,
    Kind,
    Provider,
    RefusedError,
    Request,
    Route,
    Times,
)
from local.simulators.rows import Amount, Currency, Identifier
from local.simulators.storage import Storage

SOLD = "HTL-"  # the prefix of what is really on sale
OFFERS: Mapping[str, Behavior] = {
    SOLD: Behavior(),
    "REJ-": Behavior(status=DECLINED),
    "PEN-": Behavior(status=PENDING, becomes=SUCCEEDED),
    "TMO-": Behavior(silent=True),
    "FLK-": Behavior(failures=FAILURES_BEFORE_OK),
    "LAT-": Behavior(silent=True, late=True),
    "TWI-": Behavior(twice=True),
    "CXL-": Behavior(becomes=CANCELLED),
    "NOC-": Behavior(cancellable=False),
}
_PRICES = {"HTL-KIT-001": ("4.35", "EUR")}  # any other offer is sold at any price
_UNKNOWN_OFFER = Behavior(status=DECLINED)
_PREFIX = 4
_WORDS = {SUCCEEDED: "confirmed", DECLINED: "rejected"}


class Price(Body):
    amount: Amount
    currency: Currency


class Booking(Body):
    reference: str = Field(min_length=1, max_length=64)
    offer_id: str = Field(min_length=1, max_length=64)
    starts_on: date
    ends_on: date
    guests: int = Field(ge=1, le=99)
    lead_guest: str = Field(min_length=1, max_length=200)
    price: Price | None = None


def _checked(day: str) -> str:
    date.fromisoformat(day)
    return day


Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_checked)]


class BookingMembers(Body):
    id: Identifier = ""
    status: Literal["confirmed", "pending", "rejected", "cancelled"] = "pending"
    locator: str = Field(default="", min_length=1, max_length=64)
    starts_on: Day | None = None
    ends_on: Day | None = None
    price: Price | None = None


class Supplier(Provider):
    """Books rooms that do not exist."""

    name = "supplier"

    def __init__(self, times: Times | None = None, storage: Storage | None = None) -> None:
        super().__init__(times, storage)
        self._bookings = self._ledger("bkg")
        self.kinds = {
            "booking": Kind(
                ledger=self._bookings,
                members=BookingMembers,
                show=_shown,
                about=lambda booking: {"booking_id": booking.provider_id},
                words=_WORDS,
            )
        }

    def book(self, request: Request) -> Answer:
        body = request.parse(Booking)
        if body.ends_on < body.starts_on:
            raise RefusedError(422, "validation_failed", "ends_on: before starts_on")
        behavior = _behavior(body.offer_id) if _is_its_price(body) else _UNKNOWN_OFFER
        # The guest's name is not kept: nothing here needs it.
        made = self.make(
            self._bookings,
            behavior,
            request,
            reference=body.reference,
            mood=body.offer_id,
            starts_on=body.starts_on.isoformat(),
            ends_on=body.ends_on.isoformat(),
        )
        if isinstance(made, Answer):
            return made
        return Answer(status=201, body=_shown(made), silent=behavior.silent)

    def bookings(self, request: Request) -> Answer:
        bookings = self._bookings.listed(self._bookings.of(request.reference()))
        return Answer(status=200, body={"bookings": [_shown(row) for row in bookings]})

    def cancel(self, request: Request) -> Answer:
        booking = self._bookings.get(request.ids["booking_id"])
        if _behavior(booking.mood).cancellable:
            booking = self._bookings.end(booking, CANCELLED)
        return Answer(status=200, body=_shown(booking))

    routes = (
        Route("POST", "/bookings", book, keyed=True),
        Route("GET", "/bookings", bookings),
        Route("POST", "/bookings/{booking_id}/cancel", cancel, keyed=True),
    )

    def books(self) -> dict[str, Any]:
        return {
            "bookings": [
                {
                    "booking_id": booking.provider_id,
                    "reference": booking.reference,
                    "offer_id": booking.mood,
                    "status": _word(booking),
                }
                for booking in self._bookings.rows.values()
                if not booking.removed
            ]
        }


def _is_its_price(body: Booking) -> bool:
    own = _PRICES.get(body.offer_id)
    return own is None or body.price is None or own == (body.price.amount, body.price.currency)


def _behavior(offer_id: str) -> Behavior:
    return OFFERS.get(offer_id[:_PREFIX], _UNKNOWN_OFFER)


def _shown(booking: Entry) -> dict[str, Any]:
    """Show a price only if it was set, and no date that was set to null."""
    terms = ("starts_on", "ends_on", "price")
    told = {name: getattr(booking, name) for name in terms if getattr(booking, name)}
    return {
        "booking_id": booking.provider_id,
        "locator": booking.locator,
        "status": _word(booking),
        "reference": booking.reference,
        **told,
    }


def _word(booking: Entry) -> str:
    return _WORDS.get(booking.status, booking.status)
