"""Errors a client may see: RFC 9457 problem details, one catalogue for code, documents and tests."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from reservations.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    DocumentStoreUnavailableError,
    DuplicateCodeError,
    IdempotencyKeyReusedError,
    InvalidMoneyError,
    InvalidReservationCodeError,
    KnowledgeLostError,
    NotCancellableError,
    QueueUnavailableError,
    RequestInFlightError,
    ReservationNotFoundError,
    ReservationsError,
    SchemaOutdatedError,
    SettingsError,
    VoucherNotDrawnError,
)
from reservations.domain.history import Text

TYPE_BASE = "https://reservations.example/problems/"  # RFC 2606: a name that resolves for nobody

Effect = Literal["none", "unknown", "accepted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One entry of the catalogue; `effect` says whether the request did anything.

    What the gateway says by itself is the same entry in both languages at once: it cannot choose.
    """

    code: str
    status: HTTPStatus
    title: Text
    detail: Text
    retry_after_s: int | None = None
    effect: Effect = "none"

    @property
    def type(self) -> str:
        return TYPE_BASE + self.code

    @property
    def retryable(self) -> bool:
        return self.retry_after_s is not None


_CATALOGUE = (
    Problem(
        code="idempotency_key_missing",
        status=HTTPStatus.BAD_REQUEST,
        title=Text("Falta Idempotency-Key", "Idempotency-Key is missing"),
        detail=Text(
            "Envía la cabecera Idempotency-Key con un valor único para esta operación, por ejemplo un UUID.",
            "Send the Idempotency-Key header with a value unique to this operation, such as a UUID.",
        ),
    ),
    Problem(
        code="idempotency_key_invalid",
        status=HTTPStatus.BAD_REQUEST,
        title=Text("Idempotency-Key no válida", "Idempotency-Key is not valid"),
        detail=Text(
            "Idempotency-Key debe tener de 16 a 255 caracteres: letras sin tilde, cifras, guion o guion bajo.",
            "Idempotency-Key must have 16 to 255 characters: ASCII letters, digits, hyphens or underscores.",
        ),
    ),
    Problem(
        code="idempotency_key_reused",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        title=Text("Idempotency-Key ya usada", "Idempotency-Key was used before"),
        detail=Text(
            "Esta Idempotency-Key ya se usó con otro contenido. Usa una clave nueva para una petición distinta.",
            "This Idempotency-Key was used with other content. Use a new key for a different request.",
        ),
    ),
    Problem(
        code="request_in_flight",
        status=HTTPStatus.CONFLICT,
        title=Text("Petición en curso", "Request in flight"),
        detail=Text(
            "Otra petición con la misma Idempotency-Key está en curso. Repítela en un segundo con la misma clave.",
            "Another request with the same Idempotency-Key is in flight. Repeat it in a second with the same key.",
        ),
        retry_after_s=1,
    ),
    Problem(
        code="malformed_json",
        status=HTTPStatus.BAD_REQUEST,
        title=Text("JSON mal formado", "Malformed JSON"),
        detail=Text(
            "El cuerpo debe ser un objeto JSON en UTF-8, sin miembros repetidos ni valores como NaN.",
            "The body must be a JSON object in UTF-8, without duplicate members or values such as NaN.",
        ),
    ),
    Problem(
        code="validation_failed",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        title=Text("Datos no válidos", "The data is not valid"),
        detail=Text(
            "Corrige los campos indicados en «errors» y repite la petición; puedes conservar la misma Idempotency-Key.",
            "Correct the fields listed in “errors” and repeat the request; you may keep the same Idempotency-Key.",
        ),
    ),
    Problem(
        code="body_too_large",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        title=Text("Cuerpo demasiado grande", "The body is too large"),
        detail=Text("El cuerpo no puede pasar de 64 KiB.", "The body must not exceed 64 KiB."),
    ),
    Problem(
        code="unsupported_media_type",
        status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        title=Text("Tipo de contenido no admitido", "Unsupported media type"),
        detail=Text(
            "Envía el cuerpo con Content-Type: application/json.",
            "Send the body as Content-Type: application/json.",
        ),
    ),
    Problem(
        code="unauthorized",
        status=HTTPStatus.UNAUTHORIZED,
        title=Text("Falta la credencial", "Credentials are missing"),
        detail=Text(
            "Envía x-api-key y, para leer una reserva, Authorization: Bearer con su access_token.",
            "Send x-api-key and, to read a reservation, Authorization: Bearer with its access_token.",
        ),
    ),
    Problem(
        code="not_found",
        status=HTTPStatus.NOT_FOUND,
        title=Text("No encontrado", "Not found"),
        detail=Text(
            "No hay nada aquí con esos datos. Comprueba la dirección, el código y el access_token.",
            "There is nothing here under these details. Check the address, the code and the access_token.",
        ),
    ),
    Problem(
        code="method_not_allowed",
        status=HTTPStatus.METHOD_NOT_ALLOWED,
        title=Text("Método no permitido", "Method not allowed"),
        detail=Text(
            "Esta dirección no admite ese método.", "This address does not support that method."
        ),
    ),
    Problem(
        code="rate_limited",
        status=HTTPStatus.TOO_MANY_REQUESTS,
        title=Text("Demasiadas peticiones", "Too many requests"),
        detail=Text(
            "Demasiado rápido. Espera unos segundos y repite la petición con la misma Idempotency-Key.",
            "Too fast. Wait a few seconds and repeat the request with the same Idempotency-Key.",
        ),
        retry_after_s=5,
    ),
    Problem(
        code="not_cancellable",
        status=HTTPStatus.CONFLICT,
        title=Text("No se puede cancelar", "It cannot be cancelled"),
        detail=Text(
            "La reserva ya terminó o su servicio ya empezó. Si necesitas ayuda, llama al contacto de tu reserva.",
            "The reservation is over or its service has begun. For help, call the contact of your reservation.",
        ),
    ),
    Problem(
        code="service_unavailable",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        title=Text("Servicio no disponible", "Service unavailable"),
        detail=Text(
            "No hemos podido atender la petición y no se ha hecho nada. Repítela en unos segundos con la misma clave.",
            "We could not serve the request and nothing was done. Repeat it in a few seconds with the same key.",
        ),
        retry_after_s=5,
    ),
    Problem(
        code="busy_try_again",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        title=Text("Ocupado", "Busy"),
        detail=Text(
            "Otra operación tiene ocupada esta reserva y no se ha hecho nada. Repite la petición en un segundo.",
            "Another operation holds this reservation and nothing was done. Repeat the request in a second.",
        ),
        retry_after_s=1,
    ),
    Problem(
        code="gateway_timeout",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        title=Text("Sin respuesta a tiempo", "No answer in time"),
        detail=Text(
            "No sabemos si se hizo. Reintenta con la misma Idempotency-Key: no se hará dos veces.",
            "We do not know whether it was done. Retry with the same Idempotency-Key: it acts only once.",
        ),
        retry_after_s=5,
        effect="unknown",
    ),
    Problem(
        code="webhook_signature_invalid",
        status=HTTPStatus.UNAUTHORIZED,
        title=Text("Firma no válida", "The signature is not valid"),
        detail=Text("La firma del webhook no es válida.", "The webhook's signature is not valid."),
    ),
    Problem(
        code="webhook_stale",
        status=HTTPStatus.UNAUTHORIZED,
        title=Text("Webhook fuera de plazo", "The webhook is stale"),
        detail=Text(
            "La marca de tiempo del webhook difiere más de cinco minutos de la hora actual.",
            "The webhook's timestamp is more than five minutes away from the present.",
        ),
    ),
)

CATALOGUE = {problem.code: problem for problem in _CATALOGUE}

# The one table from errors to problems; a test keeps it total over the leaves of the error tree.
PROBLEM_OF: dict[type[ReservationsError], str] = {
    ReservationNotFoundError: "not_found",
    InvalidReservationCodeError: "not_found",
    NotCancellableError: "not_cancellable",
    IdempotencyKeyReusedError: "idempotency_key_reused",
    InvalidMoneyError: "service_unavailable",  # a stored one: what a body says is judged field by field
    RequestInFlightError: "request_in_flight",
    DatabaseBusyError: "busy_try_again",
    DatabaseUnavailableError: "service_unavailable",
    DuplicateCodeError: "service_unavailable",
    KnowledgeLostError: "service_unavailable",
    VoucherNotDrawnError: "service_unavailable",
    SchemaOutdatedError: "service_unavailable",
    QueueUnavailableError: "service_unavailable",
    DocumentStoreUnavailableError: "service_unavailable",
    SettingsError: "service_unavailable",
}


def problem_of(error: ReservationsError) -> Problem:
    """The problem a client is shown for one of our errors."""
    if isinstance(error, DatabaseUnavailableError) and error.effect_unknown:
        return CATALOGUE["gateway_timeout"]
    return CATALOGUE[PROBLEM_OF[type(error)]]


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the body; `pointer` is a JSON Pointer (RFC 6901)."""

    pointer: str
    code: str
    message: Text


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, code: str, *, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(code)
        self.problem = CATALOGUE[code]
        self.errors = errors
