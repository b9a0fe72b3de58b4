"""Settings: all that is missing is told at once, and no value ever."""

import base64
import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import pytest

from reservations.config import (
    PROFILES,
    AccessTokenSettings,
    ApiSettings,
    ContactSettings,
    DatabaseSettings,
    DeadLetterSettings,
    DocumentSettings,
    MailSettings,
    ParameterPath,
    PaymentsSettings,
    QueueSettings,
    SagaSettings,
    Settings,
    SupplierSettings,
    Timeouts,
    from_environment,
    from_parameters,
)
from reservations.domain.errors import SettingsError
from reservations.domain.policy import SHORT, STANDARD

PATH = ParameterPath(settings_path="/reservations/test")
SECRET = "CANARY-s3cr3t"
KEY = base64.b64encode(bytes(32)).decode()


def read(model: type[Settings], **values: str) -> Any:
    """From a Parameter Store that has these; every name is asked for in full."""
    stored = {f"/reservations/test/{name.replace('_', '-')}": v for name, v in values.items()}

    def parameters(names: Collection[str]) -> Mapping[str, str]:
        return {name: stored[name] for name in names if name in stored}

    return from_parameters(model, PATH, parameters)


def profile(**members: Any) -> Any:
    return read(SagaSettings, saga_policy=json.dumps(members)).saga_policy


def refusal(model: type[Settings], **values: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(model, **values)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    return str(refused.value)


def test_every_missing_parameter_is_named_at_once_in_full() -> None:
    missing = (
        "missing settings: /reservations/test/payments-api-key, /reservations/test/payments-url"
    )
    with pytest.raises(SettingsError) as refused:
        read(PaymentsSettings)
    assert str(refused.value) == missing


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(QueueSettings, {"PAYMENT_QUEUE_URL": "https://sqs.example/1/payment"})
    assert str(refused.value) == (
        "missing settings: NOTIFICATION_QUEUE_URL, SUPPLIER_QUEUE_URL, VOUCHER_QUEUE_URL"
    )


def test_an_empty_value_is_a_missing_one() -> None:
    with pytest.raises(SettingsError, match="missing settings: DOCUMENT_BUCKET"):
        from_environment(DocumentSettings, {"DOCUMENT_BUCKET": ""})


@pytest.mark.parametrize(
    ("model", "values", "named"),
    [
        (PaymentsSettings, {"payments_url": SECRET, "payments_api_key": SECRET}, ["payments-url"]),
        (SupplierSettings, {"supplier_url": "ftp://a", "supplier_api_key": "k"}, ["supplier-url"]),
        (SagaSettings, {"saga_policy": SECRET}, ["saga-policy"]),
        (SagaSettings, {"saga_policy": f'{{"profile": "{SECRET}"}}'}, ["saga-policy"]),
        (AccessTokenSettings, {"access_token_keys": SECRET}, ["access-token-keys"]),
        (ApiSettings, {"public_base_url": "x", "api_clients": "[]"}, ["api-clients", "public-base-url"]),
        (ApiSettings, {"public_base_url": "https://a", "api_clients": '{"id": "a b"}'}, ["api-clients"]),
        (MailSettings, {"mail_sender": SECRET}, ["mail-sender"]),
        (ContactSettings, {"support_contact": SECRET * 20}, ["support-contact"]),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named_without_its_value(
    model: type[Settings], values: dict[str, str], named: list[str]
) -> None:
    message = refusal(model, **values)

    expected = ", ".join(f"/reservations/test/{name}" for name in named)
    assert message == f"malformed settings: {expected}"
    assert SECRET not in message


def test_secrets_do_not_show_in_what_holds_them() -> None:
    settings = read(DatabaseSettings, database_url=f"mysql://u:{SECRET}@db.example/r")
    assert SECRET not in repr(settings)
    assert settings.database_url.get_secret_value().endswith("@db.example/r")


@pytest.mark.parametrize("path", ["", "reservations/x", "/", "/a/", "/a b", "/a\n"])
def test_a_path_of_settings_is_absolute_and_ends_in_a_name(path: str) -> None:
    with pytest.raises(SettingsError, match="SETTINGS_PATH"):
        from_environment(ParameterPath, {"SETTINGS_PATH": path})


def test_a_url_loses_its_last_slash_so_that_paths_can_follow() -> None:
    settings = from_environment(
        DeadLetterSettings, {"DEAD_LETTER_QUEUE_URL": "https://sqs.example/1/dead/"}
    )
    assert settings.dead_letter_queue_url == "https://sqs.example/1/dead"


# --- durations --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "policy"), [("standard", STANDARD), ("short", SHORT)])
def test_a_profile_gives_its_durations(name: str, policy: object) -> None:
    assert profile(profile=name).durations() == policy
    assert profile(profile=name).limits() == PROFILES[name][1]


def test_a_duration_may_differ_from_its_profile_in_seconds() -> None:
    changed = profile(profile="short", policy={"hold": 45, "ladder": [1, 3]})

    durations = changed.durations()
    assert durations.hold == timedelta(seconds=45)
    assert durations.ladder == (timedelta(seconds=1), timedelta(seconds=3))
    assert durations.grace == SHORT.grace


def test_a_time_out_may_differ_from_its_profile() -> None:
    limits = profile(profile="short", timeouts={"supplier_read": 5.5}).limits()

    assert limits.supplier_read == 5.5
    assert limits.payments_read == PROFILES["short"][1].payments_read


@pytest.mark.parametrize(
    "members",
    [
        {"profile": "long"},
        {"profile": "short", "polcy": {}},
        {"profile": "short", "policy": {"hld": 45}},
        {"profile": "short", "policy": {"hold": "soon"}},
        {"profile": "short", "timeouts": {"payments_raed": 1}},
        {"profile": "short", "timeouts": {"payments_read": 0}},
        {"profile": "short", "timeouts": {"payments_read": "soon"}},
        {"profile": "short", "timeouts": {"supplier_read": 6.1}},  # and 2 s to connect: 8 s are all
        {"profile": "standard", "policy": {"call_limit": 60}},
    ],
)
def test_a_misspelled_or_impossible_duration_is_refused_when_it_is_read(
    members: dict[str, Any],
) -> None:
    message = refusal(SagaSettings, saga_policy=json.dumps(members))
    assert message == "malformed settings: /reservations/test/saga-policy"


def test_the_supplier_has_the_minute_it_asks_its_clients_for() -> None:
    assert Timeouts().supplier_read == 60


# --- the key ring -------------------------------------------------------------------------------------


def ring(current: str = "k1", **keys: str) -> dict[str, str]:
    return {"access_token_keys": json.dumps({"current": current, "keys": keys})}


def test_a_key_ring_is_read_from_base64() -> None:
    keys = read(AccessTokenSettings, **ring(k1=KEY, k0=KEY)).key_ring
    assert keys.current == "k1"
    assert keys.keys == {"k1": bytes(32), "k0": bytes(32)}


@pytest.mark.parametrize(
    "values",
    [
        ring(),
        ring(k0=KEY),
        ring(k1="AAAA"),
        ring(k1="?"),
        ring("a b", **{"a b": KEY}),
        ring("k" * 65, **{"k" * 65: KEY}),
        {"access_token_keys": "{}"},
        {"access_token_keys": '{"current": "k1", "keys": []}'},
        {"access_token_keys": '{"current": "k1", "keys": {"k1": 7}}'},
    ],
    ids=[
        "empty",
        "no current",
        "short",
        "no base64",
        "no bearer token",
        "longer than its column",
        "no members",
        "a list",
        "a number",
    ],
)
def test_a_key_ring_that_cannot_serve_is_refused(values: dict[str, str]) -> None:
    assert "access-token-keys" in refusal(AccessTokenSettings, **values)
