"""Settings: all missing ones are reported at once, and never a value."""

import base64
import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import pytest

from reservations.config import (
    HINT_SEND_LIMIT,
    PROFILES,
    PROVIDERS,
    RENEWED_AFTER,
    AccessTokenSettings,
    ApiSettings,
    ClientSettings,
    ContactSettings,
    DatabaseSettings,
    DeadLetterSettings,
    DocumentSettings,
    MailSettings,
    ManagePageSettings,
    ParameterPath,
    QueueSettings,
    QuoteSettings,
    SagaSettings,
    Settings,
    SettingsReader,
    from_environment,
    from_parameters,
)
from reservations.domain.errors import SettingsError
from reservations.domain.facts import Provider
from reservations.domain.policy import SHORT, STANDARD, Policy
from tests.worlds.builders import NOON
from tests.worlds.quotes import Signer

MODES = {"public": True, "quote": "off", "duplicate_charge": "refuse"}
PAYMENTS, SUPPLIER = (PROVIDERS[provider].settings for provider in Provider)
PATH = ParameterPath(settings_path="/reservations/test")
SECRET = "CANARY-s3cr3t"
KEY = base64.b64encode(bytes(32)).decode()


def read(model: type[Settings], **values: str) -> Any:
    """Read the model from a Parameter Store with these values, under their full names."""
    stored = {f"/reservations/test/{name.replace('_', '-')}": v for name, v in values.items()}

    def parameters(names: Collection[str]) -> Mapping[str, str]:
        return {name: stored[name] for name in names if name in stored}

    return from_parameters([model], PATH, parameters)[model]


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
        read(PAYMENTS)
    assert str(refused.value) == missing


def test_every_missing_or_malformed_setting_is_named_at_once() -> None:
    models: list[type[Settings]] = [PAYMENTS, SagaSettings, MailSettings]
    with pytest.raises(SettingsError) as refused:
        from_parameters(models, PATH, lambda _: {"/reservations/test/payments-url": "https://a"})
    assert str(refused.value) == "missing settings: " + ", ".join(
        f"/reservations/test/{name}" for name in ("mail-sender", "payments-api-key", "saga-policy")
    )

    with pytest.raises(SettingsError) as refused:
        from_parameters(models, PATH, lambda names: dict.fromkeys(names, SECRET))
    assert str(refused.value) == "malformed settings: " + ", ".join(
        f"/reservations/test/{name}" for name in ("mail-sender", "payments-url", "saga-policy")
    )


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment(QueueSettings, {"PAYMENT_QUEUE_URL": "https://sqs.example/1/payment"})
    assert str(refused.value) == (
        "missing settings: NOTIFICATION_QUEUE_URL, PAYMENT_LOOK_QUEUE_URL,"
        " SUPPLIER_LOOK_QUEUE_URL, SUPPLIER_QUEUE_URL, VOUCHER_QUEUE_URL"
    )


def test_an_empty_value_counts_as_missing() -> None:
    with pytest.raises(SettingsError, match="missing settings: DOCUMENT_BUCKET"):
        from_environment(DocumentSettings, {"DOCUMENT_BUCKET": "", "BUCKET_ADDRESSING": "path"})


def test_the_page_of_a_reservation_may_be_missing() -> None:
    assert read(ManagePageSettings).manage_url is None


@pytest.mark.parametrize(
    ("model", "values", "named"),
    [
        (PAYMENTS, {"payments_url": SECRET, "payments_api_key": SECRET}, ["payments-url"]),
        (PAYMENTS, {"payments_url": "https://a", "payments_api_key": f"{SECRET}\n"}, ["payments-api-key"]),
        (SUPPLIER, {"supplier_url": "https://a", "supplier_api_key": "ñ"}, ["supplier-api-key"]),
        (SUPPLIER, {"supplier_url": "ftp://a", "supplier_api_key": "k"}, ["supplier-url"]),
        (SagaSettings, {"saga_policy": SECRET}, ["saga-policy"]),
        (SagaSettings, {"saga_policy": f'{{"profile": "{SECRET}"}}'}, ["saga-policy"]),
        (AccessTokenSettings, {"access_token_keys": SECRET}, ["access-token-keys"]),
        (ApiSettings, {"public_base_url": "x", "api_clients": "[]"}, ["api-clients", "public-base-url"]),
        (ApiSettings, {"public_base_url": "https://a", "api_clients": '{"id": "a b"}'}, ["api-clients"]),
        (ClientSettings, {"client_modes": json.dumps({"web": MODES | {"quote": "no"}})}, ["client-modes"]),
        (ClientSettings, {"client_modes": '{"web": {"public": true}}'}, ["client-modes"]),
        (MailSettings, {"mail_sender": SECRET}, ["mail-sender"]),
        (ManagePageSettings, {"manage_url": f"http://{SECRET}.example"}, ["manage-url"]),
        (ManagePageSettings, {"manage_url": f"https://a/#{SECRET}"}, ["manage-url"]),
        (ContactSettings, {"support_contact": SECRET * 20}, ["support-contact"]),
    ],
)  # fmt: skip
def test_a_malformed_setting_is_named_without_its_value(
    model: type[Settings], values: dict[str, str], named: list[str]
) -> None:
    message = refusal(model, **values)

    expected = ", ".join(f"/reservations/test/{name}" for name in named)
    assert message == f"malformed settings: {expected}"
    assert SECRET not in message


def test_settings_hide_their_secrets() -> None:
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


@pytest.mark.parametrize(
    "url",
    [
        "http://payments.example",
        "http://10.0.0.7/api",
        "http://[2001:db8::7]",
        "http://localhost.example",
        "http://134744072",  # 8.8.8.8, written as one number
    ],
)
def test_a_provider_url_must_be_encrypted(url: str) -> None:
    assert "payments-url" in refusal(PAYMENTS, payments_url=url, payments_api_key="k")
    assert "supplier-url" in refusal(SUPPLIER, supplier_url=url, supplier_api_key="k")


@pytest.mark.parametrize(
    "url",
    [
        "https://payments.example",
        "http://127.0.0.1:8101",
        "http://localhost:8101",
        "http://[::1]:8101",
        "http://payments:8080",
    ],
)
def test_a_local_simulator_needs_no_certificate(
    url: str,
) -> None:
    assert read(PAYMENTS, payments_url=url, payments_api_key="k").url == url


# --- durations --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "policy"), [("standard", STANDARD), ("short", SHORT)])
def test_a_profile_gives_its_durations(name: str, policy: object) -> None:
    assert profile(profile=name).durations == policy
    assert profile(profile=name).limits() == {
        provider: row.limits[name] for provider, row in PROVIDERS.items()
    }


def test_a_duration_may_differ_from_its_profile_in_seconds() -> None:
    changed = profile(profile="short", policy={"hold": 45, "ladder": [1, 3]})

    durations = changed.durations
    assert durations.hold == timedelta(seconds=45)
    assert durations.ladder == (timedelta(seconds=1), timedelta(seconds=3))
    assert durations.grace == SHORT.grace


def test_a_time_out_may_differ_from_its_profile() -> None:
    limits = profile(profile="short", timeouts={"supplier_read": 5.5}).limits()

    assert limits[Provider.SUPPLIER].read == 5.5
    assert limits[Provider.PAYMENTS] == PROVIDERS[Provider.PAYMENTS].limits["short"]


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
        {
            "profile": "short",
            "timeouts": {"supplier_read": 6.1},
        },  # plus 2 s to connect exceeds the limit of 8 s
        {"profile": "standard", "policy": {"call_limit": 60}},
        {"profile": "short", "policy": {"hint_grace": 0.3}},  # the sender may need as long
    ],
)
def test_a_misspelled_or_impossible_duration_is_refused(
    members: dict[str, Any],
) -> None:
    message = refusal(SagaSettings, saga_policy=json.dumps(members))
    assert message == "malformed settings: /reservations/test/saga-policy"


@pytest.mark.parametrize("policy", PROFILES.values(), ids=PROFILES)
def test_the_poller_leaves_a_hint_to_its_sender_for_longer_than_that_may_need(
    policy: Policy,
) -> None:
    assert policy.hint_grace > HINT_SEND_LIMIT


def test_every_provider_has_its_row_with_limits_for_every_profile() -> None:
    assert {provider: row.limits.keys() for provider, row in PROVIDERS.items()} == dict.fromkeys(
        Provider, PROFILES.keys()
    )


def test_the_supplier_has_its_required_minute_to_answer() -> None:
    assert PROVIDERS[Provider.SUPPLIER].limits["standard"].read == 60


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
def test_an_unusable_key_ring_is_refused(values: dict[str, str]) -> None:
    assert "access-token-keys" in refusal(AccessTokenSettings, **values)


# --- the keys of quotes -------------------------------------------------------------------------------

JWK = Signer().jwk


def test_the_public_keys_of_quotes_are_read_by_their_ids() -> None:
    keys = read(
        QuoteSettings, quote_keys=json.dumps({"keys": [JWK, Signer("q2", seed=2).jwk]})
    ).keys
    assert {kid: key.algorithm_name for kid, key in keys.items()} == {"q1": "EdDSA", "q2": "EdDSA"}


def test_a_deployment_may_have_no_signer_of_quotes() -> None:
    assert read(QuoteSettings, quote_keys='{"keys": []}').keys == {}


@pytest.mark.parametrize(
    "keys",
    [
        None,
        {"q1": JWK},
        ["q1"],
        [JWK, JWK],
        [JWK | {"d": "A" * 43}],
        [JWK | {"kid": "a b"}],
        [JWK | {"x": "AAAA"}],
        [JWK | {"alg": "ES256"}],
        [{name: value for name, value in JWK.items() if name != "alg"}],
        [{"kty": "oct", "kid": "q1", "alg": "HS256", "k": "A" * 43}],
        [JWK | {"k": "A" * 43}],
        [JWK | {"use": "enc"}],
        [JWK | {"key_ops": ["sign"]}],
        [JWK | {"key_ops": []}],
        [JWK | {"key_ops": "verify"}],
    ],
    ids=[
        "missing",
        "no list",
        "no key",
        "key id twice",
        "private key",
        "key id with a space",
        "short",
        "another algorithm",
        "no algorithm",
        "shared secret",
        "private member of another type",
        "for encryption",
        "for signing",
        "for nothing",
        "use is no list",
    ],
)
def test_unusable_keys_of_quotes_are_refused(keys: Any) -> None:
    values = {} if keys is None else {"keys": keys}
    assert "quote-keys" in refusal(QuoteSettings, quote_keys=json.dumps(values))


@pytest.mark.parametrize("member", ["keys", "kid"])
def test_keys_of_quotes_with_a_member_twice_are_refused(member: str) -> None:
    twice = json.dumps({"keys": [JWK]}).replace(f'"{member}":', f'"{member}": "", "{member}":')
    assert "quote-keys" in refusal(QuoteSettings, quote_keys=twice)


def test_a_key_that_says_that_it_verifies_is_read() -> None:
    key = JWK | {"use": "sig", "key_ops": ["verify"]}
    assert "q1" in read(QuoteSettings, quote_keys=json.dumps({"keys": [key]})).keys


# --- cached settings ------------------------------------------------------------------------------

API = {"public-base-url": "https://a", "api-clients": '{"old": "web"}'}
CONTACT = {"support-contact": "soporte@example.com"}
AGAIN_AFTER = timedelta(seconds=30)


class Warm:
    """An execution environment: its reader, a clock, and a Parameter Store with outages."""

    def __init__(self) -> None:
        self.stored = API | CONTACT
        self.asked: list[set[str]] = []
        self.away = False
        self.now = NOON
        self.reader = SettingsReader(
            PATH, read=self.read, read_again=self.read, now=lambda: self.now
        )

    def read(self, names: Collection[str]) -> Mapping[str, str]:
        self.asked.append({name.removeprefix("/reservations/test/") for name in names})
        if self.away:
            raise SettingsError("parameters could not be read")
        return {f"/reservations/test/{name}": value for name, value in self.stored.items()}

    def clients_after(self, passed: timedelta) -> list[str]:
        self.now += passed
        self.reader.prepare(ApiSettings, ContactSettings)
        return sorted(self.reader.of(ApiSettings).api_clients)


@pytest.fixture
def warm() -> Warm:
    warm = Warm()
    warm.reader.prepare(ApiSettings, ContactSettings)
    return warm


def test_settings_are_read_in_one_call_and_only_rotating_ones_again(warm: Warm) -> None:
    warm.clients_after(RENEWED_AFTER)

    assert warm.asked == [{*API, *CONTACT}, {*API}]


def test_a_rotating_setting_keeps_its_value_until_it_is_renewed(warm: Warm) -> None:
    warm.stored["api-clients"] = '{"old": "web", "new": "web"}'

    assert warm.clients_after(RENEWED_AFTER - AGAIN_AFTER) == ["old"]
    assert warm.clients_after(AGAIN_AFTER) == ["new", "old"]


def test_a_cached_setting_survives_an_outage_of_its_source(
    warm: Warm, caplog: pytest.LogCaptureFixture
) -> None:
    warm.stored["api-clients"] = '{"new": "web"}'
    warm.away = True
    assert warm.clients_after(RENEWED_AFTER) == ["old"]
    assert warm.clients_after(AGAIN_AFTER / 2) == ["old"]
    assert caplog.messages == ["settings not read again"]
    assert len(warm.asked) == 2

    warm.away = False
    assert warm.clients_after(AGAIN_AFTER / 2) == ["new"]


@pytest.mark.parametrize("value", ["", SECRET, "[]"])
def test_an_invalid_new_value_does_not_replace_a_valid_one(
    warm: Warm, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    warm.stored["api-clients"] = value

    assert warm.clients_after(RENEWED_AFTER) == ["old"]
    [record] = caplog.records
    assert record.__dict__["detail"].endswith("settings: /reservations/test/api-clients")
