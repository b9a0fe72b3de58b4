"""How dates and money are written to a traveler; own tables, as Lambda installs no locales."""

from datetime import date

from reservations.domain.money import Money
from reservations.domain.reservation import Language

_MONTHS = {
    Language.SPANISH: """
        enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    """,
    Language.ENGLISH: """
        January February March April May June July August September October November December
    """,
}
_WEEKDAYS = {
    Language.SPANISH: "lunes martes miércoles jueves viernes sábado domingo",
    Language.ENGLISH: "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
}
# Only signs that cannot be mistaken: "$" is a dozen currencies, each written by its code.
_SIGNS = {"EUR": "€", "GBP": "£"}
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def written_date(day: date, language: Language) -> str:
    """`1 de mayo de 2027` or `1 May 2027`."""
    month = _MONTHS[language].split()[day.month - 1]
    joint = " de " if language is Language.SPANISH else " "
    return joint.join((str(day.day), month, str(day.year)))


def weekday(day: date, language: Language) -> str:
    return _WEEKDAYS[language].split()[day.weekday()]


def written_money(money: Money, language: Language) -> str:
    """`1342,50 €` and `12.342,50 €`, or `€1,342.50`: grouped as Unicode CLDR does `es` and `en`."""
    whole, _, cents = str(money.amount).partition(".")
    sign = _SIGNS.get(money.currency)
    if language is Language.ENGLISH:
        amount = f"{int(whole):,}" + (f".{cents}" if cents else "")
        return f"{sign}{amount}" if sign else f"{money.currency}{_NO_BREAK_SPACE}{amount}"
    amount = whole if len(whole) <= 4 else f"{int(whole):,}".replace(",", ".")
    return f"{amount}{',' if cents else ''}{cents}{_NO_BREAK_SPACE}{sign or money.currency}"
