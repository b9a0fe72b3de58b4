"""Publishes hints within a deadline for all of it, and without the SDK's client.

The client costs three times the CPU. It limits each wait, never their sum, and no name lookup. Only
its signature is used, of https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from reservations.adapters.aws.sqs import SqsMessagePublisher
from reservations.adapters.exchange import (
    LOST,
    Deadline,
    HttpWire,
    Lookup,
    NotReachedError,
    Request,
    look_up,
)
from reservations.application.ports import MessagePublisher, Published
from reservations.domain.errors import QueueUnavailableError
from reservations.domain.messages import Hint, Queue

if TYPE_CHECKING:
    from boto3 import Session

_ANSWER_LIMIT = 64 * 1024  # bytes; an entry of ten takes some hundred


class PromptPublisher(MessagePublisher):
    """Gives up when `within` is over. Its hints stay pending, and the poller sends them."""

    def __init__(
        self, sqs: "SignedSqs", *, queue_urls: Mapping[Queue, str], within: timedelta
    ) -> None:
        self._sqs = sqs
        self._publisher = SqsMessagePublisher(sqs, queue_urls=queue_urls)
        self._seconds = within.total_seconds()

    def publish(self, hints: Sequence[Hint]) -> Published:
        self._sqs.deadline = Deadline(self._seconds)
        return self._publisher.publish(hints)


class SignedSqs:
    """SQS over one connection, which is kept. Set `deadline` before each call."""

    deadline: Deadline

    def __init__(self, session: "Session", *, endpoint: str, connect_seconds: float) -> None:
        self._session = session
        self._url = f"{endpoint}/"
        self._wire = HttpWire(
            endpoint, connect_seconds=connect_seconds, kept=True, lookup=TimedLookup()
        )

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - the SDK's names
        """Send up to ten messages, as the SDK's client does.

        Raises:
            QueueUnavailableError: no answer, or another than 200. The messages may have arrived.
        """
        body = json.dumps({"QueueUrl": QueueUrl, "Entries": Entries}).encode()
        try:
            status, content = self._exchange(self._signed(body))
        except (NotReachedError, *LOST) as error:
            raise QueueUnavailableError(type(error).__name__) from error
        if status != HTTPStatus.OK:
            raise QueueUnavailableError(f"status {status}")
        answer: dict[str, Any] = json.loads(content)
        return answer

    def close(self) -> None:
        """Close the connection. The next call opens another."""
        self._wire.close()

    def _exchange(self, request: Request) -> tuple[int, bytes]:
        """Send once more what a kept connection lost: a message that comes twice is harmless."""
        if self._wire.is_open:
            with suppress(*LOST):
                return self._sent(request)
        return self._sent(request)

    def _sent(self, request: Request) -> tuple[int, bytes]:
        try:
            with closing(self._wire.send(request, self.deadline)) as answer:
                return answer.status, answer.read(_ANSWER_LIMIT)
        except LOST:
            self._wire.close()
            raise

    def _signed(self, body: bytes) -> Request:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "AmazonSQS.SendMessageBatch",
        }
        request = AWSRequest("POST", self._url, headers=headers, data=body)
        credentials = self._session.get_credentials()
        assert credentials is not None  # each function has a role
        frozen = credentials.get_frozen_credentials()
        SigV4Auth(frozen, "sqs", self._session.region_name).add_auth(request)
        return Request(method="POST", target="/", headers=dict(request.headers.items()), body=body)


class TimedLookup:
    """Looks names up in a thread, as a lookup has no limit. While a late one lasts, no other begins."""

    def __init__(self, look_up: Lookup = look_up) -> None:
        self._look_up = look_up
        self._thread = ThreadPoolExecutor(max_workers=1)  # it starts with the first lookup
        self._running: Future[list[Any]] | None = None

    def __call__(self, host: str, port: int, deadline: Deadline) -> list[Any]:
        if self._running is not None and not self._running.done():
            raise TimeoutError("a lookup is under way")
        self._running = self._thread.submit(self._look_up, host, port, deadline)
        return self._running.result(timeout=deadline.left())

    def wait(self) -> None:
        """Wait for the lookup that is under way."""
        if self._running is not None:
            wait([self._running])
