"""Promises of the supplier's API."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

from tools.conformance.api import Answer, Row
from tools.conformance.orders import Orders, has_texts
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
    terms = ("starts_on", "ends_on", "price")

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
        answer = self.api.ask("POST", path, key=key or self.new_key())
        if answer.ok and has_texts(answer.body, self.members):
            self.note(answer.body)
        return answer

    def alter(self, row: Row) -> None:
        self.cancel(row["booking_id"]).row("status")

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
    booking = bookings.make_taken()
    asked = {"starts_on": bookings.inputs.starts_on, "ends_on": bookings.inputs.ends_on}
    shown = [row for row in (booking, *bookings.listed(booking["reference"])) if asked.keys() & row]
    if not shown:
        raise NotObservableError("no answer shows dates")
    for row in shown:
        told = {name: row[name] for name in asked if row.get(name) is not None}
        require(told.items() <= asked.items(), "the booking has other dates than were asked for")
    return "the dates are those asked for"


def own_price(bookings: Bookings) -> str:
    bookings.make_taken()
    given = bookings.inputs
    unit = Decimal(1).scaleb(-len(given.amount.partition(".")[2]))
    other = {"amount": str(Decimal(given.amount) + unit), "currency": given.currency}
    row = bookings.wait_for(bookings.make(price=other), _is_final)
    said = f"at {other['amount']} {other['currency']} it is {row['status']}"
    if row["status"] == "pending":
        raise NotObservableError(said)
    require(row["status"] == "rejected", f"{said}; its price is {given.amount}")
    return said


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
        "Dates that are shown are those asked for.",
        "The traveler arrives on another day.",
        as_asked,
    ),
    Promise(
        "own_price",
        "A booking at another price than the offer's is rejected.",
        "A stale price is sold, and we pay the difference.",
        own_price,
    ),
)
