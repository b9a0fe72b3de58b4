"""The facts that a body is judged by on the first use of its idempotency key.

A body that a release accepted stays readable for good, because its repeat must get the stored answer. A new rule
therefore acts only in a validation with a `FirstUse` as its context.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

from pydantic import ValidationInfo

from reservations.domain.clients import ClientModes
from reservations.domain.policy import Policy

# A day ends last at UTC-12, so a date before this one has passed everywhere.
_LAST_ZONE = timedelta(hours=-12)

CheckQuote = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUse:
    """`today` is the date in the zone where days end last, `latest_start` the last that may be booked.

    `check_quote` takes a quote and the valid members of its body, and raises the quote's fault.
    `quoted` is `True` for a body with a quote, which is verified too.
    """

    today: date
    latest_start: date
    longest_stay: timedelta
    modes: ClientModes
    check_quote: CheckQuote
    quoted: bool = False

    @classmethod
    def at(
        cls,
        now: datetime,
        *,
        policy: Policy,
        modes: ClientModes,
        check_quote: CheckQuote,
    ) -> Self:
        """`now` is in UTC."""
        return cls(
            today=(now + _LAST_ZONE).date(),
            latest_start=(now + policy.horizon).date(),
            longest_stay=policy.longest_stay,
            modes=modes,
            check_quote=check_quote,
        )


def first_use(info: ValidationInfo) -> FirstUse | None:
    """Return the context of the validation, `None` where a body is only read."""
    context: FirstUse | None = info.context
    return context
