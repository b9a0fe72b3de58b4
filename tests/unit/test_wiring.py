"""The wiring: settings read once, nothing made before it is needed, each port behind its adapter."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from reservations import tracing, wiring
from reservations.adapters.aws.s3 import S3DocumentStore
from reservations.adapters.aws.ses import SesMailer
from reservations.adapters.aws.sqs import SqsDeadLetters, SqsMessagePublisher
from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork, MySqlUnitOfWork
from reservations.adapters.papers.voucher_pdf import FpdfVoucherRenderer
from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.supplier_api import HttpSupplierApi
from reservations.application.read_reservation import LINK_LIFETIME
from reservations.config import RENEWED_AFTER
from reservations.domain.errors import SettingsError
from reservations.domain.policy import SHORT
from tests.worlds.builders import NOON

ROOT = Path(__file__).parents[2]
PARAMETERS = {
    "database-url": "mysql+pymysql://user:secret@127.0.0.1:1/none",
    "saga-policy": json.dumps({"profile": "short"}),
    "payments-url": "http://127.0.0.1:1",
    "payments-api-key": "secret",
    "supplier-url": "http://127.0.0.1:1",
    "supplier-api-key": "secret",
    "mail-sender": "reservas@example.com",
    "support-contact": "soporte@example.com",
    "public-base-url": "https://api.reservations.example/live/",
    "api-clients": json.dumps({"key-id": "web"}),
    "access-token-keys": json.dumps(
        {"current": "k1", "keys": {"k1": b64encode(bytes(32)).decode()}}
    ),
}
ENVIRONMENT = {
    "SETTINGS_PATH": "/reservations/test",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "PAYMENT_QUEUE_URL": "https://sqs.example/1/payment",
    "SUPPLIER_QUEUE_URL": "https://sqs.example/1/supplier",
    "VOUCHER_QUEUE_URL": "https://sqs.example/1/voucher",
    "NOTIFICATION_QUEUE_URL": "https://sqs.example/1/notification",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/1/dead",
    "DOCUMENT_BUCKET": "vouchers",
    "MAIL_CONFIGURATION_SET": "reservations-test",
}


class ParameterStore:
    """Holds `PARAMETERS`, and remembers what was asked for."""

    def __init__(self) -> None:
        self.values = {f"/reservations/test/{name}": value for name, value in PARAMETERS.items()}
        self.asked: list[str] = []

    def read(self, names: Collection[str]) -> Mapping[str, str]:
        self.asked += names
        return {name: self.values[name] for name in names if name in self.values}


def forget() -> None:
    for thing in vars(wiring).values():
        if hasattr(thing, "cache_clear"):
            thing.cache_clear()


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch) -> Iterator[ParameterStore]:
    store = ParameterStore()
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    forget()
    for name in ("_read", "_read_anew"):
        monkeypatch.setattr(wiring, name, store.read)
    yield store
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    ("wire", "adapter"),
    [
        (wiring.unit_of_work, MySqlUnitOfWork),
        (wiring.joined_unit_of_work, JoinedUnitOfWork),
        (wiring.payments_api, HttpPaymentsApi),
        (wiring.supplier_api, HttpSupplierApi),
        (wiring.publisher, SqsMessagePublisher),
        (wiring.dead_letters, SqsDeadLetters),
        (wiring.document_store, S3DocumentStore),
        (wiring.voucher_renderer, FpdfVoucherRenderer),
        (wiring.mailer, SesMailer),
    ],
)
def test_behind_each_port_stands_its_adapter_without_a_connection(
    parameters: ParameterStore, wire: Callable[[], object], adapter: type
) -> None:
    assert isinstance(wire(), adapter)


def test_who_is_in_a_hurry_has_a_document_store_of_its_own(parameters: ParameterStore) -> None:
    assert wiring.document_store(patient=False) is not wiring.document_store()


def test_a_link_to_a_voucher_names_the_region_of_its_bucket(
    parameters: ParameterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")

    link = wiring.document_store().link("vouchers/a.pdf", filename="a.pdf", lifetime=LINK_LIFETIME)

    assert urlsplit(link).netloc == "vouchers.s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "wire",
    [
        wiring.payments_api,
        wiring.supplier_api,
        wiring.publisher,
        wiring.dead_letters,
        wiring.document_store,
        wiring.mailer,
    ],
)
def test_clients_live_as_long_as_the_environment(
    parameters: ParameterStore, wire: Callable[[], object]
) -> None:
    assert wire() is wire()


@pytest.mark.parametrize(
    ("wire", "key"),
    [
        (wiring.payments_api, "payments-api-key"),
        (wiring.supplier_api, "supplier-api-key"),
    ],
)
def test_a_provider_s_new_key_is_taken_up_and_an_old_one_keeps_its_client(
    parameters: ParameterStore,
    monkeypatch: pytest.MonkeyPatch,
    wire: Callable[[], object],
    key: str,
) -> None:
    now = NOON
    monkeypatch.setattr(wiring, "_utc_now", lambda: now)
    first = wire()
    now += RENEWED_AFTER
    assert wire() is first

    parameters.values[f"/reservations/test/{key}"] = "renewed"
    assert wire() is first
    now += RENEWED_AFTER
    assert authorization(wire()) == "Bearer renewed"


def authorization(api: Any) -> str:
    return str(api._http._client.headers["Authorization"])


def test_a_unit_of_work_is_never_kept(parameters: ParameterStore) -> None:
    assert wiring.unit_of_work() is not wiring.unit_of_work()


def test_a_setting_is_asked_for_once(parameters: ParameterStore) -> None:
    for _ in range(3):
        wiring.policy()
        wiring.api_settings()
        wiring.public_base_url()

    assert len(parameters.asked) == len(set(parameters.asked)) == 3


def test_what_is_missing_is_told_and_asked_for_again_next_time(parameters: ParameterStore) -> None:
    value = parameters.values.pop("/reservations/test/mail-sender")
    with pytest.raises(SettingsError, match="missing settings: /reservations/test/mail-sender"):
        wiring.mailer()

    parameters.values["/reservations/test/mail-sender"] = value
    assert isinstance(wiring.mailer(), SesMailer)


def test_two_at_once_do_not_come_back_at_once(parameters: ParameterStore) -> None:
    first_rungs = {wiring.policy().rung(0) for _ in range(50)}

    shortest, longest = SHORT.rung(0) * 0.8, SHORT.rung(0) * 1.2
    assert all(shortest <= rung <= longest for rung in first_rungs)
    assert len(first_rungs) > 1
    assert {wiring.policy().hold for _ in range(5)} == {timedelta(seconds=90)}


def test_hints_carry_on_the_trace_of_the_invocation(parameters: ParameterStore) -> None:
    trace_id = tracing.begin(None)

    traceparent = wiring.unit_of_work().traceparent

    assert traceparent is not None
    assert traceparent.split("-")[1] == trace_id


def test_the_address_of_the_api_ends_without_a_slash(parameters: ParameterStore) -> None:
    assert wiring.public_base_url() == "https://api.reservations.example/live"


def test_functions_are_imported_without_any_setting_and_pay_for_no_other_function() -> None:
    """A cold start pays for what is imported: drivers, providers and drawing come when they are used."""
    folders = [path.parent.name for path in (ROOT / "functions").glob("*/handler.py")]
    program = (
        "import importlib, sys\n"
        f"for folder in {folders}: importlib.import_module(f'functions.{{folder}}.handler')\n"
        "late = ('fpdf', 'pymysql', 'alembic', 'tomllib', 'reservations.adapters.providers.provider_http')\n"
        "print([name for name in late if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core'}:{ROOT / 'layers/pdf'}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")
