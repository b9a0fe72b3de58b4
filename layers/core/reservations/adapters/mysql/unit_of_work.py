"""One transaction on the environment's connection."""

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self
from uuid import UUID

from reservations.adapters.mysql.charge_claims import MySqlChargeClaims
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.lookups import MySqlLookups
from reservations.adapters.mysql.outbox import MySqlOutbox
from reservations.adapters.mysql.reservations import MySqlReservations
from reservations.adapters.mysql.unpaid_mails import MySqlUnpaidMails
from reservations.adapters.mysql.webhooks import MySqlWebhooks
from reservations.application.ports import Attempt, Opened, UnitOfWork
from reservations.domain.change import Change
from reservations.domain.reservation import Customer


class MySqlUnitOfWork(UnitOfWork):
    """A READ COMMITTED transaction. It may be entered again after it was left."""

    def __init__(self, database: Database, *, traceparent: str | None = None) -> None:
        self._database = database
        self.reservations: MySqlReservations = MySqlReservations(database)
        self.outbox = MySqlOutbox(database)
        self.webhooks = MySqlWebhooks(database)
        self.claims = MySqlChargeClaims(database)
        self.unpaid_mails = MySqlUnpaidMails(database)
        self.lookups = MySqlLookups(database)
        self.traceparent = traceparent

    def __enter__(self) -> Self:
        self._database.begin()
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.rollback()

    def _begin(self) -> None:
        self.reservations.forget_locks()
        self.outbox.stored.clear()

    def open(self, reservation_id: UUID, *, customer: bool = False) -> Opened:
        return self.reservations.open(reservation_id, customer=customer)

    def store(self, change: Change, *, attempts: Sequence[Attempt] = ()) -> None:
        self.reservations.save(change)
        if change.frees_claim:
            self.claims.free(change.after.reservation_id)
        self._add_hints(change)
        for attempt in attempts:
            self.reservations.add_attempt(change.after.reservation_id, attempt)

    def add(self, creation: Change, customer: Customer) -> None:
        self.reservations.add(creation, customer)
        self._add_hints(creation)

    def _add_hints(self, change: Change) -> None:
        for hint in change.messages(traceparent=self.traceparent):
            self.outbox.add(hint, lease=change.hint_grace)

    def now(self) -> datetime:
        return self._database.now()

    def commit(self) -> None:
        self._database.commit()


class JoinedUnitOfWork(MySqlUnitOfWork):
    """Joins the transaction of an idempotency store, which alone commits and rolls back."""

    def __enter__(self) -> Self:
        """
        Raises:
            RuntimeError: no transaction is open, so nothing would be committed.
        """
        if not self._database.in_transaction:
            raise RuntimeError("no idempotent operation is under way")
        self._begin()
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
