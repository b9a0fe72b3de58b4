"""Settings: a new function reports all the missing ones, a warm one accepts rotated keys."""

import json
import re
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from reservations.application.ports import UnitOfWork
from reservations.config import RENEWED_AFTER
from reservations.domain.access_token import KeyRing
from reservations.domain.errors import SettingsError
from reservations.services import Services
from tests.handlers.conftest import CUSTOMER
from tests.handlers.test_door import CONFIRMED, READING, WEB, knock
from tests.handlers.test_receive_webhook import (
    NEW_SECRET,
    post,
    signed_webhook,
    written,
)
from tests.template.test_functions import FOLDERS, FROM_ENVIRONMENT, settings_of
from tests.worlds.builders import NOON, RESERVATION_ID, a_creation
from tests.worlds.fakes import InMemoryDatabase, InMemoryUnitOfWork, RecordingPublisher
from tests.worlds.invocation import LogBook, a_context, an_event
from tests.worlds.quotes import JWK_SET, SIGNER, Signer
from tests.worlds.services import KEYS, ORIGIN, handler_of
from tests.worlds.signing import PAYMENTS_SECRET, SUPPLIER_SECRET

PATH = "/reservations/test"
FIRST_EVENT = {
    "cancel_reservation": "accepted",
    "clean_up": "retention",
    "create_reservation": "accepted",
    "get_reservation": "health",
    "issue_voucher": "due",
    "confirm_supplier": "due",
    "look_up_reservation": "sent",
    "migrate_database": "direct",
    "notify_customer": "due",
    "poll_outbox": "every_minute",
    "process_payment": "due",
    "receive_webhook": "unknown_reference",
    "record_mail_event": "bounced",
}
OLD, NEW = bytes(32), bytes(range(32))


ENVIRONMENT = {"SETTINGS_PATH": PATH, "ALLOWED_ORIGIN": ORIGIN}


def names_of(folder: str) -> set[str]:
    return {
        f"{PATH}/{model.parameter(field).replace('_', '-')}"
        for model in settings_of(folder) - FROM_ENVIRONMENT
        for field in model.model_fields
    }


OPTIONAL = {f"{PATH}/issuer", f"{PATH}/manage-url"}


class Bare(Services):
    """Services of an account without parameters."""

    def __init__(self) -> None:
        super().__init__(ENVIRONMENT)
        self.asked: list[set[str]] = []

    def read_parameters(self, names: Collection[str], *, brief: bool = False) -> Mapping[str, str]:
        self.asked.append(set(names))
        return {}


def complaint(services: Services, folder: str, logs: LogBook) -> str:
    """The error about missing settings that the first invocation logs or raises."""
    function = handler_of(folder, services)
    event = an_event(f"{folder}.{FIRST_EVENT[folder]}")
    if "httpMethod" not in event:
        with pytest.raises(SettingsError) as refused:
            function(event, a_context())
        return str(refused.value)
    assert function(event, a_context())["statusCode"] == 503
    [line] = logs.saying("request failed")
    return str(line["exception"])


@pytest.mark.parametrize("folder", FIRST_EVENT)
def test_a_function_reports_all_its_missing_settings_before_any_work(
    logs: LogBook, folder: str
) -> None:
    services = Bare()

    named = set(re.findall(rf"{PATH}/[a-z-]+", complaint(services, folder, logs)))

    assert named == names_of(folder) - OPTIONAL
    assert services.asked == [names_of(folder)]


def test_every_function_that_reads_settings_was_asked() -> None:
    assert FIRST_EVENT.keys() == {folder for folder in FOLDERS if names_of(folder)}


def a_ring(current: str, **keys: bytes) -> dict[str, Any]:
    return {"current": current, "keys": {k: b64encode(key).decode() for k, key in keys.items()}}


STORED: dict[str, Any] = {
    "database-url": "mysql+pymysql://user@127.0.0.1:1/none",
    "saga-policy": {"profile": "standard"},
    "mails-per-hour": {"address": 3, "client": 500},
    "support-contact": "soporte@example.com",
    "public-base-url": "https://api.reservations.example/live",
    "api-clients": {WEB: "web"},
    "quote-keys": JWK_SET,
    "client-modes": {"web": {"public": True, "quote": "off", "duplicate_charge": "refuse"}},
    "access-token-keys": a_ring("k1", k1=OLD),
    "webhook-secrets-payments": [written(PAYMENTS_SECRET)],
    "webhook-secrets-supplier": [written(SUPPLIER_SECRET)],
}


class Warm(Services):
    """A Parameter Store, a confirmed reservation, and the clock of an execution environment."""

    def __init__(self) -> None:
        super().__init__(ENVIRONMENT)
        self.prompt_publisher = RecordingPublisher()
        self.moment = NOON
        self._stored = InMemoryDatabase()
        with self.unit_of_work() as uow:
            uow.add(a_creation(CONFIRMED), CUSTOMER)
            uow.commit()
        for name, value in STORED.items():
            self.put(name, value)

    def now(self) -> datetime:
        return self.moment

    def unit_of_work(self) -> UnitOfWork:
        return InMemoryUnitOfWork(self._stored)

    def put(self, name: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        boto3.client("ssm").put_parameter(
            Name=f"{PATH}/{name}", Value=text, Type="SecureString", Overwrite=True
        )

    def wait(self) -> None:
        self.moment += RENEWED_AFTER

    def moves_to_key(self, kid: str) -> None:
        self._stored.reservations[RESERVATION_ID] = replace(CONFIRMED, token_kid=kid)

    def reading(self, *, api_key_id: str = WEB, ring: KeyRing = KEYS) -> int:
        token = ring.issue(ring.current, RESERVATION_ID)
        return int(knock(self, READING, api_key_id=api_key_id, token=token)["statusCode"])


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield Warm()


def test_a_warm_function_accepts_a_client_s_new_key_and_drops_the_old_one(warm: Warm) -> None:
    def seen() -> list[int]:
        return [warm.reading(api_key_id=key) for key in (WEB, "new")]

    assert seen() == [200, 401]

    warm.put("api-clients", {WEB: "web", "new": "web"})
    assert seen() == [200, 401]
    warm.wait()
    assert seen() == [200, 200]

    warm.put("api-clients", {"new": "web"})
    warm.wait()
    assert seen() == [401, 200]


def test_a_warm_function_knows_a_token_key_before_it_is_made_current(warm: Warm) -> None:
    renewed = KeyRing("k2", {"k2": NEW})
    assert warm.reading() == 200

    warm.put("access-token-keys", a_ring("k1", k1=OLD, k2=NEW))
    warm.wait()
    assert warm.reading() == 200

    warm.put("access-token-keys", a_ring("k2", k1=OLD, k2=NEW))
    warm.moves_to_key("k2")  # as `ops token reissue` does
    assert [warm.reading(), warm.reading(ring=renewed)] == [404, 200]


def test_a_warm_function_accepts_a_provider_s_new_secret_beside_the_old_one(
    warm: Warm,
) -> None:
    def heard() -> list[int]:
        secrets = (PAYMENTS_SECRET, NEW_SECRET)
        return [
            post(warm, signed_webhook(secret, at=warm.now()))["statusCode"] for secret in secrets
        ]

    assert heard() == [200, 401]

    warm.put("webhook-secrets-payments", [written(PAYMENTS_SECRET), written(NEW_SECRET)])
    warm.wait()
    assert heard() == [200, 200]

    warm.put("webhook-secrets-payments", [written(NEW_SECRET)])
    warm.wait()
    assert heard() == [401, 200]


def test_a_warm_function_knows_a_new_signer_of_quotes_beside_the_old_one(warm: Warm) -> None:
    renewed = Signer("q2", seed=2)
    assert set(warm.quote_keys()) == {"q1"}

    warm.put("quote-keys", {"keys": [SIGNER.jwk, renewed.jwk]})
    assert set(warm.quote_keys()) == {"q1"}
    warm.wait()
    assert set(warm.quote_keys()) == {"q1", "q2"}

    warm.put("quote-keys", {"keys": [renewed.jwk]})
    warm.wait()
    assert set(warm.quote_keys()) == {"q2"}
