"""Commands that find the reservations in question."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import click
from pydantic_core import PydanticCustomError

from ops import output
from ops.desk import AT_MOST, MOST, SOURCES, Alarm, Desk, OpsError, pass_desk, reads, typed
from ops.logs import codes_in, of_reservation, reservations_in, since_option
from ops.queues import dead_hints, letters_of
from reservations.application import attention
from reservations.application.cases import find_reservation
from reservations.application.ports import Overview, Silence, UntakenMails
from reservations.domain.codes import canonical, display
from reservations.domain.errors import InvalidReservationCodeError, ReservationNotFoundError
from reservations.domain.facts import PROVIDER_OF, Operation
from reservations.domain.policy import Moment

_READ = 5000  # reservations under way, and mails, that the overview reads
_ALL = f"--limit {MOST}"
_PEEKED = 5  # dead letters of each queue that the overview names
_SILENT_JOB = "the job that must report did not run, or fails"
_NO_METRICS = "the local stack records no metrics, so these alarms ring always"
_MAILS_OF = timedelta(days=7)
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_AGES = {"hour": "< 1 h", "day": "1–24 h", "older": "older, not settled"}


@click.command
@click.argument("clue", required=False)
@click.option("--address", is_flag=True, help="Read a mail address from standard input.")
@since_option
@reads
@pass_desk
def find(desk: Desk, clue: str | None, address: bool, since: timedelta) -> None:
    """Find reservations by CLUE, the newest first.

    A clue is a code with any dashes, a reservation_id, the supplier's locator, a provider's id of a
    payment, refund or booking, or a request_id, which is looked for in the logs.
    """
    if address == (clue is not None):
        raise click.UsageError("Give a clue, or --address and the address on standard input.")
    if address:
        found = by_address(desk, typed("Address: "))
    else:
        assert clue is not None
        found = by_clue(desk, clue.strip(), since=since)
    desk.say({"found": [output.overview(each) for each in found]})
    if not found:
        raise OpsError("Nothing was found in this stage.")


def by_clue(desk: Desk, clue: str, *, since: timedelta) -> list[Overview]:
    """The reservations that a clue leads to; see `find`."""
    search = desk.services.search()
    if by_code := _by_code(desk, clue):
        return by_code
    by_id = search.by_id(UUID(clue)) if _UUID.fullmatch(clue) else []
    found = by_id or search.by_provider(clue, limit=AT_MOST)
    if found or not _UUID.fullmatch(clue):
        return found
    lines = of_reservation(desk.logs(), [clue], since=datetime.now(UTC) - since)
    named = [search.by_id(UUID(name)) for name in reservations_in(lines)]
    named += [_by_code(desk, code) for code in codes_in(lines)]
    return list({each.code: each for each in chain.from_iterable(named)}.values())


def _by_code(desk: Desk, code: str) -> list[Overview]:
    try:
        with desk.services.unit_of_work() as uow:
            identifier = find_reservation(canonical(code), uow=uow).reservation_id
    except (InvalidReservationCodeError, ReservationNotFoundError):
        return []
    return desk.services.search().by_id(identifier)


def by_address(desk: Desk, typed: str) -> list[Overview]:
    """The reservations of a mail address, looked for in the form that is stored."""
    from reservations.entrypoints.contact import stored_email

    try:
        address = stored_email(typed)
    except PydanticCustomError:  # an older release may have stored it
        address = typed
    return desk.services.search().by_address(address, limit=AT_MOST)


def overview(desk: Desk) -> None:
    """Print the state of the deployment at one glance."""
    desk.say(dict(parts(desk)))


def parts(desk: Desk) -> Iterator[tuple[str, Any]]:
    """The parts of the overview, by name."""
    search, oversight = desk.services.search(), desk.services.oversight()
    yield "reservations", _counted(search.counts())
    with desk.services.unit_of_work() as uow:
        matters = attention.reviews(oversight, uow=uow, policy=desk.services.durations())
    yield "reviews", [_matter(each) for each in matters]
    if (waiting := oversight.waiting_for_a_person(limit=_READ)) > len(matters):
        least = "at least " if waiting == _READ else ""
        yield "more reviews", f"{least}{waiting - len(matters)}: bin/ops list --review {_ALL}"
    yield (
        "contradictions",
        [
            {"kind": each.kind, "open": each.opened, "suspected": each.suspected}
            for each in search.doubts()
        ],
    )
    yield "calls without an answer", [_silence(each) for each in oversight.silences(limit=_READ)]
    mails = oversight.untaken_mails(since=oversight.now() - _MAILS_OF, limit=_READ)
    yield "mails not taken", [_untaken(each) for each in mails]
    stuck = oversight.stuck(limit=AT_MOST + 1)
    yield "stuck", [output.overview(each) for each in stuck[:AT_MOST]]
    if len(stuck) > AT_MOST:
        yield "more stuck", f"bin/ops list --stuck {_ALL}"
    queued, letters = desk.waiting(), desk.dead_letters()
    hints = {(lag.queue, lag.status): lag for lag in oversight.outbox()}
    dead = {queue: letters.count(queue) for queue in SOURCES if queue in queued}
    queues = [
        {
            "queue": queue,
            "outbox": getattr(hints.get((queue, "pending")), "hints", 0),
            "dead_hints": getattr(hints.get((queue, "dead")), "hints", 0),
            "in_queue": messages,
            "dead_letters": dead.get(queue, 0),
        }
        for queue, messages in queued.items()
    ]
    # Empty queues would only hide the others.
    yield "queues", [row for row in queues if desk.as_json or any(list(row.values())[1:])]
    yield "dead hints", dead_hints(desk)
    peeked = [letters.peek(queue, limit=min(n, _PEEKED)) for queue, n in dead.items() if n]
    yield "dead letters", letters_of(desk, list(chain.from_iterable(peeked)))
    yield "oldest due, seconds", round(oversight.oldest_due_s(), 1)
    ringing = desk.alarms()
    yield "alarms", [_ringing(each) for each in ringing]
    if any(each.silent for each in ringing):
        yield "no data", _SILENT_JOB if desk.on_aws else _NO_METRICS


def _counted(counts: list[Any]) -> list[dict[str, Any]]:
    statuses = sorted({each.status for each in counts})
    number = {(each.status, each.age): each.reservations for each in counts}
    return [
        {"status": status, **{name: number.get((status, age), 0) for age, name in _AGES.items()}}
        for status in statuses
    ]


def _silence(silence: Silence) -> dict[str, Any]:
    known = silence.operation in set(Operation)
    return {
        "provider": PROVIDER_OF[Operation(silence.operation)] if known else None,
        "operation": silence.operation,
        "calls": silence.calls,
        "no answer since": silence.since,
        "last request": silence.last_at,
    }


def _untaken(mails: UntakenMails) -> dict[str, Any]:
    return {
        "status": mails.status,
        "mails": mails.mails,
        "first": mails.first_at,
        "last": mails.last_at,
        "code": display(mails.code),
    }


def _ringing(alarm: Alarm) -> dict[str, Any]:
    because = "no data" if alarm.silent else None
    return {"alarm": alarm.name, "since": alarm.since, "because": because}


def _matter(matter: attention.Matter) -> dict[str, Any]:
    return {
        "code": display(matter.code),
        "status": matter.status,
        "review": ", ".join(sorted(matter.reviews)),
        "at stake": matter.at_stake,
        "since": matter.since,
        "end it by": [f"bin/ops {command}" for command in ways_out(matter)],
    }


def ways_out(matter: attention.Matter) -> list[str]:
    """The commands that end a review."""
    code = display(matter.code)
    resolve = [
        f"review resolve {code} --reason {decision} --evidence REF"
        + (f" --target {target}" if target else "")
        for decision, targets in matter.ways
        for target in targets or ("",)
    ]
    return resolve + ([f"cancel {code}"] if matter.cancellable else [])


def ways_of(desk: Desk, code: str) -> list[str]:
    """The commands that go on with one reservation: they end its review, or cancel it."""
    with desk.services.unit_of_work() as uow:
        reservation = find_reservation(code, uow=uow)
        at = Moment(uow.now(), desk.services.durations())
    return ways_out(attention.matter_of(reservation, at))
