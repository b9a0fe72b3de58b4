"""From the queue of mail events: add a bounce or a complaint to its reservation's timeline."""

import os
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.application.record_mail_event import MailEvent, record_mail_event
from reservations.domain.identifiers import uuid7
from reservations.domain.reservation import MailFeedback, MailKind
from reservations.entrypoints import observability, queue, rehearsal
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    @observability.function
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        services.prepare()
        if rehearsal.is_asked(event):
            return rehearsal.find_nothing(lambda: on_event(services, a_bounce(services)))
        return queue.consume_mail_events(event, context, partial(on_event, services), services)

    return handle


def on_event(services: Services, event: MailEvent) -> None:
    if record_mail_event(event, uow=services.unit_of_work()):
        observability.report(
            "mail feedback received",
            metric=observability.metric_of("Mail", event.feedback),
            kind=event.kind,
        )


def a_bounce(services: Services) -> MailEvent:
    """A bounce of a mail about a reservation that does not exist."""
    return MailEvent(
        reservation_id=uuid7(services.now()),
        kind=MailKind.CONFIRMED,
        feedback=MailFeedback.BOUNCED,
    )


lambda_handler = make_handler(Services(os.environ))
