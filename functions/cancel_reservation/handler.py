"""POST /v1/reservations/{code}/cancel: cancel a reservation, once per idempotency key."""

import os
from functools import partial
from typing import Any
from uuid import UUID

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from reservations import config
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.application.read_reservation import read_reservation
from reservations.domain.errors import NotCancellableError
from reservations.entrypoints import answers, dry_cancellation, http, idempotency, observability
from reservations.entrypoints.observability import logger, report
from reservations.services import Services

OPERATION = "POST /v1/reservations/{code}/cancel"


def make_handler(services: Services) -> observability.Handler:
    app = http.resolver(services, *answers.SETTINGS, config.ClientSettings)
    app.post("/v1/reservations/<code>/cancel")(lambda code: post_cancellation(app, services, code))
    rehearse = partial(dry_cancellation.cancel_nothing, app, services)
    return http.function(app, services, rehearse=rehearse)


def post_cancellation(app: APIGatewayRestResolver, services: Services, code: str) -> Response[str]:
    event = app.current_event
    reader = http.reader(event, services.api_settings().api_clients)
    key = http.idempotency_key(event, public=services.client_modes(reader.client_id).public)
    # Check access before the key: a stranger must not even learn that a key was used.
    owned = read_reservation(
        http.path_text(code), reader=reader, uow=services.unit_of_work(), keys=services.key_ring()
    )
    cases = services.joined_cases()
    stored, replayed = idempotency.once(
        partial(_cancel, app, services, cases),
        owned.reservation_id,
        scope=idempotency.KeyScope(client_id=reader.client_id, operation=OPERATION, key=key),
        fingerprint={"code": owned.code},
        make_store=services.idempotency_store,
        app=app,
    )
    about = {"reservation_id": str(owned.reservation_id)}
    if replayed:
        logger.info("cancellation replayed", extra=about)
    elif not answers.is_refusal(stored):
        cases.send_hints()
        report("cancellation accepted", metric="CancellationAccepted", **about)
    return answers.cancelled(stored, base_url=services.public_base_url(), replayed=replayed)


def _cancel(
    app: APIGatewayRestResolver, services: Services, cases: Cases, reservation_id: UUID
) -> dict[str, Any]:
    # The idempotency store commits this unit of work together with its own record (docs/ADR/ADR-002).
    with cases.uow as uow:
        try:
            reservation = cancel_reservation(reservation_id, cases=cases)
        except NotCancellableError:
            # Return the refusal, which is replayed too: an exception would delete the record.
            return answers.stored_refusal("not_cancellable", app.current_event)
        now = uow.now()
    return answers.stored_cancellation(
        reservation, now=now, policy=cases.policy, support_contact=services.support_contact()
    )


lambda_handler = make_handler(Services(os.environ))
