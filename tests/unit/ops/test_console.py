"""The console lets one browser in, shows what `ops` knows, and asks before it acts."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ops.console.commands import ALLOWED, allowed
from ops.console.guard import COOKIE, Guard
from ops.console.pages import Console, make_app
from ops.logs import FileLogs
from reservations.domain.facts import Reason
from reservations.domain.money import Money
from tests.unit.ops.test_finding import Deployment, Services
from tests.unit.ops.test_ops import CUSTOMER, SHOWN, confirmed, keep
from tests.worlds.builders import RESERVATION_ID, a_booking, a_charge, a_reservation

HOST = "127.0.0.1:4000"
OWN = f"http://{HOST}"
HOSTILE = '<script>alert(1)</script><img src="https://evil.example/x">'


class OneMail:
    """A caught mail with a script in it, and one simulator."""

    def __init__(self) -> None:
        self.set: list[tuple[str, str]] = []

    def mails(self) -> Sequence[EmailMessage]:
        mail = EmailMessage()
        mail["Subject"], mail["To"] = "<b>Hello</b>", "ana@example.com"
        mail.set_content(HOSTILE, subtype="html")
        return [mail]

    def moods(self) -> Mapping[str, Sequence[str]]:
        return {"payments": ("ok", "outage")}

    def mood(self, simulator: str) -> str:
        return "outage"

    def set_mood(self, simulator: str, mood: str) -> None:
        self.set.append((simulator, mood))


class Desk(Deployment):
    def logs(self) -> Any:
        return FileLogs(Path("/nowhere"))

    def document_store(self) -> Any:
        return self.services.document_store


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
def backstage() -> OneMail:
    return OneMail()


@pytest.fixture
def stranger(services: Services, guard: Guard, backstage: OneMail) -> FlaskClient:
    """A browser without the cookie."""
    desk = Desk(services, stack="reservations-test")
    app = make_app(Console(desk, "guardia", backstage), guard)
    return app.test_client()


@pytest.fixture
def browser(stranger: FlaskClient, guard: Guard) -> FlaskClient:
    """The browser that opened the printed address."""
    assert get(stranger, f"/?token={guard.token}").status_code == 303
    return stranger


def get(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    return client.get(path, headers=headers, base_url=OWN, buffered=True)


def post(client: FlaskClient, path: str, origin: str | None = OWN, **form: str) -> TestResponse:
    headers = {"Origin": origin} if origin else {}
    return client.post(path, data=form, headers=headers, base_url=OWN)


# --- the door


def test_the_token_becomes_a_cookie_and_leaves_the_address(
    stranger: FlaskClient, guard: Guard
) -> None:
    answer = get(stranger, f"/?token={guard.token}")

    cookie = answer.headers["Set-Cookie"]
    assert answer.location == "/"
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert guard.token not in cookie
    assert get(stranger, "/").status_code == 200


def test_the_token_opens_once(browser: FlaskClient, guard: Guard) -> None:
    another = browser.application.test_client()

    assert get(another, f"/?token={guard.token}").status_code == 403
    assert get(another, "/").status_code == 403


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_a_wrong_token_opens_nothing(stranger: FlaskClient, guard: Guard, token: str) -> None:
    assert get(stranger, f"/?token={token}").status_code == 403
    assert get(stranger, f"/?token={guard.token}").status_code == 303


def pages(client: FlaskClient) -> list[str]:
    rules = client.application.url_map.iter_rules()
    values = {"code": SHOWN, "number": "0", "filename": "console.css"}
    return [
        re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], rule.rule)
        for rule in rules
        if "GET" in (rule.methods or ())
    ]


def test_no_page_opens_without_the_cookie(stranger: FlaskClient) -> None:
    assert len(pages(stranger)) > 8
    for path in pages(stranger):
        assert get(stranger, path).status_code == 403
        assert get(stranger, path, Cookie=f"{COOKIE}=guessed").status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4000", "127.0.0.1.evil.example:1"])
def test_a_foreign_host_is_refused(browser: FlaskClient, host: str) -> None:
    """A name of another site that leads to 127.0.0.1: DNS rebinding."""
    assert browser.get("/", base_url=f"http://{host}").status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:4001"])
def test_a_foreign_origin_is_refused(browser: FlaskClient, services: Services, origin: str) -> None:
    keep(services.database, confirmed())

    assert get(browser, "/", Origin=origin).status_code == 403
    assert post(browser, "/act", origin, command=f"nudge {SHOWN}").status_code == 403
    assert not [e for e in services.database.history[RESERVATION_ID] if "nudged" in e.event]


def test_an_act_without_an_origin_is_refused(browser: FlaskClient) -> None:
    assert post(browser, "/act", None, command=f"nudge {SHOWN}").status_code == 403


def test_every_answer_has_the_headers_of_a_closed_page(
    browser: FlaskClient, services: Services
) -> None:
    keep(services.database, confirmed())
    for path in pages(browser):
        headers = get(browser, path, Origin=OWN).headers
        policy = headers["Content-Security-Policy"]

        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert "frame-ancestors" in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert not [name for name, _ in headers if name.startswith("Access-Control")]


def test_a_mail_is_shown_in_a_sandbox_that_runs_and_fetches_nothing(browser: FlaskClient) -> None:
    page, body = get(browser, "/mails/0"), get(browser, "/mails/0/body")
    policy = body.headers["Content-Security-Policy"]

    assert "<iframe sandbox " in page.text
    assert "&lt;b&gt;Hello" in page.text
    assert "<script>" not in page.text
    assert policy.startswith("sandbox;")
    assert "img-src data:" in policy
    assert "allow-" not in policy + page.text


# --- the pages


def in_review() -> Any:
    return a_reservation(a_charge(money=Money(99900, "EUR")), a_booking(locator=HOSTILE))


def test_the_overview_offers_the_command_that_ends_a_review(
    browser: FlaskClient, services: Services
) -> None:
    keep(services.database, in_review())

    text = get(browser, "/").text

    assert "999.00 EUR" in text
    assert "--reason+paid" in text or "--reason%20paid" in text
    assert "operator:guardia" in text


def test_a_reservation_is_shown_without_personal_data_and_without_markup_of_others(
    browser: FlaskClient, services: Services
) -> None:
    keep(services.database, in_review())

    text = get(browser, f"/reservation/{SHOWN}").text

    assert "&lt;script&gt;" in text
    assert "<script" not in text
    for personal in (CUSTOMER.full_name, CUSTOMER.email, CUSTOMER.payment_token):
        assert personal
        assert personal not in text


def test_a_clue_leads_to_its_reservation(browser: FlaskClient, services: Services) -> None:
    keep(services.database, confirmed())

    answer = get(browser, f"/find?clue={SHOWN.lower()}")

    assert answer.location == f"/reservation/{SHOWN}"


def test_an_address_is_found_in_the_form_that_is_stored(browser: FlaskClient) -> None:
    answer = post(browser, "/find", address="ana@bücher.example")

    assert answer.location == f"/reservation/{SHOWN}"


def test_a_wrong_code_says_what_to_do(browser: FlaskClient) -> None:
    answer = get(browser, "/reservation/ABC")

    assert answer.status_code == 422
    assert "Read it again" in answer.text


@pytest.mark.parametrize(
    ("due_in_s", "read_again"), [(90, "90"), (1, "5"), (-60, "5"), (None, None)]
)
def test_a_page_is_read_again_when_its_reservation_is_due(
    browser: FlaskClient, services: Services, due_in_s: int | None, read_again: str | None
) -> None:
    due = None if due_in_s is None else services.database.now + timedelta(seconds=due_in_s)
    keep(services.database, a_reservation(a_charge(), next_check_at=due))

    shown = get(browser, f"/reservation/{SHOWN}").text

    again = re.search(r'http-equiv="refresh" content="(\d+)"', shown)
    assert (again and again[1]) == read_again


# --- acts


def test_an_act_is_asked_before_it_is_done(browser: FlaskClient, services: Services) -> None:
    keep(services.database, in_review())
    command = f"review resolve {SHOWN} --reason paid --evidence REF"

    asked = get(browser, f"/act?command={command}")

    assert "operator:guardia" in asked.text
    assert services.database.reservations[RESERVATION_ID].facts.accepted_minor is None

    done = post(browser, "/act", command=command, evidence="TICKET-5")

    assert "Done" in done.text
    assert services.database.reservations[RESERVATION_ID].facts.accepted_minor == 99900
    [line] = [e for e in services.database.history[RESERVATION_ID] if e.event == "review.resolved"]
    assert (line.actor, line.note) == ("operator:guardia", "paid TICKET-5")


def test_a_cancellation_that_the_page_asked_about_is_done(
    browser: FlaskClient, services: Services
) -> None:
    keep(services.database, a_reservation(a_charge()))

    done = post(browser, "/act", command=f"cancel {SHOWN}")

    assert "Done" in done.text
    reason = services.database.reservations[RESERVATION_ID].facts.reason
    assert reason is Reason.CUSTOMER_CANCELLED


def test_a_refused_act_says_why(browser: FlaskClient, services: Services) -> None:
    keep(services.database, confirmed())
    command = f"review resolve {SHOWN} --reason paid --evidence REF"

    done = post(browser, "/act", command=command, evidence="TICKET-5")

    assert "Refused" in done.text
    assert "not in review" in done.text


@pytest.mark.parametrize(
    "command",
    [
        f"erase {SHOWN}",
        "dlq drop --yes",
        f"nudge {SHOWN} --as boss",
        "--stage prod nudge",
        "nudge 'unclosed",
        "",
    ],
)
def test_no_other_command_is_run(browser: FlaskClient, command: str) -> None:
    assert allowed(command) is None
    assert post(browser, "/act", command=command).status_code == 404


def test_every_command_of_the_console_is_one_of_ops() -> None:
    from tests.unit.ops.test_ops import every_command

    assert set(ALLOWED) <= {" ".join(path) for path in every_command()}


def test_a_mood_is_set_only_where_there_is_one(browser: FlaskClient, backstage: OneMail) -> None:
    assert post(browser, "/moods", simulator="payments", mood="outage").status_code == 303
    assert post(browser, "/moods", simulator="payments", mood="lost").status_code == 404
    assert backstage.set == [("payments", "outage")]


def test_the_mood_of_now_is_shown_and_chosen(browser: FlaskClient) -> None:
    shown = get(browser, "/moods").text

    assert "Now: <b>outage</b>" in shown
    assert "<option selected>outage</option>" in shown
    assert "<option>ok</option>" in shown


def test_a_deployment_in_aws_has_neither_mails_nor_moods(services: Services) -> None:
    guard = Guard()
    app = make_app(Console(Deployment(services, stack="prod"), "guardia"), guard)
    browser = app.test_client()
    get(browser, f"/?token={guard.token}")

    assert get(browser, "/mails").status_code == 404
    assert get(browser, "/moods").status_code == 404
    assert "Simulators" not in get(browser, "/").text
