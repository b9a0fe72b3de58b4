"""Promises of the dead-letter queues to operators, on the SQS of moto."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws
from mypy_boto3_sqs import SQSClient

from reservations.adapters.aws.dead_letters import Pair, SqsDeadLetterQueues
from reservations.adapters.aws.hint_codec import encode_hint
from reservations.adapters.aws.sqs import SQS_CONFIG, SqsDeadLetters
from reservations.application.ports import MAIL_EVENT, DeadLetter
from reservations.domain.errors import DatabaseUnavailableError, QueueUnavailableError
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from tests.worlds.builders import NOON, RESERVATION_ID
from tests.worlds.invocation import an_event


def a_client() -> SQSClient:
    return boto3.client(
        "sqs",
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=SQS_CONFIG,
    )


def a_hint() -> Hint:
    return Hint(
        message_id=uuid7(NOON),
        queue=Queue.PAYMENT,
        reservation_id=RESERVATION_ID,
        type="payment.due",
        occurred_at=NOON,
    )


class Station:
    """One pair of queues and their messages."""

    def __init__(self, sqs: SQSClient) -> None:
        self.sqs = sqs
        self.pauses: list[float] = []
        self.reported: list[DeadLetter] = []
        self.pair = Pair(
            source=sqs.create_queue(QueueName="payment")["QueueUrl"],
            dead=sqs.create_queue(QueueName="payment-dead")["QueueUrl"],
        )
        self.letters = SqsDeadLetterQueues(
            sqs,
            queues=dict.fromkeys((Queue.PAYMENT, MAIL_EVENT), self.pair),
            pause=self.pauses.append,
        )

    def die(self, *, times: int) -> list[str]:
        """Put hints into the queue to which SQS moves exhausted messages."""
        bodies = [encode_hint(a_hint()) for _ in range(times)]
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.pair.dead, MessageBody=body)
        return bodies

    def dead_letter(self, body: str, *, reason: str) -> None:
        SqsDeadLetters(self.sqs, queue_url=self.pair.dead).dead_letter(body, reason=reason)

    def held(self) -> int:
        """Return the number of dead letters received and not deleted."""
        name: Literal["ApproximateNumberOfMessagesNotVisible"]
        name = "ApproximateNumberOfMessagesNotVisible"
        answer = self.sqs.get_queue_attributes(QueueUrl=self.pair.dead, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def bodies(self, which: Literal["source", "dead"]) -> list[str]:
        url, found = getattr(self.pair, which), list[str]()
        while batch := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            found += [message["Body"] for message in batch]
        return sorted(found)


@pytest.fixture
def station() -> Iterator[Station]:
    with mock_aws():
        yield Station(a_client())


def test_letters_are_listed_with_their_reason_and_reservation(station: Station) -> None:
    station.die(times=1)
    station.dead_letter("not json", reason="not_json")
    station.dead_letter(encode_hint(a_hint()), reason="unknown_reservation")

    letters = {letter.reason: letter for letter in station.letters.peek(Queue.PAYMENT, limit=9)}

    assert letters.keys() == {None, "not_json", "unknown_reservation"}
    assert letters[None].reservation_id == RESERVATION_ID
    assert letters[None].type == "payment.due"
    assert letters["not_json"].reservation_id is None
    assert letters["unknown_reservation"].reservation_id == RESERVATION_ID
    assert abs((letters[None].sent_at - datetime.now(UTC)).total_seconds()) < 3600


def test_a_letter_without_a_reason_shows_why_it_is_unreadable(station: Station) -> None:
    station.sqs.send_message(QueueUrl=station.pair.dead, MessageBody="[]")

    [letter] = station.letters.peek(Queue.PAYMENT, limit=9)

    assert letter.reason == "not_an_object"


def test_a_mail_event_is_listed_by_its_reservation_without_its_address(
    station: Station,
) -> None:
    [delivery] = an_event("record_mail_event.bounced")["Records"]
    station.sqs.send_message(QueueUrl=station.pair.dead, MessageBody=delivery["body"])
    station.dead_letter('{"to": "ana.perez@example.com"}', reason="not_a_mail_event")

    letters = {letter.reason: letter for letter in station.letters.peek(MAIL_EVENT, limit=9)}

    assert letters[None].reservation_id == UUID("0195511f-3c00-7abc-8def-0123456789ab")
    assert letters[None].type == "mail.bounced.confirmed"
    assert letters["not_a_mail_event"].reservation_id is None
    assert "ana.perez" not in repr(letters)


def test_the_greeting_of_ses_has_no_reservation(station: Station) -> None:
    greeting = an_event("record_mail_event.batch")["Records"][0]["body"]
    station.sqs.send_message(QueueUrl=station.pair.dead, MessageBody=greeting)

    [letter] = station.letters.peek(MAIL_EVENT, limit=9)

    assert (letter.reservation_id, letter.type, letter.reason) == (None, None, None)


def test_peeking_removes_no_letter(station: Station) -> None:
    station.die(times=12)

    assert station.letters.count(Queue.PAYMENT) == 12
    for limit, seen in ((5, 5), (11, 11), (20, 12), (20, 12)):
        assert len(station.letters.peek(Queue.PAYMENT, limit=limit)) == seen


def test_redriving_sends_each_to_its_queue_once(station: Station) -> None:
    bodies = station.die(times=12)

    assert station.letters.redrive(Queue.PAYMENT, rate=5, tell=station.reported.append) == 12

    assert station.bodies("source") == sorted(bodies)
    assert station.bodies("dead") == []
    assert station.pauses == [0.2] * 12


def test_dropping_leaves_both_queues_empty(station: Station) -> None:
    station.die(times=3)

    assert station.letters.drop(Queue.PAYMENT, rate=100, tell=station.reported.append) == 3

    assert station.bodies("source") == []
    assert station.bodies("dead") == []


@pytest.mark.parametrize("move", [SqsDeadLetterQueues.redrive, SqsDeadLetterQueues.drop])
def test_each_letter_is_reported_as_it_moves(station: Station, move: Callable[..., int]) -> None:
    station.die(times=2)
    station.dead_letter("not json", reason="not_json")

    move(station.letters, Queue.PAYMENT, rate=5, tell=station.reported.append)

    assert sorted(str(letter.reservation_id) for letter in station.reported) == [
        str(RESERVATION_ID),
        str(RESERVATION_ID),
        "None",
    ]


@pytest.mark.parametrize("move", [SqsDeadLetterQueues.redrive, SqsDeadLetterQueues.drop])
def test_a_letter_that_could_not_be_reported_does_not_move(
    station: Station, move: Callable[..., int]
) -> None:
    station.die(times=1)

    def fail(_: DeadLetter) -> None:
        raise DatabaseUnavailableError

    with pytest.raises(DatabaseUnavailableError):
        move(station.letters, Queue.PAYMENT, rate=5, tell=fail)

    assert station.bodies("source") == []
    assert station.held() == 1


def test_an_empty_queue_has_nothing_to_move(station: Station) -> None:
    assert station.letters.count(Queue.PAYMENT) == 0
    assert station.letters.peek(Queue.PAYMENT, limit=9) == []
    assert station.letters.redrive(Queue.PAYMENT, rate=5, tell=station.reported.append) == 0


def test_a_letter_that_could_not_be_sent_again_stays(station: Station) -> None:
    station.die(times=1)
    station.sqs.delete_queue(QueueUrl=station.pair.source)

    with pytest.raises(QueueUnavailableError, match="stopped after 0"):
        station.letters.redrive(Queue.PAYMENT, rate=5, tell=station.reported.append)

    assert station.letters.count(Queue.PAYMENT) in (0, 1)  # held, but not deleted
    assert station.held() == 1


ASKED: dict[str, Callable[[SqsDeadLetterQueues], object]] = {
    "get_queue_attributes": lambda letters: letters.count(Queue.PAYMENT),
    "receive_message": lambda letters: letters.peek(Queue.PAYMENT, limit=1),
}


@pytest.mark.parametrize("operation", ASKED)
def test_an_outage_of_the_queues_is_reported_as_one(operation: str) -> None:
    sqs = a_client()
    pair = Pair(source="https://sqs.example/payment", dead="https://sqs.example/dead")
    letters = SqsDeadLetterQueues(sqs, queues={Queue.PAYMENT: pair})
    with Stubber(sqs) as stub:
        stub.add_client_error(operation, service_error_code="InternalError", http_status_code=500)
        with pytest.raises(QueueUnavailableError):
            ASKED[operation](letters)
