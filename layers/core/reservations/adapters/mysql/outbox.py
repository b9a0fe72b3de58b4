"""The outbox: hints stored with the change that caused them, claimed by lease."""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.mapping import hint_from, hint_values
from reservations.application.ports import Outbox, OutboxMessage
from reservations.domain.messages import Hint


class MySqlOutbox(Outbox):
    """Stores and claims under one token: a slow publisher cannot mark rows that another took over.

    Never page by "id above the last seen": a transaction that commits late would be skipped.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token = uuid4()
        self.stored: list[OutboxMessage] = []

    def add(self, hint: Hint, *, lease: timedelta) -> None:
        def note(row_id: int) -> None:
            self.stored.append(OutboxMessage(row_id=row_id, lease=self._token, hint=hint))

        values = {**hint_values(hint), **self._lease(lease)}
        self._database.later(replace(statements.ADD_HINT(**values), added=note))

    def claim(self, *, limit: int, lease: timedelta) -> list[OutboxMessage]:
        [rows] = self._database.fetch(statements.CLAIM_HINTS(limit=limit))
        if rows:
            ids = [row.id for row in rows]
            self._database.later(statements.LEASE_HINTS(ids=ids, **self._lease(lease)))
        return [
            OutboxMessage(row_id=row.id, lease=self._token, hint=hint_from(row)) for row in rows
        ]

    def mark_published(self, messages: Collection[OutboxMessage]) -> None:
        if messages:
            self._database.later(statements.HINTS_PUBLISHED(**_held(messages)))

    def mark_refused(self, messages: Collection[OutboxMessage], *, dead_after: int) -> int:
        if not messages:
            return 0
        [rows] = self._database.fetch(statements.LOCK_REFUSED(**_held(messages)))
        dying = [row.id for row in rows if row.refusals + 1 >= dead_after]
        if rows:
            self._database.later(statements.HINTS_REFUSED(ids=[row.id for row in rows]))
        if dying:
            self._database.later(statements.HINTS_DEAD(ids=dying))
        return len(dying)

    def _lease(self, time: timedelta) -> dict[str, Any]:
        return {"token": self._token, "microseconds": time // timedelta(microseconds=1)}


def _held(messages: Collection[OutboxMessage]) -> dict[str, Any]:
    return {
        "ids": [message.row_id for message in messages],
        "tokens": list({message.lease for message in messages}),
    }
