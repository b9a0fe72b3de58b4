"""Find texts that a mail program makes a link of: a stranger must not put one into our mails."""

import re
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

from reservations.entrypoints.plain_text import plain_text

_SURE = ("://", "www.", "@", "xn--")
# RFC 3490 §3.1: a program reads an ideographic full stop as a dot. Between other letters it ends a sentence.
_IDEOGRAPHIC_DOT = re.compile(r"(?<=[a-z0-9])\u3002(?=[a-z])|(?<=www)\u3002", re.IGNORECASE)
_IP_ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/|:\d)", re.ASCII)
_WORD = re.compile(r"[^\s.]+(?:\.[^\s.]+)+")  # labels that dots join
# Initials and these are no domain before a name or a particle: `J.R.Li`, `Dr.Green`, `Ma.de los Ángeles`.
_ABBREVIATIONS = (
    "chas chr co dipl dott dr dra eng fca fco geo jas ma md mlle mme mr mrs ms prof robt"
    " sr sra st sta sto thos wm"
)
_ABBREVIATED = frozenset(_ABBREVIATIONS.split())
_GENERICS = "app biz click cn com icu info link net online org ru shop site tk top website xyz"
_GENERIC = frozenset(_GENERICS.split())
_PARTICLES = frozenset({"al", "de", "do", "et", "la"})  # of those that are domains
_LONGEST_ABBREVIATION = 5
_NAME_FOLLOWS = re.compile(r"(?:\s+(?:al|de|del|el|la|las|lo|los))*\s+['’«“\"]?(\w)", re.IGNORECASE)
_NUMBER_FOLLOWS = re.compile(r"[:º°]?\d+(?:/\d+)?[,;)]?")
_PATH_OR_PORT = re.compile(r"/|[?#]\w|:\d")
_BRACKETS = "()[]{}\"'«»“”‘’,;:!?-"


def holds_web_address(text: str) -> bool:
    """Return `True` for `://`, `www.`, `@`, or a label before a top-level domain that no letter follows.

    A capital after the dot begins a sentence or a name: it is an address only before a path or a port, in a generic
    domain, or among capitals alone. Abbreviations and particles of names are none either.
    """
    plain = _IDEOGRAPHIC_DOT.sub(".", plain_text(text))
    folded = plain.casefold()
    if any(sign in folded for sign in _SURE) or _IP_ADDRESS.search(plain):
        return True
    return any(
        _holds_domain(match[0].split("."), plain[match.end() :]) for match in _WORD.finditer(plain)
    )


def _holds_domain(labels: list[str], after: str) -> bool:
    abbreviated, last = True, len(labels) - 1
    for at, (label, end) in enumerate(pairwise(labels), 1):
        word = label.strip(_BRACKETS)
        abbreviated = abbreviated and _is_abbreviated(word.casefold())
        domain = _leading_letters(end)
        if (
            domain.casefold() not in top_level_domains()
            or unicodedata.category(label[-1])[0] not in "LMN"
        ):
            continue
        rest = end[len(domain) :]
        if domain.casefold() in _GENERIC or not (
            (abbreviated and not rest.strip(_BRACKETS))
            or _is_begun(word, domain, rest)
            or (at == last == 1 and _is_particle(word, domain, rest, after))
        ):
            return True
    return False


def _is_abbreviated(label: str) -> bool:
    return (len(label) == 1 and label.isalpha()) or label in _ABBREVIATED


def _is_begun(word: str, domain: str, rest: str) -> bool:
    """Return `True` if a sentence, a name or the word `No` before a number begins after the dot."""
    if domain == "No" and _NUMBER_FOLLOWS.fullmatch(rest):
        return True
    if not domain[0].isupper() or _PATH_OR_PORT.match(rest):
        return False
    return not domain.isupper() or not (word.isupper() or word.islower())


def _is_particle(word: str, domain: str, rest: str, after: str) -> bool:
    """Return `True` for a particle between a short abbreviation and a name: `Vda.de López`, `md.al-amin`."""
    if (
        not word.isalpha()
        or len(word) > _LONGEST_ABBREVIATION
        or domain.casefold() not in _PARTICLES
    ):
        return False
    if domain.casefold() == "al" and rest[:1] == "-":
        return rest[1:].isalpha()
    name = _NAME_FOLLOWS.match(after)
    return not rest and name is not None and name[1].isupper()


def _leading_letters(label: str) -> str:
    """The letters, with their marks, up to the first other character."""
    end = next((i for i, c in enumerate(label) if unicodedata.category(c)[0] not in "LM"), None)
    return label[:end]


@cache
def top_level_domains() -> frozenset[str]:
    """IANA's list in lower case, in Unicode and in ASCII."""
    lines = Path(__file__).with_name("top_level_domains.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
