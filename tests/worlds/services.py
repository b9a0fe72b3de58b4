"""The composition root with fakes, and functions built on it."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from typing import Any

from jwt import PyJWK

from reservations import config, tracing
from reservations.adapters.mysql.engine import Database
from reservations.application.manage_page import ManagePage
from reservations.application.notify_customer import UnpaidMailLimits
from reservations.application.ports import Letterhead, UnitOfWork, VoucherRenderer
from reservations.domain.access_token import KeyRing
from reservations.domain.clients import ClientModes, DuplicateCharge, QuoteMode
from reservations.domain.facts import Provider
from reservations.domain.policy import STANDARD, Policy
from reservations.entrypoints.observability import Handler
from reservations.services import Services
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
from tests.worlds.quotes import JWK_SET
from tests.worlds.signing import PAYMENTS_SECRET, SUPPLIER_SECRET

KEYS = KeyRing(current="k1", keys={"k1": bytes(32)})
MODES = {
    "web": ClientModes(public=True, quote=QuoteMode.OFF, duplicate_charge=DuplicateCharge.REFUSE),
    "partner": ClientModes(
        public=False, quote=QuoteMode.OBSERVE, duplicate_charge=DuplicateCharge.ALLOW
    ),
}
BASE_URL = "https://api.reservations.example/live"
ORIGIN = "https://www.reservations.example"
MANAGE_URL = f"{ORIGIN}/reserva"
SUPPORT = "soporte@example.com"


@lru_cache(maxsize=32)
def handler_of(function: str, services: Services) -> Handler:
    """The handler that Lambda calls, built once on these services."""
    handler: Handler = import_module(f"functions.{function}.handler").make_handler(services)
    return handler


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


class FakeServices(Services):
    """Services in memory. A test may replace any of them on its own instance."""

    publisher: RecordingPublisher
    prompt_publisher: RecordingPublisher
    dead_letters: RecordingDeadLetters
    document_store: InMemoryDocumentStore
    brief_document_store: InMemoryDocumentStore
    voucher_renderer: VoucherRenderer
    mailer: RecordingMailer

    def __init__(self) -> None:
        super().__init__({})
        self.saga_policy = STANDARD
        self.ring = KEYS
        self.origin = ORIGIN
        self.manage_url: str | None = MANAGE_URL
        self.clients = {"l3pk9vw2d1": "web", "q8zt4nf7s0": "partner"}
        self.modes = dict(MODES)
        self.secrets = {Provider.PAYMENTS: [PAYMENTS_SECRET], Provider.SUPPLIER: [SUPPLIER_SECRET]}
        self.database = InMemoryDatabase()
        self.units = 0  # of work, made so far
        self.payments = ScriptedPayments()
        self.supplier = ScriptedSupplier()
        self.publisher = self.prompt_publisher = RecordingPublisher()
        self.dead_letters = RecordingDeadLetters()
        self.document_store = self.brief_document_store = InMemoryDocumentStore()
        self.voucher_renderer = PlainRenderer()
        self.mailer = RecordingMailer()
        self.moment: datetime | None = None

    def now(self) -> datetime:
        return self.moment or super().now()

    def prepare(self, *own: type[config.Settings]) -> None:
        pass

    def durations(self) -> Policy:
        return self.saga_policy

    def policy(self) -> Policy:
        return self.saga_policy

    def key_ring(self) -> KeyRing:
        return self.ring

    def api_settings(self) -> config.ApiSettings:
        clients = json.dumps(self.clients)
        settings = {"public_base_url": BASE_URL, "api_clients": clients}
        return config.ApiSettings.model_validate(settings)

    def client_modes(self, client_id: str) -> ClientModes:
        return self.modes[client_id]

    def quote_keys(self) -> Mapping[str, PyJWK]:
        return config.QuoteSettings.model_validate({"quote_keys": json.dumps(JWK_SET)}).keys

    def webhook_secrets(self, provider: Provider) -> list[bytes]:
        return self.secrets[provider]

    def unpaid_mail_limits(self) -> UnpaidMailLimits:
        return UnpaidMailLimits(address=3, client=500, keys=self.ring)

    def manage_page(self) -> ManagePage:
        return ManagePage(url=self.manage_url, keys=self.ring)

    def letterhead(self) -> Letterhead:
        return {"support_contact": SUPPORT, "issuer": "Viajes Ejemplo"}

    def support_contact(self) -> str:
        return SUPPORT

    def allowed_origin(self) -> str:
        return self.origin

    def unit_of_work(self) -> UnitOfWork:
        self.units += 1
        return InMemoryUnitOfWork(self.database, traceparent=tracing.current())

    def payments_api(self) -> ScriptedPayments:
        return self.payments

    def supplier_api(self) -> ScriptedSupplier:
        return self.supplier


class OnDatabase(FakeServices):
    """Fakes around a real database."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def unit_of_work(self) -> UnitOfWork:
        return Services.unit_of_work(self)
