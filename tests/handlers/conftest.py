"""The functions' surroundings: fakes behind `wiring`, nothing deeper, and an eye on all that is written out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from reservations import config, tracing, wiring
from reservations.domain.access_token import KeyRing
from reservations.domain.policy import STANDARD, Policy
from reservations.domain.reservation import Reservation
from reservations.entrypoints.observability import metrics
from tests.worlds.builders import RESERVATION_ID, a_customer
from tests.worlds.fakes import (
    InMemoryDatabase,
    InMemoryDocumentStore,
    InMemoryUnitOfWork,
    PlainRenderer,
    RecordingDeadLetters,
    RecordingMailer,
    RecordingPublisher,
    ScriptedPayments,
    ScriptedSupplier,
)
from tests.worlds.invocation import LogBook

KEYS = KeyRing(current="k1", keys={"k1": bytes(32)})
BASE_URL = "https://api.reservations.example/live"
ORIGIN = "https://www.reservations.example"
SUPPORT = "soporte@example.com"

# As in events/: what belongs to a person, and what opens a door.
CUSTOMER = a_customer(email="ana.perez@example.com")
PERSONAL = (
    "Ana",
    "Pérez",
    "ana.perez",
    "600111222",
    "tok_ok",
    KEYS.issue("k1", RESERVATION_ID).removeprefix("k1."),
    "key-of-",
)


@dataclass(slots=True)
class Surroundings:
    """What the functions of a test find behind `wiring`, and what they wrote to their logs."""

    logs: LogBook
    database: InMemoryDatabase = field(default_factory=InMemoryDatabase)
    payments: ScriptedPayments = field(default_factory=ScriptedPayments)
    supplier: ScriptedSupplier = field(default_factory=ScriptedSupplier)
    publisher: RecordingPublisher = field(default_factory=RecordingPublisher)
    dead_letters: RecordingDeadLetters = field(default_factory=RecordingDeadLetters)
    store: InMemoryDocumentStore = field(default_factory=InMemoryDocumentStore)
    mailer: RecordingMailer = field(default_factory=RecordingMailer)
    pings: list[bool] = field(default_factory=list)
    policy: Policy = STANDARD

    def unit_of_work(self, *, ping: bool = False) -> InMemoryUnitOfWork:
        self.pings.append(ping)
        return InMemoryUnitOfWork(self.database, traceparent=tracing.current())

    def keep(self, reservation: Reservation) -> None:
        with InMemoryUnitOfWork(self.database) as uow:
            uow.reservations.add(reservation, CUSTOMER)
            uow.commit()

    @property
    def stored(self) -> Reservation:
        return self.database.reservations[RESERVATION_ID]


def api_settings() -> config.ApiSettings:
    clients = '{"l3pk9vw2d1": "web", "q8zt4nf7s0": "partner"}'
    return config.ApiSettings.model_validate({"public_base_url": BASE_URL, "api_clients": clients})


@pytest.fixture(autouse=True)
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[LogBook]:
    """Fail any test, whatever it is about, in which something personal or unlisted is written out."""
    metrics.clear_metrics()  # what a test without a function left counted is not this one's
    with LogBook(capsys).open() as book:
        yield book
    assert [canary for canary in PERSONAL if canary in book.text] == []
    assert '"left_out"' not in book.text


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch, logs: LogBook) -> Surroundings:
    surroundings = Surroundings(logs)
    wired: dict[str, Callable[..., Any]] = {
        "prepare": lambda *_: None,
        "policy": lambda: surroundings.policy,
        "durations": lambda: surroundings.policy,
        "key_ring": lambda: KEYS,
        "api_settings": api_settings,
        "allowed_origin": lambda: ORIGIN,
        "support_contact": lambda: SUPPORT,
        "unit_of_work": surroundings.unit_of_work,
        "payments_api": lambda: surroundings.payments,
        "supplier_api": lambda: surroundings.supplier,
        "publisher": lambda: surroundings.publisher,
        "dead_letters": lambda: surroundings.dead_letters,
        "document_store": lambda *, patient=True: surroundings.store,
        "voucher_renderer": PlainRenderer,
        "mailer": lambda: surroundings.mailer,
    }
    for name, wire in wired.items():
        monkeypatch.setattr(wiring, name, wire)
    return surroundings
