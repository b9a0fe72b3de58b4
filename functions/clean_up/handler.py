"""On a schedule: delete what is past its time, and page when something untrue is stored."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import wiring
from reservations.application.clean_up import clean_up
from reservations.application.oversee import RECENT, check_invariants
from reservations.entrypoints import observability, oversight

CLOSING_MS = 20_000  # a batch has its own time-outs; none begins with less than this left


def retention(context: LambdaContext) -> dict[str, int]:
    cleaned = clean_up(
        lambda: context.get_remaining_time_in_millis() < CLOSING_MS,
        retention=wiring.retention(),
        uow=wiring.unit_of_work(ping=True),
        store=wiring.document_store(),
        policy=wiring.policy(),
    )
    return oversight.report_cleaned(asdict(cleaned))


def invariants(*, recent: timedelta | None) -> dict[str, int]:
    reader = wiring.oversight()
    oversight.report_lag(reader)
    since = reader.now() - recent if recent else None
    return oversight.report_findings(
        check_invariants(reader, policy=wiring.durations(), since=since)
    )


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    wiring.prepare()
    match event["task"]:
        case "retention":
            return retention(context)
        case "invariants":
            return invariants(recent=RECENT)
        case "audit":
            return invariants(recent=None)
        case unknown:
            raise ValueError(f"no such task: {unknown}")
