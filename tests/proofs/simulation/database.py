"""The unit of work of the fakes. Crashes and other workers may come between any two statements."""

from collections.abc import Collection
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from reservations.application.ports import Attempt, DueLook, Opened, OutboxMessage, WebhookEvent
from reservations.domain.change import Change
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.messages import Hint
from reservations.domain.reservation import Customer, Reservation
from tests.worlds.fakes import (
    InMemoryDatabase,
    InMemoryOutbox,
    InMemoryReservations,
    InMemoryUnitOfWork,
    InMemoryWebhooks,
)

# The server's setting: a client frozen for longer loses its connection and its locks.
WAIT_TIMEOUT = timedelta(seconds=120)
MOMENT = timedelta(microseconds=1)  # between two transactions, so that no two share a time


class Surroundings(Protocol):
    """The world's effects on a transaction."""

    database: InMemoryDatabase
    open_units: "set[SimulatedUnitOfWork]"

    def boundary(self, where: str) -> None:
        """Let another worker run here, or let this one die."""

    def wait_for_a_lock(self) -> None: ...

    def commit_fate(self) -> str:
        """`done`, `lost` (not committed) or `unsure` (committed, and the answer was lost)."""

    def committed(
        self, unit: "SimulatedUnitOfWork", before: dict[UUID, Reservation | None]
    ) -> None:
        """Take note that the rows of this unit are stored."""


class SimulatedUnitOfWork(InMemoryUnitOfWork):
    """A transaction in a world where each statement may be the last."""

    def __init__(self, world: Surroundings) -> None:
        self.world = world
        self.saved: dict[UUID, datetime] = {}  # the transaction's time of each save
        self.staged: list[Hint] = []
        self._lost = False
        self._touched_at = world.database.now
        super().__init__(world.database)
        self.reservations: InMemoryReservations = _Reservations(self)
        self.outbox: InMemoryOutbox = _Outbox(self)
        self.webhooks: InMemoryWebhooks = _Webhooks(self)

    def __enter__(self) -> Self:
        self.world.boundary("begin")
        self._lost = False
        self._touched_at = self.world.database.now
        self.world.open_units.add(self)
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        self.world.open_units.discard(self)
        self.saved.clear()
        self.staged.clear()

    def open(self, reservation_id: UUID, *, customer: bool = False) -> Opened:
        opened = super().open(reservation_id)
        return _Opened(opened, self.reservations) if customer else opened

    def now(self) -> datetime:
        self.statement("now")
        self.world.database.now += MOMENT
        return super().now()

    def statement(self, where: str) -> None:
        """Pass the boundary before a statement.

        Raises:
            DatabaseUnavailableError: the server closed the connection.
        """
        self.world.boundary(where)
        if self._lost:
            raise DatabaseUnavailableError("the server has gone away")
        self._touched_at = self.world.database.now

    def commit(self) -> None:
        self.statement("commit")
        fate = self.world.commit_fate()
        if fate == "lost":
            raise DatabaseUnavailableError("the server has gone away", effect_unknown=True)
        written = self.rows.maps[0]
        before = {key: self.database.reservations.get(key) for key in written}
        super().commit()
        self.world.committed(self, before)
        self.saved.clear()
        self.staged.clear()
        if fate == "unsure":
            raise DatabaseUnavailableError("the server has gone away", effect_unknown=True)
        self.world.boundary("committed")

    def hang_up_if_idle(self, now: datetime) -> None:
        """Roll back and lose the connection, as the server does after WAIT_TIMEOUT."""
        if now - self._touched_at > WAIT_TIMEOUT:
            self._lost = True
            self._begin()
            self._release()


class _Opened(Opened):
    """Reads the personal data only where they are used: there a seed has its boundary."""

    def __init__(self, opened: Opened, reservations: InMemoryReservations) -> None:
        vars(self).update(vars(opened), reservations=reservations)

    @property
    def customer(self) -> Customer:
        reservations: InMemoryReservations = vars(self)["reservations"]
        return reservations.customer(self.reservation.reservation_id)


class _Reservations(InMemoryReservations):
    def __init__(self, unit: SimulatedUnitOfWork) -> None:
        super().__init__(unit)
        self._simulated = unit

    def add(self, a_creation: Change, customer: Customer) -> None:
        self._simulated.statement("add")
        super().add(a_creation, customer)

    def lock(self, reservation_id: UUID) -> Reservation:
        self._simulated.statement("lock")
        holder = self._simulated.database.held.get(reservation_id)
        if holder not in (None, self._simulated):
            self._simulated.world.wait_for_a_lock()
            self._simulated.statement("lock")
        return super().lock(reservation_id)

    def save(self, change: Change) -> None:
        self._simulated.statement("save")
        super().save(change)
        self._simulated.saved[change.after.reservation_id] = change.at

    def customer(self, reservation_id: UUID) -> Customer:
        self._simulated.statement("customer")
        return super().customer(reservation_id)

    def add_attempt(self, reservation_id: UUID, attempt: Attempt) -> None:
        self._simulated.statement("add attempt")
        super().add_attempt(reservation_id, attempt)

    def claim_due(self, *, limit: int, lease: timedelta) -> list[Reservation]:
        self._simulated.statement("claim due")
        return super().claim_due(limit=limit, lease=lease)

    def lock_due_look(self, *, after: DueLook | None) -> DueLook | None:
        self._simulated.statement("lock due look")
        return super().lock_due_look(after=after)


class _Outbox(InMemoryOutbox):
    def __init__(self, unit: SimulatedUnitOfWork) -> None:
        super().__init__(unit)
        self._simulated = unit

    def add(self, hint: Hint, *, lease: timedelta) -> None:
        self._simulated.statement("add hint")
        super().add(hint, lease=lease)
        self._simulated.staged.append(hint)

    def claim(self, *, limit: int, lease: timedelta) -> list[OutboxMessage]:
        self._simulated.statement("claim")
        return super().claim(limit=limit, lease=lease)

    def mark_published(self, messages: Collection[OutboxMessage]) -> None:
        self._simulated.statement("mark published")
        super().mark_published(messages)

    def mark_refused(self, messages: Collection[OutboxMessage], *, dead_after: int) -> int:
        self._simulated.statement("mark refused")
        return super().mark_refused(messages, dead_after=dead_after)


class _Webhooks(InMemoryWebhooks):
    def __init__(self, unit: SimulatedUnitOfWork) -> None:
        super().__init__(unit)
        self._simulated = unit

    def add(self, event: WebhookEvent) -> bool:
        self._simulated.statement("add webhook")
        return super().add(event)
