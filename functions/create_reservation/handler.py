"""POST /v1/reservations: accept a request once, answer 202 while the journey runs."""

from datetime import UTC, date, datetime
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.create_reservation import CreateReservation, create_reservation
from reservations.entrypoints import answers, http, idempotency, observability
from reservations.entrypoints.bodies import parse_reservation, refuse_past

OPERATION = "POST /v1/reservations"

app = http.resolver(config.AccessTokenSettings, config.ApiSettings)


@app.post("/v1/reservations")
def post_reservation() -> Response[str]:
    event = app.current_event
    client_id = http.client_id(event, wiring.api_settings().api_clients)
    key = http.idempotency_key(event)
    body = parse_reservation(http.json_body(event), today=_today())
    command = body.to_command(client_id=client_id, language=http.language(event))
    stored, replayed = idempotency.once(
        _create,
        command,
        scope=idempotency.KeyScope(client_id=client_id, operation=OPERATION, key=key),
        fingerprint=body.fingerprint(),
        context=app.lambda_context,
    )
    http.has_acted(app)
    if not replayed:
        observability.report("reservation accepted", metric="ReservationAccepted")
    return answers.created(
        stored, base_url=wiring.public_base_url(), keys=wiring.key_ring(), replayed=replayed
    )


def _today() -> date:
    return datetime.now(UTC).date()


def _create(command: CreateReservation) -> dict[str, Any]:
    # Only here, on the key's first use: a repeat after midnight gets the stored answer.
    refuse_past(command.offer.starts_on, today=_today())
    # The idempotency store commits this unit of work together with its own record (docs/ADR/ADR-002).
    policy = wiring.policy()
    with wiring.joined_unit_of_work() as uow:
        reservation = create_reservation(
            command, uow=uow, policy=policy, token_kid=wiring.key_ring().current
        )
    return answers.stored_answer(reservation, now=reservation.updated_at, policy=policy)


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return http.resolve(app, event, context)
