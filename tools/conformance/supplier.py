"""Promises of the supplier's API."""

from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import quote

from tools.conformance.api import Answer, Row
from tools.conformance.orders import Orders
from tools.conformance.verdicts import NotObservableError, Promise, require


class Bookings(Orders):
    provider = "supplier"
    noun = "booking"
    path = "/bookings"
    id_name = "booking_id"
    taken = "confirmed"
    options = "--offer, --amount, --currency, --starts-on, --ends-on, --guest"
    refused = "rejected"
    stays: ClassVar = {
        "confirmed": ("confirmed", "cancelled"),
        "rejected": ("rejected",),
        "cancelled": ("cancelled",),
    }
    members = ("booking_id", "status", "reference")

    def body(self, reference: str, **changes: Any) -> Row:
        given = self.inputs
        dates = {"starts_on": given.starts_on, "ends_on": given.ends_on}
        stay = {"offer_id": given.offer, "guests": 1, "lead_guest": given.guest}
        price = {"amount": given.amount, "currency": given.currency}
        return {"reference": reference, **stay, **dates, "price": price, **changes}

    @property
    def another(self) -> Row:
        return {"guests": 2}

    @property
    def refusable(self) -> Row:
        return {"offer_id": self.inputs.rejected_offer}

    @property
    def failing(self) -> Row:
        return {"offer_id": self.inputs.failing_offer}

    def unknown(self, made_up_id: str) -> Iterator[Answer]:
        yield self.cancel(made_up_id)

    def cancel(self, booking_id: str, *, key: str | None = None) -> Answer:
        path = f"{self.path}/{quote(booking_id, safe='')}/cancel"
        return self.api.ask("POST", path, key=key or self.new_key())

    def undo_one(self, row: Row) -> str | None:
        if row["status"] not in ("confirmed", "pending"):
            return None
        status = self.cancel(row["booking_id"]).row("status")["status"]
        if status not in ("cancelled", "rejected"):
            return f"still {status}"
        listed = [one["status"] for one in self.look(row["reference"]) if self.same(one, row)]
        alive = [status for status in listed if status in ("confirmed", "pending")]
        return f"answered as {status}, but listed as {alive[0]}" if alive else None


def cancel_repeated(bookings: Bookings) -> str:
    booking, key = bookings.make_taken(), bookings.new_key()
    first = bookings.cancel(booking["booking_id"], key=key).row("status", "booking_id")
    ended = bookings.wait_for(first | {"reference": booking["reference"]}, _is_final)
    if ended["status"] != "cancelled":
        raise NotObservableError(f"cancelled, it is still {ended['status']}")
    bookings.watch(ended)
    for again in (key, bookings.new_key()):
        row = bookings.cancel(booking["booking_id"], key=again).row("status", "booking_id")
        require(row["status"] == "cancelled", f"cancelled again, it is {row['status']}")
        require(bookings.same(row, booking), "the answer is about another booking")
    return "still cancelled, under the same key and another"


def _is_final(status: str) -> bool:
    return status != "pending"


def cancel_key(bookings: Bookings) -> str:
    booking = bookings.make_taken()
    path = f"/bookings/{quote(booking['booking_id'], safe='')}/cancel"
    bookings.api.ask("POST", path).refused(400)
    rows = [row for row in bookings.listed(booking["reference"]) if bookings.same(row, booking)]
    if not rows:
        raise NotObservableError("no listing shows it")
    require(rows[0]["status"] == "confirmed", "it was refused, and the booking cancelled")
    return "400, and still confirmed"


def locator_stays(bookings: Bookings) -> str:
    booking = bookings.make_taken()
    if not booking.get("locator"):
        return "none: the guest shows the booking's id"
    shown = {row.get("locator") for row in bookings.listed(booking["reference"])}
    require(shown <= {booking["locator"]}, "answer and listing have different ones")
    cancelled = bookings.cancel(booking["booking_id"]).row("status")
    after = [cancelled, *bookings.look(booking["reference"])]
    changed = {row.get("locator") for row in after} - {booking["locator"], None}
    require(not changed, "a cancellation changes it")
    return "the same in answer and listing, also once cancelled"


def as_asked(bookings: Bookings) -> str:
    booking = bookings.make()
    asked = {"starts_on": bookings.inputs.starts_on, "ends_on": bookings.inputs.ends_on}
    shown = [row for row in (booking, *bookings.listed(booking["reference"])) if asked.keys() & row]
    if not shown:
        raise NotObservableError("no answer shows dates")
    prices = [row["price"] for row in shown if row.get("price")]
    require(all(price == prices[0] for price in prices), "the price changes")
    for row in shown:
        told = {name: row[name] for name in asked if name in row}
        require(told.items() <= asked.items(), "the booking has other dates than were asked for")
    return "the dates are those asked for"


PROMISES = (
    Promise(
        "cancel_repeated",
        "A cancellation repeated changes nothing.",
        "A cancelled room comes back: paid by us, used by nobody.",
        cancel_repeated,
    ),
    Promise(
        "cancel_key",
        "400 for a cancellation without Idempotency-Key.",
        "A defect of ours could act twice.",
        cancel_key,
    ),
    Promise(
        "locator_stays",
        "A locator never changes.",
        "The hotel does not find the guest.",
        locator_stays,
    ),
    Promise(
        "as_asked",
        "Dates that are shown are those asked for; a price stays.",
        "The traveler arrives on another day.",
        as_asked,
    ),
)
