"""On a schedule: delete records past their retention, or check the invariants, whose alarm pages."""

import os
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.application.clean_up import clean_up
from reservations.application.oversee import RECENT, check_invariants
from reservations.entrypoints import observability, oversight, rehearsal
from reservations.services import Services

CLOSING_MS = 20_000  # no batch begins with less time left: its own timeouts need it


def make_handler(services: Services) -> observability.Handler:
    @observability.function
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        services.prepare()
        if rehearsal.is_asked(event):
            return rehearsal.reach_database(services)
        match event["task"]:
            case "retention":
                return retention(services, context)
            case "invariants":
                return invariants(services, recent=RECENT)
            case "audit":
                return invariants(services, recent=None)
            case unknown:
                raise ValueError(f"no such task: {unknown}")

    return handle


def retention(services: Services, context: LambdaContext) -> dict[str, int]:
    cleaned = clean_up(
        lambda: context.get_remaining_time_in_millis() < CLOSING_MS,
        retention=services.retention(),
        cases=services.cases(),
        store=services.document_store,
    )
    return oversight.report_cleaned(asdict(cleaned))


def invariants(services: Services, *, recent: timedelta | None) -> dict[str, int]:
    reader = services.oversight()
    oversight.report_lag(reader)
    since = reader.now() - recent if recent else None
    return oversight.report_findings(
        check_invariants(reader, policy=services.durations(), since=since)
    )


lambda_handler = make_handler(Services(os.environ))
