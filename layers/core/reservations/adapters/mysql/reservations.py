"""Reservations in MySQL: read whole, written as a difference."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from reservations.adapters.mysql import mapping
from reservations.adapters.mysql.engine import DUPLICATE, Database, error_number
from reservations.adapters.mysql.tables import (
    CONTRADICTION,
    CUSTOMER,
    DOCUMENT,
    HISTORY,
    MAIL_SEND,
    PROVIDER_ATTEMPT,
    PROVIDER_CALL,
    RESERVATION,
)
from reservations.application.ports import Attempt, DueLook, Reservations
from reservations.domain.change import Change
from reservations.domain.errors import (
    DatabaseBusyError,
    DuplicateCodeError,
    InvalidMoneyError,
    KnowledgeLostError,
    ReservationNotFoundError,
)
from reservations.domain.facts import Call, Facts, Status, rank_of
from reservations.domain.history import HistoryEntry
from reservations.domain.reservation import ERASED, Customer, MailStatus, Reservation

_BY_ID = select(RESERVATION).where(RESERVATION.c.id == bindparam("id"))
_LOCK = _BY_ID.with_for_update()
_READINGS = 5
# A currency that this release has never known, or a row that no release wrote.
_UNREADABLE = (ValueError, InvalidMoneyError)
_logger = logging.getLogger(__name__)
_BY_CODE = select(RESERVATION).where(RESERVATION.c.code == bindparam("code"))
_CUSTOMER = (
    select(CUSTOMER)
    .select_from(RESERVATION.outerjoin(CUSTOMER))
    .where(RESERVATION.c.id == bindparam("id"))
)
_ERASE = delete(CUSTOMER).where(CUSTOMER.c.reservation_id == bindparam("id"))
_CALL_ID = select(PROVIDER_CALL.c.id).where(
    PROVIDER_CALL.c.reservation_id == bindparam("id"), PROVIDER_CALL.c.call_key == bindparam("key")
)
_HISTORY = select(HISTORY).where(HISTORY.c.reservation_id == bindparam("id")).order_by(HISTORY.c.id)
_DUE = (
    select(RESERVATION)
    .where(
        RESERVATION.c.next_check_at <= bindparam("now"),
        or_(
            RESERVATION.c.next_check_at > bindparam("at"),
            and_(
                RESERVATION.c.next_check_at == bindparam("at"), RESERVATION.c.id > bindparam("id")
            ),
        ),
    )
    .order_by(RESERVATION.c.next_check_at, RESERVATION.c.id)
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True)
)
# The same order as its index, and one row: a lock that is not needed would hold up a step.
_DUE_LOOK = (
    select(RESERVATION.c.next_look_at, RESERVATION.c.id)
    .where(
        RESERVATION.c.next_look_at <= bindparam("now"),
        or_(
            RESERVATION.c.next_look_at > bindparam("at"),
            and_(RESERVATION.c.next_look_at == bindparam("at"), RESERVATION.c.id > bindparam("id")),
        ),
    )
    .order_by(RESERVATION.c.next_look_at, RESERVATION.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_FIRST = {"at": datetime(1970, 1, 1, tzinfo=UTC), "id": UUID(int=0)}
_LEASE = (
    update(RESERVATION)
    .where(RESERVATION.c.id.in_(bindparam("ids", expanding=True)))
    .values(next_check_at=bindparam("until"), lease_token=bindparam("token"))
)
_FORGET_TOKEN = (
    update(CUSTOMER)
    .where(CUSTOMER.c.reservation_id == bindparam("id"), CUSTOMER.c.payment_token.is_not(None))
    .values(payment_token=None)
)


def _children(table: Table) -> Select[Any]:
    return (
        select(table)
        .where(table.c.reservation_id.in_(bindparam("ids", expanding=True)))
        .order_by(table.c.id)
    )


_CALLS, _DOCUMENTS, _SENDS = _children(PROVIDER_CALL), _children(DOCUMENT), _children(MAIL_SEND)
_CONTRADICTIONS = _children(CONTRADICTION)


class MySqlReservations(Reservations):
    """The reservations of one transaction; `forget_locks` begins the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._locked: set[UUID] = set()

    def forget_locks(self) -> None:
        self._locked.clear()

    def add(self, creation: Change, customer: Customer) -> None:
        reservation = creation.after
        reservation_id = reservation.reservation_id
        self._insert_reservation(
            mapping.fixed_values(reservation) | mapping.changing_values(creation)
        )
        self._database.execute(insert(CUSTOMER), mapping.customer_values(reservation_id, customer))
        bare = replace(
            reservation,
            facts=replace(reservation.facts, calls=(), contradictions=()),
            documents=(),
            sends=(),
        )
        self._write_difference(bare, reservation)
        self._add_history(creation)
        self._locked.add(reservation_id)

    def lock(self, reservation_id: UUID) -> Reservation:
        row = self._database.execute(_LOCK, {"id": reservation_id}).one_or_none()
        if row is None:
            raise ReservationNotFoundError
        [reservation] = self.whole([row])
        self._locked.add(reservation_id)
        return reservation

    def find(self, code: str) -> Reservation | None:
        """Read the row, the ledger and the row again. Repeat if the row has changed."""
        row = self._database.execute(_BY_CODE, {"code": code}).one_or_none()
        for _ in range(_READINGS):
            if row is None:
                return None
            [reservation] = self.whole([row])
            before, row = row, self._database.execute(_BY_CODE, {"code": code}).one_or_none()
            if row == before:
                return reservation
        raise DatabaseBusyError(f"changed during each of {_READINGS} readings")

    def save(self, change: Change) -> None:
        before, after = change.before, change.after
        if before is None or after.reservation_id not in self._locked:
            raise LookupError("only what this unit of work locked or added can be saved")
        self._write_difference(before, after)
        self._write_reservation(before, change)
        if change.token_spent:
            self._database.execute(_FORGET_TOKEN, {"id": after.reservation_id})
        self._add_history(change)

    def customer(self, reservation_id: UUID) -> Customer:
        row = self._database.execute(_CUSTOMER, {"id": reservation_id}).one_or_none()
        if row is None:
            raise ReservationNotFoundError
        return ERASED if row.reservation_id is None else mapping.customer_from(row)

    def erase_customer(self, reservation_id: UUID) -> bool:
        return self._database.execute(_ERASE, {"id": reservation_id}).rowcount > 0

    def add_attempt(self, reservation_id: UUID, attempt: Attempt) -> None:
        key = {"id": reservation_id, "key": attempt.call_key}
        call_id = self._database.execute(_CALL_ID, key).scalar()
        if call_id is None:
            raise LookupError(f"no call {attempt.call_key}")
        values = {
            "call_id": call_id,
            "verb": attempt.verb,
            "sent_at": attempt.sent_at,
            "outcome": attempt.outcome,
            "http_status": attempt.http_status,
            "elapsed_ms": attempt.elapsed_ms,
        }
        self._database.execute(insert(PROVIDER_ATTEMPT), values)

    def history(self, reservation_id: UUID) -> list[HistoryEntry]:
        rows = self._database.execute(_HISTORY, {"id": reservation_id})
        return [
            HistoryEntry(event=row.event, at=row.at, actor=row.actor, note=row.note) for row in rows
        ]

    def add_history(self, reservation_id: UUID, entry: HistoryEntry) -> None:
        values = {"reservation_id": reservation_id, **asdict(entry)}
        self._database.execute(insert(HISTORY), values)

    def claim_due(self, *, limit: int, lease: timedelta) -> list[Reservation]:
        now = self._database.now()
        due = self._due(now, limit=limit)
        if not due:
            return []
        until = now + lease
        self._database.execute(
            _LEASE, {"ids": [r.reservation_id for r in due], "until": until, "token": uuid4()}
        )
        leased = [replace(r, next_check_at=until) for r in due]
        self._locked.update(r.reservation_id for r in leased)
        return leased

    def lock_due_look(self, *, after: DueLook | None) -> DueLook | None:
        last = {"at": after.at, "id": after.reservation_id} if after else _FIRST
        row = self._database.execute(_DUE_LOOK, {"now": self._database.now(), **last}).one_or_none()
        return DueLook(at=row.next_look_at, reservation_id=row.id) if row else None

    # --- reading

    def _due(self, now: datetime, *, limit: int) -> list[Reservation]:
        """Lock the due reservations, oldest first. Skip unreadable rows and keep reading.

        An unreadable row, as of a currency never known here, stays due, which rings an alarm.
        """
        due: list[Reservation] = []
        last = _FIRST
        while len(due) < limit:
            rows = self._database.execute(_DUE, {"now": now, "limit": limit, **last}).all()
            due += [reservation for _, reservation in self.readable(rows)]
            if len(rows) < limit:
                break
            last = {"at": rows[-1].next_check_at, "id": rows[-1].id}
        return due[:limit]

    def readable(self, rows: Sequence[Row[Any]]) -> Iterator[tuple[Row[Any], Reservation]]:
        """Pair each row with its reservation. Skip and log those that no release of ours could write."""
        unreadable = []
        for row, read in zip(rows, self._readers(rows), strict=True):
            try:
                yield row, read()
            except _UNREADABLE:
                unreadable.append(str(row.id))
        if unreadable:
            _logger.error("reservations not readable", extra={"reservation_ids": unreadable})

    def whole(self, rows: Sequence[Row[Any]]) -> list[Reservation]:
        """Read the ledger, documents and mails of each row. The ledger is ordered by row id."""
        return [read() for read in self._readers(rows)]

    def _readers(self, rows: Sequence[Row[Any]]) -> list[Callable[[], Reservation]]:
        """A function per row that makes its reservation. It raises for a row that it cannot read."""
        ids = [row.id for row in rows]
        if not ids:
            return []
        calls, documents, sends = (
            self._grouped(statement, ids) for statement in (_CALLS, _DOCUMENTS, _SENDS)
        )
        # Few reservations have any, so most reads need no fourth query.
        contradictions = self._grouped(
            _CONTRADICTIONS, [row.id for row in rows if row.contradictions]
        )

        def read(row: Row[Any]) -> Reservation:
            return mapping.reservation_from(
                row,
                calls=[mapping.call_from(call) for call in calls[row.id]],
                contradictions=[
                    mapping.contradiction_from(found) for found in contradictions[row.id]
                ],
                documents=[mapping.document_from(document) for document in documents[row.id]],
                sends=[mapping.send_from(send) for send in sends[row.id]],
            )

        return [partial(read, row) for row in rows]

    def _grouped(self, statement: Select[Any], ids: list[UUID]) -> dict[UUID, list[Row[Any]]]:
        groups: dict[UUID, list[Row[Any]]] = defaultdict(list)
        if not ids:
            return groups
        for row in self._database.execute(statement, {"ids": ids}):
            groups[row.reservation_id].append(row)
        return groups

    # --- writing

    def _insert_reservation(self, values: mapping.Values) -> None:
        try:
            self._database.execute(insert(RESERVATION), values)
        except IntegrityError as error:
            if error_number(error) == DUPLICATE and "uq_reservation_code" in str(error.orig):
                raise DuplicateCodeError("the code is taken") from error
            raise

    def _write_reservation(self, before: Reservation, change: Change) -> None:
        row, after = RESERVATION.c, change.after
        statement = update(RESERVATION).where(
            row.id == after.reservation_id,
            row.version == before.version,
            or_(row.reason.is_(None), row.reason == after.facts.reason),
            or_(row.confirmed_at.is_(None), row.confirmed_at == after.facts.confirmed_at),
            or_(row.ended_at.is_(None), row.ended_at == after.facts.ended_at),
        )
        values = mapping.changing_values(change)
        self._change_one(statement.values(values), "the reason or a stamp is set once")

    def _write_difference(self, before: Reservation, after: Reservation) -> None:
        self._write_calls(before.facts, after.facts)
        self._write_contradictions(before.facts, after.facts)
        self._write_documents(before, after)
        self._write_sends(before, after)

    def _write_calls(self, before: Facts, after: Facts) -> None:
        known = {call.key: call for call in before.calls}
        if not known.keys() <= {call.key for call in after.calls}:
            raise KnowledgeLostError("a ledger row is never taken away")
        reservation_id = after.reservation_id
        for call in after.calls:
            if call.key not in known:
                values = mapping.call_values(reservation_id, call)
                self._database.execute(insert(PROVIDER_CALL), values)
            elif call != known[call.key]:
                statement = update(PROVIDER_CALL).where(*_takes(reservation_id, call))
                self._change_one(
                    statement.values(mapping.changing_call_values(call)),
                    "a call's status only grows, and its provider's id never changes",
                )

    def _write_contradictions(self, before: Facts, after: Facts) -> None:
        known = {(row.matter, row.number): row for row in before.contradictions}
        if not known.keys() <= {(row.matter, row.number) for row in after.contradictions}:
            raise KnowledgeLostError("a contradiction is never taken away")
        for new in after.contradictions:
            values = mapping.contradiction_values(after.reservation_id, new)
            old = known.get((new.matter, new.number))
            if old is None:
                self._database.execute(insert(CONTRADICTION), values)
            elif new != old:
                row = CONTRADICTION.c
                statement = update(CONTRADICTION).where(
                    row.reservation_id == after.reservation_id,
                    row.kind == new.kind,
                    row.subject == new.subject,
                    row.number == new.number,
                    or_(row.opened_at.is_(None), row.opened_at == new.opened_at),
                    or_(row.decision.is_(None), row.decision == new.decision),
                )
                self._change_one(statement.values(values), "an opening and a decision happen once")

    def _write_documents(self, before: Reservation, after: Reservation) -> None:
        issued = {document.type: document for document in before.documents}
        for document in after.documents:
            values = mapping.document_values(after.reservation_id, document)
            if document.type not in issued:
                self._database.execute(insert(DOCUMENT), values)
            elif document != issued[document.type]:
                row = DOCUMENT.c
                same = and_(row.reservation_id == after.reservation_id, row.type == document.type)
                self._change_one(update(DOCUMENT).where(same).values(values), "no such document")

    def _write_sends(self, before: Reservation, after: Reservation) -> None:
        for send in after.sends:
            values, old = mapping.send_values(after.reservation_id, send), before.send_of(send.kind)
            if old is None:
                self._database.execute(insert(MAIL_SEND), values)
            elif send != old:
                row = MAIL_SEND.c
                same = and_(row.reservation_id == after.reservation_id, row.kind == send.kind)
                statement = update(MAIL_SEND).where(same, row.status != MailStatus.SENT)
                self._change_one(statement.values(values), "a mail that was sent stays sent")

    def _change_one(self, statement: Any, promise: str) -> None:
        # The driver counts the rows that matched, changed or not (CLIENT.FOUND_ROWS).
        if self._database.execute(statement).rowcount != 1:
            raise KnowledgeLostError(promise)

    def _add_history(self, change: Change) -> None:
        rows = [
            {"reservation_id": change.after.reservation_id, **asdict(line)}
            for line in change.history
        ]
        if rows:
            self._database.execute(insert(HISTORY), rows)


def _takes(reservation_id: UUID, call: Call) -> tuple[ColumnElement[bool], ...]:
    """The condition under which a ledger row may become `call`: knowledge only grows.

    Only a call that was not found goes back to the start: our own retry, one attempt more.
    """
    row = PROVIDER_CALL.c
    lower = [s for s in Status if rank_of(s) < rank_of(call.status)]
    again = (
        and_(row.status == Status.NOT_FOUND, row.attempts < call.attempts)
        if call.status is Status.STARTED
        else ~true()
    )
    return (
        row.reservation_id == reservation_id,
        row.call_key == call.key,
        or_(row.status.in_([*lower, call.status]), again),
        or_(row.provider_id.is_(None), row.provider_id == call.provider_id),
        row.attempts <= call.attempts,
    )
