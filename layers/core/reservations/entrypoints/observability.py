"""Logs and metrics by allow-list: constant messages, facts as keys, never a body, a header, a name or a token."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import tracing
from reservations.application.provider_step import Step

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

logger = Logger(service="reservations", use_rfc3339=True)
metrics = Metrics(namespace="Reservations", service="reservations")


def begin_trace(traceparent: str | None) -> None:
    """Continue the caller's trace, and put its id on every log line from here on."""
    logger.append_keys(trace_id=tracing.begin(traceparent))


def count(outcome: str) -> None:
    """Add one to an outcome metric; the names are listed in docs/06-qa-testing.md."""
    metrics.add_metric(name=outcome, unit=MetricUnit.Count, value=1)


def measure(*, metric: str, value: float, unit: MetricUnit, **dimensions: str) -> None:
    """Tell how much of something there is now; `dimensions` beside the service's name."""
    with single_metric(
        name=metric,
        unit=unit,
        value=value,
        namespace="Reservations",
        default_dimensions={"service": "reservations", **dimensions},
    ):
        pass


def report(event: str, *, metric: str, **facts: str | int | None) -> None:
    """One log line and one outcome metric for what a function did; `facts` are codes and counts, never texts."""
    logger.info(event, extra=facts)
    count(metric)


def report_step(step: Step) -> None:
    """What a provider step did; an alarm of the adapter is an error for a person to see."""
    if step.action is None or step.reply is None:
        return
    outcome = type(step.reply.outcome).__name__
    facts = {
        "verb": step.action.verb.value,
        "outcome": outcome,
        "http_status": step.reply.http_status,
    }
    report(
        "provider called", metric=f"Provider{outcome}", **facts, elapsed_ms=step.reply.elapsed_ms
    )
    if step.reply.alarm:
        logger.error("provider answer needs a person", extra={**facts, "alarm": step.reply.alarm})
        count("ProviderAlarm")


def function(handler: Handler) -> Handler:
    """What every function needs: fresh log keys, a trace, and its metrics written out even if it fails."""

    @logger.inject_lambda_context(clear_state=True)
    @wraps(handler)
    def observed(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        begin_trace(_caller(event))
        try:
            return handler(event, context)
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()

    return observed


def _caller(event: dict[str, Any]) -> str | None:
    """The `traceparent` of an HTTP request; messages bring their own."""
    headers: dict[str, str] = event.get("headers") or {}
    return next((value for name, value in headers.items() if name.lower() == "traceparent"), None)
