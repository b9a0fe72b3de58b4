"""Find payment card numbers in a text that people write: SECURITY.md promises that none is stored."""

import re

from reservations.entrypoints.plain_text import plain_text

# https://en.wikipedia.org/wiki/Payment_card_number: leading digits and lengths in use.
_BRANDS = re.compile(
    r"""
    4(?:\d{15}|\d{18})                                                   # Visa
    | (?:5[1-5]\d\d | 222[1-9] | 22[3-9]\d | 2[3-6]\d\d | 27[01]\d | 2720)\d{12}   # Mastercard
    | 3[47]\d{13}                                                        # American Express
    | (?:30[0-5] | 3[689]\d)\d{11}                                       # Diners Club
    | (?:6011 | 64[4-9]\d | 65\d\d | 62\d\d | 35(?:2[89]|[3-8]\d))\d{12}(?:\d{3})?  # Discover, UnionPay, JCB
    | (?:60\d\d | 8[12]\d\d | 508\d)\d{12}                                   # RuPay
    | 220[0-4]\d{12}(?:\d{3})?                                            # Mir
    | (?:5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 676[1-3])\d{12}(?:\d{3})?       # Maestro
    """,
    re.VERBOSE,
)
# The dashes of Unicode (category Pd), the minus, the bullet of a hyphen and the long vowel of Japanese.
_DASHES = (
    r"\-\u058a\u05be\u1400\u1806\u2010-\u2015\u2043\u2212\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u2e5d"
    r"\u301c\u3030\u30a0\u30fc\U00010ead"
)
_DOTS = r"\u00b7\u2022\u2027\u2219\u22c5\u30fb"  # at half height
_BETWEEN = rf"[\s._{_DASHES}{_DOTS}]"
_RUN = re.compile(rf"\d+(?:{_BETWEEN}{{1,5}}\d+)*")
# Two dates side by side have as many digits as a card. A Thai year is 543 more.
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20|25)\d\d"
_PART = rf"(?:{_BETWEEN}{{1,5}}|\s?/\s?)"
_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}{_PART}{_MONTH}{_PART}{_DAY}|{_DAY}{_PART}{_DAY}{_PART}{_YEAR}"
    rf"|{_YEAR}{_MONTH}{_DAY}|{_DAY}{_DAY}{_YEAR}|{_DAY}({_PART}){_DAY}\1\d\d)(?!\d)"
)
_LONGEST = 19


def holds_card_number(text: str) -> bool:
    """Return `True` for digits with a brand's beginning and length that pass the Luhn check.

    Spaces, dashes, dots and underscores may part them, and what is not seen. Dates are no part of a card number.
    """
    without_dates = _DATE.sub("|", plain_text(text))
    return any(_is_or_holds_card(match[0]) for match in _RUN.finditer(without_dates))


def _is_or_holds_card(run: str) -> bool:
    """Try the groups of a run from each one on: a room's number may stand before the card's."""
    groups = ["".join(str(int(digit)) for digit in group) for group in re.findall(r"\d+", run)]
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > _LONGEST:
                break
            if _BRANDS.fullmatch(digits) and passes_luhn(digits):
                return True
    return False


def passes_luhn(digits: str) -> bool:
    """Check the last digit by ISO/IEC 7812-1."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0
