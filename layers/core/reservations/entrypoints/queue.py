"""The queue edge: one message in, a verdict out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config
from reservations.adapters.aws.hint_codec import PoisonMessageError, decode_hint
from reservations.adapters.aws.ses_events import decode_mail_event
from reservations.application.ports import UnitOfWork
from reservations.application.provider_step import StepTaken
from reservations.application.record_mail_event import MailEvent
from reservations.domain.errors import (
    ReservationNotFoundError,
    UnavailableError,
    VoucherNotDrawnError,
)
from reservations.domain.facts import Provider
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import Policy
from reservations.entrypoints import observability, rehearsal
from reservations.entrypoints.observability import Handler, begin_trace, count, count_defect, logger

# Time to record an answer and return before the function's timeout.
_CLOSING = timedelta(seconds=2)

# Timeouts of the store and the database for one message. The first of a batch is always begun.
RECORD_MS = 20_000

OnHint = Callable[[Hint, datetime], None]
TakeStep = Callable[[Hint, datetime], StepTaken | None]


class NoTimeLeftError(Exception):
    """Sends the rest of a batch back to the queue. A killed function would send back its finished messages too."""


class DeadLetterSink(Protocol):
    """Takes a message that can never be handled."""

    def dead_letter(self, body: str, *, reason: str) -> None: ...


class Services(Protocol):
    """The part of the composition root that this edge needs."""

    def prepare(self, *own: type[config.Settings]) -> None: ...
    def durations(self) -> Policy: ...
    def unit_of_work(self) -> UnitOfWork: ...
    @property
    def dead_letters(self) -> DeadLetterSink: ...


def function(
    on_hint: OnHint, services: Services, *settings: type[config.Settings], source: Queue
) -> Handler:
    """A function that consumes one queue. No hint is read without its `settings`."""

    @observability.function
    def consume_batch(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        services.prepare(*settings)
        if rehearsal.is_asked(event):
            return rehearsal.hint_nothing(on_hint, services, source=source)
        return consume(event, context, on_hint, services, source=source)

    return consume_batch


def provider_function(
    take_step: TakeStep, services: Services, provider: Provider, *, source: Queue
) -> Handler:
    """A function that takes the due steps of one provider, and reports each."""

    def on_hint(hint: Hint, not_after: datetime) -> None:
        observability.report_step(take_step(hint, not_after))

    return function(on_hint, services, config.PROVIDERS[provider].settings, source=source)


def consume(
    event: dict[str, Any],
    context: LambdaContext,
    on_hint: OnHint,
    services: Services,
    *,
    source: Queue,
) -> dict[str, Any]:
    """Hand each hint to `on_hint` with the moment by which its call must be over.

    A message that can never be handled is dead-lettered at once, with its reason. After any other failure it is
    received again. The traceback is logged here, since a partial-batch reply hides it.
    """
    arrived = datetime.now(UTC)
    own_limit = arrived + timedelta(milliseconds=context.get_remaining_time_in_millis()) - _CLOSING
    call_limit = arrived + services.durations().call_limit

    def read(record: SQSRecord) -> None:
        hint = decode_hint(record.body, queue=source)
        logger.append_keys(
            message_id=str(hint.message_id),
            reservation_id=str(hint.reservation_id),
            **_waits(hint, record),
        )
        begin_trace(hint.traceparent)
        on_hint(hint, min(own_limit, call_limit))

    return _each(event, context, read, services, line="hint not handled", metric="HintFailed")


def _waits(hint: Hint, record: SQSRecord) -> dict[str, int]:
    """The time from the hint to its queue, and in the queue, in milliseconds."""
    sent_ms = record.attributes.get("SentTimestamp")
    if sent_ms is None:
        return {}
    sent = datetime.fromtimestamp(int(sent_ms) / 1000, UTC)
    waits = {"outbox_ms": sent - hint.occurred_at, "queue_ms": datetime.now(UTC) - sent}
    return {name: max(0, wait // timedelta(milliseconds=1)) for name, wait in waits.items()}


def consume_mail_events(
    event: dict[str, Any],
    context: LambdaContext,
    on_event: Callable[[MailEvent], None],
    services: Services,
) -> dict[str, Any]:
    """Hand over each bounce and complaint, as `consume` does with hints. The greeting of SES is dropped."""

    def read(record: SQSRecord) -> None:
        mail_event = decode_mail_event(record.body)
        if mail_event is not None:
            logger.append_keys(reservation_id=str(mail_event.reservation_id))
            on_event(mail_event)

    return _each(
        event, context, read, services, line="mail event not handled", metric="MailEventFailed"
    )


def _each(
    event: dict[str, Any],
    context: LambdaContext,
    read: Callable[[SQSRecord], None],
    services: Services,
    *,
    line: str,
    metric: str,
) -> dict[str, Any]:
    first = event["Records"][0]["messageId"]

    def handle(record: SQSRecord) -> None:
        if record.message_id != first and context.get_remaining_time_in_millis() < RECORD_MS:
            raise NoTimeLeftError
        logger.remove_keys(
            ["message_id", "reservation_id", "outbox_ms", "queue_ms"]
        )  # those of the previous record
        begin_trace(None)
        try:
            _read_or_bury(record, read, services)
        except (UnavailableError, VoucherNotDrawnError, NoTimeLeftError):
            logger.exception(line)
            count(metric)
            raise
        except Exception:
            logger.exception(line)
            count_defect(metric)
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    verdict = process_partial_response(
        event=event, record_handler=handle, processor=processor, context=context
    )
    return dict(verdict)


def _read_or_bury(record: SQSRecord, read: Callable[[SQSRecord], None], services: Services) -> None:
    try:
        read(record)
    except PoisonMessageError as poison:
        _bury(record, poison.reason, services)
    except ReservationNotFoundError:
        _bury(record, "unknown_reservation", services)


def _bury(record: SQSRecord, reason: str, services: Services) -> None:
    services.dead_letters.dead_letter(record.body, reason=reason)
    logger.error("message dead-lettered", extra={"reason": reason})
    count("HintSetAside")
