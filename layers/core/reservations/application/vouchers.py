"""The content and the place of a voucher. Equal reservations give equal bytes."""

from reservations.application.ports import DocumentStore, Voucher, VoucherRenderer
from reservations.domain.access_token import KeyRing
from reservations.domain.reservation import Customer, Reservation

_AGAIN = "."  # before the number of a voucher that was made again; in no document name


def voucher_of(
    reservation: Reservation,
    customer: Customer,
    *,
    support_contact: str,
    issuer: str | None = None,
) -> Voucher:
    """The content of a confirmed reservation's voucher."""
    booking, confirmed_at = reservation.standing.kept_booking, reservation.facts.confirmed_at
    assert booking is not None  # asked for in SUPPLIER_CONFIRMED only
    assert confirmed_at is not None
    return Voucher(
        code=reservation.code,
        language=customer.language,
        guest=customer.full_name,
        offer=reservation.offer,
        price=reservation.standing.paid,
        supplier_locator=booking.reference or "",
        issued_on=confirmed_at.date(),
        confirmed_at=confirmed_at,
        support_contact=support_contact,
        issuer=issuer,
    )


def voucher_key(reservation: Reservation, *, keys: KeyRing) -> str:
    """The key of the voucher: it cannot be guessed, and holds no personal data."""
    return f"vouchers/{keys.document_name(reservation.token_kid, reservation.reservation_id)}.pdf"


def next_key(key: str) -> str:
    """The key of the voucher that takes the place of the one under `key`."""
    base, number = _numbered(key)
    return f"{base}{_AGAIN}{number + 1}.pdf"


def earlier_keys(key: str) -> list[str]:
    """The keys of the vouchers that the one under `key` took the place of."""
    base, number = _numbered(key)
    return [f"{base}{_AGAIN}{each}.pdf" if each > 1 else f"{base}.pdf" for each in range(1, number)]


def _numbered(key: str) -> tuple[str, int]:
    base, _, number = key.removesuffix(".pdf").partition(_AGAIN)
    return base, int(number or 1)


def stored_voucher(
    key: str, voucher: Voucher, *, store: DocumentStore, renderer: VoucherRenderer
) -> bytes:
    """Read a voucher. Render it again if the store has lost it.

    Raises:
        DocumentStoreUnavailableError: the store did not answer.
        VoucherNotDrawnError: the store has lost it, and it cannot be drawn again.
    """
    content = store.get(key)
    if content is None:
        content = renderer.render(voucher)
        store.put(key, content)
    return content
