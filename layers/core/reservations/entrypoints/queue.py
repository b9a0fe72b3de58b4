"""The queue edge: one hint in, a verdict out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import wiring
from reservations.adapters.hint_codec import PoisonMessageError, decode_hint
from reservations.domain.errors import ReservationNotFoundError
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints.observability import begin_trace, count, logger

# To record an answer and return, before the function's own time is up.
_CLOSING = timedelta(seconds=2)

OnHint = Callable[[Hint, datetime], None]


def consume(
    event: dict[str, Any], context: LambdaContext, on_hint: OnHint, *, source: Queue
) -> dict[str, Any]:
    """Hand each hint to `on_hint` with the moment by which its call must be over.

    What can never be handled goes to the dead-letter queue at once, with its reason; whatever else fails is received
    again. Its traceback is logged here, since a partial-batch reply hides it.
    """
    arrived = datetime.now(UTC)
    own_limit = arrived + timedelta(milliseconds=context.get_remaining_time_in_millis()) - _CLOSING
    call_limit = arrived + wiring.policy().call_limit

    def handle(record: SQSRecord) -> None:
        logger.remove_keys(["message_id", "reservation_id"])  # those of the record before
        begin_trace(None)
        try:
            _handle(record, on_hint, source=source, not_after=min(own_limit, call_limit))
        except Exception:
            logger.exception("hint not handled")
            count("HintFailed")
            raise

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    verdict = process_partial_response(
        event=event, record_handler=handle, processor=processor, context=context
    )
    return dict(verdict)


def _handle(record: SQSRecord, on_hint: OnHint, *, source: Queue, not_after: datetime) -> None:
    try:
        hint = decode_hint(record.body, queue=source)
        logger.append_keys(message_id=str(hint.message_id), reservation_id=str(hint.reservation_id))
        begin_trace(hint.traceparent)
        on_hint(hint, not_after)
    except PoisonMessageError as poison:
        _bury(record, poison.reason)
    except ReservationNotFoundError:
        _bury(record, "unknown_reservation")


def _bury(record: SQSRecord, reason: str) -> None:
    wiring.dead_letters().bury(record.body, reason=reason)
    logger.error("hint set aside", extra={"reason": reason})
    count("HintSetAside")
