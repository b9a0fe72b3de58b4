"""Lines of any script, as they are seen from the left."""

import pytest

from reservations.adapters.papers.faces import FONTS
from reservations.adapters.papers.typesetting import Line, Typesetter

TYPESETTER = Typesetter(FONTS)


def lines_of(text: str, *, width: float = 1e6, most: int = 9) -> list[Line]:
    lines = TYPESETTER.lines(text, width=width, most=most)
    assert lines is not None
    return lines


def seen(line: Line) -> str:
    return "".join(glyph.text for run in line for glyph in run.glyphs)


def from_the_left(text: str) -> str:
    [line] = lines_of(text)
    return seen(line)


SHALOM, DIRA, FUNDUQ = "שלום", "דירה", "برج"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"Apartamento {SHALOM} 2 habitaciones ({DIRA} 5) en Tel Aviv",
            f"Apartamento 2 {SHALOM[::-1]} habitaciones (5 {DIRA[::-1]}) en Tel Aviv",
        ),
        (f"Torre {FUNDUQ} 12 (3) en Dubái", f"Torre )3( 12 {FUNDUQ[::-1]} en Dubái"),
        (f"{SHALOM} 24.5 €", f"€ 24.5 {SHALOM[::-1]}"),
        (f"Ali ۱۲۳ {FUNDUQ}", f"Ali ۱۲۳ {FUNDUQ[::-1]}"),
        (f"12 {DIRA}", f"{DIRA[::-1]} 12"),
    ],
    ids=["Hebrew", "mirrored brackets", "a sum", "Persian digits", "from the right"],
)
def test_words_and_numbers_of_both_directions_stand_as_uax_9_says(text: str, expected: str) -> None:
    assert from_the_left(text) == expected


def test_a_joiner_keeps_a_name_in_one_run() -> None:
    name = "علی\N{ZERO WIDTH NON-JOINER}رضا"

    [line] = lines_of(f"Ali {name} Sol")

    [run] = [run for run in line if "ض" in "".join(glyph.text for glyph in run.glyphs)]
    assert sorted("".join(glyph.text for glyph in run.glyphs)) == sorted(name)


@pytest.mark.parametrize("selector", ["\U000e0101", "\ufe00", "\ufe0e"], ids=ascii)
def test_a_selector_draws_nothing(selector: str) -> None:
    [[plain]], [[selected]] = lines_of("辻葛"), lines_of(f"辻{selector}葛")

    assert [glyph.number for glyph in selected.glyphs] == [glyph.number for glyph in plain.glyphs]


def test_an_ideograph_of_a_register_is_not_replaced_by_its_relative() -> None:
    [[kept]], [[relative]] = lines_of("\ufa19"), lines_of("\u795e")

    assert [glyph.text for glyph in kept.glyphs] == ["\ufa19"]
    assert kept.glyphs != relative.glyphs


def test_the_wave_dash_of_japanese_is_drawn() -> None:
    [[run]] = lines_of("春〜夏")

    assert [glyph.text for glyph in run.glyphs] == ["春", "～", "夏"]


@pytest.mark.parametrize(
    ("text", "drawn"), [("\ufe59\ufe60", "(&"), ("\U0001d41e\u0301", "é"), ("\U0001f14f", "WC")]
)
def test_a_sign_that_no_face_has_is_drawn_by_its_plain_form(text: str, drawn: str) -> None:
    assert from_the_left(text) == drawn


def test_a_line_ends_after_a_word_or_an_ideograph_and_within_a_word_that_is_too_long() -> None:
    em = 1000

    assert list(map(seen, lines_of("★ Sol Sol", width=4 * em))) == ["★ Sol", "Sol"]
    assert list(map(seen, lines_of("A 田田田田", width=3.5 * em))) == ["A 田田", "田田"]
    assert list(map(seen, lines_of("田田（田）", width=3 * em))) == ["田田", "（田）"]
    assert "".join(map(seen, lines_of("ᚠα" * 9, width=4 * em))) == "□α" * 9


def test_a_text_that_is_too_long_ends_in_an_ellipsis() -> None:
    lines = TYPESETTER.shortened("田" * 30, width=5000, most=2)

    assert list(map(seen, lines)) == ["田" * 5, "田" * 4 + "…"]


def test_a_text_of_more_lines_than_there_is_room_for_is_not_set() -> None:
    assert TYPESETTER.lines("田" * 30, width=5000, most=2) is None
