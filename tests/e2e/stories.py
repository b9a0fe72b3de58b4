"""The way of a trip that meets a failure, and both providers' books at its end."""

import contextlib
from collections.abc import Callable
from decimal import Decimal

import httpx

from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json, Trip, eventually
from tests.worlds.books import PRICE, Books

ARRIVED = "arrived"
_PROGRESS = ("started", "unknown", "not_found", "pending", "succeeded")  # of a ledger row


def assert_books(backstage: Backstage, trip: Trip, expected: Books) -> None:
    """Wait for the books to be these; what turns up late is put right some time after the end."""
    with contextlib.suppress(AssertionError):  # the comparison below says more
        eventually(lambda: backstage.books(trip) == expected, of="books that add up")
    assert backstage.books(trip) == expected


def wait_for(backstage: Backstage, trip: Trip, operation: str, status: str) -> None:
    """Wait until a call, or the first mail, has come to that status or a later one."""
    if operation == "reservation":  # it was accepted, or there would be no trip
        return
    if status == ARRIVED:
        ledger = backstage.charges if operation == "charge" else backstage.bookings
        eventually(lambda: ledger(trip), of=f"a {operation} of {trip.code} at its provider")
        return
    if operation == "mail":
        eventually(lambda: backstage.mails_sent(trip), of=f"a mail about {trip.code}")
        return
    earlier = _PROGRESS[: _PROGRESS.index(status)]
    eventually(
        lambda: any(row["status"] not in earlier for row in backstage.calls(trip, operation)),
        of=f"a {operation} of {trip.code}",
    )


def reads(trip: Trip, word: str) -> Json:
    """Wait until a trip rests under that word."""

    def look() -> Json | None:
        answer = trip.get()
        reading: Json = answer.json()
        return reading if reading["status"] == word and at_rest(answer) else None

    return eventually(look, of=f"{trip.code} resting as {word}")


def at_rest(answer: httpx.Response) -> bool:
    return "Retry-After" not in answer.headers


def seen_when(trip: Trip, sees: Callable[[Json], bool], *, of: str) -> Json:
    return eventually(
        lambda: reading if sees(reading := trip.read()) else None, of=f"{trip.code} with {of}"
    )


def types(trip: Trip) -> list[str]:
    return [event["type"] for event in trip.events()]


def assert_order(trip: Trip, *expected: str) -> None:
    """Assert that these happened, in this order by their first times, whatever happened between."""
    happened = types(trip)
    assert sorted(set(happened) & set(expected), key=happened.index) == list(expected), happened


def given_back(amount: Decimal = PRICE, status: str = "done") -> Json:
    return {"status": status, "amount": str(amount), "currency": "EUR"}
