"""The HTTP edge: reads requests and builds their answers, JSON or a problem."""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config
from reservations.application.read_reservation import Reader
from reservations.domain.codes import canonical, display
from reservations.domain.errors import (
    DefectError,
    InvalidReservationCodeError,
    PaymentInProgressError,
    ReservationsError,
)
from reservations.domain.reservation import Language
from reservations.entrypoints import observability, rehearsal
from reservations.entrypoints.observability import Handler, count, count_defect, logger
from reservations.entrypoints.problems import (
    CATALOGUE,
    FieldError,
    Problem,
    ProblemError,
    problem_of,
)
from reservations.texts.compiled import FAULTS

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
EXPOSED = "Location, Retry-After, ETag, Idempotency-Replayed, Content-Language, X-Request-Id"
VARY = "x-api-key, Authorization, Accept-Language"

# Method of each address. ANY in the template routes the others here too, for a 405 (RFC 9110, section 15.5.6).
METHOD_OF = {
    "/v1/reservations": "POST",
    "/v1/reservations/lookup": "POST",
    "/v1/reservations/{code}": "GET",
    "/v1/reservations/{code}/timeline": "GET",
    "/v1/reservations/{code}/voucher": "GET",
    "/v1/reservations/{code}/cancel": "POST",
    "/v1/webhooks/{provider}": "POST",
    "/v1/health": "GET",
}

# RFC 9110, section 9.1: HEAD where there is GET.
ALLOW = {"GET": "GET, HEAD, OPTIONS", "POST": "POST, OPTIONS"}

MAX_BODY_BYTES = 64 * 1024
_LONGEST_LIST = 512  # browsers send up to some 200
_LONGEST_BEARER = 256
LONGEST_KEY = 255
# All travelers of a public client share one scope, so a key such as `1` would meet another's.
SHORTEST_KEY = {True: 16, False: 1}
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # RFC 9651, section 3.3.3: a string
_KEY = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]+) *", re.IGNORECASE)  # RFC 6750, section 2.1
_ACTED = "acted"
_KEY_HELP = f'<{CATALOGUE["idempotency_key_missing"].type}>; rel="describedby"'


class Services(Protocol):
    """The part of the composition root that this edge needs."""

    def prepare(self, *own: type[config.Settings]) -> None: ...
    def allowed_origin(self) -> str: ...


def resolver(services: Services, *settings: type[config.Settings]) -> APIGatewayRestResolver:
    """A resolver that answers every failure with a problem, never a 500. No route runs without its `settings`."""
    app = APIGatewayRestResolver()

    def prepared(app: APIGatewayRestResolver, route: NextMiddleware) -> Response[str]:
        event = app.current_event
        # `{code}` matches the last part of another address too.
        if METHOD_OF.get(event.resource, event.http_method) != event.http_method:
            raise NotFoundError
        services.prepare(*settings)
        answer: Response[str] = route(app)
        return answer

    def unknown_route(_: Exception) -> Response[str]:
        event = app.current_event
        method = METHOD_OF.get(event.resource)
        if method is None or method == event.http_method:
            return problem_response(CATALOGUE["not_found"], event)
        answer = problem_response(CATALOGUE["method_not_allowed"], event)
        answer.headers["Allow"] = ALLOW[method]
        return answer

    def refused(error: ProblemError) -> Response[str]:
        return problem_response(error.problem, app.current_event, errors=error.errors)

    def failed(problem: Problem) -> Response[str]:
        told = CATALOGUE["gateway_timeout"] if app.context.get(_ACTED) else problem
        return problem_response(told, app.current_event)

    def ours(error: ReservationsError) -> Response[str]:
        problem = problem_of(error)
        if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            if not isinstance(error, PaymentInProgressError):
                return problem_response(problem, app.current_event)
            count("PaymentInProgress")
            return problem_response(problem, app.current_event, other=error.reservation_code)
        logger.exception("request failed", extra={"code": error.code})
        if isinstance(error, DefectError):
            count_defect("UnhandledError")
        else:
            count("RequestUnavailable")
        return failed(problem)

    def unexpected(_: Exception) -> Response[str]:
        logger.exception("request failed unexpectedly")
        count_defect("UnhandledError")
        return failed(CATALOGUE["service_unavailable"])

    app.use(middlewares=[prepared])
    app.not_found(unknown_route)
    app.exception_handler(ProblemError)(refused)
    app.exception_handler(ReservationsError)(ours)
    app.exception_handler(Exception)(unexpected)
    return app


def has_acted(app: APIGatewayRestResolver) -> None:
    """Note that the request's effect is stored: no failure from here on may deny it."""
    app.context[_ACTED] = True


def function(
    app: APIGatewayRestResolver,
    services: Services,
    *,
    rehearse: Callable[[LambdaContext], dict[str, Any]],
) -> Handler:
    """A function that answers requests. HEAD is answered as GET, without a body (RFC 9110, section 9.3.2).

    `rehearse` answers a rehearsal, which is no request.

    Pages of the allowed origin may read its answers. See https://fetch.spec.whatwg.org/#http-cors-protocol.
    """

    @observability.function
    def resolve(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        if rehearsal.is_asked(event):
            return rehearse(context)
        as_head = event["httpMethod"] == "HEAD" and METHOD_OF.get(event["resource"]) == "GET"
        answer = app.resolve(event | {"httpMethod": "GET"} if as_head else event, context)
        if answer["statusCode"] >= HTTPStatus.BAD_REQUEST:
            _log_error(answer["statusCode"], event)
        if event["httpMethod"] == "HEAD":
            answer |= {"body": "", "isBase64Encoded": False}
        answer["multiValueHeaders"] |= {
            "Access-Control-Allow-Origin": [services.allowed_origin()],
            "Access-Control-Expose-Headers": [EXPOSED],
            "X-Request-Id": [_request_id(APIGatewayProxyEvent(event))],
        }
        return answer

    return resolve


def _log_error(status: int, event: Mapping[str, Any]) -> None:
    """Log an error's request, which its caller knows by the id, and the reservation that its path names."""
    facts: dict[str, str | int] = {"http_status": status}
    segment = (event.get("pathParameters") or {}).get("code", "")
    with suppress(InvalidReservationCodeError):  # any text: it is not logged
        facts["reservation_code"] = display(canonical(path_text(segment)))
    logger.info("error answered", extra=facts)


def client_id(event: APIGatewayProxyEvent, clients: Mapping[str, str]) -> str:
    """The API client behind the gateway's API key.

    Raises:
        ProblemError: the key belongs to no client of ours.
    """
    key_id = event.request_context.identity.api_key_id
    if key_id is None or key_id not in clients:
        raise ProblemError("unauthorized")
    return clients[key_id]


def reader(event: APIGatewayProxyEvent, clients: Mapping[str, str]) -> Reader:
    """
    Raises:
        ProblemError: no client, or no bearer token. The use case checks the token.
    """
    authorization = header(event, "Authorization") or ""
    if len(authorization) > _LONGEST_BEARER or _is_repeated(event, "Authorization"):
        raise ProblemError("unauthorized")
    match = _BEARER.fullmatch(authorization)
    if match is None:
        raise ProblemError("unauthorized")
    return Reader(client_id=client_id(event, clients), access_token=match[1])


def header(event: APIGatewayProxyEvent, name: str) -> str | None:
    value: str | None = event.headers.get(name)  # Powertools looks names up case-insensitively
    return value


def _is_repeated(event: APIGatewayProxyEvent, name: str) -> bool:
    """Detect a repeated header: `headers` has only its last value."""
    return len(event.multi_value_headers.get(name, [])) > 1


def path_text(segment: str) -> str:
    """Decode a segment of the path: a REST API's `path` keeps its percent-encoding."""
    return unquote(segment)


def is_head(event: APIGatewayProxyEvent) -> bool:
    """Whether the caller sent HEAD, which `function` routes as GET."""
    return event.request_context.http_method == "HEAD"


def idempotency_key(event: APIGatewayProxyEvent, *, public: bool) -> str:
    """Read the key, quoted or not: both are one. `public` clients need a long one.

    Raises:
        ProblemError: the header is missing, malformed or repeated. Such a key is never looked up.
    """
    value = header(event, "Idempotency-Key")
    if value is None:
        raise ProblemError("idempotency_key_missing")
    if len(value) > 2 * LONGEST_KEY + 2:  # each character escaped, and the quotes
        raise ProblemError("idempotency_key_invalid")
    key = value
    if value.startswith('"'):
        quoted = _QUOTED_KEY.fullmatch(value)
        key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    sized = SHORTEST_KEY[public] <= len(key) <= LONGEST_KEY
    if not sized or not _KEY.fullmatch(key) or _is_repeated(event, "Idempotency-Key"):
        raise ProblemError("idempotency_key_invalid")
    return key


def json_body(event: APIGatewayProxyEvent) -> bytes:
    """The raw body of a JSON request.

    Raises:
        ProblemError: `unsupported_media_type`, or see `raw_body`.
    """
    media_type = (header(event, "Content-Type") or "").partition(";")[0].strip().lower()
    if media_type != JSON:
        raise ProblemError("unsupported_media_type")
    return raw_body(event)


def raw_body(event: APIGatewayProxyEvent) -> bytes:
    """The body's own bytes, as its sender signed or encoded them.

    Raises:
        ProblemError: `body_too_large`, before any other work, or `malformed_json` for a body that does not match its
            encoding.
    """
    body = event.body or ""
    if len(body) > 2 * MAX_BODY_BYTES:  # base64 is a third longer
        raise ProblemError("body_too_large")
    try:
        raw = b64decode(body, validate=True) if event.is_base64_encoded else body.encode()
    except ValueError as error:
        raise ProblemError("malformed_json") from error
    if len(raw) > MAX_BODY_BYTES:
        raise ProblemError("body_too_large")
    return raw


def wants_json(event: APIGatewayProxyEvent) -> bool:
    """True if the caller names JSON and does not refuse it. `*/*` gets a redirect (RFC 9110, section 12.5.1)."""
    choices = [choice.partition(";") for choice in _listed(event, "Accept")]
    return any(
        media.strip().lower() == JSON and _weight(parameters) != 0.0
        for media, _, parameters in choices
    )


def wants_inline(event: APIGatewayProxyEvent) -> bool:
    """True if the caller asks to show a document. Any other `disposition` downloads it."""
    return bool(event.query_string_parameters.get("disposition") == "inline")


def language(event: APIGatewayProxyEvent) -> Language:
    """Spanish, unless the caller prefers English or refuses Spanish (RFC 9110, section 12.5.4).

    `*` stands for each language that is not named. Weight 0 refuses.
    """
    weights: dict[str, float] = {}
    for choice in _listed(event, "Accept-Language"):
        tag, _, parameters = choice.partition(";")
        primary, weight = tag.strip().lower().partition("-")[0], _weight(parameters)
        if weight is not None:
            weights[primary] = max(weights.get(primary, 0.0), weight)
    spanish, english = (_preference(weights.get(name, weights.get("*"))) for name in ("es", "en"))
    return Language.ENGLISH if english > spanish else Language.SPANISH


def _listed(event: APIGatewayProxyEvent, name: str) -> list[str]:
    return (header(event, name) or "")[:_LONGEST_LIST].split(",")


def _preference(weight: float | None) -> float:
    """Rank a refused language below one that is not named at all."""
    return 0.0 if weight is None else weight or -1.0


def _weight(parameters: str) -> float | None:
    """The weight among parameters (RFC 9110, section 12.4.2); 1 without one, `None` if it is malformed."""
    weight = re.search(r"(?:^|;)\s*q=([^;]*)$", parameters, re.IGNORECASE)
    if weight is None:
        return 1.0
    value = weight[1].strip()
    return float(value) if re.fullmatch(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", value) else None


def json_response(
    status: HTTPStatus,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    language: Language | None = None,
) -> Response[str]:
    """Sort the members, so that a replay repeats the first answer byte for byte."""
    spoken = {"Content-Language": language.value} if language else {}
    return Response(status, JSON, to_json(body), headers={"Vary": VARY, **spoken, **headers})


def problem_response(
    problem: Problem,
    event: APIGatewayProxyEvent,
    *,
    errors: tuple[FieldError, ...] = (),
    other: str | None = None,
) -> Response[str]:
    """`other` is the code of the reservation that stands in the way."""
    body, headers = problem_parts(problem, event, errors=errors)
    if other is not None:
        body["reservation_code"] = display(other)
    return Response(problem.status, PROBLEM_JSON, to_json(body), headers=headers)


def problem_parts(
    problem: Problem, event: APIGatewayProxyEvent, *, errors: tuple[FieldError, ...] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Body and headers of RFC 9457, in the caller's language. They repeat no text of the request."""
    spoken = language(event)
    request_id = _request_id(event)
    body = {
        "type": problem.type,
        "title": problem.title(spoken),
        "status": int(problem.status),
        "detail": problem.detail(spoken),
        "instance": f"urn:uuid:{request_id}",
        "code": problem.code,
        "request_id": request_id,
        "retryable": problem.retryable,
        "retry_after_s": problem.retry_after_s,
        "effect": problem.effect,
        "errors": [
            {
                "pointer": e.pointer,
                "code": e.code,
                "message": FAULTS[spoken][e.code],
                "params": dict(e.params),
            }
            for e in errors
        ],
    }
    headers = {"Content-Language": spoken.value, "Cache-Control": "no-store", "Vary": VARY}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if problem.code == "idempotency_key_missing":
        headers["Link"] = _KEY_HELP
    return body, headers


def _request_id(event: APIGatewayProxyEvent) -> str:
    """The gateway's id of the request, which our logs carry too."""
    return event.request_context.request_id or "00000000-0000-0000-0000-000000000000"


def to_json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
