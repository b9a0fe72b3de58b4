"""Mail the traveler, once per kind of news."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.manage_page import ManagePage
from reservations.application.ports import (
    DocumentStore,
    Mail,
    MailAccepted,
    Mailer,
    MailNotSent,
    MailOutcome,
    MailRefused,
    MailUnknown,
    Notice,
    Quota,
    Voucher,
    VoucherRenderer,
)
from reservations.application.vouchers import stored_voucher, voucher_of
from reservations.domain.access_token import KeyRing
from reservations.domain.errors import DocumentStoreUnavailableError, VoucherNotDrawnError
from reservations.domain.fulfilment import (
    SendMail,
    begin_send,
    fulfil,
    give_up,
    held_until,
    hold,
    is_told,
    needs_place,
    put_off,
    record_send,
)
from reservations.domain.policy import Moment
from reservations.domain.reservation import (
    ERASED,
    Customer,
    MailKind,
    MailStatus,
    Reservation,
)
from reservations.domain.views import RefundStatus, cancellable_until, view

STATUS_OF: dict[type[MailOutcome], MailStatus] = {
    MailAccepted: MailStatus.SENT,
    MailRefused: MailStatus.REFUSED,
    MailNotSent: MailStatus.NOT_SENT,
    MailUnknown: MailStatus.UNKNOWN,
}

_SUBADDRESS = re.compile(r"\+.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpaidMailLimits:
    """Mails an hour about what was never paid, to one mailbox and for one client. `keys` hides addresses."""

    address: int
    client: int
    keys: KeyRing

    def of(self, client_id: str, email: str) -> tuple[Quota, Quota]:
        mailbox = self._digest("unpaid-mail:address:v1:", _mailbox(email))
        client = self._digest("unpaid-mail:client:v1:", client_id)
        return Quota(mailbox, self.address), Quota(client, self.client)

    def _digest(self, purpose: str, text: str) -> bytes:
        # A rotation begins the count again: for an hour twice as many may leave.
        return self.keys.digests(purpose, text)[0]


def _mailbox(email: str) -> str:
    """One text for the spellings of an address that many providers deliver to one mailbox."""
    local, _, domain = email.lower().rpartition("@")
    return f"{_SUBADDRESS.sub('', local).replace('.', '')}@{domain}"


Entry = Callable[[Reservation, MailKind, Moment], Reservation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouchers:
    """The ports needed to attach a voucher."""

    store: DocumentStore
    renderer: VoucherRenderer

    def read(self, key: str, voucher: Voucher) -> bytes:
        return stored_voucher(key, voucher, store=self.store, renderer=self.renderer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """The mail and its status, for logs and metrics."""

    kind: MailKind
    status: MailStatus


def notify_customer(
    reservation_id: UUID,
    *,
    cases: Cases,
    mailer: Mailer,
    vouchers: Vouchers,
    limits: UnpaidMailLimits,
    page: ManagePage,
    support_contact: str,
    issuer: str | None = None,
) -> Notified | None:
    """Send the next due mail. Return `None` if no mail is due.

    The send is written down before it is made, as the mail service has no idempotency key. A crash in
    between costs one repeat, never a silent loss. An outage of the document store costs no send.
    A mail about what was never paid waits for a place of its own in the limits of an hour.

    Raises:
        ReservationNotFoundError: there is no such reservation.
        UnavailableError: the database did not answer; a retry is safe.
    """
    owed = _look(reservation_id, cases=cases)
    if owed is None:
        return None
    kind, seen, customer = owed
    if _has_no_use(kind, seen, customer, page=page):
        _write_down(give_up, reservation_id, kind, cases=cases)
        return Notified(kind=kind, status=MailStatus.REFUSED)
    try:
        pdf = _attachment(
            kind,
            seen,
            customer,
            vouchers=vouchers,
            support_contact=support_contact,
            issuer=issuer,
        )
    except (DocumentStoreUnavailableError, VoucherNotDrawnError):
        waits = _write_down(put_off, reservation_id, kind, cases=cases)
        return Notified(kind=kind, status=MailStatus.NOT_SENT) if waits else None
    begun = _begin(reservation_id, kind, customer, cases=cases, limits=limits)
    if begun is None:
        return None

    reservation, at = begun
    if reservation.is_held(kind):
        return Notified(kind=kind, status=MailStatus.HELD)
    if kind is MailKind.ADDRESS_CHANGED:
        notice = _notice_of(reservation, customer, support_contact=support_contact, issuer=issuer)
        outcome = mailer.notify(notice)
    else:
        mail = mail_of(
            reservation, customer, kind, at=at, support_contact=support_contact, issuer=issuer
        )
        outcome = mailer.send(replace(mail, manage_url=page.link_to(reservation), voucher_pdf=pdf))

    status = STATUS_OF[type(outcome)]
    ses_id = outcome.message_id if isinstance(outcome, MailAccepted) else None
    with cases.open(reservation_id) as case:
        case.put(record_send(case.reservation, kind, status, case.at, ses_id=ses_id))
        if kind is MailKind.ADDRESS_CHANGED and is_told(case.reservation, case.at):
            cases.uow.reservations.change_address(reservation_id, customer.email, former=None)
    return Notified(kind=kind, status=status)


def _look(reservation_id: UUID, *, cases: Cases) -> tuple[MailKind, Reservation, Customer] | None:
    with cases.open(reservation_id, customer=True) as case:
        owed = fulfil(case.reservation, case.at.now)
        if not isinstance(owed, SendMail):
            return None
        case.leave()
        return owed.kind, case.reservation, case.customer


def _has_no_use(
    kind: MailKind, reservation: Reservation, customer: Customer, *, page: ManagePage
) -> bool:
    """Return `True` for a mail without an address, and for a link without a page."""
    if customer == ERASED or (kind is MailKind.ADDRESS_CHANGED and customer.former_email is None):
        return True
    return kind is MailKind.LINK and page.link_to(reservation) is None


def _notice_of(
    reservation: Reservation, customer: Customer, *, support_contact: str, issuer: str | None
) -> Notice:
    assert customer.former_email is not None  # see `_has_no_use`
    return Notice(
        to=customer.former_email,
        language=customer.language,
        code=reservation.code,
        support_contact=support_contact,
        issuer=issuer,
    )


def _write_down(
    entry: Entry, reservation_id: UUID, kind: MailKind, *, cases: Cases
) -> tuple[Reservation, Moment] | None:
    """Enter the mail in the send ledger. Return `None` if it is not due any more."""
    with cases.open(reservation_id) as case:
        if fulfil(case.reservation, case.at.now) != SendMail(kind):
            return None
        case.put(entry(case.reservation, kind, case.at))
        return case.reservation, case.at


def _begin(
    reservation_id: UUID,
    kind: MailKind,
    customer: Customer,
    *,
    cases: Cases,
    limits: UnpaidMailLimits,
) -> tuple[Reservation, Moment] | None:
    """Write down a send, or that the mail is held. Return `None` if it is not due any more."""
    with cases.open(reservation_id) as case:
        reservation, at = case.reservation, case.at
        if fulfil(reservation, at.now) != SendMail(kind):
            return None
        place: datetime | None = at.now
        if needs_place(reservation, kind, at.now):
            quotas = limits.of(reservation.client_id, customer.email)
            last = held_until(reservation, kind, at.now)
            place = cases.uow.unpaid_mails.take(quotas, now=at.now, last=last)
        if place == at.now:
            case.put(begin_send(reservation, kind, at))
        else:
            case.put(hold(reservation, kind, at, until=place))
        return case.reservation, at


def mail_of(
    reservation: Reservation,
    customer: Customer,
    kind: MailKind,
    *,
    at: Moment,
    support_contact: str,
    issuer: str | None = None,
) -> Mail:
    """The content of a mail, without its link and its attachment."""
    booking, refund = reservation.standing.kept_booking, view(reservation, at).refund
    return Mail(
        reservation_id=reservation.reservation_id,
        kind=kind,
        language=customer.language,
        to=customer.email,
        guest=customer.full_name,
        code=reservation.code,
        offer=reservation.offer,
        quoted=reservation.quoted,
        price=reservation.standing.paid,
        supplier_locator=booking.reference if booking else None,
        refund=refund.money if refund else None,
        refund_done=refund is not None and refund.status is RefundStatus.DONE,
        support_contact=support_contact,
        at=at.now,
        issuer=issuer,
        closed_reason=reservation.standing.closed_reason,
        was_confirmed=reservation.facts.confirmed_at is not None,
        cancellable_until=cancellable_until(reservation, at.now),
    )


def _attachment(
    kind: MailKind,
    reservation: Reservation,
    customer: Customer,
    *,
    vouchers: Vouchers,
    support_contact: str,
    issuer: str | None,
) -> bytes | None:
    if kind not in (MailKind.CONFIRMED, MailKind.VOUCHER):
        return None
    document = reservation.voucher
    if document is None:
        return None  # its rendering failed for good
    if document.removed_at is not None:
        return None  # a nudge repeats a mail after the retention: a removed voucher stays removed
    content = voucher_of(reservation, customer, support_contact=support_contact, issuer=issuer)
    try:
        return vouchers.read(document.s3_key, content)
    except VoucherNotDrawnError:  # the store has lost it; the renderer has logged its failure
        if kind is MailKind.VOUCHER:  # which brings nothing else
            raise
        return None
