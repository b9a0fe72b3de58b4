"""Searches of operators. Each uses an index, so that none grows with the table."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from reservations.adapters.mysql.engine import Database, Row, Rows, Statement
from reservations.adapters.mysql.mapping import identifier
from reservations.application.ports import Count, Doubt, Overview, Search
from reservations.domain.facts import Operation, Reason
from reservations.domain.identifiers import uuid7
from reservations.domain.stored_words import read_word
from reservations.domain.words import (
    PUBLIC_STATUS_OF_REASON,
    PUBLIC_STATUS_OF_STATE,
    PublicStatus,
    State,
    public_status_of,
)

LOWEST_ID: Final = UUID(int=0)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def _listed(words: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{word}'" for word in words)


OVERVIEW: Final = (
    "SELECT code, state, reason, review, next_check_at, created_at, updated_at,"
    " ended_at IS NOT NULL AS ended FROM reservation"
)
_NEWEST: Final = "ORDER BY id DESC LIMIT %(limit)s"
_BY_ID: Final = Statement(f"{OVERVIEW} WHERE id = %(id)s")
_CODES: Final = Statement("SELECT id, code FROM reservation WHERE id IN %(ids)s")
# Two indexes, so two parts: an OR would read the whole ledger.
_BY_PROVIDER: Final = Statement(
    f"{OVERVIEW} JOIN (SELECT reservation_id FROM provider_call WHERE locator IN %(names)s UNION"
    " SELECT reservation_id FROM provider_call"
    f" WHERE operation IN ({_listed(Operation)}) AND provider_id IN %(names)s) found"
    f" ON found.reservation_id = reservation.id {_NEWEST}"
)
_BY_ADDRESS: Final = Statement(
    f"{OVERVIEW} JOIN customer ON customer.reservation_id = reservation.id"
    f" WHERE address = LOWER(%(address)s) {_NEWEST}"
)


def _of_status(status: PublicStatus) -> str:
    """The condition of a status on the columns; see `public_status_of`."""
    if status in PUBLIC_STATUS_OF_STATE.values():
        states = (state for state, its in PUBLIC_STATUS_OF_STATE.items() if its is status)
        return f"reason IS NULL AND state IN ({_listed(states)})"
    if status is PublicStatus.EN_CANCELACION or status is PublicStatus.CANCELADA:
        others = [r for r in Reason if PUBLIC_STATUS_OF_REASON[r] is not PublicStatus.CANCELADA]
        ended = "IS NULL" if status is PublicStatus.EN_CANCELACION else "IS NOT NULL"
        return f"reason NOT IN ({_listed(others)}) AND ended_at {ended}"
    reasons = (r for r in Reason if PUBLIC_STATUS_OF_REASON[r] is status)
    return f"reason IN ({_listed(reasons)})"


_BY_STATUS: Final = {
    status: Statement(f"{OVERVIEW} WHERE id >= %(first)s AND {_of_status(status)} {_NEWEST}")
    for status in PublicStatus
}
_COUNTED: Final = (
    "SELECT state, reason, ended_at IS NOT NULL AS ended, {} AS fresh, COUNT(*) AS reservations"
    " FROM reservation {} GROUP BY state, reason, ended, fresh"
)
_RECENT_COUNTS: Final = Statement(
    _COUNTED.format("id >= %(hour)s", "FORCE INDEX (PRIMARY) WHERE id >= %(day)s")
)
_OLDER_COUNTS: Final = Statement(
    _COUNTED.format("0", "WHERE next_check_at IS NOT NULL AND id < %(day)s")
)
_DOUBTS: Final = Statement(
    "SELECT x.kind, SUM(x.opened_at IS NOT NULL) AS opened, SUM(x.opened_at IS NULL) AS suspected"
    " FROM reservation r JOIN contradiction x ON x.reservation_id = r.id"
    " WHERE r.next_check_at IS NOT NULL AND r.contradictions > 0"
    " AND x.closed_at IS NULL GROUP BY x.kind ORDER BY x.kind"
)


class Reads:
    """Reads in transactions of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def now(self) -> datetime:
        self._database.begin()
        try:
            return self._database.now()
        finally:
            self._database.rollback()

    def _rows(self, query: Statement, **values: Any) -> Rows:
        self._database.begin()
        [rows] = self._database.look(query(**values))
        return rows

    def _overviews(self, query: Statement, **values: Any) -> list[Overview]:
        return [
            Overview(
                code=row.code,
                status=_status(row),
                state=read_word(State, row.state),
                review=row.review,
                next_check_at=row.next_check_at,
                created_at=row.created_at,
                updated_at=row.updated_at,
            )
            for row in self._rows(query, **values)
        ]


class MySqlSearch(Reads, Search):
    def by_id(self, reservation_id: UUID) -> list[Overview]:
        return self._overviews(_BY_ID, id=reservation_id)

    def codes(self, ids: Collection[UUID]) -> dict[UUID, str]:
        rows = self._rows(_CODES, ids=sorted(ids)) if ids else []
        return {identifier(row.id): row.code for row in rows}

    def by_provider(self, name: str, *, limit: int) -> list[Overview]:
        # Locators are read out on the phone, and most are upper-case.
        return self._overviews(_BY_PROVIDER, names=sorted({name, name.upper()}), limit=limit)

    def by_address(self, address: str, *, limit: int) -> list[Overview]:
        return self._overviews(_BY_ADDRESS, address=address, limit=limit)

    def by_status(self, status: PublicStatus, *, since: datetime, limit: int) -> list[Overview]:
        return self._overviews(_BY_STATUS[status], first=first_id(since), limit=limit)

    def counts(self) -> list[Count]:
        now = self.now()
        day = first_id(now - _DAY)
        recent = self._rows(_RECENT_COUNTS, hour=first_id(now - _HOUR), day=day)
        older = self._rows(_OLDER_COUNTS, day=day)
        total: dict[tuple[PublicStatus, Any], int] = {}
        for rows, ages in ((recent, ("day", "hour")), (older, ("older", "older"))):
            for row in rows:
                key = (_status(row), ages[bool(row.fresh)])
                total[key] = total.get(key, 0) + row.reservations
        return [
            Count(status=status, age=age, reservations=reservations)
            for (status, age), reservations in total.items()
        ]

    def doubts(self) -> list[Doubt]:
        return [
            Doubt(kind=row.kind, opened=int(row.opened), suspected=int(row.suspected))
            for row in self._rows(_DOUBTS)
        ]


def first_id(since: datetime | None) -> UUID:
    """The lowest id of a reservation made `since`: ids begin with the time (RFC 9562, section 5.7)."""
    return LOWEST_ID if since is None else uuid7(since, random_bits=lambda _: 0)


def _status(row: Row) -> PublicStatus:
    reason = None if row.reason is None else read_word(Reason, row.reason)
    state = read_word(State, row.state)
    if reason is None and state not in PUBLIC_STATUS_OF_STATE:
        return PublicStatus.EN_PROCESO  # a state of another release, which has not closed it
    return public_status_of(state, reason, ended=bool(row.ended))
