"""Reservations in MySQL: read whole, written as a difference."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from reservations.adapters.mysql import mapping, statements
from reservations.adapters.mysql.engine import NOW, Database, Row, Rows
from reservations.application.ports import Attempt, DueLook, Opened, Reservations
from reservations.domain.change import Change
from reservations.domain.errors import (
    DatabaseBusyError,
    InvalidMoneyError,
    KnowledgeLostError,
    ReservationNotFoundError,
)
from reservations.domain.facts import Call, Facts, Status, rank_of
from reservations.domain.history import HistoryEntry
from reservations.domain.reservation import ERASED, Customer, Reservation
from reservations.domain.views import Glance

_READINGS = 5
# A currency that this release has never known, or a row that no release wrote.
_UNREADABLE = (ValueError, InvalidMoneyError)
_FIRST = {"at": datetime(1970, 1, 1, tzinfo=UTC), "id": UUID(int=0)}
_logger = logging.getLogger(__name__)


class MySqlReservations(Reservations):
    """The reservations of one transaction; `forget_locks` begins the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locked: set[UUID] = set()

    def forget_locks(self) -> None:
        self._locked.clear()

    # --- reading

    def open(self, reservation_id: UUID, *, customer: bool) -> Opened:
        """Lock the row, and read all that belongs to it in the same flight."""
        one = {"id": reservation_id}
        rows, [clock], *rest = self._database.fetch(
            statements.LOCK(**one),
            NOW(),
            *(children(**one) for children in statements.CHILDREN_OF_ONE),
            *([statements.CUSTOMER(**one)] if customer else []),
        )
        if not rows:
            raise ReservationNotFoundError
        children, found = rest[: len(statements.CHILDREN)], rest[len(statements.CHILDREN) :]
        reservation = _reservation(rows[0], children)
        self._locked.add(reservation_id)
        return Opened(
            reservation=reservation,
            now=clock.now,
            customer=_customer(found[0]) if customer else None,
        )

    def find(self, code: str) -> Reservation | None:
        """Read the row, its children and the row again, in one flight. Repeat if it has changed."""
        row = statements.BY_CODE(code=code)
        for _ in range(_READINGS):
            before, *children, after = self._database.look(
                row, *(each(code=code) for each in statements.CHILDREN_OF_CODE), row
            )
            if before == after:
                return _reservation(before[0], children) if before else None
        raise DatabaseBusyError(f"changed during each of {_READINGS} readings")

    def glance(self, code: str) -> Glance | None:
        [rows] = self._database.look(statements.GLANCE(code=code))
        return mapping.glance_from(rows[0]) if rows else None

    def customer(self, reservation_id: UUID) -> Customer:
        reservation, customer = self._database.look(
            statements.EXISTS(id=reservation_id), statements.CUSTOMER(id=reservation_id)
        )
        if not reservation:
            raise ReservationNotFoundError
        return _customer(customer)

    def history(self, reservation_id: UUID) -> list[HistoryEntry]:
        [rows] = self._database.look(statements.HISTORY(id=reservation_id))
        return [
            HistoryEntry(event=row.event, at=row.at, actor=row.actor, note=row.note) for row in rows
        ]

    def claim_due(self, *, limit: int, lease: timedelta) -> list[Reservation]:
        due = self._due(limit=limit)
        if not due:
            return []
        until = self._database.now() + lease
        ids = [reservation.reservation_id for reservation in due]
        self._database.later(statements.LEASE(ids=ids, until=until, token=uuid4()))
        self._locked.update(ids)
        return [replace(reservation, next_check_at=until) for reservation in due]

    def lock_due_look(self, *, after: DueLook | None) -> DueLook | None:
        last = {"at": after.at, "id": after.reservation_id} if after else _FIRST
        [rows] = self._database.fetch(statements.DUE_LOOK(**last))
        if not rows:
            return None
        [row] = rows
        return DueLook(at=row.next_look_at, reservation_id=mapping.identifier(row.id))

    def _due(self, *, limit: int) -> list[Reservation]:
        """Lock the due reservations, oldest first. Skip unreadable rows and keep reading.

        An unreadable row, as of a currency never known here, stays due, which rings an alarm.
        """
        due: list[Reservation] = []
        last = _FIRST
        while len(due) < limit:
            _, rows = self._database.fetch(NOW(), statements.DUE(limit=limit, **last))
            due += [reservation for _, reservation in self.readable(rows)]
            if len(rows) < limit:
                break
            last = {"at": rows[-1].next_check_at, "id": mapping.identifier(rows[-1].id)}
        return due[:limit]

    def readable(self, rows: Rows) -> Iterator[tuple[Row, Reservation]]:
        """Pair each row with its reservation. Skip and log those that no release of ours could write."""
        if not rows:
            return
        ids = [mapping.identifier(row.id) for row in rows]
        children = self._database.fetch(
            *(children(ids=ids) for children in statements.CHILDREN_OF_MANY)
        )
        grouped = [_grouped(each) for each in children]
        unreadable = []
        for row in rows:
            try:
                yield row, _reservation(row, [each[row.id] for each in grouped])
            except _UNREADABLE:
                unreadable.append(str(mapping.identifier(row.id)))
        if unreadable:
            _logger.error("reservations not readable", extra={"reservation_ids": unreadable})

    # --- writing: each waits for the next flight

    def add(self, creation: Change, customer: Customer) -> None:
        reservation = creation.after
        reservation_id = reservation.reservation_id
        values = mapping.fixed_values(reservation) | mapping.changing_values(creation)
        self._database.later(
            statements.ADD(**values),
            statements.ADD_CUSTOMER(**mapping.customer_values(reservation_id, customer)),
        )
        self._write_difference(None, reservation)
        self._add_history(creation)
        self._locked.add(reservation_id)

    def save(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None or after.reservation_id not in self._locked:
            raise LookupError("only what this unit of work locked or added can be saved")
        self._write_difference(before, after)
        values = mapping.changing_values(change)
        values |= {"id": after.reservation_id, "before": before.version}
        self._database.later(statements.CHANGE(**values), statements.CHANGED(**values))
        if change.token_spent:
            self._database.later(statements.FORGET_TOKEN(id=after.reservation_id))
        self._add_history(change)

    def change_address(self, reservation_id: UUID, email: str, *, former: str | None) -> None:
        values = {"email": email, "former": former}
        self._database.later(statements.CHANGE_ADDRESS(id=reservation_id, **values))

    def erase_customer(self, reservation_id: UUID) -> bool:
        return self._database.change(statements.ERASE(id=reservation_id)) > 0

    def add_attempt(self, reservation_id: UUID, attempt: Attempt) -> None:
        values = asdict(attempt)
        key = values.pop("call_key")
        self._database.later(statements.ADD_ATTEMPT(id=reservation_id, key=key, **values))

    def add_history(self, reservation_id: UUID, entry: HistoryEntry) -> None:
        self._database.later(
            statements.ADD_HISTORY(
                reservation_id=reservation_id,
                event=entry.event,
                at=entry.at,
                actor=entry.actor,
                note=entry.note,
            )
        )

    def _add_history(self, change: Change) -> None:
        for entry in change.history:
            self.add_history(change.after.reservation_id, entry)

    def _write_difference(self, before: Reservation | None, after: Reservation) -> None:
        old = before.facts if before else None
        self._write_calls(old, after.facts)
        self._write_contradictions(old, after.facts)
        self._write_documents(before, after)
        self._write_sends(before, after)

    def _write_calls(self, before: Facts | None, after: Facts) -> None:
        known = {call.key: call for call in before.calls} if before else {}
        if not known.keys() <= {call.key for call in after.calls}:
            raise KnowledgeLostError("a ledger row is never taken away")
        for call in after.calls:
            if call == known.get(call.key):
                continue
            values = mapping.call_values(after.reservation_id, call)
            if call.key not in known:
                self._database.later(statements.ADD_CALL(**values))
            else:
                values |= _lower(call)
                self._database.later(
                    statements.CHANGE_CALL(**values), statements.CALL_CHANGED(**values)
                )

    def _write_contradictions(self, before: Facts | None, after: Facts) -> None:
        known = {(row.matter, row.number): row for row in before.contradictions} if before else {}
        if not known.keys() <= {(row.matter, row.number) for row in after.contradictions}:
            raise KnowledgeLostError("a contradiction is never taken away")
        for new in after.contradictions:
            old = known.get((new.matter, new.number))
            values = mapping.contradiction_values(after.reservation_id, new)
            if old is None:
                self._database.later(statements.ADD_CONTRADICTION(**values))
            elif new != old:
                self._database.later(
                    statements.CHANGE_CONTRADICTION(**values),
                    statements.CONTRADICTION_CHANGED(**values),
                )

    def _write_documents(self, before: Reservation | None, after: Reservation) -> None:
        issued = {document.type: document for document in before.documents} if before else {}
        for document in after.documents:
            values = mapping.document_values(after.reservation_id, document)
            if document.type not in issued:
                self._database.later(statements.ADD_DOCUMENT(**values))
            elif document != issued[document.type]:
                self._database.later(
                    statements.CHANGE_DOCUMENT(**values), statements.DOCUMENT_CHANGED(**values)
                )

    def _write_sends(self, before: Reservation | None, after: Reservation) -> None:
        for send in after.sends:
            old = before.send_of(send.kind) if before else None
            values = mapping.send_values(after.reservation_id, send)
            if old is None:
                self._database.later(statements.ADD_SEND(**values))
            elif send != old:
                self._database.later(
                    statements.CHANGE_SEND(**values), statements.SEND_CHANGED(**values)
                )


def _customer(rows: Rows) -> Customer:
    return mapping.customer_from(rows[0]) if rows else ERASED


def _grouped(rows: Rows) -> dict[bytes, Rows]:
    groups: dict[bytes, Rows] = defaultdict(list)
    for row in rows:
        groups[row.reservation_id].append(row)
    return groups


def _reservation(row: Row, children: Sequence[Rows]) -> Reservation:
    calls, contradictions, documents, sends = children
    return mapping.reservation_from(
        row,
        calls=[mapping.call_from(call) for call in calls],
        contradictions=[mapping.contradiction_from(found) for found in contradictions],
        documents=[mapping.document_from(document) for document in documents],
        sends=[mapping.send_from(send) for send in sends],
    )


def _lower(call: Call) -> mapping.Values:
    """The statuses that a ledger row may have to become `call`."""
    lower = [status for status in Status if rank_of(status) < rank_of(call.status)]
    return {"lower": [*lower, call.status], "again": call.status is Status.STARTED}
