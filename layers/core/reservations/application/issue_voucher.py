"""Make the voucher of a confirmed reservation."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.ports import DocumentStore, Voucher, VoucherRenderer
from reservations.application.vouchers import next_key, voucher_key, voucher_of
from reservations.domain.access_token import KeyRing
from reservations.domain.errors import VoucherNotDrawnError
from reservations.domain.fulfilment import IssueVoucher, fulfil, let_mail_go
from reservations.domain.reservation import Document, DocumentType, Reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A voucher that was issued now. `confirmed_after` is the time from creation to confirmation."""

    confirmed_after: timedelta


def issue_voucher(
    reservation_id: UUID,
    *,
    cases: Cases,
    renderer: VoucherRenderer,
    store: DocumentStore,
    keys: KeyRing,
    support_contact: str,
    issuer: str | None = None,
) -> Issued | None:
    """Render, register and store the voucher, if one is due. Return `None` if it was not issued now.

    Register before storing, so that erasure finds every file. One of another booking gets a key of
    its own, and erasure deletes the one before too. A registered voucher that is missing
    in the store is rendered again at its next use, byte for byte.

    Raises:
        ReservationNotFoundError: there is no such reservation.
        UnavailableError: the database or the store did not answer; a retry is safe.
        VoucherNotDrawnError: the voucher cannot be rendered; its mail goes without it.
    """
    owed = _look(reservation_id, cases=cases, support_contact=support_contact, issuer=issuer)
    if owed is None:
        return None
    reservation, voucher = owed
    replaced = reservation.voucher
    key = next_key(replaced.s3_key) if replaced else voucher_key(reservation, keys=keys)
    try:
        content = renderer.render(voucher)
    except VoucherNotDrawnError:
        _let_mail_go(reservation_id, cases=cases)
        raise
    with cases.open(reservation_id) as case:
        issued = isinstance(fulfil(case.reservation, case.at.now), IssueVoucher)
        if issued:
            case.put(_with_voucher(case.reservation, key=key, content=content, now=case.at.now))
    if not issued:
        return None
    store.put(key, content)
    facts = case.reservation.facts
    assert facts.confirmed_at is not None  # only confirmed reservations get a voucher
    return Issued(confirmed_after=facts.confirmed_at - facts.created_at)


def _look(
    reservation_id: UUID, *, cases: Cases, support_contact: str, issuer: str | None
) -> tuple[Reservation, Voucher] | None:
    with cases.open(reservation_id, customer=True) as case:
        reservation = case.reservation
        if not isinstance(fulfil(reservation, case.at.now), IssueVoucher):
            return None
        case.leave()
        voucher = voucher_of(
            reservation, case.customer, support_contact=support_contact, issuer=issuer
        )
        return reservation, voucher


def _let_mail_go(reservation_id: UUID, *, cases: Cases) -> None:
    with cases.open(reservation_id) as case:
        going = let_mail_go(case.reservation, case.at)
        if going:
            case.put(going)
        else:
            case.leave()


def _with_voucher(
    reservation: Reservation, *, key: str, content: bytes, now: datetime
) -> Reservation:
    voucher = Document(
        type=DocumentType.VOUCHER, s3_key=key, sha256=sha256(content).hexdigest(), issued_at=now
    )
    documents = {document.type: document for document in (*reservation.documents, voucher)}
    return replace(reservation, documents=tuple(documents.values()))
