"""The payments API of `docs/contratos/payments-openapi.yaml`, over HTTP."""

import re
from typing import Any, Literal
from urllib.parse import quote

from pydantic import ValidationError

from reservations.adapters.providers.provider_http import (
    Alarm,
    ProviderAnswer,
    ProviderHttp,
    ProviderId,
    Reading,
    UnusableAnswerError,
    listed,
)
from reservations.application.ports import PaymentRequest, PaymentsApi, Reply
from reservations.domain.actions import Inquire, Send, Void
from reservations.domain.errors import InvalidMoneyError
from reservations.domain.facts import Dispute, DisputeStatus, NotSent, Operation, Seen, Status
from reservations.domain.money import Money

_ZERO = re.compile(r"0(\.0{1,3})?")


class _Dispute(ProviderAnswer):
    status: Literal["open", "lost", "won"]
    amount: str


class _Payment(ProviderAnswer):
    payment_id: ProviderId
    status: Literal["succeeded", "declined", "pending", "voided"]
    amount: str
    currency: str
    reference: str
    refunded_amount: str
    dispute: Any = None

    def seen(self, request: PaymentRequest) -> tuple[Seen, Alarm | None]:
        if self.reference != str(request.reference):
            raise UnusableAnswerError(Alarm.FOREIGN_REFERENCE)
        money = Money.parse(self.amount, self.currency)
        dispute, alarm = self._disputed(money)
        seen = Seen(
            provider_id=self.payment_id,
            status=Status(self.status),
            money=money,
            refunded_minor=self._refunded_minor(),
            dispute=dispute,
        )
        return seen, alarm

    def _refunded_minor(self) -> int:
        if _ZERO.fullmatch(self.refunded_amount):
            return 0
        return Money.parse(self.refunded_amount, self.currency).minor

    def _disputed(self, money: Money) -> tuple[Dispute | None, Alarm | None]:
        """Read an unreadable dispute as an open one of the whole payment: it only stops refunds."""
        if self.dispute is None:
            return None, None
        try:
            told = _Dispute.model_validate(self.dispute)
            amount = Money.parse(told.amount, self.currency)
        except (ValidationError, InvalidMoneyError):
            return Dispute(DisputeStatus.OPEN, money), Alarm.CONTRACT
        return Dispute(DisputeStatus(told.status), amount), None


class _Payments(ProviderAnswer):
    payments: list[_Payment]


_REFUND_STATUS = {
    "succeeded": Status.SUCCEEDED,
    "pending": Status.PENDING,
    "rejected": Status.DECLINED,
}


class _Refund(ProviderAnswer):
    refund_id: ProviderId
    status: Literal["succeeded", "pending", "rejected"]
    amount: str
    currency: str

    def seen(self) -> tuple[Seen, Alarm | None]:
        money = Money.parse(self.amount, self.currency)
        status = _REFUND_STATUS[self.status]
        return Seen(provider_id=self.refund_id, status=status, money=money), None


class _Refunds(ProviderAnswer):
    refunds: list[_Refund]


class HttpPaymentsApi(PaymentsApi):
    """Charges, voids, refunds and inquiries, one HTTP request each."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    def perform(self, request: PaymentRequest) -> Reply:
        match request.action:
            case Send(operation=Operation.CHARGE):
                return self._charge(request)
            case Send(operation=Operation.REFUND):
                return self._refund(request)
            case Void():
                return self._void(request)
            case Inquire(operation=Operation.REFUND):
                return self._list_refunds(request)
            case Inquire():
                return self._list_payments(request)
        raise ValueError(f"the payments API does not {request.action.verb}")

    def _charge(self, request: PaymentRequest) -> Reply:
        if request.payment_token is None:
            alarm = Alarm.PERSONAL_DATA_GONE
            return Reply(outcome=NotSent(), http_status=None, elapsed_ms=0, alarm=alarm)
        body = {
            "reference": str(request.reference),
            "amount": request.money.amount,
            "currency": request.money.currency,
            "token": request.payment_token,
        }
        return self._http.ask(
            method="POST",
            path="/payments",
            key=request.action.key,
            body=body,
            read=lambda answer: _Payment.model_validate_json(answer).seen(request),
            not_after=request.not_after,
        )

    def _void(self, request: PaymentRequest) -> Reply:
        def read(answer: bytes) -> Reading:
            payment = _Payment.model_validate_json(answer)
            if payment.payment_id != request.action.target:
                raise UnusableAnswerError(Alarm.CONTRACT)
            return payment.seen(request)

        path = f"{_payment_path(request)}/void"
        return self._http.ask(method="POST", path=path, read=read, not_after=request.not_after)

    def _refund(self, request: PaymentRequest) -> Reply:
        body: dict[str, Any] = {"amount": request.money.amount}
        return self._http.ask(
            method="POST",
            path=f"{_payment_path(request)}/refunds",
            key=request.action.key,
            body=body,
            read=lambda answer: _Refund.model_validate_json(answer).seen(),
            not_after=request.not_after,
        )

    def _list_refunds(self, request: PaymentRequest) -> Reply:
        def read(answer: bytes) -> Reading:
            return listed(refund.seen() for refund in _Refunds.model_validate_json(answer).refunds)

        path = f"{_payment_path(request)}/refunds"
        return self._http.ask(method="GET", path=path, read=read, not_after=request.not_after)

    def _list_payments(self, request: PaymentRequest) -> Reply:
        def read(answer: bytes) -> Reading:
            payments = _Payments.model_validate_json(answer).payments
            return listed(payment.seen(request) for payment in payments)

        return self._http.ask(
            method="GET",
            path="/payments",
            query={"reference": str(request.reference)},
            read=read,
            not_after=request.not_after,
        )


def _payment_path(request: PaymentRequest) -> str:
    if request.action.target is None:
        raise ValueError(f"{request.action.verb} without a payment")
    return f"/payments/{quote(request.action.target, safe='')}"
