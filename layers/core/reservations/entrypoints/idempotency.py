"""Run a function once per idempotency key. Every further request with the key gets the first answer."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.shared.constants import IDEMPOTENCY_DISABLED_ENV
from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random

from reservations.adapters.mysql.address import ANSWER_SECONDS
from reservations.adapters.mysql.idempotency import Conclusion, MySqlIdempotencyStore
from reservations.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    DuplicateCodeError,
    IdempotencyKeyReusedError,
    RequestInFlightError,
    ReservationsError,
    SettingsError,
)
from reservations.entrypoints import http
from reservations.entrypoints.observability import count

ATTEMPTS = 3
PAUSE_S = (0.02, 0.2)  # seconds, drawn at random, so that colliding requests do not collide again
# No attempt is repeated with less time left than an answer may take.
RETRY_MS = (ANSWER_SECONDS + 1) * 1000

Command = TypeVar("Command")
Answer = dict[str, Any]
MakeStore = Callable[..., MySqlIdempotencyStore]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyScope:
    """Client and operation of a key. `operation` is a literal that outlives any function's name."""

    client_id: str
    operation: str
    key: str


def once(
    function: Callable[[Command], Answer],
    command: Command,
    *,
    scope: KeyScope,
    fingerprint: dict[str, Any],
    make_store: MakeStore,
    app: APIGatewayRestResolver,
) -> tuple[Answer, bool]:
    """Return the stored answer and whether it was replayed. `function` joins the store's transaction.

    After the return, no failure of the request in `app` denies that it acted.

    A deadlock undoes the whole transaction, and a code that is taken needs another. So all of it is repeated, in at
    most `ATTEMPTS` attempts, if time is left.

    Raises:
        IdempotencyKeyReusedError: the key was used with another fingerprint.
        RequestInFlightError: another request holds the key for longer than the server's lock wait.
        UnavailableError: nothing was stored, or (`effect_unknown`) the commit's outcome is unknown.
    """
    if os.environ.get(IDEMPOTENCY_DISABLED_ENV):
        raise SettingsError(
            f"{IDEMPOTENCY_DISABLED_ENV} must not be set: nothing would be committed"
        )

    def enough(tried: RetryCallState) -> bool:
        too_late = app.lambda_context.get_remaining_time_in_millis() < RETRY_MS
        return too_late or tried.attempt_number >= ATTEMPTS

    again = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=enough,
        wait=wait_random(*PAUSE_S),
        reraise=True,
    )
    stored: tuple[Answer, bool] = again(
        lambda: _once(
            function,
            command,
            scope=scope,
            fingerprint=fingerprint,
            store=make_store(client_id=scope.client_id, operation=scope.operation, key=scope.key),
            context=app.lambda_context,
        )
    )
    http.has_acted(app)
    return stored


def _once(
    function: Callable[[Command], Answer],
    command: Command,
    *,
    scope: KeyScope,
    fingerprint: dict[str, Any],
    store: MySqlIdempotencyStore,
    context: LambdaContext,
) -> tuple[Answer, bool]:
    run = idempotent_function(
        lambda *, request: function(command),
        data_keyword_argument="request",
        persistence_store=store,
        config=IdempotencyConfig(
            event_key_jmespath="[client_id, key]",
            payload_validation_jmespath="fingerprint",
            raise_on_no_idempotency_key=True,
            hash_function="sha256",
            lambda_context=context,
        ),
        key_prefix=scope.operation,
    )
    request = {"client_id": scope.client_id, "key": scope.key, "fingerprint": fingerprint}
    try:
        answer: Answer = run(request=request)
    except IdempotencyValidationError as error:
        count("IdempotencyKeyReused")
        raise IdempotencyKeyReusedError from error
    except IdempotencyAlreadyInProgressError as error:
        raise RequestInFlightError from error
    except IdempotencyPersistenceLayerError as error:
        raise _cause(error) from error
    finally:
        store.release()
    if store.conclusion is None:
        raise DatabaseUnavailableError("the answer was not stored")
    return answer, store.conclusion is Conclusion.REPLAYED


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, DatabaseBusyError):
        return error.deadlock
    return isinstance(error, DuplicateCodeError)


def _cause(error: IdempotencyPersistenceLayerError) -> BaseException:
    """Unwrap our own error from that of Powertools, as it says more."""
    return error.__cause__ if isinstance(error.__cause__, ReservationsError) else error
