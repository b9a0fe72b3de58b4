"""A hint leaves when its commit is done. The outbox publishes it if anything comes in between."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from reservations.application.cases import Cases
from reservations.application.hint_sender import HintSender
from reservations.application.poll_outbox import Polled, poll_outbox
from reservations.application.ports import MailAccepted, OutboxMessage, Published, UnitOfWork
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.facts import Seen, Status
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import MailKind
from reservations.domain.words import PublicStatus
from tests.worlds.application import CrashError, World
from tests.worlds.builders import (
    MINUTE,
    NOON,
    PRICE,
    RESERVATION_ID,
    SECOND,
    a_charge,
    a_reservation,
)
from tests.worlds.fakes import (
    InMemoryOutbox,
    InMemoryUnitOfWork,
    RecordingMailer,
    RecordingPublisher,
    ScriptedPayments,
    ScriptedSupplier,
)


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


@pytest.mark.parametrize("minutes", [0, 1, 3])
def test_a_queue_that_is_behind_makes_no_step_store_its_hints_again_and_again(
    minutes: int,
) -> None:
    """Each copy of a hint finds its work done, and leaves the rest to the poller."""
    world, queued = World(), Behind(timedelta(minutes=minutes))
    paid = ScriptedPayments(Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE))
    booked = ScriptedSupplier(Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="SOL"))
    steps: Mapping[Queue, Callable[[], object]] = {
        Queue.PAYMENT: lambda: world.pay(paid),
        Queue.SUPPLIER: lambda: world.confirm(booked),
        Queue.VOUCHER: world.issue,
        Queue.NOTIFICATION: lambda: world.notify(RecordingMailer(MailAccepted("ses-1"))),
    }

    while world.now < NOON + 45 * MINUTE:
        queued.now = world.now
        poll(world, queued)
        for hint in queued.arrived():
            steps[hint.queue]()
        world.wait(SECOND)

    stored = Counter(row.hint.queue for row in world.database.outbox.values())
    assert world.public_status() is PublicStatus.CONFIRMADA
    assert world.stored.send_of(MailKind.CONFIRMED)
    assert max(stored.values()) <= 2


class Behind(RecordingPublisher):
    """Queues whose hints arrive late."""

    def __init__(self, late: timedelta) -> None:
        super().__init__()
        self.now = NOON
        self._late = late
        self._waiting: list[tuple[datetime, Hint]] = []

    def publish(self, hints: Sequence[Hint]) -> Published:
        self._waiting += [(self.now + self._late, hint) for hint in hints]
        return super().publish(hints)

    def arrived(self) -> list[Hint]:
        arrived = [hint for at, hint in self._waiting if at <= self.now]
        self._waiting = [(at, hint) for at, hint in self._waiting if at > self.now]
        return arrived
