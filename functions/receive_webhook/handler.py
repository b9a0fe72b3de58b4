"""POST /v1/webhooks/{provider}: a provider announces a change, and we inquire about it."""

import os
from http import HTTPStatus

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from reservations import config
from reservations.application.receive_webhook import receive_webhook
from reservations.domain.facts import Provider
from reservations.entrypoints import http, observability, webhooks
from reservations.entrypoints.problems import ProblemError
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    app = http.resolver(services, *(row.webhooks for row in config.PROVIDERS.values()))
    app.post("/v1/webhooks/<provider>")(lambda provider: post_webhook(app, services, provider))
    return http.function(app, services)


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


lambda_handler = make_handler(Services(os.environ))
