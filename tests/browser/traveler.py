"""Travelers who use the page: they read its text and press its buttons."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.travel import SENT

SOON = 60_000  # milliseconds: a saturated machine must not fail for that
END = 150_000
CODE = re.compile(r"\?reservation=([2-9A-HJKMNP-Z-]{13})")

Answer = Callable[[Any], object]  # of a Playwright route


def some_address() -> str:
    return f"ana.{uuid.uuid4().hex}@example.com"


def changed(**members: Any) -> Answer:
    """Answer a reading with other members."""

    def answer(route: Any) -> None:
        read = route.fetch()
        changes = {"json": {**read.json(), **members}} if read.status == 200 else {}
        route.fulfill(response=read, **changes)

    return answer


@dataclass(frozen=True)
class Window:
    """Tabs of one browser."""

    context: Any
    url: str

    def open(self, address: str = "") -> "Traveler":
        """Open a tab, at an address after the page's own."""
        page = self.context.new_page()
        page.set_default_timeout(SOON)
        traveler = Traveler(page, self.url)
        page.on("pageerror", lambda error: traveler.errors.append(str(error)))
        page.goto(self.url + address)
        return traveler


@dataclass(frozen=True)
class Traveler:
    """A tab of the page, and the traveler before it."""

    page: Any
    url: str
    errors: list[str] = field(default_factory=list)

    def choose(self, hotel: str = "Hotel Sol") -> None:
        self.page.get_by_role("button", name=re.compile(hotel)).click()

    def choose_trial(self, prefix: str) -> None:
        self.page.locator(".trials summary").click()
        self.page.locator(f'[data-trial="{prefix}"]').click()

    def type(self, *, email: str, name: str = "Ana Pérez", phone: str = "", card: str = "") -> None:
        SENT[f"email {email}"] = email
        self.page.locator("#full_name").fill(name)
        self.page.locator("#email").fill(email)
        self.page.locator("#phone").fill(phone)
        if card:
            self.page.locator("#card").select_option(card)

    def pay(self) -> None:
        self.part("pay").click()

    def accepted(self) -> str:
        """Wait for the reservation, and return its code."""
        self.page.wait_for_url(CODE)
        [code] = CODE.findall(self.page.url)
        return str(code)

    def reads(self, status: str) -> None:
        """Wait until the page shows the reservation in this status."""
        self.page.locator(f'article[data-status="{status}"]').wait_for(timeout=END)

    def sees(self, text: str) -> None:
        self.page.locator(":visible", has_text=text).first.wait_for()

    def part(self, name: str) -> Any:
        return self.page.locator(f'section:visible [data-part="{name}"]')

    def waits_until(self, seen: Callable[[], bool]) -> None:
        """Let the browser work until `seen` is true."""
        for _ in range(SOON // 50):
            if seen():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("it did not happen")

    def gives_up(self, notice: str = "problem") -> None:
        """Let no repeat of a request wait, until the page gives up and says so."""

        def told() -> bool:
            self.page.evaluate("dispatchEvent(new Event('online'))")
            return bool(self.part(notice).is_visible())

        self.waits_until(told)

    def focused(self) -> str:
        return str(self.page.evaluate("document.activeElement.textContent"))

    def tabs_to(self, tag: str, text: str) -> None:
        """Press Tab until such an element has the focus."""
        for _ in range(30):
            self.page.keyboard.press("Tab")
            if (self.page.evaluate("document.activeElement.localName"), self.focused()) == (
                tag,
                text,
            ):
                return
        raise AssertionError(f"Tab does not reach {text}")

    def reserve(self, *, email: str | None = None, card: str = "") -> str:
        """Choose, type, pay, and return the code."""
        self.choose()
        self.type(email=email or some_address(), card=card)
        self.pay()
        return self.accepted()
