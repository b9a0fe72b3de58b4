"""Errors a client may see: RFC 9457 problem details, one catalogue for code, documents and tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    PaymentInProgressError,
    QueueUnavailableError,
    RequestInFlightError,
    ReservationNotFoundError,
    ReservationsError,
    SchemaOutdatedError,
    SettingsError,
    StatementRefusedError,
    VoucherNotDrawnError,
)
from reservations.domain.reservation import Language
from reservations.texts.compiled import PROBLEMS

TYPE_BASE = "https://reservations.example/problems/"  # RFC 2606: a name that never resolves

Effect = Literal["none", "unknown", "accepted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One entry of the catalogue. `effect` says whether the request did anything.

    The gateway's own answers show the entry in both languages at once: it cannot choose.
    """

    code: str
    status: HTTPStatus
    retry_after_s: int | None = None
    effect: Effect = "none"

    @property
    def type(self) -> str:
        return TYPE_BASE + self.code

    @property
    def retryable(self) -> bool:
        return self.retry_after_s is not None

    def title(self, language: Language) -> str:
        return PROBLEMS[language][self.code]["title"]

    def detail(self, language: Language) -> str:
        return PROBLEMS[language][self.code]["detail"]


_CATALOGUE = (
    Problem(code="idempotency_key_missing", status=HTTPStatus.BAD_REQUEST),
    Problem(code="idempotency_key_invalid", status=HTTPStatus.BAD_REQUEST),
    Problem(code="idempotency_key_reused", status=HTTPStatus.UNPROCESSABLE_ENTITY),
    Problem(code="request_in_flight", status=HTTPStatus.CONFLICT, retry_after_s=1),
    Problem(code="payment_in_progress", status=HTTPStatus.CONFLICT),
    Problem(code="malformed_json", status=HTTPStatus.BAD_REQUEST),
    Problem(code="validation_failed", status=HTTPStatus.UNPROCESSABLE_ENTITY),
    Problem(code="body_too_large", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    Problem(code="unsupported_media_type", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    Problem(code="unauthorized", status=HTTPStatus.UNAUTHORIZED),
    Problem(code="not_found", status=HTTPStatus.NOT_FOUND),
    Problem(code="method_not_allowed", status=HTTPStatus.METHOD_NOT_ALLOWED),
    Problem(code="rate_limited", status=HTTPStatus.TOO_MANY_REQUESTS, retry_after_s=5),
    Problem(code="quota_exceeded", status=HTTPStatus.TOO_MANY_REQUESTS, retry_after_s=3600),
    Problem(code="not_cancellable", status=HTTPStatus.CONFLICT),
    Problem(code="service_unavailable", status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=5),
    Problem(code="busy_try_again", status=HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=1),
    Problem(
        code="gateway_timeout",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after_s=5,
        effect="unknown",
    ),
    Problem(code="webhook_signature_invalid", status=HTTPStatus.UNAUTHORIZED),
    Problem(code="webhook_stale", status=HTTPStatus.UNAUTHORIZED),
)

CATALOGUE = {problem.code: problem for problem in _CATALOGUE}

# The one table from errors to problems; a test keeps it total over the leaves of the error tree.
PROBLEM_OF: dict[type[ReservationsError], str] = {
    ReservationNotFoundError: "not_found",
    InvalidReservationCodeError: "not_found",
    NotCancellableError: "not_cancellable",
    IdempotencyKeyReusedError: "idempotency_key_reused",
    PaymentInProgressError: "payment_in_progress",
    InvalidMoneyError: "service_unavailable",  # a stored sum: those of a body are checked field by field
    RequestInFlightError: "request_in_flight",
    DatabaseBusyError: "busy_try_again",
    DatabaseUnavailableError: "service_unavailable",
    DuplicateCodeError: "service_unavailable",
    KnowledgeLostError: "service_unavailable",
    StatementRefusedError: "service_unavailable",
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
    """One fault of the body. `pointer` is a JSON Pointer (RFC 6901), `params` holds limits only."""

    pointer: str
    code: str
    params: Mapping[str, int | str] = field(default_factory=dict)


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, code: str, *, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(code)
        self.problem = CATALOGUE[code]
        self.errors = errors
