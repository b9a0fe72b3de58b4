"""The outbox: hints stored with the change that caused them, claimed by lease."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    CursorResult,
    Executable,
    Integer,
    bindparam,
    case,
    func,
    insert,
    select,
    text,
    update,
)

from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.mapping import hint_from, hint_values
from reservations.adapters.mysql.tables import OUTBOX, OutboxStatus
from reservations.application.ports import Outbox, OutboxMessage
from reservations.domain.messages import Hint, Queue

_NOW = func.utc_timestamp(text("6"))
_IDS = OUTBOX.c.id.in_(bindparam("ids", expanding=True))
_UNDER_LEASE = (_IDS, OUTBOX.c.lease_token == bindparam("token"))

_ADD = insert(OUTBOX).values(status=OutboxStatus.PENDING, refusals=0, available_at=_NOW)
_CLAIM = (
    select(OUTBOX)
    .where(
        OUTBOX.c.status == OutboxStatus.PENDING,
        OUTBOX.c.available_at <= _NOW,
        OUTBOX.c.queue.in_(list(Queue)),  # a queue of another release waits for that release
    )
    .order_by(OUTBOX.c.available_at, OUTBOX.c.id)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
_LEASE = (
    update(OUTBOX)
    .where(_IDS)
    .values(
        available_at=func.timestampadd(text("MICROSECOND"), bindparam("microseconds"), _NOW),
        lease_token=bindparam("token"),
    )
)
_PUBLISHED = (
    update(OUTBOX).where(*_UNDER_LEASE).values(status=OutboxStatus.PUBLISHED, lease_token=None)
)
_LOCK_REFUSED = select(OUTBOX.c.id, OUTBOX.c.refusals).where(*_UNDER_LEASE).with_for_update()
_REFUSE = (
    update(OUTBOX)
    .where(_IDS)
    .values(
        refusals=OUTBOX.c.refusals + 1,
        status=case(
            (OUTBOX.c.id.in_(bindparam("dying", expanding=True)), OutboxStatus.DEAD),
            else_=OUTBOX.c.status,
        ),
        lease_token=None,
    )
)


class MySqlOutbox(Outbox):
    """Claims and marks under one token: a slow publisher cannot mark rows that another took over.

    Never page by "id above the last seen": a transaction that commits late would be skipped.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token = uuid4()

    def add(self, hint: Hint) -> None:
        self._database.execute(_ADD, hint_values(hint))

    def claim(self, *, limit: int, lease: timedelta) -> list[OutboxMessage]:
        rows = self._database.execute(_CLAIM, {"limit": limit}).all()
        if rows:
            microseconds = lease // timedelta(microseconds=1)
            self._under_token(_LEASE, [row.id for row in rows], microseconds=microseconds)
        return [OutboxMessage(row_id=row.id, hint=hint_from(row)) for row in rows]

    def mark_published(self, messages: Collection[OutboxMessage]) -> None:
        if messages:
            self._under_token(_PUBLISHED, [message.row_id for message in messages])

    def mark_refused(self, messages: Collection[OutboxMessage], *, dead_after: int) -> int:
        if not messages:
            return 0
        rows = self._under_token(_LOCK_REFUSED, [message.row_id for message in messages]).all()
        dying = [row.id for row in rows if row.refusals + 1 >= dead_after]
        if rows:
            self._database.execute(_REFUSE, {"ids": [row.id for row in rows], "dying": dying})
        return len(dying)

    def _under_token(self, statement: Executable, ids: list[int], **more: int) -> CursorResult[Any]:
        return self._database.execute(statement, {"ids": ids, "token": self._token, **more})
