"""The body of POST /v1/reservations: its rules and its faults."""

import json
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Annotated, Any, Self

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

from reservations.application.create_reservation import CreateReservation
from reservations.domain.errors import InvalidMoneyError
from reservations.domain.money import IN_USE, Money
from reservations.domain.reservation import Customer, Language, Offer
from reservations.entrypoints.faults import fault, faults_of
from reservations.entrypoints.first_use import FirstUse, first_use
from reservations.entrypoints.problems import ProblemError
from reservations.strict_json import without_duplicates

MAX_BODY_BYTES = 64 * 1024

# https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address, with a dot required in the domain, and before
# the at sign only dots between others, as RFC 5321 (section 4.1.2, Dot-string) has it.
_EMAIL = re.compile(
    r"(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)
_CARD_NUMBER = re.compile(r"[0-9]{13,19}")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# They reorder the text that follows.
_BIDI_CONTROLS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REPLACEMENT = "\ufffd"  # a gateway's substitute for bytes that are not UTF-8


def _composed(max_length: int) -> Callable[[Any], Any]:
    """Return a validator that makes NFC of a text, for the exact length check after it: U+FB2C grows threefold."""

    def compose(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        # No character decomposes into more than four (U+1F82), so a text over this bound is too long in NFC as well.
        # Composing it would take quadratic time: CPython sorts combining marks by insertion.
        if len(value) > 4 * max_length:
            raise fault("too_long")
        return unicodedata.normalize("NFC", value)

    return compose


def _printable(value: str) -> str:
    value = value.strip()
    if any(unicodedata.category(c) in _FORBIDDEN_CATEGORIES or c in _BIDI_CONTROLS for c in value):
        raise fault("control_character")
    if all(unicodedata.category(c)[0] in "CMZ" for c in value):  # nothing visible
        raise fault("too_short")
    return value


def _no_card_number(value: str) -> str:
    """Refuse 13 to 19 digits that pass the check of ISO/IEC 7812-1: a card number must never enter here.

    Only the whole value counts: a hexadecimal token may well hold such a run of digits.
    """
    digits = value.replace("-", "").replace("_", "")
    if _CARD_NUMBER.fullmatch(digits) and _passes_luhn(digits):
        raise fault("card_number")
    return value


def _passes_luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _email(value: str) -> str:
    value = value.strip(" ")
    if not _EMAIL.fullmatch(value):
        raise fault("malformed_email")
    return value


def _iso_date(value: Any) -> date:
    if not isinstance(value, str):
        raise fault("wrong_type")
    if not _ISO_DATE.fullmatch(value):  # `fromisoformat` alone also takes 20270501 and 2027-W17-6
        raise fault("malformed_date")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise fault("malformed_date") from error


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class CustomerBody(_Body):
    full_name: Annotated[
        str, BeforeValidator(_composed(120)), Field(max_length=120), AfterValidator(_printable)
    ]
    email: Annotated[str, Field(max_length=254), AfterValidator(_email)]
    phone: Annotated[str, Field(pattern=r"\A\+[0-9]{7,15}\z")] | None = None


class OfferBody(_Body):
    offer_id: Annotated[str, Field(pattern=r"\A[A-Za-z0-9._-]{1,64}\z")]
    description: Annotated[
        str, BeforeValidator(_composed(200)), Field(max_length=200), AfterValidator(_printable)
    ]
    starts_on: Annotated[date, BeforeValidator(_iso_date)]
    ends_on: Annotated[date, BeforeValidator(_iso_date)]
    guests: Annotated[int, Field(ge=1, le=20)]

    @field_validator("starts_on")
    @classmethod
    def _lies_ahead(cls, value: date, info: ValidationInfo) -> date:
        if (context := first_use(info)) and value < context.today:
            raise fault("in_the_past")
        return value

    @model_validator(mode="after")
    def _has_a_night(self) -> Self:
        if self.ends_on <= self.starts_on:
            raise fault("not_after_start", member="ends_on")
        return self


class PriceBody(_Body):
    amount: Annotated[str, Field(max_length=16)]
    currency: str

    @model_validator(mode="after")
    def _is_money(self, info: ValidationInfo) -> Self:
        if first_use(info) and self.currency not in IN_USE:
            raise fault("unknown_currency", member="currency")
        try:
            Money.parse(self.amount, self.currency)
        except InvalidMoneyError as error:
            member = "currency" if error.reason == "unknown_currency" else "amount"
            raise fault(error.reason, member=member) from error
        return self


class ReservationBody(_Body):
    """The body of `docs/contratos/openapi.yaml`. Unknown members are refused."""

    customer: CustomerBody
    offer: OfferBody
    price: PriceBody
    payment_token: Annotated[
        str, Field(pattern=r"\A[A-Za-z0-9_-]{1,128}\z"), AfterValidator(_no_card_number)
    ]

    def fingerprint(self) -> dict[str, Any]:
        """Return the values as read, equal for requests that differ only in spelling."""
        price = Money.parse(self.price.amount, self.price.currency)
        return self.model_dump(mode="json", exclude={"price"}) | {
            "price": [price.minor, price.currency]
        }

    def to_command(self, *, client_id: str, language: Language) -> CreateReservation:
        return CreateReservation(
            client_id=client_id,
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


def parse_reservation(document: dict[str, Any], *, context: FirstUse) -> ReservationBody:
    """Read a body that any release accepted. Rules of the first use are reported only beside other faults.

    Raises:
        ProblemError: `validation_failed` with the first `MAX_FAULTS` faults.
    """
    with suppress(ValidationError):
        return ReservationBody.model_validate(document)
    return judge_first_use(document, context=context)


def judge_first_use(document: dict[str, Any], *, context: FirstUse) -> ReservationBody:
    """Read a body by all rules, also by those that a repeat of the request need not obey.

    Raises:
        ProblemError: `validation_failed` with the first `MAX_FAULTS` faults.
    """
    try:
        return ReservationBody.model_validate(document, context=context)
    except ValidationError as error:
        # The cause would hold the input.
        raise ProblemError("validation_failed", errors=faults_of(error)) from None


def parse_json(body: bytes) -> dict[str, Any]:
    """Read a JSON object (RFC 8259) without duplicate members, NaN or deep nesting.

    Raises:
        ProblemError: `malformed_json` or `body_too_large`.
    """
    if len(body) > MAX_BODY_BYTES:
        raise ProblemError("body_too_large")
    try:
        text = body.decode()
        if _REPLACEMENT in text:
            raise ProblemError("malformed_json")
        parsed = json.loads(
            text, object_pairs_hook=without_duplicates, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise ProblemError("malformed_json") from error
    if not isinstance(parsed, dict):
        raise ProblemError("malformed_json")
    return parsed


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
