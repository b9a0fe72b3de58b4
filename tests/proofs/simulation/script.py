"""Schedules of `tests/proofs/hostile/schedules`: their events, applied to the rows of a provider.

A reservation is charged, booked and confirmed at once. `ours` is then the first row that we asked
for, `our_refund` our first refund. Each event has its time `at`, and is one of these:

    {provider: payments, row: ours, set: {status: voided}}    the members of the contract
    {provider: supplier, row: ours, remove: true}             `set` with a status brings it back
    {provider: payments, set: {make: refund, id: re_1, amount: '50.00', status: succeeded}}
    {provider: supplier, answers: html_200, until: 7d}        ways of answering, see `stage`
    {traveler: cancel}, {person: rebooked bk_2}               a decision and its evidence, or `ours`

`webhook: false` leaves its webhook out, `webhook: 72h` delays it. An event within the first second
is the first answer. `must` is judged at its time `by`, or at the end: ten days after the trip and
the last event. A schedule that is `unsure` is judged by its `never` alone.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.proofs.hostile.payments import PaymentsService
from tests.proofs.hostile.rows import Kind, Row, hundredths
from tests.proofs.hostile.service import Service
from tests.proofs.hostile.supplier import SupplierService

FOLDER = Path(__file__).parents[1] / "hostile" / "schedules"
FIRST = timedelta(seconds=1)  # an event so early is the first answer of its provider
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(frozen=True, slots=True)
class Script:
    """One schedule, as written."""

    name: str
    price: str
    starts_in_days: int
    events: list[dict[str, Any]]
    never: list[str]
    must: list[dict[str, Any]]
    unsure: str | None


def scripts() -> list[Script]:
    """Every schedule of the folder. Its name begins with its file's."""
    return [
        Script(
            name=f"{file.stem}: {each['name']}",
            price=each["price"],
            starts_in_days=each["starts_in_days"],
            events=each["events"],
            never=each["never"],
            must=each["must"],
            unsure=each.get("unsure"),
        )
        for file in sorted(FOLDER.glob("*.yaml"))
        for each in yaml.safe_load(file.read_text(encoding="utf-8"))
    ]


def span(text: str) -> timedelta:
    """Read `3d2h`.

    Raises:
        ValueError: it is no span.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(text)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


class Rows:
    """The rows of both providers by the names that events use."""

    def __init__(self, payments: PaymentsService, supplier: SupplierService, ref: str) -> None:
        self._payments = payments
        self._supplier = supplier
        self._reference = ref
        self._made: dict[str, Row] = {}

    def service(self, provider: str) -> Service:
        return self._payments if provider == "payments" else self._supplier

    def apply(self, event: dict[str, Any]) -> list[Row]:
        """Change the rows of an event, and return them."""
        members = dict(event.get("set") or {})
        if "make" in members:
            return [self._make(members)]
        rows = self._named(event["provider"], event["row"])
        for row in rows:
            if event.get("remove"):
                row.gone = True
            if members:
                self._set(row, members)
        return rows

    @property
    def our_booking(self) -> str:
        """The id of the booking that we asked for."""
        return self._named("supplier", "ours")[0].id

    def _named(self, provider: str, name: str) -> list[Row]:
        if name == "all":
            return [row for row in self.service(provider).rows if row.payment is None]
        if name in self._made:
            return [self._made[name]]
        kind = Kind.BOOKING if provider == "supplier" else Kind.PAYMENT
        if name == "ours":
            return [r for r in self.service(provider).of(self._reference, kind) if r.key][:1]
        ours = [r for r in self._payments.of(self._reference, Kind.REFUND) if r.key]
        which = 1 if name == "our_refund_2" else 0
        return ours[which : which + 1]

    def _make(self, members: dict[str, Any]) -> Row:
        make, name, of = members.pop("make"), members.pop("id"), members.pop("of", "ours")
        if make == "booking":
            first = self._supplier.of(self._reference, Kind.BOOKING)[0]
            row = self._supplier.make_booking(self._reference, first.asked, key=None)
        elif make == "refund":
            payment = self._named("payments", of)[0]
            row = self._payments.refund_by_hand(payment, 0)
        else:
            row = self._payments.make(Kind.PAYMENT, self._reference, currency="EUR")
        row.id = name
        self._made[name] = row
        self._set(row, members)
        return row

    def _set(self, row: Row, members: dict[str, Any]) -> None:
        for name, value in members.items():
            match name:
                case "status":
                    row.status, row.ends_as, row.gone = value, None, False
                case "amount":
                    row.minor = hundredths(value)
                    row.says["amount"] = value
                case "currency":
                    row.currency = value
                case "id":
                    row.former_ids.append(row.id)
                    row.id = _other_id(row.id, value)
                case "dispute":
                    row.dispute = value and (value["status"], hundredths(value["amount"]))
                case "starts_on" | "ends_on":
                    row.stay = {
                        **row.stay,
                        name: _other_day(row.stay.get(name, row.asked[name]), value),
                    }
                case "price":
                    amount, _, currency = value.partition(" ")
                    row.stay = {**row.stay, "price": {"amount": amount, "currency": currency}}
                case _:
                    row.says[name] = value


def _other_id(an_id: str, way: str) -> str:
    ways = {"UPPER": an_id.upper(), "LOWER": an_id.lower(), "SUFFIX": f"{an_id}_2"}
    return ways.get(way, way)


def _other_day(day: str, value: str) -> str:
    """`+7d` counts from the day it was."""
    if value[0] not in "+-":
        return value
    days = span(value[1:]).days * (1 if value[0] == "+" else -1)
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
