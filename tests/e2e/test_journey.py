"""The whole journey over HTTP: every ending, with its money, voucher, mails and traces."""

import io
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pypdf import PdfReader

from reservations.adapters.aws.s3 import S3DocumentStore
from reservations.application.read_reservation import LINK_LIFETIME
from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json, Trip, a_request, depart, eventually

pytestmark = pytest.mark.timeout(300)

SUBJECTS = {
    "confirmed": "Reserva {code} confirmada",
    "payment_declined": "El pago de la reserva {code} no se aceptó",
    "not_available": "El hotel no tenía sitio: reserva {code}",
    "refunded": "Devolución hecha: reserva {code}",
    "expired": "La reserva {code} ha caducado",
}
CANARY = f"Canario{secrets.token_hex(6)}"  # part of a name and an address, found nowhere else
TRACE_ID = secrets.token_hex(16)
PHONE = f"+34{secrets.randbelow(10**9):09}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The ending that a token of the payments simulator, or an offer of the supplier's, leads to."""

    payment_token: str = "tok_ok"
    offer_id: str = "HTL-MAD-001"
    status: str = "CONFIRMADA"
    charges: int = 1
    mails: tuple[str, ...] = ("confirmed",)
    rejected: str = ""  # the letter of a rejection

    @property
    def is_confirmed(self) -> bool:
        return self.status == "CONFIRMADA"


ENDINGS = {
    "tok_ok and HTL-": Ending(),
    "tok_declined": Ending(
        payment_token="tok_declined",
        status="RECHAZADA",
        charges=0,
        mails=("rejected",),
        rejected="payment_declined",
    ),
    "tok_pending": Ending(payment_token="tok_pending"),
    "tok_timeout": Ending(payment_token="tok_timeout"),
    "tok_flaky": Ending(payment_token="tok_flaky"),
    "REJ-": Ending(
        offer_id="REJ-MAD-001",
        status="RECHAZADA",
        mails=("rejected", "refunded"),
        rejected="not_available",
    ),
    "PEN-": Ending(offer_id="PEN-MAD-001"),
    "TMO-": Ending(offer_id="TMO-MAD-001"),
    "FLK-": Ending(offer_id="FLK-MAD-001"),
}
each_ending = pytest.mark.parametrize("name", ENDINGS)


@pytest.fixture(scope="module")
def trips(api: httpx.Client) -> dict[str, Trip]:
    """All trips start at the same time, so that waiting for one is waiting for all."""
    lost = depart(api, a_request(payment_token="tok_lost"))
    trips = {name: _departed(api, ending) for name, ending in ENDINGS.items()}
    english = depart(api, a_request(), accept_language="en-GB,en;q=0.9,es;q=0.5")
    return trips | {"tok_lost": lost, "English": english}


def _departed(api: httpx.Client, ending: Ending) -> Trip:
    request = a_request(
        payment_token=ending.payment_token,
        customer={"full_name": f"Ana {CANARY}", "phone": PHONE},
        offer={"offer_id": ending.offer_id},
    )
    request["customer"]["email"] = f"{CANARY}.{request['customer']['email']}"
    return depart(api, request, traceparent=f"00-{TRACE_ID}-{secrets.token_hex(8)}-01")


@pytest.fixture(scope="module")
def confirmed(trips: dict[str, Trip]) -> Trip:
    trip = trips["tok_ok and HTL-"]
    trip.documented()
    return trip


@pytest.fixture(scope="module", autouse=True)
def early_link(confirmed: Trip) -> str:
    """A link to the voucher, made early so that it is old when a test needs an old one."""
    return str(confirmed.get("/voucher").headers["Location"])


# --- how trips end --------------------------------------------------------------------------------


@each_ending
def test_a_trip_ends_as_its_providers_decide(trips: dict[str, Trip], name: str) -> None:
    ending = ENDINGS[name]

    reading = trips[name].ended(ending.status)

    assert reading["progress"] == {
        "code": "done",
        "payment": "done" if ending.charges else "failed",
        "supplier": "done" if ending.is_confirmed else "failed",
    }
    assert reading["expires_at"] is None
    assert not reading["requires_support"]


@each_ending
def test_the_ledgers_of_both_providers_add_up(
    trips: dict[str, Trip], backstage: Backstage, name: str
) -> None:
    trip, ending = trips[name], ENDINGS[name]
    trip.ended(ending.status)

    taken = [charge for charge in backstage.charges(trip) if charge["status"] == "succeeded"]

    assert len(taken) == ending.charges
    price = Decimal(trip.request["price"]["amount"])
    assert backstage.money_kept(trip) == (price if ending.is_confirmed else 0)
    assert len(backstage.live_bookings(trip)) == int(ending.is_confirmed)


@each_ending
def test_each_mail_is_sent_once(trips: dict[str, Trip], backstage: Backstage, name: str) -> None:
    trip, mails = trips[name], ENDINGS[name].mails
    eventually(
        lambda: backstage.mails_sent(trip) == set(mails), of=f"the last mail about {trip.code}"
    )

    subjects = [mail["Subject"] for mail in backstage.mails(trip.email)]

    letters = [ENDINGS[name].rejected if kind == "rejected" else kind for kind in mails]
    assert subjects == [SUBJECTS[letter].format(code=trip.code) for letter in letters]


def test_a_payment_that_never_arrives_is_retried_until_the_hold_expires(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    """`make test` sets a hold limit of one minute. Finding the last attempt missing takes longer."""
    trip = trips["tok_lost"]

    eventually(lambda: trip.read()["status"] == "EXPIRADA", of=f"the end of {trip.code}")

    [charge] = backstage.calls(trip, "charge")
    assert charge["attempts"] > 1
    assert backstage.charges(trip) == []
    assert trip.ended("EXPIRADA")["refund"] is None
    assert backstage.mail(trip.email)["Subject"] == SUBJECTS["expired"].format(code=trip.code)


def test_a_refusal_of_the_supplier_is_shown_at_once_and_the_refund_follows(
    api: httpx.Client,
) -> None:
    offer = {"offer_id": "REJ-BCN-002"}
    trip = depart(api, a_request(payment_token="tok_refund_pending", offer=offer))

    refused = eventually(
        lambda: reading if (reading := trip.read())["status"] != "EN PROCESO" else None,
        of=f"a refusal of {trip.code}",
    )

    assert refused["status"] == "RECHAZADA"
    assert refused["refund"] == {"status": "pending", **trip.request["price"]}
    ended = trip.ended("RECHAZADA")
    assert ended["refund"] == {"status": "done", **trip.request["price"]}


# --- what a traveler reads ------------------------------------------------------------------------


def test_the_timeline_shows_the_journey_in_both_languages(confirmed: Trip) -> None:
    spanish, english = confirmed.events(), confirmed.events(language="en")

    types = [event["type"] for event in spanish]
    assert types[0] == "reservation.accepted"
    milestones = ["payment.succeeded", "booking.confirmed", "reservation.confirmed"]
    assert [kind for kind in types if kind in milestones] == milestones
    assert spanish[0]["message"] == "Hemos recibido tu reserva."
    assert english[0]["message"] == "We have received your reservation."
    assert [event["type"] for event in english[: len(spanish)]] == types
    moments = [event["occurred_at"] for event in spanish]
    assert moments == sorted(moments)


def test_the_mail_has_all_facts_in_text_and_html_and_the_voucher(
    confirmed: Trip, backstage: Backstage
) -> None:
    mail = backstage.mail(confirmed.email)

    assert mail["Content-Language"] == "es"
    for kind in ("plain", "html"):
        content = said_in(mail, kind)
        assert "Tu reserva está confirmada" in content
        for fact in (f"Ana {CANARY}", confirmed.code, backstage.locator(confirmed), "342,50"):
            assert fact in content
    attachment, calendar = mail.iter_attachments()
    assert calendar.get_content_type() == "text/calendar"
    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_filename() == f"bono-{confirmed.code}.pdf"
    assert attachment.get_content() == downloaded(confirmed)


def test_a_reservation_made_in_english_gets_an_english_mail_and_voucher(
    trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = trips["English"]

    mail = backstage.mail(trip.email)

    assert mail["Subject"] == f"Reservation {trip.code} confirmed"
    assert mail["Content-Language"] == "en"
    assert "Your reservation is confirmed" in said_in(mail, "plain")
    attachment, calendar = mail.iter_attachments()
    assert calendar.get_content_type() == "text/calendar"
    assert "Travel voucher" in text_of(attachment.get_content())


def said_in(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body(preferencelist=(kind,))
    assert body is not None, f"no {kind} part"
    return str(body.get_content())


# --- the voucher ----------------------------------------------------------------------------------


def test_the_voucher_is_one_page_with_code_name_and_locator(
    confirmed: Trip, backstage: Backstage
) -> None:
    redirect = confirmed.get("/voucher")

    assert redirect.status_code == httpx.codes.SEE_OTHER
    pdf = fetched(redirect.headers["Location"])
    assert len(PdfReader(io.BytesIO(pdf)).pages) == 1
    content = text_of(pdf)
    for fact in (confirmed.code, f"Ana {CANARY}", backstage.locator(confirmed), "Hotel Sol, doble"):
        assert fact in content


def test_a_browser_gets_the_link_to_the_voucher_in_the_body(confirmed: Trip) -> None:
    answer = confirmed.get("/voucher", accept="application/json")

    assert answer.status_code == httpx.codes.OK
    assert fetched(answer.json()["url"]).startswith(b"%PDF-")


def test_a_voucher_that_is_asked_for_inline_is_shown(confirmed: Trip) -> None:
    link = confirmed.get("/voucher?disposition=inline").headers["Location"]

    answer = httpx.get(link, timeout=10)
    assert answer.headers["content-disposition"].startswith("inline; ")
    assert answer.content.startswith(b"%PDF-")


@pytest.mark.embedded
def test_head_leads_to_a_link_that_takes_head(confirmed: Trip) -> None:
    redirect = confirmed.api.head(
        f"/v1/reservations/{confirmed.code}/voucher", headers={"Authorization": confirmed.bearer}
    )

    assert (redirect.status_code, redirect.content) == (httpx.codes.SEE_OTHER, b"")
    answer = httpx.head(redirect.headers["Location"], timeout=10)
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["content-type"] == "application/pdf"


@pytest.mark.embedded
def test_a_link_that_was_tampered_with_opens_nothing(early_link: str) -> None:
    signature = re.search(r"Signature=([^&]+)", early_link)
    assert signature is not None
    forged = early_link.replace(signature[1], signature[1][:-4] + secrets.token_hex(2))
    longer = re.sub(r"Expires=\d+", "Expires=999999999", early_link)
    shown = early_link.replace("attachment", "inline")
    assert early_link not in (forged, longer, shown)

    for link in (forged, longer, shown):
        answer = httpx.get(link, timeout=10)
        assert answer.status_code == httpx.codes.FORBIDDEN
        assert b"%PDF" not in answer.content


@pytest.mark.embedded
def test_a_voucher_link_expires_after_its_minute(early_link: str, backstage: Backstage) -> None:
    """Use a link of one second, signed the same way, instead of waiting for the minute."""
    address = urlsplit(early_link)
    bucket, _, key = address.path.lstrip("/").partition("/")
    store = S3DocumentStore(backstage.aws("s3"), bucket=bucket)

    valid = store.link(key, filename="a.pdf", lifetime=LINK_LIFETIME)
    brief = store.link(key, filename="a.pdf", lifetime=timedelta(seconds=1))

    assert parse_qs(address.query)["X-Amz-Expires"] == [f"{LINK_LIFETIME.total_seconds():.0f}"]
    assert httpx.get(valid).status_code == httpx.codes.OK
    eventually(
        lambda: httpx.get(brief).status_code == httpx.codes.FORBIDDEN,
        of="the end of a link's life",
    )


def test_there_is_no_voucher_for_a_trip_that_is_not_confirmed(trips: dict[str, Trip]) -> None:
    for name in ("tok_lost", "tok_declined"):
        answer = trips[name].get("/voucher")
        assert answer.status_code == httpx.codes.NOT_FOUND
        assert answer.json()["code"] == "not_found"


def fetched(link: str) -> bytes:
    """Fetch as browsers do, without our Authorization header: S3 would refuse it."""
    answer = httpx.get(link, timeout=10).raise_for_status()
    assert answer.headers["content-type"] == "application/pdf"
    return answer.content


def downloaded(trip: Trip) -> bytes:
    return fetched(trip.get("/voucher").headers["Location"])


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


# --- what is left behind --------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["CreateReservation", "ProcessPayment", "ConfirmSupplier"])
def test_the_caller_s_trace_is_followed_through_the_functions(
    confirmed: Trip, backstage: Backstage, function: str
) -> None:
    lines = eventually(
        lambda: list(records(backstage, function)), of=f"log lines of {function} with the trace"
    )

    reservation = backstage.reference(confirmed)
    assert any(
        function == "CreateReservation" or line["reservation_id"] == reservation for line in lines
    )


def records(backstage: Backstage, function: str) -> Iterator[Json]:
    for line in backstage.logs(function=function, containing=TRACE_ID):
        record = json.loads(line)
        if record.get("trace_id") == TRACE_ID:
            yield record


def test_personal_data_and_secrets_reach_no_log_message_or_key(
    trips: dict[str, Trip], confirmed: Trip, backstage: Backstage
) -> None:
    for name, ending in ENDINGS.items():
        trips[name].ended(ending.status)
    tokens = {trip.created["access_token"] for trip in trips.values()}
    sinks = {
        "logs": "\n".join(backstage.logs()),
        "timeline": str(confirmed.events()),
        "object keys": "\n".join(backstage.object_keys()),
        **{table: backstage.dump(table) for table in ("outbox", "history", "idempotency")},
    }

    for name, content in sinks.items():
        assert content, f"{name}: nothing to search"
        for secret in (CANARY, PHONE, *tokens):
            assert secret.lower() not in content.lower(), name


def test_a_trip_at_rest_has_no_dead_letter(trips: dict[str, Trip], backstage: Backstage) -> None:
    for name, ending in ENDINGS.items():
        trips[name].ended(ending.status)

    set_aside = "".join(backstage.dead_letters())
    assert [name for name in ENDINGS if backstage.reference(trips[name]) in set_aside] == []
