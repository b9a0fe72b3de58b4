"""The payments API of another team: payments, refunds, voids, disputes."""

import json
from typing import Any

from tests.proofs.hostile.rows import GOOD, PENDING, Kind, Row, decimal, hundredths
from tests.proofs.hostile.service import Answer, Asked, Service, failed

VOIDED_AT_ONCE = 0.75  # of the voids; the others leave the payment pending


class PaymentsService(Service):
    name = "payments"
    main = Kind.PAYMENT
    routes = (
        ("POST", r"/payments", "charge"),
        ("GET", r"/payments", "list_payments"),
        ("POST", r"/payments/([^/]+)/void", "void"),
        ("POST", r"/payments/([^/]+)/refunds", "refund"),
        ("GET", r"/payments/([^/]+)/refunds", "list_refunds"),
    )

    # --- the truth

    def refunds_of(self, payment: Row) -> list[Row]:
        return [row for row in self.rows if row.payment is payment and not row.gone]

    def refunded(self, payment: Row) -> int:
        """Hundredths that went back to the payer."""
        return sum(row.minor for row in self.refunds_of(payment) if row.good)

    def left(self, payment: Row) -> int:
        """Hundredths that may still be refunded."""
        return payment.minor - sum(row.minor for row in self.refunds_of(payment) if row.alive)

    def refund_by_hand(self, payment: Row, minor: int, *, key: str | None = None) -> Row:
        """Refund without a request of ours, as a person does on the provider's pages."""
        return self.make(Kind.REFUND, payment.reference, key=key, minor=minor,
                           currency=payment.currency, payment=payment)  # fmt: skip

    # --- HTTP

    def charge(self, asked: Asked) -> Answer:
        told = json.loads(asked.body)
        if asked.key is None or set(told) != {"reference", "amount", "currency", "token"}:
            return failed(400 if asked.key is None else 422, "invalid_request")
        reference, mood = told["reference"], self._mood(told["reference"])
        minor, currency = hundredths(told["amount"]), told["currency"]
        taken = minor, currency
        if self.happens(mood.cheats):
            others = ((minor - 100, currency), (minor + 100, currency), (minor, "USD"))
            taken = self.outside.random.choice(others)
        made = self.make(Kind.PAYMENT, reference, key=asked.key, minor=taken[0], currency=taken[1])
        if self.repeat_once(reference):
            again = self.outside.random.choice((taken[0], minor))
            self.make(Kind.PAYMENT, reference, minor=again, currency=taken[1])
        return self.answer(made, 201)

    def list_payments(self, asked: Asked) -> Answer:
        reference = asked.reference
        if not reference:
            return failed(400, "no_reference")
        return self.listing("payments", self.of(reference, Kind.PAYMENT), self._mood(reference))

    def void(self, an_id: str, asked: Asked) -> Answer:
        payment = self.find(an_id, Kind.PAYMENT)
        if payment is None or payment.gone:
            return failed(404, "not_found")
        if payment.status == PENDING and self.outside.random.random() < VOIDED_AT_ONCE:
            self.change(payment, "voided")
        return self.answer(payment)

    def refund(self, an_id: str, asked: Asked) -> Answer:
        payment = self.find(an_id, Kind.PAYMENT)
        if asked.key is None:
            return failed(400, "no_key")
        if payment is None or payment.gone:
            return failed(404, "not_found")
        minor = hundredths(json.loads(asked.body)["amount"])
        if payment.status != GOOD[Kind.PAYMENT] or not 0 < minor <= self.left(payment):
            return failed(422, "refund_too_large")
        return self.answer(self._refund(payment, minor, asked.key), 201)

    def _refund(self, payment: Row, minor: int, key: str) -> Row:
        """Refund at once, in two parts, or only a part."""
        parts = [minor]
        if minor > 1 and self.happens(self._mood(payment.reference).splits):
            first = self.outside.random.choice((minor // 2, minor - 1))
            parts = self.outside.random.choice(([first, minor - first], [first]))
        rows = [self.refund_by_hand(payment, part, key=key) for part in parts]
        return rows[0]

    def list_refunds(self, an_id: str, asked: Asked) -> Answer:
        payment = self.find(an_id, Kind.PAYMENT)
        if payment is None:
            return failed(404, "not_found")
        return self.listing("refunds", self.refunds_of(payment), self._mood(payment.reference))

    def members(self, row: Row) -> dict[str, Any]:
        money = {"amount": decimal(row.minor, row.currency), "currency": row.currency}
        if row.kind is Kind.REFUND:
            return {"refund_id": row.id, "status": row.status, **money}
        told: dict[str, Any] = {
            "payment_id": row.id, "status": row.status, **money, "reference": row.reference,
            "refunded_amount": decimal(self.refunded(row), row.currency),
        }  # fmt: skip
        if row.dispute is not None:
            status, minor = row.dispute
            told["dispute"] = {"status": status, "amount": decimal(minor, row.currency)}
        return told
