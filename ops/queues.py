"""Commands for messages: those that wait to be published, and those that were set aside."""

from collections.abc import Mapping

import click

from ops.desk import (
    SOURCES,
    Desk,
    acts,
    dry_option,
    make_sure,
    pass_desk,
    queue_option,
    rate_option,
    reads,
    source_option,
    sure,
)
from reservations.application import operate
from reservations.application.poll_outbox import poll_outbox
from reservations.application.ports import Source
from reservations.domain.messages import Queue


@click.group
def outbox() -> None:
    """Hints that are stored and not published yet."""


@outbox.command
@reads
@pass_desk
def lag(desk: Desk) -> None:
    """How many hints wait or are dead, and for how long the oldest."""
    oversight = desk.services.oversight()
    desk.say(
        {
            "outbox": [
                {"queue": e.queue, "status": e.status, "hints": e.hints, "oldest_s": e.oldest_s}
                for e in oversight.outbox()
            ],
            "oldest_due_reservation_s": oversight.oldest_due_s(),
        }
    )


@outbox.command
@queue_option
@acts
@pass_desk
def revive(desk: Desk, queue: Queue | None, actor: str) -> None:
    """Give hints that were refused for ever another chance, once their cause is mended."""
    desk.say({"revived": desk.services.retention().revive(queue=queue, actor=actor)})


@outbox.command
@reads
@pass_desk
def publish(desk: Desk) -> None:
    """Do the poller's work from here, until nothing waits: for when it does not run."""
    uow, publisher, policy = desk.services.unit_of_work(), desk.publisher(), desk.services.policy()
    total = done = poll_outbox(uow=uow, publisher=publisher, policy=policy)
    while done.published or done.woken:
        done = poll_outbox(uow=uow, publisher=publisher, policy=policy)
        total += done
    desk.say({"published": total.published, "woken": total.woken, "unanswered": total.unanswered})


@click.group
def dlq() -> None:
    """Messages set aside: hints, and what SES says about mails. Neither changes what a reservation is.

    The timeline of its reservation tells who repeated or dropped one, if the message can be read.
    """


@dlq.command(name="list")
@source_option
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Messages of a queue to look at.",
)
@reads
@pass_desk
def list_dead_letters(desk: Desk, queue: Source | None, limit: int) -> None:
    """How many there are in each queue, and why."""
    letters = desk.dead_letters()
    queues = (queue,) if queue else SOURCES
    desk.say(
        {
            "queues": [{"queue": each, "messages": letters.count(each)} for each in queues],
            "messages": [
                {
                    "queue": letter.queue,
                    "reason": letter.reason or "not handled after every try",
                    "reservation_id": letter.reservation_id,
                    "type": letter.type,
                    "sent_at": letter.sent_at,
                }
                for each in queues
                for letter in letters.peek(each, limit=limit)
            ],
        }
    )


@dlq.command
@source_option
@rate_option
@dry_option
@acts
@pass_desk
def redrive(desk: Desk, queue: Source | None, rate: float, dry_run: bool, actor: str) -> None:
    """Send the messages to their queues again."""
    letters = desk.dead_letters()
    queues = (queue,) if queue else SOURCES
    if dry_run:
        counts = {q: letters.count(q) for q in queues}
    else:
        retention = desk.services.retention()
        counts = {
            q: operate.redrive(q, rate=rate, letters=letters, retention=retention, actor=actor)
            for q in queues
        }
    _say_moved(desk, "would redrive" if dry_run else "redriven", counts, actor=actor)


@dlq.command
@source_option
@rate_option
@dry_option
@sure
@acts
@pass_desk
def drop(
    desk: Desk, queue: Source | None, rate: float, dry_run: bool, yes: bool, actor: str
) -> None:
    """Delete the messages for good: reservations come back by their own timers, mail events do not."""
    letters = desk.dead_letters()
    queues = (queue,) if queue else SOURCES
    if dry_run:
        counts = {q: letters.count(q) for q in queues}
    else:
        make_sure(yes, "Delete the messages for good?")
        retention = desk.services.retention()
        counts = {
            q: operate.drop(q, rate=rate, letters=letters, retention=retention, actor=actor)
            for q in queues
        }
    _say_moved(desk, "would drop" if dry_run else "dropped", counts, actor=actor)


def _say_moved(desk: Desk, done: str, counts: Mapping[Source, int], *, actor: str) -> None:
    """Who moved them is said here too: what cannot be read is in no reservation's history."""
    rows = [{"queue": queue, "messages": count, "by": actor} for queue, count in counts.items()]
    desk.say({done: rows})
