"""Tell the traveler, once per kind of news."""

from dataclasses import dataclass, replace
from uuid import UUID

from reservations.application.ports import (
    DocumentStore,
    Mail,
    MailAccepted,
    Mailer,
    MailNotSent,
    MailOutcome,
    MailRefused,
    MailUnknown,
    UnitOfWork,
    VoucherRenderer,
)
from reservations.application.settlement import pass_on, settle_and_save
from reservations.application.vouchers import stored_voucher, voucher_of
from reservations.domain.errors import DocumentStoreUnavailableError
from reservations.domain.fulfilment import SendMail, begin_send, fulfil, record_send
from reservations.domain.policy import Policy
from reservations.domain.reservation import Customer, MailKind, MailStatus, Reservation
from reservations.domain.saga import kept_booking
from reservations.domain.views import Refund, RefundStatus, view

STATUS_OF: dict[type[MailOutcome], MailStatus] = {
    MailAccepted: MailStatus.SENT,
    MailRefused: MailStatus.REFUSED,
    MailNotSent: MailStatus.NOT_SENT,
    MailUnknown: MailStatus.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouchers:
    """What it takes to attach a voucher."""

    store: DocumentStore
    renderer: VoucherRenderer


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """What was tried, for logs and metrics; both none when no mail was owed."""

    kind: MailKind | None = None
    status: MailStatus | None = None


def notify_customer(
    reservation_id: UUID,
    *,
    uow: UnitOfWork,
    mailer: Mailer,
    vouchers: Vouchers,
    policy: Policy,
    support_contact: str,
) -> Notified:
    """Send the mail that is owed, if one is.

    The send is written down before it is made, as the mail service has no idempotency key: a crash in between costs
    one repeat, never a silent loss.

    Raises:
        ReservationNotFoundError: there is no such reservation.
        UnavailableError: the database did not answer; a retry is safe.
    """
    with uow:
        reservation = uow.reservations.lock(reservation_id)
        now = uow.now()
        owed = fulfil(reservation, now)
        if not isinstance(owed, SendMail):
            pass_on(reservation, uow=uow, policy=policy, now=now)
            uow.commit()
            return Notified()
        reservation = begin_send(reservation, owed.kind, now, policy)
        customer = uow.reservations.customer(reservation_id)
        settle_and_save(reservation, uow=uow, policy=policy, now=now)
        uow.commit()

    refund = view(reservation, now, policy).refund
    mail = mail_of(reservation, customer, owed.kind, refund=refund, support_contact=support_contact)
    outcome = _send(mail, reservation, customer, mailer=mailer, vouchers=vouchers)

    status = STATUS_OF[type(outcome)]
    ses_id = outcome.message_id if isinstance(outcome, MailAccepted) else None
    with uow:
        reservation = uow.reservations.lock(reservation_id)
        now = uow.now()
        reservation = record_send(reservation, owed.kind, status, now, policy, ses_id=ses_id)
        settle_and_save(reservation, uow=uow, policy=policy, now=now)
        uow.commit()
    return Notified(kind=owed.kind, status=status)


def mail_of(
    reservation: Reservation,
    customer: Customer,
    kind: MailKind,
    *,
    refund: Refund | None,
    support_contact: str,
) -> Mail:
    """The content of a mail, without its attachment."""
    booking = kept_booking(reservation.facts)
    offer = reservation.offer
    return Mail(
        reservation_id=reservation.reservation_id,
        kind=kind,
        language=customer.language,
        to=customer.email,
        guest=customer.full_name,
        code=reservation.code,
        description=offer.description,
        starts_on=offer.starts_on,
        ends_on=offer.ends_on,
        guests=offer.guests,
        price=reservation.facts.price,
        supplier_locator=(booking.locator or booking.provider_id) if booking else None,
        refund=refund.money if refund else None,
        refund_done=refund is not None and refund.status is RefundStatus.DONE,
        support_contact=support_contact,
    )


def _send(
    mail: Mail, reservation: Reservation, customer: Customer, *, mailer: Mailer, vouchers: Vouchers
) -> MailOutcome:
    if mail.kind is not MailKind.CONFIRMED:
        return mailer.send(mail)
    document = reservation.voucher
    assert document is not None  # the confirmation is owed only after the voucher
    content = voucher_of(reservation, customer, support_contact=mail.support_contact)
    try:
        pdf = stored_voucher(
            document.s3_key, content, store=vouchers.store, renderer=vouchers.renderer
        )
    except DocumentStoreUnavailableError:
        return MailNotSent()
    return mailer.send(replace(mail, voucher_pdf=pdf))
