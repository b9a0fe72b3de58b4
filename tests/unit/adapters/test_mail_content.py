"""The content of the mails, and its resistance to hostile input."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from icalendar import Calendar

from local.paths import ROOT
from reservations.adapters.papers import mail_html
from reservations.adapters.papers.mail_content import compose
from reservations.adapters.papers.recipient import UnmailableAddressError
from reservations.adapters.papers.voucher_pdf import FpdfVoucherRenderer
from reservations.application.ports import Mail
from reservations.domain.money import Money
from reservations.domain.reservation import Language, MailKind
from reservations.domain.words import ClosedReason
from tests.worlds.builders import NOON, RESERVATION_ID, an_offer
from tools import mails

SENDER = "reservas@viajes.example"
PDF = b"%PDF-1.7 voucher"
A_MAIL = Mail(
    reservation_id=RESERVATION_ID,
    kind=MailKind.CONFIRMED,
    language=Language.SPANISH,
    to="ana@example.com",
    guest="Ana Pérez Núñez",
    code="6MWUT4A5HT4",
    offer=an_offer(description="Hotel Sol, habitación doble"),
    quoted=False,
    price=Money(34250, "EUR"),
    supplier_locator="SUP-84K2LQ",
    refund=None,
    refund_done=False,
    support_contact="+34 910 000 000 · ayuda@viajes.example",
    at=NOON,
    issuer="Viajes Ejemplo",
)
CLOSED = {
    MailKind.REJECTED: (ClosedReason.PAYMENT_DECLINED, ClosedReason.NOT_AVAILABLE),
    MailKind.EXPIRED: (ClosedReason.EXPIRED,),
    MailKind.CANCELLED: (ClosedReason.CANCELLED_BY_YOU, ClosedReason.CANCELLED_BY_HOTEL),
}
EVERY_KIND = [
    replace(A_MAIL, kind=kind, language=language, closed_reason=reason)
    for language in Language
    for kind in MailKind
    if kind is not MailKind.ADDRESS_CHANGED  # a notice: see `compose_notice`
    for reason in CLOSED.get(kind, (None,))
]


def name_of(mail: Mail) -> str:
    return f"{mail.language}-{mail.closed_reason or mail.kind}"


def a_letter(kind: MailKind, **changes: Any) -> Mail:
    [reason, *_] = CLOSED.get(kind, (None,))
    return replace(A_MAIL, **{"kind": kind, "closed_reason": reason, **changes})


def text_of(mail: Mail) -> str:
    return _body(compose(mail, sender=SENDER), "plain")


def html_of(mail: Mail) -> str:
    return _body(compose(mail, sender=SENDER), "html")


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class _Reader(HTMLParser):
    """Collects the text and the URLs of a mail, and fails on unclosed tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.unbroken: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in {"href", "src"}]
        if tag != "meta":
            self._open.append((tag, str(dict(attrs).get("style"))))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.shown.append(data)
        if not any("word-break:break-word" in style for _, style in self._open):
            self.unbroken.append(data)


def shown_by(mail: Mail) -> str:
    return " ".join("".join(_Reader(html_of(mail)).shown).split())


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_both_parts_show_the_reservation_and_the_support_contact(mail: Mail) -> None:
    message = compose(mail, sender=SENDER)

    assert "6MWUT-4A5HT-4" in message["Subject"]
    for part in (text_of(mail), shown_by(mail)):
        assert "6MWUT-4A5HT-4" in part
        assert "+34 910 000 000 · ayuda@viajes.example" in part


OF_WHAT_IS_PAID = {MailKind.CONFIRMED, MailKind.VOUCHER}
SENDERS_WORDS = ("Ana", "Pérez", "Hotel", "doble", "2027", "342")


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_only_a_confirmation_carries_what_an_unsigned_request_said(mail: Mail) -> None:
    confirmed = mail.kind in OF_WHAT_IS_PAID
    for part in (text_of(mail), shown_by(mail)):
        carried = [word in part for word in SENDERS_WORDS]
        assert all(carried) if confirmed else not any(carried)


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_every_mail_carries_a_signed_offer_but_a_name_only_once_it_is_confirmed(mail: Mail) -> None:
    quoted = replace(mail, quoted=True)
    for part in (text_of(quoted), shown_by(quoted)):
        assert "Hotel Sol, habitación doble" in part
        assert ("Ana Pérez Núñez" in part) is (mail.kind in OF_WHAT_IS_PAID)


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_the_html_fetches_nothing_and_is_well_formed(mail: Mail) -> None:
    reader = _Reader(html_of(mail))

    assert {url.partition(":")[0] for url in reader.fetched} == {"mailto", "tel"}
    assert not {"img", "link", "script"} & set(reader.tags)
    assert reader.tags.count("h1") == 1
    assert "th" in reader.tags


LINK = "https://www.viajes.example/reserva?marca=a&b#code=6MWUT-4A5HT-4&token=k1.secreto"


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_both_parts_have_the_link_to_the_reservation(mail: Mail) -> None:
    mail = replace(mail, manage_url=LINK)

    assert f"\n{LINK}\n" in text_of(mail)
    assert _Reader(html_of(mail)).fetched[0] == LINK


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_a_word_longer_than_a_screen_breaks(mail: Mail) -> None:
    word = "K" * 120
    mail = replace(mail, guest=word, supplier_locator=word, support_contact=word)

    reader = _Reader(html_of(replace(mail, offer=an_offer(description=word))))

    assert word in "".join(reader.shown)
    assert word not in "".join(reader.unbroken)


def test_each_kind_of_mail_has_its_own_subject() -> None:
    assert len({compose(mail, sender=SENDER)["Subject"] for mail in EVERY_KIND}) == len(EVERY_KIND)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            Language.SPANISH,
            ["sábado, 1 de mayo de 2027", "martes, 4 de mayo de 2027", "342,50\xa0€"],
        ),
        (Language.ENGLISH, ["Saturday, 1 May 2027", "Tuesday, 4 May 2027", "€342.50"]),
    ],
)
def test_dates_and_amounts_follow_the_language(language: Language, expected: list[str]) -> None:
    text = text_of(replace(A_MAIL, language=language))

    assert [part for part in expected if part not in text] == []


def test_a_confirmation_carries_the_voucher_and_the_locator() -> None:
    mail = replace(A_MAIL, voucher_pdf=PDF)
    attachment, _ = compose(mail, sender=SENDER).iter_attachments()

    assert attachment.get_content() == PDF
    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_filename() == "bono-6MWUT-4A5HT-4.pdf"
    assert "adjunto" in text_of(mail)
    assert "SUP-84K2LQ" in text_of(mail)


def test_an_english_voucher_has_an_english_name() -> None:
    mail = replace(A_MAIL, language=Language.ENGLISH, voucher_pdf=PDF)
    attachment, _ = compose(mail, sender=SENDER).iter_attachments()

    assert attachment.get_filename() == "voucher-6MWUT-4A5HT-4.pdf"


@pytest.mark.parametrize("language", Language)
def test_mail_and_browser_name_the_voucher_alike(language: Language) -> None:
    mail = replace(A_MAIL, language=language, voucher_pdf=PDF)
    attachment, _ = compose(mail, sender=SENDER).iter_attachments()
    browser = FpdfVoucherRenderer(on_boxes=lambda: None)

    assert browser.filename(mail.code, language) == attachment.get_filename()


def test_a_confirmation_without_a_voucher_promises_no_attachment() -> None:
    message = compose(A_MAIL, sender=SENDER)

    assert [each.get_content_type() for each in message.iter_attachments()] == ["text/calendar"]
    assert "adjunto" not in text_of(A_MAIL)
    assert "Te lo enviaremos en otro correo" in text_of(A_MAIL)


def test_the_mail_of_a_later_voucher_carries_it_and_the_locator() -> None:
    mail = replace(A_MAIL, kind=MailKind.VOUCHER, voucher_pdf=PDF)

    [attachment] = compose(mail, sender=SENDER).iter_attachments()

    assert attachment.get_content() == PDF
    assert "SUP-84K2LQ" in text_of(mail)
    assert "cobrado" not in text_of(mail)


@pytest.mark.parametrize("kind", [MailKind.REJECTED, MailKind.EXPIRED, MailKind.CANCELLED])
def test_a_mail_without_a_charge_says_so(kind: MailKind) -> None:
    assert "No te hemos cobrado nada" in text_of(a_letter(kind))


@pytest.mark.parametrize("kind", [MailKind.REJECTED, MailKind.EXPIRED])
def test_a_mail_about_a_pending_refund_shows_the_amount_and_announces_another_mail(
    kind: MailKind,
) -> None:
    text = text_of(a_letter(kind, refund=Money(10000, "EUR")))

    assert "Te estamos devolviendo 100,00\xa0€" in text
    assert "Te escribiremos otra vez" in text
    assert "cobrado nada" not in text


def test_a_cancellation_mail_with_a_pending_refund_announces_no_other_mail() -> None:
    waiting = a_letter(MailKind.CANCELLED, refund=A_MAIL.price)

    assert "Te escribiremos otra vez" not in text_of(waiting)


@pytest.mark.parametrize(
    "kind", [MailKind.REJECTED, MailKind.EXPIRED, MailKind.CANCELLED, MailKind.REFUNDED]
)
def test_a_mail_about_a_completed_refund_shows_the_amount_and_the_delay(kind: MailKind) -> None:
    mail = a_letter(kind, refund=A_MAIL.price, refund_done=True)

    assert "Te hemos devuelto 342,50\xa0€" in text_of(mail)
    assert "10 días hábiles" in text_of(mail)


def test_hostile_content_is_escaped() -> None:
    hostile = '<img src=x onerror=alert(1)>"&{code}'
    mail = replace(
        A_MAIL, guest=hostile, offer=an_offer(description=hostile), support_contact=hostile
    )

    assert "img" not in _Reader(html_of(mail)).tags
    assert shown_by(mail).count(hostile) == 3
    assert text_of(mail).count(hostile) == 3


def test_a_name_cannot_add_lines() -> None:
    text = text_of(replace(A_MAIL, guest="Ana\n\nTransfer money to X\r\n"))

    assert "Hola, Ana Transfer money to X:" in text


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ana",
        "ana@",
        "@example.com",
        "ana@example.com, eve@example.com",
        "ana@example.com\r\nBcc: eve@example.com",
        "Ana <ana@example.com>",
        "añá@example.com",
        "ana@exámple.com",
        "ana@example.com\0",
    ],
)
def test_only_a_single_ascii_address_gets_mail(address: str) -> None:
    with pytest.raises(UnmailableAddressError) as refusal:
        compose(replace(A_MAIL, to=address), sender=SENDER)

    assert "example" not in str(refusal.value)  # an address is personal data


def test_the_headers_ask_for_no_automatic_answer() -> None:
    message = compose(replace(A_MAIL, voucher_pdf=PDF), sender=SENDER)

    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "es"
    assert message["From"] == f"Viajes Ejemplo <{SENDER}>"
    assert message["To"] == "ana@example.com"
    assert message["Reply-To"] is None


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_the_mail_travels_as_ascii_in_short_lines(mail: Mail) -> None:
    lines = compose(replace(mail, voucher_pdf=PDF), sender=SENDER).as_bytes().split(b"\r\n")

    assert all(line.isascii() and len(line) <= 998 for line in lines)  # RFC 5322 §2.1.1


# --- the letters as they are read


COMPOSED = dict(mails.composed())


@pytest.mark.parametrize("name", COMPOSED)
def test_a_mail_reads_as_its_golden_file(name: str) -> None:
    """`make mails` writes the files again, and a page that shows all mails."""
    written = (mails.GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert mails.golden(COMPOSED[name]) == written


def test_the_html_reads_as_its_golden_file() -> None:
    written = (mails.GOLDEN / "confirmed.es.html").read_text(encoding="utf-8")
    assert mails.part(COMPOSED["confirmed.es"], "html") == written


def test_the_page_of_make_mails_frames_each_mail_at_two_widths() -> None:
    framed = re.findall(r'srcdoc="([^"]*)"', mails.page(list(COMPOSED.items())))

    parts = [mails.part(message, "html") for message in COMPOSED.values()]
    assert list(map(unescape, framed)) == [part for part in parts for _ in range(2)]


@pytest.mark.parametrize("mail", EVERY_KIND, ids=name_of)
def test_both_parts_say_the_same(mail: Mail) -> None:
    mail = replace(mail, quoted=True, manage_url=None, cancellable_until=NOON)
    html, text = shown_by(mail), " ".join(text_of(mail).split())

    words = [word.strip(".:") for word in text.split()]
    assert [word for word in words if word not in html] == []


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (Language.SPANISH, "hasta las 02:00 del sábado, 1 de mayo de 2027, hora de Madrid"),
        (Language.ENGLISH, "until 01:00 on Saturday, 1 May 2027, London time"),
    ],
)
def test_the_last_moment_to_cancel_is_told_by_a_clock_of_the_language(
    language: Language, expected: str
) -> None:
    until = datetime(2027, 5, 1, tzinfo=UTC)

    assert expected in text_of(replace(A_MAIL, language=language, cancellable_until=until))
    assert expected not in text_of(replace(A_MAIL, language=language))


def event_of(mail: Mail) -> Any:
    files = compose(mail, sender=SENDER).iter_attachments()
    found = [each for each in files if each.get_content_type() == "text/calendar"]
    return Calendar.from_ical(found[0].get_content()) if found else None


def test_the_cancellation_takes_the_trip_out_of_the_calendar() -> None:
    confirmed = event_of(A_MAIL)
    cancelled = event_of(a_letter(MailKind.CANCELLED, was_confirmed=True))

    assert confirmed
    assert cancelled
    before, after = confirmed.walk("VEVENT")[0], cancelled.walk("VEVENT")[0]
    assert (confirmed["method"], cancelled["method"]) == ("PUBLISH", "CANCEL")
    assert before["uid"] == after["uid"]
    assert before["sequence"] < after["sequence"]
    assert before.start == A_MAIL.offer.starts_on
    assert (before["status"], after["status"]) == ("CONFIRMED", "CANCELLED")
    assert str(after.get("description", "")) == ""  # nobody signed the words


def test_no_calendar_holds_the_access_token() -> None:
    mail = replace(A_MAIL, manage_url=LINK)
    [event] = [
        each.get_content()
        for each in compose(mail, sender=SENDER).iter_attachments()
        if each.get_content_type() == "text/calendar"
    ]

    assert "secreto" not in event


def test_a_trip_that_was_never_confirmed_has_no_calendar() -> None:
    assert event_of(a_letter(MailKind.CANCELLED)) is None
    assert event_of(a_letter(MailKind.REJECTED)) is None


def test_the_page_links_the_same_contacts_as_the_mails() -> None:
    page = (ROOT / "web/reservation.js").read_text(encoding="utf-8")
    [pattern] = re.findall(r"^const CONTACT = /(.+)/g;$", page, re.MULTILINE)

    named = re.sub(r"\(\?P<\w+>(.*?)\)(?=\||$)", r"\1", mail_html._CONTACT.pattern)
    assert pattern == named
