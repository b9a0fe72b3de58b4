"""The outbox's throughput: rounds of the poller over stored hints, against three queues."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from local.paths import STACK_FILE, read_json
from reservations.adapters.aws.sqs import SQS_CONFIG, SqsMessagePublisher
from reservations.application.ports import MessagePublisher, Published
from reservations.domain.messages import Hint, Queue
from tools.bench.floors import connection
from tools.bench.product import Product, Sample, Tally

NULL, LOOPBACK, EMULATOR = "null", "loopback", "emulator"
CEILING = "ceiling"  # SendMessageBatch alone, on the loopback
_BATCH = 10
_FILL = (
    "INSERT INTO outbox (message_id, queue, status, available_at, refusals, reservation_id, type, occurred_at)"
    " WITH RECURSIVE k AS (SELECT 0 n UNION ALL SELECT n + 1 FROM k WHERE n + 1 < %s)"
    " SELECT UUID_TO_BIN(UUID()), ELT(1 + n %% 4, 'payment', 'supplier', 'voucher', 'notification'),"
    " 'pending', UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE + INTERVAL n MICROSECOND, 0, UUID_TO_BIN(UUID()),"
    " 'check.due', UTC_TIMESTAMP(6) FROM k"
)


class NullQueue(MessagePublisher):
    def publish(self, hints: Sequence[Hint]) -> Published:
        accepted = frozenset(hint.message_id for hint in hints)
        return Published(accepted=accepted, refused=frozenset())


def emulator() -> str | None:
    """The embedded stack's AWS, if it runs."""
    url: str | None = read_json(STACK_FILE).get("aws_endpoint_url")
    return url


def drained(product: Product, queue: str, *, hints: int) -> dict[str, list[Sample]]:
    """Store hints and time the rounds of the poller that send them, one sample a round."""
    if queue == CEILING:
        return {queue: [_ceiling(_client(product.providers), hints)]}
    _fill(product.database_url, hints)
    samples = []
    with _publisher(product, queue) as publisher:
        kept, product.publisher = product.publisher, publisher
        sent = 0
        while sent < hints:
            trips, wall, cpu = product.tally.trips, time.perf_counter(), time.process_time()
            polled = product.poll()
            used = (time.perf_counter() - wall, time.process_time() - cpu)
            assert not polled.idle
            sent += polled.published
            samples.append(Sample(*used, product.tally.trips - trips))
        product.publisher = kept
    return {queue: samples}


def _fill(url: str, hints: int) -> None:
    with connection(url, Tally()) as database, database.cursor() as cursor:
        cursor.execute("SET SESSION cte_max_recursion_depth = 1000000")
        cursor.execute(_FILL, (hints,))
        database.commit()


def _client(url: str) -> Any:
    limits = SQS_CONFIG.merge(Config(read_timeout=30))
    return boto3.client(
        "sqs",
        endpoint_url=url,
        config=limits,
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@contextmanager
def _publisher(product: Product, queue: str) -> Iterator[MessagePublisher]:
    if queue == NULL:
        yield NullQueue()
        return
    if queue == LOOPBACK:
        yield SqsMessagePublisher(_client(product.providers), queue_urls=_urls(product.providers))
        return
    url = emulator()
    assert url
    client = _client(url)
    urls = {
        queue: client.create_queue(QueueName=f"bench-{queue.value}")["QueueUrl"] for queue in Queue
    }
    try:
        yield SqsMessagePublisher(client, queue_urls=urls)
    finally:
        for each in urls.values():
            client.delete_queue(QueueUrl=each)


def _urls(url: str) -> Mapping[Queue, str]:
    return {queue: f"{url}/queues/{queue.value}" for queue in Queue}


def _ceiling(client: Any, hints: int) -> Sample:
    url = next(iter(_urls(client.meta.endpoint_url).values()))
    entries = [{"Id": str(number), "MessageBody": "x" * 260} for number in range(_BATCH)]
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(hints // _BATCH):
        client.send_message_batch(QueueUrl=url, Entries=entries)
    return Sample(time.perf_counter() - wall, time.process_time() - cpu, 0)
