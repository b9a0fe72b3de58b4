"""Counts mails of the last hour: a row for each place of a quota, with the time when it was taken."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.mysql import Insert, insert

from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.tables import UNPAID_MAIL
from reservations.application.ports import Quota, UnpaidMails

WINDOW = timedelta(hours=1)

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_ROW = UNPAID_MAIL.c
_NEW = insert(UNPAID_MAIL)
_LOCK = _NEW.on_duplicate_key_update(slot=_ROW.slot)
_PUT = _NEW.on_duplicate_key_update(sent_at=_NEW.inserted.sent_at)
_READ = select(_ROW.slot, _ROW.sent_at).where(_ROW.digest == bindparam("digest")).with_for_update()


class MySqlUnpaidMails(UnpaidMails):
    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, quotas: Sequence[Quota], *, now: datetime) -> datetime | None:
        places = [self._place(quota, now) for quota in quotas]
        waits = [place for place in places if isinstance(place, datetime)]
        if waits:
            return max(waits)
        for quota, slot in zip(quotas, places, strict=True):
            self._execute(_PUT, quota.digest, slot, now)
        return None

    def _place(self, quota: Quota, now: datetime) -> int | datetime:
        """The slot to use, or the time when one is free. The first slot's row is the lock of the quota."""
        self._execute(_LOCK, quota.digest, 0, _NEVER)
        rows = self._database.execute(_READ, {"digest": quota.digest}).all()
        times: dict[int, datetime] = {row.slot: row.sent_at for row in rows}
        recent = {slot: at for slot, at in times.items() if at > now - WINDOW}
        if len(recent) >= quota.limit:
            return sorted(recent.values())[-quota.limit] + WINDOW
        return next(slot for slot in count() if slot not in recent)

    def _execute(self, statement: Insert, digest: bytes, slot: object, at: datetime) -> None:
        self._database.execute(statement, {"digest": digest, "slot": slot, "sent_at": at})
