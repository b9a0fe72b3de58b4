"""The voucher, read back from its PDF."""

import gc
import io
import logging
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pytest
import segno
from fontTools.ttLib import TTFont
from fpdf.fonts import SubsetMap
from pypdf import PageObject, PdfReader

from reservations.adapters.papers.faces import FONTS
from reservations.adapters.papers.typesetting import Typesetter
from reservations.adapters.papers.voucher_pdf import FpdfVoucherRenderer
from reservations.application.ports import Voucher
from reservations.domain.money import Money
from reservations.domain.reservation import Language
from tests.worlds.builders import an_offer

A_VOUCHER = Voucher(
    code="6MWUT4A5HT4",
    language=Language.SPANISH,
    guest="Ana Pérez Núñez",
    offer=an_offer(description="Hotel Sol, habitación doble"),
    price=Money(34250, "EUR"),
    supplier_locator="SUP-84K2LQ",
    issued_on=date(2027, 3, 3),
    confirmed_at=datetime(2027, 3, 3, 14, 5, tzinfo=UTC),
    support_contact="+34 910 000 000 · ayuda@viajes.example",
)


def a_renderer(fonts: Traversable = FONTS) -> FpdfVoucherRenderer:
    return FpdfVoucherRenderer(on_boxes=lambda: None, fonts=fonts)


@cache
def the_page(voucher: Voucher) -> PageObject:
    [page] = PdfReader(io.BytesIO(a_renderer().render(voucher))).pages
    return page


@cache
def text_of(voucher: Voucher) -> str:
    """The text of the only page, with each run of whitespace as one space."""
    return " ".join(the_page(voucher).extract_text().split())


def embedded_by(voucher: Voucher) -> list[Any]:
    page: Any = the_page(voucher)
    return [font.get_object() for font in page["/Resources"]["/Font"].values()]


def fonts_of(voucher: Voucher) -> list[str]:
    return sorted(str(font["/BaseFont"]).partition("+")[2] for font in embedded_by(voucher))


@pytest.mark.parametrize(
    "text",
    [
        "Bono de reserva",
        "6MWUT-4A5HT-4",
        "SUP-84K2LQ",
        "Ana Pérez Núñez",
        "Hotel Sol, habitación doble",
        "1 de mayo de 2027",
        "sábado",
        "4 de mayo de 2027",
        "martes",
        "342,50 €",
        "el 3 de marzo de 2027 a las 14:05 (UTC)",
        "hasta las 02:00 del sábado, 1 de mayo de 2027, hora de Madrid",
        "+34 910 000 000 · ayuda@viajes.example",
        "Emitido el 3 de marzo de 2027",
    ],
)
def test_a_spanish_voucher_shows_all_that_a_traveler_needs(text: str) -> None:
    assert text in text_of(A_VOUCHER)


def test_an_english_voucher_is_english_throughout() -> None:
    text = text_of(
        replace(
            A_VOUCHER,
            language=Language.ENGLISH,
            price=Money(134250, "GBP"),
            offer=an_offer(description="Sol"),
        )
    )

    for expected in ("Travel voucher", "1 May 2027", "Saturday", "£1,342.50", "Issued on 3 March"):
        assert expected in text
    for spanish in ("mayo", "Titular", "Condiciones", "bono"):
        assert spanish not in text


def test_nights_and_guests_are_counted() -> None:
    assert "Noches 3 Viajeros 2" in text_of(A_VOUCHER)


def test_a_voucher_issued_on_the_first_day_offers_no_cancellation() -> None:
    text = text_of(replace(A_VOUCHER, issued_on=A_VOUCHER.offer.starts_on))

    assert "ya no se puede cancelar" in text
    assert "Puedes cancelar" not in text


def test_the_page_is_a4() -> None:
    box = the_page(A_VOUCHER).mediabox

    assert (round(float(box.width)), round(float(box.height))) == (595, 842)


def drawn_modules(page: PageObject) -> set[tuple[int, int]]:
    """Return row and column of each dark module: the lowest boxes of the page."""
    content = page.get_contents()
    assert content is not None
    found = re.findall(rb"(\S+) (\S+) (\S+) (\S+) re", content.get_data())
    boxes = [tuple(map(float, box)) for box in found]
    module = min(abs(height) for *_, height in boxes)
    runs = [box for box in boxes if abs(abs(box[3]) - module) < module / 10]
    left, top = min(x for x, *_ in runs), max(y for _, y, *_ in runs)
    return {
        (round((top - y) / module), round((x - left) / module) + number)
        for x, y, width, _ in runs
        for number in range(round(width / module))
    }


def test_the_qr_code_holds_the_code_and_nothing_else() -> None:
    modules = segno.make_qr("6MWUT-4A5HT-4", error="m").matrix
    dark = {(i, j) for i, row in enumerate(modules) for j, value in enumerate(row) if value}

    assert drawn_modules(the_page(A_VOUCHER)) == dark


EXTREMES: dict[str, dict[str, Any]] = {
    "long words": {"guest": "W" * 120, "offer": an_offer(description="W" * 200)},
    "long text": {
        "guest": "de la Santísima Trinidad " * 5,
        "offer": an_offer(description="Hotel con vistas " * 12),
    },
    "emoji": {"guest": "👩🏽‍🚀" * 30, "offer": an_offer(description="🏖️" * 100)},
    "right to left": {"guest": "אבי לוי " * 15, "offer": an_offer(description="فندق الشمس " * 18)},
    "wide characters": {"guest": "田" * 120, "offer": an_offer(description="김" * 200)},
    "one of each": {"guest": "A", "offer": an_offer(description="B", guests=1)},
    "long references": {"support_contact": "x" * 300, "supplier_locator": "L" * 120},
    "large sums": {"price": Money(99999999999, "KWD")},
}


@pytest.mark.parametrize("change", EXTREMES.values(), ids=EXTREMES.keys())
def test_every_text_stays_in_its_place_on_one_page(change: dict[str, Any]) -> None:
    page = the_page(replace(A_VOUCHER, **change))
    places: list[tuple[float, float]] = []

    def note(text: str, _user: object, matrix: list[float], _font: object, _size: float) -> None:
        if text.strip():
            places.append((matrix[4], matrix[5]))

    text = page.extract_text(visitor_text=note)

    assert places
    assert all(0 < x < 595 and 30 < y < 842 for x, y in places)
    assert "6MWUT-4A5HT-4" in text
    sections = ["Localizador", "Titular", "Servicio", "Desde", "Importe", "Condiciones", "ayuda?"]
    assert [text.index(word) for word in sections] == sorted(map(text.index, sections))


@pytest.mark.parametrize("letter", ["Ж", "旅"])
@pytest.mark.parametrize("language", Language)
def test_a_long_issuer_does_not_run_into_the_title(language: Language, letter: str) -> None:
    starts: list[float] = []

    def note(text: str, _user: object, matrix: list[float], _font: object, _size: float) -> None:
        if letter in text:
            starts.append(matrix[4])

    voucher = replace(A_VOUCHER, language=language, issuer=" ".join([letter * 29] * 2))
    the_page(voucher).extract_text(visitor_text=note)

    title_ends = 275  # points: the wider title, in Spanish
    assert starts
    assert min(starts) > title_ends


def test_a_long_locator_is_never_cut() -> None:
    locator = "HOTELBEDS-1-9283746-XYZ-2027-AB-0123456789-0123456789"

    assert locator in text_of(replace(A_VOUCHER, supplier_locator=locator)).replace(" ", "")


@pytest.mark.parametrize(
    ("guest", "font"),
    [
        ("Zoë 🌻", "NotoEmoji"),
        ("אבי לוי", "DejaVuSans"),
        ("王小明", "WenQuanYiMicroHei"),
        ("김민준", "WenQuanYiMicroHei"),
        ("さくら", "WenQuanYiMicroHei"),
    ],
)
def test_a_name_embeds_the_font_that_can_show_it(guest: str, font: str) -> None:
    assert any(font in name for name in fonts_of(replace(A_VOUCHER, guest=guest)))
    assert "□" not in text_of(replace(A_VOUCHER, guest=guest))


def glyphs_of(guest: str) -> int:
    """Number of glyphs in the smallest font of a voucher, embedded only for its guest."""
    files = [
        font["/DescendantFonts"][0].get_object()["/FontDescriptor"]["/FontFile2"]
        for font in embedded_by(replace(A_VOUCHER, guest=guest))
    ]
    return min(len(TTFont(io.BytesIO(file.get_data())).getGlyphOrder()) for file in files)


def test_an_arabic_letter_takes_the_form_of_its_place_in_the_word() -> None:
    assert (
        glyphs_of("ععع") - glyphs_of("ع") == 2
    )  # 3 forms (initial, medial, final) against 1 (isolated)


def test_a_latin_name_embeds_only_the_two_small_fonts() -> None:
    assert fonts_of(A_VOUCHER) == ["DejaVuSansBold", "DejaVuSansBook"]


def test_a_character_that_no_font_has_is_a_box_and_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        text = text_of(replace(A_VOUCHER, guest="Ana \U00012000\U00012001"))

    assert "Ana □□" in text
    assert caplog.records == []


@pytest.mark.parametrize(
    "text",
    [
        "Hotel 5\N{VARIATION SELECTOR-16}\N{COMBINING ENCLOSING KEYCAP}",
        "Hotel Ritz™\N{VARIATION SELECTOR-16}",
        "Ⓜ\N{VARIATION SELECTOR-16} Sol",
        "Ana ©\N{VARIATION SELECTOR-16}",
        "👨\N{ZERO WIDTH JOINER}👩\N{ZERO WIDTH JOINER}👧",
    ],
    ids=ascii,
)
def test_a_joiner_or_a_selector_is_drawn_with_its_base(text: str) -> None:
    assert f"Servicio {text} Desde" in text_of(described(text))


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("Hotel \N{ZERO WIDTH JOINER}Sol", "Hotel Sol"),
        ("\N{VARIATION SELECTOR-16}Sol", "Sol"),
        ("Sol\N{HANGUL FILLER}", "Sol"),
        ("Sol\N{SOFT HYPHEN}", "Sol"),
    ],
    ids=ascii,
)
def test_a_character_that_is_never_seen_draws_nothing(text: str, drawn: str) -> None:
    assert f"Servicio {drawn} Desde" in text_of(described(text))


def described(text: str) -> Voucher:
    return replace(A_VOUCHER, offer=an_offer(description=text))


@pytest.fixture
def fonts_without_emoji(tmp_path: Path) -> Path:
    """The voucher's fonts, but for one: a text that needs it makes the libraries raise."""
    for font in FONTS.iterdir():
        if font.name != "emoji.ttf" and font.is_file():
            (tmp_path / font.name).symlink_to(str(font))
    return tmp_path


def test_a_text_that_cannot_be_drawn_gets_boxes_and_the_others_stay(
    fonts_without_emoji: Path,
) -> None:
    boxed: list[bool] = []
    renderer = FpdfVoucherRenderer(on_boxes=lambda: boxed.append(True), fonts=fonts_without_emoji)
    voucher = replace(A_VOUCHER, guest="王小明", offer=an_offer(description="Hotel 🌻™"))

    [page] = PdfReader(io.BytesIO(renderer.render(voucher))).pages

    text = page.extract_text()
    assert "Hotel □™" in text
    assert "王小明" in text
    assert boxed == [True]


def test_every_text_may_fail_to_be_drawn_at_once(fonts_without_emoji: Path) -> None:
    voucher = replace(A_VOUCHER, guest="Ana 🌻", offer=an_offer(description="Sol 🌻"))
    voucher = replace(voucher, supplier_locator="L 🌻", support_contact="ayuda 🌻")

    [page] = PdfReader(io.BytesIO(a_renderer(fonts_without_emoji).render(voucher))).pages

    text = page.extract_text()
    assert all(drawn in text for drawn in ("Ana □", "Sol □", "L □", "ayuda □"))


def test_a_text_drawn_with_boxes_is_logged_by_its_symbols_without_its_letters(
    caplog: pytest.LogCaptureFixture, fonts_without_emoji: Path
) -> None:
    name = "王 नि ☂ Ana 🌻™\N{VARIATION SELECTOR-16}"

    a_renderer(fonts_without_emoji).render(replace(A_VOUCHER, guest=name))

    lines: list[Any] = caplog.records
    assert {(line.message, line.kind, line.detail) for line in lines} == {
        ("voucher not drawn as written", "FileNotFoundError", "U+2602 U+FE0F U+1F33B")
    }


def test_memory_stays_flat_over_failing_drawings(
    caplog: pytest.LogCaptureFixture, fonts_without_emoji: Path
) -> None:
    # pytest would keep each line.
    caplog.set_level(logging.CRITICAL, logger="reservations.adapters.papers.voucher_pdf")
    renderer = a_renderer(fonts_without_emoji)

    def kept_after(renders: int) -> tuple[int, int]:
        for number in range(renders):
            renderer.render(replace(A_VOUCHER, guest=f"אבי 🌻 {number}"))
        gc.collect()
        fonts = sum(isinstance(thing, SubsetMap | Typesetter) for thing in gc.get_objects())
        return fonts, sys.getallocatedblocks()

    fonts_before, blocks_before = kept_after(20)
    fonts, blocks = kept_after(30)

    assert fonts == fonts_before
    assert blocks - blocks_before < 30 * 10


def test_a_name_is_drawn_as_plain_text() -> None:
    guest = "Ana {nb} **Pe\N{COMBINING ACUTE ACCENT}rez** \N{RIGHT-TO-LEFT OVERRIDE}(x)\n/y"

    assert "Ana {nb} **Pérez** (x) /y" in text_of(replace(A_VOUCHER, guest=guest))


def test_one_document_leaves_no_trace_in_the_next() -> None:
    renderer = a_renderer()
    first = renderer.render(A_VOUCHER)
    renderer.render(replace(A_VOUCHER, guest="Ζωή Жук 王 🌻 אבי"))

    assert renderer.render(A_VOUCHER) == first


_RENDER_ELSEWHERE = """
import sys
from tests.unit.adapters.test_voucher_pdf import A_VOUCHER, a_renderer, replace
sys.stdout.buffer.write(a_renderer().render(replace(A_VOUCHER, guest=sys.argv[1])))
"""


@pytest.mark.parametrize(
    "guest", ["Ana Pérez", "אבי لوي 王小明 🌻", "Ana ©\N{VARIATION SELECTOR-16}"]
)
def test_equal_vouchers_are_equal_bytes_in_any_process(guest: str) -> None:
    here = a_renderer().render(replace(A_VOUCHER, guest=guest))

    path = os.pathsep.join(filter(None, sys.path))
    elsewhere = subprocess.run(
        [sys.executable, "-c", _RENDER_ELSEWHERE, guest],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    ).stdout

    assert elsewhere == here


def test_the_file_has_the_date_of_its_voucher_and_no_name() -> None:
    reader = PdfReader(io.BytesIO(a_renderer().render(A_VOUCHER)))

    assert reader.metadata is not None
    assert reader.metadata.creation_date == datetime(2027, 3, 3, tzinfo=UTC)
    assert reader.metadata.title == "Bono de reserva 6MWUT-4A5HT-4"
    assert "Pérez" not in str(reader.metadata)
