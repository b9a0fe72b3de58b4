"""Providers that change their word, on the running stack: heard, told, and nothing undone by itself."""

from collections.abc import Callable

import httpx
import pytest

from tests.e2e.backstage import Backstage
from tests.e2e.operators import Operator
from tests.e2e.travel import Json, Trip, a_request, cancel, depart, eventually

pytestmark = pytest.mark.timeout(400)

CASES = ("gone", "gone for good", "refunded", "bounced", "voided", "respelt", "disputed")


@pytest.fixture(scope="module")
def operator(steady_stack: Json) -> Operator:
    return Operator(steady_stack)


@pytest.fixture(scope="module")
def trips(api: httpx.Client, backstage: Backstage) -> dict[str, Trip]:
    """All trips start at the same time, and all providers change their word at the same time."""
    trips = {name: depart(api, a_request()) for name in CASES}
    for trip in trips.values():
        trip.ended("CONFIRMADA")
    cancel(trips["bounced"])
    _cancelled(trips["bounced"])
    for name, trip in trips.items():
        CHANGES[name](backstage, trip)
    return trips


def _gone(backstage: Backstage, trip: Trip) -> None:
    [booking] = backstage.live_bookings(trip)
    backstage.set_row("supplier", "booking", booking["booking_id"], remove=True)


def _refunded(backstage: Backstage, trip: Trip) -> None:
    [charge] = backstage.charges(trip)
    by_hand = {"payment_id": charge["payment_id"], "status": "succeeded"}
    backstage.set_row("payments", "refund", f"ref_by_hand_{trip.code}", set=by_hand)


def _bounced(backstage: Backstage, trip: Trip) -> None:
    [refund] = backstage.calls(trip, "refund")
    backstage.set_row("payments", "refund", refund["provider_id"], set={"status": "rejected"})


def _voided(backstage: Backstage, trip: Trip) -> None:
    [charge] = backstage.charges(trip)
    backstage.set_row("payments", "payment", charge["payment_id"], set={"status": "voided"})


def _respelt(backstage: Backstage, trip: Trip) -> None:
    [charge], [booking] = backstage.charges(trip), backstage.live_bookings(trip)
    paid, booked = charge["payment_id"], booking["booking_id"]
    backstage.set_row("payments", "payment", paid, set={"id": paid.upper()})
    backstage.set_row("supplier", "booking", booked, set={"id": booked.upper()})


def _disputed(backstage: Backstage, trip: Trip) -> None:
    [charge] = backstage.charges(trip)
    dispute = {"status": "open", "amount": charge["amount"]}
    backstage.set_row("payments", "payment", charge["payment_id"], set={"dispute": dispute})


CHANGES: dict[str, Callable[[Backstage, Trip], None]] = {
    "gone": _gone,
    "gone for good": _gone,
    "refunded": _refunded,
    "bounced": _bounced,
    "voided": _voided,
    "respelt": _respelt,
    "disputed": _disputed,
}


@pytest.mark.parametrize(
    ("name", "status", "reviews", "support"),
    [
        ("gone", "CONFIRMADA", {"booking_absent"}, True),
        ("refunded", "CONFIRMADA", {"foreign_refund"}, True),
        ("voided", "CONFIRMADA", {"payment_absent"}, True),
        ("respelt", "CONFIRMADA", {"booking_changed", "payment_changed"}, True),
        ("disputed", "CONFIRMADA", {"dispute"}, False),
    ],
)
def test_a_contradiction_calls_a_person_and_undoes_nothing(
    trips: dict[str, Trip],
    backstage: Backstage,
    operator: Operator,
    name: str,
    status: str,
    reviews: set[str],
    support: bool,
) -> None:
    trip = trips[name]

    shown = eventually(
        lambda: page if _reviews(page := operator.page("show", trip.code)) >= reviews else None,
        of=f"the reviews {reviews} of {trip.code}",
    )

    reading = trip.read()
    assert _reviews(shown) == reviews
    assert (reading["status"], reading["requires_support"]) == (status, support)
    lines = {
        line["event"] for line in operator.page("timeline", trip.code)[f"timeline of {trip.code}"]
    }
    assert {f"contradiction.{review}" for review in reviews} <= lines
    assert not backstage.calls(trip, "refund")
    assert not backstage.calls(trip, "cancel_booking")
    assert backstage.logs(containing="contradiction opened")


def test_a_refund_that_fails_later_is_sent_once_more(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["bounced"]

    refunds = eventually(
        lambda: rows if len(rows := backstage.calls(trip, "refund")) == 2 else None,
        of=f"the second refund of {trip.code}",
    )

    assert sorted(row["call_key"].endswith(":2") for row in refunds) == [False, True]
    eventually(lambda: trip.read()["refund"]["status"] == "done", of="the refund")
    assert backstage.money_kept(trip) == 0
    eventually(lambda: "refund_failed" in backstage.mails_sent(trip), of="the mail")


def test_a_decision_ends_it(trips: dict[str, Trip], operator: Operator) -> None:
    trip = trips["gone for good"]
    eventually(lambda: _reviews(operator.page("show", trip.code)), of=f"the review of {trip.code}")

    operator.page("review", "resolve", trip.code, "--reason", "gone", "--evidence", "CALL-77")

    assert _cancelled(trip)["refund"]["status"] == "done"


def test_no_invariant_is_broken(trips: dict[str, Trip], operator: Operator) -> None:
    assert operator.ops("invariants", "--json").status == 0


def _cancelled(trip: Trip) -> Json:
    return eventually(
        lambda: reading if (reading := trip.read())["status"] == "CANCELADA" else None,
        of=f"the cancellation of {trip.code}",
    )


def _reviews(page: Json) -> set[str]:
    return set(filter(None, str(page["reservation"]["review"] or "").split(", ")))
