"""Both providers as processes, our clients, and every exchange checked against the documents."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.provider_http import ProviderHttp
from reservations.adapters.providers.supplier_api import HttpSupplierApi
from tests.worlds.contracts import Contract
from tests.worlds.providers import Receiver, Simulator
from tests.worlds.wire import Recorder

_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_READ_SECONDS = 2.0


@pytest.fixture(scope="session")
def payments_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator("payments", tmp_path_factory.mktemp("payments")) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def supplier_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator("supplier", tmp_path_factory.mktemp("supplier")) as simulator:
        yield simulator


@pytest.fixture
def payments_simulator(payments_process: Simulator) -> Simulator:
    payments_process.post("/_sim/reset").raise_for_status()
    return payments_process


@pytest.fixture
def supplier_simulator(supplier_process: Simulator) -> Simulator:
    supplier_process.post("/_sim/reset").raise_for_status()
    return supplier_process


@pytest.fixture(scope="session")
def payments_contract() -> Contract:
    return Contract("payments")


@pytest.fixture(scope="session")
def supplier_contract() -> Contract:
    return Contract("supplier")


@pytest.fixture
def payments_api(
    payments_simulator: Simulator, payments_contract: Contract
) -> Iterator[HttpPaymentsApi]:
    recorder = Recorder(payments_simulator.url)
    yield HttpPaymentsApi(_http(payments_simulator, recorder))
    for request, response in recorder.exchanges:
        payments_contract.check(request, response)


@pytest.fixture
def supplier_api(
    supplier_simulator: Simulator, supplier_contract: Contract
) -> Iterator[HttpSupplierApi]:
    recorder = Recorder(supplier_simulator.url)
    yield HttpSupplierApi(_http(supplier_simulator, recorder))
    for request, response in recorder.exchanges:
        supplier_contract.check(request, response)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port held but not listened on, so that every connection is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _http(simulator: Simulator, recorder: Recorder) -> ProviderHttp:
    return ProviderHttp(
        base_url=simulator.url,
        api_key="our-key",
        connect_seconds=1,
        read_seconds=_READ_SECONDS,
        now=lambda: datetime.now(UTC),
        traceparent=lambda: _TRACEPARENT,
        wire=recorder,
    )
