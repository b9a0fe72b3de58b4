"""Turn stored hints and due reservations into queue messages."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from reservations.application.ports import MessagePublisher, UnitOfWork
from reservations.domain.change import Change
from reservations.domain.errors import UnavailableError
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue, hints_for
from reservations.domain.plan import Settlement, settle, with_longer_lease
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Reservation

BATCH = 100  # rows a claim
DEAD_AFTER = 5  # refusals by our own fault before a hint is dead and waits for a person
IDLE_WAITS_S = (0.2, 0.4, 0.8, 1.6, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """Counts of one round, or of a whole run; `outage` if the last round lost its database."""

    published: int = 0
    woken: int = 0
    unanswered: int = 0
    dead: int = 0
    outage: UnavailableError | None = None

    def __add__(self, other: "Polled") -> "Polled":
        return Polled(
            published=self.published + other.published,
            woken=self.woken + other.woken,
            unanswered=self.unanswered + other.unanswered,
            dead=self.dead + other.dead,
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
        idle = 0 if done.published or done.woken else min(idle + 1, len(IDLE_WAITS_S))
        if idle:
            pause(IDLE_WAITS_S[idle - 1])
    return total


def poll_outbox(*, uow: UnitOfWork, publisher: MessagePublisher, policy: Policy) -> Polled:
    """Publish a batch of stored hints, then wake a batch of due reservations."""
    done = Polled()
    for half in (_publish_stored, _wake_due):
        try:
            done += half(uow=uow, publisher=publisher, policy=policy)
        except UnavailableError as error:  # the work of the first half still counts
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
        published=len(accepted), unanswered=len(messages) - len(accepted) - len(refused), dead=dead
    )


def _wake_due(*, uow: UnitOfWork, publisher: MessagePublisher, policy: Policy) -> Polled:
    """Wake the due reservations. A hint that is not accepted is repeated when its lease ends."""
    hints: list[Hint] = []
    with uow:
        due = uow.reservations.claim_due(limit=BATCH, lease=policy.hint_lease)
        at = Moment(uow.now(), policy)
        for reservation in due:
            waiting = with_longer_lease(reservation, at)
            settlement = settle(reservation, waiting)
            wanted = settlement.hints
            told = hints_for(reservation.reservation_id, wanted, now=at.now, traceparent=None)
            hints += told or [_check_due(reservation, now=at.now)]
            wishes = [
                settlement.next_check_at,
                None if told else at.now + waiting.policy.hint_lease,
            ]
            _lease_longer(uow, reservation, min(filter(None, wishes)), at)
        uow.commit()
    if not hints:
        return Polled()
    return Polled(woken=len(publisher.publish(hints).accepted))


def _lease_longer(uow: UnitOfWork, leased: Reservation, until: datetime, at: Moment) -> None:
    """Store only the time of the plan. The step that gets the hint plans again under its lock."""
    if leased.next_check_at is not None and until > leased.next_check_at:
        longer = Settlement(reservation=leased, next_check_at=until)
        uow.store(Change.of(leased, longer, at, actor="system"))


def _check_due(reservation: Reservation, *, now: datetime) -> Hint:
    """A hint for any step: it closes the reservation or sets its next wake-up."""
    return Hint(
        message_id=uuid7(now),
        queue=Queue.PAYMENT,
        reservation_id=reservation.reservation_id,
        type="check.due",
        occurred_at=now,
    )
