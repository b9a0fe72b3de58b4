"""Which events follow from a change of facts, and how a traveler reads them.

The codes are stable: they are stored, and shown as they are to those who operate the service.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from reservations.domain.facts import Call, Operation, Reason, Status
from reservations.domain.reservation import (
    Language,
    MailFeedback,
    MailKind,
    MailStatus,
    Reservation,
)
from reservations.domain.standing import Standing

ACCEPTED = "reservation.accepted"
CONFIRMED = "reservation.confirmed"
ENDED = "reservation.ended"
SUM_DIFFERS = "review.sum_differs"
SUM_ACCEPTED = "review.sum_accepted"
DUPLICATE = "duplicate.found"
VOID_ASKED = "payment.void_asked"
VOUCHER_ISSUED = "voucher.issued"
VOUCHER_REMOVED = "voucher.removed"

# What no change of facts tells: somebody's deed, with its actor.
NUDGED = "operator.nudged"
HINT_REVIVED = "operator.hint_revived"
MESSAGE_REDRIVEN = "operator.message_redriven"
MESSAGE_DROPPED = "operator.message_dropped"
REVIEW_RESOLVED = "review.resolved"
TOKEN_REISSUED = "access_token.reissued"  # noqa: S105  # the name of an event
CUSTOMER_ERASED = "customer.erased"

# About our messages, which change no reservation: operators read of them, travelers do not.
INTERNAL = frozenset({HINT_REVIVED, MESSAGE_REDRIVEN, MESSAGE_DROPPED})

CLOSED: Mapping[Reason, str] = {reason: f"reservation.closed.{reason}" for reason in Reason}

_NOUNS = {
    Operation.CHARGE: "payment",
    Operation.REFUND: "refund",
    Operation.BOOK: "booking",
    Operation.CANCEL_BOOKING: "booking_cancellation",
}
_WORDS = {
    (Operation.BOOK, Status.SUCCEEDED): "confirmed",
    (Operation.BOOK, Status.DECLINED): "rejected",
    (Operation.REFUND, Status.DECLINED): "rejected",
    (Operation.CANCEL_BOOKING, Status.DECLINED): "rejected",
}
CALLS: Mapping[tuple[Operation, Status], str] = {
    (operation, status): f"{noun}.{_WORDS.get((operation, status), status)}"
    for operation, noun in _NOUNS.items()
    for status in Status
}

# A send in progress is no news: its end is.
_TOLD_SENDS = (MailStatus.SENT, MailStatus.REFUSED, MailStatus.UNKNOWN)
MAILS: Mapping[tuple[MailKind, MailStatus], str] = {
    (kind, status): f"mail.{status}.{kind}" for kind in MailKind for status in _TOLD_SENDS
}

FEEDBACK: Mapping[tuple[MailKind, MailFeedback], str] = {
    (kind, feedback): f"mail.{feedback}.{kind}" for kind in MailKind for feedback in MailFeedback
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One line of a reservation's timeline."""

    event: str
    at: datetime
    actor: str
    note: str | None = None  # the evidence an operator gave; never personal data


@dataclass(frozen=True, slots=True)
class Text:
    """What a client or a traveler reads; it never holds personal data."""

    spanish: str
    english: str

    def in_language(self, language: Language) -> str:
        return self.english if language is Language.ENGLISH else self.spanish


TEXTS: Mapping[str, Text] = {
    ACCEPTED: Text("Hemos recibido tu reserva.", "We have received your reservation."),
    CONFIRMED: Text("Tu reserva está confirmada.", "Your reservation is confirmed."),
    ENDED: Text(
        "La reserva ha quedado cerrada: no queda nada pendiente.",
        "The reservation is closed: nothing is left to be done.",
    ),
    "reservation.closed.payment_declined": Text(
        "El pago no fue aceptado, así que la reserva no sigue adelante.",
        "The payment was not accepted, so the reservation does not go ahead.",
    ),
    "reservation.closed.supplier_rejected": Text(
        "El proveedor no pudo confirmar el servicio. Te devolvemos lo que hayas pagado.",
        "The supplier could not confirm the service. We return whatever you paid.",
    ),
    "reservation.closed.supplier_cancelled": Text(
        "El proveedor ha cancelado el servicio. Te devolvemos lo que hayas pagado.",
        "The supplier cancelled the service. We return whatever you paid.",
    ),
    "reservation.closed.customer_cancelled": Text(
        "Has cancelado la reserva. Te devolvemos lo que hayas pagado.",
        "You cancelled the reservation. We return whatever you paid.",
    ),
    "reservation.closed.expired": Text(
        "El plazo para completar el pago ha terminado.",
        "The time to complete the payment is over.",
    ),
    "payment.started": Text("Hemos iniciado el cobro.", "We have started the payment."),
    "payment.unknown": Text(
        "El servicio de pagos aún no ha respondido. Lo comprobamos; no se te cobrará dos veces.",
        "The payment service has not answered yet. We are checking; you will not be charged twice.",
    ),
    "payment.not_found": Text(
        "Al servicio de pagos no le consta el cobro; si apareciera después, no pagarás dos veces.",
        "The payment service knows of no payment; should it turn up later, you will not pay twice.",
    ),
    "payment.pending": Text("El pago está en curso.", "The payment is being processed."),
    "payment.declined": Text("El pago fue rechazado.", "The payment was declined."),
    "payment.voided": Text(
        "El pago quedó anulado antes de cobrarse.", "The payment was voided before it was taken."
    ),
    "payment.succeeded": Text("Hemos recibido el pago.", "We have received the payment."),
    "payment.cancelled": Text("El pago fue cancelado.", "The payment was cancelled."),
    VOID_ASKED: Text(
        "Hemos pedido anular un pago que ya no hace falta.",
        "We have asked to void a payment that is no longer needed.",
    ),
    "refund.started": Text(
        "Hemos iniciado la devolución del dinero.", "We have started to return the money."
    ),
    "refund.unknown": Text(
        "El servicio de pagos aún no ha confirmado la devolución. Lo comprobamos.",
        "The payment service has not confirmed the refund yet. We are checking.",
    ),
    "refund.not_found": Text(
        "La devolución no llegó al servicio de pagos; la repetimos.",
        "The refund did not reach the payment service; we send it again.",
    ),
    "refund.pending": Text("La devolución está en curso.", "The refund is being processed."),
    "refund.rejected": Text(
        "La devolución fue rechazada. Nuestro equipo la está revisando.",
        "The refund was rejected. Our team is looking into it.",
    ),
    "refund.voided": Text("La devolución quedó anulada.", "The refund was voided."),
    "refund.succeeded": Text("Se ha devuelto dinero.", "Money was returned."),
    "refund.cancelled": Text("La devolución fue cancelada.", "The refund was cancelled."),
    "booking.started": Text(
        "Hemos pedido la plaza al proveedor.", "We have asked the supplier for the service."
    ),
    "booking.unknown": Text(
        "El proveedor aún no ha respondido. Lo comprobamos; no se reservará dos veces.",
        "The supplier has not answered yet. We are checking; nothing will be booked twice.",
    ),
    "booking.not_found": Text(
        "La petición no llegó al proveedor.",
        "The request did not reach the supplier.",
    ),
    "booking.pending": Text(
        "El proveedor está tramitando la plaza.", "The supplier is working on it."
    ),
    "booking.rejected": Text(
        "El proveedor no pudo dar la plaza.", "The supplier could not provide the service."
    ),
    "booking.voided": Text(
        "La plaza quedó anulada en el proveedor.", "The supplier voided the service."
    ),
    "booking.confirmed": Text(
        "El proveedor ha confirmado la plaza.", "The supplier has confirmed the service."
    ),
    "booking.cancelled": Text(
        "La plaza está cancelada en el proveedor.", "The service is cancelled at the supplier."
    ),
    "booking_cancellation.started": Text(
        "Hemos pedido al proveedor que cancele la plaza.",
        "We have asked the supplier to cancel the service.",
    ),
    "booking_cancellation.unknown": Text(
        "El proveedor aún no ha respondido a la cancelación. Lo comprobamos.",
        "The supplier has not answered to the cancellation yet. We are checking.",
    ),
    "booking_cancellation.not_found": Text(
        "La cancelación no llegó al proveedor; la repetimos.",
        "The cancellation did not reach the supplier; we send it again.",
    ),
    "booking_cancellation.pending": Text(
        "El proveedor está tramitando la cancelación.",
        "The supplier is working on the cancellation.",
    ),
    "booking_cancellation.rejected": Text(
        "El proveedor no acepta la cancelación. Nuestro equipo la está revisando.",
        "The supplier does not accept the cancellation. Our team is looking into it.",
    ),
    "booking_cancellation.voided": Text(
        "La cancelación quedó anulada.", "The cancellation was voided."
    ),
    "booking_cancellation.succeeded": Text(
        "El proveedor ha aceptado la cancelación.", "The supplier has accepted the cancellation."
    ),
    "booking_cancellation.cancelled": Text(
        "La cancelación quedó sin efecto.", "The cancellation was dropped."
    ),
    SUM_DIFFERS: Text(
        "Se ha cobrado un importe distinto del precio. Nuestro equipo lo está revisando.",
        "Another sum than the price was taken. Our team is looking into it.",
    ),
    DUPLICATE: Text(
        "Algo se cobró o se reservó dos veces: deshacemos lo que sobra y tu reserva sigue en pie.",
        "Something was paid or booked twice: we undo what is too much, and your reservation stands.",
    ),
    SUM_ACCEPTED: Text(
        "Nuestro equipo ha dado por bueno el importe cobrado.",
        "Our team has accepted the sum that was taken.",
    ),
    VOUCHER_ISSUED: Text(
        "Tu bono está listo para descargar.", "Your voucher is ready to download."
    ),
    VOUCHER_REMOVED: Text(
        "El bono ya no se guarda: el viaje terminó hace tiempo o se pidió borrarlo.",
        "The voucher is no longer kept: the trip is long over, or its deletion was asked for.",
    ),
    NUDGED: Text(
        "Nuestro equipo ha pedido comprobar de nuevo la reserva.",
        "Our team has asked for the reservation to be checked again.",
    ),
    REVIEW_RESOLVED: Text(
        "Nuestro equipo ha resuelto la revisión.", "Our team has resolved the review."
    ),
    TOKEN_REISSUED: Text(
        "La clave de acceso a la reserva se ha cambiado.",
        "The access token of the reservation was replaced.",
    ),
    CUSTOMER_ERASED: Text(
        "Los datos personales de la reserva se han borrado.",
        "The personal data of the reservation were deleted.",
    ),
    "mail.sent.confirmed": Text(
        "Te hemos enviado la confirmación por correo.",
        "We have sent you the confirmation by email.",
    ),
    "mail.sent.rejected": Text(
        "Te hemos avisado por correo de que la reserva no salió adelante.",
        "We have told you by email that the reservation did not go ahead.",
    ),
    "mail.sent.expired": Text(
        "Te hemos avisado por correo de que el plazo de pago terminó.",
        "We have told you by email that the time to pay was over.",
    ),
    "mail.sent.cancelled": Text(
        "Te hemos confirmado la cancelación por correo.",
        "We have confirmed the cancellation by email.",
    ),
    "mail.sent.refunded": Text(
        "Te hemos confirmado la devolución por correo.", "We have confirmed the refund by email."
    ),
    **{
        f"mail.refused.{kind}": Text(
            "No hemos podido enviarte un correo. Nuestro equipo lo está revisando.",
            "We could not send you an email. Our team is looking into it.",
        )
        for kind in MailKind
    },
    **{
        f"mail.unknown.{kind}": Text(
            "No sabemos aún si un correo nuestro te ha llegado; si hace falta, lo repetimos.",
            "We do not know yet whether an email reached you; if need be, we send it again.",
        )
        for kind in MailKind
    },
    **{
        f"mail.bounced.{kind}": Text(
            "Tu dirección de correo no aceptó nuestro mensaje.",
            "Your email address did not accept our message.",
        )
        for kind in MailKind
    },
    **{
        f"mail.returned.{kind}": Text(
            "Tu buzón devolvió nuestro mensaje: puede estar lleno o responder de forma automática.",
            "Your mailbox returned our message: it may be full, or it answers by itself.",
        )
        for kind in MailKind
    },
    **{
        f"mail.complained.{kind}": Text(
            "Nuestro mensaje fue marcado como no deseado en tu buzón.",
            "Our message was marked as unwanted in your mailbox.",
        )
        for kind in MailKind
    },
}


def changes(before: Reservation | None, after: Reservation) -> tuple[str, ...]:
    """The events that lead from one stored reservation to the next, causes before consequences."""
    return (ACCEPTED,) if before is None else tuple(_changes(before, after))


def _changes(before: Reservation, after: Reservation) -> Iterator[str]:
    old, new = before.facts, after.facts
    if new.reason is None and _undoing(after.standing) > _undoing(before.standing):
        yield DUPLICATE
    for call in new.calls:
        yield from _call_changes(old.find(call.key), call)
    if after.standing.sum_differs and not before.standing.sum_differs:
        yield SUM_DIFFERS
    if new.accepted_minor != old.accepted_minor:
        yield SUM_ACCEPTED
    if new.confirmed_at != old.confirmed_at:
        yield CONFIRMED
    if new.reason is not None and new.reason is not old.reason:
        yield CLOSED[new.reason]
    if new.ended_at != old.ended_at:
        yield ENDED
    if after.voucher is not None and before.voucher is None:
        yield VOUCHER_ISSUED
    if _removed(after) and not _removed(before):
        yield VOUCHER_REMOVED
    for send in after.sends:
        earlier = before.send_of(send.kind)
        if send.status in _TOLD_SENDS and (earlier is None or earlier.status is not send.status):
            yield MAILS[send.kind, send.status]


def _undoing(standing: Standing) -> int:
    """How many refunds and cancellations began: of one that stands, only what is too much is undone."""
    return len(standing.refunds) + len(standing.cancellations)


def _removed(reservation: Reservation) -> bool:
    return reservation.voucher is not None and reservation.voucher.removed_at is not None


def _call_changes(old: Call | None, new: Call) -> Iterator[str]:
    if new.void_asked and not (old and old.void_asked):
        yield VOID_ASKED
    if old is None or (old.status is not new.status and not _only_repeated(old, new)):
        yield CALLS[new.operation, new.status]


def _only_repeated(old: Call, new: Call) -> bool:
    """An outage makes us send in vain again and again: the first time is news."""
    return new.attempts > 1 and {old.status, new.status} == {Status.STARTED, Status.NOT_FOUND}
