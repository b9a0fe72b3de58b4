"""Every view, narrow and wide, light and dark, in both languages: axe finds nothing, and nothing overflows.

The pictures are in `.local/page/`, for people to look at.
"""

from collections.abc import Callable
from typing import Any

import pytest

from local.paths import STATE
from tests.browser.traveler import Traveler, Window, changed, some_address

PICTURES = STATE / "page"
AXE = STATE / "node" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = {"phone": 320, "desktop": 1200}
RUN = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes.map(({html}) => html)]))"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", ["es", "en"])
def test_every_view_fits_and_is_accessible(window: Window, language: str) -> None:
    faults: dict[str, Any] = {}
    look = _looker(window, language, faults)
    window.context.clock.install()
    traveler = window.open()
    traveler.page.locator(f".languages [lang={language}]").click()
    look(traveler, "1-hotels")

    traveler.choose()
    look(traveler, "2-form")
    traveler.type(email="ana@@example", phone="600")
    traveler.pay()
    traveler.page.locator("[aria-invalid]").first.wait_for()
    look(traveler, "3-faults")

    traveler.type(email=some_address(), card="tok_undecided")
    window.context.set_offline(True)
    traveler.pay()
    for _ in range(6):
        traveler.page.clock.fast_forward(60_000)
    traveler.part("problem").wait_for()
    look(traveler, "4-offline")

    window.context.set_offline(False)
    traveler.pay()
    code = traveler.accepted()
    traveler.reads("EN PROCESO")
    traveler.page.clock.fast_forward(125_000)
    traveler.part("mail").wait_for()
    look(traveler, "5-in-progress")

    other = window.open()
    other.reserve(card="tok_declined")
    other.reads("RECHAZADA")
    look(other, "6-declined")

    happy = window.open()
    happy.reserve()
    happy.reads("CONFIRMADA")
    happy.part("voucher").wait_for()
    happy.page.locator("summary:visible").click()
    happy.page.locator("time").first.wait_for()
    look(happy, "7-confirmed")
    happy.part("cancel").click()
    look(happy, "8-sure")
    happy.page.locator("dialog .danger").click()
    happy.reads("CANCELADA")
    look(happy, "9-cancelled")

    link = f"#code={code}&token={token_of(traveler, code)}"
    look(window.open(link), "a-link")
    look(window.open("?view=find"), "b-find")

    find = window.open(f"?view=find&code={code}")
    find.page.locator("#find-email").fill("ana@@example")
    find.page.keyboard.press("Enter")
    find.page.locator("[aria-invalid]").first.wait_for()
    look(find, "c-find-faults")
    find.page.locator("#find-email").fill(some_address())
    find.page.keyboard.press("Enter")
    find.part("sent").wait_for()
    look(find, "d-find-sent")

    for view, members in ENDINGS.items():
        reader = window.open(link)
        reader.page.route(READINGS, changed(**members))
        reader.part("open").click()
        reader.reads(members["status"])
        reader.page.route(READINGS, lambda route: route.abort())
        reader.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        reader.part("fault").wait_for()
        look(reader, view)

    window.context.route("**/offers", lambda route: route.abort())
    closed = window.open()
    closed.part("fault").wait_for()
    look(closed, "g-no-hotels")
    assert faults == {}


READINGS = "**/v1/reservations/*"
CLOSED: dict[str, Any] = {"cancellable_until": None, "_links": {}}
ENDINGS: dict[str, dict[str, Any]] = {
    "e-expired": {**CLOSED, "status": "EXPIRADA", "closed_reason": "expired"},
    "f-cancelling": {
        **CLOSED,
        "status": "EN CANCELACION",
        "closed_reason": "cancelled_by_you",
        "refund": {"status": "failed", "amount": "342.50", "currency": "EUR"},
        "requires_support": True,
        "support_contact": "+34 910 000 000 · ayuda@viajes.example, de 9 a 21 h",
    },
}


def token_of(traveler: Traveler, code: str) -> str:
    return str(traveler.page.evaluate(f"JSON.parse(sessionStorage['reservation {code}']).token"))


def _looker(
    window: Window, language: str, faults: dict[str, Any]
) -> Callable[[Traveler, str], None]:
    axe = AXE.read_text()
    PICTURES.mkdir(exist_ok=True)

    def look(traveler: Traveler, view: str) -> None:
        page = traveler.page
        page.evaluate(axe)
        for size, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 800})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                name = f"{view}.{language}.{size}.{scheme}"
                page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
                found = page.evaluate(RUN)
                if (overflow := page.evaluate("document.documentElement.scrollWidth")) > width:
                    found.append(["overflow", overflow])
                if found:
                    faults[name] = found

    return look
