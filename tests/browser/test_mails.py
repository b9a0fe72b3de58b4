"""Every mail in both languages, narrow and wide, light and dark: it fits, and axe finds nothing.

The pictures are in `.local/mails/`, for people to look at.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest

from local.paths import STATE
from reservations.adapters.papers.mail_content import compose
from tests.browser.test_looks import AXE
from tools import mails

PICTURES = STATE / "mails"
WIDTHS = {"phone": 320, "desktop": 800}
RUN = (
    "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})"
    ".then(({violations}) => violations.map(({id, nodes}) => [id, nodes.map(({html}) => html)]))"
)
WORD = "K" * 120
HOSTILE = replace(
    mails.SAMPLES["confirmed"],
    guest=WORD,
    offer=replace(mails.SAMPLES["confirmed"].offer, description=WORD),
    supplier_locator=WORD,
    support_contact=WORD,
    issuer=WORD,
)


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    PICTURES.mkdir(exist_ok=True)
    with closing(browser.new_context(reduced_motion="reduce")) as context:
        yield context.new_page()


LONG = {"long_words.es": compose(HOSTILE, sender=mails.SENDER)}


@pytest.mark.parametrize(("name", "mail"), [*mails.composed(), *LONG.items()])
def test_a_mail_fits_and_is_accessible(page: Any, name: str, mail: EmailMessage) -> None:
    faults = {}
    page.set_content(mails.part(mail, "html"))
    page.evaluate(AXE.read_text())
    for size, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 600})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=PICTURES / f"{name}.{size}.{scheme}.png", full_page=True)
            found = page.evaluate(RUN) if size == "phone" else []  # a width changes no color
            if (overflow := page.evaluate("document.documentElement.scrollWidth")) > width:
                found.append(["overflow", overflow])
            if found:
                faults[f"{size}.{scheme}"] = found

    assert faults == {}
