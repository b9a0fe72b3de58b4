"""Publishes hints to their SQS queues."""

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservations.adapters.aws.hint_codec import encode_hint
from reservations.application.ports import MessagePublisher, Published
from reservations.domain.errors import QueueUnavailableError
from reservations.domain.messages import Hint, Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from reservations.adapters.aws.prompt_publisher import SignedSqs

# The outbox publishes unaccepted hints again, so the SDK need not retry.
SQS_CONFIG = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1})

# SendMessageBatch takes ten messages and 256 KiB at most; ten hints are far below that.
_BATCH_LIMIT = 10

_logger = logging.getLogger(__name__)


class SqsMessagePublisher(MessagePublisher):
    """Publishes each hint to the queue it names. An outage of one queue delays no other."""

    def __init__(self, sqs: "SQSClient | SignedSqs", *, queue_urls: Mapping[Queue, str]) -> None:
        self._sqs = sqs
        self._queue_urls = queue_urls

    def publish(self, hints: Sequence[Hint]) -> Published:
        accepted: set[UUID] = set()
        refused: set[UUID] = set()
        by_queue = attrgetter("queue")
        for queue, group in groupby(sorted(hints, key=by_queue), key=by_queue):
            try:
                self._publish_to(queue, list(group), accepted=accepted, refused=refused)
            except (BotoCoreError, ClientError, QueueUnavailableError) as error:
                # Neither accepted nor refused: these hints stay pending, and the poller retries them.
                _logger.warning(
                    "queue not reached", extra={"queue": queue.value, "error": type(error).__name__}
                )
        return Published(accepted=frozenset(accepted), refused=frozenset(refused))

    def _publish_to(
        self, queue: Queue, hints: Sequence[Hint], *, accepted: set[UUID], refused: set[UUID]
    ) -> None:
        for start in range(0, len(hints), _BATCH_LIMIT):
            batch = {str(n): hint for n, hint in enumerate(hints[start : start + _BATCH_LIMIT])}
            answer = self._sqs.send_message_batch(
                QueueUrl=self._queue_urls[queue],
                Entries=[
                    {"Id": entry_id, "MessageBody": encode_hint(hint)}
                    for entry_id, hint in batch.items()
                ],
            )
            # A 200 may still list entries under "Failed": count only the accepted ones.
            accepted.update(batch[entry["Id"]].message_id for entry in answer.get("Successful", []))
            refused.update(
                batch[entry["Id"]].message_id
                for entry in answer.get("Failed", [])
                if entry["SenderFault"]
            )


class SqsDeadLetters:
    """Dead-letters a message that can never be handled, with the reason."""

    def __init__(self, sqs: "SQSClient", *, queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def dead_letter(self, body: str, *, reason: str) -> None:
        """
        Raises:
            QueueUnavailableError: SQS did not accept it, so the message must be received again.
        """
        try:
            self._sqs.send_message(
                QueueUrl=self._queue_url,
                MessageBody=body,
                MessageAttributes={"reason": {"DataType": "String", "StringValue": reason}},
            )
        except (BotoCoreError, ClientError) as error:
            raise QueueUnavailableError("dead letter not accepted") from error
