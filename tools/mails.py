"""Compose every mail, for `make mails`: one page to look at, and the golden files of its test."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from email.message import EmailMessage
from html import escape
from pathlib import Path
from uuid import UUID

from local.paths import ROOT, STATE
from reservations.adapters.papers.mail_content import compose, compose_notice
from reservations.application.ports import Mail, Notice
from reservations.domain.money import Money
from reservations.domain.reservation import Language, MailKind, Offer
from reservations.domain.words import ClosedReason

PAGE = STATE / "mails.html"
GOLDEN = ROOT / "tests" / "unit" / "adapters" / "mails"
SENDER = "reservas@viajes.example"
_WIDTHS = (320, 640)
_PRICE = Money(34250, "EUR")
_CONFIRMED = Mail(
    reservation_id=UUID("0195511f-3c00-7abc-8def-0123456789ab"),
    kind=MailKind.CONFIRMED,
    language=Language.SPANISH,
    to="ana@example.com",
    guest="Ana Pérez Núñez",
    code="7KQ2MXD4RTS",
    offer=Offer(
        offer_id="HTL-MAD-001",
        description="Hotel Sol, habitación doble con desayuno",
        starts_on=date(2027, 5, 1),
        ends_on=date(2027, 5, 4),
        guests=2,
    ),
    quoted=True,
    price=_PRICE,
    supplier_locator="SUP-84K2LQ",
    refund=None,
    refund_done=False,
    support_contact="+34 910 000 000 · ayuda@viajes.example",
    at=datetime(2027, 3, 1, 12, tzinfo=UTC),
    issuer="Viajes Ejemplo",
    was_confirmed=True,
    cancellable_until=datetime(2027, 5, 1, tzinfo=UTC),
    manage_url="https://www.viajes.example/reserva#code=7KQ2M-XD4RT-S&token=k1.ejemplo",
    voucher_pdf=b"%PDF-1.7 example",
)
_WAITING = replace(_CONFIRMED, voucher_pdf=None, was_confirmed=False)
_OTHER = replace(_WAITING, cancellable_until=None)


def _closed(kind: MailKind, reason: ClosedReason, *, refund: Money | None = None) -> Mail:
    return replace(_OTHER, kind=kind, closed_reason=reason, refund=refund)


_CANCELLED = _closed(MailKind.CANCELLED, ClosedReason.CANCELLED_BY_YOU, refund=_PRICE)
SAMPLES = {
    "confirmed": _CONFIRMED,
    "confirmed_without_voucher": replace(_CONFIRMED, voucher_pdf=None),
    "voucher": replace(_CONFIRMED, kind=MailKind.VOUCHER),
    "in_progress": replace(_WAITING, kind=MailKind.IN_PROGRESS),
    "under_review": replace(_WAITING, kind=MailKind.UNDER_REVIEW),
    "link": replace(_WAITING, kind=MailKind.LINK, quoted=False),
    "payment_declined": _closed(MailKind.REJECTED, ClosedReason.PAYMENT_DECLINED),
    "not_available": _closed(MailKind.REJECTED, ClosedReason.NOT_AVAILABLE, refund=_PRICE),
    "expired": _closed(MailKind.EXPIRED, ClosedReason.EXPIRED),
    "cancelled_by_you": replace(_CANCELLED, was_confirmed=True),
    "cancelled_by_hotel": replace(_CANCELLED, closed_reason=ClosedReason.CANCELLED_BY_HOTEL),
    "refunded": replace(_CANCELLED, kind=MailKind.REFUNDED, refund_done=True),
    "refund_failed": replace(_CANCELLED, kind=MailKind.REFUND_FAILED),
    "without_issuer_and_page": replace(_CONFIRMED, issuer=None, manage_url=None),
}


_ADDRESS_CHANGED = Notice(
    to=_CONFIRMED.to,
    language=Language.SPANISH,
    code=_CONFIRMED.code,
    support_contact=_CONFIRMED.support_contact,
    issuer=_CONFIRMED.issuer,
)


def composed() -> Iterator[tuple[str, EmailMessage]]:
    for language in Language:
        for name, mail in SAMPLES.items():
            yield f"{name}.{language}", compose(replace(mail, language=language), sender=SENDER)
        notice = replace(_ADDRESS_CHANGED, language=language)
        yield f"address_changed.{language}", compose_notice(notice, sender=SENDER)


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def golden(message: EmailMessage) -> str:
    """Headers, plain text and the attachments that are text, as they are compared."""
    heads = [f"{name}: {message[name]}" for name in ("From", "Subject")]
    files = [
        f"[{each.get_content_type()} {each.get_filename()}]\n" + _text_of(each)
        for each in message.iter_attachments()
    ]
    return "\n".join([*heads, "", part(message, "plain"), *files])


def _text_of(attachment: EmailMessage) -> str:
    if attachment.get_content_maintype() != "text":
        return ""
    return str(attachment.get_content()).replace("\r\n", "\n")


def page(mails: list[tuple[str, EmailMessage]]) -> str:
    """Each mail at two widths, with its plain text beside it."""
    shown = "".join(
        f"<h2>{escape(name)}</h2><p>{escape(message['From'])}<br><b>{escape(message['Subject'])}</b></p><div>"
        + "".join(
            f'<iframe width="{width}" height="900" srcdoc="{escape(part(message, "html"))}"></iframe>'
            for width in _WIDTHS
        )
        + f"<pre>{escape(golden(message))}</pre></div>"
        for name, message in mails
    )
    style = (
        "body{font:14px sans-serif}div{display:flex;gap:16px}pre{white-space:pre-wrap;width:480px}"
    )
    return f'<!DOCTYPE html><meta charset="utf-8"><title>Mails</title><style>{style}</style>{shown}'


def write(folder: Path = GOLDEN) -> None:
    folder.mkdir(exist_ok=True)
    for name, message in composed():
        (folder / f"{name}.txt").write_text(golden(message), encoding="utf-8")
        if name == "confirmed.es":
            (folder / f"{name}.html").write_text(part(message, "html"), encoding="utf-8")


def main() -> int:
    write()
    PAGE.write_text(page(list(composed())), encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
