"""States, statuses and reviews of a reservation, and the tables of their transitions.

Documents, constraints and tests are made from these tables.
"""

from collections.abc import Mapping
from enum import StrEnum

from reservations.domain.facts import Kind, Reason


class State(StrEnum):
    """The state of a reservation, for operators."""

    CREATED = "CREATED"
    PAYMENT_IN_PROGRESS = "PAYMENT_IN_PROGRESS"
    PAID = "PAID"
    SUPPLIER_CONFIRMED = "SUPPLIER_CONFIRMED"
    CANCELLATION_IN_PROGRESS = "CANCELLATION_IN_PROGRESS"
    REFUND_IN_PROGRESS = "REFUND_IN_PROGRESS"
    REFUNDED = "REFUNDED"
    PAYMENT_FAILED = "PAYMENT_FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class PublicStatus(StrEnum):
    """The status that a traveler reads."""

    EN_PROCESO = "EN PROCESO"
    CONFIRMADA = "CONFIRMADA"
    RECHAZADA = "RECHAZADA"
    EXPIRADA = "EXPIRADA"
    EN_CANCELACION = "EN CANCELACION"
    CANCELADA = "CANCELADA"


class ClosedReason(StrEnum):
    """The reason of a closed reservation, in a traveler's words."""

    PAYMENT_DECLINED = "payment_declined"
    NOT_AVAILABLE = "not_available"
    EXPIRED = "expired"
    CANCELLED_BY_HOTEL = "cancelled_by_hotel"
    CANCELLED_BY_YOU = "cancelled_by_you"


class Review(StrEnum):
    """The reason why a person is needed."""

    DEADLINE = "deadline"  # open for too long, or a refund or cancellation that never arrived
    MONEY_MISMATCH = "money_mismatch"  # the payment is of another sum than the price
    REFUND_REFUSED = "refund_refused"
    CANCEL_REFUSED = "cancel_refused"  # and the booking is still live
    UNKNOWN_WORD = "unknown_word"  # of another release: see `stored_words`
    # An open contradiction of this kind
    BOOKING_ABSENT = Kind.BOOKING_ABSENT
    BOOKING_CHANGED = Kind.BOOKING_CHANGED
    BOOKING_ALIVE = Kind.BOOKING_ALIVE
    PAYMENT_ABSENT = Kind.PAYMENT_ABSENT
    PAYMENT_CHANGED = Kind.PAYMENT_CHANGED
    FOREIGN_REFUND = Kind.FOREIGN_REFUND
    REFUND_FAILED = Kind.REFUND_FAILED
    DISPUTE = Kind.DISPUTE
    OTHER_SUM = Kind.OTHER_SUM


FINAL_STATE: Mapping[Reason, State] = {
    Reason.PAYMENT_DECLINED: State.PAYMENT_FAILED,
    Reason.SUPPLIER_REJECTED: State.CANCELLED,
    Reason.SUPPLIER_CANCELLED: State.CANCELLED,
    Reason.CUSTOMER_CANCELLED: State.CANCELLED,
    Reason.EXPIRED: State.EXPIRED,
}
"""Final state of a closed reservation without a refund. With one, it ends REFUNDED."""

FINAL = frozenset({*FINAL_STATE.values(), State.REFUNDED})
RESTING = FINAL | {State.SUPPLIER_CONFIRMED}

_TAKING_BACK = frozenset({State.CANCELLATION_IN_PROGRESS, State.REFUND_IN_PROGRESS})

NEXT_STATES: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.PAYMENT_IN_PROGRESS, State.CANCELLED, State.EXPIRED}),
    State.PAYMENT_IN_PROGRESS: frozenset(
        {
            State.PAID,
            State.PAYMENT_FAILED,
            State.EXPIRED,
            State.CANCELLED,
            State.CANCELLATION_IN_PROGRESS,
        }
    ),
    State.PAID: frozenset({State.SUPPLIER_CONFIRMED, *_TAKING_BACK}),
    State.SUPPLIER_CONFIRMED: _TAKING_BACK,
    State.CANCELLATION_IN_PROGRESS: frozenset({State.REFUND_IN_PROGRESS, *FINAL}),
    State.REFUND_IN_PROGRESS: frozenset({State.REFUNDED, State.CANCELLATION_IN_PROGRESS}),
    # A late payment or booking opens a final state again. It is undone, and the status stays.
    State.REFUNDED: _TAKING_BACK,
    State.PAYMENT_FAILED: _TAKING_BACK,
    State.EXPIRED: _TAKING_BACK,
    State.CANCELLED: _TAKING_BACK,
}

PUBLIC_STATUS_OF_STATE: Mapping[State, PublicStatus] = {
    State.CREATED: PublicStatus.EN_PROCESO,
    State.PAYMENT_IN_PROGRESS: PublicStatus.EN_PROCESO,
    State.PAID: PublicStatus.EN_PROCESO,
    State.SUPPLIER_CONFIRMED: PublicStatus.CONFIRMADA,
}

PUBLIC_STATUS_OF_REASON: Mapping[Reason, PublicStatus] = {
    Reason.PAYMENT_DECLINED: PublicStatus.RECHAZADA,
    Reason.SUPPLIER_REJECTED: PublicStatus.RECHAZADA,
    Reason.EXPIRED: PublicStatus.EXPIRADA,
    Reason.SUPPLIER_CANCELLED: PublicStatus.CANCELADA,
    Reason.CUSTOMER_CANCELLED: PublicStatus.CANCELADA,
}
"""A reservation that becomes CANCELADA is EN CANCELACION until it has ended once."""

CLOSED_REASON: Mapping[Reason, ClosedReason] = {
    Reason.PAYMENT_DECLINED: ClosedReason.PAYMENT_DECLINED,
    Reason.SUPPLIER_REJECTED: ClosedReason.NOT_AVAILABLE,
    Reason.EXPIRED: ClosedReason.EXPIRED,
    Reason.SUPPLIER_CANCELLED: ClosedReason.CANCELLED_BY_HOTEL,
    Reason.CUSTOMER_CANCELLED: ClosedReason.CANCELLED_BY_YOU,
}


def public_status_of(state: State, reason: Reason | None, *, ended: bool) -> PublicStatus:
    """The status for travelers. An unknown reason, of another release, reads as a cancellation."""
    if reason is None:
        return PUBLIC_STATUS_OF_STATE[state]
    status = PUBLIC_STATUS_OF_REASON.get(reason, PublicStatus.CANCELADA)
    if status is PublicStatus.CANCELADA and not ended:
        return PublicStatus.EN_CANCELACION
    return status


NEXT_PUBLIC_STATUSES: Mapping[PublicStatus, frozenset[PublicStatus]] = {
    PublicStatus.EN_PROCESO: frozenset(PublicStatus) - {PublicStatus.EN_PROCESO},
    PublicStatus.CONFIRMADA: frozenset({PublicStatus.EN_CANCELACION, PublicStatus.CANCELADA}),
    PublicStatus.EN_CANCELACION: frozenset({PublicStatus.CANCELADA}),
    PublicStatus.RECHAZADA: frozenset(),
    PublicStatus.EXPIRADA: frozenset(),
    PublicStatus.CANCELADA: frozenset(),
}
"""The statuses that each public status may become. It never flips back."""
