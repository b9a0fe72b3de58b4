"""The reservation code survives slips of the finger and of the ear."""

import random
from itertools import cycle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reservations.domain.codes import ALPHABET, canonical, display, new_code
from reservations.domain.errors import InvalidReservationCodeError

SEEDS = st.integers(min_value=0, max_value=2**32)


def a_code(seed: int) -> str:
    return new_code(choice=random.Random(seed).choice)


def refused(text: str) -> bool:
    try:
        canonical(text)
    except InvalidReservationCodeError:
        return True
    return False


@given(SEEDS)
def test_a_code_is_read_as_it_is_shown(seed: int) -> None:
    code = a_code(seed)

    assert canonical(display(code)) == code


@given(SEEDS)
def test_a_code_is_read_in_any_case_with_any_spacing(seed: int) -> None:
    code = a_code(seed)

    assert canonical(f"  {' '.join(code.lower())}- ") == code


@pytest.mark.parametrize(
    "text",
    [
        "7KQ2M\u2013XD4RT\u2013S",
        "7KQ2M\u2011XD4RT\u2011S",
        "7KQ2M\u2212XD4RT\u2014S",
        "7KQ2M-XD4RT-S\n",
        "\ufeff7KQ2M\u00adXD4RT\u200b\u00a0S\r\n",
        "7kq2m - xd4rt - s",
    ],
)
def test_a_pasted_code_is_read_with_any_dash_space_or_line_end(text: str) -> None:
    assert canonical(text) == "7KQ2MXD4RTS"


@pytest.mark.parametrize(
    "text", ["", "7KQ2M_XD4RT_S", "7KQ2MXD4RT\u017f", "\uff17KQ2MXD4RTS", " " * 64 + "7KQ2MXD4RTS"]
)
def test_another_text_is_no_code(text: str) -> None:
    assert refused(text)


def test_a_code_is_shown_in_groups() -> None:
    assert display("7KQ2MXD4RTS") == "7KQ2M-XD4RT-S"


@given(SEEDS, st.integers(0, 10), st.sampled_from(ALPHABET))
def test_a_wrong_symbol_is_always_noticed(seed: int, position: int, symbol: str) -> None:
    code = a_code(seed)
    assume(code[position] != symbol)

    assert refused(code[:position] + symbol + code[position + 1 :])


@given(SEEDS, st.integers(0, 8))
def test_two_swapped_neighbors_are_always_noticed(seed: int, position: int) -> None:
    code = a_code(seed)
    assume(code[position] != code[position + 1])

    swapped = code[:position] + code[position + 1] + code[position] + code[position + 2 :]
    assert refused(swapped)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7KQ2M-XD4RT",
        "7KQ2M-XD4RT-H",
        "7KQ2M-XD4RT-SS",
        "1KQ2M-XD4RT-S",
        "OKQ2M-XD4RT-S",
        "7KQ2M_XD4RT_S",
        "ß7KQ2MXD4R",  # ß is SS in upper case: eleven symbols, but not the typed ones
        "\u0661KQ2MXD4RTS",
    ],
)
def test_an_invalid_code_is_refused(text: str) -> None:
    assert refused(text)


def test_a_code_that_spells_an_offense_is_drawn_again() -> None:
    draws = cycle("PUTA222222" + "PU7A222222" + "7KQ2MXD4RT")

    assert new_code(choice=lambda _: next(draws)) == "7KQ2MXD4RTS"


def test_codes_come_from_the_whole_alphabet_without_repeating() -> None:
    codes = {a_code(seed) for seed in range(2000)}

    assert len(codes) == 2000
    assert set("".join(codes)) == set(ALPHABET)
