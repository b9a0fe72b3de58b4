"""The one message that travels: a hint to look at a reservation. It proves and orders nothing."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

SCHEMA_VERSION = 1


class Queue(StrEnum):
    """Where a hint goes: one queue a step."""

    PAYMENT = "payment"
    SUPPLIER = "supplier"
    VOUCHER = "voucher"
    NOTIFICATION = "notification"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """ "Look at this reservation." `type` says why, for people; no code reads it."""

    message_id: UUID
    queue: Queue
    reservation_id: UUID
    type: str
    occurred_at: datetime
    traceparent: str | None = None  # W3C Trace Context
