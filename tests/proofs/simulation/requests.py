"""Watch over our requests: right keys, right bodies, pauses between two attempts."""

import json
import re
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from tests.proofs.hostile.rows import GOOD, Kind, Row, hundredths
from tests.proofs.hostile.service import Service
from tests.proofs.hostile.wire import Request
from tests.proofs.simulation.heard import Heard
from tests.proofs.simulation.providers import Party, Providers
from tests.proofs.simulation.rules import ViolationError

PAUSE = timedelta(seconds=20)


class World(Protocol):
    """The parts of the world that requests are checked against."""

    providers: Providers
    answers: Heard

    @property
    def now(self) -> datetime: ...

    def party(self, reservation_id: UUID) -> Party: ...


class Requests:
    """Raises a violation at the first wrong request that reaches a provider."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._posted_at: dict[str, datetime] = {}

    def check(self, service: Service, request: Request) -> None:
        """Check a request before its provider sees it."""
        reference = request.reference(service)
        if request.method == "GET":
            return
        party = self._world.party(UUID(reference))
        match request.target.split("/")[1:]:
            case ["payments"]:
                self._check_charge(request, party)
            case ["payments", an_id, "refunds"]:
                self._check_refund(request, an_id)
            case ["payments", _, "void"]:
                _expect("key", request.key, None)
            case ["bookings"]:
                self._check_booking(request, party)
            case ["bookings", an_id, "cancel"]:
                _expect("key", request.key, f"cancel:{an_id}")
        if request.key is not None:
            self._check_pause(request.key)

    def _check_pause(self, key: str) -> None:
        last, now = self._posted_at.get(key), self._world.now
        if last is not None and now < last + PAUSE:
            raise ViolationError("calls", f"{key} sent again after {now - last}")
        self._posted_at[key] = now

    def _check_charge(self, request: Request, party: Party) -> None:
        _expect("key", request.key, f"charge:{party.reservation_id}")
        expected = {
            "reference": str(party.reservation_id), "amount": party.price.amount,
            "currency": party.price.currency, "token": f"token of {party.name}",
        }  # fmt: skip
        _expect("charge", json.loads(request.body), expected)

    def _check_refund(self, request: Request, an_id: str) -> None:
        """Check: our refunds of a payment never exceed it, and each has a key of its own."""
        if not re.fullmatch(rf"refund:{re.escape(an_id)}(:[2-9])?", request.key or ""):
            raise ViolationError("key", f"{request.key} for a refund of {an_id}")
        payments = self._world.providers.payments
        payment = payments.find(an_id, Kind.PAYMENT)
        if payment is None or payment.status not in (GOOD[Kind.PAYMENT], "voided"):
            raise ViolationError("money", f"a refund of {payment}")
        others = [row for row in payments.refunds_of(payment) if row.key not in (None, request.key)]
        ours = sum(row.minor for row in others if row.alive)
        if ours + hundredths(json.loads(request.body)["amount"]) > self._most_told(payment):
            raise ViolationError("money", f"refunds more than {payment}")

    def _most_told(self, payment: Row) -> int:
        """The highest sum that payments ever told of a payment: its truth may be new to us."""
        said = (
            told
            for an_id in (payment.id, *payment.former_ids)
            for told in self._world.answers.said(payment.reference, Kind.PAYMENT, an_id)
        )
        return max((hundredths(told["amount"]) for told in said), default=payment.minor)

    def _check_booking(self, request: Request, party: Party) -> None:
        _expect("key", request.key, f"book:{party.reservation_id}")
        asked = json.loads(request.body)
        found = (
            asked["offer_id"], asked["lead_guest"], asked["starts_on"], asked["ends_on"],
            asked["price"],
        )  # fmt: skip
        expected = (
            party.offer.offer_id, party.customer.full_name,
            party.offer.starts_on.isoformat(), party.offer.ends_on.isoformat(),
            {"amount": party.price.amount, "currency": party.price.currency},
        )  # fmt: skip
        _expect("book", found, expected)


def _expect(rule: str, found: object, expected: object) -> None:
    if found != expected:
        raise ViolationError(rule, f"{found} instead of {expected}")
