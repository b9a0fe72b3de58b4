"""Powertools idempotency inside the business transaction: one commit for the effect and the answer.

No unfinished record is ever visible: a duplicate request waits on the key until the first ends.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Any, NoReturn

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import (
    STATUS_CONSTANTS,
    DataRecord,
)

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import NOW, Database, Row
from reservations.adapters.mysql.statements import KeyTakenError
from reservations.domain.errors import DatabaseBusyError

KEPT = timedelta(days=30)  # published: a key is forgotten after this


class Conclusion(StrEnum):
    COMMITTED = "committed"
    REPLAYED = "replayed"


class MySqlIdempotencyStore(BasePersistenceLayer):
    """The record of one request. Make a new store for each.

    `conclusion` stays `None` unless the answer is stored, so check it before answering. Powertools
    wraps errors of this store: they are the `__cause__` of its IdempotencyPersistenceLayerError.
    """

    def __init__(self, database: Database, *, client_id: str, operation: str, key: str) -> None:
        """Name the key's scope: our client's id and the literal operation, never a function."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.conclusion: Conclusion | None = None
        self._database = database
        self._key = {"client_id": client_id, "operation": operation, "idempotency_key": key}

    def release(self) -> None:
        """Undo uncommitted changes. Call it in a `finally`: Powertools may leave a transaction open."""
        self._database.rollback()

    def _put_record(self, data_record: DataRecord) -> None:
        """Leave a deadlock to the caller, which repeats the whole transaction.

        Waiters deadlock because all hold the key's shared lock when the first request rolls back
        (https://bugs.mysql.com/bug.php?id=43210).
        """
        try:
            self._claim(data_record)
        except DatabaseBusyError as busy:
            if busy.deadlock:
                raise
            raise IdempotencyItemAlreadyExistsError(old_data_record=_in_progress()) from busy

    def _claim(self, record: DataRecord) -> None:
        """Insert the key, uncommitted. Replay an existing key or, once expired, take it over.

        The clock is read in the same flight, after any wait for the key.
        """
        if not record.payload_hash:
            raise RuntimeError("payload validation is not configured")
        try:
            self._database.fetch(statements.PUT_KEY(**self._values(record)), NOW())
        except KeyTakenError:
            self._replay_or_take_over(record)

    def _replay_or_take_over(self, record: DataRecord) -> None:
        row = self._read()
        if row is not None and not row.expired:
            self._replay(record, _completed(row))
        if not self._takes_over(record):
            self._database.rollback()
            self._claim(record)  # the record changed in between

    def _replay(self, record: DataRecord, stored: DataRecord) -> NoReturn:
        # Powertools compares the payloads only of a record that it fetches itself.
        self._validate_payload(record, stored)
        self.conclusion = Conclusion.REPLAYED
        raise IdempotencyItemAlreadyExistsError(old_data_record=stored)

    def _takes_over(self, record: DataRecord) -> bool:
        rows, _ = self._database.fetch(statements.LOCK_KEY(**self._key), NOW())
        if not rows or not rows[0].expired:
            return False
        self._database.later(statements.TAKE_KEY_OVER(**self._values(record)))
        return True

    def _values(self, record: DataRecord) -> dict[str, Any]:
        kept = KEPT // timedelta(microseconds=1)
        return {**self._key, "fingerprint": record.payload_hash, "kept": kept}

    def _read(self) -> Row | None:
        [rows] = self._database.look(statements.READ_KEY(**self._key))
        return rows[0] if rows else None

    def _get_record(self, idempotency_key: str) -> DataRecord:
        row = self._read()
        if row is None:
            raise IdempotencyItemNotFoundError
        return _completed(row)

    def _update_record(self, data_record: DataRecord) -> None:
        answer = {**self._key, "response": data_record.response_data}
        self._database.later(statements.COMPLETE_KEY(**answer), statements.KEY_COMPLETED(**answer))
        self._database.commit()
        self.conclusion = Conclusion.COMMITTED

    def _delete_record(self, data_record: DataRecord) -> None:
        self._database.rollback()  # never raises, so that the function's own error is the one seen


def _in_progress() -> DataRecord:
    return DataRecord(idempotency_key="", status=STATUS_CONSTANTS["INPROGRESS"])


def _completed(row: Row) -> DataRecord:
    """Leave the expiry out, as the database's clock decides it."""
    return DataRecord(
        idempotency_key=row.idempotency_key,
        status=STATUS_CONSTANTS["COMPLETED"],
        response_data=row.response or "",
        payload_hash=row.fingerprint,
    )
