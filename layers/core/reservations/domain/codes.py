"""The reservation code: read out on the phone, it identifies and does not authenticate.

Ten random symbols (49.5 bits) and a check symbol: the weighted sum of the ten modulo 31. As 31 is
prime, a wrong symbol or two swapped ones are always noticed. I, L, O, 0 and 1 are left out: people
misread them.
"""

import re
import secrets
import unicodedata
from collections.abc import Callable

from reservations.domain.errors import InvalidReservationCodeError

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

_RANDOM_SYMBOLS = 10
_LONGEST_TYPED = 64
# Dashes, spaces, line ends, and the invisible signs that a copied text brings.
_SEPARATORS = {"Pd", "Zs", "Zl", "Zp", "Cc", "Cf"}
_MINUS = "\u2212"

# Words that the alphabet can spell in Spanish or English. Digits are read as similar letters.
_LOOKALIKES = str.maketrans("23456789", "ZEASGTBG")
_OFFENSIVE = re.compile(
    "ANUS|ARSE|ASS|CACA|CAGA|CRAP|CUNT|DAMN|ETARRA|FAG|FART|FUCK|GUARRA|KKK|MAMADA|MEADA|MUERE|MUERTA|"
    "NAZ|NEGR|PAJA|PEDER|PERRA|PUTA|PUTE|RAMERA|RAPE|SEMEN|SEX|SHAG|SUBN|SUCK|SUDACA|TARADA|TETA|TURD|"
    "TWAT|WANK"
)


def new_code(*, choice: Callable[[str], str] = secrets.choice) -> str:
    """Draw a code that spells no offensive word, in canonical form."""
    while True:
        body = "".join(choice(ALPHABET) for _ in range(_RANDOM_SYMBOLS))
        code = body + _check_symbol(body)
        if not _offends(code):
            return code


def canonical(text: str) -> str:
    """Read a code as a person types or pastes it: any case, with or without dashes, spaces and line ends.

    Raises:
        InvalidReservationCodeError: not eleven symbols of the alphabet, or a wrong check symbol.
    """
    symbols = [c for c in text[: _LONGEST_TYPED + 1] if not _separates(c)]
    # Upper-casing may turn one foreign letter into two ASCII ones (ß into SS).
    code = "".join(symbols).upper() if all(c.isascii() for c in symbols) else ""
    well_formed = len(code) == _RANDOM_SYMBOLS + 1 and set(code) <= set(ALPHABET)
    if not well_formed or len(text) > _LONGEST_TYPED or code[-1] != _check_symbol(code[:-1]):
        raise InvalidReservationCodeError("not a reservation code")
    return code


def display(code: str) -> str:
    """Group a canonical code for reading: XXXXX-XXXXX-C."""
    return f"{code[:5]}-{code[5:10]}-{code[10:]}"


def _separates(char: str) -> bool:
    return char == _MINUS or unicodedata.category(char) in _SEPARATORS


def _check_symbol(body: str) -> str:
    weighted = sum(weight * ALPHABET.index(symbol) for weight, symbol in enumerate(body, start=1))
    return ALPHABET[weighted % len(ALPHABET)]


def _offends(code: str) -> bool:
    return _OFFENSIVE.search(code.translate(_LOOKALIKES)) is not None
