"""A hint leaves when its commit is done. The outbox publishes it if anything comes in between."""

from collections.abc import Sequence
from contextlib import suppress

import pytest

from reservations.application.cases import Cases
from reservations.application.hint_sender import HintSender
from reservations.application.poll_outbox import Polled, poll_outbox
from reservations.application.ports import OutboxMessage, Published, UnitOfWork
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from tests.worlds.application import CrashError, World
from tests.worlds.builders import NOON, RESERVATION_ID, SECOND, a_charge, a_reservation
from tests.worlds.fakes import InMemoryOutbox, InMemoryUnitOfWork, RecordingPublisher


@pytest.fixture
def world() -> World:
    """A reservation that was paid, and not settled since."""
    world = World(a_reservation(a_charge(check_at=None), next_check_at=NOON - SECOND))
    world.take_hints()
    return world


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


def settle(world: World, publisher: RecordingPublisher, uow: UnitOfWork | None = None) -> None:
    """A transaction that asks for the supplier's step."""
    uow = uow or world.unit_of_work()
    sender = HintSender(uow=uow, publisher=publisher)
    with Cases(uow=uow, policy=STANDARD, sender=sender).open(RESERVATION_ID) as case:
        case.put(case.reservation)


def poll(world: World, publisher: RecordingPublisher) -> Polled:
    return poll_outbox(uow=world.unit_of_work(), publisher=publisher, policy=STANDARD)


def queues(publisher: RecordingPublisher) -> list[Queue]:
    return [hint.queue for hint in publisher.hints]


def test_a_hint_leaves_with_its_commit_and_never_again(
    world: World, publisher: RecordingPublisher
) -> None:
    settle(world, publisher)
    assert queues(publisher) == [Queue.SUPPLIER]

    world.wait(STANDARD.hint_grace)
    assert poll(world, publisher) == Polled()


def test_a_hint_that_was_not_sent_leaves_with_the_poller_after_its_grace(
    world: World, publisher: RecordingPublisher
) -> None:
    publisher.unreachable = {Queue.SUPPLIER}
    settle(world, publisher)
    publisher.unreachable = set()

    assert poll(world, publisher) == Polled()
    world.wait(STANDARD.hint_grace)
    assert poll(world, publisher) == Polled(published=1)
    assert queues(publisher) == [Queue.SUPPLIER]


def test_a_refused_hint_is_left_to_the_poller_which_counts_refusals(world: World) -> None:
    settle(world, Refusing())

    [row] = world.database.outbox.values()
    assert (row.status, row.refusals) == ("pending", 0)


class Refusing(RecordingPublisher):
    def publish(self, hints: Sequence[Hint]) -> Published:
        self.refusing = {hint.message_id for hint in hints}
        return super().publish(hints)


class DyingBefore(RecordingPublisher):
    def publish(self, hints: Sequence[Hint]) -> Published:
        raise CrashError


class DyingAfter(RecordingPublisher):
    def publish(self, hints: Sequence[Hint]) -> Published:
        super().publish(hints)
        raise CrashError


@pytest.mark.parametrize(("dying", "sent"), [(DyingBefore(), 0), (DyingAfter(), 1)])
def test_a_process_that_dies_after_its_commit_loses_no_hint(
    world: World, publisher: RecordingPublisher, dying: RecordingPublisher, sent: int
) -> None:
    with suppress(CrashError):
        settle(world, dying)
    assert len(dying.hints) == sent

    world.wait(STANDARD.hint_grace)
    assert poll(world, publisher) == Polled(published=1)
    assert queues(publisher) == [Queue.SUPPLIER]


class Unmarkable(InMemoryOutbox):
    def mark_published(self, messages: object) -> None:
        raise DatabaseUnavailableError("the server has gone away")


def test_a_mark_that_fails_costs_one_repeat_and_no_error(
    world: World, publisher: RecordingPublisher
) -> None:
    uow = InMemoryUnitOfWork(world.database)
    uow.outbox = Unmarkable(uow)

    settle(world, publisher, uow)
    world.wait(STANDARD.hint_grace)
    poll(world, publisher)

    [first, second] = publisher.hints
    assert first == second


def test_a_transaction_that_fails_sends_nothing(
    world: World, publisher: RecordingPublisher
) -> None:
    class Dying(InMemoryUnitOfWork):
        def commit(self) -> None:
            raise CrashError

    with suppress(CrashError):
        settle(world, publisher, Dying(world.database))

    assert publisher.hints == []


def test_a_hint_is_marked_only_under_the_lease_that_it_was_stored_with(world: World) -> None:
    """The poller took it over meanwhile, so the mark is not the sender's any more."""
    poller = world.unit_of_work()

    class Slow(RecordingPublisher):
        def publish(self, hints: Sequence[Hint]) -> Published:
            world.wait(STANDARD.hint_grace)
            with poller:
                taken: list[OutboxMessage] = poller.outbox.claim(limit=1, lease=SECOND)
                poller.commit()
            assert [message.hint for message in taken] == list(hints)
            return super().publish(hints)

    settle(world, Slow())

    [row] = world.database.outbox.values()
    assert row.status == "pending"
