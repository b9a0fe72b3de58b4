"""Money in whole minor units, so that no amount is ever rounded."""

import re
from dataclasses import dataclass

from reservations.domain.errors import InvalidMoneyError

_INTEGER_DIGITS = 9  # far above any trip, far below what a BIGINT of minor units holds

_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(?:\.([0-9]+))?", re.ASCII)

# ISO 4217, list one (SIX Financial Information, the maintenance agency): national currencies in
# use, by minor digits. Funds, metals and testing codes are left out: no trip is paid with them.
_WITHOUT_MINOR_UNIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_IN_HUNDREDTHS = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB
    SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
    USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_IN_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"

IN_USE = {
    currency: digits
    for digits, currencies in ((0, _WITHOUT_MINOR_UNIT), (2, _IN_HUNDREDTHS), (3, _IN_THOUSANDTHS))
    for currency in currencies.split()
}
"""Minor digits of the currencies that are valid for new input."""

# ISO 4217, list three, withdrawn since 2021. A currency that goes out of use moves here with its
# minor digits: a stored sum, and a provider's answer, must stay readable and refundable.
_OUT_OF_USE = {"ANG": 2, "BGN": 2, "CUC": 2, "HRK": 2, "SLL": 2, "ZWL": 2}

MINOR_DIGITS = IN_USE | _OUT_OF_USE
"""Minor digits of the currencies that can be read. No name is ever taken away."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency; `minor` counts its smallest unit (cents of EUR, yen of JPY).

    Raises:
        InvalidMoneyError: the amount is not positive (`out_of_range`), or the currency is unknown
        (`unknown_currency`). One out of use is known: only new input has to be `IN_USE`.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if self.currency not in MINOR_DIGITS:
            raise InvalidMoneyError("unknown_currency")
        if self.minor <= 0:
            raise InvalidMoneyError("out_of_range")

    @classmethod
    def parse(cls, amount: str, currency: str) -> "Money":
        """Read a decimal such as "342.50", written with exactly the minor digits of its currency.

        Raises:
            InvalidMoneyError: `reason` is `unknown_currency`, `not_a_decimal`, `wrong_decimals` or
            `out_of_range`.
        """
        if currency not in MINOR_DIGITS:
            raise InvalidMoneyError("unknown_currency")
        decimal = _DECIMAL.fullmatch(amount)
        if decimal is None:
            raise InvalidMoneyError("not_a_decimal")
        whole, fraction = decimal[1], decimal[2] or ""
        if len(fraction) != MINOR_DIGITS[currency]:
            raise InvalidMoneyError("wrong_decimals")
        if len(whole) > _INTEGER_DIGITS:
            raise InvalidMoneyError("out_of_range")
        return cls(int(whole + fraction), currency)

    @classmethod
    def least(cls, currency: str) -> "Money":
        """The smallest amount that `parse` reads."""
        return cls(1, currency)

    @classmethod
    def most(cls, currency: str) -> "Money":
        """The largest amount that `parse` reads."""
        return cls(10 ** (_INTEGER_DIGITS + MINOR_DIGITS[currency]) - 1, currency)

    @property
    def amount(self) -> str:
        """The decimal that `parse` reads back to the same money."""
        digits = MINOR_DIGITS[self.currency]
        if not digits:
            return str(self.minor)
        whole, fraction = divmod(self.minor, 10**digits)
        return f"{whole}.{fraction:0{digits}}"

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
