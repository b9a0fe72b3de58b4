"""Both providers of a schedule, and our real clients to them over a network that loses requests."""

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.provider_http import ProviderHttp
from reservations.adapters.providers.supplier_api import HttpSupplierApi
from reservations.config import PROVIDERS
from reservations.domain.facts import Provider
from reservations.domain.money import Money
from reservations.domain.reservation import Customer, Offer
from tests.proofs.hostile.moods import Personality
from tests.proofs.hostile.payments import PaymentsService
from tests.proofs.hostile.rows import Row, decimal
from tests.proofs.hostile.service import API_KEY, Service
from tests.proofs.hostile.supplier import SupplierService
from tests.proofs.hostile.wire import Surroundings, Switchboard, Wire
from tests.worlds.wire import OverHttpx


@dataclass(slots=True, kw_only=True)
class Party:
    """One traveler's reservation, as the outside sees it."""

    name: str
    customer: Customer
    offer: Offer
    price: Money
    moods: dict[Provider, Personality]
    mood_names: str
    reservation_id: UUID | None = None
    asked_to_cancel: bool = False
    moved_from: str | None = None  # the booking that an operator replaced by another
    let_go: bool = False  # an operator said that the service is gone
    loss_accepted: bool = False  # an operator accepted that money or service differs


class Providers:
    """The services of both providers, and what a person did beside them."""

    def __init__(self, outside: Surroundings) -> None:
        ids = itertools.count(1)
        self.repeated: set[str] = set()  # references with a row that nobody asked for
        self.payments = PaymentsService(outside, ids=ids, repeated=self.repeated)
        self.supplier = SupplierService(outside, ids=ids, repeated=self.repeated)
        self.by_hand: list[tuple[UUID, Money]] = []  # refunds by transfer
        self._transferred: Counter[int] = Counter()  # their sums by payment
        self._wires: dict[str, Wire] = {}
        for service in self.services:
            self.connect(Wire(service, outside))
        _clients().clock = lambda: outside.now

    def transfer(self, payment: Row | None) -> None:
        """Let a person refund by transfer what is left of a payment, less what was transferred."""
        if payment is None or not payment.good:
            return
        left = self.payments.left(payment) - self._transferred[id(payment)]
        if left > 0:
            self._transferred[id(payment)] += left
            self.by_hand.append((UUID(payment.reference), Money(left, payment.currency)))

    def was_transferred(self, payment: Row) -> bool:
        """`True` if a person returned money of a payment by transfer."""
        return self._transferred[id(payment)] > 0

    def connect(self, wire: Wire) -> None:
        """Let our client of its provider speak over this wire from now on."""
        self._wires[wire.service.name] = wire
        _clients().boards[wire.service.name].line = wire.carry

    @property
    def services(self) -> tuple[PaymentsService, SupplierService]:
        return self.payments, self.supplier

    @property
    def calls(self) -> int:
        """The requests that our clients made."""
        return sum(wire.carried for wire in self._wires.values())

    @property
    def payments_api(self) -> HttpPaymentsApi:
        return _clients().payments

    @property
    def supplier_api(self) -> HttpSupplierApi:
        return _clients().supplier


class _Clients:
    """The real clients, one of each per process: httpx loads certificates for every one."""

    def __init__(self) -> None:
        self.boards = {str(provider): Switchboard() for provider in Provider}
        self.clock: Callable[[], datetime]
        self.payments = HttpPaymentsApi(self._http(Provider.PAYMENTS))
        self.supplier = HttpSupplierApi(self._http(Provider.SUPPLIER))

    def _http(self, provider: Provider) -> ProviderHttp:
        limits = PROVIDERS[provider].limits["standard"]
        return ProviderHttp(
            base_url="http://provider.example",
            api_key=API_KEY,
            connect_seconds=limits.connect,
            read_seconds=limits.read,
            now=lambda: self.clock(),
            traceparent=lambda: None,
            wire=OverHttpx(self.boards[provider]),
        )


@cache
def _clients() -> _Clients:
    return _Clients()


def provider_of(service: Service) -> Provider:
    return Provider(service.name)


def money_of(row: Row) -> Money | None:
    return Money.parse(decimal(row.minor, row.currency), row.currency) if row.minor else None
