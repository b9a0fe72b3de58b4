"""Promises of every publisher, and the meaning of SQS's partial answers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from socket import create_server, socket
from threading import Event, Thread
from uuid import UUID

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws
from mypy_boto3_sqs import SQSClient

from reservations.adapters.aws.hint_codec import decode_hint
from reservations.adapters.aws.prompt_publisher import PromptPublisher, SignedSqs, TimedLookup
from reservations.adapters.aws.sqs import SQS_CONFIG, SqsDeadLetters, SqsMessagePublisher
from reservations.adapters.exchange import Deadline
from reservations.application.ports import MessagePublisher, Published
from reservations.domain.errors import QueueUnavailableError
from reservations.domain.messages import Hint, Queue
from tests.proofs.crash.cloud import Cloud
from tests.worlds.fakes import RecordingPublisher

A_HINT = Hint(
    message_id=UUID("0195511f-3c00-7abc-8def-000000000000"),
    queue=Queue.PAYMENT,
    reservation_id=UUID("0195511f-3c00-7abc-8def-0123456789ab"),
    type="reservation.accepted",
    occurred_at=datetime(2027, 3, 1, 12, tzinfo=UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


PATIENCE = timedelta(minutes=1)  # never used up
A_SESSION = boto3.Session(
    aws_access_key_id="test", aws_secret_access_key="test", region_name="eu-west-1"
)
NO_ANSWER = Published(accepted=frozenset(), refused=frozenset())


def hints(count: int, queue: Queue = Queue.PAYMENT) -> list[Hint]:
    """Return hints whose ids differ by queue and number."""
    first = (list(Queue).index(queue) + 1) << 16
    return [
        replace(A_HINT, queue=queue, message_id=UUID(int=A_HINT.message_id.int + first + n))
        for n in range(count)
    ]


def ids(of: list[Hint]) -> frozenset[UUID]:
    return frozenset(hint.message_id for hint in of)


@dataclass(frozen=True)
class Side:
    """A publisher, its published hints, and a way to remove one of its queues."""

    publisher: MessagePublisher
    arrived: Callable[[], list[Hint]]
    lose: Callable[[Queue], None]


def a_client() -> SQSClient:
    return boto3.client(
        "sqs",
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=SQS_CONFIG,
    )


def _recording(_: ExitStack) -> Side:
    fake = RecordingPublisher()
    return Side(fake, arrived=lambda: fake.hints, lose=fake.unreachable.add)


def _sqs(stack: ExitStack) -> Side:
    stack.enter_context(mock_aws())
    client = a_client()
    urls = {queue: client.create_queue(QueueName=queue.value)["QueueUrl"] for queue in Queue}
    return _side(SqsMessagePublisher(client, queue_urls=urls), client, urls)


def _prompt(stack: ExitStack) -> Side:
    cloud = stack.enter_context(Cloud())
    urls = {queue: cloud.queue(queue.value) for queue in Queue}
    sqs = stack.enter_context(closing(SignedSqs(A_SESSION, endpoint=cloud.url, connect_seconds=1)))
    return _side(PromptPublisher(sqs, queue_urls=urls, within=PATIENCE), cloud.sqs, urls)


def _side(publisher: MessagePublisher, client: SQSClient, urls: dict[Queue, str]) -> Side:
    def arrived() -> list[Hint]:
        return [hint for queue, url in urls.items() for hint in _drain(client, queue, url)]

    def lose(queue: Queue) -> None:
        client.delete_queue(QueueUrl=urls[queue])

    return Side(publisher, arrived=arrived, lose=lose)


def _drain(client: SQSClient, queue: Queue, url: str) -> Iterator[Hint]:
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            yield decode_hint(message["Body"], queue=queue)
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture(params=[_recording, _sqs, _prompt])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    with ExitStack() as stack:
        yield request.param(stack)


@pytest.mark.parametrize("count", [0, 1, 10, 11, 25])
def test_every_hint_arrives_as_it_was(side: Side, count: int) -> None:
    sent = hints(count)

    assert side.publisher.publish(sent) == Published(accepted=ids(sent), refused=frozenset())
    assert sorted(side.arrived(), key=attrgetter("message_id")) == sent


def test_each_hint_goes_to_its_own_queue(side: Side) -> None:
    turns = zip(*(hints(3, queue) for queue in Queue), strict=True)
    sent = [hint for turn in turns for hint in turn]

    side.publisher.publish(sent)

    assert {hint.message_id: hint.queue for hint in side.arrived()} == {
        hint.message_id: hint.queue for hint in sent
    }


def test_a_queue_out_of_reach_leaves_its_own_hints_pending_and_no_others(side: Side) -> None:
    side.lose(Queue.PAYMENT)
    lost, sent = hints(12, Queue.PAYMENT), hints(12, Queue.SUPPLIER)

    assert side.publisher.publish([*lost, *sent]) == Published(
        accepted=ids(sent), refused=frozenset()
    )


def test_a_batch_that_sqs_takes_in_part_is_taken_in_part() -> None:
    taken, ours, theirs = hints(3)
    client = a_client()
    failed = {"Code": "x"}
    with Stubber(client) as stubber:
        stubber.add_response(
            "send_message_batch",
            {
                "Successful": [{"Id": "0", "MessageId": "1", "MD5OfMessageBody": "m"}],
                "Failed": [
                    {"Id": "1", "SenderFault": True, **failed},
                    {"Id": "2", "SenderFault": False, **failed},
                ],
            },
            {"QueueUrl": "https://queue", "Entries": ANY},
        )
        publisher = SqsMessagePublisher(client, queue_urls={Queue.PAYMENT: "https://queue"})

        published = publisher.publish([taken, ours, theirs])

    assert published == Published(accepted=ids([taken]), refused=ids([ours]))


def test_a_failing_batch_does_not_undo_the_batch_before_it() -> None:
    sent = hints(11)
    client = a_client()
    with Stubber(client) as stubber:
        successful = [{"Id": str(n), "MessageId": "1", "MD5OfMessageBody": "m"} for n in range(10)]
        stubber.add_response("send_message_batch", {"Successful": successful, "Failed": []})
        stubber.add_client_error("send_message_batch", "ServiceUnavailable", http_status_code=503)
        publisher = SqsMessagePublisher(client, queue_urls={Queue.PAYMENT: "https://queue"})

        published = publisher.publish(sent)

    assert published == Published(accepted=ids(sent[:10]), refused=frozenset())


Serve = Callable[[socket], object]


@contextmanager
def serving(*answers: Serve) -> Iterator[str]:
    """A raw server that reads one request of each connection and passes it to the next of `answers`."""
    with create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    answer(connection)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=20)


def saying(status: int, content: str) -> Serve:
    """Answer one request, then close the connection, which was to be kept."""
    answer = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(content)}\r\n\r\n{content}"
    return lambda connection: connection.sendall(answer.encode())


TAKEN = saying(200, '{"Successful": [{"Id": "0"}]}')


def publish(url: str, *sent: Hint, within: timedelta = PATIENCE) -> list[Published]:
    """Publish each hint in a call of its own, by one publisher."""
    with closing(SignedSqs(A_SESSION, endpoint=url, connect_seconds=1)) as sqs:
        publisher = PromptPublisher(sqs, queue_urls=dict.fromkeys(Queue, url), within=within)
        return [publisher.publish([hint]) for hint in sent]


def test_a_caller_does_not_wait_for_a_queue_that_never_answers() -> None:
    goes_on = Event()

    with serving(lambda _: goes_on.wait()) as url:
        published = publish(url, *hints(1), within=timedelta(milliseconds=10))
        goes_on.set()

    assert published == [NO_ANSWER]


def test_a_caller_does_not_wait_for_a_lookup_that_never_ends() -> None:
    goes_on, brief = Event(), timedelta(milliseconds=10).total_seconds()

    def stuck(*_: object) -> list[object]:
        goes_on.wait()
        return []

    timed = TimedLookup(stuck)
    for _ in range(2):  # the second finds the first one under way
        with pytest.raises(TimeoutError):
            timed("queue.example", 443, Deadline(brief))

    goes_on.set()
    timed.wait()
    assert timed("queue.example", 443, Deadline(60)) == []


@pytest.mark.parametrize(
    "answer", [saying(503, "{}"), saying(403, "{}"), saying(200, "{}"), lambda _: None]
)
def test_an_answer_that_accepts_nothing_leaves_the_hints_pending(answer: Serve) -> None:
    with serving(answer) as url:
        assert publish(url, *hints(1)) == [NO_ANSWER]


def test_no_server_leaves_the_hints_pending() -> None:
    with serving() as url:
        pass

    assert publish(url, *hints(1)) == [NO_ANSWER]


def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    sent = hints(2)

    with serving(TAKEN, TAKEN) as url:
        published = publish(url, *sent)

    assert [each.accepted for each in published] == [{hint.message_id} for hint in sent]


def test_the_recording_publisher_refuses_chosen_hints() -> None:
    publisher = RecordingPublisher()
    refused, taken = hints(2)
    publisher.refusing.add(refused.message_id)

    assert publisher.publish([refused, taken]) == Published(
        accepted=ids([taken]), refused=ids([refused])
    )


def test_a_dead_letter_keeps_its_body_and_its_reason() -> None:
    with mock_aws():
        client = a_client()
        url = client.create_queue(QueueName="dead")["QueueUrl"]
        SqsDeadLetters(client, queue_url=url).dead_letter("{", reason="not_json")

        [letter] = client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]

    assert letter["Body"] == "{"
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "not_json"


def test_a_dead_letter_that_is_not_taken_is_an_error_so_that_its_message_comes_again() -> None:
    client = a_client()
    with Stubber(client) as stubber:
        stubber.add_client_error("send_message", "ServiceUnavailable", http_status_code=503)

        with pytest.raises(QueueUnavailableError):
            SqsDeadLetters(client, queue_url="https://queue").dead_letter("{", reason="not_json")
