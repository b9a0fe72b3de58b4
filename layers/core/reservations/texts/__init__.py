"""Every text that clients and travelers read: one catalogue per language (`es.toml`, `en.toml`), compiled to Python."""

from collections.abc import Mapping
from dataclasses import dataclass

from reservations.domain.reservation import Language


@dataclass(frozen=True, slots=True)
class Text:
    """One text in each language; it never holds personal data."""

    spanish: str
    english: str

    def in_language(self, language: Language) -> str:
        return self.english if language is Language.ENGLISH else self.spanish


def in_language(texts: Mapping[str, Text], language: Language) -> dict[str, str]:
    return {key: text.in_language(language) for key, text in texts.items()}
