"""Texts of others that a reader must be able to see."""

import unicodedata

# Letters and symbols without ink: fillers of Hangul, the empty Braille cell, blank hieroglyphs, the empty notehead.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\U00013441\U00013442\U0001d159")


def is_legible(text: str) -> bool:
    """Return `True` if something of the text is seen, and nothing in it controls a device."""
    categories = {unicodedata.category(char) for char in text if char not in BLANK}
    return "Cc" not in categories and any(category[0] not in "CMZ" for category in categories)
