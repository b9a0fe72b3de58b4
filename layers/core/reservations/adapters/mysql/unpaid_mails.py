"""Counts mails of any hour: a row for each place of a quota, with its time, which may be in the future."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database
from reservations.application.ports import Quota, UnpaidMails
from reservations.domain.quotas import WINDOW, first_place

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class MySqlUnpaidMails(UnpaidMails):
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, quotas: Sequence[Quota], *, now: datetime, last: datetime) -> datetime | None:
        places = [self._places(quota, now) for quota in quotas]
        taken = [
            (sorted(times.values()), quota.limit)
            for quota, times in zip(quotas, places, strict=True)
        ]
        place = first_place(taken, now)
        if place > last:
            return None
        for quota, times in zip(quotas, places, strict=True):
            slot = next(slot for slot in count() if slot not in times)
            self._database.later(
                statements.TAKE_PLACE(digest=quota.digest, slot=slot, sent_at=place)
            )
        return place

    def _places(self, quota: Quota, now: datetime) -> dict[int, datetime]:
        """The times that count, by their slots. The first slot's row is the lock of the quota."""
        _, rows = self._database.fetch(
            statements.LOCK_QUOTA(digest=quota.digest, sent_at=_NEVER),
            statements.PLACES(digest=quota.digest),
        )
        return {row.slot: row.sent_at for row in rows if row.sent_at > now - WINDOW}
