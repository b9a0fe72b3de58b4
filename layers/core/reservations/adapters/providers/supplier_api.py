"""The supplier's API of `docs/contratos/supplier-openapi.yaml`, over HTTP."""

from datetime import date
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from reservations.adapters.providers.provider_http import (
    Alarm,
    ProviderAnswer,
    ProviderHttp,
    ProviderId,
    Reading,
    UnusableAnswerError,
    listed,
)
from reservations.application.ports import Reply, SupplierApi, SupplierRequest
from reservations.domain.actions import Inquire, Send
from reservations.domain.errors import InvalidMoneyError
from reservations.domain.facts import OTHER_DATES, UNREADABLE, NotSent, Operation, Seen, Status
from reservations.domain.money import Money
from reservations.domain.reservation import Offer

_STATUS = {
    "confirmed": Status.SUCCEEDED,
    "pending": Status.PENDING,
    "rejected": Status.DECLINED,
    "cancelled": Status.CANCELLED,
}
# Status of a cancellation by that of its booking: a rejected booking needs no cancelling.
_CANCELLATION_STATUS = {
    "confirmed": Status.DECLINED,
    "pending": Status.PENDING,
    "rejected": Status.SUCCEEDED,
    "cancelled": Status.SUCCEEDED,
}


class _Price(ProviderAnswer):
    amount: str
    currency: str


class _Booking(ProviderAnswer):
    booking_id: ProviderId
    locator: Annotated[str, Field(max_length=64)] | None
    status: Literal["confirmed", "pending", "rejected", "cancelled"]
    reference: str
    starts_on: Any = None
    ends_on: Any = None
    price: Any = None

    def seen(self, request: SupplierRequest) -> tuple[Seen, Alarm | None]:
        self._check_reference(request)
        # A hotel needs something to find the guest by: without a locator, the booking's own id.
        locator = self.locator or (self.booking_id if self.status == "confirmed" else None)
        terms, price, alarm = self._terms(request.offer)
        seen = Seen(
            provider_id=self.booking_id,
            status=_STATUS[self.status],
            money=price,
            locator=locator,
            other_terms=terms,
        )
        return seen, alarm

    def _terms(self, offer: Offer) -> tuple[str | None, Money | None, Alarm | None]:
        """The terms that we did not ask for, and the price. Unreadable ones are not what we asked for."""
        terms: list[str | None] = []
        price: Money | None = None
        alarm: Alarm | None = None
        try:
            terms.append(self._other_dates(offer))
        except (TypeError, ValueError):
            terms.append(f"{UNREADABLE} dates")
            alarm = Alarm.CONTRACT
        try:
            price = self._price()
        except (ValueError, InvalidMoneyError):
            terms.append(f"{UNREADABLE} price")
            alarm = Alarm.CONTRACT
        return ", ".join(filter(None, terms)) or None, price, alarm

    def cancellation_seen(self, request: SupplierRequest) -> Seen:
        self._check_reference(request)
        if self.booking_id != request.action.target:
            raise UnusableAnswerError(Alarm.CONTRACT)
        return Seen(provider_id=self.booking_id, status=_CANCELLATION_STATUS[self.status])

    def _other_dates(self, offer: Offer) -> str | None:
        """
        Raises:
            TypeError: a date is no string.
            ValueError: a date is no ISO date.
        """
        told = ((self.starts_on, offer.starts_on), (self.ends_on, offer.ends_on))
        days = [asked if day is None else date.fromisoformat(day) for day, asked in told]
        as_asked = days == [offer.starts_on, offer.ends_on]
        return None if as_asked else f"{OTHER_DATES} {days[0]}/{days[1]}"

    def _price(self) -> Money | None:
        """
        Raises:
            ValueError: the price has another shape.
            InvalidMoneyError: there is no such money.
        """
        if self.price is None:
            return None
        price = _Price.model_validate(self.price)
        return Money.parse(price.amount, price.currency)

    def _check_reference(self, request: SupplierRequest) -> None:
        if self.reference != str(request.reference):
            raise UnusableAnswerError(Alarm.FOREIGN_REFERENCE)


class _Bookings(ProviderAnswer):
    bookings: list[_Booking]


class HttpSupplierApi(SupplierApi):
    """Bookings, their cancellation and inquiries, one HTTP request each."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    def perform(self, request: SupplierRequest) -> Reply:
        match request.action:
            case Send(operation=Operation.BOOK):
                return self._book(request)
            case Send(operation=Operation.CANCEL_BOOKING):
                return self._cancel(request)
            case Inquire():
                return self._list_bookings(request)
        raise ValueError(f"the supplier's API does not {request.action.verb}")

    def _book(self, request: SupplierRequest) -> Reply:
        if request.lead_guest is None:
            alarm = Alarm.PERSONAL_DATA_GONE
            return Reply(outcome=NotSent(), http_status=None, elapsed_ms=0, alarm=alarm)
        body: dict[str, Any] = {
            "reference": str(request.reference),
            "offer_id": request.offer.offer_id,
            "starts_on": request.offer.starts_on.isoformat(),
            "ends_on": request.offer.ends_on.isoformat(),
            "guests": request.offer.guests,
            "lead_guest": request.lead_guest,
        }
        if request.price is not None:
            price = request.price
            body["price"] = {"amount": price.amount, "currency": price.currency}
        return self._http.ask(
            method="POST",
            path="/bookings",
            key=request.action.key,
            body=body,
            read=lambda answer: _Booking.model_validate_json(answer).seen(request),
            not_after=request.not_after,
        )

    def _cancel(self, request: SupplierRequest) -> Reply:
        def read(answer: bytes) -> Reading:
            return _Booking.model_validate_json(answer).cancellation_seen(request), None

        booking_id = request.action.target
        if booking_id is None:
            raise ValueError("a cancellation without a booking")
        return self._http.ask(
            method="POST",
            path=f"/bookings/{quote(booking_id, safe='')}/cancel",
            key=request.action.key,
            read=read,
            not_after=request.not_after,
        )

    def _list_bookings(self, request: SupplierRequest) -> Reply:
        def read(answer: bytes) -> Reading:
            bookings = _Bookings.model_validate_json(answer).bookings
            return listed(booking.seen(request) for booking in bookings)

        return self._http.ask(
            method="GET",
            path="/bookings",
            query={"reference": str(request.reference)},
            read=read,
            not_after=request.not_after,
        )
