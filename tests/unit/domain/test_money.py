"""Amounts at the edge are read exactly or refused, and never rounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reservations.domain import money
from reservations.domain.errors import InvalidMoneyError
from reservations.domain.money import IN_USE, MINOR_DIGITS, Money

SUMS = st.builds(
    Money, st.integers(min_value=1, max_value=10**9 - 1), st.sampled_from(sorted(MINOR_DIGITS))
)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("342.50", "EUR", 34250),
        ("0.01", "EUR", 1),
        ("999999999.99", "EUR", 99_999_999_999),
        ("1", "JPY", 1),
        ("999999999", "CLP", 999_999_999),
        ("1.005", "KWD", 1005),
    ],
)
def test_a_decimal_is_read_in_the_minor_units_of_its_currency(
    amount: str, currency: str, minor: int
) -> None:
    assert Money.parse(amount, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "reason"),
    [
        ("1.00", "XXX", "unknown_currency"),
        ("1.00", "eur", "unknown_currency"),
        ("1.00", "", "unknown_currency"),
        ("100", "EUR", "wrong_decimals"),
        ("1.0", "EUR", "wrong_decimals"),
        ("1.000", "EUR", "wrong_decimals"),
        ("1.00", "JPY", "wrong_decimals"),
        ("1.00", "KWD", "wrong_decimals"),
        ("", "EUR", "not_a_decimal"),
        ("+1.00", "EUR", "not_a_decimal"),
        ("-1.00", "EUR", "not_a_decimal"),
        ("1e2", "EUR", "not_a_decimal"),
        ("1,00", "EUR", "not_a_decimal"),
        ("1.", "EUR", "not_a_decimal"),
        (".50", "EUR", "not_a_decimal"),
        ("01.00", "EUR", "not_a_decimal"),
        (" 1.00", "EUR", "not_a_decimal"),
        ("1.00\n", "EUR", "not_a_decimal"),
        ("١.٠٠", "EUR", "not_a_decimal"),
        ("NaN", "EUR", "not_a_decimal"),
        ("0.00", "EUR", "out_of_range"),
        ("0", "JPY", "out_of_range"),
        ("1000000000.00", "EUR", "out_of_range"),
    ],
)
def test_an_invalid_amount_is_refused_with_a_reason(
    amount: str, currency: str, reason: str
) -> None:
    with pytest.raises(InvalidMoneyError) as refused:
        Money.parse(amount, currency)

    assert refused.value.reason == reason


@pytest.mark.parametrize("minor", [0, -1])
def test_money_is_always_more_than_nothing(minor: int) -> None:
    with pytest.raises(InvalidMoneyError):
        Money(minor, "EUR")


def test_money_of_a_currency_out_of_use_is_read_and_shown() -> None:
    assert "BGN" not in IN_USE
    assert str(Money.parse("12.30", "BGN")) == "12.30 BGN"


def test_money_of_a_currency_that_was_never_in_use_here_does_not_exist() -> None:
    with pytest.raises(InvalidMoneyError) as refused:
        Money(1, "DEM")

    assert refused.value.reason == "unknown_currency"


@given(SUMS)
def test_a_written_amount_reads_back_the_same(paid: Money) -> None:
    assert Money.parse(paid.amount, paid.currency) == paid


@given(st.text(max_size=20), st.sampled_from(["EUR", "JPY", "KWD"]))
def test_any_text_is_read_exactly_or_refused(amount: str, currency: str) -> None:
    try:
        paid = Money.parse(amount, currency)
    except InvalidMoneyError:
        return
    assert paid.amount == amount


def test_money_is_shown_with_its_currency() -> None:
    assert str(Money(34250, "EUR")) == "342.50 EUR"


def test_the_table_holds_each_currency_once_under_a_three_letter_code() -> None:
    listed = f"{money._WITHOUT_MINOR_UNIT} {money._IN_HUNDREDTHS} {money._IN_THOUSANDTHS}".split()

    assert sorted(listed) == sorted(IN_USE)
    assert sorted([*listed, *money._OUT_OF_USE]) == sorted(MINOR_DIGITS)
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in listed)
