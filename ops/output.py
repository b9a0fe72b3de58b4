"""Output of `ops`: tables for people, one JSON object for machines, no personal data in either."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, groupby
from typing import Any, TextIO

import click

from reservations.application.ports import Attempt, Overview
from reservations.domain.codes import display
from reservations.domain.facts import Call, Contradiction, Facts, Operation, Status
from reservations.domain.history import HistoryEntry
from reservations.domain.reservation import ERASED, Customer, Reservation

Row = Mapping[str, Any]
Page = Mapping[str, Row | Sequence[Row] | str | int | float]

_WIDTH = 80  # columns, where no terminal says how many there are
OUTCOMES = {
    "Seen": "answered",
    "Listing": "listed",
    "NotSent": "not sent",
    "NoAnswer": "unknown",
}


def emit(page: Page, *, as_json: bool) -> None:
    """Print each part under its name: a mapping as lines, a list of mappings as a table."""
    if as_json:
        click.echo(json.dumps(page, default=_plain))  # ASCII, without terminal control characters
        return
    columns = columns_of(sys.stdout) or _WIDTH
    for line in chain.from_iterable(_part(name, part, columns) for name, part in page.items()):
        click.echo(line)


def columns_of(stream: TextIO) -> int | None:
    """The width of a terminal. `None` for a file or another program."""
    return shutil.get_terminal_size((_WIDTH, 0)).columns if stream.isatty() else None


def wrapped(text: str, columns: int | None, *, indent: str = "") -> str:
    """Break a text into lines of this width. No word is broken: it may be an id."""
    if columns is None:
        return text
    lines = textwrap.wrap(
        text,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)


def emit_line(row: Row, *, as_json: bool) -> None:
    """Print one row of a stream."""
    given = "  ".join(shown(value) for value in row.values() if value not in (None, ""))
    click.echo(json.dumps(row, default=_plain) if as_json else given)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def shown(value: object) -> str:
    """A value for people: a time of today without its date, and no character that a terminal obeys."""
    if value is None or value == "":
        return "–"
    if isinstance(value, datetime):
        today = value.date() == datetime.now(UTC).date()
        return f"{value:%H:%M:%S}Z" if today else f"{value:%Y-%m-%d %H:%M}Z"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else _harmless(str(value))


def _harmless(text: str) -> str:
    """Replace the characters that a terminal would obey: controls, and those that reorder text."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _part(name: str, part: Any, columns: int) -> Iterator[str]:
    if isinstance(part, Mapping):
        yield _title(name)
        given = {key: shown(value) for key, value in part.items() if value not in (None, "", ())}
        width = max(map(len, given), default=0)
        yield from (f"  {key:<{width}}  {text}" for key, text in given.items())
    elif isinstance(part, str | int | float):
        yield f"{name}: {shown(part)}"
    elif part:
        yield _title(name)
        yield from _table(part, columns)
    else:
        yield f"{name}: none"


def _title(name: str) -> str:
    return click.style(name, bold=True)


def _table(rows: Sequence[Row], columns: int) -> Iterator[str]:
    """A table if it fits, else a block for each row. No value is ever cut."""
    keys = [key for key in rows[0] if any(row[key] not in (None, "", ()) for row in rows)]
    cells = [[shown(row[key]) for key in keys] for row in rows]
    widths = [max(map(len, column)) for column in zip(keys, *cells, strict=True)]
    if sum(widths) + 2 * len(widths) > columns:
        yield from chain.from_iterable(_block(row, columns) for row in rows)
        return
    for line in (keys, *cells):
        yield (
            "  " + "  ".join(f"{text:<{w}}" for text, w in zip(line, widths, strict=True)).rstrip()
        )


def _block(row: Row, columns: int) -> Iterator[str]:
    """The first two values, and the rest as pairs that are broken between lines only."""
    first, second, *rest = row.items()
    line = f"  {shown(first[1])}  {shown(second[1])}"
    several = [each for _, value in rest if isinstance(value, list) for each in value]
    for key, value in rest:
        if value in (None, "", ()) or isinstance(value, list):
            continue
        pair = f"{key} {shown(value)}"
        if len(line) + 2 + len(pair) > columns:
            yield line
            line = f"    {pair}"
        else:
            line += f"  {pair}"
    yield line
    yield from (f"    {shown(each)}" for each in several)


def overview(found: Overview) -> Row:
    return {
        "code": display(found.code),
        "status": found.status,
        "state": found.state,
        "review": found.review,
        "next_check_at": found.next_check_at,
        "updated_at": found.updated_at,
        "created_at": found.created_at,
    }


def summary(reservation: Reservation, now: datetime) -> Row:
    """A reservation after a change."""
    return {
        "code": display(reservation.code),
        "state": reservation.standing.state,
        "status": reservation.standing.public_status,
        "review": ", ".join(sorted(reservation.standing.reviews(now))),
        "next_check_at": reservation.next_check_at,
    }


def whole(
    reservation: Reservation, customer: Customer, attempts: Sequence[Attempt], now: datetime
) -> Page:
    """Everything known about a reservation, except its customer."""
    facts, offer = reservation.facts, reservation.offer
    return {
        "reservation": {
            **summary(reservation, now),
            "id": reservation.reservation_id,
            "client": reservation.client_id,
            "token_kid": reservation.token_kid,
            "token_version": reservation.token_version,
            "closed_by": facts.reason,
            "unknown_words": ", ".join(map(str, facts.unknown_words)),
            "price": facts.price,
            "accepted_minor": facts.accepted_minor,
            "charged_less_refunded_minor": _net(facts),
            "offer": offer.offer_id,
            "travels": f"{offer.starts_on} to {offer.ends_on}, guests: {offer.guests}",
            "personal_data": "erased" if customer == ERASED else "kept",
            "created_at": facts.created_at,
            "confirmed_at": facts.confirmed_at,
            "ended_at": facts.ended_at,
            "version": reservation.version,
        },
        "calls": [_call(call) for call in facts.calls],
        "contradictions": [_contradiction(row) for row in facts.contradictions],
        "attempts": [_attempt(attempt) for attempt in attempts],
        "documents": [
            {"type": d.type, "issued_at": d.issued_at, "removed_at": d.removed_at}
            for d in reservation.documents
        ],
        "mails": [
            {"kind": s.kind, "status": s.status, "attempts": s.attempts, "sent_at": s.sent_at}
            for s in reservation.sends
        ],
    }


def with_attempts(page: Page) -> Page:
    """The page for people: each call with its attempts, and words instead of names of classes."""
    calls: Any = page["calls"]
    attempts: Any = page["attempts"]
    rest = {name: part for name, part in page.items() if name not in ("calls", "attempts")}
    reservation, *others = rest.items()
    return (
        dict([reservation])
        | {
            "calls": [
                {key: value for key, value in call.items() if key != "key"}
                | {"tries": _tries([each for each in attempts if each["call"] == call["key"]])}
                for call in calls
            ]
        }
        | dict(others)
    )


def _tries(attempts: Sequence[Row]) -> list[str]:
    """A line for each request, and one for those that got one answer in a row."""
    return [_alike(answer, list(run)) for answer, run in groupby(attempts, key=_answer)]


def _answer(attempt: Row) -> str:
    outcome = OUTCOMES.get(attempt["outcome"], attempt["outcome"])
    status = f" {attempt['http_status']}" if attempt["http_status"] else ""
    status += f" {attempt['code']}" if attempt["code"] else ""
    return f"{attempt['verb']}{status} {outcome}"


def _alike(answer: str, run: Sequence[Row]) -> str:
    first, last = shown(run[0]["sent_at"]), shown(run[-1]["sent_at"])
    if len(run) == 1:
        return f"{first} {answer} {run[0]['ms']} ms"
    date, _, clock = last.partition(" ")
    until = clock if first.startswith(f"{date} ") else last  # one date is said once
    return f"{first} to {until}, {len(run)} times: {answer}"


def history(entries: Sequence[HistoryEntry]) -> list[Row]:
    return [
        {"at": entry.at, "event": entry.event, "actor": entry.actor, "note": entry.note}
        for entry in entries
    ]


def _net(facts: Facts) -> int:
    def total(operation: Operation) -> int:
        succeeded = (c for c in facts.of(operation) if c.status is Status.SUCCEEDED)
        return sum(call.money.minor for call in succeeded if call.money)

    return total(Operation.CHARGE) - total(Operation.REFUND)


def _call(call: Call) -> Row:
    return {
        "operation": call.operation,
        "status": call.status,
        "key": call.key,
        "money": call.money,
        "provider_id": call.provider_id,
        "locator": call.locator,
        "target": call.target,
        "attempts": call.attempts,
        "looks": call.looks,
        "sent_at": call.sent_at,
        "closed_at": call.closed_at,
        "check_at": call.check_at,
        "deadline_at": call.deadline_at,
    }


def _contradiction(row: Contradiction) -> Row:
    return {
        "kind": row.kind,
        "subject": row.subject,
        "seen": row.seen,
        "payment": row.payment,
        "money": row.money,
        "number": row.number,
        "looks": row.looks,
        "first_at": row.first_at,
        "opened_at": row.opened_at,
        "over_at": row.over_at,
        "closed_at": row.closed_at,
        "sticky": row.sticky,
        "decision": row.decision,
        "evidence": row.evidence,
        "check_at": row.check_at,
    }


def _attempt(attempt: Attempt) -> Row:
    return {
        "sent_at": attempt.sent_at,
        "call": attempt.call_key,
        "verb": attempt.verb,
        "outcome": attempt.outcome,
        "http_status": attempt.http_status,
        "code": attempt.code,
        "ms": attempt.elapsed_ms,
    }
