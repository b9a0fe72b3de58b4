"""POST /v1/reservations/{code}/cancel: take a reservation back once, whatever it has come to."""

from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.read_reservation import read_reservation
from reservations.domain.errors import NotCancellableError
from reservations.entrypoints import answers, http, idempotency, observability

OPERATION = "POST /v1/reservations/{code}/cancel"

app = http.resolver(config.AccessTokenSettings, config.ApiSettings)


@app.post("/v1/reservations/<code>/cancel")
def post_cancellation(code: str) -> Response[str]:
    event = app.current_event
    reader = http.reader(event, wiring.api_settings().api_clients)
    key = http.idempotency_key(event)
    # Whose reservation it is comes first: a stranger must not even learn that a key was used.
    owned = read_reservation(
        http.path_text(code), reader=reader, uow=wiring.unit_of_work(), keys=wiring.key_ring()
    )
    stored, replayed = idempotency.once(
        _cancel,
        owned.reservation_id,
        scope=idempotency.KeyScope(client_id=reader.client_id, operation=OPERATION, key=key),
        fingerprint={"code": owned.code},
        context=app.lambda_context,
    )
    http.has_acted(app)
    if not replayed and not answers.is_refusal(stored):
        observability.report("cancellation accepted", metric="CancellationAccepted")
    return answers.cancelled(stored, base_url=wiring.public_base_url(), replayed=replayed)


def _cancel(reservation_id: UUID) -> dict[str, Any]:
    # The idempotency store commits this unit of work together with its own record (docs/ADR/ADR-002).
    policy = wiring.policy()
    with wiring.joined_unit_of_work() as uow:
        try:
            reservation = cancel_reservation(reservation_id, uow=uow, policy=policy)
        except NotCancellableError:
            # Returned, as an exception would have the record deleted: a refusal is replayed too.
            return answers.stored_refusal("not_cancellable", app.current_event)
        now = uow.now()
    return answers.stored_cancellation(reservation, now=now, policy=policy)


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return http.resolve(app, event, context)
