"""The queries of a reservation's owner."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from reservations.application.ports import DocumentStore, UnitOfWork, VoucherRenderer
from reservations.application.vouchers import stored_voucher, voucher_of
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import canonical
from reservations.domain.errors import (
    DocumentStoreUnavailableError,
    InvalidReservationCodeError,
    ReservationNotFoundError,
)
from reservations.domain.history import INTERNAL, HistoryEntry
from reservations.domain.reservation import Document, Reservation
from reservations.domain.views import Glance
from reservations.domain.words import State

LINK_LIFETIME = timedelta(seconds=60)

Found = TypeVar("Found", Reservation, Glance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The API client of a request, with the access token that it sent."""

    client_id: str
    access_token: str = field(repr=False)


def find_owned(code: str, *, reader: Reader, uow: UnitOfWork, keys: KeyRing) -> Reservation:
    """Read a reservation for its owner.

    An unknown code, a wrong check symbol, a wrong token and another client's reservation get the
    same answer, and each costs one HMAC (CWE-204, CWE-208). An existing code costs some more reads,
    which an attacker who tries codes may notice.

    Raises:
        ReservationNotFoundError: in any of the four cases.
    """
    return _owned(code, uow.reservations.find, reader=reader, keys=keys)


def _owned(
    code: str, find: Callable[[str], Found | None], *, reader: Reader, keys: KeyRing
) -> Found:
    try:
        found = find(canonical(code))
    except InvalidReservationCodeError:
        found = None
    if found is None:
        keys.verify_nothing(reader.access_token)
        raise ReservationNotFoundError
    owned = keys.verify(
        reader.access_token, found.token_kid, found.reservation_id, found.token_version
    )
    if not owned or found.client_id != reader.client_id:
        raise ReservationNotFoundError
    return found


def glance_at(code: str, *, reader: Reader, uow: UnitOfWork, keys: KeyRing) -> Glance:
    """
    Raises:
        ReservationNotFoundError: see `find_owned`.
    """
    with uow:
        return _owned(code, uow.reservations.glance, reader=reader, keys=keys)


def read_reservation(code: str, *, reader: Reader, uow: UnitOfWork, keys: KeyRing) -> Reservation:
    """
    Raises:
        ReservationNotFoundError: see `find_owned`.
    """
    with uow:
        return find_owned(code, reader=reader, uow=uow, keys=keys)


def read_timeline(
    code: str, *, reader: Reader, uow: UnitOfWork, keys: KeyRing
) -> tuple[Reservation, list[HistoryEntry]]:
    """Read a reservation and its history, without the operators' actions on our messages.

    Raises:
        ReservationNotFoundError: see `find_owned`.
    """
    with uow:
        reservation = find_owned(code, reader=reader, uow=uow, keys=keys)
        entries = uow.reservations.history(reservation.reservation_id)
    return reservation, [entry for entry in entries if entry.event not in INTERNAL]


def link_to_voucher(
    code: str,
    *,
    reader: Reader,
    uow: UnitOfWork,
    keys: KeyRing,
    store: DocumentStore,
    renderer: VoucherRenderer,
    support_contact: str,
    issuer: str | None = None,
    head: bool = False,
    inline: bool = False,
) -> str:
    """Make a link that serves the voucher for `LINK_LIFETIME`, as `DocumentStore.link`. Render a lost voucher again.

    Raises:
        ReservationNotFoundError: see `find_owned`, or there is no valid voucher.
        DocumentStoreUnavailableError: the store did not answer, or has lost the voucher of a frozen
        reservation.
        VoucherNotDrawnError: the store has lost the voucher, and it cannot be rendered again.
    """
    with uow:
        reservation = find_owned(code, reader=reader, uow=uow, keys=keys)
        document = _valid_voucher(reservation)
        customer = uow.reservations.customer(reservation.reservation_id)
    if not store.exists(document.s3_key):
        if reservation.standing.kept_booking is None:
            raise DocumentStoreUnavailableError("frozen: the release that knows its words draws it")
        content = voucher_of(reservation, customer, support_contact=support_contact, issuer=issuer)
        stored_voucher(document.s3_key, content, store=store, renderer=renderer)
        _withdraw_if_removed(code, reader=reader, uow=uow, keys=keys, store=store)
    filename = renderer.filename(reservation.code, customer.language)
    return store.link(
        document.s3_key, filename=filename, lifetime=LINK_LIFETIME, head=head, inline=inline
    )


def _valid_voucher(reservation: Reservation) -> Document:
    document = reservation.voucher
    confirmed = reservation.standing.state is State.SUPPLIER_CONFIRMED
    if document is None or document.removed_at is not None or not confirmed:
        raise ReservationNotFoundError
    return document


def _withdraw_if_removed(
    code: str, *, reader: Reader, uow: UnitOfWork, keys: KeyRing, store: DocumentStore
) -> None:
    """Delete the voucher again if it was missing because of an erasure."""
    with uow:
        document = find_owned(code, reader=reader, uow=uow, keys=keys).voucher
    if document is not None and document.removed_at is not None:
        store.delete(document.s3_key)
        raise ReservationNotFoundError
