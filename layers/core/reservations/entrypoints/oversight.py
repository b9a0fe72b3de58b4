"""What is measured of the whole: the alarms stand on these names."""

from collections.abc import Mapping, Sequence

from aws_lambda_powertools.metrics import MetricUnit

from reservations.application.oversee import INVARIANTS
from reservations.application.ports import Finding, Oversight
from reservations.domain.codes import display
from reservations.entrypoints.observability import logger, measure

_LOGGED = 10  # findings of one invariant that are named in the log
_COUNTED = 1000  # reservations in review: more are told as so many


def report_findings(found: Mapping[str, Sequence[Finding]]) -> dict[str, int]:
    """One metric for each invariant and one for all; each finding by its code, for whoever is paged."""
    counts = {name: len(findings) for name, findings in found.items()}
    for name, findings in found.items():
        measure(
            metric="InvariantBroken", value=len(findings), unit=MetricUnit.Count, invariant=name
        )
        for finding in findings[:_LOGGED]:
            logger.error(
                "invariant broken",
                extra={
                    "invariant": name,
                    "reservation_code": display(finding.code),
                    "detail": finding.detail,
                    "remedy": INVARIANTS[name].remedy,
                },
            )
    measure(metric="InvariantBroken", value=sum(counts.values()), unit=MetricUnit.Count)
    return counts


def report_lag(oversight: Oversight) -> None:
    """How long what waits longest has been due, in seconds, and how many wait for a person."""
    measure(metric="OldestDueAge", value=oversight.oldest_due_s(), unit=MetricUnit.Seconds)
    pending = [lag.oldest_s for lag in oversight.outbox() if lag.status == "pending"]
    measure(metric="OutboxLag", value=max(pending, default=0), unit=MetricUnit.Seconds)
    waiting = len(oversight.in_review(limit=_COUNTED))
    measure(metric="ReviewsWaiting", value=waiting, unit=MetricUnit.Count)


def report_cleaned(counts: dict[str, int]) -> dict[str, int]:
    logger.info("retention done", extra=counts)
    return counts
