"""The payments API: charges, voids and refunds, programmed by the payment token."""

import math
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from local.simulators.ledger import DECLINED, PENDING, SUCCEEDED, VOIDED, Entry
from local.simulators.provider import (
    FAILURES_BEFORE_OK,
    Answer,
    Behavior,
    Body,
    Kind,
    Provider,
    RefusedError,
    Request,
    Route,
    Times,
)
from local.simulators.rows import Amount, Currency, Identifier
from local.simulators.storage import Storage

_PENDING = Behavior(status=PENDING, becomes=SUCCEEDED)

TOKENS: Mapping[str, Behavior] = {
    "tok_ok": Behavior(),
    "tok_declined": Behavior(status=DECLINED),
    "tok_pending": _PENDING,
    "tok_timeout": Behavior(silent=True),
    "tok_flaky": Behavior(failures=FAILURES_BEFORE_OK),
    "tok_lost": Behavior(failures=math.inf),
    "tok_late": Behavior(silent=True, late=True),
    "tok_twice": Behavior(twice=True),
    "tok_undecided": Behavior(status=PENDING),
    "tok_wrong_amount": Behavior(surcharge=Decimal(1)),
    "tok_wrong_currency": Behavior(foreign=True),
    "tok_wrong_reference": Behavior(misnamed=True),
    "tok_refund_pending": Behavior(refund=_PENDING),
    "tok_refund_rejected": Behavior(refund=Behavior(status=DECLINED)),
    "tok_refund_timeout": Behavior(refund=Behavior(silent=True)),
    "tok_refund_late_failure": Behavior(refund=Behavior(becomes=DECLINED)),
}
_UNKNOWN_TOKEN = Behavior(status=DECLINED)
_REFUND_WORDS = {DECLINED: "rejected"}


def _behavior(token: str) -> Behavior:
    """Return the behavior of a token. A suffix after a hyphen only makes it unique."""
    return TOKENS.get(token.partition("-")[0], _UNKNOWN_TOKEN)


class Charge(Body):
    reference: str = Field(min_length=1, max_length=64)
    amount: Amount
    currency: Currency
    token: str = Field(min_length=1, max_length=255)


class Refund(Body):
    amount: Amount


class Dispute(Body):
    status: Literal["open", "lost", "won"]
    amount: Amount


class PaymentMembers(Body):
    id: Identifier = ""
    status: Literal["succeeded", "declined", "pending", "voided"] = "pending"
    amount: Amount = ""
    currency: Currency = ""
    refunded_amount: Amount | None = None
    dispute: Dispute | None = None


class RefundMembers(Body):
    id: Identifier = ""
    status: Literal["succeeded", "pending", "rejected"] = "pending"
    amount: Amount = ""
    currency: Currency = ""
    payment_id: Identifier = ""


class Payments(Provider):
    """Takes money that does not exist."""

    name = "payments"

    def __init__(self, times: Times | None = None, storage: Storage | None = None) -> None:
        super().__init__(times, storage)
        self._payments = self._ledger("pay")
        self._refunds = self._ledger("ref")
        self.kinds = {
            "payment": Kind(
                ledger=self._payments,
                members=PaymentMembers,
                show=self._shown,
                about=lambda payment: {"payment_id": payment.provider_id},
            ),
            "refund": Kind(
                ledger=self._refunds,
                members=RefundMembers,
                show=_shown_refund,
                about=lambda refund: {"payment_id": refund.target or ""},
                words=_REFUND_WORDS,
                make=self._refund_by_hand,
            ),
        }

    def charge(self, request: Request) -> Answer:
        body = request.parse(Charge)
        _positive(body.amount)
        behavior = _behavior(body.token)
        made = self.make(
            self._payments,
            behavior,
            request,
            reference=body.reference,
            amount=str(Decimal(body.amount) + behavior.surcharge),
            currency=_other_than(body.currency) if behavior.foreign else body.currency,
            mood=body.token,
        )
        if isinstance(made, Answer):
            return made
        payment = self._shown(made)
        if behavior.misnamed:
            payment["reference"] = str(uuid.uuid4())
        return Answer(status=201, body=payment, silent=behavior.silent)

    def payments(self, request: Request) -> Answer:
        payments = self._payments.listed(self._payments.of(request.reference()))
        return Answer(status=200, body={"payments": [self._shown(row) for row in payments]})

    def void(self, request: Request) -> Answer:
        payment = self._payments.end(self._payment(request), VOIDED, among=(PENDING,))
        return Answer(status=200, body=self._shown(payment))

    def refund(self, request: Request) -> Answer:
        body = request.parse(Refund)
        _positive(body.amount)
        payment = self._payment(request)
        if payment.status != SUCCEEDED:
            raise RefusedError(422, "not_refundable", "only a payment that succeeded is refunded")
        if Decimal(body.amount) > self._left(payment):
            raise RefusedError(422, "refund_too_large", "more than is left of the payment")
        behavior = _behavior(payment.mood).refund or Behavior()
        refund = self._refunds.make(
            behavior.fate(self._times),
            key=request.key,
            reference=payment.reference,
            target=payment.provider_id,
            amount=body.amount,
            currency=payment.currency,
        )
        return Answer(status=201, body=_shown_refund(refund), silent=behavior.silent)

    def refunds(self, request: Request) -> Answer:
        refunds = self._refunds_of(self._payment(request))
        return Answer(status=200, body={"refunds": [_shown_refund(row) for row in refunds]})

    routes = (
        Route("POST", "/payments", charge, keyed=True),
        Route("GET", "/payments", payments),
        Route("POST", "/payments/{payment_id}/void", void),
        Route("POST", "/payments/{payment_id}/refunds", refund, keyed=True),
        Route("GET", "/payments/{payment_id}/refunds", refunds),
    )

    def books(self) -> dict[str, Any]:
        return {
            "charges": [
                {
                    "payment_id": charge.provider_id,
                    "reference": charge.reference,
                    "amount": charge.amount,
                    "currency": charge.currency,
                    "status": charge.status,
                }
                for charge in self._payments.rows.values()
                if not charge.removed
            ],
            "refunds": [
                {"refund_id": made.provider_id, "payment_id": made.target, "amount": made.amount}
                for made in self._refunds.rows.values()
                if made.status == SUCCEEDED and not made.removed
            ],
        }

    def _payment(self, request: Request) -> Entry:
        return self._payments.get(request.ids["payment_id"])

    def _refund_by_hand(self, refund_id: str, members: Mapping[str, Any]) -> Entry:
        """Make a refund that nobody requested: of the whole payment, unless its amount is set."""
        if "payment_id" not in members:
            raise RefusedError(422, "validation_failed", "payment_id: a new refund needs it")
        payment = self._payments.get(members["payment_id"])
        now = self.storage.clock()
        return Entry(
            provider_id=refund_id,
            reference=payment.reference,
            key=None,
            status=SUCCEEDED,
            listed_at=now,
            becomes=None,
            changes_at=now,
            target=payment.provider_id,
            amount=payment.amount,
            currency=payment.currency,
        )

    def _refunds_of(self, payment: Entry) -> list[Entry]:
        return self._refunds.listed(self._refunds.of_payment(payment.provider_id))

    def _refunded(self, payment: Entry, *statuses: str) -> Decimal:
        refunds = self._refunds_of(payment)
        total = sum((Decimal(r.amount) for r in refunds if r.status in statuses), Decimal(0))
        return total.quantize(Decimal(payment.amount))

    def _left(self, payment: Entry) -> Decimal:
        refunded = self._refunded(payment, SUCCEEDED, PENDING)
        return Decimal(payment.amount) - max(refunded, Decimal(payment.refunded_amount or 0))

    def _shown(self, payment: Entry) -> dict[str, Any]:
        refunded = payment.refunded_amount or str(self._refunded(payment, SUCCEEDED))
        shown = {
            "payment_id": payment.provider_id,
            "status": payment.status,
            "amount": payment.amount,
            "currency": payment.currency,
            "reference": payment.reference,
            "refunded_amount": refunded,
        }
        return shown | ({"dispute": payment.dispute} if payment.dispute else {})


def _shown_refund(refund: Entry) -> dict[str, Any]:
    return {
        "refund_id": refund.provider_id,
        "status": _REFUND_WORDS.get(refund.status, refund.status),
        "amount": refund.amount,
        "currency": refund.currency,
    }


def _other_than(currency: str) -> str:
    return "USD" if currency != "USD" else "EUR"


def _positive(amount: str) -> None:
    if Decimal(amount) == 0:
        raise RefusedError(422, "validation_failed", "amount: must be more than zero")
