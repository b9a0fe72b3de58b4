"""The voucher, and a fixed page of the same library and fonts as its yardstick."""

from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Any

from fpdf import FPDF

from reservations.adapters.papers.voucher_pdf import FpdfVoucherRenderer
from reservations.application.ports import Voucher
from reservations.domain.money import Money
from reservations.domain.reservation import Language
from tests.worlds.builders import an_offer

_FONTS: Any = files("voucher_fonts")
_LINES = 24  # texts of one line, about as many as a voucher has
VOUCHER = Voucher(
    code="6MWUT4A5HT4",
    language=Language.SPANISH,
    guest="Ana Pérez Núñez",
    offer=an_offer(description="Hotel Sol, habitación doble"),
    price=Money(34250, "EUR"),
    supplier_locator="SUP-84K2LQ",
    issued_on=date(2027, 3, 3),
    confirmed_at=datetime(2027, 3, 3, 14, 5, tzinfo=UTC),
    support_contact="+34 910 000 000",
)
_renderer = FpdfVoucherRenderer(on_boxes=lambda: None)


def voucher() -> bytes:
    return _renderer.render(VOUCHER)


def page() -> bytes:
    """An A4 page with the voucher's two fonts and a fixed number of lines, without measuring or wrapping."""
    pdf = FPDF(format="A4")
    for style, name in (("", "text.ttf"), ("B", "text-bold.ttf")):
        pdf.add_font("text", style, str(_FONTS / name))
    pdf.add_page()
    for line in range(_LINES):
        pdf.set_font("text", "" if line % 3 else "B", 11)
        pdf.set_xy(18, 20 + 9 * line)
        pdf.cell(text=f"Línea {line} de una página fija: habitación doble, 342,50 €")
    return bytes(pdf.output())
