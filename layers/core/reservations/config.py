"""Typed settings of the functions, from SSM Parameter Store and from the environment.

A parameter's name is the field's, with hyphens, under the path in `SETTINGS_PATH` (`/reservations/prod/database-url`).
Only `manage-url` and `issuer` may be missing. All other missing ones are reported at once.
"""

import base64
import json
import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    JsonValue,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from reservations.domain.access_token import KeyRing
from reservations.domain.clients import ClientModes
from reservations.domain.errors import SettingsError
from reservations.domain.facts import Provider
from reservations.domain.policy import SHORT, STANDARD, Policy
from reservations.strict_json import without_duplicates

if TYPE_CHECKING:
    from jwt import PyJWK

ReadParameters = Callable[[Collection[str]], Mapping[str, str]]

# Age of rotating settings to read again. The steps of docs/03-seguridad.md wait longer.
RENEWED_AFTER = timedelta(minutes=5)
_TRIED_AGAIN_AFTER = timedelta(seconds=30)

# For all of it: a caller waits. An unsent hint leaves with the poller, after `hint_grace`.
HINT_SEND_LIMIT = timedelta(milliseconds=300)

CONNECT_ATTEMPTS = 2  # a refused connection has carried nothing, so one retry is safe

Url = Annotated[str, AfterValidator(lambda value: str(HttpUrl(value)).rstrip("/"))]

# This machine, or a name without a dot, as containers have: no public host has such a name.
_NEAR = re.compile(r"[a-z0-9-]+|127\.0\.0\.1|\[::1\]")


def _encrypted(value: str) -> str:
    url = HttpUrl(value)
    if url.scheme != "https" and not _NEAR.fullmatch(url.host or ""):
        raise ValueError("not https")
    return value


SecureUrl = Annotated[Url, AfterValidator(_encrypted)]


def _without_fragment(value: str) -> str:
    if HttpUrl(value).fragment is not None:
        raise ValueError("a fragment, which carries the access token")
    return value


def _sendable(value: SecretStr) -> SecretStr:
    """Refuse a key that fits in no header, such as one with a line feed (RFC 9110, section 5.5)."""
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("not printable ASCII without spaces")
    return value


ProviderKey = Annotated[SecretStr, AfterValidator(_sendable)]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # as long as its column
# The beginning of an access token, as in docs/contratos/openapi.yaml.
KeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,16}$")]

_QUOTE_SHAPES = {("OKP", "Ed25519", "EdDSA"), ("EC", "P-256", "ES256")}  # kty, crv, alg
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_SECRET: dict[str, JsonValue] = {"secret": True}  # of a field that no `SecretStr` marks

_logger = logging.getLogger(__name__)


class Settings(BaseModel):
    """Parameters. `rotates` marks those that may change while an execution environment lives.

    `make docs` copies the descriptions into docs/01 and docs/05.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    rotates: ClassVar[bool] = False

    @classmethod
    def parameter(cls, field: str) -> str:
        """The name of a field's parameter, with underscores."""
        return field


S = TypeVar("S", bound=Settings)


class DatabaseSettings(Settings):
    database_url: SecretStr = Field(description="conexión a MySQL, con su usuario")


class ProviderSettings(Settings):
    """Address of a provider's API, and our key there."""

    rotates = True
    provider: ClassVar[Provider]

    url: SecureUrl = Field(description="dirección de su API")
    api_key: ProviderKey = Field(description="nuestra clave en su API")

    @classmethod
    def parameter(cls, field: str) -> str:
        return f"{cls.provider}_{field}"


def _webhook_secrets(values: list[str]) -> list[bytes]:
    """Decode the secrets of Standard Webhooks: `whsec_` and base64."""
    if not values:
        raise ValueError("no secret")
    return [base64.b64decode(value.removeprefix("whsec_"), validate=True) for value in values]


class WebhookSettings(Settings):
    """The secrets that a provider signs with. Two may be valid at once, so that one can be replaced."""

    rotates = True
    provider: ClassVar[Provider]

    webhook_secrets: Annotated[Json[list[str]], AfterValidator(_webhook_secrets)] = Field(
        description="secretos con que firma sus webhooks, hasta dos vivos",
        json_schema_extra=_SECRET,
    )

    @classmethod
    def parameter(cls, field: str) -> str:
        return f"{field}_{cls.provider}"

    @property
    def secrets(self) -> list[bytes]:
        values: list[Any] = self.webhook_secrets
        return values


class CallLimits(BaseModel):
    """Limits of one HTTP call, in seconds."""

    model_config = ConfigDict(frozen=True)

    connect: float = Field(gt=0, description="conectar con su API")
    read: float = Field(gt=0, description="esperar su respuesta")

    @property
    def longest(self) -> timedelta:
        return timedelta(seconds=CONNECT_ATTEMPTS * self.connect + self.read)


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """Settings and limits of one provider."""

    settings: type[ProviderSettings]
    webhooks: type[WebhookSettings]
    limits: Mapping[str, CallLimits]  # by profile


def _row(provider: Provider, **limits: CallLimits) -> ProviderRow:
    own = {"provider": provider, "__module__": __name__}
    name = provider.title()
    return ProviderRow(
        settings=type(f"{name}Settings", (ProviderSettings,), own),
        webhooks=type(f"{name}WebhookSettings", (WebhookSettings,), own),
        limits=limits,
    )


_SHORT_LIMITS = CallLimits(connect=1, read=2)

PROVIDERS: Mapping[Provider, ProviderRow] = {
    Provider.PAYMENTS: _row(
        Provider.PAYMENTS, standard=CallLimits(connect=2, read=10), short=_SHORT_LIMITS
    ),
    # Hotelbeds asks its clients for 60 s.
    Provider.SUPPLIER: _row(
        Provider.SUPPLIER, standard=CallLimits(connect=3, read=60), short=_SHORT_LIMITS
    ),
}

PROFILES: Mapping[str, Policy] = {"standard": STANDARD, "short": SHORT}
TIMEOUTS = tuple(
    f"{provider}_{limit}" for provider in PROVIDERS for limit in CallLimits.model_fields
)

_POLICY = TypeAdapter(Policy)
_KEY_ID = TypeAdapter(KeyId)


class SagaProfile(Settings):
    """A named set of durations, and overrides of them in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    profile: Literal["standard", "short"]
    policy: dict[str, Any] = Field(default_factory=dict)
    timeouts: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _can_serve(self) -> Self:
        """Refuse a misspelled duration, which would change nothing, and those that defeat each other."""
        if not (
            self.policy.keys() <= Policy.__dataclass_fields__.keys()
            and self.timeouts.keys() <= set(TIMEOUTS)
        ):
            raise ValueError("unknown duration")
        if max(each.longest for each in self.limits().values()) > self.durations.call_limit:
            raise ValueError("a call may take longer than call_limit")
        if self.durations.hint_grace <= HINT_SEND_LIMIT:
            raise ValueError("the poller may publish what is being sent")
        return self

    @cached_property
    def durations(self) -> Policy:
        known = {
            name: getattr(PROFILES[self.profile], name) for name in Policy.__dataclass_fields__
        }
        return _POLICY.validate_python(known | self.policy)

    def limits(self) -> Mapping[Provider, CallLimits]:
        return {
            provider: CallLimits.model_validate(
                {
                    limit: self.timeouts.get(f"{provider}_{limit}", seconds)
                    for limit, seconds in row.limits[self.profile]
                }
            )
            for provider, row in PROVIDERS.items()
        }


class SagaSettings(Settings):
    saga_policy: Json[SagaProfile] = Field(
        description="perfil de duraciones (`standard`, `short`) y lo que difiere de él, en segundos"
    )


class ContactSettings(Settings):
    support_contact: str = Field(
        min_length=1,
        max_length=120,
        description="a quién llama el viajero, impreso en bonos y correos",
    )


class MailsPerHour(BaseModel):
    """Mails an hour about what was never paid, to one address and for one client."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    address: int = Field(gt=0)
    client: int = Field(gt=0)


class UnpaidMailSettings(Settings):
    mails_per_hour: Json[MailsPerHour] = Field(
        description="correos por hora sobre lo no pagado: a una dirección (`address`), de un cliente (`client`)"
    )


class MailSettings(Settings):
    mail_sender: str = Field(
        pattern=r"^[^@\s]+@[^@\s]+$", description="remitente de los correos, verificado en SES"
    )


class IssuerSettings(Settings):
    issuer: str | None = Field(
        default=None,
        min_length=1,
        max_length=60,
        pattern=r"^[^\x00-\x1f<>\"@]+$",
        description="nombre con que se firman bonos y correos; sin él, no llevan ninguno",
    )


class ManagePageSettings(Settings):
    manage_url: Annotated[SecureUrl, AfterValidator(_without_fragment)] | None = Field(
        default=None,
        description="página en que el viajero ve o cancela su reserva; sin ella, los correos no llevan enlace",
    )


def _key_ring(value: dict[str, Any]) -> KeyRing:
    try:
        keys = {
            _KEY_ID.validate_python(kid): base64.b64decode(secret, validate=True)
            for kid, secret in value["keys"].items()
        }
        return KeyRing(current=value["current"], keys=keys)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError("not a key ring") from error


class AccessTokenSettings(Settings):
    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True, hide_input_in_errors=True)

    rotates = True
    access_token_keys: Annotated[Json[dict[str, Any]], AfterValidator(_key_ring)] = Field(
        description="anillo de claves de las credenciales de acceso", json_schema_extra=_SECRET
    )

    @property
    def key_ring(self) -> KeyRing:
        ring: Any = self.access_token_keys
        assert isinstance(ring, KeyRing)
        return ring


class ApiSettings(Settings):
    """`api_clients` maps the ids of API keys, as the gateway reports them, to the names of our clients."""

    rotates = True
    public_base_url: Url = Field(description="dirección pública con la que empiezan los enlaces")
    api_clients: Json[dict[str, Name]] = Field(
        description="cliente de cada clave de API, por el identificador de la clave"
    )


def _unambiguous_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=without_duplicates)


def _quote_keys(value: dict[str, Any]) -> "Mapping[str, PyJWK]":
    """Read a JWK Set (RFC 7517) of public keys."""
    if value.get("keys") == []:
        return {}  # no signer, so no library of signatures either
    from jwt import PyJWK, PyJWTError

    keys: dict[str, PyJWK] = {}
    try:
        for each in value["keys"]:
            kid = _KEY_ID.validate_python(each["kid"])
            shape = (each["kty"], each["crv"], each["alg"])
            if shape not in _QUOTE_SHAPES or kid in keys or not _verifies(each):
                raise ValueError("another shape or use, a private key, or a key id twice")
            keys[kid] = PyJWK(each)
    except (KeyError, TypeError, PyJWTError) as error:
        raise ValueError("not a set of public keys") from error
    return keys


def _verifies(jwk: dict[str, Any]) -> bool:
    """`True` for a public key that may verify signatures (RFC 7517 §4.2 and §4.3, RFC 7518 §6)."""
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        return False
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return False
    return bool(jwk.get("use", "sig") == "sig")


class QuoteSettings(Settings):
    """The keys of whoever signs quotes. Each is good for one algorithm only."""

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True, hide_input_in_errors=True)

    rotates = True
    quote_keys: Annotated[
        dict[str, Any], BeforeValidator(_unambiguous_json), AfterValidator(_quote_keys)
    ] = Field(description="claves públicas de quien firma cotizaciones, como JWK Set")

    @property
    def keys(self) -> "Mapping[str, PyJWK]":
        keys: Mapping[str, PyJWK] = self.quote_keys
        return keys


class ClientSettings(Settings):
    """The modes have a parameter of their own: the release before reads only names in `api_clients`."""

    rotates = True
    client_modes: Json[dict[Name, ClientModes]] = Field(
        description="modos de cada cliente: `public`, `quote` y `duplicate_charge`"
    )

    def of(self, client_id: str) -> ClientModes:
        """
        Raises:
            SettingsError: the setting lacks the client.
        """
        if client_id not in self.client_modes:
            raise SettingsError(f"client-modes lacks the client {client_id}")
        return self.client_modes[client_id]


class EnvironmentSettings(Settings):
    """Variables of the environment, named as their fields in capitals."""


class QueueSettings(EnvironmentSettings):
    payment_queue_url: Url = Field(description="cola de pago")
    payment_look_queue_url: Url = Field(description="cola de consultas tardías a pagos")
    supplier_queue_url: Url = Field(description="cola del proveedor")
    supplier_look_queue_url: Url = Field(description="cola de consultas tardías al proveedor")
    voucher_queue_url: Url = Field(description="cola de bonos")
    notification_queue_url: Url = Field(description="cola de correos")


class DeadLetterSettings(EnvironmentSettings):
    dead_letter_queue_url: Url = Field(description="cola de mensajes fallidos de la función")


class DocumentSettings(EnvironmentSettings):
    """The private bucket, and the part of an address that names it.

    By default botocore signs links for the global host. S3 redirects the links of a new bucket to its region, where the
    signature is not valid. A virtual host names the region. Emulators find buckets by the path only.
    """

    document_bucket: str = Field(
        min_length=3, max_length=63, description="cubo privado de documentos"
    )
    bucket_addressing: Literal["virtual", "path"] = Field(
        description="si el nombre del cubo va en el servidor (`virtual`) o en la ruta (`path`)"
    )


class MailFeedbackSettings(EnvironmentSettings):
    mail_configuration_set: str = Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="conjunto de configuración de SES que publica rebotes y quejas",
    )


class ReleaseSettings(EnvironmentSettings):
    released_versions: Json[dict[str, str]] = Field(
        description="versión que esta entrega publica de cada función, para ensayarla"
    )


class BrowserSettings(EnvironmentSettings):
    allowed_origin: str = Field(
        pattern=r"^(https?://[^/\s]+|\*)$",
        description="origen web cuyas páginas pueden leer las respuestas (CORS)",
    )


class ParameterPath(EnvironmentSettings):
    settings_path: str = Field(
        pattern=r"^/[a-zA-Z0-9_./-]+[a-zA-Z0-9]$",
        description="prefijo de los parámetros de este despliegue",
    )

    def name_of(self, parameter: str) -> str:
        return f"{self.settings_path}/{parameter.replace('_', '-')}"


def from_environment(model: type[S], environment: Mapping[str, str]) -> S:
    """
    Raises:
        SettingsError: naming every variable that is missing or malformed.
    """
    names = {field: field.upper() for field in model.model_fields}
    built = _build({model: names}, environment)[model]
    assert isinstance(built, model)
    return built


Models = Collection[type[Settings]]
Built = dict[type[Settings], Settings]


def from_parameters(models: Models, path: ParameterPath, read: ReadParameters) -> Built:
    """Read what several models need at once.

    Raises:
        SettingsError: naming every missing parameter or, if all are there, every malformed one.
    """
    names = {m: {f: path.name_of(m.parameter(f)) for f in m.model_fields} for m in models}
    return _build(names, read([name for own in names.values() for name in own.values()]))


def _build(names: Mapping[type[Settings], Mapping[str, str]], values: Mapping[str, str]) -> Built:
    missing = sorted(
        name
        for model, own in names.items()
        for field, name in own.items()
        if model.model_fields[field].is_required() and not values.get(name)
    )
    if missing:
        raise SettingsError(f"missing settings: {', '.join(missing)}")
    built: Built = {}
    malformed: set[str] = set()
    for model, own in names.items():
        try:
            built[model] = model.model_validate(
                {field: values[name] for field, name in own.items() if values.get(name)}
            )
        except ValidationError as error:
            malformed |= {own[str(e["loc"][0])] for e in error.errors(include_input=False)}
    if malformed:
        # The cause would carry the value, which may be a secret.
        raise SettingsError(f"malformed settings: {', '.join(sorted(malformed))}") from None
    return built


class SettingsReader:
    """Reads settings at first use and keeps them. Rotating ones are read again after `RENEWED_AFTER`.

    Kept settings outlive a failure to read them again. Powertools' parameters would drop them, and would load the code
    for four more services at each cold start.
    """

    def __init__(
        self,
        path: ParameterPath,
        *,
        read: ReadParameters,
        read_again: ReadParameters,
        now: Callable[[], datetime],
    ) -> None:
        """`read_again` must be quick: if it fails, the kept settings serve."""
        self._path = path
        self._read = read
        self._read_again = read_again
        self._now = now
        self._held: Built = {}
        self._due: dict[type[Settings], datetime] = {}

    def prepare(self, *models: type[Settings]) -> None:
        """Read all unread settings together, and read old rotating ones again.

        Raises:
            SettingsError: see `from_parameters`; never for settings read before.
        """
        now = self._now()
        old = [model for model in models if model in self._due and now >= self._due[model]]
        unread = [model for model in models if model not in self._held]
        if unread:
            self._take(unread, self._read, now)
        if old:
            try:
                self._take(old, self._read_again, now)
            except SettingsError as error:
                _logger.error("settings not read again", extra={"detail": str(error)})
                self._due |= dict.fromkeys(old, now + _TRIED_AGAIN_AFTER)

    def of(self, model: type[S]) -> S:
        """
        Raises:
            SettingsError: see `prepare`.
        """
        self.prepare(model)
        settings = self._held[model]
        assert isinstance(settings, model)
        return settings

    def _take(self, models: Models, read: ReadParameters, now: datetime) -> None:
        self._held |= from_parameters(models, self._path, read)
        self._due |= {model: now + RENEWED_AFTER for model in models if model.rotates}
