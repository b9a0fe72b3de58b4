"""Lists and waits, for operators. Every query is in the subset that both engines share."""

from datetime import datetime
from uuid import UUID

from reservations.adapters.mysql.engine import Statement
from reservations.adapters.mysql.mapping import identifier
from reservations.adapters.mysql.search import LOWEST_ID, OVERVIEW, Reads
from reservations.application.ports import (
    Attempt,
    DeadHint,
    Oversight,
    Overview,
    QueueLag,
    Silence,
    UntakenMails,
    Waits,
)
from reservations.domain.actions import Verb
from reservations.domain.stored_words import read_word
from reservations.domain.words import RESTING, State

ANSWER_SECONDS = 60  # a slice of rows that are not in memory may take some

_OVERVIEW = f"{OVERVIEW} WHERE {{}} LIMIT %(limit)s"
_IN_REVIEW = Statement(_OVERVIEW.format("review > '' ORDER BY review, id"))
_IN_STATE = Statement(_OVERVIEW.format("state = %(state)s ORDER BY updated_at, id"))


def _stuck() -> Statement:
    """Each part ends at the limit in the order of its index, however many rows there are."""
    due = "next_check_at < UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE ORDER BY next_check_at, id"
    still = (
        "state = '{}' AND updated_at < UTC_TIMESTAMP(6) - INTERVAL 30 MINUTE"
        " ORDER BY updated_at, id"
    )
    parts = [due, *(still.format(state) for state in State if state not in RESTING)]
    found = (
        f"{OVERVIEW} JOIN finding ON finding.reservation_id = reservation.id"
        " ORDER BY finding.reservation_id LIMIT %(limit)s"
    )
    each = [*(_OVERVIEW.format(part) for part in parts), found]
    return Statement(
        f"{' UNION '.join(f'({part})' for part in each)} ORDER BY updated_at, code LIMIT %(limit)s"
    )


_STUCK = _stuck()

_ATTEMPTS = Statement(
    "SELECT c.call_key, a.verb, a.sent_at, a.outcome, a.http_status, a.elapsed_ms, a.code"
    " FROM provider_attempt a JOIN provider_call c ON c.id = a.call_id"
    " WHERE c.reservation_id = %(id)s ORDER BY a.id"
)

_OPEN = Statement(
    "SELECT DISTINCT reservation_id FROM provider_call WHERE closed_at IS NULL"
    " AND reservation_id > %(after)s ORDER BY reservation_id LIMIT %(limit)s"
)
_CLOSED = Statement(
    "SELECT DISTINCT closed_at, reservation_id FROM provider_call WHERE closed_at >= %(since)s"
    " AND (closed_at > %(since)s OR reservation_id > %(after)s)"
    " ORDER BY closed_at, reservation_id LIMIT %(limit)s"
)
_WAITING = Statement(
    "SELECT COUNT(*) AS waiting FROM"
    " (SELECT id FROM reservation WHERE review > '' LIMIT %(limit)s) AS counted"
)
_OUTBOX = Statement(
    "SELECT queue, status, COUNT(*) AS hints, GREATEST(0, COALESCE("
    "TIMESTAMPDIFF(MICROSECOND, MIN(available_at), UTC_TIMESTAMP(6)), 0)) / 1000000 AS oldest_s"
    " FROM outbox WHERE status IN ('pending', 'dead') GROUP BY queue, status ORDER BY queue, status"
)
_DEAD_HINTS = Statement(
    "SELECT queue, type, reservation_id, occurred_at FROM outbox WHERE status = 'dead'"
    " ORDER BY available_at, id LIMIT %(limit)s"
)
_OLDEST_DUE = Statement(
    "SELECT GREATEST(0, COALESCE("
    "TIMESTAMPDIFF(MICROSECOND, MIN(next_check_at), UTC_TIMESTAMP(6)), 0)) / 1000000"
    " FROM reservation"
)

_AGE = "COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN({}), UTC_TIMESTAMP(6)), 0) / 1000000"
# A reservation that waits for a mail or a voucher is not settled, so `next_check_at` finds it by its index.
_WAITS = Statement(
    f"""
    SELECT (SELECT COUNT(*) FROM reservation r JOIN mail_send m ON m.reservation_id = r.id
             WHERE r.next_check_at IS NOT NULL
               AND (m.status = 'not_sent' AND m.attempts >= 3
                    OR m.status IN ('started', 'unknown')
                    AND m.sent_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR)) AS mails,
           (SELECT {_AGE.format("r.confirmed_at")} FROM reservation r
             WHERE r.next_check_at IS NOT NULL AND r.state = 'SUPPLIER_CONFIRMED'
               AND NOT EXISTS (SELECT 1 FROM document d
                    WHERE d.reservation_id = r.id AND d.type = 'voucher')) AS voucher_s,
           (SELECT {_AGE.format("x.opened_at")} FROM contradiction x
             WHERE x.closed_at IS NULL) AS contradiction_s"""
)
# A fixed join order by indexes: reservations due first, their calls, the requests of these.
# A call that was surely not sent is `not_found` and closed, until it is sent again.
_SILENCES = Statement(
    """
    SELECT operation, COUNT(*) AS calls, MIN(since) AS since, MAX(last_at) AS last_at FROM
      (SELECT c.operation, MIN(a.sent_at) AS since, MAX(a.sent_at) AS last_at FROM
         (SELECT id FROM reservation WHERE next_check_at IS NOT NULL
           ORDER BY next_check_at LIMIT %(limit)s) r
         STRAIGHT_JOIN provider_call c ON c.reservation_id = r.id
         STRAIGHT_JOIN provider_attempt a ON a.call_id = c.id
         WHERE (c.closed_at IS NULL OR c.status = 'not_found' AND c.check_at IS NOT NULL)
           AND a.id > COALESCE((SELECT MAX(b.id) FROM provider_attempt b WHERE b.call_id = c.id
                                   AND b.outcome IN ('Seen', 'Listing')), 0)
         GROUP BY c.id, c.operation) silent
     GROUP BY operation ORDER BY operation"""
)
_UNTAKEN = Statement(
    """
    SELECT n.status, n.mails, n.first_at, n.last_at, r.code FROM
      (SELECT status, COUNT(*) AS mails, MIN(sent_at) AS first_at, MAX(sent_at) AS last_at,
              MAX(id) AS newest FROM
         (SELECT id, status, attempts, sent_at FROM mail_send ORDER BY id DESC LIMIT %(limit)s) m
        WHERE sent_at >= %(since)s
          AND (status IN ('refused', 'unknown') OR status = 'not_sent' AND attempts > 0)
        GROUP BY status) n
      STRAIGHT_JOIN mail_send s ON s.id = n.newest
      STRAIGHT_JOIN reservation r ON r.id = s.reservation_id
     ORDER BY n.status"""
)


class MySqlOversight(Reads, Oversight):
    def stuck(self, *, limit: int) -> list[Overview]:
        return self._overviews(_STUCK, limit=limit)

    def in_review(self, *, limit: int) -> list[Overview]:
        return self._overviews(_IN_REVIEW, limit=limit)

    def in_state(self, state: State, *, limit: int) -> list[Overview]:
        return self._overviews(_IN_STATE, limit=limit, state=state)

    def attempts(self, reservation_id: UUID) -> list[Attempt]:
        return [
            Attempt(
                call_key=row.call_key,
                verb=read_word(Verb, row.verb),
                sent_at=row.sent_at,
                outcome=row.outcome,
                http_status=row.http_status,
                elapsed_ms=row.elapsed_ms,
                code=row.code,
            )
            for row in self._rows(_ATTEMPTS, id=reservation_id)
        ]

    def with_open_call(self, *, after: UUID | None, limit: int) -> list[UUID]:
        rows = self._rows(_OPEN, after=after or LOWEST_ID, limit=limit)
        return [identifier(row.reservation_id) for row in rows]

    def with_closed_call(
        self, *, since: datetime, after: UUID | None, limit: int
    ) -> list[tuple[datetime, UUID]]:
        rows = self._rows(_CLOSED, since=since, after=after or LOWEST_ID, limit=limit)
        return [(row.closed_at, identifier(row.reservation_id)) for row in rows]

    def waiting_for_a_person(self, *, limit: int) -> int:
        [row] = self._rows(_WAITING, limit=limit)
        return int(row.waiting)

    def outbox(self) -> list[QueueLag]:
        return [
            QueueLag(
                queue=row.queue,
                status=row.status,
                hints=row.hints,
                oldest_s=float(row.oldest_s),
            )
            for row in self._rows(_OUTBOX)
        ]

    def dead_hints(self, *, limit: int) -> list[DeadHint]:
        return [
            DeadHint(
                queue=row.queue,
                type=row.type,
                reservation_id=identifier(row.reservation_id),
                occurred_at=row.occurred_at,
            )
            for row in self._rows(_DEAD_HINTS, limit=limit)
        ]

    def waits(self) -> Waits:
        [row] = self._rows(_WAITS)
        return Waits(
            mails=row.mails,
            voucher_s=float(row.voucher_s),
            contradiction_s=float(row.contradiction_s),
        )

    def silences(self, *, limit: int) -> list[Silence]:
        return [
            Silence(operation=row.operation, calls=row.calls, since=row.since, last_at=row.last_at)
            for row in self._rows(_SILENCES, limit=limit)
        ]

    def untaken_mails(self, *, since: datetime, limit: int) -> list[UntakenMails]:
        return [
            UntakenMails(
                status=row.status,
                mails=row.mails,
                first_at=row.first_at,
                last_at=row.last_at,
                code=row.code,
            )
            for row in self._rows(_UNTAKEN, since=since, limit=limit)
        ]

    def oldest_due_s(self) -> float:
        [row] = self._rows(_OLDEST_DUE)
        return float(row[0])
