"""Broken invariants, by slices. Every query is in the subset that both engines share."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database, Query, Rows, Statement
from reservations.adapters.mysql.mapping import identifier
from reservations.adapters.mysql.reservations import MySqlReservations
from reservations.adapters.mysql.search import LOWEST_ID, Reads
from reservations.application.ports import Audit, Finding, HistoryLine, Projected
from reservations.domain.facts import Operation, Reason, Status
from reservations.domain.words import Review, State

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
# Money that a contradiction explains: a person or an inquiry of its own handles it, or did.
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

# Each gives `id`, `code` and `detail` of reservations `r` in scope.
_BROKEN: Final[Mapping[str, str]] = {
    "paid_without_charge": """
        SELECT r.id, r.code, r.state AS detail FROM reservation r
         WHERE r.state IN ('PAID', 'SUPPLIER_CONFIRMED') AND {scope}
           AND NOT EXISTS (SELECT 1 FROM provider_call c WHERE c.reservation_id = r.id
                AND c.operation = 'charge' AND c.status = 'succeeded')""",
    "confirmed_sum": f"""
        SELECT r.id, r.code, CONCAT({_NET_OWN}, ' of ', r.price_minor, ' ', r.currency) AS detail
          FROM reservation r
         WHERE r.state = 'SUPPLIER_CONFIRMED' AND {{scope}}
           AND ({_NET_OWN} NOT IN (r.price_minor, COALESCE(r.accepted_minor, r.price_minor))
                OR {_NET_FOREIGN} <> 0)
           AND NOT ({_BEING_REFUNDED}) AND NOT ({_EXPLAINED})""",
    "money_left": f"""
        SELECT r.id, r.code, CONCAT({_NET_OWN}, ' ', r.currency) AS detail FROM reservation r
         WHERE r.settled = 1 AND r.state <> 'SUPPLIER_CONFIRMED' AND {{scope}}
           AND ({_NET_OWN} <> 0 OR {_NET_FOREIGN} <> 0) AND NOT ({_EXPLAINED})""",
    "shared_provider_id": """
        SELECT DISTINCT r.id, r.code, CONCAT(c.operation, ' ', c.provider_id) AS detail
          FROM reservation r
          JOIN provider_call c ON c.reservation_id = r.id AND c.provider_id IS NOT NULL
          JOIN provider_call o ON o.operation = c.operation AND o.provider_id = c.provider_id
               AND o.reservation_id <> c.reservation_id
         WHERE {scope}""",
    "two_kept": f"""
        SELECT r.id, r.code, CONCAT(COUNT(*), ' of ', k.operation) AS detail
          FROM reservation r JOIN ({_KEPT}) k ON k.reservation_id = r.id
         WHERE r.reason IS NULL AND {{scope}} AND NOT ({_EXPLAINED})
         GROUP BY r.id, r.code, k.operation HAVING COUNT(*) > 1""",
    # A refused mail raises the alarm of its own metric. A mail in doubt is reported here.
    "confirmed_without_papers": """
        SELECT r.id, r.code, CONCAT('confirmed ', r.confirmed_at) AS detail FROM reservation r
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


def _listed(words: type[StrEnum]) -> str:
    return ", ".join(f"'{word}'" for word in words)


# The opposite of `Facts.frozen`: this release cannot judge a status that another one wrote.
_UNDERSTOOD = f"""
    r.state IN ({_listed(State)}) AND COALESCE(r.reason, '{Reason.EXPIRED}') IN ({_listed(Reason)})
    AND r.review REGEXP '^(({"|".join(Review)})(,|$))*$'
    AND NOT EXISTS (SELECT 1 FROM provider_call u WHERE u.reservation_id = r.id
         AND (u.status NOT IN ({_listed(Status)}) OR u.operation NOT IN ({_listed(Operation)})))"""


def _finding(invariant: str) -> Statement:
    is_of_words = invariant != "shared_provider_id"
    scope = "r.id IN %(ids)s" + (f" AND {_UNDERSTOOD}" if is_of_words else "")
    return Statement(f"{_BROKEN[invariant].format(scope=scope)} ORDER BY r.id")


_FINDINGS: Final = {name: _finding(name) for name in _BROKEN}


def _overdue(column: str, limit: str, what: str) -> Statement:
    return Statement(
        f"SELECT id, code, CONCAT('{what} ', {column}) AS detail FROM reservation"
        f" WHERE {column} < UTC_TIMESTAMP(6) - INTERVAL {limit}"
        f" ORDER BY {column}, id LIMIT %(limit)s"
    )


# A far look waits although its reservation is settled.
_OVERDUE: Final = (
    _overdue("next_check_at", "10 MINUTE", "due"),
    _overdue("next_look_at", "1 DAY", "far look due"),
)

_IDS = Statement("SELECT id FROM reservation WHERE id > %(after)s ORDER BY id LIMIT %(limit)s")
_LINE = "SELECT id, reservation_id, at FROM history {} LIMIT %(limit)s"
_LINES = Statement(_LINE.format("WHERE id > %(after)s ORDER BY id"))
_LAST_LINES = Statement(_LINE.format("ORDER BY id DESC"))

_FOUND = Statement(
    "SELECT DISTINCT reservation_id AS id FROM finding WHERE reservation_id > %(after)s"
    " ORDER BY reservation_id LIMIT %(limit)s"
)
_FORGET = Statement("DELETE FROM finding WHERE reservation_id IN %(ids)s")
_REMEMBER = Statement(
    "INSERT INTO finding (reservation_id, invariant, found_at)"
    " VALUES (%(id)s, %(invariant)s, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE invariant = invariant"
)


class MySqlAudit(Reads, Audit):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._reservations = MySqlReservations(database)

    def page(self, *, after: UUID | None, limit: int) -> list[UUID]:
        return self._ids(_IDS, after, limit)

    def lines(self, *, after: int | None, limit: int) -> list[HistoryLine]:
        if after is None:
            rows = self._rows(_LAST_LINES, limit=limit)[::-1]
        else:
            rows = self._rows(_LINES, after=after, limit=limit)
        return [
            HistoryLine(history_id=row.id, reservation_id=identifier(row.reservation_id), at=row.at)
            for row in rows
        ]

    def broken(self, ids: Sequence[UUID]) -> list[Finding]:
        self._database.begin()
        answers = self._database.look(*(each(ids=ids) for each in _FINDINGS.values()))
        return [
            finding
            for invariant, rows in zip(_FINDINGS, answers, strict=True)
            for finding in _findings(invariant, rows)
        ]

    def projected(self, ids: Sequence[UUID]) -> list[Projected]:
        return self._projected(statements.SOME(ids=ids))

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

    def overdue(self, *, limit: int) -> list[Finding]:
        self._database.begin()
        answers = self._database.look(*(each(limit=limit) for each in _OVERDUE))
        return [finding for rows in answers for finding in _findings("overdue", rows)][:limit]

    def found(self, *, after: UUID | None, limit: int) -> list[UUID]:
        return self._ids(_FOUND, after, limit)

    def record(self, ids: Sequence[UUID], findings: Sequence[Finding]) -> None:
        self._database.begin()
        try:
            self._database.later(
                _FORGET(ids=ids),
                *(_REMEMBER(id=each.reservation_id, invariant=each.invariant) for each in findings),
            )
            self._database.commit()
        finally:
            self._database.rollback()

    def _ids(self, statement: Statement, after: UUID | None, limit: int) -> list[UUID]:
        rows = self._rows(statement, after=after or LOWEST_ID, limit=limit)
        return [identifier(row.id) for row in rows]


def _findings(invariant: str, rows: Rows) -> list[Finding]:
    return [
        Finding(
            invariant=invariant,
            reservation_id=identifier(row.id),
            code=row.code,
            detail=str(row.detail),
        )
        for row in rows
    ]
