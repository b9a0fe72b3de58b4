"""Every minute, for a little over a minute: publish stored hints and wake due reservations."""

import os
import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.application.poll_outbox import poll_until
from reservations.entrypoints import observability, rehearsal
from reservations.services import Services

RUN_S = 61  # the next run begins before this one ends, so that nothing waits in between
CLOSING_MS = 59_000  # no round begins with less time left: its own timeouts need it


def make_handler(services: Services) -> observability.Handler:
    @observability.function
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        services.prepare()
        if rehearsal.is_asked(event):
            return rehearsal.reach_database(services)
        return poll(services, context)

    return handle


def poll(services: Services, context: LambdaContext) -> dict[str, Any]:
    ends_at = time.monotonic() + RUN_S
    polled = poll_until(
        lambda: time.monotonic() >= ends_at or context.get_remaining_time_in_millis() < CLOSING_MS,
        uow=services.unit_of_work(),
        publisher=services.publisher,
        policy=services.policy(),
        pause=time.sleep,
    )
    counts = {
        "published": polled.published,
        "woken": polled.woken,
        "looked": polled.looked,
        "unanswered": polled.unanswered,
        "dead": polled.dead,
    }
    observability.logger.info("outbox polled", extra=counts)
    if polled.dead:
        observability.count("OutboxDead")
    if polled.outage:
        raise polled.outage
    return counts


lambda_handler = make_handler(Services(os.environ))
