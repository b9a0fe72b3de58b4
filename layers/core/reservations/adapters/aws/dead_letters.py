"""The dead-letter queues, for operators: count, show, redrive, drop."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from botocore.exceptions import BotoCoreError, ClientError

from reservations.adapters.aws.hint_codec import PoisonMessageError, decode_hint
from reservations.adapters.aws.ses_events import decode_mail_event
from reservations.application.ports import DeadLetter, DeadLetters, Source
from reservations.domain.errors import QueueUnavailableError
from reservations.domain.history import FEEDBACK
from reservations.domain.messages import Queue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_BATCH = 10  # ReceiveMessage gives no more
_HELD_SECONDS = 30  # while one command works, no other sees its messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """URLs of a queue and of its dead-letter queue."""

    source: str
    dead: str


class SqsDeadLetterQueues(DeadLetters):
    """Moves message by message: a move task refuses messages that were sent to the queue directly."""

    def __init__(
        self,
        sqs: "SQSClient",
        *,
        queues: Mapping[Source, Pair],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sqs = sqs
        self._queues = queues
        self._pause = pause

    def count(self, queue: Source) -> int:
        try:
            answer = self._sqs.get_queue_attributes(
                QueueUrl=self._queues[queue].dead, AttributeNames=["ApproximateNumberOfMessages"]
            )
        except (BotoCoreError, ClientError) as error:
            raise QueueUnavailableError(f"{queue}: dead letters not counted") from error
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def peek(self, queue: Source, *, limit: int) -> list[DeadLetter]:
        held: list[MessageTypeDef] = []
        try:
            for batch in self._received(queue, limit=limit):
                held += batch
        finally:
            self._let_go(queue, held)
        return [_read(message, queue) for message in held]

    def redrive(self, queue: Source, *, rate: float, tell: Callable[[DeadLetter], None]) -> int:
        def send_again(message: "MessageTypeDef") -> None:
            self._sqs.send_message(
                QueueUrl=self._queues[queue].source, MessageBody=message.get("Body", "")
            )

        return self._each(queue, send_again, rate=rate, tell=tell)

    def drop(self, queue: Source, *, rate: float, tell: Callable[[DeadLetter], None]) -> int:
        return self._each(queue, lambda _: None, rate=rate, tell=tell)

    def _each(
        self,
        queue: Source,
        act: Callable[["MessageTypeDef"], None],
        *,
        rate: float,
        tell: Callable[[DeadLetter], None],
    ) -> int:
        """Act on each message there is now, then delete it. Later arrivals wait for the next command."""
        done = 0
        for batch in self._received(queue, limit=self.count(queue)):
            for message in batch:
                tell(_read(message, queue))
                try:
                    act(message)
                    self._sqs.delete_message(
                        QueueUrl=self._queues[queue].dead,
                        ReceiptHandle=message.get("ReceiptHandle", ""),
                    )
                except (BotoCoreError, ClientError) as error:
                    raise QueueUnavailableError(f"{queue}: stopped after {done}") from error
                done += 1
                self._pause(1 / rate)
        return done

    def _received(self, queue: Source, *, limit: int) -> Iterator[Sequence["MessageTypeDef"]]:
        """Yield batches up to `limit`, or until the queue answers empty twice in a row."""
        left, misses = limit, 0
        while (
            left > 0 and misses < 2
        ):  # SQS asks a sample of its servers: one empty answer proves nothing
            try:
                answer = self._sqs.receive_message(
                    QueueUrl=self._queues[queue].dead,
                    MaxNumberOfMessages=min(left, _BATCH),
                    VisibilityTimeout=_HELD_SECONDS,
                    MessageAttributeNames=["reason"],
                    MessageSystemAttributeNames=["SentTimestamp"],
                )
            except (BotoCoreError, ClientError) as error:
                raise QueueUnavailableError(f"{queue}: dead letters not read") from error
            batch = answer.get("Messages", [])
            misses = 0 if batch else misses + 1
            left -= len(batch)
            yield batch

    def _let_go(self, queue: Source, messages: Sequence["MessageTypeDef"]) -> None:
        for message in messages:
            try:
                self._sqs.change_message_visibility(
                    QueueUrl=self._queues[queue].dead,
                    ReceiptHandle=message.get("ReceiptHandle", ""),
                    VisibilityTimeout=0,
                )
            except (BotoCoreError, ClientError) as error:
                raise QueueUnavailableError(f"{queue}: still held for 30 s") from error


def _read(message: "MessageTypeDef", queue: Source) -> DeadLetter:
    given = message.get("MessageAttributes")
    reason = given["reason"].get("StringValue") if given and "reason" in given else None
    attributes = message.get("Attributes")
    sent = int(attributes["SentTimestamp"]) if attributes else 0
    reservation_id, about = None, None
    try:
        reservation_id, about = _about(message.get("Body", ""), queue)
    except PoisonMessageError as poison:
        reason = reason or poison.reason
    return DeadLetter(
        queue=queue,
        message_id=message.get("MessageId", ""),
        reason=reason,
        reservation_id=reservation_id,
        type=about,
        sent_at=datetime.fromtimestamp(sent / 1000, UTC),
    )


def _about(body: str, queue: Source) -> tuple[UUID | None, str | None]:
    """The reservation a message is about, and its type."""
    if isinstance(queue, Queue):
        hint = decode_hint(body, queue=queue)
        return hint.reservation_id, hint.type
    event = decode_mail_event(body)
    return (event.reservation_id, FEEDBACK[event.kind, event.feedback]) if event else (None, None)
