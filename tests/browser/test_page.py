"""A traveler's way through the page: choose, pay, follow, open the voucher, cancel."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from tests.browser.traveler import Answer, Traveler, Window, changed, some_address
from tests.e2e.backstage import Backstage
from tests.e2e.travel import eventually


def reservations_of(backstage: Backstage, email: str) -> int:
    sql = "SELECT COUNT(*) AS number FROM customer WHERE email = :email"
    return int(backstage.rows(sql, email=email)[0]["number"])


def charges_of(backstage: Backstage, email: str) -> int:
    sql = (
        "SELECT COUNT(*) AS number FROM customer JOIN provider_call USING (reservation_id)"
        " WHERE email = :email AND operation = 'charge'"
    )
    return int(backstage.rows(sql, email=email)[0]["number"])


CREATION, QUOTES = "**/v1/reservations", "**/quotes"


def lose(route: Any) -> None:
    """Let the request arrive, and lose its answer."""
    route.fetch()
    route.abort()


def problem(code: str, status: int, **members: Any) -> Answer:
    usual = {"retryable": True, "retry_after_s": 5, "effect": "none", "errors": []}
    body = json.dumps({"code": code, **usual, **members})
    return lambda route: route.fulfill(status=status, body=body, content_type="application/json")


def test_a_traveler_reserves_follows_opens_the_voucher_and_cancels(traveler: Traveler) -> None:
    traveler.reserve()
    traveler.reads("CONFIRMADA")
    traveler.sees("Tu reserva está confirmada")

    with traveler.page.expect_download() as voucher:
        traveler.part("voucher").click()
    assert voucher.value.path().read_bytes().startswith(b"%PDF")

    traveler.part("cancel").click()
    traveler.page.get_by_role("button", name="Sí, cancelarla").click()
    traveler.reads("CANCELADA")
    traveler.sees("Te hemos devuelto 342,50 €")
    assert traveler.part("cancel").is_hidden()
    assert traveler.errors == []


def test_a_cancellation_that_is_not_confirmed_changes_nothing(traveler: Traveler) -> None:
    traveler.reserve()
    asked = []
    traveler.page.on("request", lambda request: asked.append(request.url))

    traveler.part("cancel").click()
    traveler.page.get_by_role("button", name="No, conservarla").click()

    traveler.reads("CONFIRMADA")
    assert [url for url in asked if url.endswith("/cancel")] == []


def test_faults_stand_at_their_fields(traveler: Traveler) -> None:
    traveler.choose()
    traveler.type(email="ana@@example", phone="600", name="www.example.com")
    traveler.pay()

    traveler.sees("Revisa estos datos")
    shown = {name: traveler.page.locator(f"#{name}-fault").inner_text() for name in FIELDS}
    assert shown == FIELDS
    assert traveler.page.locator("[aria-invalid=true]").count() == len(FIELDS)
    traveler.page.get_by_role("link", name="Correo electrónico").click()
    assert traveler.page.evaluate("document.activeElement.id") == "email"


FIELDS = {
    "full_name": "Escribe solo el nombre, sin direcciones.",
    "email": "Escribe un correo como ana@example.com.",
    "phone": "Escribe el teléfono con el prefijo del país, como +34 600 111 222.",
}


def test_empty_fields_are_found_without_a_request(traveler: Traveler) -> None:
    traveler.choose()
    asked = []
    traveler.page.on("request", lambda request: asked.append(request.url))

    traveler.pay()

    traveler.sees("Revisa estos datos")
    assert traveler.page.locator("#email-fault").inner_text() == "Escribe este dato."
    assert asked == []


def test_a_declined_card_can_be_replaced(traveler: Traveler, backstage: Backstage) -> None:
    email = some_address()
    declined = traveler.reserve(email=email, card="tok_declined")
    traveler.reads("RECHAZADA")

    traveler.page.get_by_role("button", name="Intentarlo otra vez").click()
    traveler.page.locator("#card").select_option("tok_ok")
    traveler.pay()

    traveler.reads("CONFIRMADA")
    assert traveler.accepted() != declined
    assert reservations_of(backstage, email) == 2


# --- one reservation, whatever happens on the way


def test_a_double_click_reserves_once(traveler: Traveler, backstage: Backstage) -> None:
    email = some_address()
    traveler.choose()
    traveler.type(email=email)

    traveler.part("pay").dblclick()

    traveler.accepted()
    assert reservations_of(backstage, email) == 1


def test_a_reload_while_the_request_is_under_way_reserves_once(
    traveler: Traveler, backstage: Backstage
) -> None:
    email, arrived = some_address(), []
    traveler.choose()
    traveler.type(email=email)
    traveler.page.route(
        "**/v1/reservations", lambda route: arrived.append(route.fetch().json()), times=1
    )
    traveler.pay()
    traveler.waits_until(lambda: bool(arrived))

    traveler.page.reload()

    assert traveler.accepted() == arrived[0]["reservation_code"]
    assert reservations_of(backstage, email) == 1


def test_the_back_button_leads_to_the_same_reservation(
    traveler: Traveler, backstage: Backstage
) -> None:
    email = some_address()
    first = traveler.reserve(email=email)

    traveler.page.go_back()
    traveler.page.locator("#email").wait_for()
    traveler.pay()

    assert traveler.accepted() == first
    traveler.sees("Ya habías hecho esta reserva.")
    assert reservations_of(backstage, email) == 1


def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    traveler: Traveler, backstage: Backstage
) -> None:
    email, lost = some_address(), []
    traveler.page.clock.install()
    traveler.choose()
    traveler.type(email=email)

    def lose(route: Any) -> None:
        lost.append(route.fetch().json()["reservation_code"])
        route.abort()

    traveler.page.route("**/v1/reservations", lose, times=1)
    traveler.pay()
    traveler.sees("Seguimos intentándolo con la misma clave")
    traveler.page.clock.fast_forward(2_000)

    assert traveler.accepted() == lost[0]
    assert reservations_of(backstage, email) == 1


def test_a_network_that_is_gone_sends_nothing_and_frees_the_form(
    traveler: Traveler, backstage: Backstage
) -> None:
    email = some_address()
    traveler.page.clock.install()
    traveler.choose()
    traveler.type(email=email)
    traveler.page.context.set_offline(True)
    traveler.pay()
    for _ in range(6):
        traveler.page.clock.fast_forward(60_000)
    traveler.sees("No hay conexión.")
    assert traveler.page.locator("#email").is_enabled()

    traveler.page.context.set_offline(False)
    traveler.pay()

    traveler.accepted()
    assert reservations_of(backstage, email) == 1


REFUSALS = {
    "gateway_timeout": problem("gateway_timeout", 503, effect="unknown"),
    "service_unavailable": problem("service_unavailable", 503),
    "request_in_flight": problem("request_in_flight", 409, retry_after_s=1),
    "rate_limited": problem("rate_limited", 429),
    "quota_exceeded": problem("quota_exceeded", 429, retry_after_s=3600),
    "unauthorized": problem("unauthorized", 401, retryable=False, retry_after_s=None),
    "no problem": lambda route: route.fulfill(status=403, body="Forbidden"),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_after_a_lost_answer_keeps_the_form_for_the_same_request(
    traveler: Traveler, backstage: Backstage, refusal: Answer
) -> None:
    email = some_address()
    traveler.choose()
    traveler.type(email=email)
    traveler.page.route(CREATION, refusal)
    traveler.page.route(CREATION, lose, times=1)
    traveler.pay()
    traveler.gives_up()
    assert traveler.page.locator("#phone").is_disabled()

    traveler.page.reload()
    traveler.gives_up()
    assert traveler.page.locator("#phone").is_disabled()
    traveler.page.unroute(CREATION, refusal)
    traveler.page.get_by_role("button", name="Reintentar").click()

    traveler.accepted()
    traveler.reads("CONFIRMADA")
    assert reservations_of(backstage, email) == 1
    assert charges_of(backstage, email) == 1


def test_a_lost_answer_is_found_without_a_new_quote(
    traveler: Traveler, backstage: Backstage
) -> None:
    email = some_address()
    traveler.choose()
    traveler.type(email=email)
    traveler.page.route(CREATION, lose, times=1)
    traveler.pay()
    traveler.sees("Seguimos intentándolo con la misma clave")

    traveler.page.route(QUOTES, not_sold)
    traveler.page.evaluate("dispatchEvent(new Event('online'))")

    traveler.accepted()
    traveler.reads("CONFIRMADA")
    assert reservations_of(backstage, email) == 1
    assert charges_of(backstage, email) == 1


def test_a_sale_without_a_quote_is_not_sent(traveler: Traveler, backstage: Backstage) -> None:
    email, sent = some_address(), []
    traveler.choose()
    traveler.type(email=email)
    traveler.page.on("request", lambda each: sent.append(each.url) if each.post_data else None)
    traveler.page.route(QUOTES, lambda route: route.abort())
    traveler.pay()
    traveler.sees("Seguimos intentándolo con la misma clave")
    traveler.page.evaluate("dispatchEvent(new Event('online'))")
    traveler.page.wait_for_timeout(300)

    traveler.page.unroute(QUOTES)
    traveler.page.evaluate("dispatchEvent(new Event('online'))")

    traveler.accepted()
    creations = [url for url in sent if url.endswith("/v1/reservations")]
    assert len(creations) == 1
    assert charges_of(backstage, email) == 1


def test_an_attempt_that_never_arrived_is_settled_by_its_own_key(
    traveler: Traveler, backstage: Backstage
) -> None:
    email = some_address()
    traveler.choose()
    traveler.type(email=email)
    traveler.page.route(CREATION, lambda route: route.abort(), times=1)
    traveler.pay()
    traveler.sees("Seguimos intentándolo con la misma clave")

    traveler.page.route(QUOTES, not_sold)
    traveler.page.evaluate("dispatchEvent(new Event('online'))")

    traveler.sees("El precio de esta oferta ha cambiado.")
    assert traveler.page.locator("#phone").is_enabled()
    assert reservations_of(backstage, email) == 0


def not_sold(route: Any) -> None:
    route.fulfill(status=422, json={"error": {"code": "not_our_price"}})


def test_a_cancellation_without_a_sure_answer_is_not_denied(traveler: Traveler) -> None:
    traveler.reserve()
    traveler.reads("CONFIRMADA")
    traveler.page.route("**/cancel", REFUSALS["gateway_timeout"])
    traveler.part("cancel").click()
    traveler.page.get_by_role("button", name="Sí, cancelarla").click()

    traveler.gives_up("fault")
    traveler.sees("No sabemos si se ha hecho.")


def test_a_form_that_waits_for_a_day_is_sent_with_its_key(
    traveler: Traveler, backstage: Backstage
) -> None:
    email = some_address()
    traveler.choose()
    traveler.type(email=email)
    traveler.page.route(CREATION, lambda route: route.abort())
    traveler.page.route(CREATION, lose, times=1)
    traveler.pay()
    traveler.gives_up()
    traveler.page.unroute(CREATION)
    traveler.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=2))

    traveler.page.get_by_role("button", name="Reintentar").click()

    traveler.accepted()
    assert reservations_of(backstage, email) == 1


def test_an_equal_payment_under_way_leads_to_its_reservation(traveler: Traveler) -> None:
    other = traveler.reserve()
    known = problem("payment_in_progress", 409, retryable=False, reservation_code=other)
    traveler.page.route(CREATION, known)
    traveler.page.go_back()
    traveler.page.locator("#phone").fill("+34 600 111 222")
    traveler.pay()
    traveler.sees("Ya hay una reserva igual")

    traveler.page.get_by_role("link", name=f"Ver la reserva {other}").click()

    traveler.reads("CONFIRMADA")
    assert traveler.accepted() == other


def test_each_way_to_reach_support_is_a_link(traveler: Traveler) -> None:
    contact = "+34 910 000 000 · ayuda@viajes.example, de 9 a 21 h"
    troubled = changed(requires_support=True, support_contact=contact)
    traveler.page.route("**/v1/reservations/*", troubled)

    traveler.reserve()

    traveler.sees(contact)
    links = traveler.part("support").locator("a")
    assert links.evaluate_all("links => links.map(({ href }) => href)") == [
        "tel:+34910000000",
        "mailto:ayuda@viajes.example",
    ]


def test_two_tabs_with_the_same_content_reserve_once(window: Window, backstage: Backstage) -> None:
    email = some_address()
    tabs = [window.open(), window.open()]
    for tab in tabs:
        tab.choose()
        tab.type(email=email)

    for tab in tabs:
        tab.part("pay").click(no_wait_after=True)

    assert len({tab.accepted() for tab in tabs}) == 1
    assert reservations_of(backstage, email) == 1


def test_another_content_is_another_reservation(traveler: Traveler, backstage: Backstage) -> None:
    email = some_address()
    traveler.reserve(email=email)
    traveler.page.go_back()
    traveler.page.locator("#phone").fill("+34 600 111 222")
    traveler.pay()
    traveler.accepted()

    assert reservations_of(backstage, email) == 2


def test_a_traveler_may_want_another_one_like_it(traveler: Traveler, backstage: Backstage) -> None:
    email = some_address()
    first = traveler.reserve(email=email)
    traveler.page.go_back()
    traveler.pay()
    traveler.page.get_by_role("button", name="Quiero otra igual").click()
    traveler.pay()

    traveler.page.wait_for_function("code => !location.search.includes(code)", arg=first)
    traveler.accepted()
    assert reservations_of(backstage, email) == 2


# --- waiting


def test_after_two_minutes_the_page_promises_a_mail(window: Window) -> None:
    window.context.clock.install()
    traveler = window.open()
    traveler.reserve(card="tok_undecided")
    traveler.reads("EN PROCESO")
    assert traveler.part("mail").is_hidden()

    traveler.page.clock.fast_forward(125_000)

    traveler.sees("te avisaremos por correo")


def test_the_page_asks_when_retry_after_says_and_with_the_etag(window: Window) -> None:
    window.context.clock.install()
    traveler = window.open()
    traveler.reserve(card="tok_undecided")
    traveler.reads("EN PROCESO")
    with traveler.page.expect_response("**/v1/reservations/*") as answer:
        traveler.page.clock.fast_forward(3_000)

    assert answer.value.request.headers["if-none-match"].startswith('W/"')
    assert answer.value.status in (200, 304)


def test_a_connection_that_returns_goes_on_at_once(window: Window) -> None:
    window.context.clock.install()
    traveler = window.open()
    traveler.reserve()
    window.context.set_offline(True)
    traveler.page.clock.fast_forward(70_000)
    traveler.sees("Sin conexión. Lo seguimos intentando.")

    window.context.set_offline(False)

    traveler.reads("CONFIRMADA")
    assert traveler.part("fault").is_hidden()


# --- the way back


def test_a_reservation_survives_a_reload(traveler: Traveler) -> None:
    code = traveler.reserve()

    traveler.page.reload()

    traveler.reads("CONFIRMADA")
    assert traveler.part("code").inner_text() == code


def test_the_link_of_a_mail_acts_on_a_click_only(window: Window) -> None:
    traveler = window.open()
    code = traveler.reserve()
    token = traveler.page.evaluate(f"JSON.parse(sessionStorage['reservation {code}']).token")

    reader = window.open()
    asked: list[str] = []
    reader.page.on("request", lambda request: asked.append(request.url))
    reader.page.goto("about:blank")
    reader.page.goto(f"{window.url}#code={code}&token={token}")
    reader.sees("Ver mi reserva")

    assert token not in reader.page.url
    assert [url for url in asked if "/v1/" in url] == []
    reader.page.reload()
    reader.page.get_by_role("button", name="Ver mi reserva").click()
    reader.reads("CONFIRMADA")
    assert reader.part("again").is_hidden()
    reader.page.go_back()
    assert reader.page.url == "about:blank"


def test_code_and_address_bring_a_link_that_opens_the_reservation(
    window: Window, backstage: Backstage
) -> None:
    email = some_address()
    code = window.open().reserve(email=email)
    loser = window.open("?view=find")

    loser.page.locator("#find-code").fill(code.lower())
    loser.page.locator("#find-email").fill(email)
    loser.page.get_by_role("button", name="Enviarme el enlace").click()

    loser.sees("Si el código y el correo coinciden")
    mail = eventually(lambda: link_to(code, backstage.mails(email)), of="a mail with the link")
    [address] = set(re.findall(r'href="[^"]*(#code=[^"]+)"', html_of(mail)))
    reader = window.open(html.unescape(address))
    reader.page.get_by_role("button", name="Ver mi reserva").click()
    reader.reads("CONFIRMADA")
    assert reader.accepted() == code


def link_to(code: str, mails: list[EmailMessage]) -> EmailMessage | None:
    subject = f"El enlace a tu reserva {code}"
    return next((mail for mail in mails if subject in mail["Subject"]), None)


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def test_a_malformed_code_is_a_fault_at_its_field(traveler: Traveler) -> None:
    traveler.page.get_by_role("link", name="Mi reserva").click()
    traveler.page.locator("#find-code").fill("7KQ2M")
    traveler.page.locator("#find-email").fill(some_address())
    traveler.page.get_by_role("button", name="Enviarme el enlace").click()

    traveler.page.locator("#find-code[aria-invalid=true]").wait_for()
    assert traveler.page.locator("#find-code-fault").inner_text()


def test_a_reservation_without_its_token_leads_to_the_way_back(window: Window) -> None:
    code = window.open().reserve()

    stranger = window.open(f"?reservation={code}")

    stranger.sees("Recupera tu reserva")
    filled = "code => document.querySelector('#find-code').value === code"
    stranger.page.wait_for_function(filled, arg=code)


def test_no_request_has_a_referrer(traveler: Traveler) -> None:
    sent: list[str | None] = []
    traveler.page.on("request", lambda request: sent.append(request.headers.get("referer")))

    traveler.reserve()

    assert sent
    assert not any(sent)


# --- for everybody


def test_the_page_speaks_english(traveler: Traveler) -> None:
    traveler.page.get_by_role("button", name="English").click()

    traveler.reserve()

    traveler.reads("CONFIRMADA")
    traveler.sees("Your booking is confirmed")
    assert traveler.page.title() == "Your booking · Reservas"
    assert traveler.page.locator("html").get_attribute("lang") == "en"


def test_a_keyboard_is_enough(traveler: Traveler) -> None:
    keyboard = traveler.page.keyboard
    traveler.tabs_to("button", "Elegir Hotel Sol")
    keyboard.press("Enter")
    assert traveler.focused() == "Tus datos y el pago"
    traveler.tabs_to("input", "")
    keyboard.type("Ana Pérez")
    keyboard.press("Tab")
    keyboard.type(some_address())
    keyboard.press("Enter")

    traveler.accepted()
    traveler.reads("CONFIRMADA")
    traveler.tabs_to("button", "Cancelar la reserva")
    keyboard.press("Enter")
    assert traveler.focused() == "No, conservarla"
    keyboard.press("Escape")
    assert traveler.focused() == "Cancelar la reserva"


def test_a_screen_reader_hears_the_end(traveler: Traveler) -> None:
    traveler.reserve()
    traveler.reads("CONFIRMADA")

    assert traveler.page.get_by_role("status").filter(has_text="Tu reserva está confirmada").count()
