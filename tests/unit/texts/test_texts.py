"""The catalogues: total in both languages, without personal data, and compiled as they stand."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reservations.domain.history import INTERNAL
from reservations.domain.reservation import Language, MailKind
from reservations.texts import Text, compiled
from reservations.texts.__main__ import COMPILED, catalogue, differences, placeholders, source
from tests.unit.domain.test_history import EVENTS

SPANISH, ENGLISH = map(catalogue, Language)

# All placeholders, by the keys that may have them. Only a mail, which goes to the traveler, names the traveler.
PLACEHOLDERS = {
    "voucher.paid": {"{day}", "{hour}"},
    "voucher.cancellable": {"{day}"},
    "voucher.issued": {"{day}"},
    **{f"mails.{kind}.subject": {"{code}"} for kind in MailKind},
    "mails.shared.greeting": {"{guest}"},
    "mails.shared.refund_on_its_way": {"{amount}"},
    "mails.shared.refund_done": {"{amount}"},
    "mails.shared.help": {"{contact}"},
    "dates.date": {"{day}", "{month}", "{year}"},
}


def texts(section: Mapping[str, Any], path: str) -> Iterator[tuple[str, Text]]:
    for key, member in section.items():
        if isinstance(member, Text):
            yield f"{path}.{key}", member
        else:
            yield from texts(member, f"{path}.{key}")


TEXTS = dict(pair for name in SPANISH for pair in texts(getattr(compiled, name.upper()), name))


def test_the_compiled_module_is_current() -> None:
    assert COMPILED.read_text(encoding="utf-8") == source(SPANISH, ENGLISH), "run `make texts`"


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    assert list(differences(SPANISH, ENGLISH)) == []


@pytest.mark.parametrize(
    ("spanish", "english", "fault"),
    [
        ({"a": "uno"}, {}, "mails.a is missing in en.toml"),
        ({}, {"a": "one"}, "mails.a is missing in es.toml"),
        ({"a": {"b": "uno"}}, {"a": {}}, "mails.a.b is missing in en.toml"),
        ({"a": "uno"}, {"a": {"b": "one"}}, "mails.a is not a text in both files"),
        ({"a": "uno"}, {"a": ""}, "mails.a is not a text in both files"),
        ({"a": "{x} uno"}, {"a": "one"}, "mails.a has different words in braces in the two files"),
        ({"a": "{x}"}, {"a": "{x} {"}, "mails.a has different words in braces in the two files"),
    ],
)
def test_a_difference_between_the_languages_is_named(
    spanish: dict[str, Any], english: dict[str, Any], fault: str
) -> None:
    assert list(differences({"mails": spanish}, {"mails": english})) == [fault]


def test_every_event_for_travelers_has_a_text_and_no_text_is_idle() -> None:
    assert set(compiled.TIMELINE) == EVENTS - INTERNAL


def test_every_kind_of_mail_has_texts_and_no_text_is_idle() -> None:
    assert set(compiled.MAILS) == {"shared", *MailKind}


@pytest.mark.parametrize("language", Language)
def test_a_timeline_line_is_a_short_sentence(language: Language) -> None:
    for text in compiled.TIMELINE.values():
        sentence = text.in_language(language)
        assert sentence.endswith(".")
        assert len(sentence) <= 120


@pytest.mark.parametrize("language", Language)
def test_every_month_and_weekday_has_a_name(language: Language) -> None:
    names = [compiled.DATES[key].in_language(language).split() for key in ("months", "weekdays")]
    assert [len(set(each)) for each in names] == [12, 7]


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_has_only_the_placeholders_of_its_key_and_no_personal_data(key: str) -> None:
    for language in Language:
        text = TEXTS[key].in_language(language)
        assert placeholders(text) == PLACEHOLDERS.get(key, set())
        assert text == text.strip()
        assert not re.search(r"@|\+\d", text)  # an address or a phone number


def test_a_text_is_read_in_the_chosen_language() -> None:
    text = compiled.TIMELINE["reservation.confirmed"]

    assert text.in_language(Language.SPANISH) == "Tu reserva está confirmada."
    assert text.in_language(Language.ENGLISH) == "Your reservation is confirmed."
