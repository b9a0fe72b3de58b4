"""The payments API of `docs/contratos/payments-openapi.yaml`, over HTTP."""

from typing import Any, Literal
from urllib.parse import quote

from reservations.adapters.providers.provider_http import (
    Alarm,
    ProviderAnswer,
    ProviderHttp,
    ProviderId,
    UnusableAnswerError,
)
from reservations.application.ports import PaymentRequest, PaymentsApi, Reply
from reservations.domain.actions import Inquire, Send, Void
from reservations.domain.facts import Listing, NotSent, Operation, Seen, Status
from reservations.domain.money import Money


class _Payment(ProviderAnswer):
    payment_id: ProviderId
    status: Literal["succeeded", "declined", "pending", "voided"]
    amount: str
    currency: str
    reference: str

    def seen(self, request: PaymentRequest) -> Seen:
        if self.reference != str(request.reference):
            raise UnusableAnswerError(Alarm.FOREIGN_REFERENCE)
        money = Money.parse(self.amount, self.currency)
        return Seen(provider_id=self.payment_id, status=Status(self.status), money=money)


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

    def seen(self) -> Seen:
        money = Money.parse(self.amount, self.currency)
        return Seen(provider_id=self.refund_id, status=_REFUND_STATUS[self.status], money=money)


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
        def read(answer: bytes) -> Seen:
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
        def read(answer: bytes) -> Listing:
            return Listing.of(
                refund.seen() for refund in _Refunds.model_validate_json(answer).refunds
            )

        path = f"{_payment_path(request)}/refunds"
        return self._http.ask(method="GET", path=path, read=read, not_after=request.not_after)

    def _list_payments(self, request: PaymentRequest) -> Reply:
        def read(answer: bytes) -> Listing:
            payments = _Payments.model_validate_json(answer).payments
            return Listing.of(payment.seen(request) for payment in payments)

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
