"""Texts that people type: names and descriptions."""

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from reservations.domain.legibility import BLANK
from reservations.entrypoints.card_numbers import holds_card_number
from reservations.entrypoints.faults import fault, refuse
from reservations.entrypoints.first_use import first_use
from reservations.entrypoints.web_addresses import holds_web_address

_FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# They reorder the text that follows.
_BIDI_CONTROLS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# A decoder writes it for bytes that are not UTF-8, as the gateway does: the letter is lost.
_REPLACEMENT = "\ufffd"


def composed(max_length: int) -> Callable[[Any], Any]:
    """Return a validator that composes a text, for the exact length check after it: U+FB2C grows threefold."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        # No character decomposes into more than four (U+1F82), so a text over this bound is too long in NFC as well.
        # Composing it would take quadratic time: CPython sorts combining marks by insertion.
        if len(value) > 4 * max_length:
            raise fault("too_long", {"max": max_length})
        return compose(value)

    return validate


def compose(text: str) -> str:
    """Normalize to NFC, but keep each character whose decomposition is a single other one, if no mark follows it.

    Such a pair differs where names are registered, as U+FA19 and U+795E do. The text has the length of its NFC, and
    the same NFC.
    """
    if unicodedata.is_normalized("NFC", text):  # such a text has no character to keep apart
        return text
    pieces, start = [], 0
    for at, char in enumerate(text):
        if _is_singleton(char) and unicodedata.category(text[at + 1 : at + 2] or " ")[0] != "M":
            pieces += [_nfc(text[start:at]), char]
            start = at + 1
    return "".join([*pieces, _nfc(text[start:])])


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_singleton(char: str) -> bool:
    decomposition = unicodedata.decomposition(char)
    return (
        decomposition != ""
        and " " not in decomposition  # a compatibility mapping has its tag before a space
        and not unicodedata.combining(char)
    )


def printable(value: str, info: ValidationInfo) -> str:
    value = value.strip()
    if not value.isprintable() and any(map(_is_control, value)):
        raise fault("control_character")
    blank = BLANK if first_use(info) else set()
    if all(unicodedata.category(c)[0] in "CMZ" or c in blank for c in value):
        raise fault("too_short", {"min": 1})
    return value


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in _FORBIDDEN_CATEGORIES or char in _BIDI_CONTROLS


def harmless(value: str, info: ValidationInfo) -> str:
    """Refuse a lost letter, a card number, and what a mail program makes a link of."""
    if first_use(info):
        refuse(*_harms(value))
    return value


def harmless_unless_quoted(value: str, info: ValidationInfo) -> str:
    """As `harmless`, but whoever priced an offer may sign a description with an address."""
    if context := first_use(info):
        refuse(*_harms(value, links=context.quoted))
    return value


def _harms(value: str, *, links: bool = False) -> Iterator[PydanticCustomError]:
    if _REPLACEMENT in value:
        yield fault("lost_character")
    if holds_card_number(value):
        yield fault("card_number")
    if not links and holds_web_address(value):
        yield fault("web_address")
