"""POST /v1/webhooks/{provider}: a provider says that something changed; we will ask what."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.receive_webhook import receive_webhook
from reservations.domain.facts import Provider
from reservations.entrypoints import http, observability, webhooks
from reservations.entrypoints.problems import ProblemError

app = http.resolver(config.WebhookSettings)


@app.post("/v1/webhooks/<provider>")
def post_webhook(provider: str) -> Response[str]:
    if provider not in set(Provider):
        raise ProblemError("not_found")
    sender = Provider(provider)
    event = webhooks.verified(
        app.current_event,
        provider=sender,
        secrets=wiring.webhook_settings().of(sender),
        now=datetime.now(UTC),
    )
    if event is None:
        observability.report("webhook of an unknown type", metric="WebhookUnknownType")
        return Response(HTTPStatus.OK)
    received = receive_webhook(event, uow=wiring.unit_of_work(), policy=wiring.policy())
    observability.report(
        "webhook received",
        metric=f"Webhook{received.name.title().replace('_', '')}",
        type=event.type,
    )
    return Response(HTTPStatus.OK)


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return http.resolve(app, event, context)
