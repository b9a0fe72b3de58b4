"""Card numbers in texts that people write, and digits that are none."""

from datetime import date, timedelta
from itertools import product

import pytest

from reservations.entrypoints.card_numbers import holds_card_number, passes_luhn
from tests.worlds.names import HOTELS, PEOPLE

# The test numbers that the brands publish.
CARDS = {
    "Visa": "4111111111111111",
    "Visa of 19": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard of the second range": "2223003122003222",
    "American Express": "378282246310005",
    "Diners Club": "30569309025904",
    "Discover": "6011111111111117",
    "JCB": "3530111333300000",
    "UnionPay": "6200000000000005",
    "Mir": "2200000000000053",
    "RuPay": "6074820000000009",
    "Maestro": "6759649826438453",
}


def grouped(card: str, separator: str) -> str:
    return separator.join(card[at : at + 4] for at in range(0, len(card), 4))


DASHES = "-\u058a\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u301c\u3030\u30fc\ufe58\ufe63\uff0d"
UNSEEN = "\u00ad\u034f\u200b\u2060\u3164\ufe0f\u20e3"
DOTS = "\u00b7\u2022\u30fb\uff65"
SEPARATORS = ["", " ", "  ", "    ", " - ", "\u00a0", ".", *DASHES, *DOTS, *UNSEEN]


@pytest.mark.parametrize("brand", CARDS)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_card_number_is_found_however_it_is_grouped(brand: str, separator: str) -> None:
    number = grouped(CARDS[brand], separator)

    for text in (
        number,
        f"{number} 12/29 123",
        f"Ana {number}",
        f"Hab. 12 {number}",
        f"x{number}y",
    ):
        assert holds_card_number(text), text


@pytest.mark.parametrize("digits", ["٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９"])
def test_digits_of_other_scripts_are_digits(digits: str) -> None:
    assert holds_card_number(CARDS["Visa"].translate(str.maketrans("0123456789", digits)))


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # a wrong check digit
        "1234567812345670",  # no brand
        "41111111111111112",  # no brand's length
        "+34 600 111 222, +34 915 556 677",
        "+49 176 12345679",  # as long as an old Visa
        "Vuelo IB 3166, 4 noches, 2 adultos, 342,50 EUR",
        "ISBN 978-84-376-0494-7",
    ],
)
def test_other_digits_are_no_card_number(text: str) -> None:
    assert not holds_card_number(text)


FORMATS = ["%Y-%m-%d", "%d-%m-%Y", "%d.%m.%Y", "%d %m %Y", "%Y%m%d", "%d%m%Y", "%d-%m-%y"]
SPACED = ["%d. %m. %Y", "%d.%m. %Y", "%d. %m. %y", "%d - %m - %Y", "%d / %m / %Y", "%Y - %m - %d"]
DASHED = [f"%d{dash}%m{dash}%Y" for dash in "\u2011\u2013\u2212\uff0d"]


def written(day: date, form: str) -> str:
    return f"{day.day}-{day.month}-{day.year}" if form == "short" else day.strftime(form)


@pytest.mark.parametrize("form", [*FORMATS, *SPACED, *DASHED, "short"])
def test_two_dates_are_no_card_number(form: str) -> None:
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(2 * 365)]
    texts = [written(day, form) for day in days]
    refused = [
        text
        for (at, start), nights, between in product(
            enumerate(texts[:-14]), range(1, 15), (" ", " - ")
        )
        if holds_card_number(text := f"Hotel Sol {start}{between}{texts[at + nights]}, 2 hab")
    ]
    assert refused == []


def test_no_name_is_refused() -> None:
    assert [name for name in (*PEOPLE, *HOTELS) if holds_card_number(name)] == []


def test_the_check_digit_is_found_by_luhn() -> None:
    assert [d for d in range(10) if passes_luhn(f"7992739871{d}")] == [3]
