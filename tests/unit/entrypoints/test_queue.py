"""The queue edge: handled, retried and dead-lettered messages, and the logs of each."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from reservations.adapters.aws.hint_codec import encode_hint
from reservations.domain.errors import (
    DatabaseUnavailableError,
    QueueUnavailableError,
    ReservationNotFoundError,
)
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from reservations.entrypoints import observability, queue
from tests.worlds.builders import NOON
from tests.worlds.invocation import LogBook, a_context
from tests.worlds.services import FakeServices

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[LogBook]:
    with LogBook(capsys).open() as book:
        yield book


def a_hint() -> Hint:
    return Hint(
        message_id=uuid7(NOON),
        queue=Queue.VOUCHER,
        reservation_id=uuid7(NOON),
        type="voucher.due",
        occurred_at=NOON,
        traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-01",
    )


def records(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"message-{number}",
                "receiptHandle": "h",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:voucher",
                "awsRegion": "eu-west-1",
            }
            for number, body in enumerate(bodies)
        ]
    }


class Handled:
    """Handles every hint, except those of the reservations in `failing`."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self.not_after: list[datetime] = []
        self.failing: dict[UUID, Exception] = {}

    def __call__(self, hint: Hint, not_after: datetime) -> None:
        self.hints.append(hint)
        self.not_after.append(not_after)
        if hint.reservation_id in self.failing:
            raise self.failing[hint.reservation_id]


def consume(
    services: FakeServices, event: dict[str, Any], handled: Handled, *, remaining_ms: int = 60_000
) -> list[str]:
    """Ids of the messages to return to the queue."""
    context = a_context(remaining_ms=remaining_ms)
    verdict = queue.consume(event, context, handled, services, source=Queue.VOUCHER)
    return [failure["itemIdentifier"] for failure in verdict["batchItemFailures"]]


def test_every_hint_of_a_batch_is_handled(services: FakeServices) -> None:
    hints, handled = [a_hint(), a_hint()], Handled()

    assert consume(services, records(*map(encode_hint, hints)), handled) == []

    assert handled.hints == hints
    assert services.dead_letters.dead_lettered == []


def test_only_the_failed_message_returns_to_the_queue(
    services: FakeServices, logs: LogBook
) -> None:
    hints, handled = [a_hint(), a_hint(), a_hint()], Handled()
    handled.failing[hints[1].reservation_id] = DatabaseUnavailableError("gone")

    assert consume(services, records(*map(encode_hint, hints)), handled) == ["message-1"]

    assert handled.hints == hints
    assert services.dead_letters.dead_lettered == []
    [line] = logs.saying("hint not handled")
    assert line["reservation_id"] == str(hints[1].reservation_id)
    assert "DatabaseUnavailableError" in line["exception"]


def test_a_failed_batch_returns_whole(services: FakeServices, logs: LogBook) -> None:
    hints, handled = [a_hint(), a_hint()], Handled()
    handled.failing = {hint.reservation_id: RuntimeError("a defect") for hint in hints}

    assert consume(services, records(*map(encode_hint, hints)), handled) == [
        "message-0",
        "message-1",
    ]


@pytest.mark.parametrize(
    ("remaining_ms", "coming_back"),
    [(queue.RECORD_MS, []), (queue.RECORD_MS - 1, ["message-1", "message-2"])],
)
def test_a_message_without_time_to_be_handled_is_not_begun_and_returns(
    services: FakeServices,
    logs: LogBook,
    remaining_ms: int,
    coming_back: list[str],
) -> None:
    hints, handled = [a_hint(), a_hint(), a_hint()], Handled()

    event = records(*map(encode_hint, hints))
    assert consume(services, event, handled, remaining_ms=remaining_ms) == coming_back

    assert handled.hints == hints[: 3 - len(coming_back)]
    assert logs.metrics == set()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not_json"),
        ("[]", "not_an_object"),
        ('{"schema_version": 2}', "unknown_schema_version"),
        ('{"schema_version": 1}', "wrong_members"),
    ],
)
def test_an_unreadable_message_is_dead_lettered_unchanged(
    services: FakeServices, logs: LogBook, body: str, reason: str
) -> None:
    handled = Handled()

    assert consume(services, records(body), handled) == []

    assert handled.hints == []
    assert services.dead_letters.dead_lettered == [(body, reason)]
    [line] = logs.saying("message dead-lettered")
    assert line["reason"] == reason


def test_a_hint_without_its_reservation_is_dead_lettered(
    services: FakeServices, logs: LogBook
) -> None:
    hint, handled = a_hint(), Handled()
    handled.failing[hint.reservation_id] = ReservationNotFoundError()

    assert consume(services, records(encode_hint(hint)), handled) == []

    assert services.dead_letters.dead_lettered == [(encode_hint(hint), "unknown_reservation")]


def test_a_message_that_cannot_be_dead_lettered_returns(
    monkeypatch: pytest.MonkeyPatch, services: FakeServices, logs: LogBook
) -> None:
    def unreachable(body: str, *, reason: str) -> None:
        raise QueueUnavailableError("dead letter not taken")

    monkeypatch.setattr(services.dead_letters, "dead_letter", unreachable)

    assert consume(services, records("poison"), Handled()) == ["message-0"]

    [line] = logs.saying("hint not handled")
    assert "QueueUnavailableError" in line["exception"]


def test_each_line_names_its_own_message_and_trace(services: FakeServices, logs: LogBook) -> None:
    hint, handled = a_hint(), Handled()
    handled.failing[hint.reservation_id] = RuntimeError("a defect")

    consume(services, records(encode_hint(hint), "poison"), handled)

    [failed], [aside] = logs.saying("hint not handled"), logs.saying("message dead-lettered")
    assert failed["message_id"] == str(hint.message_id)
    assert failed["trace_id"] == TRACE_ID
    assert {"message_id", "reservation_id"}.isdisjoint(aside)
    assert aside.get("trace_id") != TRACE_ID


@pytest.mark.parametrize(
    ("remaining", "limit"),
    [
        (timedelta(seconds=30), timedelta(seconds=28)),
        (STANDARD.call_limit + timedelta(minutes=1), STANDARD.call_limit),
    ],
    ids=["the function's own time", "the plan's"],
)
def test_a_call_must_end_before_the_invocation_and_within_the_call_limit(
    services: FakeServices, remaining: timedelta, limit: timedelta
) -> None:
    handled, before = Handled(), datetime.now(UTC)

    consume(
        services,
        records(encode_hint(a_hint())),
        handled,
        remaining_ms=remaining // timedelta(milliseconds=1),
    )

    [not_after] = handled.not_after
    assert before + limit <= not_after <= datetime.now(UTC) + limit


def test_the_counts_of_a_batch_are_flushed_with_it(services: FakeServices, logs: LogBook) -> None:
    hint, handled = a_hint(), Handled()
    handled.failing[hint.reservation_id] = RuntimeError("a defect")
    function = observability.function(
        lambda event, context: queue.consume(
            event, context, handled, services, source=Queue.VOUCHER
        )
    )

    function(records(encode_hint(hint), "poison"), a_context())

    assert logs.metrics == {"HintFailed", "Defect", "HintSetAside"}
