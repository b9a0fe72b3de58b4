"""Find texts that a mail program makes a link of: a stranger must not put one into our mails."""

import re
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

_SURE = ("://", "www.", "@", "xn--")
_WORD = re.compile(r"[^\s.]+(?:\.[^\s.]+)+")  # labels that dots join
# Initials and these are no domain before a name or a particle: `J.R.Li`, `Dr.Green`, `Ma.de los Ángeles`.
_ABBREVIATIONS = "chas dipl dr dra fca fco geo jas ma mr mrs ms prof robt sr sra st sta sto thos wm"
_ABBREVIATED = frozenset(_ABBREVIATIONS.split())
_NO_NAMES = frozenset({"biz", "com", "info", "net", "org"})
_BRACKETS = "()[]{}\"'«»“”‘’,;:!?-"


def holds_web_address(text: str) -> bool:
    """Return `True` for `://`, `www.`, `@`, or a label before a top-level domain that no letter follows.

    Abbreviations alone are no address, unless a path or one of the oldest domains follows.
    """
    plain = "".join(
        c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c) != "Cf"
    )
    if any(sign in plain for sign in _SURE):
        return True
    return any(_holds_domain(match[0].split(".")) for match in _WORD.finditer(plain))


def _holds_domain(labels: list[str]) -> bool:
    abbreviated = True
    for label, end in pairwise(labels):
        abbreviated = abbreviated and _is_abbreviated(label.strip(_BRACKETS))
        domain, named = _leading_letters(end), unicodedata.category(label[-1])[0] in "LMN"
        is_name = domain == end.rstrip(_BRACKETS) and domain not in _NO_NAMES
        if named and domain in top_level_domains() and not (abbreviated and is_name):
            return True
    return False


def _is_abbreviated(label: str) -> bool:
    return (len(label) == 1 and label.isalpha()) or label in _ABBREVIATED


def _leading_letters(label: str) -> str:
    """The letters, with their marks, up to the first other character."""
    end = next((i for i, c in enumerate(label) if unicodedata.category(c)[0] not in "LM"), None)
    return label[:end]


@cache
def top_level_domains() -> frozenset[str]:
    """IANA's list in lower case, in Unicode and in ASCII."""
    lines = Path(__file__).with_name("top_level_domains.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
