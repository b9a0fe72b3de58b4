"""Identifiers that sort by the time they were made."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(now: datetime, random_bits: Callable[[int], int] = secrets.randbits) -> UUID:
    """Make a UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then 74 random bits."""
    milliseconds = (now - _EPOCH) // timedelta(milliseconds=1)
    version, variant = 0b0111, 0b10
    return UUID(
        int=milliseconds << 80
        | version << 76
        | random_bits(12) << 64
        | variant << 62
        | random_bits(62)
    )
