"""Counts mails of the last hour: a row for each place of a quota, with the time when it was taken."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database, Rows
from reservations.application.ports import Quota, UnpaidMails

WINDOW = timedelta(hours=1)

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class MySqlUnpaidMails(UnpaidMails):
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, quotas: Sequence[Quota], *, now: datetime) -> datetime | None:
        places = [self._place(quota, now) for quota in quotas]
        waits = [place for place in places if isinstance(place, datetime)]
        if waits:
            return max(waits)
        for quota, slot in zip(quotas, places, strict=True):
            place = statements.TAKE_PLACE(digest=quota.digest, slot=slot, sent_at=now)
            self._database.later(place)
        return None

    def _place(self, quota: Quota, now: datetime) -> int | datetime:
        """The slot to use, or the time when one is free. The first slot's row is the lock of the quota."""
        _, rows = self._database.fetch(
            statements.LOCK_QUOTA(digest=quota.digest, sent_at=_NEVER),
            statements.PLACES(digest=quota.digest),
        )
        recent = _recent(rows, now)
        if len(recent) >= quota.limit:
            return sorted(recent.values())[-quota.limit] + WINDOW
        return next(slot for slot in count() if slot not in recent)


def _recent(rows: Rows, now: datetime) -> dict[int, datetime]:
    return {row.slot: row.sent_at for row in rows if row.sent_at > now - WINDOW}
