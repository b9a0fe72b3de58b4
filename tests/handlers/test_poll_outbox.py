"""The scheduled function: it polls until its time is up, counts, and fails loudly."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.poll_outbox.handler import CLOSING_MS
from reservations.application.poll_outbox import DEAD_AFTER
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from tests.handlers.conftest import Surroundings
from tests.worlds.builders import NOON, RESERVATION_ID, a_reservation
from tests.worlds.fakes import InMemoryUnitOfWork
from tests.worlds.invocation import Context, an_event
from tests.worlds.services import handler_of


class Draining(Context):
    """Has time for the given number of rounds."""

    def __init__(self, rounds: int) -> None:
        super().__init__(0)
        self._remaining = self._each(rounds)

    def _each(self, rounds: int) -> Iterator[int]:
        yield from [CLOSING_MS] * rounds
        yield CLOSING_MS - 1

    def get_remaining_time_in_millis(self) -> int:
        return next(self._remaining)


def poll(around: Surroundings, *, rounds: int = 1) -> dict[str, Any]:
    context = cast(LambdaContext, Draining(rounds))
    return handler_of("poll_outbox", around)(an_event("poll_outbox.every_minute"), context)


def store_hints(around: Surroundings, queues: Iterable[Queue]) -> list[Hint]:
    hints = [
        Hint(
            message_id=uuid7(NOON),
            queue=queue,
            reservation_id=RESERVATION_ID,
            type=f"{queue}.due",
            occurred_at=NOON,
        )
        for queue in queues
    ]
    with InMemoryUnitOfWork(around.database) as uow:
        for hint in hints:
            uow.outbox.add(hint, lease=timedelta(0))
        uow.commit()
    return hints


def test_stored_hints_and_due_reservations_become_messages(around: Surroundings) -> None:
    stored = store_hints(around, Queue)
    around.keep(a_reservation())

    assert poll(around) == {"published": 6, "woken": 1, "looked": 0, "unanswered": 0, "dead": 0}

    assert around.publisher.hints[:6] == stored
    assert around.publisher.hints[6].queue is Queue.PAYMENT


def test_a_run_without_time_for_a_round_begins_none(around: Surroundings) -> None:
    store_hints(around, [Queue.PAYMENT])

    assert poll(around, rounds=0)["published"] == 0

    assert around.publisher.hints == []


def test_a_hint_that_the_queue_does_not_answer_is_counted(around: Surroundings) -> None:
    store_hints(around, [Queue.PAYMENT, Queue.SUPPLIER])
    around.publisher.unreachable = {Queue.PAYMENT}

    assert poll(around) == {"published": 1, "woken": 0, "looked": 0, "unanswered": 1, "dead": 0}


def test_a_dead_hint_has_its_own_metric(around: Surroundings) -> None:
    [hint] = store_hints(around, [Queue.PAYMENT])
    around.publisher.refusing = {hint.message_id}

    for _ in range(DEAD_AFTER - 1):
        assert poll(around)["dead"] == 0
        around.database.now += STANDARD.hint_lease
    assert around.logs.metrics == set()

    assert poll(around)["dead"] == 1
    assert around.logs.metrics == {"OutboxDead"}


def test_a_run_logs_its_counts_in_one_line(around: Surroundings) -> None:
    store_hints(around, [Queue.VOUCHER])

    poll(around)

    [line] = around.logs.saying("outbox polled")
    assert (line["published"], line["dead"]) == (1, 0)


def test_a_database_outage_fails_the_run(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: InMemoryUnitOfWork) -> None:
        raise DatabaseUnavailableError("no connection to the database")

    monkeypatch.setattr(InMemoryUnitOfWork, "__enter__", fail)

    with pytest.raises(DatabaseUnavailableError):
        poll(around)


def test_a_dead_hint_is_counted_although_the_database_fails_right_after(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    [hint] = store_hints(around, [Queue.PAYMENT])
    around.publisher.refusing = {hint.message_id}
    for _ in range(DEAD_AFTER - 1):
        poll(around)
        around.database.now += STANDARD.hint_lease
    enter = InMemoryUnitOfWork.__enter__

    def fail_once_dead(self: InMemoryUnitOfWork) -> InMemoryUnitOfWork:
        if any(row.status == "dead" for row in around.database.outbox.values()):
            raise DatabaseUnavailableError("no connection to the database")
        return enter(self)

    monkeypatch.setattr(InMemoryUnitOfWork, "__enter__", fail_once_dead)

    with pytest.raises(DatabaseUnavailableError):
        poll(around)
    assert around.logs.metrics == {"OutboxDead"}
