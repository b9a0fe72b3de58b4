"""A text as a reader takes it: one form of each sign, without what is not seen."""

import re
import unicodedata

# https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
_IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Marks that any letter may bear: accents, strokes and the frame of a key.
_SHARED_MARKS = r"\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_UNSEEN = re.compile(f"[{_IGNORABLE}{_SHARED_MARKS}]")


def plain_text(text: str) -> str:
    """Return NFKC without default-ignorables, without formats, and without marks that do not compose.

    The marks of a script stay on its own letters: they spell its words.
    """
    if text.isascii():
        return text
    plain = ""
    for char in _UNSEEN.sub("", unicodedata.normalize("NFKC", text)):
        category = unicodedata.category(char)
        if category != "Cf" and not (category[0] == "M" and plain[-1:].isascii()):
            plain += char
    return plain
