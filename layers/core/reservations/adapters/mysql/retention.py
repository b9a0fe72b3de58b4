"""Deletes expired rows, ordered and bounded, so that no statement locks many rows or for long."""

from datetime import timedelta
from uuid import UUID

from reservations.adapters.mysql.engine import Database, Query, Statement
from reservations.adapters.mysql.mapping import identifier
from reservations.adapters.mysql.search import LOWEST_ID
from reservations.application.ports import Expired, Retention
from reservations.domain.history import HINT_REVIVED
from reservations.domain.messages import Queue
from reservations.domain.words import State

_TOO_OLD = "UTC_TIMESTAMP(6) - INTERVAL %(seconds)s SECOND"

# A hint is published within the lease of its claim; `available_at` is the end of that lease.
_HINTS = Statement(
    f"DELETE FROM outbox WHERE status = 'published' AND available_at < {_TOO_OLD}"
    " ORDER BY available_at, id LIMIT %(limit)s"
)
_WEBHOOKS = Statement(
    f"DELETE FROM webhook WHERE received_at < {_TOO_OLD} ORDER BY received_at LIMIT %(limit)s"
)
_KEYS = Statement(
    "DELETE FROM idempotency WHERE expires_at < UTC_TIMESTAMP(6) ORDER BY expires_at LIMIT %(limit)s"
)
_UNSETTLED = ", ".join(
    f"'{state}'"
    for state in (
        State.CREATED,
        State.PAYMENT_IN_PROGRESS,
        State.CANCELLATION_IN_PROGRESS,
        State.REFUND_IN_PROGRESS,
    )
)
_CLAIMS = Statement(
    f"DELETE FROM charge_claim WHERE claimed_at < {_TOO_OLD} AND reservation_id IN (SELECT id"
    f" FROM reservation WHERE state NOT IN ({_UNSETTLED}))"
    " ORDER BY claimed_at LIMIT %(limit)s"
)
_UNPAID_MAILS = Statement(
    f"DELETE FROM unpaid_mail WHERE sent_at < {_TOO_OLD} ORDER BY sent_at LIMIT %(limit)s"
)
_LAST = Statement(
    "SELECT MAX(id) AS id FROM"
    " (SELECT id FROM reservation WHERE id > %(after)s ORDER BY id LIMIT %(limit)s) AS page"
)
_OF_PAGE = "r.id > %(after)s AND r.id <= %(last)s"
_ENDED = "r.ends_on < DATE(UTC_TIMESTAMP(6) - INTERVAL %(seconds)s SECOND)"
_TRAVELERS = Statement(
    "SELECT r.id FROM reservation r JOIN customer c ON c.reservation_id = r.id"
    f" WHERE {_OF_PAGE} AND r.settled = 1 AND {_ENDED} ORDER BY r.id"
)
_DOCUMENTS = Statement(
    "SELECT r.id FROM reservation r JOIN document d ON d.reservation_id = r.id"
    f" WHERE {_OF_PAGE} AND d.removed_at IS NULL AND {_ENDED} ORDER BY r.id"
)
_REMOVED = Statement(
    "SELECT d.s3_key FROM document d WHERE d.reservation_id > %(after)s"
    f" AND d.reservation_id <= %(last)s AND d.removed_at >= {_TOO_OLD} ORDER BY d.id"
)

_DEAD = "status = 'dead' AND (%(queue)s IS NULL OR queue = %(queue)s)"
_TELL_REVIVED = Statement(
    "INSERT INTO history (reservation_id, event, at, actor)"
    " SELECT DISTINCT o.reservation_id, %(event)s, UTC_TIMESTAMP(6), %(actor)s"
    f" FROM outbox o JOIN reservation r ON r.id = o.reservation_id WHERE {_DEAD}"
)
_TELL = Statement(
    "INSERT INTO history (reservation_id, event, at, actor)"
    " SELECT id, %(event)s, UTC_TIMESTAMP(6), %(actor)s FROM reservation WHERE id = %(id)s"
)
_REVIVE = Statement(
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

    def expired(
        self,
        *,
        after: UUID | None,
        limit: int,
        travelers_after: timedelta,
        documents_after: timedelta,
        removed_within: timedelta,
    ) -> Expired:
        first = after or LOWEST_ID
        [[end]] = self._database.look(_LAST(after=first, limit=limit))
        if end.id is None:
            return Expired(last=None, travelers=[], documents=[], removed=[])
        page = {"after": first, "last": identifier(end.id)}
        travelers, documents, removed = self._database.look(
            _TRAVELERS(**page, seconds=_seconds(travelers_after)),
            _DOCUMENTS(**page, seconds=_seconds(documents_after)),
            _REMOVED(**page, seconds=_seconds(removed_within)),
        )
        return Expired(
            last=page["last"],
            travelers=[identifier(row.id) for row in travelers],
            documents=[identifier(row.id) for row in documents],
            removed=[row.s3_key for row in removed],
        )

    def revive(self, *, queue: Queue | None, actor: str) -> int:
        told = _TELL_REVIVED(queue=queue, event=HINT_REVIVED, actor=actor)
        return self._changed(_REVIVE(queue=queue), before=told)

    def tell(self, reservation_id: UUID, event: str, *, actor: str) -> None:
        self._changed(_TELL(id=reservation_id, event=event, actor=actor))

    def _delete(self, statement: Statement, **values: int) -> int:
        return self._changed(statement(**values))

    def _changed(self, query: Query, *, before: Query | None = None) -> int:
        """Run a write in a transaction of its own, after another if given. Return the rows changed."""
        self._database.begin()
        try:
            if before is not None:
                self._database.later(before)
            changed = self._database.change(query)
            self._database.commit()
            return changed
        finally:
            self._database.rollback()


def _seconds(period: timedelta) -> int:
    return int(period.total_seconds())
