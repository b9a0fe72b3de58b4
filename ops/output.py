"""Output of `ops`: tables for people, one JSON object for machines, no personal data in either."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from reservations.application.ports import Attempt, Overview
from reservations.domain.codes import display
from reservations.domain.facts import Call, Contradiction, Facts, Operation, Status
from reservations.domain.history import HistoryEntry
from reservations.domain.reservation import ERASED, Customer, Reservation

Row = Mapping[str, Any]
Page = Mapping[str, Row | Sequence[Row] | str | int | float]

_PIPE_WIDTH = 200  # columns, where no terminal says how many there are


def emit(page: Page, *, as_json: bool) -> None:
    """Print each part under its name: a mapping as lines, a list of mappings as a table."""
    if as_json:
        click.echo(json.dumps(page, default=_plain))  # ASCII, without terminal control characters
        return
    console = Console(
        width=None if sys.stdout.isatty() else _PIPE_WIDTH,
        highlight=False,
        # A locator is the supplier's text: its brackets and colons are no markup.
        markup=False,
        emoji=False,
    )
    for name, part in page.items():
        match part:
            case Mapping():
                console.print(_lines(name, part))
            case str() | int() | float():
                console.print(f"{name}: {part}")
            case _:
                console.print(_table(name, part) if part else f"{name}: none")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _shown(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    return f"{value:g}" if isinstance(value, float) else _harmless(str(value))


def _harmless(text: str) -> str:
    """Replace the characters that a terminal would obey: controls, and those that reorder text."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _lines(name: str, row: Row) -> Table:
    table = Table(title=name, title_justify="left", show_header=False, box=None)
    for key, value in row.items():
        table.add_row(f"{key}", _shown(value))
    return table


def _table(name: str, rows: Sequence[Row]) -> Table:
    table = Table(*rows[0], title=name, title_justify="left")
    for row in rows:
        table.add_row(*map(_shown, row.values()))
    return table


def overview(found: Overview) -> Row:
    return {
        "code": display(found.code),
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
        "ms": attempt.elapsed_ms,
    }
