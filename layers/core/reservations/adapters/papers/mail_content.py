"""The content of each mail, as text and as HTML, with voucher and calendar file if there are any."""

from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from reservations.adapters.papers import calendar_file, mail_html
from reservations.adapters.papers.recipient import recipient
from reservations.adapters.papers.wording import (
    cancellable_text,
    voucher_filename,
    written_day,
    written_money,
)
from reservations.application.ports import Mail, Notice
from reservations.domain.codes import display
from reservations.domain.reservation import Language, MailKind
from reservations.texts.compiled import ADDRESS_CHANGED, MAILS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """One letter: `now` is the news, `next` the advice. The refund comes in between."""

    subject: str
    headline: str
    now: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """The texts that all mails in one language share."""

    greeting: str
    greeting_without_name: str
    code: str
    locator: str
    service: str
    starts: str
    ends: str
    nights: str
    guests: str
    price: str
    paid: str
    nothing_charged: str
    refund_on_its_way: str
    refund_done: str
    news_follows: str
    voucher_attached: str
    voucher_follows: str
    manage: str
    see: str
    help: str
    automatic: str
    attachment: str
    calendar: str
    event: str


_WORDS = {language: _Words(**MAILS[language]["shared"]) for language in Language}
_LETTERS = {
    language: {
        name: _Letter(**texts) for name, texts in MAILS[language].items() if name != "shared"
    }
    for language in Language
}

_CONFIRMING = {MailKind.CONFIRMED, MailKind.VOUCHER}
_CLOSING = {MailKind.REJECTED, MailKind.EXPIRED, MailKind.CANCELLED}  # the letter tells the reason
_WITHOUT_MONEY = {MailKind.IN_PROGRESS, MailKind.UNDER_REVIEW, MailKind.LINK}
_NEWS_FOLLOWS = {MailKind.REJECTED, MailKind.EXPIRED}  # a mail of kind REFUNDED comes later


def compose(mail: Mail, *, sender: str) -> EmailMessage:
    """Compose the mail, headers and parts. No text in it can add a header or a recipient.

    Raises:
        UnmailableAddressError: `mail.to` is no single ASCII address.
    """
    words, letter = _WORDS[mail.language], _letter(mail)
    subject = letter.subject.format(code=display(mail.code))
    message = _message(_page(mail, words, letter), sender=sender, to=mail.to, subject=subject)
    if mail.voucher_pdf is not None:
        filename = voucher_filename(mail.code, mail.language)
        message.add_attachment(
            mail.voucher_pdf, maintype="application", subtype="pdf", filename=filename
        )
    _add_event(message, mail, words, sender=sender)
    message["Content-Language"] = mail.language.value  # last: composing moves it into a part
    return message


def _add_event(message: EmailMessage, mail: Mail, words: _Words, *, sender: str) -> None:
    """Attach the trip for a calendar to its confirmation, and to its cancellation."""
    cancelled = mail.kind is MailKind.CANCELLED and mail.was_confirmed
    if mail.kind is not MailKind.CONFIRMED and not cancelled:
        return
    code = display(mail.code)
    content = calendar_file.event(
        uid=f"{code}@{sender.rpartition('@')[2]}",
        summary=words.event.format(code=code),
        description="" if _is_ours(mail) and not mail.quoted else mail.offer.description,
        offer=mail.offer,
        organizer=sender,
        issuer=mail.issuer,
        at=mail.at,
        cancelled=cancelled,
    )
    message.add_attachment(
        content,
        maintype="text",
        subtype="calendar",
        filename=f"{words.calendar}-{code}.ics",
        params={"method": "CANCEL" if cancelled else "PUBLISH", "charset": "utf-8"},
    )


def compose_notice(notice: Notice, *, sender: str) -> EmailMessage:
    """Compose a notice. It names nobody, as the old address may be a stranger's.

    Raises:
        UnmailableAddressError: see `compose`.
    """
    words, letter = _WORDS[notice.language], _Letter(**ADDRESS_CHANGED[notice.language])
    code = display(notice.code)
    page = mail_html.Page(
        language=notice.language.value,
        issuer=notice.issuer,
        headline=letter.headline,
        greeting=words.greeting_without_name,
        guest="",
        paragraphs=[letter.now, letter.next],
        details=[(words.code, code)],
        button=None,
        help=words.help.format(contact=notice.support_contact),
        automatic=words.automatic,
    )
    subject = letter.subject.format(code=code)
    message = _message(page, sender=sender, to=notice.to, subject=subject)
    message["Content-Language"] = page.language
    return message


def _message(page: mail_html.Page, *, sender: str, to: str, subject: str) -> EmailMessage:
    """Compose the headers of every mail, and the page as text and as HTML."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name=page.issuer or "", addr_spec=sender)
    message["To"] = recipient(to)
    message["Subject"] = subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no out-of-office answers, please
    message.set_content(_as_text(page), cte="quoted-printable")
    message.add_alternative(mail_html.render(page), subtype="html", cte="quoted-printable")
    return message


def _letter(mail: Mail) -> _Letter:
    name = mail.closed_reason if mail.kind in _CLOSING and mail.closed_reason else mail.kind
    return _LETTERS[mail.language][name]


def _paragraphs(mail: Mail, words: _Words, letter: _Letter) -> list[str]:
    if mail.kind in _CONFIRMING:
        voucher = words.voucher_attached if mail.voucher_pdf is not None else words.voucher_follows
        until = mail.cancellable_until
        deadline = [cancellable_text(until, mail.language)] if until else []
        return [letter.now, voucher, letter.next, *deadline]
    refund = [] if mail.kind in _WITHOUT_MONEY else _refund(mail, words)
    return [letter.now, *refund, letter.next]


def _refund(mail: Mail, words: _Words) -> list[str]:
    if mail.refund is None:
        return [words.nothing_charged]
    amount = written_money(mail.refund, mail.language)
    if mail.refund_done:
        return [words.refund_done.format(amount=amount)]
    on_its_way = words.refund_on_its_way.format(amount=amount)
    return [on_its_way, words.news_follows] if mail.kind in _NEWS_FOLLOWS else [on_its_way]


def _is_ours(mail: Mail) -> bool:
    """Return `True` for a mail that only our words may fill: anyone may have it sent to a stranger."""
    return mail.kind not in _CONFIRMING


def _details(mail: Mail, words: _Words) -> list[tuple[str, str]]:
    rows = [(words.code, display(mail.code))]
    if _is_ours(mail) and not mail.quoted:
        return rows
    if mail.supplier_locator is not None and mail.kind in _CONFIRMING:
        rows.append((words.locator, mail.supplier_locator))
    price_label = words.paid if mail.kind in _CONFIRMING else words.price
    return [
        *rows,
        (words.service, _on_one_line(mail.offer.description)),
        (words.starts, written_day(mail.offer.starts_on, mail.language)),
        (words.ends, written_day(mail.offer.ends_on, mail.language)),
        (words.nights, str((mail.offer.ends_on - mail.offer.starts_on).days)),
        (words.guests, str(mail.offer.guests)),
        (price_label, written_money(mail.price, mail.language)),
    ]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _greeting(mail: Mail, words: _Words) -> str:
    return words.greeting_without_name if _is_ours(mail) else words.greeting


def _button(mail: Mail, words: _Words) -> tuple[str, str] | None:
    label = words.manage if mail.cancellable_until else words.see
    return (label, mail.manage_url) if mail.manage_url else None


def _as_text(page: mail_html.Page) -> str:
    details = "\n".join(f"{label}: {value}" for label, value in page.details)
    return "\n\n".join(
        [
            *([page.issuer] if page.issuer else []),
            page.headline + ".",
            page.greeting.format(guest=page.guest),
            *page.paragraphs,
            *(["{}:\n{}".format(*page.button)] if page.button else []),
            details,
            page.help,
            f"{page.automatic}\n",
        ]
    )


def _page(mail: Mail, words: _Words, letter: _Letter) -> mail_html.Page:
    return mail_html.Page(
        language=mail.language.value,
        issuer=mail.issuer,
        headline=letter.headline,
        greeting=_greeting(mail, words),
        guest=_on_one_line(mail.guest),
        paragraphs=_paragraphs(mail, words, letter),
        details=_details(mail, words),
        button=_button(mail, words),
        help=words.help.format(contact=mail.support_contact),
        automatic=words.automatic,
    )
