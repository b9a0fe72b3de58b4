"""Metrics across all reservations. The alarms depend on their names."""

from collections.abc import Mapping, Sequence

from aws_lambda_powertools.metrics import MetricUnit

from reservations.application.oversee import INVARIANTS
from reservations.application.ports import Checkpoint, Finding, Oversight
from reservations.domain.codes import display
from reservations.entrypoints.observability import logger, measure

_LOGGED = 10  # findings of one invariant that are named in the log
_COUNTED = 1000  # limit of the count of reservations in review


def report_findings(found: Mapping[str, Sequence[Finding]]) -> dict[str, int]:
    """Write one metric per invariant and one for all. Log the first findings with their codes."""
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
    """Measure the age of the oldest overdue work, and what waits for a person or a traveler."""
    measure(metric="OldestDueAge", value=oversight.oldest_due_s(), unit=MetricUnit.Seconds)
    pending = [lag.oldest_s for lag in oversight.outbox() if lag.status == "pending"]
    measure(metric="OutboxLag", value=max(pending, default=0), unit=MetricUnit.Seconds)
    waiting = oversight.waiting_for_a_person(limit=_COUNTED)
    measure(metric="ReviewsWaiting", value=waiting, unit=MetricUnit.Count)
    waits = oversight.waits()
    measure(metric="MailsWaiting", value=waits.mails, unit=MetricUnit.Count)
    measure(metric="OldestVoucherWait", value=waits.voucher_s, unit=MetricUnit.Seconds)
    measure(metric="OldestContradiction", value=waits.contradiction_s, unit=MetricUnit.Seconds)


def report_audited(counts: dict[str, int], place: Checkpoint) -> dict[str, int]:
    """Log the work of a slice. Measure the time since the last whole audit began."""
    logger.info("audit slice done", extra=counts)
    measure(metric="AuditAge", value=place.age.total_seconds(), unit=MetricUnit.Seconds)
    return counts


def report_cleaned(counts: dict[str, int], place: Checkpoint) -> dict[str, int]:
    """Log what was deleted. Measure the time since the last whole search began."""
    logger.info("retention done", extra=counts)
    measure(metric="RetentionAge", value=place.age.total_seconds(), unit=MetricUnit.Seconds)
    return counts
