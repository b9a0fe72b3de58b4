"""Commands for unpublished hints and for dead-lettered messages."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import click

from ops.desk import (
    AT_MOST,
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
from reservations.application.ports import DeadLetter, Source
from reservations.domain.codes import display
from reservations.domain.messages import Queue


@click.group
def outbox() -> None:
    """Stored hints that are not published yet."""


@outbox.command
@reads
@pass_desk
def lag(desk: Desk) -> None:
    """Count the pending and dead hints, with the age of the oldest."""
    oversight = desk.services.oversight()
    desk.say(
        {
            "outbox": [
                {"queue": e.queue, "status": e.status, "hints": e.hints, "oldest_s": e.oldest_s}
                for e in oversight.outbox()
            ],
            "oldest_due_reservation_s": oversight.oldest_due_s(),
            "dead hints": dead_hints(desk),
        }
    )


def dead_hints(desk: Desk) -> list[dict[str, Any]]:
    """The first hints that were refused for good, with the codes of their reservations."""
    hints = desk.services.oversight().dead_hints(limit=AT_MOST)
    about = _reservations(desk, [hint.reservation_id for hint in hints])
    return [
        {
            "queue": hint.queue,
            **about[hint.reservation_id],
            "type": hint.type,
            "stored_at": hint.occurred_at,
        }
        for hint in hints
    ]


def letters_of(desk: Desk, letters: Sequence[DeadLetter]) -> list[dict[str, Any]]:
    """Dead letters with their reasons and the codes of their reservations."""
    about = _reservations(desk, [letter.reservation_id for letter in letters])
    return [
        {
            "queue": letter.queue,
            **about[letter.reservation_id],
            "reason": letter.reason or "not handled in any attempt",
            "type": letter.type,
            "sent_at": letter.sent_at,
        }
        for letter in letters
    ]


def _reservations(
    desk: Desk, ids: Sequence[UUID | None]
) -> dict[UUID | None, dict[str, UUID | str | None]]:
    """The code of each reservation. People read its id only where it has no code."""
    codes = desk.services.search().codes({each for each in ids if each is not None})
    named = {each: each and codes.get(each) for each in ids}
    return {
        each: {
            "code": code and display(code),
            "reservation_id": each if desk.as_json or not code else None,
        }
        for each, code in named.items()
    }


@outbox.command
@queue_option
@acts
@pass_desk
def revive(desk: Desk, queue: Queue | None, actor: str) -> None:
    """Make dead hints pending again, once the cause of their refusal is fixed."""
    desk.say({"revived": desk.services.retention().revive(queue=queue, actor=actor)})


@outbox.command
@reads
@pass_desk
def publish(desk: Desk) -> None:
    """Do the poller's work until no hint waits. Use it when the poller does not run."""
    uow, publisher, policy = desk.services.unit_of_work(), desk.publisher(), desk.services.policy()
    total = done = poll_outbox(uow=uow, publisher=publisher, policy=policy)
    while not done.idle:
        done = poll_outbox(uow=uow, publisher=publisher, policy=policy)
        total += done
    desk.say({"published": total.published, "woken": total.woken, "unanswered": total.unanswered})


@click.group
def dlq() -> None:
    """Dead-lettered messages: hints, and mail events from SES. Neither changes a reservation's state.

    If a message is readable, its reservation's timeline shows the role that repeated or dropped it.
    """


@dlq.command(name="list")
@source_option
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=AT_MOST,
    show_default=True,
    help="Messages of each queue to show.",
)
@reads
@pass_desk
def list_dead_letters(desk: Desk, queue: Source | None, limit: int) -> None:
    """Count the messages in each queue, and show them with their reasons."""
    letters = desk.dead_letters()
    queues = (queue,) if queue else SOURCES
    desk.say(
        {
            "queues": [{"queue": each, "messages": letters.count(each)} for each in queues],
            "messages": letters_of(
                desk, [letter for each in queues for letter in letters.peek(each, limit=limit)]
            ),
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
    """Delete the messages for good. Timers wake the reservations again, but mail events are lost."""
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
    """Report the actor here too: an unreadable message is in no reservation's history."""
    rows = [{"queue": queue, "messages": count, "by": actor} for queue, count in counts.items()]
    desk.say({done: rows})
