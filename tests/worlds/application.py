"""One reservation in a database in memory, and the steps that may run on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reservations.application.cases import Cases
from reservations.application.confirm_supplier import confirm_supplier
from reservations.application.issue_voucher import Issued, issue_voucher
from reservations.application.manage_page import ManagePage
from reservations.application.notify_customer import (
    Notified,
    UnpaidMailLimits,
    Vouchers,
    notify_customer,
)
from reservations.application.ports import DocumentStore, Mailer, VoucherRenderer
from reservations.application.process_payment import process_payment
from reservations.application.provider_step import StepTaken
from reservations.domain.access_token import KeyRing
from reservations.domain.facts import Call
from reservations.domain.messages import Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Customer, Reservation
from reservations.domain.words import PublicStatus, State
from tests.worlds.builders import RESERVATION_ID, a_creation, a_customer, a_reservation
from tests.worlds.fakes import (
    InMemoryDatabase,
    InMemoryDocumentStore,
    InMemoryUnitOfWork,
    PlainRenderer,
    RecordingMailer,
    ScriptedPayments,
    ScriptedSupplier,
)

KEYS = KeyRing(current="k1", keys={"k1": bytes(32)})
LIMITS = UnpaidMailLimits(address=3, client=500, keys=KEYS)
PAGE = ManagePage(url="https://www.viajes.example/reserva", keys=KEYS)
SUPPORT = "soporte@example.com"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class CrashError(Exception):
    """A crash of the process at this point."""


@dataclass(slots=True)
class World:
    """A reservation and its steps. Each step opens its own unit of work, as each invocation does."""

    reservation: Reservation = field(default_factory=a_reservation)
    customer: Customer = field(default_factory=a_customer)
    database: InMemoryDatabase = field(default_factory=InMemoryDatabase)
    store: InMemoryDocumentStore = field(default_factory=InMemoryDocumentStore)

    def __post_init__(self) -> None:
        with self.unit_of_work() as uow:
            uow.add(a_creation(self.reservation), self.customer)
            uow.commit()

    def unit_of_work(self) -> InMemoryUnitOfWork:
        return InMemoryUnitOfWork(self.database, traceparent=TRACEPARENT)

    def cases(self, *, actor: str = "system") -> Cases:
        return Cases(uow=self.unit_of_work(), policy=STANDARD, actor=actor)

    @property
    def now(self) -> datetime:
        return self.database.now

    def wait(self, time: timedelta) -> None:
        self.database.now += time

    def wait_until_due(self) -> None:
        """Wait until the poller would wake the reservation."""
        assert self.stored.next_check_at is not None
        self.database.now = max(self.now, self.stored.next_check_at)

    @property
    def stored(self) -> Reservation:
        return self.database.reservations[RESERVATION_ID]

    def state(self) -> State:
        return self.stored.standing.state

    def public_status(self) -> PublicStatus:
        return self.stored.standing.public_status

    def call(self, key: str) -> Call:
        return self.stored.facts.row(key)

    @property
    def events(self) -> list[str]:
        return [line.event for line in self.database.history[RESERVATION_ID]]

    def take_hints(self) -> Sequence[Queue]:
        """The queues of the hints stored since the last call."""
        queues = [row.hint.queue for row in self.database.outbox.values()]
        self.database.outbox.clear()
        return queues

    def pay(self, payments: ScriptedPayments) -> StepTaken | None:
        return process_payment(
            RESERVATION_ID,
            cases=self.cases(),
            payments=payments,
            not_after=self.now + STANDARD.call_limit,
        )

    def confirm(self, supplier: ScriptedSupplier) -> StepTaken | None:
        return confirm_supplier(
            RESERVATION_ID,
            cases=self.cases(),
            supplier=supplier,
            not_after=self.now + STANDARD.call_limit,
        )

    def issue(
        self, store: DocumentStore | None = None, *, renderer: VoucherRenderer | None = None
    ) -> Issued | None:
        return issue_voucher(
            RESERVATION_ID,
            cases=self.cases(),
            renderer=renderer or PlainRenderer(),
            store=store or self.store,
            keys=KEYS,
            support_contact=SUPPORT,
        )

    def notify(
        self,
        mailer: Mailer | None = None,
        *,
        store: DocumentStore | None = None,
        renderer: VoucherRenderer | None = None,
        page: ManagePage = PAGE,
    ) -> Notified | None:
        return notify_customer(
            RESERVATION_ID,
            cases=self.cases(),
            mailer=mailer or RecordingMailer(),
            vouchers=Vouchers(store=store or self.store, renderer=renderer or PlainRenderer()),
            limits=LIMITS,
            page=page,
            support_contact=SUPPORT,
        )
