"""Addresses and telephones: how people write them, and the form that is stored.

The two libraries take 50 ms each to import, so only a first use imports them. `phonenumberslite` is `phonenumbers`
without the names of places and carriers.
"""

import re

from pydantic import ValidationInfo

from reservations.entrypoints.card_numbers import holds_card_number
from reservations.entrypoints.faults import fault
from reservations.entrypoints.first_use import first_use

# RFC 5322 §3.2.3, dot-atom, of at most 64 characters (RFC 5321 §4.5.3.1.1).
_LOCAL_PART = (
    r"(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
)
# https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address, with a dot required in the domain.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"{_LOCAL_PART}@{_LABEL}(?:\.{_LABEL})+")
_INTERNATIONAL_EMAIL = re.compile(rf"{_LOCAL_PART}@(?=.*[^\x00-\x7f])[^@\s\x00-\x20]+")

# A UUID, or a digest as long, with a letter. Invented addresses have them, and one in 10,000 holds a card's digits.
_UUID = re.compile(
    r"(?=[0-9-]{0,35}[A-Fa-f])[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12,}(?![0-9A-Fa-f])"
)

_BETWEEN_DIGITS = r"[ ./()\u00a0\u2007\u2009\u202f\u2010-\u2015\u2212-]*"
# A number that is pasted from right-to-left text, or from a list of contacts, has marks of direction around it.
_DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_PHONE = re.compile(
    rf"[{_DIRECTIONS}]*\(?[+\uff0b](?:{_BETWEEN_DIGITS}[0-9]){{7,15}}\)?[{_DIRECTIONS}]*"
)


def typed_email(value: str, info: ValidationInfo) -> str:
    """Read an address as typed; on the first use, in the form that is stored."""
    value = value.strip(" ")
    if not (_EMAIL.fullmatch(value) or _INTERNATIONAL_EMAIL.fullmatch(value)):
        raise fault("malformed_email")
    if not first_use(info):
        return value
    stored = stored_email(value)
    if holds_card_number(_UUID.sub("|", value)):
        raise fault("card_number")
    return stored


def typed_phone(value: str, info: ValidationInfo) -> str:
    """Read a number as typed; on the first use, in the form that is stored."""
    value = value.strip(" ")
    if not _PHONE.fullmatch(value):
        raise fault("malformed_phone")
    return stored_phone(value) if first_use(info) else value


def stored_email(typed: str) -> str:
    """The address with its domain in ASCII (RFC 5891), without a look-up of the domain.

    Raises:
        PydanticCustomError: no mail could ever be sent there.
    """
    from email_validator import EmailNotValidError, validate_email

    from reservations.adapters.papers.recipient import UnmailableAddressError, recipient

    try:
        # `test_environment` takes the domains that are reserved for tests.
        address = validate_email(
            typed, allow_smtputf8=False, check_deliverability=False, test_environment=True
        ).ascii_email
        assert address is not None  # the local part is ASCII
        recipient(address)
    except (EmailNotValidError, UnmailableAddressError) as error:
        raise fault("malformed_email") from error
    return address


def stored_phone(typed: str) -> str:
    """The number by ITU-T E.164.

    Raises:
        PydanticCustomError: no country has that code, or the number is too short for any.
    """
    from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, parse

    try:
        number = parse("+" + re.sub(r"[^0-9]", "", typed), None)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            raise fault("unknown_country_code") from error
        raise fault("malformed_phone") from error
    return format_number(number, PhoneNumberFormat.E164)
