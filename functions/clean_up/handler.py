"""On a schedule, each in slices: delete expired records, check what changed, audit all reservations."""

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.application.clean_up import RETENTION, clean_up
from reservations.application.oversee import AUDIT, audit_slice, check_changes, check_found
from reservations.entrypoints import observability, oversight, rehearsal
from reservations.services import Services

CLOSING_MS = 20_000  # no batch begins with less time left: its own timeouts need it


def make_handler(services: Services) -> observability.Handler:
    @observability.function
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        services.prepare()
        if rehearsal.is_asked(event):
            return rehearsal.reach_database(services)

        def finished() -> bool:
            return context.get_remaining_time_in_millis() < CLOSING_MS

        match event["task"]:
            case "retention":
                return retention(services, finished)
            case "invariants":
                return invariants(services, finished)
            case "audit":
                return audit(services, finished)
            case unknown:
                raise ValueError(f"no such task: {unknown}")

    return handle


def retention(services: Services, finished: Callable[[], bool]) -> dict[str, int]:
    checkpoints = services.checkpoints()
    cleaned = clean_up(
        finished,
        retention=services.retention(),
        checkpoints=checkpoints,
        cases=services.cases(),
        store=services.document_store,
    )
    return oversight.report_cleaned(asdict(cleaned), checkpoints.get(RETENTION))


def invariants(services: Services, finished: Callable[[], bool]) -> dict[str, int]:
    oversight.report_lag(services.oversight())
    reader, policy = services.audit(), services.durations()
    check_changes(finished, audit=reader, checkpoints=services.checkpoints(), policy=policy)
    return oversight.report_findings(check_found(finished, audit=reader, policy=policy))


def audit(services: Services, finished: Callable[[], bool]) -> dict[str, int]:
    checkpoints = services.checkpoints()
    checked = audit_slice(
        finished, audit=services.audit(), checkpoints=checkpoints, policy=services.durations()
    )
    return oversight.report_audited(asdict(checked), checkpoints.get(AUDIT))


lambda_handler = make_handler(Services(os.environ))
