"""The modes of our API clients."""

from dataclasses import dataclass
from enum import StrEnum


class QuoteMode(StrEnum):
    """Treatment of a reservation without a quote. A quote that is present is always verified."""

    OFF = "off"
    OBSERVE = "observe"  # accepted and counted
    REQUIRED = "required"  # refused


class DuplicateCharge(StrEnum):
    """Treatment of a second request with the payment token and body of a charge that is not settled."""

    REFUSE = "refuse"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientModes:
    """`public`: the client's API key is in a web page, so anyone may send with it."""

    public: bool
    quote: QuoteMode
    duplicate_charge: DuplicateCharge
