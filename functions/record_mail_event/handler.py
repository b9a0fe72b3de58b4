"""From the queue of what SES says: put a bounce or a complaint on its reservation's timeline."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import wiring
from reservations.application.record_mail_event import MailEvent, record_mail_event
from reservations.entrypoints import observability, queue


def on_event(event: MailEvent) -> None:
    if record_mail_event(event, uow=wiring.unit_of_work(ping=True)):
        observability.report(
            "mail came back", metric=f"Mail{event.feedback.name.title()}", kind=event.kind
        )


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    wiring.prepare()
    return queue.consume_mail_events(event, context, on_event)
