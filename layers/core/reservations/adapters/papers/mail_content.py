"""The content of each mail, as text and as HTML, with the voucher if there is one."""

from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from reservations.adapters.papers.wording import written_date, written_money
from reservations.application.ports import Mail, Notice
from reservations.domain.codes import display
from reservations.domain.reservation import Language, MailKind
from reservations.texts.compiled import ADDRESS_CHANGED, MAILS


class UnmailableAddressError(ValueError):
    """The recipient's address cannot be written in a mail. SES takes ASCII addresses only."""

    def __init__(self) -> None:
        super().__init__("the address cannot be written in a mail header")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """One kind of mail: `now` is the news, `next` the advice. The refund comes in between."""

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
    help: str
    automatic: str
    attachment: str


_WORDS = {language: _Words(**MAILS[language]["shared"]) for language in Language}
_LETTERS = {
    (language, kind): _Letter(**MAILS[language][kind]) for language in Language for kind in MailKind
}

_CONFIRMING = {MailKind.CONFIRMED, MailKind.VOUCHER}
_WITHOUT_MONEY = {MailKind.IN_PROGRESS, MailKind.UNDER_REVIEW, MailKind.LINK}
_NEWS_FOLLOWS = {MailKind.REJECTED, MailKind.EXPIRED}  # a mail of kind REFUNDED comes later


def compose(mail: Mail, *, sender: str) -> EmailMessage:
    """Compose the mail, headers and parts. No text in it can add a header or a recipient.

    Raises:
        UnmailableAddressError: `mail.to` is no single ASCII address.
    """
    words = _WORDS[mail.language]
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient(mail.to)
    message["Subject"] = _LETTERS[mail.language, mail.kind].subject.format(code=display(mail.code))
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no out-of-office answers, please
    message.set_content(_as_text(mail, words), cte="quoted-printable")
    message.add_alternative(_as_html(mail, words), subtype="html", cte="quoted-printable")
    if mail.voucher_pdf is not None:
        filename = f"{words.attachment}-{display(mail.code)}.pdf"
        message.add_attachment(
            mail.voucher_pdf, maintype="application", subtype="pdf", filename=filename
        )
    message["Content-Language"] = mail.language.value  # last: composing moves it into a part
    return message


def compose_notice(notice: Notice, *, sender: str) -> EmailMessage:
    """Compose a notice. It names nobody, as the old address may be a stranger's.

    Raises:
        UnmailableAddressError: see `compose`.
    """
    words = ADDRESS_CHANGED[notice.language.value]
    code = display(notice.code)
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient(notice.to)
    message["Subject"] = words["subject"].format(code=code)
    message["Auto-Submitted"] = "auto-generated"
    body = words["body"].format(code=code, contact=notice.support_contact)
    message.set_content(body, cte="quoted-printable")
    return message


def recipient(text: str) -> Address:
    """Read the address of a recipient.

    Raises:
        UnmailableAddressError: it is no single ASCII address.
    """
    try:
        address = Address(addr_spec=text)
    except (
        ValueError,
        IndexError,
        MessageError,
    ):  # all three escape the parser of the standard library
        raise UnmailableAddressError from None
    if not text.isascii() or not address.domain:
        raise UnmailableAddressError
    return address


def _paragraphs(mail: Mail, words: _Words) -> list[str]:
    letter = _LETTERS[mail.language, mail.kind]
    if mail.kind in _CONFIRMING:
        voucher = words.voucher_attached if mail.voucher_pdf is not None else words.voucher_follows
        return [letter.now, voucher, letter.next]
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
        (words.starts, written_date(mail.offer.starts_on, mail.language)),
        (words.ends, written_date(mail.offer.ends_on, mail.language)),
        (words.guests, str(mail.offer.guests)),
        (price_label, written_money(mail.price, mail.language)),
    ]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _greeting(mail: Mail, words: _Words) -> str:
    return words.greeting_without_name if _is_ours(mail) else words.greeting


def _as_text(mail: Mail, words: _Words) -> str:
    details = "\n".join(f"{label}: {value}" for label, value in _details(mail, words))
    return "\n\n".join(
        [
            _greeting(mail, words).format(guest=_on_one_line(mail.guest)),
            _LETTERS[mail.language, mail.kind].headline + ".",
            *_paragraphs(mail, words),
            details,
            *_manage_line(mail, words),
            words.help.format(contact=mail.support_contact),
            f"{words.automatic}\n",
        ]
    )


def _manage_line(mail: Mail, words: _Words) -> list[str]:
    return [f"{words.manage}:\n{mail.manage_url}"] if mail.manage_url else []


# Tables and inline styles only, no image: all mail programs show these alike.
_FONT = "font-family:Helvetica,Arial,sans-serif"
_BREAKS = "word-break:break-word"  # a word longer than the screen would widen every paragraph
_PAGE = """\
<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{headline}</title>
</head>
<body style="margin:0;padding:0;background:#eef5f6">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="background:#eef5f6">
<tr><td align="center" style="padding:24px 12px">
<table role="presentation" width="600" cellpadding="0" cellspacing="0"
 style="width:100%;max-width:600px;background:#ffffff">
<tr><td style="padding:26px 32px;background:#0b4f5c;color:#ffffff;{font};font-size:22px;\
font-weight:bold">{headline}</td></tr>
<tr><td style="padding:24px 32px 8px;color:#17252a;{font};font-size:16px;\
line-height:1.5;{breaks}">{paragraphs}</td></tr>
<tr><td style="padding:8px 32px 24px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"
 style="border-top:1px solid #c9d8db">{details}</table>
{manage}</td></tr>
<tr><td style="padding:18px 32px;background:#f6fafb;color:#17252a;{font};font-size:15px;\
line-height:1.5;{breaks}">{help}</td></tr>
</table>
<p style="margin:14px 0 0;color:#5b6b73;{font};font-size:12px">{automatic}</p>
</td></tr>
</table>
</body>
</html>
"""
_PARAGRAPH = '<p style="margin:0 0 14px">{}</p>'
_BUTTON = """\
<p style="margin:24px 0 0"><a href="{url}" style="display:inline-block;padding:13px 22px;background:#0b4f5c;\
color:#ffffff;{font};font-size:16px;font-weight:bold;text-decoration:none">{label}</a></p>
"""
_DETAIL = """\
<tr><td width="38%" style="padding:9px 8px 9px 0;border-bottom:1px solid #c9d8db;color:#5b6b73;\
{font};font-size:14px;vertical-align:top">{label}</td>
<td style="padding:9px 0;border-bottom:1px solid #c9d8db;color:#17252a;{font};font-size:15px;\
font-weight:bold;{breaks}"><bdi>{value}</bdi></td></tr>
"""


def _as_html(mail: Mail, words: _Words) -> str:
    guest = f"<bdi>{escape(_on_one_line(mail.guest))}</bdi>"
    texts = [
        escape(_greeting(mail, words)).format(guest=guest),
        *map(escape, _paragraphs(mail, words)),
    ]
    return _PAGE.format(
        font=_FONT,
        breaks=_BREAKS,
        language=mail.language.value,
        headline=escape(_LETTERS[mail.language, mail.kind].headline),
        paragraphs="".join(map(_PARAGRAPH.format, texts)),
        details="".join(
            _DETAIL.format(font=_FONT, breaks=_BREAKS, label=escape(label), value=escape(value))
            for label, value in _details(mail, words)
        ),
        manage=_manage_button(mail, words),
        help=escape(words.help.format(contact=mail.support_contact)),
        automatic=escape(words.automatic),
    )


def _manage_button(mail: Mail, words: _Words) -> str:
    if mail.manage_url is None:
        return ""
    return _BUTTON.format(font=_FONT, url=escape(mail.manage_url), label=escape(words.manage))
