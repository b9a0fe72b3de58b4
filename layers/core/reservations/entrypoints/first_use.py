"""The facts that a body is judged by on the first use of its idempotency key.

A body that a release accepted stays readable for good, because its repeat must get the stored answer. A new rule
therefore acts only in a validation with a `FirstUse` as its context.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

from pydantic import ValidationInfo

from reservations.domain.policy import Policy

# A day ends last at UTC-12, so a date before this one has passed everywhere.
_LAST_ZONE = timedelta(hours=-12)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUse:
    """`today` is the date in the zone where days end last, `latest_start` the last that may be booked."""

    today: date
    latest_start: date
    longest_stay: timedelta
    client_id: str

    @classmethod
    def at(cls, now: datetime, *, policy: Policy, client_id: str) -> Self:
        """`now` is in UTC."""
        return cls(
            today=(now + _LAST_ZONE).date(),
            latest_start=(now + policy.horizon).date(),
            longest_stay=policy.longest_stay,
            client_id=client_id,
        )


def first_use(info: ValidationInfo) -> FirstUse | None:
    """Return the context of the validation, `None` where a body is only read."""
    context: FirstUse | None = info.context
    return context
