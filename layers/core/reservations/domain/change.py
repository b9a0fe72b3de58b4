"""All that a transaction writes about a reservation, so that storage decides nothing."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reservations.domain.facts import Status
from reservations.domain.history import HistoryEntry, changes
from reservations.domain.messages import Hint, Queue, hints_for
from reservations.domain.plan import Settlement
from reservations.domain.policy import Moment
from reservations.domain.reservation import Reservation
from reservations.domain.standing import Standing
from reservations.domain.views import reads_differently
from reservations.domain.words import Review, State

_CHARGE_IS_OVER = frozenset({Status.SUCCEEDED, Status.DECLINED, Status.VOIDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A reservation before and after a transaction, and the rows stored beside the difference."""

    before: Reservation | None  # `None` for a new one
    after: Reservation
    at: datetime
    state: State
    reviews: frozenset[Review]
    history: tuple[HistoryEntry, ...]
    token_spent: bool  # by this change: no charge can need the payment token any more
    hint_grace: timedelta
    hints: tuple[tuple[Queue, str], ...] = ()

    @classmethod
    def of(
        cls, before: Reservation | None, settlement: Settlement, at: Moment, *, actor: str
    ) -> "Change":
        """Compare a settled reservation with the one that was read.

        The version and its time change only when a reader would see another answer.
        """
        after, standing = settlement.reservation, settlement.reservation.standing
        version, updated_at = after.version, after.updated_at
        was_spent = before is not None and _is_token_spent(before.standing)
        if before is not None:
            version, updated_at = before.version, before.updated_at
            if reads_differently(before, after, at):
                version, updated_at = before.version + 1, at.now
        return cls(
            before=before,
            at=at.now,
            after=replace(
                after,
                next_check_at=settlement.next_check_at,
                version=version,
                updated_at=updated_at,
            ),
            state=standing.state,
            reviews=standing.reviews(at.now),
            history=tuple(
                HistoryEntry(event=event, at=at.now, actor=actor)
                for event in changes(before, after)
            ),
            token_spent=_is_token_spent(standing) and not was_spent,
            hint_grace=at.policy.hint_grace,
            hints=settlement.hints,
        )

    @property
    def frees_claim(self) -> bool:
        """`True` if the reservation is closed and has given back all that it took, from this change on."""
        if self.before is None or self.before.standing.is_given_back:
            return False
        return self.after.standing.is_given_back

    def messages(self, *, traceparent: str | None) -> list[Hint]:
        """The hints, ready to be stored beside the change."""
        return hints_for(
            self.after.reservation_id, self.hints, now=self.at, traceparent=traceparent
        )


def _is_token_spent(standing: Standing) -> bool:
    """A charge that was not found may be sent again, with the token."""
    return standing.closed or any(charge.status in _CHARGE_IS_OVER for charge in standing.charges)
