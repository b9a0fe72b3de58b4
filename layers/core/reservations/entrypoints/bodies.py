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
    model_validator,
)
from pydantic_core import PydanticCustomError

from reservations.application.create_reservation import CreateReservation
from reservations.domain.errors import InvalidMoneyError
from reservations.domain.money import IN_USE, Money
from reservations.domain.reservation import Customer, Language, Offer
from reservations.entrypoints.problems import FieldError, ProblemError
from reservations.strict_json import without_duplicates

MAX_BODY_BYTES = 64 * 1024
MAX_FAULTS = 50

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


def _error(code: str, *, member: str | None = None) -> PydanticCustomError:
    """`member` names the one at fault where a rule spans several."""
    return PydanticCustomError(code, code, {"member": member})


def _composed(max_length: int) -> Callable[[Any], Any]:
    """Return a validator that makes NFC of a text, for the exact length check after it: U+FB2C grows threefold."""

    def compose(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        # No character decomposes into more than four (U+1F82), so a text over this bound is too long in NFC as well.
        # Composing it would take quadratic time: CPython sorts combining marks by insertion.
        if len(value) > 4 * max_length:
            raise _error("too_long")
        return unicodedata.normalize("NFC", value)

    return compose


def _printable(value: str) -> str:
    value = value.strip()
    if any(unicodedata.category(c) in _FORBIDDEN_CATEGORIES or c in _BIDI_CONTROLS for c in value):
        raise _error("control_character")
    if all(unicodedata.category(c)[0] in "CMZ" for c in value):  # nothing visible
        raise _error("too_short")
    return value


def _no_card_number(value: str) -> str:
    """Refuse 13 to 19 digits that pass the check of ISO/IEC 7812-1: a card number must never enter here.

    Only the whole value counts: a hexadecimal token may well hold such a run of digits.
    """
    digits = value.replace("-", "").replace("_", "")
    if _CARD_NUMBER.fullmatch(digits) and _passes_luhn(digits):
        raise _error("card_number")
    return value


def _passes_luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def _email(value: str) -> str:
    value = value.strip(" ")
    if not _EMAIL.fullmatch(value):
        raise _error("malformed_email")
    return value


def _iso_date(value: Any) -> date:
    if not isinstance(value, str):
        raise _error("wrong_type")
    if not _ISO_DATE.fullmatch(value):  # `fromisoformat` alone also takes 20270501 and 2027-W17-6
        raise _error("malformed_date")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise _error("malformed_date") from error


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

    @model_validator(mode="after")
    def _lies_ahead(self, info: ValidationInfo) -> Self:
        if info.context and self.starts_on < info.context["today"]:
            raise _error("in_the_past", member="starts_on")
        if self.ends_on <= self.starts_on:
            raise _error("not_after_start", member="ends_on")
        return self


class PriceBody(_Body):
    amount: Annotated[str, Field(max_length=16)]
    currency: str

    @model_validator(mode="after")
    def _is_money(self, info: ValidationInfo) -> Self:
        if info.context and self.currency not in IN_USE:
            raise _error("unknown_currency", member="currency")
        try:
            Money.parse(self.amount, self.currency)
        except InvalidMoneyError as error:
            member = "currency" if error.reason == "unknown_currency" else "amount"
            raise _error(error.reason, member=member) from error
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


def parse_reservation(body: bytes, *, today: date) -> ReservationBody:
    """Read a body strictly. What time alone makes invalid is reported only beside other faults.

    A body accepted yesterday may be repeated today, so those faults are left to `refuse_outdated`.

    Raises:
        ProblemError: `malformed_json`, `body_too_large` or `validation_failed` with the first `MAX_FAULTS` faults.
    """
    document = parse_json(body)
    with suppress(ValidationError):
        return ReservationBody.model_validate(document)
    try:
        return ReservationBody.model_validate(document, context={"today": today})
    except ValidationError as error:
        raise ProblemError(
            "validation_failed", errors=_faults(error)
        ) from None  # the cause holds the input


def refuse_outdated(command: CreateReservation, *, today: date) -> None:
    """
    Raises:
        ProblemError: `validation_failed`, as a trip may not start before `today` (UTC), nor its
        currency be out of use.
    """
    faults = []
    if command.offer.starts_on < today:
        faults.append(FieldError("/offer/starts_on", "in_the_past"))
    if command.price.currency not in IN_USE:
        faults.append(FieldError("/price/currency", "unknown_currency"))
    if faults:
        raise ProblemError("validation_failed", errors=tuple(faults))


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


# Our codes for pydantic's error types; a test sends one body for each.
_CODE_OF = {
    "missing": "missing",
    "extra_forbidden": "unknown_member",
    "string_type": "wrong_type",
    "int_type": "wrong_type",
    "model_type": "wrong_type",
    "dict_type": "wrong_type",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "malformed",
    "string_unicode": "control_character",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
}


def _faults(error: ValidationError) -> tuple[FieldError, ...]:
    faults = error.errors(include_input=False, include_url=False)
    return tuple(_fault(fault) for fault in faults[:MAX_FAULTS])


def _fault(fault: Any) -> FieldError:
    code = _CODE_OF.get(fault["type"], fault["type"])
    path = [str(step) for step in fault["loc"]]
    if code == "unknown_member":
        path.pop()  # its name is the client's own text, and is not echoed
    if member := fault.get("ctx", {}).get("member"):
        path.append(member)
    return FieldError("".join(f"/{step}" for step in path), code)
