"""The composition root: settings read once, adapters created on first use, one adapter for each port."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reservations import tracing
from reservations.adapters.aws.prompt_publisher import PromptPublisher
from reservations.adapters.aws.s3 import S3DocumentStore
from reservations.adapters.aws.ses import SesMailer
from reservations.adapters.aws.sqs import SqsDeadLetters, SqsMessagePublisher
from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork, MySqlUnitOfWork
from reservations.adapters.papers.faces import FONTS
from reservations.adapters.papers.voucher_pdf import FpdfVoucherRenderer
from reservations.application.read_reservation import LINK_LIFETIME
from reservations.config import RENEWED_AFTER
from reservations.domain.errors import SettingsError
from reservations.domain.policy import SHORT
from reservations.entrypoints.observability import metrics
from reservations.services import Services
from tests.unit.adapters.test_voucher_pdf import A_VOUCHER
from tests.worlds.builders import NOON
from tests.worlds.quotes import JWK_SET

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
    "client-modes": json.dumps(
        {"web": {"public": True, "quote": "required", "duplicate_charge": "refuse"}}
    ),
    "quote-keys": json.dumps(JWK_SET),
    "access-token-keys": json.dumps(
        {"current": "k1", "keys": {"k1": b64encode(bytes(32)).decode()}}
    ),
}
ENVIRONMENT = {
    "SETTINGS_PATH": "/reservations/test",
    "PAYMENT_QUEUE_URL": "https://sqs.example/1/payment",
    "PAYMENT_LOOK_QUEUE_URL": "https://sqs.example/1/payment-look",
    "SUPPLIER_QUEUE_URL": "https://sqs.example/1/supplier",
    "SUPPLIER_LOOK_QUEUE_URL": "https://sqs.example/1/supplier-look",
    "VOUCHER_QUEUE_URL": "https://sqs.example/1/voucher",
    "NOTIFICATION_QUEUE_URL": "https://sqs.example/1/notification",
    "DEAD_LETTER_QUEUE_URL": "https://sqs.example/1/dead",
    "DOCUMENT_BUCKET": "vouchers",
    "BUCKET_ADDRESSING": "virtual",
    "MAIL_CONFIGURATION_SET": "reservations-test",
}


class Stored(Services):
    """Services of an account with `PARAMETERS`. Records the names that were read."""

    def __init__(self) -> None:
        super().__init__(ENVIRONMENT)
        self.values = {f"/reservations/test/{name}": value for name, value in PARAMETERS.items()}
        self.asked: list[str] = []
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def read_parameters(self, names: Collection[str], *, brief: bool = False) -> Mapping[str, str]:
        self.asked += names
        return {name: self.values[name] for name in names if name in self.values}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return Stored()


ADAPTERS: dict[str, type] = {
    "publisher": SqsMessagePublisher,
    "prompt_publisher": PromptPublisher,
    "dead_letters": SqsDeadLetters,
    "document_store": S3DocumentStore,
    "brief_document_store": S3DocumentStore,
    "voucher_renderer": FpdfVoucherRenderer,
    "mailer": SesMailer,
}


@pytest.mark.parametrize(("name", "adapter"), ADAPTERS.items(), ids=ADAPTERS)
def test_an_adapter_is_created_once_and_without_a_connection(
    services: Stored, name: str, adapter: type
) -> None:
    made = getattr(services, name)

    assert isinstance(made, adapter)
    assert getattr(services, name) is made


def test_a_unit_of_work_is_new_each_time_and_needs_no_connection(services: Stored) -> None:
    assert isinstance(services.unit_of_work(), MySqlUnitOfWork)
    assert isinstance(services.joined_unit_of_work(), JoinedUnitOfWork)
    assert services.unit_of_work() is not services.unit_of_work()


def test_a_voucher_with_boxes_is_counted(services: Stored, tmp_path: Path) -> None:
    for name in ("text.ttf", "text-bold.ttf"):
        (tmp_path / name).symlink_to(str(FONTS / name))
    renderer: Any = services.voucher_renderer
    renderer._fonts = tmp_path  # without the font of emoji no text with one can be drawn
    metrics.clear_metrics()

    renderer.render(replace(A_VOUCHER, guest="Ana 🌻"))

    assert "VoucherWithBoxes" in metrics.metric_set
    metrics.clear_metrics()


def test_callers_with_little_time_have_their_own_document_store(services: Stored) -> None:
    assert services.brief_document_store is not services.document_store


@pytest.mark.parametrize(
    ("addressing", "address"),
    [
        ("virtual", "https://vouchers.s3.eu-west-1.amazonaws.com/vouchers/a.pdf"),
        ("path", "https://s3.eu-west-1.amazonaws.com/vouchers/vouchers/a.pdf"),
    ],
)
def test_a_link_to_a_voucher_names_the_region_of_its_bucket(
    monkeypatch: pytest.MonkeyPatch, addressing: str, address: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    services = Services(ENVIRONMENT | {"BUCKET_ADDRESSING": addressing})

    link = services.document_store.link("vouchers/a.pdf", filename="a.pdf", lifetime=LINK_LIFETIME)

    assert link.partition("?")[0] == address


@pytest.mark.parametrize(
    ("api_of", "key"),
    [(Services.payments_api, "payments-api-key"), (Services.supplier_api, "supplier-api-key")],
)
def test_a_provider_client_is_replaced_only_when_its_key_changes(
    services: Stored, api_of: Callable[[Services], Any], key: str
) -> None:
    first = api_of(services)._http
    services.moment += RENEWED_AFTER
    assert api_of(services)._http is first

    services.values[f"/reservations/test/{key}"] = "renewed"
    assert api_of(services)._http is first
    services.moment += RENEWED_AFTER
    assert api_of(services)._http._headers["Authorization"] == "Bearer renewed"


def test_a_setting_is_read_once(services: Stored) -> None:
    for _ in range(3):
        services.policy()
        services.api_settings()
        services.public_base_url()

    assert len(services.asked) == len(set(services.asked)) == 3


def test_a_client_without_modes_is_a_missing_setting(services: Stored) -> None:
    assert services.client_modes("web").public

    with pytest.raises(SettingsError, match="client-modes lacks the client partner"):
        services.client_modes("partner")


def test_a_missing_setting_is_reported_and_read_again_next_time(services: Stored) -> None:
    value = services.values.pop("/reservations/test/mail-sender")
    with pytest.raises(SettingsError, match="missing settings: /reservations/test/mail-sender"):
        _ = services.mailer

    services.values["/reservations/test/mail-sender"] = value
    assert isinstance(services.mailer, SesMailer)


def test_retries_are_spread_by_jitter(services: Stored) -> None:
    first_rungs = {services.policy().rung(0) for _ in range(50)}

    shortest, longest = SHORT.rung(0) * 0.8, SHORT.rung(0) * 1.2
    assert all(shortest <= rung <= longest for rung in first_rungs)
    assert len(first_rungs) > 1
    assert {services.policy().hold for _ in range(5)} == {timedelta(seconds=90)}


def test_hints_continue_the_trace_of_the_invocation(services: Stored) -> None:
    trace_id = tracing.begin(None)

    traceparent = services.unit_of_work().traceparent

    assert traceparent is not None
    assert traceparent.split("-")[1] == trace_id


def test_the_address_of_the_api_ends_without_a_slash(services: Stored) -> None:
    assert services.public_base_url() == "https://api.reservations.example/live"


FUNCTIONS = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}


def loaded(names: Collection[str], *, by: Collection[str]) -> list[str]:
    """Import modules in a fresh process. Return those of the names that were loaded too."""
    program = (
        "import importlib, json, sys\n"
        f"for module in {list(by)}: importlib.import_module(module)\n"
        f"print(json.dumps([name for name in {list(names)} if name in sys.modules]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core'}:{ROOT / 'layers/pdf'}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert result.stderr == ""
    found: list[str] = json.loads(result.stdout)
    return found


WITH_KEYS = {"create_reservation", "cancel_reservation"}  # they work in a transaction at once


@pytest.mark.parametrize(
    ("functions", "driver"), [(FUNCTIONS, ()), (FUNCTIONS - WITH_KEYS, ("pymysql",))]
)
def test_functions_are_imported_without_settings_or_unused_libraries(
    functions: set[str], driver: tuple[str, ...]
) -> None:
    """A cold start pays for its imports, so drivers, providers and fpdf load on first use."""
    late = (
        *("fpdf", "alembic", "tomllib", "reservations.adapters.providers.provider_http"),
        *("email_validator", "phonenumbers", "jwt", *driver),
    )
    assert loaded(late, by=[f"functions.{name}.handler" for name in sorted(functions)]) == []


def test_only_the_migration_loads_sqlalchemy() -> None:
    """The tables' declarations cost more than all other imports of a cold start."""
    adapters = ("idempotency", "oversight", "retention", "unit_of_work")
    modules = [
        *(f"functions.{name}.handler" for name in sorted(FUNCTIONS)),
        *(f"reservations.adapters.mysql.{name}" for name in adapters),
    ]
    assert loaded(("alembic", "sqlalchemy", "sqlmodel"), by=modules) == []
