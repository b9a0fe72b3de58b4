"""Make the voucher of a confirmed reservation."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from reservations.application.ports import DocumentStore, UnitOfWork, Voucher, VoucherRenderer
from reservations.application.settlement import pass_on, settle_and_save
from reservations.application.vouchers import voucher_key, voucher_of
from reservations.domain.access_token import KeyRing
from reservations.domain.errors import VoucherNotDrawnError
from reservations.domain.fulfilment import IssueVoucher, fulfil, let_mail_go
from reservations.domain.policy import Policy
from reservations.domain.reservation import Document, DocumentType, Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A voucher that was issued now; `confirmed_after` is how long the traveler waited for the word."""

    confirmed_after: timedelta


def issue_voucher(
    reservation_id: UUID,
    *,
    uow: UnitOfWork,
    renderer: VoucherRenderer,
    store: DocumentStore,
    policy: Policy,
    keys: KeyRing,
    support_contact: str,
) -> Issued | None:
    """Render, register and store the voucher, if one is owed; none if it was not issued now.

    It is registered before it is stored: no personal data lie in the store that erasing would not find. One that was
    registered and not stored is made by whoever needs it next, equal to the byte.

    Raises:
        ReservationNotFoundError: there is no such reservation.
        UnavailableError: the database or the store did not answer; a retry is safe.
        VoucherNotDrawnError: the voucher cannot be drawn; its mail goes without it.
    """
    owed = _look(reservation_id, uow=uow, policy=policy, support_contact=support_contact)
    if owed is None:
        return None
    reservation, voucher = owed
    key = voucher_key(reservation, keys=keys)
    try:
        content = renderer.render(voucher)
    except VoucherNotDrawnError:
        _let_mail_go(reservation_id, uow=uow, policy=policy)
        raise
    with uow:
        reservation = uow.reservations.lock(reservation_id)
        now = uow.now()
        issued = isinstance(fulfil(reservation, now), IssueVoucher)
        if issued:
            reservation = _with_voucher(reservation, key=key, content=content, now=now)
        settle_and_save(reservation, uow=uow, policy=policy, now=now)
        uow.commit()
    if not issued:
        return None
    store.put(key, content)
    facts = reservation.facts
    assert facts.confirmed_at is not None  # a voucher is owed to who is confirmed
    return Issued(confirmed_after=facts.confirmed_at - facts.created_at)


def _look(
    reservation_id: UUID, *, uow: UnitOfWork, policy: Policy, support_contact: str
) -> tuple[Reservation, Voucher] | None:
    with uow:
        reservation = uow.reservations.lock(reservation_id)
        now = uow.now()
        if isinstance(fulfil(reservation, now), IssueVoucher):
            customer = uow.reservations.customer(reservation_id)
            return reservation, voucher_of(reservation, customer, support_contact=support_contact)
        pass_on(reservation, uow=uow, policy=policy, now=now)
        uow.commit()
        return None


def _let_mail_go(reservation_id: UUID, *, uow: UnitOfWork, policy: Policy) -> None:
    with uow:
        reservation = uow.reservations.lock(reservation_id)
        now = uow.now()
        going = let_mail_go(reservation, now, policy)
        if going:
            settle_and_save(going, uow=uow, policy=policy, now=now)
            uow.commit()


def _with_voucher(
    reservation: Reservation, *, key: str, content: bytes, now: datetime
) -> Reservation:
    voucher = Document(
        type=DocumentType.VOUCHER, s3_key=key, sha256=sha256(content).hexdigest(), issued_at=now
    )
    return replace(reservation, documents=(*reservation.documents, voucher))
