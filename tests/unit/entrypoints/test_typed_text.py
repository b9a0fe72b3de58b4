"""Texts as people type them: the form in which they are stored."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reservations.entrypoints.typed_text import compose

SINGLETONS = [
    chr(point)
    for point in range(sys.maxunicode + 1)
    if (decomposition := unicodedata.decomposition(chr(point))) and " " not in decomposition
]


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Pe\u0301rez", "Pérez"),
        ("\ufa19谷 渚\ufa46", "\ufa19谷 渚\ufa46"),
        ("\u1112\u1161\u11ab", "한"),
        ("\u212bngstro\u0308m", "\u212bngström"),
        ("\u212b\u0301", "\u01fa"),  # the mark joins the sign that stands for it
        ("a\u0340", "à"),
    ],
)
def test_a_text_is_composed_but_no_sign_takes_the_place_of_another(typed: str, stored: str) -> None:
    assert compose(typed) == stored


@given(
    st.text(
        st.one_of(
            st.sampled_from(SINGLETONS),
            st.characters(categories=["L", "M", "N", "S", "Zs"]),
            st.sampled_from("\u0300\u0301\u0345\u0338\u1161\u11a8\u093c"),
        )
    )
)
def test_the_stored_form_has_the_length_and_the_meaning_of_nfc(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)

    assert len(compose(text)) == len(composed)
    assert unicodedata.normalize("NFC", compose(text)) == composed


def test_every_pair_of_a_singleton_and_another_character_keeps_its_length() -> None:
    others = [
        chr(point)
        for point in range(sys.maxunicode + 1)
        if unicodedata.category(chr(point))[0] == "M" or 0x1100 <= point < 0x1200
    ]
    for text in (each for s in SINGLETONS[:40] for o in others for each in (s + o, o + s)):
        assert len(compose(text)) == len(unicodedata.normalize("NFC", text))
