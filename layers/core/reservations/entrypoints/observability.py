"""Logs and metrics by allow-list: constant messages, facts as keys, never a body, a header, a name or a token."""

import logging
import os
import traceback
from collections.abc import Callable
from enum import Enum
from functools import wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from reservations import tracing
from reservations.application.provider_step import StepTaken
from reservations.domain.errors import ReservationsError

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]
Thrown = tuple[type[BaseException], BaseException, Any] | tuple[None, None, None]


class FunctionFailedError(Exception):
    """An unexpected error as the runtime logs it: its kind, without the text of a library."""


# Members of a log line: those of Powertools, and our facts.
_POWERTOOLS = (
    "level location message timestamp service name cold_start function_name"
    " function_memory_size function_arn function_request_id xray_trace_id exception exception_name"
)
_FACTS = (
    "trace_id request_id message_id outbox_ms queue_ms reservation_id reservation_ids reservation_code"
    " verb outcome http_status"
    " elapsed_ms alarm code type kind reason queue error detail invariant remedy revision"
    " published woken looked unanswered dead hints webhooks idempotency_keys documents travelers"
    " claims unpaid_mails checked broken"
)
FIELDS = frozenset(f"{_POWERTOOLS} {_FACTS}".split())


class ReticentFormatter(LambdaPowertoolsFormatter):
    """Logs the FIELDS, and only the names of all others.

    Of an exception it logs the traceback and the kind, but no text of a library: that may quote a
    statement, a request or a mail (CWE-532).
    """

    def formatException(self, ei: Thrown) -> str:  # noqa: N802 - the name is logging's
        chain: list[BaseException] = []
        error = ei[1]
        while error is not None and error not in chain:
            chain.append(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "".join(line for each in reversed(chain) for line in _told(each))

    def serialize(self, log: Any) -> str:
        told = {name: value for name, value in log.items() if name in FIELDS}
        if unknown := sorted(log.keys() - FIELDS - {"exception_notes"}):
            told["left_out"] = unknown
        return super().serialize(told)


def _told(error: BaseException) -> list[str]:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    return [*traceback.format_tb(error.__traceback__), f"{kind}: {_harmless_text(error)}\n"]


def _harmless_text(error: BaseException) -> str:
    """Our own text, AWS's code, or the number given by a driver or the system."""
    match error:
        case ReservationsError():
            return str(error)
        case ClientError():
            return f"{error.operation_name} {error.response['Error']['Code']}"
    number = error.args[0] if error.args else None
    return str(number) if isinstance(number, int) else ""


# The template names the service of each stage in POWERTOOLS_SERVICE_NAME, for logs and metrics.
logger = Logger(
    logger_formatter=ReticentFormatter(use_rfc3339=True, serialize_stacktrace=False),
)
# Adapters log under the package's name, not the service's. `getLogger` registers that logger.
copy_config_to_registered_loggers(logger, include={logging.getLogger("reservations").name})

metrics = Metrics(namespace="Reservations", service=logger.service)


def begin_trace(traceparent: str | None) -> None:
    """Continue the caller's trace, and put its id on every log line from here on."""
    logger.append_keys(trace_id=tracing.begin(traceparent))


def count(outcome: str) -> None:
    """Add one to an outcome metric; the names are listed in docs/06-qa-testing.md."""
    metrics.add_metric(name=outcome, unit=MetricUnit.Count, value=1)


def count_defect(outcome: str) -> None:
    """Add one to an outcome metric, and to the defects of this version: they take a release back."""
    count(outcome)
    measure(
        metric="Defect",
        value=1,
        unit=MetricUnit.Count,
        function=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "local"),
        version=os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    )


def metric_of(family: str, outcome: Enum) -> str:
    """`Mail` and `NOT_SENT` make `MailNotSent`."""
    return family + outcome.name.title().replace("_", "")


def measure(*, metric: str, value: float, unit: MetricUnit, **dimensions: str) -> None:
    """Record one value, with `dimensions` beside the service's name."""
    with single_metric(
        name=metric,
        unit=unit,
        value=value,
        namespace="Reservations",
        default_dimensions={"service": logger.service, **dimensions},
    ):
        pass


def report(event: str, *, metric: str, **facts: str | int | None) -> None:
    """Write one log line and one outcome metric. `facts` are codes and counts, never texts."""
    logger.info(event, extra=facts)
    count(metric)


def report_step(step: StepTaken | None) -> None:
    """Report a provider step, if one was taken. An alarm of the adapter is logged as an error."""
    if step is None:
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
    for row in step.opened:
        logger.error("contradiction opened", extra={"type": row.kind.value})
        count("ContradictionOpened")


def function(handler: Handler) -> Handler:
    """Give a handler fresh log keys, a trace, and metrics that are written even if it fails."""

    @logger.inject_lambda_context(clear_state=True)
    @wraps(handler)
    def observed(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        begin_trace(_caller(event))
        if request_id := (event.get("requestContext") or {}).get("requestId"):
            logger.append_keys(request_id=request_id)  # the one that our problems carry
        try:
            return handler(event, context)
        except ReservationsError:
            raise
        except Exception as error:
            logger.exception("function failed")
            raise FunctionFailedError(type(error).__name__) from None
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()

    return observed


def _caller(event: dict[str, Any]) -> str | None:
    """The `traceparent` of an HTTP request; messages bring their own."""
    headers: dict[str, str] = event.get("headers") or {}
    return next((value for name, value in headers.items() if name.lower() == "traceparent"), None)
