"""The outbox: hints stored with the change that caused them, claimed by lease."""

from collections.abc import Collection
from datetime import timedelta
from uuid import uuid4

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.mapping import hint_from, hint_values
from reservations.application.ports import Outbox, OutboxMessage
from reservations.domain.messages import Hint


class MySqlOutbox(Outbox):
    """Claims and marks under one token: a slow publisher cannot mark rows that another took over.

    Never page by "id above the last seen": a transaction that commits late would be skipped.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token = uuid4()

    def add(self, hint: Hint) -> None:
        self._database.later(statements.ADD_HINT(**hint_values(hint)))

    def claim(self, *, limit: int, lease: timedelta) -> list[OutboxMessage]:
        [rows] = self._database.fetch(statements.CLAIM_HINTS(limit=limit))
        if rows:
            ids, microseconds = [row.id for row in rows], lease // timedelta(microseconds=1)
            self._database.later(
                statements.LEASE_HINTS(ids=ids, token=self._token, microseconds=microseconds)
            )
        return [OutboxMessage(row_id=row.id, hint=hint_from(row)) for row in rows]

    def mark_published(self, messages: Collection[OutboxMessage]) -> None:
        if messages:
            self._database.later(statements.HINTS_PUBLISHED(ids=_ids(messages), token=self._token))

    def mark_refused(self, messages: Collection[OutboxMessage], *, dead_after: int) -> int:
        if not messages:
            return 0
        locked = statements.LOCK_REFUSED(ids=_ids(messages), token=self._token)
        [rows] = self._database.fetch(locked)
        dying = [row.id for row in rows if row.refusals + 1 >= dead_after]
        if rows:
            self._database.later(statements.HINTS_REFUSED(ids=[row.id for row in rows]))
        if dying:
            self._database.later(statements.HINTS_DEAD(ids=dying))
        return len(dying)


def _ids(messages: Collection[OutboxMessage]) -> list[int]:
    return [message.row_id for message in messages]
