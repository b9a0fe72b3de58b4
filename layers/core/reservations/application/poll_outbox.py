"""Turn stored hints and due reservations into queue messages. Begin the far looks when no other work waits."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reservations.application.cases import Cases
from reservations.application.ports import DueLook, MessagePublisher, UnitOfWork
from reservations.domain.change import Change
from reservations.domain.errors import DefectError, UnavailableError
from reservations.domain.far_looks import take_far_look
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue, hints_for
from reservations.domain.plan import Settlement, hint_lease, settle
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Reservation

BATCH = 100  # rows a claim
FAR_LOOKS = 10  # a round, each in a transaction of its own
DEAD_AFTER = 5  # refusals by our own fault before a hint is dead and waits for a person
IDLE_WAITS_S = (0.2, 0.4, 0.8, 1.6, 2.0)

# A row that another release wrote, or a write that our own rules refuse.
_NOT_TAKEN = (ValueError, DefectError)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """Counts of one round, or of a whole run; `outage` if the last round lost its database.

    `full` if a claim took a whole batch, so that more may wait.
    """

    published: int = 0
    woken: int = 0
    looked: int = 0
    unanswered: int = 0
    dead: int = 0
    full: bool = False
    outage: UnavailableError | None = None

    @property
    def idle(self) -> bool:
        return not (self.published or self.woken or self.looked)

    def __add__(self, other: "Polled") -> "Polled":
        return Polled(
            published=self.published + other.published,
            woken=self.woken + other.woken,
            looked=self.looked + other.looked,
            unanswered=self.unanswered + other.unanswered,
            dead=self.dead + other.dead,
            full=self.full or other.full,
            outage=other.outage,
        )


def poll_until(
    finished: Callable[[], bool],
    *,
    uow: UnitOfWork,
    publisher: MessagePublisher,
    policy: Policy,
    pause: Callable[[float], None],
) -> Polled:
    """Poll in rounds until `finished`, with growing pauses (seconds) between idle rounds.

    A round without a database counts as idle, as the next run begins only a minute later.
    """
    total, idle = Polled(), 0
    while not finished():
        done = poll_outbox(uow=uow, publisher=publisher, policy=policy)
        total += done
        idle = min(idle + 1, len(IDLE_WAITS_S)) if done.idle else 0
        if idle:
            pause(IDLE_WAITS_S[idle - 1])
    return total


def poll_outbox(*, uow: UnitOfWork, publisher: MessagePublisher, policy: Policy) -> Polled:
    """Publish a batch of stored hints, then wake a batch of due reservations.

    Far looks come last: they wait while a batch is full or a queue does not answer.
    """
    done = Polled()
    try:
        done += _publish_stored(uow=uow, publisher=publisher, policy=policy)
        done += _wake_due(uow=uow, publisher=publisher, policy=policy)
        if not done.full and not done.unanswered:
            done += _take_far_looks(uow=uow, policy=policy)
    except UnavailableError as error:  # the work of the parts before still counts
        return replace(done, outage=error)
    return done


def _publish_stored(*, uow: UnitOfWork, publisher: MessagePublisher, policy: Policy) -> Polled:
    with uow:
        messages = uow.outbox.claim(limit=BATCH, lease=policy.hint_lease)
        uow.commit()
    if not messages:
        return Polled()
    result = publisher.publish([message.hint for message in messages])
    accepted = [m for m in messages if m.hint.message_id in result.accepted]
    refused = [m for m in messages if m.hint.message_id in result.refused]
    with uow:
        uow.outbox.mark_published(accepted)
        dead = uow.outbox.mark_refused(refused, dead_after=DEAD_AFTER)
        uow.commit()
    return Polled(
        published=len(accepted),
        unanswered=len(messages) - len(accepted) - len(refused),
        dead=dead,
        full=len(messages) == BATCH,
    )


def _wake_due(*, uow: UnitOfWork, publisher: MessagePublisher, policy: Policy) -> Polled:
    """Wake the due reservations. A hint that is not accepted is repeated when its lease ends."""
    hints: list[Hint] = []
    with uow:
        due = uow.reservations.claim_due(limit=BATCH, lease=policy.hint_lease)
        at = Moment(uow.now(), policy)
        for reservation in due:
            settlement = settle(reservation, at)
            wanted = settlement.hints
            told = hints_for(reservation.reservation_id, wanted, now=at.now, traceparent=None)
            hints += told or [_check_due(reservation, now=at.now)]
            lease_end = at.now + hint_lease(settlement, at)
            _lease_longer(uow, reservation, min(settlement.timer or lease_end, lease_end), at)
        uow.commit()
    if not hints:
        return Polled()
    return Polled(woken=len(publisher.publish(hints).accepted), full=len(due) == BATCH)


def _lease_longer(uow: UnitOfWork, leased: Reservation, until: datetime, at: Moment) -> None:
    """Store only the time of the plan. The step that gets the hint plans again under its lock."""
    if leased.next_check_at is not None and until > leased.next_check_at:
        longer = Settlement(reservation=leased, timer=until)
        uow.store(Change.of(leased, longer, at, actor="system"))


def _take_far_looks(*, uow: UnitOfWork, policy: Policy) -> Polled:
    """Make the inquiries of far looks due, oldest first. One that fails stops no other."""
    # The next round publishes their hints, as no other sender has them.
    cases, looked = Cases(uow=uow, policy=replace(policy, hint_grace=timedelta(0))), 0
    look: DueLook | None = None
    for _ in range(BATCH):
        with uow:
            look = uow.reservations.lock_due_look(after=look)
            if look is None:
                break
            looked += _is_taken(look, cases)
        if looked == FAR_LOOKS:
            break
    return Polled(looked=looked)


def _is_taken(look: DueLook, cases: Cases) -> bool:
    """Take a far look under its lock and commit. One that fails is logged and stays due."""
    try:
        with cases.join(look.reservation_id) as case:
            case.put(take_far_look(case.reservation, case.at))
        cases.uow.commit()
    except _NOT_TAKEN:
        _logger.exception("far look not taken", extra={"reservation_id": str(look.reservation_id)})
        return False
    return True


def _check_due(reservation: Reservation, *, now: datetime) -> Hint:
    """A hint for any step: it closes the reservation or sets its next wake-up."""
    return Hint(
        message_id=uuid7(now),
        queue=Queue.PAYMENT,
        reservation_id=reservation.reservation_id,
        type="check.due",
        occurred_at=now,
    )
