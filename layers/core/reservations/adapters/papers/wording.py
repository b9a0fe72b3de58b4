"""Dates and money as a traveler reads them, without locales: Lambda has none installed."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from reservations.domain.codes import display
from reservations.domain.money import Money
from reservations.domain.reservation import Language
from reservations.texts.compiled import DATES, MAILS

# Only unambiguous signs: "$" is a dozen currencies, each written by its code.
_SIGNS = {"EUR": "€", "GBP": "£"}
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def written_date(day: date, language: Language) -> str:
    """`1 de mayo de 2027` or `1 May 2027`."""
    month = DATES[language]["months"].split()[day.month - 1]
    return DATES[language]["date"].format(day=day.day, month=month, year=day.year)


def weekday(day: date, language: Language) -> str:
    return DATES[language]["weekdays"].split()[day.weekday()]


def written_money(money: Money, language: Language) -> str:
    """`1342,50 €` and `12.342,50 €`, or `€1,342.50`: grouped as Unicode CLDR does `es` and `en`."""
    whole, _, cents = str(money.amount).partition(".")
    sign = _SIGNS.get(money.currency)
    if language is Language.ENGLISH:
        amount = f"{int(whole):,}" + (f".{cents}" if cents else "")
        return f"{sign}{amount}" if sign else f"{money.currency}{_NO_BREAK_SPACE}{amount}"
    amount = whole if len(whole) <= 4 else f"{int(whole):,}".replace(",", ".")
    return f"{amount}{',' if cents else ''}{cents}{_NO_BREAK_SPACE}{sign or money.currency}"


def written_day(day: date, language: Language) -> str:
    """`sábado, 1 de mayo de 2027` or `Saturday, 1 May 2027`."""
    return f"{weekday(day, language)}, {written_date(day, language)}"


def cancellable_text(until: datetime, language: Language) -> str:
    """The last moment to cancel, by the clock that a reader of the language knows best."""
    local = until.astimezone(ZoneInfo(DATES[language]["zone"]))
    day = written_day(local.date(), language)
    return DATES[language]["cancellable"].format(hour=f"{local:%H:%M}", day=day)


def voucher_filename(code: str, language: Language) -> str:
    """The name of the voucher's file, the same in a mail and in a browser."""
    return f"{MAILS[language]['shared']['attachment']}-{display(code)}.pdf"
