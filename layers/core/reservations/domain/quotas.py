"""Places of a quota: at most so many in any hour, past and future."""

from collections.abc import Sequence
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)


def first_place(taken: Sequence[tuple[Sequence[datetime], int]], start: datetime) -> datetime:
    """Return the first time from `start` on that is free in all quotas.

    `taken` has, for each quota, the ascending times of its places and its limit.
    """
    time = start
    while (later := _after_all(taken, time)) != time:
        time = later
    return time


def _after_all(taken: Sequence[tuple[Sequence[datetime], int]], time: datetime) -> datetime:
    for times, limit in taken:
        for first, last in zip(times, times[limit - 1 :], strict=False):
            if max(last, time) - min(first, time) < WINDOW:  # one hour would hold one too many
                time = first + WINDOW
    return time
