"""What each mail says, in text and in HTML, with the voucher attached when there is one."""

from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape

from reservations.adapters.papers.wording import written_date, written_money
from reservations.application.ports import Mail
from reservations.domain.codes import display
from reservations.domain.reservation import Language, MailKind


class UnmailableAddressError(ValueError):
    """The recipient's address cannot stand in a mail; SES takes ASCII addresses only."""

    def __init__(self) -> None:
        super().__init__("the address cannot be written in a mail header")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """One kind of mail: `now` is what happened, `next` what to do; the refund stands between."""

    subject: str
    headline: str
    now: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What the mails in one language share."""

    greeting: str
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
    voucher_elsewhere: str
    help: str
    automatic: str
    attachment: str


_WORDS = {
    Language.SPANISH: _Words(
        greeting="Hola, {guest}:",
        code="Código de reserva",
        locator="Localizador del proveedor",
        service="Servicio",
        starts="Desde",
        ends="Hasta",
        guests="Viajeros",
        price="Precio",
        paid="Pagado",
        nothing_charged="No te hemos cobrado nada. Si tu banco muestra un cargo pendiente, puede"
        " tardar unos días en desaparecer.",
        refund_on_its_way="Te estamos devolviendo {amount} por el mismo medio con el que pagaste.",
        # Ten business days: support.stripe.com/questions/customer-refund-processing-time
        refund_done="Te hemos devuelto {amount} por el mismo medio con el que pagaste. Según tu"
        " banco, puede tardar hasta 10 días hábiles en verse en tu cuenta.",
        news_follows="Te escribiremos otra vez cuando la devolución esté hecha; no tienes que"
        " hacer nada.",
        voucher_attached="El bono va adjunto en PDF: llévalo contigo, impreso o en el móvil, con"
        " tu documento de identidad.",
        voucher_elsewhere="Descarga tu bono donde hiciste la reserva y llévalo contigo, con tu"
        " documento de identidad.",
        help="¿Dudas? Estamos aquí: {contact}. Ten a mano tu código de reserva.",
        automatic="Este mensaje es automático; no respondas a esta dirección.",
        attachment="bono",
    ),
    Language.ENGLISH: _Words(
        greeting="Hello {guest},",
        code="Reservation code",
        locator="Supplier reference",
        service="Service",
        starts="From",
        ends="To",
        guests="Guests",
        price="Price",
        paid="Paid",
        nothing_charged="We have not charged you anything. If your bank shows a pending charge, it"
        " may take a few days to disappear.",
        refund_on_its_way="We are returning {amount} to the means of payment you used.",
        refund_done="We have returned {amount} to the means of payment you used. Depending on your"
        " bank, it may take up to 10 business days to show in your account.",
        news_follows="We will write again when the refund is done; you do not need to do anything.",
        voucher_attached="Your voucher is attached as a PDF: bring it with you, printed or on your"
        " phone, and your identity document.",
        voucher_elsewhere="Download your voucher where you made the reservation and bring it with"
        " you, with your identity document.",
        help="Questions? We are here: {contact}. Please have your reservation code at hand.",
        automatic="This is an automatic message; please do not reply to this address.",
        attachment="voucher",
    ),
}

_LETTERS = {
    (Language.SPANISH, MailKind.CONFIRMED): _Letter(
        subject="Reserva {code} confirmada",
        headline="Tu reserva está confirmada",
        now="Hemos recibido tu pago y el proveedor ha confirmado el servicio. Ya está todo listo.",
        next="Al llegar, da el localizador del proveedor: es la referencia que conoce el"
        " establecimiento.",
    ),
    (Language.SPANISH, MailKind.REJECTED): _Letter(
        subject="No hemos podido confirmar la reserva {code}",
        headline="No hemos podido confirmar tu reserva",
        now="Lo sentimos: el pago no se aceptó o el proveedor no tenía disponibilidad, así que la"
        " reserva no sigue adelante.",
        next="Puedes hacer una reserva nueva cuando quieras, con otro medio de pago o en otras"
        " fechas.",
    ),
    (Language.SPANISH, MailKind.EXPIRED): _Letter(
        subject="La reserva {code} ha caducado",
        headline="Tu reserva ha caducado",
        now="El pago no se completó a tiempo y hemos dejado libre la reserva.",
        next="Si todavía quieres viajar, haz una reserva nueva: esta ya no se puede recuperar.",
    ),
    (Language.SPANISH, MailKind.CANCELLED): _Letter(
        subject="Reserva {code} cancelada",
        headline="Tu reserva está cancelada",
        now="La reserva ya no es válida, y tampoco su bono si lo tenías.",
        next="Si no has pedido tú la cancelación, la ha hecho el proveedor: habla con nosotros y"
        " te ayudamos a encontrar otra opción.",
    ),
    (Language.SPANISH, MailKind.REFUNDED): _Letter(
        subject="Devolución hecha: reserva {code}",
        headline="Te hemos devuelto el dinero",
        now="La devolución de esta reserva está hecha.",
        next="No tienes que hacer nada más.",
    ),
    (Language.ENGLISH, MailKind.CONFIRMED): _Letter(
        subject="Reservation {code} confirmed",
        headline="Your reservation is confirmed",
        now="We have received your payment and the supplier has confirmed the service. Everything"
        " is ready.",
        next="On arrival, give the supplier reference: it is the one the establishment knows.",
    ),
    (Language.ENGLISH, MailKind.REJECTED): _Letter(
        subject="We could not confirm reservation {code}",
        headline="We could not confirm your reservation",
        now="We are sorry: the payment was not accepted or the supplier had no availability, so"
        " the reservation does not go ahead.",
        next="You can make a new reservation whenever you like, with another means of payment or"
        " on other dates.",
    ),
    (Language.ENGLISH, MailKind.EXPIRED): _Letter(
        subject="Reservation {code} has expired",
        headline="Your reservation has expired",
        now="The payment was not completed in time and we have let the reservation go.",
        next="If you still want to travel, make a new reservation: this one cannot be recovered.",
    ),
    (Language.ENGLISH, MailKind.CANCELLED): _Letter(
        subject="Reservation {code} cancelled",
        headline="Your reservation is cancelled",
        now="The reservation is no longer valid, nor is its voucher if you had one.",
        next="If you did not ask for the cancellation, the supplier made it: talk to us and we"
        " will help you find another option.",
    ),
    (Language.ENGLISH, MailKind.REFUNDED): _Letter(
        subject="Refund done: reservation {code}",
        headline="We have returned your money",
        now="The refund of this reservation is done.",
        next="You do not need to do anything else.",
    ),
}

_NEWS_FOLLOWS = {MailKind.REJECTED, MailKind.EXPIRED}  # a mail of kind REFUNDED comes later


def compose(mail: Mail, *, sender: str) -> EmailMessage:
    """Write the mail whole, headers and parts; nothing in it can add a header or a recipient.

    Raises:
        UnmailableAddressError: `mail.to` is no single ASCII address.
    """
    words = _WORDS[mail.language]
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = _address(mail.to)
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


def _address(text: str) -> Address:
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
    if mail.kind is MailKind.CONFIRMED:
        voucher = (
            words.voucher_attached if mail.voucher_pdf is not None else words.voucher_elsewhere
        )
        return [letter.now, voucher, letter.next]
    return [letter.now, *_refund(mail, words), letter.next]


def _refund(mail: Mail, words: _Words) -> list[str]:
    if mail.refund is None:
        return [words.nothing_charged]
    amount = written_money(mail.refund, mail.language)
    if mail.refund_done:
        return [words.refund_done.format(amount=amount)]
    on_its_way = words.refund_on_its_way.format(amount=amount)
    return [on_its_way, words.news_follows] if mail.kind in _NEWS_FOLLOWS else [on_its_way]


def _details(mail: Mail, words: _Words) -> list[tuple[str, str]]:
    rows = [(words.code, display(mail.code))]
    if mail.supplier_locator is not None and mail.kind is MailKind.CONFIRMED:
        rows.append((words.locator, mail.supplier_locator))
    price_label = words.paid if mail.kind is MailKind.CONFIRMED else words.price
    return [
        *rows,
        (words.service, _on_one_line(mail.description)),
        (words.starts, written_date(mail.starts_on, mail.language)),
        (words.ends, written_date(mail.ends_on, mail.language)),
        (words.guests, str(mail.guests)),
        (price_label, written_money(mail.price, mail.language)),
    ]


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _as_text(mail: Mail, words: _Words) -> str:
    details = "\n".join(f"{label}: {value}" for label, value in _details(mail, words))
    return "\n\n".join(
        [
            words.greeting.format(guest=_on_one_line(mail.guest)),
            _LETTERS[mail.language, mail.kind].headline + ".",
            *_paragraphs(mail, words),
            details,
            words.help.format(contact=mail.support_contact),
            f"{words.automatic}\n",
        ]
    )


# Tables and inline styles only, no image, no link: what every mail program shows alike.
_FONT = "font-family:Helvetica,Arial,sans-serif"
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
line-height:1.5">{paragraphs}</td></tr>
<tr><td style="padding:8px 32px 24px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"
 style="border-top:1px solid #c9d8db">{details}</table>
</td></tr>
<tr><td style="padding:18px 32px;background:#f6fafb;color:#17252a;{font};font-size:15px;\
line-height:1.5">{help}</td></tr>
</table>
<p style="margin:14px 0 0;color:#5b6b73;{font};font-size:12px">{automatic}</p>
</td></tr>
</table>
</body>
</html>
"""
_PARAGRAPH = '<p style="margin:0 0 14px">{}</p>'
_DETAIL = """\
<tr><td width="38%" style="padding:9px 8px 9px 0;border-bottom:1px solid #c9d8db;color:#5b6b73;\
{font};font-size:14px;vertical-align:top">{label}</td>
<td style="padding:9px 0;border-bottom:1px solid #c9d8db;color:#17252a;{font};font-size:15px;\
font-weight:bold;word-break:break-word"><bdi>{value}</bdi></td></tr>
"""


def _as_html(mail: Mail, words: _Words) -> str:
    greeting = escape(words.greeting).format(guest=f"<bdi>{escape(_on_one_line(mail.guest))}</bdi>")
    texts = [greeting, *map(escape, _paragraphs(mail, words))]
    return _PAGE.format(
        font=_FONT,
        language=mail.language.value,
        headline=escape(_LETTERS[mail.language, mail.kind].headline),
        paragraphs="".join(map(_PARAGRAPH.format, texts)),
        details="".join(
            _DETAIL.format(font=_FONT, label=escape(label), value=escape(value))
            for label, value in _details(mail, words)
        ),
        help=escape(words.help.format(contact=mail.support_contact)),
        automatic=escape(words.automatic),
    )
