"""The payments API: charges, voids and refunds, programmed by the payment token."""

import math
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from local.simulators.ledger import Transaction
from local.simulators.provider import (
    FAILURES_BEFORE_OK,
    Answer,
    Behavior,
    Body,
    Provider,
    RefusedError,
    Request,
    Route,
    Times,
    denied,
    fails_now,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardBehavior(Behavior):
    """Behavior of a charge: deviations from the request, and the outcome of its refund.

    `undecided`: a pending charge stays pending. `foreign`: another currency is taken. `misnamed`: the answer
    carries the reference of another payment, but the listing is right.
    """

    surcharge: Decimal = Decimal(0)
    undecided: bool = False
    foreign: bool = False
    misnamed: bool = False
    refund: Behavior = field(default=Behavior(status="succeeded"))


TOKENS: Mapping[str, CardBehavior] = {
    "tok_ok": CardBehavior(status="succeeded"),
    "tok_declined": CardBehavior(status="declined"),
    "tok_pending": CardBehavior(status="pending"),
    "tok_timeout": CardBehavior(status="succeeded", silent=True),
    "tok_flaky": CardBehavior(status="succeeded", failures=FAILURES_BEFORE_OK),
    "tok_lost": CardBehavior(status="declined", failures=math.inf),
    "tok_late": CardBehavior(status="succeeded", silent=True, late=True),
    "tok_twice": CardBehavior(status="succeeded", twice=True),
    "tok_undecided": CardBehavior(status="pending", undecided=True),
    "tok_wrong_amount": CardBehavior(status="succeeded", surcharge=Decimal(1)),
    "tok_wrong_currency": CardBehavior(status="succeeded", foreign=True),
    "tok_wrong_reference": CardBehavior(status="succeeded", misnamed=True),
    "tok_refund_pending": CardBehavior(status="succeeded", refund=Behavior(status="pending")),
    "tok_refund_rejected": CardBehavior(status="succeeded", refund=Behavior(status="rejected")),
    "tok_refund_timeout": CardBehavior(
        status="succeeded", refund=Behavior(status="succeeded", silent=True)
    ),
}
_UNKNOWN_TOKEN = CardBehavior(status="declined")


def _behavior(token: str) -> CardBehavior:
    """Return the behavior of a token. A suffix after a hyphen only makes it unique."""
    return TOKENS.get(token.partition("-")[0], _UNKNOWN_TOKEN)


Amount = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,11})(\.\d{1,3})?$")]


class Charge(Body):
    reference: str = Field(min_length=1, max_length=64)
    amount: Amount
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    token: str = Field(min_length=1, max_length=255)


class Refund(Body):
    amount: Amount


class Payments(Provider):
    """Takes money that does not exist."""

    name = "payments"
    tables = ("payment", "refund")
    schema = """
    CREATE TABLE IF NOT EXISTS payment (
      payment_id TEXT PRIMARY KEY, reference TEXT NOT NULL, token TEXT NOT NULL,
      amount TEXT NOT NULL, currency TEXT NOT NULL, status TEXT NOT NULL,
      listed_at REAL NOT NULL, settles_at REAL);
    CREATE INDEX IF NOT EXISTS payment_reference ON payment (reference);
    CREATE INDEX IF NOT EXISTS payment_settles ON payment (settles_at);
    CREATE TABLE IF NOT EXISTS refund (
      refund_id TEXT PRIMARY KEY, payment_id TEXT NOT NULL, amount TEXT NOT NULL,
      status TEXT NOT NULL, settles_at REAL);
    CREATE INDEX IF NOT EXISTS refund_payment ON refund (payment_id);
    CREATE INDEX IF NOT EXISTS refund_settles ON refund (settles_at);
    """

    def __init__(self, times: Times) -> None:
        self._times = times
        self.routes = (
            Route("POST", "/payments", self.charge, keyed=True),
            Route("GET", "/payments", self.payments),
            Route("POST", "/payments/{payment_id}/void", self.void),
            Route("POST", "/payments/{payment_id}/refunds", self.refund, keyed=True),
            Route("GET", "/payments/{payment_id}/refunds", self.refunds),
        )

    def charge(self, request: Request, transaction: Transaction) -> Answer:
        body = request.parse(Charge)
        _positive(body.amount)
        behavior = _behavior(body.token)
        if failed := fails_now(behavior, request, transaction):
            return failed
        payment = _shown(self._take(body, behavior, transaction), transaction)
        if behavior.misnamed:
            payment["reference"] = str(uuid.uuid4())
        lie = denied(behavior, request, transaction)
        return lie or Answer(status=201, body=payment, silent=behavior.silent)

    def _take(
        self, charge: Charge, behavior: CardBehavior, transaction: Transaction
    ) -> dict[str, Any]:
        payment_id = f"pay_{secrets.token_hex(10)}"
        transaction.db.execute(
            "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                payment_id,
                charge.reference,
                charge.token,
                str(Decimal(charge.amount) + behavior.surcharge),
                _other_than(charge.currency) if behavior.foreign else charge.currency,
                behavior.status,
                self._times.listed_at(behavior, transaction.now),
                None if behavior.undecided else self._settles_at(behavior, transaction),
            ),
        )
        return _payment(payment_id, transaction)

    def _settles_at(self, behavior: Behavior, transaction: Transaction) -> float | None:
        pending = behavior.status == "pending"
        return transaction.now + self._times.pending if pending else None

    def payments(self, request: Request, transaction: Transaction) -> Answer:
        reference = request.query.get("reference")
        if not reference:
            raise RefusedError(400, "reference_missing", "reference is required")
        rows = transaction.db.execute(
            "SELECT * FROM payment WHERE reference = ? AND listed_at <= ? ORDER BY rowid",
            (reference, transaction.now),
        ).fetchall()
        return Answer(status=200, body={"payments": [_shown(row, transaction) for row in rows]})

    def void(self, request: Request, transaction: Transaction) -> Answer:
        payment_id = _payment(request.ids["payment_id"], transaction)["payment_id"]
        transaction.db.execute(
            "UPDATE payment SET status = 'voided', settles_at = NULL"
            " WHERE payment_id = ? AND status = 'pending'",
            (payment_id,),
        )
        return Answer(status=200, body=_shown(_payment(payment_id, transaction), transaction))

    def refund(self, request: Request, transaction: Transaction) -> Answer:
        body = request.parse(Refund)
        _positive(body.amount)
        payment = _payment(request.ids["payment_id"], transaction)
        if payment["status"] != "succeeded":
            raise RefusedError(422, "not_refundable", "only a payment that succeeded is refunded")
        left = Decimal(payment["amount"]) - _returning(payment, transaction)
        if Decimal(body.amount) > left:
            raise RefusedError(422, "refund_too_large", "more than is left of the payment")
        behavior = _behavior(payment["token"]).refund
        refund = {
            "refund_id": f"ref_{secrets.token_hex(10)}",
            "status": behavior.status,
            "amount": body.amount,
            "currency": payment["currency"],
        }
        transaction.db.execute(
            "INSERT INTO refund VALUES (?, ?, ?, ?, ?)",
            (
                refund["refund_id"],
                payment["payment_id"],
                body.amount,
                behavior.status,
                self._settles_at(behavior, transaction),
            ),
        )
        return Answer(status=201, body=refund, silent=behavior.silent)

    def refunds(self, request: Request, transaction: Transaction) -> Answer:
        payment = _payment(request.ids["payment_id"], transaction)
        rows = transaction.db.execute(
            "SELECT refund_id, status, amount FROM refund WHERE payment_id = ? ORDER BY rowid",
            (payment["payment_id"],),
        ).fetchall()
        refunds = [{**row, "currency": payment["currency"]} for row in rows]
        return Answer(status=200, body={"refunds": refunds})

    def settle(self, transaction: Transaction) -> None:
        settled = transaction.db.execute(
            "UPDATE payment SET status = 'succeeded', settles_at = NULL WHERE settles_at <= ?"
            " RETURNING reference, payment_id",
            (transaction.now,),
        ).fetchall()
        for payment in settled:
            transaction.announce("payment.succeeded", **payment)
        refunded = transaction.db.execute(
            "UPDATE refund SET status = 'succeeded', settles_at = NULL WHERE settles_at <= ?"
            " RETURNING payment_id",
            (transaction.now,),
        ).fetchall()
        for refund in refunded:
            payment = _payment(refund["payment_id"], transaction)
            transaction.announce("refund.succeeded", reference=payment["reference"], **refund)

    def ledger(self, transaction: Transaction) -> dict[str, Any]:
        charges = (
            "SELECT payment_id, reference, amount, currency, status FROM payment ORDER BY rowid"
        )
        refunds = (
            "SELECT refund_id, payment_id, amount FROM refund WHERE status = 'succeeded'"
            " ORDER BY rowid"
        )
        return {
            "charges": transaction.db.execute(charges).fetchall(),
            "refunds": transaction.db.execute(refunds).fetchall(),
        }


def _other_than(currency: str) -> str:
    return "USD" if currency != "USD" else "EUR"


def _positive(amount: str) -> None:
    if Decimal(amount) == 0:
        raise RefusedError(422, "validation_failed", "amount: must be more than zero")


def _payment(payment_id: str, transaction: Transaction) -> dict[str, Any]:
    row: dict[str, Any] | None = transaction.db.execute(
        "SELECT * FROM payment WHERE payment_id = ?", (payment_id,)
    ).fetchone()
    if row is None:
        raise RefusedError(404, "not_found", "there is no such payment")
    return row


def _refunded(payment: dict[str, Any], transaction: Transaction) -> Decimal:
    return _total_of_refunds(payment, transaction, "status = 'succeeded'")


def _returning(payment: dict[str, Any], transaction: Transaction) -> Decimal:
    """Return the sum of refunds made or pending."""
    return _total_of_refunds(payment, transaction, "status <> 'rejected'")


def _total_of_refunds(payment: dict[str, Any], transaction: Transaction, condition: str) -> Decimal:
    rows = transaction.db.execute(
        f"SELECT amount FROM refund WHERE payment_id = ? AND {condition}",  # noqa: S608 - ours
        (payment["payment_id"],),
    )
    total = sum((Decimal(row["amount"]) for row in rows), Decimal(0))
    return total.quantize(Decimal(payment["amount"]))


def _shown(payment: dict[str, Any], transaction: Transaction) -> dict[str, Any]:
    names = ("payment_id", "status", "amount", "currency", "reference")
    shown = {name: payment[name] for name in names}
    return {**shown, "refunded_amount": str(_refunded(payment, transaction))}
