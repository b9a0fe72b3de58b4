"""The catalogues: total in both languages, without personal data, and compiled as they stand."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reservations.domain.history import INTERNAL
from reservations.domain.reservation import Language, MailKind
from reservations.domain.words import ClosedReason
from reservations.texts import compiled
from reservations.texts.__main__ import COMPILED, catalogue, differences, placeholders, source
from tests.unit.domain.test_history import EVENTS

CATALOGUES = {language: catalogue(language) for language in Language}

# All placeholders, by the keys that may have them. Only a mail, which goes to the traveler, names the traveler.
PLACEHOLDERS = {
    "voucher.paid": {"{day}", "{hour}"},
    "dates.cancellable": {"{day}", "{hour}"},
    "voucher.issued": {"{day}"},
    **{f"mails.{name}.subject": {"{code}"} for name in (*MailKind, *ClosedReason)},
    "mails.shared.event": {"{code}"},
    "address_changed.subject": {"{code}"},
    "mails.shared.greeting": {"{guest}"},
    "mails.shared.refund_on_its_way": {"{amount}"},
    "mails.shared.refund_done": {"{amount}"},
    "mails.shared.help": {"{contact}"},
    "dates.date": {"{day}", "{month}", "{year}"},
}


def texts(section: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, member in section.items():
        if isinstance(member, str):
            yield f"{path}{key}", member
        else:
            yield from texts(member, f"{path}{key}.")


def test_the_compiled_module_is_current() -> None:
    assert COMPILED.read_text(encoding="utf-8") == source(CATALOGUES), "run `make texts`"


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    assert list(differences(CATALOGUES[Language.SPANISH], CATALOGUES[Language.ENGLISH])) == []


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
    for texts_by_event in compiled.TIMELINE.values():
        assert texts_by_event.keys() == EVENTS - INTERNAL


def test_every_kind_of_mail_has_texts_and_no_text_is_idle() -> None:
    for mails in compiled.MAILS.values():
        elsewhere = {MailKind.REJECTED, MailKind.CANCELLED, MailKind.ADDRESS_CHANGED}
        assert mails.keys() == {"shared", *MailKind, *ClosedReason} - elsewhere


@pytest.mark.parametrize("language", Language)
def test_a_timeline_line_is_a_short_sentence(language: Language) -> None:
    for sentence in compiled.TIMELINE[language].values():
        assert sentence.endswith(".")
        assert len(sentence) <= 120


@pytest.mark.parametrize("language", Language)
def test_every_month_and_weekday_has_a_name(language: Language) -> None:
    names = [compiled.DATES[language][key].split() for key in ("months", "weekdays")]
    assert [len(set(each)) for each in names] == [12, 7]


@pytest.mark.parametrize("language", Language)
def test_a_text_has_only_the_placeholders_of_its_key_and_no_personal_data(
    language: Language,
) -> None:
    for key, text in texts(CATALOGUES[language]):
        assert placeholders(text) == PLACEHOLDERS.get(key, set()), key
        assert text == text.strip(), key
        assert not re.search(r"@|\+\d", text), key  # an address or a phone number
