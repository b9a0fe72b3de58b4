"""POST /v1/reservations: accept a request once, answer 202 while the journey runs."""

import os
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from reservations.application.create_reservation import create_reservation
from reservations.domain.clients import DuplicateCharge, QuoteMode
from reservations.entrypoints import (
    answers,
    circumstances,
    http,
    idempotency,
    observability,
)
from reservations.entrypoints.bodies import (
    charge_claim,
    judge_first_use,
    parse_json,
    parse_reservation,
)
from reservations.entrypoints.dry_creation import create_nothing
from reservations.entrypoints.observability import count, logger, report
from reservations.services import Services

SETTINGS = (*answers.SETTINGS, *circumstances.SETTINGS)
OPERATION = "POST /v1/reservations"


def make_handler(services: Services) -> observability.Handler:
    app = http.resolver(services, *SETTINGS)
    app.post("/v1/reservations")(lambda: post_reservation(app, services))
    return http.function(app, services, rehearse=lambda _: create_nothing(services, *SETTINGS))


def post_reservation(app: APIGatewayRestResolver, services: Services) -> Response[str]:
    event = app.current_event
    client_id = http.client_id(event, services.api_settings().api_clients)
    context = circumstances.first_use_by(client_id, services)
    key = http.idempotency_key(event, public=context.modes.public)
    document = parse_json(http.json_body(event))
    body, cases = parse_reservation(document, context=context), services.joined_cases()

    def create(document: dict[str, Any]) -> dict[str, Any]:
        judged = judge_first_use(document, context=context)
        command = judged.to_command(client_id=client_id, language=http.language(event))
        if context.modes.duplicate_charge is DuplicateCharge.REFUSE:
            command = replace(command, claim=charge_claim(command, keys=services.key_ring()))
        contact, kid = services.support_contact(), services.key_ring().current
        # The idempotency store commits this unit of work together with its own record (docs/ADR/ADR-002).
        with cases.uow:
            reservation = create_reservation(command, cases=cases, token_kid=kid)
        return answers.stored_answer(reservation, policy=cases.policy, support_contact=contact)

    stored, replayed = idempotency.once(
        create,
        document,
        scope=idempotency.KeyScope(client_id=client_id, operation=OPERATION, key=key),
        fingerprint=body.fingerprint(),
        make_store=services.idempotency_store,
        app=app,
    )
    about = {"reservation_id": stored["reservation_id"]}
    if replayed:
        logger.info("reservation replayed", extra=about)
    else:
        cases.send_hints()
        report("reservation accepted", metric="ReservationAccepted", **about)
        if context.modes.quote is QuoteMode.OBSERVE and body.quote is None:
            count("QuoteMissing")
    return answers.created(
        stored, base_url=services.public_base_url(), keys=services.key_ring(), replayed=replayed
    )


lambda_handler = make_handler(Services(os.environ))
