"""Every duration the saga obeys; a setting, so that a test or a small stack can shorten them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


def _minutes(*values: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(minutes=value) for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Durations of the saga; the defaults are the ones meant for production."""

    ladder: tuple[timedelta, ...] = _minutes(0.5, 1, 2, 5, 10, 20)  # between looks at an open call
    ladder_end: timedelta = timedelta(hours=1)  # every further look
    # the highest rung of the ladder for what could not be sent or asked
    unasked_ladder_limit: int = 3
    # how far a provider's Retry-After is obeyed
    retry_after_limit: timedelta = timedelta(seconds=300)
    # looks at what is closed
    aftercare: tuple[timedelta, ...] = _minutes(10, 60, 6 * 60, 24 * 60, 72 * 60)
    hold: timedelta = timedelta(minutes=15)  # from the last send of the charge
    # from creation, while no charge has reached the provider
    hold_limit: timedelta = timedelta(hours=2)
    grace: timedelta = timedelta(minutes=2)
    book_window: timedelta = timedelta(hours=2)
    # no call starts or is answered later than this after it was written
    call_limit: timedelta = timedelta(minutes=2)
    # a "not found" is believed only this long after the call is over
    visibility: timedelta = timedelta(minutes=5)
    not_found_gap: timedelta = timedelta(minutes=1)
    deadline: timedelta = timedelta(minutes=30)
    refund_deadline: timedelta = timedelta(hours=24)
    hint_lease: timedelta = timedelta(seconds=30)
    # how far the lease grows with the time that somebody who was told has not come
    hint_lease_limit: timedelta = timedelta(minutes=5)
    mail_repeat: timedelta = timedelta(minutes=10)
    reminder: timedelta = timedelta(hours=24)  # when only a person can go on

    def rung(self, looks: int) -> timedelta:
        return self.ladder[looks] if looks < len(self.ladder) else self.ladder_end

    def jittered(self, factor: float) -> "Policy":
        """Stretch the ladder, so that those who failed together do not come back together."""
        stretched = tuple(rung * factor for rung in self.ladder)
        return replace(self, ladder=stretched, ladder_end=self.ladder_end * factor)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of the database's clock, and the durations that hold at it."""

    now: datetime
    policy: Policy


STANDARD = Policy()

SHORT = Policy(
    ladder=tuple(timedelta(seconds=s) for s in (1, 2, 4, 8, 15, 30)),
    ladder_end=timedelta(seconds=60),
    aftercare=(timedelta(seconds=20), *_minutes(1, 2, 5, 10)),
    hold=timedelta(seconds=90),
    hold_limit=timedelta(seconds=60),
    grace=timedelta(seconds=5),
    book_window=timedelta(minutes=5),
    call_limit=timedelta(seconds=8),
    visibility=timedelta(seconds=6),
    not_found_gap=timedelta(seconds=2),
    deadline=timedelta(seconds=90),
    refund_deadline=timedelta(seconds=90),
    hint_lease=timedelta(seconds=3),
    hint_lease_limit=timedelta(seconds=30),
    mail_repeat=timedelta(seconds=20),
)
