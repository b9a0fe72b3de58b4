"""Draws the voucher with fpdf2: one A4 page, the same bytes for the same voucher."""

import logging
import unicodedata
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import MethodReturnValue
from fpdf.fonts import SubsetMap, TTFFont

from reservations.adapters.papers.wording import weekday, written_date, written_money
from reservations.application.ports import Voucher, VoucherRenderer
from reservations.domain.codes import display
from reservations.domain.errors import VoucherNotDrawnError
from reservations.domain.reservation import Language
from reservations.texts.compiled import VOUCHER

_FONTS = files("voucher_fonts")  # a package of the PDF layer
_TEXT = "text"
# Loaded in this order, and only for a text that needs them: other scripts, Chinese to Korean, emoj
_WIDE, *_EXTRAS = "wide", "cjk", "emoji"
# Replaces a character that no font has. Without it fpdf2 would log the character, part of a name.
_NO_GLYPH = "\N{WHITE SQUARE}"
_KEPT_FORMAT_CHARACTERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
_SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))  # of the variation of a sign
_INVISIBLE = {*_KEPT_FORMAT_CHARACTERS, *map(chr, _SELECTORS)}
_PRODUCER = "Reservations API"

# The texts that others wrote.
_GIVEN = ("description", "guest", "supplier_locator", "support_contact")
# The texts with boxes in each attempt. The next attempt is made if one fails.
_BOXED = ((), ("description",), ("guest",), _GIVEN)

_logger = logging.getLogger(__name__)

# At INFO the subsetter logs the characters it keeps, among them those of a name.
logging.getLogger("fontTools").setLevel(logging.WARNING)

_INK, _MUTED, _WHITE = "#17252A", "#5B6B73", "#FFFFFF"
_BRAND, _PALE, _LINE = "#0B4F5C", "#EEF5F6", "#C9D8DB"

# Every length is in millimeters, but type sizes are in points.
_LEFT, _WIDTH = 18.0, 174.0  # of the 210 of an A4 page
_MM_PER_POINT = 25.4 / 72
_LEADING = 1.32
_SMALLEST = 6.0


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
    cancellable: str
    started: str
    validity: str
    help: str
    issued: str


_WORDS = {language: _Words(**VOUCHER[language]) for language in Language}


class _Sheet:
    """One page that never grows: a text that is too long gets smaller, then an ellipsis."""

    def __init__(self) -> None:
        self._pdf = pdf = FPDF(format="A4")
        pdf.set_auto_page_break(False)
        pdf.set_margin(0)
        pdf.c_margin = 0
        pdf.alias_nb_pages("")  # else a guest named "{nb}" becomes the page count
        # The subsetter changes a parsed font, so each document parses its own.
        self._text_points = self._load(_TEXT)
        pdf.add_font(_TEXT, "B", str(_FONTS / "text-bold.ttf"))
        self._fallbacks: dict[str, set[int]] = {}
        pdf.add_page()

    def _load(self, family: str) -> set[int]:
        self._pdf.add_font(family, "", str(_FONTS / f"{family}.ttf"))
        font = self._pdf.fonts[family]
        assert isinstance(font, TTFFont)
        return set(font.cmap)

    def describe(self, *, title: str, language: Language, at: datetime) -> None:
        self._pdf.set_title(title)
        self._pdf.set_lang(language)
        self._pdf.set_producer(_PRODUCER)
        self._pdf.set_creation_date(at)

    def output(self) -> bytes:
        return bytes(self._pdf.output())

    def close(self) -> None:
        """Free the fonts: fpdf2 keeps them in caches of the process until a document's output."""
        SubsetMap.pick.cache_clear()
        SubsetMap.get_glyph.cache_clear()
        for font in self._pdf.fonts.values():
            assert isinstance(font, TTFFont)
            font.close()

    def band(self, *, height: float) -> None:
        """Color the top of the page from edge to edge."""
        self._pdf.set_fill_color(_BRAND)
        self._pdf.rect(0, 0, self._pdf.w, height, style="F")

    def panel(self, *, y: float, height: float) -> None:
        self._pdf.set_fill_color(_PALE)
        self._pdf.rect(_LEFT, y, _WIDTH, height, style="F", round_corners=True, corner_radius=2.2)

    def line(self, *, y: float) -> None:
        self._pdf.set_draw_color(_LINE)
        self._pdf.set_line_width(0.25)
        self._pdf.line(_LEFT, y, _LEFT + _WIDTH, y)

    def label(self, text: str, *, x: float, y: float, width: float = _WIDTH) -> float:
        return self.write(text, x=x, y=y, width=width, size=8.5, bold=True, color=_MUTED)

    def write(
        self,
        text: str,
        *,
        x: float,
        y: float,
        width: float = _WIDTH,
        size: float = 10,
        bold: bool = False,
        color: str = _INK,
        max_lines: int = 1,
        align: str = "L",
    ) -> float:
        """Write within `width` and `max_lines`. Return the end of the text, from the page's top."""
        text = self._ready(text, bold=bold, size=size)
        self._pdf.set_text_color(color)
        while len(lines := self._lines(text, width)) > max_lines and size > _SMALLEST:
            size -= 0.5
            self._pdf.set_font_size(size)
        if len(lines) > max_lines:
            text = self._shortened(lines[:max_lines], width)
        self._pdf.set_xy(x, y)
        self._pdf.multi_cell(width, self._line_height, text, align=align)
        return y + min(len(lines), max_lines) * self._line_height

    @property
    def _line_height(self) -> float:
        return self._pdf.font_size_pt * _MM_PER_POINT * _LEADING

    def _lines(self, text: str, width: float) -> list[str]:
        lines = self._pdf.multi_cell(
            width, self._line_height, text, align="L", dry_run=True, output=MethodReturnValue.LINES
        )
        assert isinstance(lines, list)
        return lines

    def _shortened(self, lines: list[str], width: float) -> str:
        text = " ".join(lines)
        while len(self._lines(text + "…", width)) > len(lines):
            text = text[:-1]
        return text + "…"

    def _ready(self, text: str, *, bold: bool, size: float) -> str:
        """Set a font that can show `text`. Return the text, with boxes if characters are missing."""
        text = _printable(text)
        plain = self._text_points.issuperset(map(ord, text))
        if not plain:
            text = self._with_fallbacks(text)
        self._pdf.set_text_shaping(not plain)
        self._pdf.set_font(_TEXT if plain else _WIDE, "B" if bold and plain else "", size)
        return text

    def _with_fallbacks(self, text: str) -> str:
        """Load fonts until every character has one. Put a box for each missing character."""
        missing = set(map(ord, text))
        for family in (_WIDE, *_EXTRAS):
            if family not in self._fallbacks:
                self._fallbacks[family] = self._load(family)
            missing -= self._fallbacks[family]
            if not missing:
                break
        self._pdf.set_fallback_fonts([f for f in self._fallbacks if f != _WIDE], exact_match=False)
        return text.translate(dict.fromkeys(missing, _NO_GLYPH))


def _printable(text: str) -> str:
    """Compose characters on one line, without controls that could reorder the text around them."""
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(
        c
        for c in composed
        if c in _KEPT_FORMAT_CHARACTERS or unicodedata.category(c) not in {"Cc", "Cf"}
    )


class FpdfVoucherRenderer(VoucherRenderer):
    """Shows Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew and Arabic script.

    It also shows everyday Chinese, Japanese and Korean and the usual emoji. Any other character is
    an empty box. A text that the libraries cannot draw gets boxes for all characters that the plain
    font lacks.
    """

    def render(self, voucher: Voucher) -> bytes:
        for names in _BOXED:
            try:
                return _drawn(_with_boxes(voucher, names))
            except Exception as error:  # the libraries raise anything on a text they cannot shape
                _log(error, voucher)
        raise VoucherNotDrawnError


def _drawn(voucher: Voucher) -> bytes:
    words = _WORDS[voucher.language]
    with closing(_Sheet()) as sheet:
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
    """Put a box for each visible character that the plain font lacks."""
    signs = (c for c in _printable(text) if c not in _INVISIBLE)
    return "".join(c if ord(c) in _plain_points() else _NO_GLYPH for c in signs)


@cache
def _plain_points() -> frozenset[int]:
    with TTFont(str(_FONTS / f"{_TEXT}.ttf")) as font:
        return frozenset(font.getBestCmap())


def _log(error: Exception, voucher: Voucher) -> None:
    """Log the signs that may be the cause, but no letter or mark, which may spell a name."""
    texts = {c for text in _given(voucher).values() for c in _printable(text)}
    signs = (c for c in texts if c in _INVISIBLE or unicodedata.category(c)[0] in "CS")
    points = " ".join(f"U+{ord(c):04X}" for c in sorted(signs) if ord(c) not in _plain_points())
    extra = {"kind": type(error).__name__, "detail": points}
    _logger.error("voucher not drawn as written", extra=extra)


def _draw_header(sheet: _Sheet, voucher: Voucher, words: _Words) -> None:
    sheet.band(height=38)
    sheet.write(words.title, x=_LEFT, y=10, size=24, bold=True, color=_WHITE)
    sheet.write(words.subtitle, x=_LEFT, y=23, size=11, color=_WHITE)
    issued = words.issued.format(day=written_date(voucher.issued_on, voucher.language))
    sheet.write(issued, x=_LEFT, y=23.5, size=9, color=_WHITE, align="R")


def _draw_references(sheet: _Sheet, voucher: Voucher, words: _Words) -> None:
    half = _WIDTH / 2
    sheet.panel(y=46, height=25)
    sheet.label(words.code, x=_LEFT + 6, y=50)
    sheet.write(
        display(voucher.code), x=_LEFT + 6, y=56, width=half, size=22, bold=True, color=_BRAND
    )
    sheet.label(words.locator, x=_LEFT + half + 12, y=50)
    short = len(voucher.supplier_locator) <= 14
    sheet.write(
        voucher.supplier_locator,
        x=_LEFT + half + 12,
        y=57.5 if short else 55,
        width=half - 16,
        size=16 if short else 10.5,
        bold=True,
        max_lines=1 if short else 3,
    )


def _draw_service(sheet: _Sheet, voucher: Voucher, words: _Words) -> float:
    y = sheet.label(words.guest, x=_LEFT, y=79)
    y = sheet.write(voucher.guest, x=_LEFT, y=y + 0.8, size=14, max_lines=3)
    y = sheet.label(words.service, x=_LEFT, y=y + 4)
    return sheet.write(voucher.offer.description, x=_LEFT, y=y + 0.8, size=12, max_lines=4)


def _draw_stay(sheet: _Sheet, voucher: Voucher, words: _Words, *, y: float) -> float:
    sheet.line(y=y)
    nights = (voucher.offer.ends_on - voucher.offer.starts_on).days
    columns = [
        (words.starts, voucher.offer.starts_on, 62.0),
        (words.ends, voucher.offer.ends_on, 62.0),
    ]
    x = _LEFT
    for name, day, width in columns:
        bottom = sheet.label(name, x=x, y=y + 4, width=width)
        written = written_date(day, voucher.language)
        bottom = sheet.write(written, x=x, y=bottom + 0.8, width=width - 4, size=12, bold=True)
        bottom = sheet.write(
            weekday(day, voucher.language), x=x, y=bottom, width=width, color=_MUTED
        )
        x += width
    for name, count in ((words.nights, nights), (words.guests, voucher.offer.guests)):
        under = sheet.label(name, x=x, y=y + 4, width=25)
        sheet.write(str(count), x=x, y=under + 0.8, width=25, size=12, bold=True)
        x += 25
    sheet.line(y=bottom + 4)
    return bottom + 4


def _draw_price(sheet: _Sheet, voucher: Voucher, words: _Words, *, y: float) -> float:
    sheet.label(words.price, x=_LEFT, y=y)
    price = written_money(voucher.price, voucher.language)
    sheet.write(price, x=_LEFT, y=y + 4.8, width=58, size=17, bold=True, color=_BRAND)
    confirmed = voucher.confirmed_at.astimezone(UTC)
    paid = words.paid.format(
        day=written_date(confirmed.date(), voucher.language), hour=f"{confirmed:%H:%M}"
    )
    sheet.write(
        paid, x=_LEFT + 62, y=y + 4.2, width=_WIDTH - 62, size=9.5, color=_MUTED, max_lines=2
    )
    return y + 14


def _draw_steps(sheet: _Sheet, words: _Words, *, y: float) -> float:
    y = sheet.write(words.to_do, x=_LEFT, y=y, size=12, bold=True, color=_BRAND) + 2
    for number, step in enumerate((words.step_1, words.step_2, words.step_3), start=1):
        sheet.write(f"{number}.", x=_LEFT, y=y, width=7, bold=True, color=_BRAND)
        y = sheet.write(step, x=_LEFT + 7, y=y, width=_WIDTH - 7, max_lines=2) + 1.4
    return y


def _draw_conditions(sheet: _Sheet, voucher: Voucher, words: _Words, *, y: float) -> None:
    y = sheet.write(words.conditions, x=_LEFT, y=y, size=12, bold=True, color=_BRAND) + 2
    # The last day to cancel is the day before the first one, in UTC.
    last_day = written_date(voucher.offer.starts_on - timedelta(days=1), voucher.language)
    cancellable = voucher.issued_on < voucher.offer.starts_on
    terms = words.cancellable.format(day=last_day) if cancellable else words.started
    y = sheet.write(terms, x=_LEFT, y=y, size=9.5, max_lines=3) + 1.4
    sheet.write(words.validity, x=_LEFT, y=y, size=9.5, max_lines=2)


def _draw_footer(sheet: _Sheet, voucher: Voucher, words: _Words) -> None:
    sheet.panel(y=258, height=22)
    sheet.write(words.help, x=_LEFT + 6, y=262, width=_WIDTH - 12, size=12, bold=True, color=_BRAND)
    sheet.write(
        voucher.support_contact, x=_LEFT + 6, y=268.5, width=_WIDTH - 12, size=11, max_lines=2
    )
