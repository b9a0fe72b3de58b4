"""The payments API: charges, voids and refunds, programmed by the payment token."""

import math
import secrets
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
    fails_now,
)

TOKENS = {
    "tok_ok": Behavior(status="succeeded"),
    "tok_declined": Behavior(status="declined"),
    "tok_pending": Behavior(status="pending"),
    "tok_timeout": Behavior(status="succeeded", silent=True),
    "tok_flaky": Behavior(status="succeeded", failures=FAILURES_BEFORE_OK),
    "tok_lost": Behavior(status="declined", failures=math.inf),
}
_UNKNOWN_TOKEN = Behavior(status="declined")

Amount = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,11})(\.\d{1,3})?$")]


class Charge(Body):
    reference: str = Field(min_length=1, max_length=64)
    amount: Amount
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    token: str = Field(min_length=1, max_length=255)


class Refund(Body):
    amount: Amount


class Payments(Provider):
    """Takes money that does not exist; `pending_seconds` is how long a pending payment stays so."""

    name = "payments"
    tables = ("payment", "refund")
    schema = """
    CREATE TABLE IF NOT EXISTS payment (
      payment_id TEXT PRIMARY KEY, reference TEXT NOT NULL, amount TEXT NOT NULL,
      currency TEXT NOT NULL, status TEXT NOT NULL, settles_at REAL);
    CREATE INDEX IF NOT EXISTS payment_reference ON payment (reference);
    CREATE INDEX IF NOT EXISTS payment_settles ON payment (settles_at);
    CREATE TABLE IF NOT EXISTS refund (
      refund_id TEXT PRIMARY KEY, payment_id TEXT NOT NULL, amount TEXT NOT NULL,
      status TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS refund_payment ON refund (payment_id);
    """

    def __init__(self, *, pending_seconds: float) -> None:
        self._pending_seconds = pending_seconds
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
        behavior = TOKENS.get(body.token, _UNKNOWN_TOKEN)
        if failed := fails_now(behavior, request, transaction):
            return failed
        payment_id = f"pay_{secrets.token_hex(10)}"
        pending = behavior.status == "pending"
        transaction.db.execute(
            "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?)",
            (
                payment_id,
                body.reference,
                body.amount,
                body.currency,
                behavior.status,
                transaction.now + self._pending_seconds if pending else None,
            ),
        )
        payment = _payment(payment_id, transaction)
        return Answer(status=201, body=_shown(payment, transaction), silent=behavior.silent)

    def payments(self, request: Request, transaction: Transaction) -> Answer:
        reference = request.query.get("reference")
        if not reference:
            raise RefusedError(400, "reference_missing", "reference is required")
        rows = transaction.db.execute(
            "SELECT * FROM payment WHERE reference = ? ORDER BY rowid", (reference,)
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
        if _refunded(payment, transaction) + Decimal(body.amount) > Decimal(payment["amount"]):
            raise RefusedError(422, "refund_too_large", "more than is left of the payment")
        refund_id = f"ref_{secrets.token_hex(10)}"
        transaction.db.execute(
            "INSERT INTO refund VALUES (?, ?, ?, 'succeeded')",
            (refund_id, payment["payment_id"], body.amount),
        )
        return Answer(status=201, body={"refund_id": refund_id, "status": "succeeded"})

    def refunds(self, request: Request, transaction: Transaction) -> Answer:
        payment = _payment(request.ids["payment_id"], transaction)
        rows = transaction.db.execute(
            "SELECT refund_id, status FROM refund WHERE payment_id = ? ORDER BY rowid",
            (payment["payment_id"],),
        ).fetchall()
        return Answer(status=200, body={"refunds": rows})

    def settle(self, transaction: Transaction) -> None:
        settled = transaction.db.execute(
            "UPDATE payment SET status = 'succeeded', settles_at = NULL WHERE settles_at <= ?"
            " RETURNING reference, payment_id",
            (transaction.now,),
        ).fetchall()
        for payment in settled:
            transaction.announce("payment.succeeded", **payment)

    def ledger(self, transaction: Transaction) -> dict[str, Any]:
        charges = (
            "SELECT payment_id, reference, amount, currency, status FROM payment ORDER BY rowid"
        )
        refunds = "SELECT refund_id, payment_id, amount FROM refund ORDER BY rowid"
        return {
            "charges": transaction.db.execute(charges).fetchall(),
            "refunds": transaction.db.execute(refunds).fetchall(),
        }


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
    rows = transaction.db.execute(
        "SELECT amount FROM refund WHERE payment_id = ? AND status = 'succeeded'",
        (payment["payment_id"],),
    )
    total = sum((Decimal(row["amount"]) for row in rows), Decimal(0))
    return total.quantize(Decimal(payment["amount"]))


def _shown(payment: dict[str, Any], transaction: Transaction) -> dict[str, Any]:
    names = ("payment_id", "status", "amount", "currency", "reference")
    shown = {name: payment[name] for name in names}
    return {**shown, "refunded_amount": str(_refunded(payment, transaction))}
