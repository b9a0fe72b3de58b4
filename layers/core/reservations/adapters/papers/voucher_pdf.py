"""Draws the voucher with fpdf2: one A4 page, the same bytes for the same voucher."""

import logging
import unicodedata
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from importlib.resources.abc import Traversable
from typing import Any

from reservations.adapters.papers.faces import BOX, FONTS, plain_points
from reservations.adapters.papers.sheet import BRAND, LEFT, MUTED, WHITE, WIDTH, Sheet
from reservations.adapters.papers.wording import (
    cancellable_text,
    voucher_filename,
    weekday,
    written_date,
    written_money,
)
from reservations.application.ports import Voucher, VoucherRenderer
from reservations.domain.codes import display
from reservations.domain.errors import VoucherNotDrawnError
from reservations.domain.reservation import Language
from reservations.texts.compiled import VOUCHER

# The texts that others wrote.
_GIVEN = ("description", "guest", "supplier_locator", "support_contact")
# The texts with boxes in each attempt. The next attempt is made if one fails.
_BOXED = ((), ("description",), ("guest",), _GIVEN)

_SELECTORS = {*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """The texts of a voucher in one language."""

    title: str
    subtitle: str
    code: str
    locator: str
    guest: str
    service: str
    starts: str
    ends: str
    nights: str
    guests: str
    price: str
    paid: str
    to_do: str
    step_1: str
    step_2: str
    step_3: str
    conditions: str
    started: str
    validity: str
    help: str
    issued: str


_QR = 21.0
_TITLE = 84.0  # its width, with some space


def matrix_of(code: str) -> tuple[tuple[int, ...], ...]:
    """The modules of a QR code that holds the reservation code and nothing else."""
    import segno  # only a voucher that is drawn waits for it

    return tuple(map(tuple, segno.make_qr(code, error="m").matrix))


_WORDS = {language: _Words(**VOUCHER[language]) for language in Language}


class FpdfVoucherRenderer(VoucherRenderer):
    """Shows the scripts and symbols of `faces.BLOCKS`. Any other character is an empty box.

    A text that the libraries cannot draw gets boxes for all characters that the plain font lacks;
    `on_boxes` is called for each voucher with such a text.
    """

    def __init__(self, *, on_boxes: Callable[[], None], fonts: Traversable = FONTS) -> None:
        self._on_boxes = on_boxes
        self._fonts = fonts

    def render(self, voucher: Voucher) -> bytes:
        for names in _BOXED:
            try:
                content = self._drawn(_with_boxes(voucher, names))
            except Exception as error:  # the libraries raise anything on a text they cannot shape
                _log(error, voucher)
                continue
            if names:
                self._on_boxes()
            return content
        raise VoucherNotDrawnError

    def filename(self, code: str, language: Language) -> str:
        return voucher_filename(code, language)

    def _drawn(self, voucher: Voucher) -> bytes:
        words = _WORDS[voucher.language]
        with closing(Sheet(self._fonts)) as sheet:
            sheet.describe(
                title=f"{words.title} {display(voucher.code)}",
                language=voucher.language,
                at=datetime.combine(voucher.issued_on, time(), UTC),
            )
            _draw_header(sheet, voucher, words)
            _draw_references(sheet, voucher, words)
            y = _draw_service(sheet, voucher, words)
            y = _draw_stay(sheet, voucher, words, y=y + 5)
            y = _draw_price(sheet, voucher, words, y=y + 6)
            y = _draw_steps(sheet, words, y=y + 7)
            _draw_conditions(sheet, voucher, words, y=y + 4)
            _draw_footer(sheet, voucher, words)
            return sheet.output()


def _with_boxes(voucher: Voucher, names: tuple[str, ...]) -> Voucher:
    texts: dict[str, Any] = {name: _boxed(_given(voucher)[name]) for name in names}
    description = texts.pop("description", voucher.offer.description)
    return replace(voucher, offer=replace(voucher.offer, description=description), **texts)


def _given(voucher: Voucher) -> dict[str, str]:
    return {
        "description": voucher.offer.description,
        "guest": voucher.guest,
        "supplier_locator": voucher.supplier_locator,
        "support_contact": voucher.support_contact,
    }


def _boxed(text: str) -> str:
    """Put a box for each character that the plain font lacks, but for marks and what is never drawn."""
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(
        c if ord(c) in plain_points() else BOX
        for c in composed
        if ord(c) in plain_points() or unicodedata.category(c)[0] not in "CM"
    )


def _log(error: Exception, voucher: Voucher) -> None:
    """Log the signs that may be the cause, but no letter or mark, which may spell a name."""
    texts = {c for text in _given(voucher).values() for c in text if ord(c) not in plain_points()}
    signs = (c for c in texts if c in _SELECTORS or unicodedata.category(c)[0] in "CS")
    points = " ".join(f"U+{ord(c):04X}" for c in sorted(signs))
    extra = {"kind": type(error).__name__, "detail": points}
    _logger.error("voucher not drawn as written", extra=extra)


def _draw_header(sheet: Sheet, voucher: Voucher, words: _Words) -> None:
    sheet.band(height=38)
    sheet.write(words.title, x=LEFT, y=10, size=24, bold=True, color=WHITE)
    sheet.write(words.subtitle, x=LEFT, y=23, size=11, color=WHITE)
    if voucher.issuer:
        sheet.write(
            voucher.issuer,
            x=LEFT + _TITLE,
            y=11.5,
            width=WIDTH - _TITLE,
            size=11,
            color=WHITE,
            align="R",
            max_lines=2,
        )
    issued = words.issued.format(day=written_date(voucher.issued_on, voucher.language))
    sheet.write(issued, x=LEFT, y=23.5, size=9, color=WHITE, align="R")


def _draw_references(sheet: Sheet, voucher: Voucher, words: _Words) -> None:
    half = 80.0  # wide enough for a code
    sheet.panel(y=46, height=25)
    sheet.matrix(matrix_of(display(voucher.code)), x=LEFT + WIDTH - _QR - 2, y=48, size=_QR)
    sheet.label(words.code, x=LEFT + 6, y=50)
    sheet.write(
        display(voucher.code), x=LEFT + 6, y=56, width=half, size=22, bold=True, color=BRAND
    )
    sheet.label(words.locator, x=LEFT + half + 4, y=50)
    short = len(voucher.supplier_locator) <= 14
    sheet.write(
        voucher.supplier_locator,
        x=LEFT + half + 4,
        y=57.5 if short else 55,
        width=WIDTH - half - _QR - 10,
        size=16 if short else 10.5,
        bold=True,
        max_lines=1 if short else 3,
    )


def _draw_service(sheet: Sheet, voucher: Voucher, words: _Words) -> float:
    y = sheet.label(words.guest, x=LEFT, y=79)
    y = sheet.write(voucher.guest, x=LEFT, y=y + 0.8, size=14, max_lines=3)
    y = sheet.label(words.service, x=LEFT, y=y + 4)
    return sheet.write(voucher.offer.description, x=LEFT, y=y + 0.8, size=12, max_lines=4)


def _draw_stay(sheet: Sheet, voucher: Voucher, words: _Words, *, y: float) -> float:
    sheet.line(y=y)
    nights = (voucher.offer.ends_on - voucher.offer.starts_on).days
    columns = [
        (words.starts, voucher.offer.starts_on, 62.0),
        (words.ends, voucher.offer.ends_on, 62.0),
    ]
    x = LEFT
    for name, day, width in columns:
        bottom = sheet.label(name, x=x, y=y + 4, width=width)
        written = written_date(day, voucher.language)
        bottom = sheet.write(written, x=x, y=bottom + 0.8, width=width - 4, size=12, bold=True)
        bottom = sheet.write(
            weekday(day, voucher.language), x=x, y=bottom, width=width, color=MUTED
        )
        x += width
    for name, count in ((words.nights, nights), (words.guests, voucher.offer.guests)):
        under = sheet.label(name, x=x, y=y + 4, width=25)
        sheet.write(str(count), x=x, y=under + 0.8, width=25, size=12, bold=True)
        x += 25
    sheet.line(y=bottom + 4)
    return bottom + 4


def _draw_price(sheet: Sheet, voucher: Voucher, words: _Words, *, y: float) -> float:
    sheet.label(words.price, x=LEFT, y=y)
    price = written_money(voucher.price, voucher.language)
    sheet.write(price, x=LEFT, y=y + 4.8, width=58, size=17, bold=True, color=BRAND)
    confirmed = voucher.confirmed_at.astimezone(UTC)
    paid = words.paid.format(
        day=written_date(confirmed.date(), voucher.language), hour=f"{confirmed:%H:%M}"
    )
    sheet.write(paid, x=LEFT + 62, y=y + 4.2, width=WIDTH - 62, size=9.5, color=MUTED, max_lines=2)
    return y + 14


def _draw_steps(sheet: Sheet, words: _Words, *, y: float) -> float:
    y = sheet.write(words.to_do, x=LEFT, y=y, size=12, bold=True, color=BRAND) + 2
    for number, step in enumerate((words.step_1, words.step_2, words.step_3), start=1):
        sheet.write(f"{number}.", x=LEFT, y=y, width=7, bold=True, color=BRAND)
        y = sheet.write(step, x=LEFT + 7, y=y, width=WIDTH - 7, max_lines=2) + 1.4
    return y


def _draw_conditions(sheet: Sheet, voucher: Voucher, words: _Words, *, y: float) -> None:
    y = sheet.write(words.conditions, x=LEFT, y=y, size=12, bold=True, color=BRAND) + 2
    until = datetime.combine(voucher.offer.starts_on, time(), UTC)
    cancellable = voucher.issued_on < voucher.offer.starts_on
    terms = cancellable_text(until, voucher.language) if cancellable else words.started
    y = sheet.write(terms, x=LEFT, y=y, size=9.5, max_lines=3) + 1.4
    sheet.write(words.validity, x=LEFT, y=y, size=9.5, max_lines=2)


def _draw_footer(sheet: Sheet, voucher: Voucher, words: _Words) -> None:
    sheet.panel(y=258, height=22)
    sheet.write(words.help, x=LEFT + 6, y=262, width=WIDTH - 12, size=12, bold=True, color=BRAND)
    sheet.write(
        voucher.support_contact, x=LEFT + 6, y=268.5, width=WIDTH - 12, size=11, max_lines=2
    )
