"""The facts that a body is judged by on the first use of its idempotency key.

A body that a release accepted stays readable for good, because its repeat must get the stored answer. A new rule
therefore acts only in a validation with a `FirstUse` as its context.
"""

from dataclasses import dataclass
from datetime import date

from pydantic import ValidationInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUse:
    """`today` is a date in UTC."""

    today: date
    client_id: str


def first_use(info: ValidationInfo) -> FirstUse | None:
    """Return the context of the validation, `None` where a body is only read."""
    context: FirstUse | None = info.context
    return context
