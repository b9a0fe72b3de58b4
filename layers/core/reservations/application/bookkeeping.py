"""What every store of reservations owes besides storing, whatever it stores in."""

from dataclasses import replace
from datetime import datetime

from reservations.domain.facts import Facts, Operation, Status
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Reservation
from reservations.domain.views import reads_differently

_CHARGE_IS_OVER = frozenset({Status.SUCCEEDED, Status.DECLINED, Status.VOIDED})


def revised(
    before: Reservation, after: Reservation, *, now: datetime, policy: Policy
) -> Reservation:
    """Raise the version, and its time, when a reader would see another answer than before."""
    if reads_differently(before, after, Moment(now, policy)):
        return replace(after, version=before.version + 1, updated_at=now)
    return replace(after, version=before.version, updated_at=before.updated_at)


def payment_token_is_spent(facts: Facts) -> bool:
    """Tell whether no charge can need the token; one that was not found may be sent again."""
    charges = facts.of(Operation.CHARGE)
    return facts.reason is not None or any(c.status in _CHARGE_IS_OVER for c in charges)
