"""One transaction on the environment's connection."""

from datetime import datetime
from types import TracebackType
from typing import Self

from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.outbox import MySqlOutbox
from reservations.adapters.mysql.reservations import MySqlReservations
from reservations.adapters.mysql.webhooks import MySqlWebhooks
from reservations.application.ports import UnitOfWork


class MySqlUnitOfWork(UnitOfWork):
    """A transaction of its own, READ COMMITTED; it may be entered again after it was left."""

    def __init__(self, database: Database, *, traceparent: str | None = None) -> None:
        self._database = database
        self.reservations = MySqlReservations(database)
        self.outbox = MySqlOutbox(database)
        self.webhooks = MySqlWebhooks(database)
        self.traceparent = traceparent

    def __enter__(self) -> Self:
        self._database.begin()
        self.reservations.forget_locks()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.rollback()

    def now(self) -> datetime:
        return self._database.now()

    def commit(self) -> None:
        self._database.commit()


class JoinedUnitOfWork(MySqlUnitOfWork):
    """Takes part in the transaction of an idempotency store, which alone commits and rolls back."""

    def __enter__(self) -> Self:
        """
        Raises:
            RuntimeError: no transaction is open, so nobody would commit what is written.
        """
        if not self._database.in_transaction:
            raise RuntimeError("no idempotent operation is under way")
        self.reservations.forget_locks()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the transaction to the store."""

    def commit(self) -> None:
        """Leave the commit to the store."""
