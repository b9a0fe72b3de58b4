"""The only message: a hint to check a reservation. It proves and orders nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from reservations.domain.identifiers import uuid7

SCHEMA_VERSION = 1


class Queue(StrEnum):
    """The destination of a hint: one queue per step, and one for the late looks at each provider.

    Late looks have places of their own, so that none delays a charge or a booking.
    """

    PAYMENT = "payment"
    PAYMENT_LOOK = "payment_look"
    SUPPLIER = "supplier"
    SUPPLIER_LOOK = "supplier_look"
    VOUCHER = "voucher"
    NOTIFICATION = "notification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """A request to check a reservation. `type` is for people; no code reads it."""

    message_id: UUID
    queue: Queue
    reservation_id: UUID
    type: str
    occurred_at: datetime
    traceparent: str | None = None  # W3C Trace Context


def hints_for(
    reservation_id: UUID,
    wanted: Iterable[tuple[Queue, str]],
    *,
    now: datetime,
    traceparent: str | None,
) -> list[Hint]:
    """Make a hint for each (queue, message type) pair."""
    return [
        Hint(
            message_id=uuid7(now),
            queue=queue,
            reservation_id=reservation_id,
            type=message_type,
            occurred_at=now,
            traceparent=traceparent,
        )
        for queue, message_type in wanted
    ]
