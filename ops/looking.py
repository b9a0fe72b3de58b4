"""Commands that change nothing."""

import sys
from typing import Any

import click

from ops import output
from ops.desk import Desk, Values, code, pass_desk, reads
from reservations.application.cases import find_reservation
from reservations.application.oversee import INVARIANTS, RECENT, check_invariants
from reservations.domain.codes import display
from reservations.domain.words import State


@click.command
@code
@reads
@pass_desk
def show(desk: Desk, code: str) -> None:
    """Show a reservation without its customer: state, ledger, attempts, documents, mails."""
    with desk.services.unit_of_work() as uow:
        reservation = find_reservation(code, uow=uow)
        customer = uow.reservations.customer(reservation.reservation_id)
        now = uow.now()
    attempts = desk.services.oversight().attempts(reservation.reservation_id)
    desk.say(output.whole(reservation, customer, attempts, now))


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


@click.command(name="list")
@click.option(
    "--stuck",
    "choice",
    flag_value="stuck",
    help="Due for 10 minutes, without progress for 30, or without voucher 2 minutes after confirmation.",
)
@click.option("--review", "choice", flag_value="review", help="Waiting for a person.")
@click.option("--state", type=Values(State), help="In this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@reads
@pass_desk
def list_reservations(desk: Desk, choice: str | None, state: State | None, limit: int) -> None:
    """List the reservations that need a person or are in a state, the oldest first."""
    if (choice is None) == (state is None):
        raise click.UsageError("Choose one of --stuck, --review and --state.")
    oversight = desk.services.oversight()
    if state is not None:
        found = oversight.in_state(state, limit=limit)
    else:
        found = (
            oversight.stuck(limit=limit) if choice == "stuck" else oversight.in_review(limit=limit)
        )
    desk.say({choice or str(state): [output.overview(each) for each in found]})


@click.command
@click.option(
    "--recent", is_flag=True, help="Only those of the last 7 days and all that are not settled."
)
@reads
@pass_desk
def invariants(desk: Desk, recent: bool) -> None:
    """List the stored data that break an invariant. The exit status is 1 if there are any."""
    oversight = desk.services.oversight()
    since = oversight.now() - RECENT if recent else None
    found = check_invariants(oversight, policy=desk.services.durations(), since=since)
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
