"""Reads across reservations, for operators. Every query is in the subset that both engines share."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database, Query, Statement
from reservations.adapters.mysql.mapping import identifier
from reservations.adapters.mysql.reservations import MySqlReservations
from reservations.adapters.mysql.search import LOWEST_ID, OVERVIEW, Reads, first_id
from reservations.application.ports import (
    Attempt,
    Finding,
    Oversight,
    Overview,
    Projected,
    QueueLag,
    Waits,
)
from reservations.domain.actions import Verb
from reservations.domain.facts import Operation, Reason, Status
from reservations.domain.stored_words import read_word
from reservations.domain.words import RESTING, Review, State

ANSWER_SECONDS = 60  # whole tables are read
FOUND_AT_MOST = 50  # rows of one invariant: more would show nothing new

_RESTING = ", ".join(f"'{state}'" for state in sorted(RESTING))

_OVERVIEW = f"{OVERVIEW} WHERE {{}} ORDER BY id LIMIT %(limit)s"
# A reservation that waits for its voucher is due again and again, so it is never settled.
_VOUCHER_MISSING = """
    confirmed_at < UTC_TIMESTAMP(6) - INTERVAL 2 MINUTE
    AND NOT EXISTS (SELECT 1 FROM document d
        WHERE d.reservation_id = reservation.id AND d.type = 'voucher')"""
_STUCK = Statement(
    _OVERVIEW.format(
        "next_check_at < UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE OR"
        f" (state NOT IN ({_RESTING}) AND updated_at < UTC_TIMESTAMP(6) - INTERVAL 30 MINUTE) OR"
        f" (next_check_at IS NOT NULL AND state = 'SUPPLIER_CONFIRMED' AND {_VOUCHER_MISSING})"
    )
)
_IN_REVIEW = Statement(_OVERVIEW.format("review <> ''"))
_IN_STATE = Statement(_OVERVIEW.format("state = %(state)s"))

_ATTEMPTS = Statement(
    "SELECT c.call_key, a.verb, a.sent_at, a.outcome, a.http_status, a.elapsed_ms"
    " FROM provider_attempt a JOIN provider_call c ON c.id = a.call_id"
    " WHERE c.reservation_id = %(id)s ORDER BY a.id"
)

# The money of a reservation in one currency: charges less the refunds that did not fail later.
_NET = """
    (SELECT COALESCE(SUM(CASE c.operation WHEN 'charge' THEN c.money_minor ELSE -c.money_minor END), 0)
       FROM provider_call c
      WHERE c.reservation_id = r.id AND c.status = 'succeeded'
        AND c.operation IN ('charge', 'refund') AND {currency}
        AND NOT (c.operation = 'refund' AND EXISTS (SELECT 1 FROM contradiction x
            WHERE x.reservation_id = r.id AND x.kind = 'refund_failed' AND x.subject = c.provider_id
              AND x.opened_at IS NOT NULL AND x.over_at IS NULL
              AND (x.decision IS NULL OR x.decision <> 'returned'))))"""
# What a contradiction explains of the money: a person or a look of its own is on it, or was.
_EXPLAINED = """
    EXISTS (SELECT 1 FROM contradiction x WHERE x.reservation_id = r.id AND x.over_at IS NULL
        AND (x.closed_at IS NULL OR x.kind <> 'refund_failed'))"""
_NET_OWN = _NET.format(currency="c.currency = r.currency")
_NET_FOREIGN = _NET.format(currency="c.currency <> r.currency")

# The next step refunds a second payment: only then may the sum differ for a moment.
_BEING_REFUNDED = """
    (SELECT COUNT(*) FROM provider_call c WHERE c.reservation_id = r.id
        AND c.operation = 'charge' AND c.status = 'succeeded') > 1
    AND EXISTS (SELECT 1 FROM provider_call c WHERE c.reservation_id = r.id
        AND (c.closed_at > UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE
            OR c.operation = 'refund' AND c.status IN ('started', 'unknown', 'not_found', 'pending')))"""

_KEPT = """
    SELECT c.reservation_id, c.operation FROM provider_call c
     WHERE c.operation IN ('charge', 'book') AND c.status = 'succeeded'
       AND c.closed_at < UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE
       AND NOT EXISTS (SELECT 1 FROM provider_call b WHERE b.reservation_id = c.reservation_id
            AND b.target = c.provider_id
            AND b.operation = CASE c.operation WHEN 'charge' THEN 'refund' ELSE 'cancel_booking' END)"""

# Each gives `code` and `detail` of reservations `r` in scope.
_BROKEN: Final[Mapping[str, str]] = {
    "paid_without_charge": """
        SELECT r.code, r.state AS detail FROM reservation r
         WHERE r.state IN ('PAID', 'SUPPLIER_CONFIRMED') AND {scope}
           AND NOT EXISTS (SELECT 1 FROM provider_call c WHERE c.reservation_id = r.id
                AND c.operation = 'charge' AND c.status = 'succeeded')""",
    "confirmed_sum": f"""
        SELECT r.code, CONCAT({_NET_OWN}, ' of ', r.price_minor, ' ', r.currency) AS detail
          FROM reservation r
         WHERE r.state = 'SUPPLIER_CONFIRMED' AND {{scope}}
           AND ({_NET_OWN} NOT IN (r.price_minor, COALESCE(r.accepted_minor, r.price_minor))
                OR {_NET_FOREIGN} <> 0)
           AND NOT ({_BEING_REFUNDED}) AND NOT ({_EXPLAINED})""",
    "money_left": f"""
        SELECT r.code, CONCAT({_NET_OWN}, ' ', r.currency) AS detail FROM reservation r
         WHERE r.settled = 1 AND r.state <> 'SUPPLIER_CONFIRMED' AND {{scope}}
           AND ({_NET_OWN} <> 0 OR {_NET_FOREIGN} <> 0) AND NOT ({_EXPLAINED})""",
    "shared_provider_id": """
        SELECT DISTINCT r.code, CONCAT(c.operation, ' ', c.provider_id) AS detail
          FROM reservation r
          JOIN provider_call c ON c.reservation_id = r.id AND c.provider_id IS NOT NULL
          JOIN provider_call o ON o.operation = c.operation AND o.provider_id = c.provider_id
               AND o.reservation_id <> c.reservation_id
         WHERE {scope}""",
    "two_kept": f"""
        SELECT r.code, CONCAT(COUNT(*), ' of ', k.operation) AS detail
          FROM reservation r JOIN ({_KEPT}) k ON k.reservation_id = r.id
         WHERE r.reason IS NULL AND {{scope}} AND NOT ({_EXPLAINED})
         GROUP BY r.id, r.code, k.operation HAVING COUNT(*) > 1""",
    # A far look waits outside the scope, as its reservation is settled. Its index finds it.
    "overdue": """
        SELECT r.code, CASE WHEN r.next_check_at < UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE
                            THEN CONCAT('due ', r.next_check_at)
                            ELSE CONCAT('far look due ', r.next_look_at) END AS detail
          FROM reservation r
         WHERE (r.next_check_at < UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE AND {scope})
            OR r.next_look_at < UTC_TIMESTAMP(6) - INTERVAL 1 DAY""",
    # A refused mail raises the alarm of its own metric. A mail in doubt is reported here.
    "confirmed_without_papers": """
        SELECT r.code, CONCAT('confirmed ', r.confirmed_at) AS detail FROM reservation r
         WHERE r.state = 'SUPPLIER_CONFIRMED' AND {scope}
           AND NOT EXISTS (SELECT 1 FROM contradiction x
                WHERE x.reservation_id = r.id AND x.closed_at IS NULL)
           AND (r.confirmed_at < UTC_TIMESTAMP(6) - INTERVAL 2 MINUTE
                AND NOT EXISTS (SELECT 1 FROM document d
                     WHERE d.reservation_id = r.id AND d.type = 'voucher')
                OR r.confirmed_at < UTC_TIMESTAMP(6) - INTERVAL 10 MINUTE
                AND NOT EXISTS (SELECT 1 FROM mail_send m
                     WHERE m.reservation_id = r.id AND m.kind = 'confirmed'
                       AND m.status NOT IN ('started', 'unknown', 'not_sent')))""",
}
# `settled = 0` by the table's own rule, and in an index.
_SCOPE = "(r.next_check_at IS NOT NULL OR r.id >= %(first)s)"


def _listed(words: type[StrEnum]) -> str:
    return ", ".join(f"'{word}'" for word in words)


# The opposite of `Facts.frozen`: what follows from a word of another release is not ours to say.
_UNDERSTOOD = f"""
    r.state IN ({_listed(State)}) AND COALESCE(r.reason, '{Reason.EXPIRED}') IN ({_listed(Reason)})
    AND r.review REGEXP '^(({"|".join(Review)})(,|$))*$'
    AND NOT EXISTS (SELECT 1 FROM provider_call u WHERE u.reservation_id = r.id
         AND (u.status NOT IN ({_listed(Status)}) OR u.operation NOT IN ({_listed(Operation)})))"""
_FOR_ALL: Final = frozenset({"shared_provider_id", "overdue"})


def _finding(invariant: str) -> Statement:
    scope = _SCOPE if invariant in _FOR_ALL else f"{_SCOPE} AND {_UNDERSTOOD}"
    scoped = _BROKEN[invariant].format(scope=scope)
    return Statement(f"{scoped} ORDER BY r.code LIMIT {FOUND_AT_MOST}")


_FINDINGS: Final = {name: _finding(name) for name in _BROKEN}

_TO_RECONCILE = Statement(
    "SELECT DISTINCT c.reservation_id FROM provider_call c WHERE c.reservation_id > %(after)s"
    " AND (c.status IN ('started', 'unknown', 'pending') OR c.sent_at >= %(since)s)"
    " ORDER BY c.reservation_id LIMIT %(limit)s"
)
_OUTBOX = Statement(
    "SELECT queue, status, COUNT(*) AS hints, GREATEST(0, COALESCE("
    "TIMESTAMPDIFF(MICROSECOND, MIN(available_at), UTC_TIMESTAMP(6)), 0)) / 1000000 AS oldest_s"
    " FROM outbox WHERE status <> 'published' GROUP BY queue, status ORDER BY queue, status"
)
_OLDEST_DUE = Statement(
    "SELECT GREATEST(0, COALESCE("
    "TIMESTAMPDIFF(MICROSECOND, MIN(next_check_at), UTC_TIMESTAMP(6)), 0)) / 1000000"
    " FROM reservation WHERE next_check_at IS NOT NULL"
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


class MySqlOversight(Reads, Oversight):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._reservations = MySqlReservations(database)

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
            )
            for row in self._rows(_ATTEMPTS, id=reservation_id)
        ]

    def broken(self, invariant: str, *, since: datetime | None) -> list[Finding]:
        rows = self._rows(_FINDINGS[invariant], first=first_id(since))
        return [Finding(invariant=invariant, code=row.code, detail=str(row.detail)) for row in rows]

    def projected(
        self, *, since: datetime | None, after: UUID | None, limit: int
    ) -> list[Projected]:
        values = {"after": after or LOWEST_ID, "first": first_id(since), "limit": limit}
        return self._projected(statements.PAGE(**values))

    def projected_now(self, reservation_id: UUID) -> Projected:
        [projected] = self._projected(statements.HELD(id=reservation_id))
        return projected

    def _projected(self, query: Query) -> list[Projected]:
        self._database.begin()
        try:
            [rows] = self._database.fetch(query)
            return [
                Projected(reservation=reservation, state=row.state, review=row.review)
                for row, reservation in self._reservations.readable(rows)
            ]
        finally:
            self._database.rollback()

    def to_reconcile(self, *, since: datetime, after: UUID | None, limit: int) -> list[UUID]:
        rows = self._rows(_TO_RECONCILE, since=since, after=after or LOWEST_ID, limit=limit)
        return [identifier(row.reservation_id) for row in rows]

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

    def waits(self) -> Waits:
        [row] = self._rows(_WAITS)
        return Waits(
            mails=row.mails,
            voucher_s=float(row.voucher_s),
            contradiction_s=float(row.contradiction_s),
        )

    def oldest_due_s(self) -> float:
        [row] = self._rows(_OLDEST_DUE)
        return float(row[0])
