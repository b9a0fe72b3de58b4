"""Test inputs: safe defaults, each an option of the command line."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


def _input(default: str, about: str) -> str:
    value: str = field(default=default, metadata={"help": about})
    return value


def _in_days(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Tokens, offers, sums and dates that the sandbox understands."""

    token: str = _input("tok_ok", "payment token that is charged")
    declined_token: str = _input("tok_declined", "token that the bank declines")
    pending_token: str = _input("tok_undecided", "token whose payment stays pending until a void")
    failing_token: str = _input("tok_flaky", "token that fails with 5xx at first, then is charged")
    amount: str = _input("4.35", "sum of each payment and booking, with its decimals")
    currency: str = _input("EUR", "its currency")
    second_amount: str = _input("300", "sum in a currency with other decimals")
    second_currency: str = _input("JPY", "that currency")
    offer: str = _input("HTL-KIT-001", "offer that is confirmed and may be cancelled")
    rejected_offer: str = _input("REJ-KIT-001", "offer that the hotel rejects")
    failing_offer: str = _input(
        "FLK-KIT-001", "offer that fails with 5xx at first, then is confirmed"
    )
    starts_on: str = _input(_in_days(300), "first day of each booking")
    ends_on: str = _input(_in_days(302), "last day of each booking")
    guest: str = _input("Conformance Kit", "lead guest; never a real person")
    many: int = field(default=30, metadata={"help": "rows under one reference, more than a page"})
    rest: float = field(
        default=5, metadata={"help": "seconds before the last look and the last repetition"}
    )
