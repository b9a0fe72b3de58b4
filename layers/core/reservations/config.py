"""Typed settings: what each function reads from SSM Parameter Store and from its environment.

A parameter's name is the field's, with hyphens, under the path in `SETTINGS_PATH` (`/reservations/prod/database-url`).
Nothing here has a default: a missing setting is reported, with all the others that are missing.
"""

import base64
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from reservations.domain.access_token import KeyRing
from reservations.domain.errors import SettingsError
from reservations.domain.facts import Provider
from reservations.domain.policy import SHORT, STANDARD, Policy

ReadParameters = Callable[[Collection[str]], Mapping[str, str]]

CONNECT_ATTEMPTS = 2  # a connection that was refused has carried nothing, so it is tried once more

Url = Annotated[str, AfterValidator(lambda value: str(HttpUrl(value)).rstrip("/"))]


# What a column holds and a bearer token may be made of (RFC 6750, section 2.1).
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


S = TypeVar("S", bound=Settings)


class Timeouts(Settings):
    """Limits of one HTTP call to a provider, in seconds.

    The supplier's read limit is the one Hotelbeds asks its clients for (60 s).
    """

    payments_connect: float = Field(default=2, gt=0)
    payments_read: float = Field(default=10, gt=0)
    supplier_connect: float = Field(default=3, gt=0)
    supplier_read: float = Field(default=60, gt=0)

    @property
    def longest_call(self) -> timedelta:
        payments = CONNECT_ATTEMPTS * self.payments_connect + self.payments_read
        supplier = CONNECT_ATTEMPTS * self.supplier_connect + self.supplier_read
        return timedelta(seconds=max(payments, supplier))


SHORT_TIMEOUTS = Timeouts(payments_connect=1, payments_read=2, supplier_connect=1, supplier_read=2)

PROFILES: dict[str, tuple[Policy, Timeouts]] = {
    "standard": (STANDARD, Timeouts()),
    "short": (SHORT, SHORT_TIMEOUTS),
}


_POLICY = TypeAdapter(Policy)
_NAME = TypeAdapter(Name)


class SagaProfile(Settings):
    """A named set of durations, and what differs from it, in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    profile: Literal["standard", "short"]
    policy: dict[str, Any] = Field(default_factory=dict)
    timeouts: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_serve(self) -> Self:
        """A misspelled duration would silently keep its value; a call longer than its limit would never be sent."""
        if not (
            self.policy.keys() <= Policy.__dataclass_fields__.keys()
            and self.timeouts.keys() <= Timeouts.model_fields.keys()
        ):
            raise ValueError("unknown duration")
        if self.limits().longest_call > self.durations().call_limit:
            raise ValueError("a call may take longer than call_limit")
        return self

    def durations(self) -> Policy:
        known = {
            name: getattr(PROFILES[self.profile][0], name) for name in Policy.__dataclass_fields__
        }
        return _POLICY.validate_python(known | self.policy)

    def limits(self) -> Timeouts:
        return Timeouts.model_validate(PROFILES[self.profile][1].model_dump() | self.timeouts)


class DatabaseSettings(Settings):
    database_url: SecretStr


class SagaSettings(Settings):
    saga_policy: Json[SagaProfile]


class PaymentsSettings(Settings):
    payments_url: Url
    payments_api_key: SecretStr


class SupplierSettings(Settings):
    supplier_url: Url
    supplier_api_key: SecretStr


class ContactSettings(Settings):
    """Who a traveler calls: told in vouchers and mails."""

    support_contact: str = Field(min_length=1, max_length=120)


class MailSettings(Settings):
    mail_sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")


def _key_ring(value: dict[str, Any]) -> KeyRing:
    try:
        keys = {
            _NAME.validate_python(kid): base64.b64decode(secret, validate=True)
            for kid, secret in value["keys"].items()
        }
        return KeyRing(current=value["current"], keys=keys)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError("not a key ring") from error


class AccessTokenSettings(Settings):
    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True, hide_input_in_errors=True)

    access_token_keys: Annotated[Json[dict[str, Any]], AfterValidator(_key_ring)]

    @property
    def key_ring(self) -> KeyRing:
        ring: Any = self.access_token_keys
        assert isinstance(ring, KeyRing)
        return ring


def _webhook_secrets(values: list[str]) -> list[bytes]:
    """As Standard Webhooks writes them: `whsec_` and base64."""
    if not values:
        raise ValueError("no secret")
    return [base64.b64decode(value.removeprefix("whsec_"), validate=True) for value in values]


WebhookSecrets = Annotated[Json[list[str]], AfterValidator(_webhook_secrets)]


class WebhookSettings(Settings):
    """The secrets that providers sign with: two may live at once, so that one can be replaced."""

    webhook_secrets_payments: WebhookSecrets
    webhook_secrets_supplier: WebhookSecrets

    def of(self, provider: Provider) -> list[bytes]:
        secrets: Any = getattr(self, f"webhook_secrets_{provider}")
        return list(secrets)


class ApiSettings(Settings):
    """`api_clients` maps the ids of API keys, which the gateway tells, to the names of our clients."""

    public_base_url: Url
    api_clients: Json[dict[str, Name]]


class QueueSettings(Settings):
    """From the environment: the queues' URLs."""

    payment_queue_url: Url
    supplier_queue_url: Url
    voucher_queue_url: Url
    notification_queue_url: Url


class DeadLetterSettings(Settings):
    """From the environment: where a message goes that can never be handled."""

    dead_letter_queue_url: Url


class DocumentSettings(Settings):
    """From the environment: the private bucket."""

    document_bucket: str = Field(min_length=3, max_length=63)


class MailFeedbackSettings(Settings):
    """From the environment: the configuration set that publishes what comes back about our mails."""

    mail_configuration_set: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")


class BrowserSettings(Settings):
    """From the environment: whose pages may read our answers."""

    allowed_origin: str = Field(pattern=r"^(https?://[^/\s]+|\*)$")


class ParameterPath(Settings):
    """From the environment: where this deployment's parameters lie."""

    settings_path: str = Field(pattern=r"^/[a-zA-Z0-9_./-]+[a-zA-Z0-9]$")

    def name_of(self, field: str) -> str:
        return f"{self.settings_path}/{field.replace('_', '-')}"


def from_environment(model: type[S], environment: Mapping[str, str]) -> S:
    """
    Raises:
        SettingsError: naming every variable that is missing or malformed.
    """
    names = {field: field.upper() for field in model.model_fields}
    return _build(model, names, environment)


def from_parameters(model: type[S], path: ParameterPath, read: ReadParameters) -> S:
    """
    Raises:
        SettingsError: naming every parameter that is missing or malformed.
    """
    names = {field: path.name_of(field) for field in model.model_fields}
    return _build(model, names, read(names.values()))


def _build(model: type[S], names: Mapping[str, str], values: Mapping[str, str]) -> S:
    missing = sorted(name for name in names.values() if not values.get(name))
    if missing:
        raise SettingsError(f"missing settings: {', '.join(missing)}")
    try:
        return model.model_validate({field: values[name] for field, name in names.items()})
    except ValidationError as error:
        malformed = sorted({names[str(e["loc"][0])] for e in error.errors(include_input=False)})
        # The cause would carry the value, which may be a secret.
        raise SettingsError(f"malformed settings: {', '.join(malformed)}") from None
