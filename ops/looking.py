"""Commands that change nothing."""

import sys
import time
from datetime import datetime, timedelta
from typing import Any

import click

from ops import output
from ops.desk import MOST, Desk, Values, code, pass_desk, reads, span
from reservations.application.cases import find_reservation
from reservations.application.oversee import INVARIANTS, RECENT, check_invariants
from reservations.domain.codes import display
from reservations.domain.reservation import Reservation
from reservations.domain.views import at_rest
from reservations.domain.words import PublicStatus, State

_PAUSE_SECONDS = 1.0


@click.command
@code
@reads
@pass_desk
def show(desk: Desk, code: str) -> None:
    """Show a reservation without its customer: state, ledger, attempts, documents, mails."""
    page = whole(desk, code)
    desk.say(page if desk.as_json else output.with_attempts(page))


def whole(desk: Desk, code: str) -> output.Page:
    """Everything known about a reservation, except its customer."""
    with desk.services.unit_of_work() as uow:
        reservation = find_reservation(code, uow=uow)
        customer = uow.reservations.customer(reservation.reservation_id)
        now = uow.now()
    attempts = desk.services.oversight().attempts(reservation.reservation_id)
    return output.whole(reservation, customer, attempts, now)


@click.command
@code
@reads
@pass_desk
def timeline(desk: Desk, code: str) -> None:
    """Show the events of a reservation, each with its actor."""
    with desk.services.unit_of_work() as uow:
        reservation = find_reservation(code, uow=uow)
        entries = uow.reservations.history(reservation.reservation_id)
    desk.say({f"timeline of {display(reservation.code)}": output.history(entries)})


@click.command
@code
@click.option("--seconds", type=click.IntRange(1, 3600), default=600, show_default=True)
@reads
@pass_desk
def watch(desk: Desk, code: str, seconds: int) -> None:
    """Follow a reservation: print each new event, until nothing is under way or time is up."""
    deadline = time.monotonic() + seconds
    printed, resting = 0, False
    while not resting and time.monotonic() < deadline:
        with desk.services.unit_of_work() as uow:
            reservation = find_reservation(code, uow=uow)
            entries = uow.reservations.history(reservation.reservation_id)
            now = uow.now()
        for row in output.history(entries[printed:]):
            desk.say_line(row)
        if len(entries) > printed or not printed:
            desk.say_line(_state_of(reservation, now))
        printed, resting = len(entries), at_rest(reservation, now)
        if not resting:
            time.sleep(_PAUSE_SECONDS)


def _state_of(reservation: Reservation, now: datetime) -> output.Row:
    summary = output.summary(reservation, now)
    return {name: summary[name] for name in ("status", "state", "review", "next_check_at")}


@click.command(name="list")
@click.option(
    "--stuck",
    "choice",
    flag_value="stuck",
    help="Due for 10 minutes, without progress for 30, or with a broken invariant.",
)
@click.option("--review", "choice", flag_value="review", help="Waiting for a person, by kind.")
@click.option(
    "--status",
    type=click.Choice([word.replace(" ", "-") for word in PublicStatus], case_sensitive=False),
    help="With this public status, the newest first, made within --since.",
)
@click.option("--state", type=Values(State), help="In this internal state.")
@click.option("--since", default="7d", show_default=True, callback=span, help="For --status.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True)
@reads
@pass_desk
def list_reservations(
    desk: Desk,
    choice: str | None,
    status: str | None,
    state: State | None,
    since: timedelta,
    limit: int,
) -> None:
    """List the reservations that need a person, or have a status or a state."""
    if sum(chosen is not None for chosen in (choice, status, state)) != 1:
        raise click.UsageError("Choose one of --stuck, --review, --status and --state.")
    oversight = desk.services.oversight()
    if status is not None:
        public = PublicStatus(status.replace("-", " "))
        first = oversight.now() - since
        found = desk.services.search().by_status(public, since=first, limit=limit + 1)
    elif state is not None:
        found = oversight.in_state(state, limit=limit + 1)
    elif choice == "stuck":
        found = oversight.stuck(limit=limit + 1)
    else:
        found = oversight.in_review(limit=limit + 1)
    rows = [output.overview(each) for each in found[:limit]]
    page: dict[str, Any] = {choice or status or str(state): rows}
    if len(found) > limit:
        page["more"] = f"only the first {limit} are listed; --limit {MOST} is the most"
    desk.say(page)


@click.command
@click.option("--recent", is_flag=True, help="Only reservations made in the last 7 days.")
@reads
@pass_desk
def invariants(desk: Desk, recent: bool) -> None:
    """List the stored data that break an invariant. The exit status is 1 if there are any."""
    audit = desk.services.audit()
    since = audit.now() - RECENT if recent else None
    found = check_invariants(audit, policy=desk.services.durations(), since=since)
    page: dict[str, Any] = {
        name: [{"code": display(f.code), "detail": f.detail} for f in findings]
        for name, findings in found.items()
    }
    broken = [name for name, findings in found.items() if findings]
    if not desk.as_json:
        page |= {
            f"! {name}": f"{INVARIANTS[name].meaning}. {INVARIANTS[name].remedy}."
            for name in broken
        }
    desk.say(page)
    if broken:
        sys.exit(1)
