"""POST /v1/webhooks/{provider}: a provider announces a change, and we inquire about it."""

import os
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from reservations import config
from reservations.application.ports import WebhookEvent
from reservations.application.receive_webhook import Received, receive_webhook
from reservations.domain.errors import DefectError
from reservations.domain.facts import Provider
from reservations.domain.identifiers import uuid7
from reservations.entrypoints import http, observability, rehearsal, webhooks
from reservations.entrypoints.problems import ProblemError
from reservations.services import Services

SETTINGS = tuple(row.webhooks for row in config.PROVIDERS.values())


def make_handler(services: Services) -> observability.Handler:
    app = http.resolver(services, *SETTINGS)
    app.post("/v1/webhooks/<provider>")(lambda provider: post_webhook(app, services, provider))
    return http.function(app, services, rehearse=lambda _: hear_of_nothing(services))


def post_webhook(app: APIGatewayRestResolver, services: Services, provider: str) -> Response[str]:
    if provider not in set(Provider):
        raise ProblemError("not_found")
    sender = Provider(provider)
    event = webhooks.verified(
        app.current_event,
        provider=sender,
        secrets=services.webhook_secrets(sender),
        now=services.now(),
    )
    if event is None:
        observability.report("webhook without reference", metric="WebhookWithoutReference")
        return Response(HTTPStatus.OK)
    received = receive_webhook(event, cases=services.prompt_cases())
    observability.report(
        "webhook received",
        metric=observability.metric_of("Webhook", received),
        type=event.type,
    )
    return Response(HTTPStatus.OK)


def hear_of_nothing(services: Services) -> dict[str, Any]:
    """Receive a webhook about no reservation, and roll it back.

    Raises:
        DefectError: the reservation was found, or the webhook was known.
    """
    services.prepare(*SETTINGS)
    cases, now = services.cases(), services.now()
    event = WebhookEvent(
        provider=Provider.PAYMENTS,
        webhook_id=str(uuid7(now)),
        type=rehearsal.CLIENT,
        reference=str(uuid7(now)),
    )
    received = receive_webhook(event, cases=replace(cases, uow=rehearsal.uncommitted(cases.uow)))
    if received is not Received.UNKNOWN_REFERENCE:
        raise DefectError(f"a webhook about no reservation: {received}")
    return rehearsal.DONE


lambda_handler = make_handler(Services(os.environ))
