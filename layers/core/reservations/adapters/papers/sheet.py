"""An A4 page of texts in places, drawn with fpdf2."""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from importlib.resources.abc import Traversable
from itertools import groupby
from typing import TYPE_CHECKING

from fpdf import FPDF
from fpdf.enums import MethodReturnValue
from fpdf.fonts import SubsetMap, TTFFont

from reservations.adapters.papers.faces import PLAIN, plain_points
from reservations.domain.reservation import Language

if TYPE_CHECKING:
    from reservations.adapters.papers.typesetting import Glyph, Run, Typesetter

# At INFO the subsetter logs the characters it keeps, among them those of a name.
logging.getLogger("fontTools").setLevel(logging.WARNING)

_PRODUCER = "Reservations API"

INK, MUTED, WHITE = "#17252A", "#5B6B73", "#FFFFFF"
BRAND, PALE, LINE = "#0B4F5C", "#EEF5F6", "#C9D8DB"

# Every length is in millimeters, but type sizes are in points.
LEFT, WIDTH = 18.0, 174.0  # of the 210 of an A4 page
_MM_PER_POINT = 25.4 / 72
_LEADING = 1.32
_SMALLEST = 6.0
_QUIET = 4  # ISO/IEC 18004


class _Page(FPDF):
    """An A4 page that never grows, and that takes glyphs of any face."""

    def __init__(self, fonts: Traversable) -> None:
        super().__init__(format="A4")
        self._fonts = fonts
        self.set_auto_page_break(False)
        self.set_margin(0)
        self.c_margin = 0
        self.alias_nb_pages("")  # else a guest named "{nb}" becomes the page count
        # The subsetter changes a parsed font, so each document parses its own.
        self.add_font(PLAIN, "", str(fonts / "text.ttf"))
        self.add_font(PLAIN, "B", str(fonts / "text-bold.ttf"))
        self.add_page()

    def draw(self, run: "Run", *, x: float, baseline: float, size: float) -> None:
        if run.face not in self.fonts:
            self.add_font(run.face, "", str(self._fonts / f"{run.face}.ttf"))
        self.set_font(run.face, "", size)
        font = self.current_font
        assert isinstance(font, TTFFont)
        assert self.text_color
        if not self.current_font_is_set_on_page:
            self._out(self._set_font_for_page(font, size))
        moves = " ".join(_moves(font, run.glyphs, size))
        start = f"{x * self.k:.2f} {(self.h - baseline) * self.k:.2f} Td"
        self._out(f"q {self.text_color.serialize().lower()} BT {start} {moves} ET Q")


def _moves(font: TTFFont, glyphs: Iterable["Glyph"], size: float) -> Iterator[str]:
    """The operators that show the glyphs. A number in brackets moves left by thousandths of the size."""
    for glyph in glyphs:
        name = font.ttfont.getGlyphName(glyph.number)
        width = round(font.scale * font.ttfont["hmtx"].metrics[name][0])
        shown = font.subset.get_glyph(
            glyph=glyph.number,
            unicode=tuple(map(ord, glyph.text)),
            glyph_name=name,
            glyph_width=width,
        )
        code = font.subset.pick_glyph(shown)
        after = width + glyph.right - glyph.advance
        yield f"{glyph.up * size / 1000:.2f} Ts [{-glyph.right:.0f} <{code:04X}> {after:.0f}] TJ"


class Sheet:
    """One page whose texts keep their places: one that is too long gets smaller, then an ellipsis."""

    def __init__(self, fonts: Traversable) -> None:
        self._fonts = fonts
        self._pdf = _Page(fonts)

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
        self._pdf.set_fill_color(BRAND)
        self._pdf.rect(0, 0, self._pdf.w, height, style="F")

    def panel(self, *, y: float, height: float) -> None:
        self._pdf.set_fill_color(PALE)
        self._pdf.rect(LEFT, y, WIDTH, height, style="F", round_corners=True, corner_radius=2.2)

    def matrix(self, modules: Sequence[Sequence[int]], *, x: float, y: float, size: float) -> None:
        """Draw a QR code on white, with the quiet zone of four modules: each run of a row is one box."""
        module = size / (len(modules) + 2 * _QUIET)
        self._pdf.set_fill_color(WHITE)
        self._pdf.rect(x, y, size, size, style="F")
        self._pdf.set_fill_color(INK)
        for number, row in enumerate(modules):
            left = _QUIET
            for dark, run in groupby(row):
                length = sum(1 for _ in run)
                if dark:
                    place = (x + left * module, y + (number + _QUIET) * module)
                    self._pdf.rect(*place, length * module, module, style="F")
                left += length

    def line(self, *, y: float) -> None:
        self._pdf.set_draw_color(LINE)
        self._pdf.set_line_width(0.25)
        self._pdf.line(LEFT, y, LEFT + WIDTH, y)

    def label(self, text: str, *, x: float, y: float, width: float = WIDTH) -> float:
        return self.write(text, x=x, y=y, width=width, size=8.5, bold=True, color=MUTED)

    def write(
        self,
        text: str,
        *,
        x: float,
        y: float,
        width: float = WIDTH,
        size: float = 10,
        bold: bool = False,
        color: str = INK,
        max_lines: int = 1,
        align: str = "L",
    ) -> float:
        """Write within `width` and `max_lines`. Return the end of the text, from the page's top."""
        self._pdf.set_text_color(color)
        composed = unicodedata.normalize("NFC", " ".join(text.split()))
        if not plain_points().issuperset(map(ord, composed)):
            return self._typeset(text, x=x, y=y, width=width, size=size, max_lines=max_lines)
        self._pdf.set_font(PLAIN, "B" if bold else "", size)
        while len(lines := self._lines(composed, width)) > max_lines and size > _SMALLEST:
            size -= 0.5
            self._pdf.set_font_size(size)
        if len(lines) > max_lines:
            lines = self._lines(self._shortened(lines[:max_lines], width), width)
        for line in lines:
            self._pdf.set_xy(x, y)
            self._pdf.cell(width, _line_height(size), line, align=align)
            y += _line_height(size)
        return y

    def _typeset(
        self, text: str, *, x: float, y: float, width: float, size: float, max_lines: int
    ) -> float:
        """Write a text that the plain font cannot show, in regular type, from the left."""
        while (
            lines := self._typesetter.lines(text, width=_ems(width, size), most=max_lines)
        ) is None and size > _SMALLEST:
            size -= 0.5
        if lines is None:
            lines = self._typesetter.shortened(text, width=_ems(width, size), most=max_lines)
        height = _line_height(size)
        for number, line in enumerate(lines):
            at, baseline = x, y + (number + 0.5) * height + 0.3 * size * _MM_PER_POINT  # as fpdf2
            for run in line:
                self._pdf.draw(run, x=at, baseline=baseline, size=size)
                at += run.width * size * _MM_PER_POINT / 1000
        return y + len(lines) * height

    @cached_property
    def _typesetter(self) -> "Typesetter":
        # Imported for the few texts that need it: an ordinary voucher waits for no table of Unicode.
        from reservations.adapters.papers.typesetting import Typesetter

        return Typesetter(self._fonts)

    def _lines(self, text: str, width: float) -> list[str]:
        # `multi_cell` measures the line again at each character.
        if self._pdf.get_string_width(text) <= width:
            return [text]
        lines = self._pdf.multi_cell(
            width, 1, text, align="L", dry_run=True, output=MethodReturnValue.LINES
        )
        assert isinstance(lines, list)
        return lines

    def _shortened(self, lines: list[str], width: float) -> str:
        text = " ".join(lines)
        while len(self._lines(text + "…", width)) > len(lines):
            text = text[:-1]
        return text + "…"


def _line_height(size: float) -> float:
    return size * _MM_PER_POINT * _LEADING


def _ems(width: float, size: float) -> float:
    """A length in thousandths of the type size."""
    return width / (size * _MM_PER_POINT) * 1000
