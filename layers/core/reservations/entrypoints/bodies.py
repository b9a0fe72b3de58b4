"""The bodies of requests: their rules and their faults."""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from reservations.application.create_reservation import CreateReservation
from reservations.application.look_up_reservation import Lookup
from reservations.application.ports import ChargeClaim
from reservations.domain.access_token import KeyRing
from reservations.domain.clients import QuoteMode
from reservations.domain.codes import canonical
from reservations.domain.errors import InvalidMoneyError, InvalidReservationCodeError
from reservations.domain.money import IN_USE, MINOR_DIGITS, Money
from reservations.domain.reservation import Customer, Language, Offer
from reservations.entrypoints.card_numbers import passes_luhn
from reservations.entrypoints.contact import stored_email, typed_email, typed_phone
from reservations.entrypoints.faults import fault, faults_of, refuse
from reservations.entrypoints.first_use import FirstUse, first_use
from reservations.entrypoints.problems import ProblemError
from reservations.entrypoints.typed_text import (
    composed,
    harmless,
    harmless_unless_quoted,
    printable,
)
from reservations.strict_json import without_duplicates

_CARD_NUMBER = re.compile(r"[0-9]{13,19}")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _no_card_number(value: str) -> str:
    """Refuse 13 to 19 digits that pass the check of ISO/IEC 7812-1: a card number must never enter here.

    Only the whole value counts: a hexadecimal token may well hold such a run of digits.
    """
    digits = value.replace("-", "").replace("_", "")
    if _CARD_NUMBER.fullmatch(digits) and passes_luhn(digits):
        raise fault("card_number")
    return value


def _iso_date(value: Any) -> date:
    if not isinstance(value, str):
        raise fault("wrong_type")
    # `fromisoformat` alone also takes 20270501 and 2027-W17-6.
    if len(value) != len("2027-05-01") or not _ISO_DATE.fullmatch(value):
        raise fault("malformed_date")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise fault("malformed_date") from error


def _whole(value: Any) -> Any:
    """Read 2.0 as 2: by JSON Schema an integer is a number without a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _code(value: str) -> str:
    try:
        return canonical(value)
    except InvalidReservationCodeError as error:
        raise fault("malformed_code") from error


def _stored(value: str, info: ValidationInfo) -> str:
    return stored_email(typed_email(value, info))


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _with_one_unknown_member(cls, value: Any) -> Any:
        """Drop all unknown members but one: each costs an error, and their faults are equal."""
        if not isinstance(value, dict):
            return value
        unknown = value.keys() - cls.model_fields.keys()
        if len(unknown) < 2:
            return value
        unknown.pop()
        return {name: value[name] for name in value if name not in unknown}


class CustomerBody(_Body):
    full_name: Annotated[
        str,
        BeforeValidator(composed(120)),
        Field(max_length=120),
        AfterValidator(printable),
        AfterValidator(harmless),
    ]
    email: Annotated[str, Field(max_length=254), AfterValidator(typed_email)]
    phone: Annotated[str, Field(max_length=40), AfterValidator(typed_phone)] | None = None


class OfferBody(_Body):
    offer_id: Annotated[str, Field(pattern=r"\A[A-Za-z0-9._-]{1,64}\z")]
    description: Annotated[
        str,
        BeforeValidator(composed(200)),
        Field(max_length=200),
        AfterValidator(printable),
        AfterValidator(harmless_unless_quoted),
    ]
    # Before the start, whose validator knows both: a start at fault would hide the faults of its end.
    ends_on: Annotated[date, BeforeValidator(_iso_date)]
    starts_on: Annotated[date, BeforeValidator(_iso_date)]
    guests: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=20)]

    @field_validator("starts_on")
    @classmethod
    def _can_be_booked(cls, value: date, info: ValidationInfo) -> date:
        context, end = first_use(info), info.data.get("ends_on")
        told: list[PydanticCustomError] = []
        if context:
            told += _faults_of_start(value, context)
        if end:
            told += _faults_of_end(end, value, context)
        refuse(*told)
        return value


def _faults_of_start(start: date, context: FirstUse) -> Iterator[PydanticCustomError]:
    if start < context.today:
        yield fault("in_the_past", {"min": context.today.isoformat()})
    if start > context.latest_start:
        yield fault("too_far_ahead", {"max": context.latest_start.isoformat()})


def _faults_of_end(
    end: date, start: date, context: FirstUse | None
) -> Iterator[PydanticCustomError]:
    pointers = ("/offer/ends_on",)
    if end <= start:
        yield fault("not_after_start", pointers=pointers)
    if context and end - start > context.longest_stay:
        limits = {"max_nights": context.longest_stay.days}
        yield fault("stay_too_long", limits, pointers=pointers)


class PriceBody(_Body):
    currency: str
    amount: Annotated[str, Field(max_length=16)]

    @field_validator("currency")
    @classmethod
    def _is_in_use(cls, value: str, info: ValidationInfo) -> str:
        if value not in (IN_USE if first_use(info) else MINOR_DIGITS):
            raise fault("unknown_currency")
        return value

    @field_validator("amount")
    @classmethod
    def _is_money(cls, value: str, info: ValidationInfo) -> str:
        currency = info.data.get("currency")
        try:
            Money.parse(value, currency or "EUR")
        except InvalidMoneyError as error:
            if currency or error.reason != "wrong_decimals":
                raise fault(error.reason, _money_limits(error.reason, currency)) from error
        return value


def _money_limits(reason: str, currency: str | None) -> dict[str, int | str]:
    if currency is None or reason == "not_a_decimal":
        return {}
    if reason == "wrong_decimals":
        return {"decimals": MINOR_DIGITS[currency]}
    return {"min": Money.least(currency).amount, "max": Money.most(currency).amount}


class ReservationBody(_Body):
    """The body of `docs/contratos/openapi.yaml`. Unknown members are refused."""

    customer: CustomerBody
    offer: OfferBody
    price: PriceBody
    payment_token: Annotated[
        str, Field(pattern=r"\A[A-Za-z0-9_-]{1,128}\z"), AfterValidator(_no_card_number)
    ]
    # Last, as it is compared with the others.
    quote: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, validate_default=True
    )

    @field_validator("quote")
    @classmethod
    def _signs_the_offer(cls, value: str | None, info: ValidationInfo) -> str | None:
        if context := first_use(info):
            if value is not None:
                context.check_quote(value, info.data)
            elif context.modes.quote is QuoteMode.REQUIRED:
                raise fault("quote_missing")
        return value

    def fingerprint(self) -> dict[str, Any]:
        """Return the values as typed, equal for requests that differ only in spelling or in their quote.

        The body is one of `parse_reservation`.
        """
        values = self.model_dump(mode="json", exclude={"price", "quote"})
        for part, member in (("customer", "full_name"), ("offer", "description")):
            values[part][member] = unicodedata.normalize("NFC", values[part][member])
        price = Money.parse(self.price.amount, self.price.currency)
        return values | {"price": [price.minor, price.currency]}

    def to_command(self, *, client_id: str, language: Language) -> CreateReservation:
        """Return the command of a body from `judge_first_use`, which has the values in their stored form."""
        return CreateReservation(
            client_id=client_id,
            quoted=self.quote is not None,
            offer=Offer(**self.offer.model_dump()),
            price=Money.parse(self.price.amount, self.price.currency),
            customer=Customer(
                full_name=self.customer.full_name,
                email=self.customer.email,
                phone=self.customer.phone,
                payment_token=self.payment_token,
                language=language,
            ),
        )


class LookupBody(_Body):
    reservation_code: Annotated[str, AfterValidator(_code)]
    email: Annotated[str, Field(max_length=254), AfterValidator(_stored)]

    def to_command(self, *, client_id: str) -> Lookup:
        return Lookup(client_id=client_id, code=self.reservation_code, email=self.email)


def parse_lookup(document: dict[str, Any]) -> LookupBody:
    """
    Raises:
        ProblemError: `validation_failed`, which says nothing about any reservation.
    """
    try:
        return LookupBody.model_validate(document)
    except ValidationError as error:
        told = faults_of(error)
    raise ProblemError("validation_failed", errors=told)  # no cause: it would hold the input


def charge_claim(command: CreateReservation, *, keys: KeyRing) -> ChargeClaim:
    """The claim of the payment token for what is stored, in any language and however its words are spaced."""
    values = asdict(command.offer) | asdict(command.customer)
    del values["language"]
    for member in ("full_name", "description"):
        values[member] = " ".join(unicodedata.normalize("NFC", values[member]).split())
    values["price"] = [command.price.minor, command.price.currency]
    text = json.dumps(values, sort_keys=True, default=date.isoformat)
    return ChargeClaim(command.client_id, keys.digests("charge-claim:v1:", text))


def parse_reservation(document: dict[str, Any], *, context: FirstUse) -> ReservationBody:
    """Read a body that any release accepted. Rules of the first use are reported only beside other faults.

    Raises:
        ProblemError: `validation_failed` with the first `MAX_FAULTS` faults.
    """
    try:
        return ReservationBody.model_validate(document)
    except ValidationError as error:
        told = [error]
    try:
        _judged(document, context)
    except ValidationError as error:
        told.append(error)
    raise ProblemError("validation_failed", errors=faults_of(*told))


def judge_first_use(document: dict[str, Any], *, context: FirstUse) -> ReservationBody:
    """Read a body by all rules, also by those that a repeat of the request need not obey.

    Raises:
        ProblemError: `validation_failed` with the first `MAX_FAULTS` faults.
    """
    try:
        return _judged(document, context)
    except ValidationError as error:
        told = faults_of(error)
    raise ProblemError("validation_failed", errors=told)  # no cause: it would hold the input


def _judged(document: dict[str, Any], context: FirstUse) -> ReservationBody:
    quoted = document.get("quote") is not None
    return ReservationBody.model_validate(document, context=replace(context, quoted=quoted))


def parse_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object (RFC 8259) without duplicate members, NaN or deep nesting.

    Raises:
        ProblemError: `malformed_json`.
    """
    try:
        parsed = json.loads(
            body.decode("utf-8-sig"),  # RFC 8259 §8.1: a byte order mark may be ignored
            object_pairs_hook=without_duplicates,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise ProblemError("malformed_json") from error
    if not isinstance(parsed, dict):
        raise ProblemError("malformed_json")
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
