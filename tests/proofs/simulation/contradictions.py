"""The contradictions between what a reservation stands on and what its providers say.

Written from the contracts and the table of the decision record, without the domain's own list.
"""

from collections.abc import Iterator
from typing import NamedTuple

from reservations.domain.reservation import Reservation
from tests.proofs.hostile.rows import Kind, hundredths
from tests.proofs.simulation.heard import ID, Heard, Members

MONEY = {
    "payment_absent", "payment_changed", "foreign_refund", "refund_failed", "dispute", "other_sum",
}  # fmt: skip
SERVICE = {"booking_absent", "booking_changed", "booking_alive"}


class Contradiction(NamedTuple):
    kind: str
    subject: str
    seen: str


def found(
    new: Reservation, heard: Heard, rows: dict[Kind, list[Members]]
) -> Iterator[Contradiction]:
    """Compare `rows`, which a provider lists, with the reservation. A missing kind was not listed."""
    if new.facts.reason is None:
        yield from _of_the_kept_booking(new, heard, rows.get(Kind.BOOKING))
        yield from _of_the_kept_payment(new, heard, rows.get(Kind.PAYMENT))
    else:
        yield from _of_cancelled_bookings(new, heard, rows.get(Kind.BOOKING, []))
    yield from _of_disputes(rows.get(Kind.PAYMENT, []))
    yield from _of_our_refunds(new, heard, rows)


def _listed(rows: list[Members], kind: Kind, an_id: str) -> tuple[Members | None, str]:
    """The row with this id, if need be in another case; and that other id, or `absent`."""
    same = [row for row in rows if row[ID[kind]].lower() == an_id.lower()]
    row = next((row for row in same if row[ID[kind]] == an_id), None)
    if row is not None:
        return row, ""
    return (same[0], same[0][ID[kind]]) if same else (None, "absent")


def _of_the_kept_booking(
    new: Reservation, heard: Heard, rows: list[Members] | None
) -> Iterator[Contradiction]:
    kept = new.standing.kept_booking
    if kept is None or kept.provider_id is None or rows is None:
        return
    subject = kept.provider_id
    if not heard.said(new.reservation_id, Kind.BOOKING, subject):
        return  # a person attested it, and its provider has not spoken of it yet
    row, instead = _listed(rows, Kind.BOOKING, subject)
    if row is None:
        yield Contradiction("booking_absent", subject, instead)
    elif row["status"] != "cancelled" or instead:
        lower = "" if row["status"] in ("confirmed", "cancelled") else row["status"]
        said = heard.said(new.reservation_id, Kind.BOOKING, subject)
        parts = (lower or instead, _other_dates(new, row), _other_price(said, row))
        if any(parts):  # each part that changes is news, whatever was answered before
            yield Contradiction("booking_changed", subject, ", ".join(filter(None, parts)))


def _other_dates(new: Reservation, row: Members) -> str:
    """Other dates than the traveler's."""
    asked = (new.offer.starts_on.isoformat(), new.offer.ends_on.isoformat())
    told = (row.get("starts_on", asked[0]), row.get("ends_on", asked[1]))
    return "" if told == asked else f"other dates {told[0]}/{told[1]}"


def _other_price(said: list[Members], row: Members) -> str:
    """Another price than was told at first, if only for a pending booking."""
    price: Members = row.get("price") or {}
    first = next((told["price"] for told in said if "price" in told), price)
    return f"{price['amount']} {price['currency']}" if price not in ({}, first) else ""


def _of_the_kept_payment(
    new: Reservation, heard: Heard, rows: list[Members] | None
) -> Iterator[Contradiction]:
    kept = new.standing.kept_charge
    if kept is None or kept.provider_id is None or rows is None:
        return
    subject = kept.provider_id
    row, instead = _listed(rows, Kind.PAYMENT, subject)
    if row is None:
        yield Contradiction("payment_absent", subject, instead)
    elif row["status"] != "succeeded":
        kind = "payment_absent" if row["status"] == "voided" else "payment_changed"
        yield Contradiction(kind, subject, row["status"])
    else:
        if instead:
            yield Contradiction("payment_changed", subject, instead)
        yield from _of_its_money(new, heard, subject, row)


def _of_its_money(
    new: Reservation, heard: Heard, subject: str, row: Members
) -> Iterator[Contradiction]:
    seen = f"{row['amount']} {row['currency']}"
    said = heard.said(new.reservation_id, Kind.PAYMENT, subject)
    firsts = [told for told in said if told["status"] == "succeeded"]
    if firsts and f"{firsts[0]['amount']} {firsts[0]['currency']}" != seen:
        yield Contradiction("other_sum", subject, seen)
    if hundredths(row["refunded_amount"]) > 0:
        yield Contradiction("foreign_refund", subject, row["refunded_amount"])


def _of_cancelled_bookings(
    new: Reservation, heard: Heard, rows: list[Members]
) -> Iterator[Contradiction]:
    for row in rows:
        before = heard.statuses(new.reservation_id, Kind.BOOKING, row["booking_id"])
        if row["status"] in ("confirmed", "pending") and "cancelled" in before:
            yield Contradiction("booking_alive", row["booking_id"], row["status"])


def _of_disputes(rows: list[Members]) -> Iterator[Contradiction]:
    for row in rows:
        status = (row.get("dispute") or {}).get("status")
        if status in ("open", "lost"):
            yield Contradiction("dispute", row["payment_id"], status)


def lost(row: Members) -> int:
    """Hundredths that a lost dispute returned to the payer."""
    dispute = row.get("dispute") or {}
    return hundredths(dispute["amount"]) if dispute.get("status") == "lost" else 0


def _of_our_refunds(
    new: Reservation, heard: Heard, rows: dict[Kind, list[Members]]
) -> Iterator[Contradiction]:
    """Refunds of ours that succeeded once and are taken back, while money is left to refund."""
    left = {
        row["payment_id"]
        for row in rows.get(Kind.PAYMENT, [])
        if hundredths(row["refunded_amount"]) + lost(row) < hundredths(row["amount"])
    }
    listed = {row["refund_id"]: row for row in rows.get(Kind.REFUND, [])}
    for refund in new.standing.refunds:
        said = heard.said(new.reservation_id, Kind.REFUND, refund.provider_id)
        once = any(row["status"] == "succeeded" for row in said)
        now = listed.get(refund.provider_id or "", {}).get("status", "absent")
        taken_back = once and now in ("rejected", "absent")
        # A later one replaces it, of what was left then. If it is taken back too, it is the one to tell.
        replaced = any(
            row["status"] == "succeeded"
            for later in new.standing.refunds
            if later.target == refund.target and later.started_at > refund.started_at
            for row in heard.said(new.reservation_id, Kind.REFUND, later.provider_id)
        )
        if Kind.REFUND in rows and taken_back and refund.target in left and not replaced:
            yield Contradiction("refund_failed", str(refund.provider_id), now)
