"""Each test input of the README, as its traveler reads it. All begin together: waiting for one is waiting for all."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from local.paths import ROOT
from tests.browser.traveler import END, Traveler, Window, some_address

pytestmark = pytest.mark.timeout(400)

CONFIRMED = [
    *("tok_ok", "tok_pending", "tok_timeout", "tok_flaky", "tok_twice", "tok_late"),
    *("tok_wrong_reference", "PEN", "TMO", "FLK", "TWI", "LAT"),
]
REFUNDED = ["tok_refund_pending", "tok_refund_timeout"]
OTHERS = [
    *("tok_declined", "REJ", "tok_wrong_amount", "tok_wrong_currency", "tok_refund_rejected"),
    *("NOC", "CXL", "tok_lost", "tok_undecided", "tok_refund_late_failure"),
]
INPUT = re.compile(r"^\| (`(?:tok_\w+|[A-Z]{3}-)`(?:, `tok_\w+`)*) \|", re.MULTILINE)

Tabs = dict[str, Traveler]


@pytest.fixture(scope="module")
def tabs(browser: Any, stack: dict[str, Any]) -> Iterator[Tabs]:
    """A tab for each input, with its reservation accepted."""
    with closing(browser.new_context(locale="es-ES")) as context:
        context.clock.install()
        window = Window(context, stack["web_url"])
        tabs = {name: filled(window.open(), name) for name in CONFIRMED + REFUNDED + OTHERS}
        for tab in tabs.values():
            tab.pay()
        for tab in tabs.values():
            tab.accepted()
        cancel(tabs["tok_refund_late_failure"])  # it ends last
        yield tabs


def filled(tab: Traveler, name: str) -> Traveler:
    card = name if name.startswith("tok_") else "tok_ok"
    tab.choose() if card == name else tab.choose_trial(name)
    tab.type(email=some_address(), card=card)
    return tab


def wait(tab: Traveler, seen: Callable[[], bool], patience: int = END) -> None:
    """Wait for the stack, and let the page ask again sooner than its clock says."""
    for _ in range(patience // 2_000):
        if seen():
            return
        tab.page.wait_for_timeout(2_000)
        tab.page.clock.fast_forward(5_000)
    raise AssertionError(tab.page.locator("article").inner_text())


def returned(tab: Traveler) -> str:
    """Let the page read the reservation again, as after a return to its tab."""
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    return words(tab.page.locator("article"))


def words(article: Any) -> str:
    return str(article.inner_text()).replace("\N{NO-BREAK SPACE}", " ")


def reads(tab: Traveler, status: str, text: str = "") -> None:
    article = tab.page.locator("article")
    wait(
        tab,
        lambda: article.get_attribute("data-status") == status and text in words(article),
    )


def cancel(tab: Traveler) -> None:
    reads(tab, "CONFIRMADA")
    tab.part("cancel").click()
    tab.page.get_by_role("button", name="Sí, cancelarla").click()


def test_every_input_of_the_readme_is_tried() -> None:
    rows = " ".join(INPUT.findall((ROOT / "README.md").read_text("utf-8")))

    assert set(re.findall(r"\w+", rows)) == {*CONFIRMED, *REFUNDED, *OTHERS, "HTL"}


@pytest.mark.parametrize("name", CONFIRMED)
def test_a_reservation_that_ends_well_has_its_voucher(tabs: Tabs, name: str) -> None:
    reads(tabs[name], "CONFIRMADA", "Abrir el bono")
    assert tabs[name].errors == []


def test_a_declined_card_asks_for_another(tabs: Tabs) -> None:
    reads(tabs["tok_declined"], "RECHAZADA", "Tu banco no aceptó el pago.")
    assert tabs["tok_declined"].part("refund").is_hidden()


def test_a_hotel_without_room_returns_the_money(tabs: Tabs) -> None:
    reads(tabs["REJ"], "RECHAZADA", "Te hemos devuelto 90,00 €.")
    tabs["REJ"].sees("El hotel ya no tiene sitio esos días.")


@pytest.mark.parametrize("name", ["tok_wrong_amount", "tok_wrong_currency"])
def test_a_payment_that_does_not_add_up_names_a_person(tabs: Tabs, name: str) -> None:
    reads(tabs[name], "EN PROCESO", "Una persona está revisando tu reserva.")
    assert tabs[name].page.get_by_role("link", name="soporte@example.com").is_visible()


@pytest.mark.parametrize("name", REFUNDED)
def test_a_cancelled_reservation_is_refunded(tabs: Tabs, name: str) -> None:
    cancel(tabs[name])
    reads(tabs[name], "CANCELADA", "Te hemos devuelto 342,50 €.")
    tabs[name].sees("La cancelaste tú.")


def test_a_refused_refund_is_in_the_hands_of_a_person(tabs: Tabs) -> None:
    cancel(tabs["tok_refund_rejected"])
    reads(tabs["tok_refund_rejected"], "EN CANCELACION", "Una persona se ocupa de devolverte")


def test_a_refund_that_fails_later_and_again_calls_a_person(tabs: Tabs) -> None:
    tab = tabs["tok_refund_late_failure"]

    def ended() -> bool:
        shown = returned(tab)
        return "Te devolvemos 342,50 €." in shown and "Una persona está revisando" in shown

    wait(tab, ended, 2 * END)


def test_a_hotel_that_cannot_cancel_calls_a_person(tabs: Tabs) -> None:
    cancel(tabs["NOC"])
    reads(tabs["NOC"], "EN CANCELACION", "Una persona está revisando tu reserva.")


def test_a_payment_that_never_arrives_expires(tabs: Tabs) -> None:
    reads(tabs["tok_lost"], "EXPIRADA", "El pago no se completó a tiempo")


def test_a_hotel_that_cancels_is_read_on_return(tabs: Tabs) -> None:
    tab = tabs["CXL"]

    def cancelled() -> bool:
        return "El hotel la ha cancelado." in returned(tab)

    wait(tab, cancelled)


def test_an_undecided_payment_ends_after_a_click(tabs: Tabs) -> None:
    tab = tabs["tok_undecided"]

    def expired() -> bool:
        if tab.part("refresh").is_visible():
            tab.part("refresh").click()
        return bool(tab.page.locator("article").get_attribute("data-status") == "EXPIRADA")

    wait(tab, expired)
