"""Moods that break promises about single answers."""

import json
import uuid
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from itertools import count

from local.simulators.moods.exchange import Act, Asked, Row, changed
from local.simulators.provider import Answer, failure


def declines_by_4xx(asked: Asked, act: Act) -> Answer:
    answer = act(asked)
    if asked.orders and answer.body.get("status") in ("declined", "rejected"):
        return failure(402, "declined", "the bank or the hotel says no")
    return answer


class Falters:
    """Answer 500 to one request of seven, after acting, as the contract allows."""

    def __init__(self) -> None:
        self._asked = count(1)

    def __call__(self, asked: Asked, act: Act) -> Answer:
        answer = act(asked)
        falters = next(self._asked) % 7 == 0
        return failure(500, "internal_error", "something broke") if falters else answer


def html_200(asked: Asked, act: Act) -> Answer:
    """Answer a page with status 200 where nothing is."""
    answer = act(asked)
    return (
        replace(answer, status=200, page="<h1>Not found</h1>") if answer.status == 404 else answer
    )


def error_in_200(asked: Asked, act: Act) -> Answer:
    """Refuse by an error inside a 200."""
    answer = act(asked)
    return replace(answer, status=200) if answer.status == 422 else answer


def over_refunds(asked: Asked, act: Act) -> Answer:
    """Refund more than is left."""
    answer = act(asked)
    if answer.body.get("error", {}).get("code") != "refund_too_large":
        return answer
    made = {"refund_id": f"ref_{uuid.uuid4().hex}", "status": "succeeded", "currency": "EUR"}
    return Answer(status=201, body=made | {"amount": asked.content()["amount"]})


def refunds_twice(asked: Asked, act: Act) -> Answer:
    """List two refunds for each one that was asked for."""
    answer = act(asked)
    rows = answer.body.get("refunds", [])
    again = [row | {"refund_id": f"{row['refund_id']}-2"} for row in rows]
    return replace(answer, body={"refunds": [*rows, *again]}) if rows else answer


def miscounts_refunds(asked: Asked, act: Act) -> Answer:
    """Show every payment as not refunded."""

    def zero(row: Row) -> Row:
        if "refunded_amount" in row:
            row["refunded_amount"] = str(Decimal(0).quantize(Decimal(row["amount"])))
        return row

    return changed(act(asked), zero)


def voids_taken(asked: Asked, act: Act) -> Answer:
    answer = act(asked)
    if asked.path.endswith("/void") and answer.body.get("status") == "succeeded":
        return replace(answer, body=answer.body | {"status": "voided"})
    return answer


def wrong_decimals(asked: Asked, act: Act) -> Answer:
    """Drop the zeros at the end of an amount: 3.00 is shown as 3."""

    def short(row: Row) -> Row:
        return row | {
            name: _short(row[name]) for name in ("amount", "refunded_amount") if name in row
        }

    return changed(act(asked), short)


def rounds_amounts(asked: Asked, act: Act) -> Answer:
    """Take a payment without the fraction of its amount: 4.00 for 4.35."""
    charge = asked.content()
    if not asked.orders or not isinstance(charge, dict) or "amount" not in charge:
        return act(asked)
    amount = Decimal(charge["amount"])
    charge["amount"] = str(amount.to_integral_value(ROUND_DOWN).quantize(amount))
    return act(replace(asked, body=json.dumps(charge).encode()))


def _short(amount: str) -> str:
    return amount.rstrip("0").rstrip(".") or "0" if "." in amount else amount


class Revives:
    """A cancellation repeated under another key brings the booking back."""

    def __init__(self) -> None:
        self._cancelled: dict[str, str] = {}

    def __call__(self, asked: Asked, act: Act) -> Answer:
        answer = act(asked)
        if asked.path.endswith("/cancel") and answer.body.get("status") == "cancelled":
            first = self._cancelled.setdefault(answer.body["booking_id"], asked.key)
            if first != asked.key:
                return replace(answer, body=answer.body | {"status": "confirmed"})
        return answer


class CancelsInWords:
    """Answer that a booking is cancelled, and keep it confirmed."""

    def __init__(self) -> None:
        self._booked: dict[str, Row] = {}

    def __call__(self, asked: Asked, act: Act) -> Answer:
        booking = self._booked.get(asked.path.removesuffix("/cancel").rpartition("/")[2])
        if asked.path.endswith("/cancel") and asked.key and booking:
            return Answer(status=200, body=booking | {"status": "cancelled"})
        answer = act(asked)
        if asked.orders and answer.status == 201:
            self._booked[answer.body["booking_id"]] = answer.body
        return answer


def other_dates(asked: Asked, act: Act) -> Answer:
    """Show a booking of other dates than were asked for."""
    shifted = {"starts_on": "2001-01-01", "ends_on": "2001-01-02"}
    return changed(act(asked), lambda row: row | shifted if "booking_id" in row else row)


def changes_prices(asked: Asked, act: Act) -> Answer:
    """Show a price, and another one once the booking is cancelled."""

    def priced(row: Row) -> Row:
        amount = "0.00" if row["status"] == "cancelled" else "4.35"
        return row | {"price": {"amount": amount, "currency": "EUR"}}

    return changed(act(asked), lambda row: priced(row) if "booking_id" in row else row)


def confirms_any_price(asked: Asked, act: Act) -> Answer:
    body = asked.content()
    if not asked.orders or not isinstance(body, dict) or "price" not in body:
        return act(asked)
    return act(replace(asked, body=json.dumps(body | {"price": None}).encode()))


def misnames_rows(asked: Asked, act: Act) -> Answer:
    """Answer an order with a foreign reference. The listing is right."""
    answer = act(asked)
    if asked.orders and answer.status == 201:
        return replace(answer, body=answer.body | {"reference": "somebody-else"})
    return answer


def nets_amounts(asked: Asked, act: Act) -> Answer:
    """Show the amount of a payment without its refunded part."""

    def net(row: Row) -> Row:
        if "refunded_amount" in row:
            row["amount"] = str(Decimal(row["amount"]) - Decimal(row["refunded_amount"]))
        return row

    return changed(act(asked), net)


class SellsOut:
    """Refuse every order after the first."""

    def __init__(self) -> None:
        self._first = ""

    def __call__(self, asked: Asked, act: Act) -> Answer:
        body = asked.content()
        if not asked.orders or not asked.key or not isinstance(body, dict):
            return act(asked)
        self._first = self._first or asked.key
        if asked.key == self._first:
            return act(asked)
        refused = {"token": "tok_declined", "offer_id": "REJ-SOLD-OUT"}
        swapped = {name: refused.get(name, value) for name, value in body.items()}
        return act(replace(asked, body=json.dumps(swapped).encode()))
