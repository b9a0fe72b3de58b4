"""The poller publishes stored hints and wakes due reservations, without loss or busy loops."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

import pytest

from reservations.application.poll_outbox import (
    BATCH,
    DEAD_AFTER,
    FAR_LOOKS,
    IDLE_WAITS_S,
    Polled,
    poll_outbox,
    poll_until,
)
from reservations.application.ports import Attempt, Published
from reservations.domain.change import Change
from reservations.domain.codes import new_code
from reservations.domain.errors import DatabaseUnavailableError, KnowledgeLostError
from reservations.domain.facts import Status
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from tests.worlds.builders import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    a_booking,
    a_charge,
    a_creation,
    a_customer,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.fakes import InMemoryDatabase, InMemoryUnitOfWork, RecordingPublisher

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def database() -> InMemoryDatabase:
    return InMemoryDatabase()


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


def store_hints(database: InMemoryDatabase, *queues: Queue) -> list[Hint]:
    reservation_id = uuid7(NOON)
    hints = [
        Hint(
            message_id=uuid7(NOON),
            queue=queue,
            reservation_id=reservation_id,
            type=f"{queue}.due",
            occurred_at=NOON,
            traceparent=TRACEPARENT,
        )
        for queue in queues
    ]
    with InMemoryUnitOfWork(database) as uow:
        for hint in hints:
            uow.outbox.add(hint, lease=timedelta(0))
        uow.commit()
    return hints


def store_reservation(
    database: InMemoryDatabase, reservation: Reservation, *, due_at: datetime
) -> Reservation:
    waiting = replace(reservation, next_check_at=due_at)
    with InMemoryUnitOfWork(database) as uow:
        uow.add(a_creation(waiting), a_customer())
        uow.commit()
    return waiting


def poll(database: InMemoryDatabase, publisher: RecordingPublisher) -> Polled:
    return poll_outbox(uow=InMemoryUnitOfWork(database), publisher=publisher, policy=STANDARD)


# --- stored hints -----------------------------------------------------------------------------------


def test_a_stored_hint_is_published_once_as_it_was_stored(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    hints = store_hints(database, Queue.PAYMENT, Queue.VOUCHER)

    assert poll(database, publisher) == Polled(published=2)
    database.now += HOUR
    assert poll(database, publisher) == Polled()

    assert publisher.hints == hints


def test_a_round_takes_a_batch_and_leaves_the_rest_for_the_next(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_hints(database, *[Queue.PAYMENT] * (BATCH + 1))

    assert poll(database, publisher).published == BATCH
    assert poll(database, publisher).published == 1


def test_an_unreachable_queue_holds_back_no_other_and_loses_nothing(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    for_payment, for_supplier = store_hints(database, Queue.PAYMENT, Queue.SUPPLIER)
    publisher.unreachable = {Queue.PAYMENT}

    assert poll(database, publisher) == Polled(published=1, unanswered=1)
    assert publisher.hints == [for_supplier]

    publisher.unreachable = set()
    database.now += STANDARD.hint_lease
    assert poll(database, publisher) == Polled(published=1)
    assert publisher.hints == [for_supplier, for_payment]


def test_a_queue_outage_of_any_length_makes_no_hint_dead(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_hints(database, Queue.PAYMENT)
    publisher.unreachable = {Queue.PAYMENT}

    for _ in range(DEAD_AFTER + 1):
        assert poll(database, publisher) == Polled(unanswered=1)
        database.now += STANDARD.hint_lease

    [row] = database.outbox.values()
    assert row.status == "pending"


def test_a_hint_that_the_queue_refuses_dies_at_the_fifth_refusal(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    [hint] = store_hints(database, Queue.PAYMENT)
    publisher.refusing = {hint.message_id}

    dead = []
    for _ in range(DEAD_AFTER + 1):
        dead.append(poll(database, publisher).dead)
        database.now += STANDARD.hint_lease

    assert dead == [0, 0, 0, 0, 1, 0]
    [row] = database.outbox.values()
    assert row.status == "dead"
    assert publisher.hints == []


def test_a_poller_that_dies_after_sending_costs_a_second_copy_and_no_loss(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    [hint] = store_hints(database, Queue.PAYMENT)
    with InMemoryUnitOfWork(database) as uow:
        [claimed] = uow.outbox.claim(limit=BATCH, lease=STANDARD.hint_lease)
        uow.commit()
    publisher.publish([claimed.hint])

    assert poll(database, publisher) == Polled()
    database.now += STANDARD.hint_lease
    assert poll(database, publisher) == Polled(published=1)

    assert publisher.hints == [hint, hint]


# --- due reservations -----------------------------------------------------------------------------


def test_a_due_reservation_is_sent_to_the_step_of_its_action(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    paid = store_reservation(database, a_reservation(a_charge()), due_at=NOON)

    assert poll(database, publisher) == Polled(woken=1)

    [hint] = publisher.hints
    assert (hint.queue, hint.reservation_id) == (Queue.SUPPLIER, paid.reservation_id)


def test_a_reservation_that_is_not_due_is_not_woken(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_reservation(database, a_reservation(a_charge()), due_at=NOON + MINUTE)

    assert poll(database, publisher) == Polled()


def test_a_due_reservation_without_an_action_is_still_checked(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    waiting = a_charge(Status.PENDING, check_at=NOON + HOUR, deadline_at=NOON + HOUR)
    store_reservation(database, a_reservation(waiting), due_at=NOON)

    assert poll(database, publisher) == Polled(woken=1)

    [hint] = publisher.hints
    assert (hint.queue, hint.type) == (Queue.PAYMENT, "check.due")


def test_a_woken_reservation_whose_hint_is_lost_is_woken_again_after_the_lease(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_reservation(database, a_reservation(), due_at=NOON)
    publisher.unreachable = {Queue.PAYMENT}

    assert poll(database, publisher) == Polled()
    publisher.unreachable = set()
    assert poll(database, publisher) == Polled()
    database.now += STANDARD.hint_lease
    assert poll(database, publisher) == Polled(woken=1)


def wake_ups(
    database: InMemoryDatabase, publisher: RecordingPublisher, *, during: timedelta
) -> int:
    """Poll every second while no worker reads the queues. Return the hints of the fullest one."""
    until = database.now + during
    while database.now < until:
        poll(database, publisher)
        database.now += SECOND
    return max(Counter(hint.queue for hint in publisher.hints).values())


def test_hints_do_not_pile_up_in_a_queue_that_is_behind(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_reservation(database, a_reservation(), due_at=NOON)

    assert wake_ups(database, publisher, during=HOUR) <= 4 + HOUR / STANDARD.hint_lease_limit

    [reservation] = database.reservations.values()
    assert reservation.facts == a_reservation().facts
    assert reservation.version == a_reservation().version


def test_hints_for_a_passed_deadline_do_not_pile_up_either(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    late = a_charge(Status.PENDING, check_at=NOON + 2 * HOUR, deadline_at=NOON)
    store_reservation(database, a_reservation(late), due_at=NOON)

    assert wake_ups(database, publisher, during=HOUR) <= 5 + HOUR / STANDARD.hint_lease_limit


def test_the_queue_of_late_looks_may_be_behind_for_hours_without_filling_up(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    confirmed = a_reservation(a_charge(check_at=NOON), a_booking(), documents=(a_voucher(),))
    store_reservation(database, replace(confirmed, sends=(a_send(),)), due_at=NOON)

    assert (
        wake_ups(database, publisher, during=3 * HOUR) <= 8 + 3 * HOUR / STANDARD.look_lease_limit
    )

    assert {hint.queue for hint in publisher.hints} == {Queue.PAYMENT_LOOK}


def test_a_check_due_an_hour_after_the_last_change_repeats_its_hint_soon(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    due = a_charge(Status.PENDING, check_at=NOON + HOUR, deadline_at=NOON + 2 * HOUR)
    store_reservation(database, a_reservation(due), due_at=NOON + HOUR)
    database.now = NOON + HOUR

    assert wake_ups(database, publisher, during=2 * STANDARD.hint_lease) == 2


def test_a_longer_lease_skips_no_earlier_wake_up(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    late = NOON + 40 * SECOND
    due = a_charge(Status.PENDING, check_at=NOON - HOUR, deadline_at=late)
    store_reservation(database, a_reservation(due), due_at=NOON)

    poll(database, publisher)

    [reservation] = database.reservations.values()
    assert reservation.next_check_at == late


def test_two_pollers_at_once_wake_a_reservation_once(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_reservation(database, a_reservation(), due_at=NOON)

    with InMemoryUnitOfWork(database) as other:
        assert other.reservations.claim_due(limit=BATCH, lease=STANDARD.hint_lease)
        assert poll(database, publisher) == Polled()
        other.commit()

    assert poll(database, publisher) == Polled()


def test_waking_closes_nothing_by_itself(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    """The step that gets the hint closes the reservation, under its lock."""
    long_ago = NOON - 3 * HOUR
    expired = replace(some_facts(), created_at=long_ago)
    store_reservation(database, a_reservation(facts=expired), due_at=NOON)

    poll(database, publisher)

    [reservation] = database.reservations.values()
    assert reservation.facts == expired


# --- far looks --------------------------------------------------------------------------------------


def store_far_looks(
    database: InMemoryDatabase, *due_at: datetime, of: Reservation | None = None
) -> list[Reservation]:
    """Store settled reservations that are paid and booked, each with its next far look."""
    stored = []
    with InMemoryUnitOfWork(database) as uow:
        for at in due_at:
            confirmed = of or a_reservation(a_charge(check_at=None), a_booking(check_at=None))
            reservation_id = uuid7(NOON)
            reservation = replace(
                confirmed,
                reservation_id=reservation_id,
                facts=replace(confirmed.facts, reservation_id=reservation_id, confirmed_at=NOON),
                code=new_code(),
                offer=an_offer(starts_on=at.date() + timedelta(days=1)),
                documents=(a_voucher(),),
                sends=(a_send(),),
                next_check_at=None,
                next_look_at=at,
            )
            uow.add(a_creation(reservation), a_customer())
            stored.append(reservation)
        uow.commit()
    return stored


def test_a_far_look_inquires_at_its_provider_through_the_queue_of_late_looks(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    [stored] = store_far_looks(database, NOON - 12 * HOUR)

    assert poll(database, publisher) == Polled(looked=1)
    assert poll(database, publisher).published == 1

    [hint] = publisher.hints
    assert hint.queue in {Queue.PAYMENT_LOOK, Queue.SUPPLIER_LOOK}
    looked_at = database.reservations[stored.reservation_id]
    assert {call.check_at for call in looked_at.facts.calls} == {NOON}
    assert looked_at.next_look_at is None


def test_a_far_look_is_taken_once_and_not_before_its_time(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_far_looks(database, NOON + MINUTE)

    assert poll(database, publisher) == Polled()
    database.now += MINUTE
    assert [poll(database, publisher).looked for _ in range(3)] == [1, 0, 0]


def test_far_looks_wait_while_more_hints_or_due_reservations_may_wait(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_far_looks(database, NOON)
    store_hints(database, *[Queue.PAYMENT] * (BATCH + 1))

    assert [poll(database, publisher).looked for _ in range(2)] == [0, 1]


def test_far_looks_wait_while_a_queue_does_not_answer(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    """Otherwise a long outage would put them before the charges that are stored after them."""
    store_far_looks(database, NOON)
    store_hints(database, Queue.PAYMENT)
    publisher.unreachable = {Queue.PAYMENT}

    assert poll(database, publisher) == Polled(unanswered=1)


def test_a_round_takes_few_far_looks_and_the_oldest_first(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    times = [NOON - age * SECOND for age in range(FAR_LOOKS + 1)]
    newest, *older = store_far_looks(database, *times)

    assert poll(database, publisher).looked == FAR_LOOKS
    waiting = {r.reservation_id for r in database.reservations.values() if r.next_look_at == NOON}
    assert waiting == {newest.reservation_id}
    assert len(older) == FAR_LOOKS
    assert poll(database, publisher).looked == 1


class FailingUnitOfWork(InMemoryUnitOfWork):
    """Refuses to store some reservations, as the database does with a write that breaks a rule."""

    def __init__(self, database: InMemoryDatabase, *, failing: set[UUID]) -> None:
        super().__init__(database)
        self._failing = failing

    def store(self, change: Change, *, attempts: Sequence[Attempt] = ()) -> None:
        super().store(change, attempts=attempts)
        if change.after.reservation_id in self._failing:
            raise KnowledgeLostError("a stamp is set once")


def test_far_looks_that_fail_stop_no_other_and_stay_due(
    database: InMemoryDatabase, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    failing = store_far_looks(database, *[NOON - HOUR] * (FAR_LOOKS + 1))
    store_far_looks(database, NOON)
    uow = FailingUnitOfWork(database, failing={r.reservation_id for r in failing})

    assert poll_outbox(uow=uow, publisher=publisher, policy=STANDARD) == Polled(looked=1)

    assert all(database.reservations[r.reservation_id] == r for r in failing)
    assert len([r for r in caplog.records if r.getMessage() == "far look not taken"]) == len(
        failing
    )


# --- round after round ------------------------------------------------------------------------------


def rounds(number: int) -> Iterator[bool]:
    yield from [False] * number
    yield True


def test_waits_grow_while_there_is_nothing_to_do(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    waits: list[float] = []
    finished = rounds(7)

    total = poll_until(
        lambda: next(finished),
        uow=InMemoryUnitOfWork(database),
        publisher=publisher,
        policy=STANDARD,
        pause=waits.append,
    )

    assert total == Polled()
    assert waits == [*IDLE_WAITS_S, IDLE_WAITS_S[-1], IDLE_WAITS_S[-1]]
    assert sorted(IDLE_WAITS_S) == list(IDLE_WAITS_S)


def test_work_ends_the_waiting_and_is_counted_over_the_whole_run(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    waits: list[float] = []
    finished = rounds(5)

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            store_hints(database, Queue.PAYMENT)
            store_reservation(database, a_reservation(code=new_code()), due_at=NOON)

    total = poll_until(
        lambda: next(finished),
        uow=InMemoryUnitOfWork(database),
        publisher=publisher,
        policy=STANDARD,
        pause=pause,
    )

    assert total == Polled(published=1, woken=1)
    assert waits == [*IDLE_WAITS_S[:2], *IDLE_WAITS_S[:2]]


class Flickering(InMemoryUnitOfWork):
    """A database that is down in the rounds of `away`."""

    def __init__(self, database: InMemoryDatabase, *, away: set[int]) -> None:
        super().__init__(database)
        self.round = 0
        self._away = away

    def __enter__(self) -> Self:
        if self.round in self._away:
            raise DatabaseUnavailableError("no connection to the database")
        return super().__enter__()


def test_a_run_outlives_a_database_that_comes_back(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    uow, finished = Flickering(database, away={0, 1}), rounds(4)
    stored = store_hints(database, Queue.PAYMENT)

    def pause(_: float) -> None:
        uow.round += 1

    total = poll_until(
        lambda: next(finished), uow=uow, publisher=publisher, policy=STANDARD, pause=pause
    )

    assert total == Polled(published=1)
    assert publisher.hints == stored


def test_a_run_that_ends_without_its_database_reports_it_and_keeps_its_counts(
    database: InMemoryDatabase, publisher: RecordingPublisher
) -> None:
    store_hints(database, Queue.PAYMENT)
    uow, finished = Flickering(database, away={2}), rounds(2)

    def over() -> bool:
        uow.round += 1
        return next(finished)

    waits: list[float] = []
    total = poll_until(over, uow=uow, publisher=publisher, policy=STANDARD, pause=waits.append)

    assert isinstance(total.outage, DatabaseUnavailableError)
    assert (total.published, waits) == (1, [IDLE_WAITS_S[0]])


class CountingPublisher(RecordingPublisher):
    """Counts the hints that it was given, accepted or not."""

    asked = 0

    def publish(self, hints: Sequence[Hint]) -> Published:
        self.asked += len(hints)
        return super().publish(hints)


def test_queues_back_after_an_hour_get_at_most_two_messages_per_reservation(
    database: InMemoryDatabase,
) -> None:
    publisher, several = CountingPublisher(), 5
    publisher.unreachable = set(Queue)
    for _ in range(several):
        reservation = a_reservation(reservation_id=uuid7(NOON), code=new_code())
        store_reservation(database, reservation, due_at=NOON)
        store_hints(database, Queue.PAYMENT)

    while database.now < NOON + HOUR:
        poll(database, publisher)
        database.now += 2 * SECOND

    assert publisher.asked <= 2 * several * (HOUR / STANDARD.hint_lease + 1)
    publisher.unreachable = set()
    while database.now < NOON + HOUR + STANDARD.hint_lease:
        poll(database, publisher)
        database.now += SECOND
    assert several <= len(publisher.hints) <= 2 * several
    assert all(row.status == "published" for row in database.outbox.values())
