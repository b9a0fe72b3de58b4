"""Compile the catalogues into `compiled.py`, for `make texts` and for the build of the layer.

A cold start imports Python faster than it parses TOML (9 ms).
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reservations.domain.history import INTERNAL
from reservations.domain.reservation import Language, MailKind

FOLDER = Path(__file__).parent
COMPILED = FOLDER / "compiled.py"
_HEAD = '"""Compiled by `make texts` from es.toml and en.toml. Edit those."""\n'
_PLACEHOLDER = re.compile(r"\{\w*\}|[{}]")

Section = Mapping[str, Any]  # a text, or another section, by key


def catalogue(language: Language) -> Section:
    """Read a language, with `mail.refused.*` spelled out for every kind of mail."""
    try:
        sections = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SystemExit(f"{language}.toml: {error}") from None
    return {name: dict(_spelled_out(section)) for name, section in sections.items()}


def _spelled_out(section: Section) -> Iterator[tuple[str, Any]]:
    for key, text in section.items():
        event = key.removesuffix("*")
        kinds = list(MailKind) if key.endswith("*") else [""]
        yield from ((event + kind, text) for kind in kinds if event + kind not in INTERNAL)


def differences(spanish: Section, english: Section, path: str = "") -> Iterator[str]:
    """Name each key that only one language has, and each pair of texts with different placeholders."""
    for key in {**spanish, **english}:
        where, pair = f"{path}{key}", (spanish.get(key), english.get(key))
        if None in pair:
            yield f"{where} is missing in {'es.toml' if pair[0] is None else 'en.toml'}"
        elif all(isinstance(each, Mapping) for each in pair):
            yield from differences(spanish[key], english[key], f"{where}.")
        elif not all(isinstance(each, str) and each for each in pair):
            yield f"{where} is not a text in both files"
        elif placeholders(spanish[key]) != placeholders(english[key]):
            yield f"{where} has different words in braces in the two files"


def placeholders(text: str) -> set[str]:
    """Return the words in braces, and any brace that stands alone."""
    return set(_PLACEHOLDER.findall(text))


def source(catalogues: Mapping[Language, Section]) -> str:
    """Return the module: each section is a constant, with one table per language."""
    constants = (
        (name.upper(), {language.value: each[name] for language, each in catalogues.items()})
        for name in catalogues[Language.SPANISH]
    )
    return _HEAD + "".join(f"\n{name} = {_literal(tables)}\n" for name, tables in constants)


def _literal(value: Any, indent: str = "") -> str:
    if isinstance(value, str):
        return repr(value)
    deeper = f"{indent}    "
    rows = (f"{deeper}{key!r}: {_literal(member, deeper)},\n" for key, member in value.items())
    return f"{{\n{''.join(rows)}{indent}}}"


def main() -> int:
    """Write the module, or print where the languages differ and return 1."""
    catalogues = {language: catalogue(language) for language in Language}
    found = list(differences(catalogues[Language.SPANISH], catalogues[Language.ENGLISH]))
    if found:
        print(*found, sep="\n", file=sys.stderr)
        return 1
    COMPILED.write_text(source(catalogues), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
