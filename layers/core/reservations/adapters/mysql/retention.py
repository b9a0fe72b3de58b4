"""Deletes expired rows, ordered and bounded, so that no statement locks many rows or for long."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import TextClause, TextualSelect, bindparam, text

from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.tables import Uuid
from reservations.application.ports import Retention
from reservations.domain.history import HINT_REVIVED
from reservations.domain.messages import Queue
from reservations.domain.words import State

_TOO_OLD = "UTC_TIMESTAMP(6) - INTERVAL :seconds SECOND"

# A hint is published within the lease of its claim; `available_at` is the end of that lease.
_HINTS = text(
    f"DELETE FROM outbox WHERE status = 'published' AND available_at < {_TOO_OLD}"
    " ORDER BY available_at, id LIMIT :limit"
)
_WEBHOOKS = text(
    f"DELETE FROM webhook WHERE received_at < {_TOO_OLD} ORDER BY received_at LIMIT :limit"
)
_KEYS = text(
    "DELETE FROM idempotency WHERE expires_at < UTC_TIMESTAMP(6) ORDER BY expires_at LIMIT :limit"
)
_CLAIMS = text(
    f"DELETE FROM charge_claim WHERE claimed_at < {_TOO_OLD} AND reservation_id IN (SELECT id"
    f" FROM reservation WHERE state NOT IN ('{State.CREATED}', '{State.PAYMENT_IN_PROGRESS}'))"
    " ORDER BY claimed_at LIMIT :limit"
)
_UNPAID_MAILS = text(
    f"DELETE FROM unpaid_mail WHERE sent_at < {_TOO_OLD} ORDER BY sent_at LIMIT :limit"
)
_TRAVELERS = text(
    "SELECT r.id FROM customer c JOIN reservation r ON r.id = c.reservation_id"
    f" WHERE r.settled = 1 AND r.ends_on < DATE({_TOO_OLD}) ORDER BY r.id LIMIT :limit"
).columns(id=Uuid)
_DOCUMENTS = text(
    "SELECT r.id FROM document d JOIN reservation r ON r.id = d.reservation_id"
    f" WHERE d.removed_at IS NULL AND r.ends_on < DATE({_TOO_OLD}) ORDER BY r.id LIMIT :limit"
).columns(id=Uuid)
_REMOVED = text(
    f"SELECT id, s3_key FROM document WHERE removed_at >= {_TOO_OLD} AND id > :after"
    " ORDER BY id LIMIT :limit"
)

_DEAD = "status = 'dead' AND (:queue IS NULL OR queue = :queue)"
_TELL_REVIVED = text(
    "INSERT INTO history (reservation_id, event, at, actor)"
    " SELECT DISTINCT o.reservation_id, :event, UTC_TIMESTAMP(6), :actor"
    f" FROM outbox o JOIN reservation r ON r.id = o.reservation_id WHERE {_DEAD}"
)
_TELL = text(
    "INSERT INTO history (reservation_id, event, at, actor)"
    " SELECT id, :event, UTC_TIMESTAMP(6), :actor FROM reservation WHERE id = :id"
).bindparams(bindparam("id", type_=Uuid))
_REVIVE = text(
    "UPDATE outbox SET status = 'pending', refusals = 0, available_at = UTC_TIMESTAMP(6)"
    f" WHERE {_DEAD}"
)


class MySqlRetention(Retention):
    def __init__(self, database: Database) -> None:
        self._database = database

    def delete_published_hints(self, *, older_than: timedelta, limit: int) -> int:
        return self._delete(_HINTS, limit=limit, seconds=_seconds(older_than))

    def delete_webhooks(self, *, older_than: timedelta, limit: int) -> int:
        return self._delete(_WEBHOOKS, limit=limit, seconds=_seconds(older_than))

    def delete_expired_keys(self, *, limit: int) -> int:
        return self._delete(_KEYS, limit=limit)

    def delete_claims(self, *, older_than: timedelta, limit: int) -> int:
        return self._delete(_CLAIMS, limit=limit, seconds=_seconds(older_than))

    def delete_unpaid_mails(self, *, older_than: timedelta, limit: int) -> int:
        return self._delete(_UNPAID_MAILS, limit=limit, seconds=_seconds(older_than))

    def travelers_to_forget(self, *, older_than: timedelta, limit: int) -> list[UUID]:
        return self._ids(_TRAVELERS, limit=limit, seconds=_seconds(older_than))

    def documents_to_remove(self, *, older_than: timedelta, limit: int) -> list[UUID]:
        return self._ids(_DOCUMENTS, limit=limit, seconds=_seconds(older_than))

    def removed_documents(
        self, *, within: timedelta, after: int, limit: int
    ) -> list[tuple[int, str]]:
        self._database.begin()
        try:
            values = {"seconds": _seconds(within), "after": after, "limit": limit}
            return [(row.id, row.s3_key) for row in self._database.execute(_REMOVED, values)]
        finally:
            self._database.rollback()

    def revive(self, *, queue: Queue | None, actor: str) -> int:
        self._database.begin()
        try:
            told = {"queue": queue, "event": HINT_REVIVED, "actor": actor}
            self._database.execute(_TELL_REVIVED, told)
            revived = self._database.execute(_REVIVE, {"queue": queue}).rowcount
            self._database.commit()
            return revived
        finally:
            self._database.rollback()

    def tell(self, reservation_id: UUID, event: str, *, actor: str) -> None:
        self._database.begin()
        try:
            values = {"id": reservation_id, "event": event, "actor": actor}
            self._database.execute(_TELL, values)
            self._database.commit()
        finally:
            self._database.rollback()

    def _delete(self, statement: TextClause, **values: int) -> int:
        self._database.begin()
        try:
            deleted = self._database.execute(statement, values).rowcount
            self._database.commit()
            return deleted
        finally:
            self._database.rollback()

    def _ids(self, query: TextualSelect, **values: int) -> list[UUID]:
        self._database.begin()
        try:
            return [row.id for row in self._database.execute(query, values)]
        finally:
            self._database.rollback()


def _seconds(period: timedelta) -> int:
    return int(period.total_seconds())
