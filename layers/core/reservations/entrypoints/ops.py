"""The operators' commands: `python -m reservations.entrypoints.ops --stage STAGE COMMAND`.

The same on every target: credentials, region and endpoint are the AWS SDK's own (AWS_PROFILE,
AWS_REGION, AWS_ENDPOINT_URL); the rest is read from Parameter Store and from the stack.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

import boto3
import click
from botocore.exceptions import BotoCoreError

from reservations import wiring
from reservations.adapters.cloudformation import CLOUDFORMATION_CONFIG, resources_of
from reservations.adapters.sqs import SQS_CONFIG
from reservations.adapters.sqs_dead_letters import Pair, SqsDeadLetterQueues
from reservations.application import operate, ports
from reservations.application.oversee import INVARIANTS, RECENT, check_invariants
from reservations.application.poll_outbox import poll_outbox
from reservations.domain.codes import display
from reservations.domain.decisions import Decision, DecisionRefusedError
from reservations.domain.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    DocumentStoreUnavailableError,
    InvalidReservationCodeError,
    NotCancellableError,
    QueueUnavailableError,
    ReservationNotFoundError,
    ReservationsError,
    SchemaOutdatedError,
    SettingsError,
)
from reservations.domain.messages import Queue
from reservations.domain.reservation import Reservation
from reservations.domain.saga import State
from reservations.entrypoints import ops_output

_Enum = TypeVar("_Enum", bound=StrEnum)
_Command = TypeVar("_Command", bound=Callable[..., Any])

_SPAN = re.compile(r"([1-9]\d{0,3})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_EVIDENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._:/#-]{2,99}"
)  # no blanks, no @: a reference, not prose
_ROLE = re.compile(r"[a-z][a-z0-9._-]{0,39}")
_FAILED = 2  # exit status; 1 says that an invariant is broken

# What went wrong, and what to do next.
_ADVICE: Mapping[type[Exception], str] = {
    ReservationNotFoundError: "There is no such reservation in this stage. `ops list` shows those that need somebody.",
    InvalidReservationCodeError: "That is no reservation code: a symbol is wrong or missing. Read it again.",
    NotCancellableError: "It cannot be cancelled: it ended otherwise, or its service has begun. See `ops show`.",
    DatabaseBusyError: "A step holds it at this moment. Repeat the command; nothing was changed.",
    DatabaseUnavailableError: "The database did not answer. Repeat the command; `ops timeline` tells whether it acted.",
    SchemaOutdatedError: "The database is not what this code needs. Deploy, which migrates it, and repeat.",
    SettingsError: "Check --stage, --stack and your AWS credentials and region.",
    QueueUnavailableError: "The queue did not answer. Repeat the command: messages are hints, twice is harmless.",
    DocumentStoreUnavailableError: "The bucket did not answer. Repeat the command: deleting twice is harmless.",
}


class Values(click.Choice[_Enum]):
    """The members of an enumeration by their values, which is how they are stored and shown."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)


class OpsError(click.ClickException):
    exit_code = _FAILED


class Operations(click.Group):
    """Tells each failure as what happened and what to do."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DecisionRefusedError as error:
            raise OpsError(f"Refused: {error}.") from error
        except ReservationsError as error:
            happened = f"{error}\n" if str(error) else ""
            raise OpsError(happened + _ADVICE.get(type(error), "")) from error
        except BotoCoreError as error:
            raise OpsError(f"AWS was not reached: {error}\n{_ADVICE[SettingsError]}") from error


class Desk:
    """What a command works with: the deployment, who acts, and how to answer."""

    def __init__(self, *, stage: str, stack: str) -> None:
        self._stack = stack
        self.as_json = False
        os.environ["SETTINGS_PATH"] = f"/reservations/{stage}"

    @cached_property
    def resources(self) -> Mapping[str, str]:
        client = boto3.client("cloudformation", config=CLOUDFORMATION_CONFIG)
        return resources_of(client, self._stack)

    def document_store(self) -> ports.DocumentStore:
        os.environ["DOCUMENT_BUCKET"] = self.resources["DocumentBucket"]
        return wiring.document_store()

    def publisher(self) -> ports.MessagePublisher:
        for queue in Queue:
            os.environ[f"{queue.upper()}_QUEUE_URL"] = self._url(queue, "Queue")
        return wiring.publisher()

    def dead_letters(self) -> ports.DeadLetters:
        pairs = {
            queue: Pair(source=self._url(queue, "Queue"), dead=self._url(queue, "DeadLetterQueue"))
            for queue in Queue
        }
        return SqsDeadLetterQueues(boto3.client("sqs", config=SQS_CONFIG), queues=pairs)

    def say(self, page: ops_output.Page) -> None:
        ops_output.emit(page, as_json=self.as_json)

    def show_changed(self, done: str, reservation: Reservation) -> None:
        with wiring.unit_of_work() as uow:
            now = uow.now()
        self.say({done: ops_output.summary(reservation, now)})

    def _url(self, queue: Queue, kind: str) -> str:
        return self.resources[f"{queue.title()}{kind}"]


pass_desk = click.make_pass_decorator(Desk)


def _answer_as_json(ctx: click.Context, _: click.Parameter, chosen: bool) -> None:
    if chosen:
        ctx.find_object(Desk).as_json = True  # type: ignore[union-attr]  # the group made it


def _actor(_: click.Context, __: click.Parameter, role: str) -> str:
    if not _ROLE.fullmatch(role):
        raise click.BadParameter("a role, not a person: lower-case letters, digits, . _ -")
    return f"operator:{role}"


def _reference(_: click.Context, __: click.Parameter, evidence: str) -> str:
    if not _EVIDENCE.fullmatch(evidence):
        raise click.BadParameter(
            "a reference of 3 to 100 letters, digits and . _ : / # -, no personal data"
        )
    return evidence


def _span(_: click.Context, __: click.Parameter, text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise click.BadParameter("a number and m, h or d, as in 90m, 24h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def reads(command: _Command) -> _Command:
    """A command that changes nothing."""
    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_answer_as_json,
        help="Print one JSON object instead of tables.",
    )(command)


def acts(command: _Command) -> _Command:
    """A command that changes something, and says in whose role."""
    role = click.option(
        "--as",
        "actor",
        default="on-call",
        envvar="OPS_ROLE",
        show_default=True,
        metavar="ROLE",
        callback=_actor,
        help="The role that acts, kept in the history; never a person's name.",
    )
    return role(reads(command))


code = click.argument("code")
sure = click.option("--yes", is_flag=True, help="Do not ask.")
queue_option = click.option("--queue", type=Values(Queue), help="Only this queue.")
rate_option = click.option(
    "--rate",
    type=click.FloatRange(0.1, 100),
    default=5,
    show_default=True,
    help="Messages a second.",
)
dry_option = click.option("--dry-run", is_flag=True, help="Only say how many there are.")


def _make_sure(yes: bool, question: str) -> None:
    """Ask whoever sits at a terminal; a script has decided already."""
    if not yes and sys.stdin.isatty():
        click.confirm(question, abort=True)


@click.group(cls=Operations, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stage", envvar="OPS_STAGE", required=True, help="The deployment: local, prod…")
@click.option(
    "--stack",
    envvar="OPS_STACK",
    default="reservations",
    show_default=True,
    help="Its CloudFormation stack.",
)
@click.pass_context
def ops(ctx: click.Context, stage: str, stack: str) -> None:
    """Look at reservations, and help those that cannot go on alone.

    Nothing here calls a provider: a command records what is due, and the steps do it. Repeating any
    command is harmless.
    """
    ctx.obj = Desk(stage=stage, stack=stack)


# --- looking


@ops.command
@code
@reads
@pass_desk
def show(desk: Desk, code: str) -> None:
    """All that is known of a reservation: state, ledger, attempts, documents, mails."""
    with wiring.unit_of_work() as uow:
        reservation = operate.find(code, uow=uow)
        customer = uow.reservations.customer(reservation.reservation_id)
        now = uow.now()
    attempts = wiring.oversight().attempts(reservation.reservation_id)
    desk.say(ops_output.whole(reservation, customer, attempts, now))


@ops.command
@code
@reads
@pass_desk
def timeline(desk: Desk, code: str) -> None:
    """What happened to a reservation, and who did it."""
    with wiring.unit_of_work() as uow:
        reservation = operate.find(code, uow=uow)
        entries = uow.reservations.history(reservation.reservation_id)
    desk.say({f"timeline of {display(reservation.code)}": ops_output.history(entries)})


@ops.command(name="list")
@click.option(
    "--stuck",
    "choice",
    flag_value="stuck",
    help="Not looked at when due, or not moving for 30 minutes.",
)
@click.option("--review", "choice", flag_value="review", help="Waiting for a person.")
@click.option("--state", type=Values(State), help="In this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@reads
@pass_desk
def list_reservations(desk: Desk, choice: str | None, state: State | None, limit: int) -> None:
    """The reservations that need somebody, or are in a state; the oldest first."""
    if (choice is None) == (state is None):
        raise click.UsageError("Choose one of --stuck, --review and --state.")
    oversight = wiring.oversight()
    if state is not None:
        found = oversight.in_state(state, limit=limit)
    else:
        found = (
            oversight.stuck(limit=limit) if choice == "stuck" else oversight.in_review(limit=limit)
        )
    desk.say({choice or str(state): [ops_output.overview(each) for each in found]})


@ops.command
@click.option(
    "--recent", is_flag=True, help="Only those of the last 7 days and all that are not settled."
)
@reads
@pass_desk
def invariants(desk: Desk, recent: bool) -> None:
    """What must never be stored, and is; the exit status is 1 when there is anything."""
    oversight = wiring.oversight()
    since = oversight.now() - RECENT if recent else None
    found = check_invariants(oversight, policy=wiring.policy(), since=since)
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


# --- acting on one reservation


@ops.command
@code
@acts
@pass_desk
def nudge(desk: Desk, code: str, actor: str) -> None:
    """Make every call due now: the steps ask the providers, and go on."""
    nudged = operate.look_again(
        code, uow=wiring.unit_of_work(), policy=wiring.policy(), actor=actor
    )
    desk.show_changed("nudged", nudged)


@ops.command
@code
@sure
@acts
@pass_desk
def cancel(desk: Desk, code: str, yes: bool, actor: str) -> None:
    """Cancel for a customer who cannot: the service is cancelled and the money returned."""
    _make_sure(yes, f"Cancel {code}?")
    cancelled = operate.cancel(code, uow=wiring.unit_of_work(), policy=wiring.policy(), actor=actor)
    desk.show_changed("cancelled", cancelled)


@ops.command
@code
@sure
@acts
@pass_desk
def erase(desk: Desk, code: str, yes: bool, actor: str) -> None:
    """Delete personal data and documents for good; refused while money is open."""
    _make_sure(yes, f"Delete the personal data of {code} for good?")
    erased = operate.erase(
        code,
        uow=wiring.unit_of_work(),
        store=desk.document_store(),
        policy=wiring.policy(),
        actor=actor,
    )
    desk.say({"erased": {"code": code, "found": "yes" if erased else "nothing was left"}})


@ops.group
def review() -> None:
    """End a review with what a person has seen."""


@review.command(name="resolve")
@code
@click.option(
    "--reason",
    "decision",
    type=Values(Decision),
    required=True,
    help="paid: accept the sum that was taken. refunded, booked, cancelled: it was done, as the evidence shows.",
)
@click.option(
    "--evidence",
    required=True,
    metavar="REF",
    callback=_reference,
    help="Where it can be checked: a bank or ticket reference; for booked, the supplier's booking id.",
)
@acts
@pass_desk
def resolve(desk: Desk, code: str, decision: Decision, evidence: str, actor: str) -> None:
    """Record what you attest as a fact, and let the reservation go on."""
    resolved = operate.resolve_review(
        code,
        decision,
        evidence=evidence,
        uow=wiring.unit_of_work(),
        policy=wiring.policy(),
        actor=actor,
    )
    desk.show_changed("resolved", resolved)


@ops.group
def token() -> None:
    """The access token of a reservation."""


@token.command(name="reissue")
@code
@click.option("--show", is_flag=True, help="Print the new token: it opens the reservation.")
@acts
@pass_desk
def reissue(desk: Desk, code: str, show: bool, actor: str) -> None:
    """Move a reservation to the current key, so that a leaked token dies."""
    keys = wiring.key_ring()
    moved = operate.reissue_token(
        code, uow=wiring.unit_of_work(), policy=wiring.policy(), keys=keys, actor=actor
    )
    answer = {"code": display(moved.code), "token_kid": moved.token_kid}
    if show:
        answer["access_token"] = keys.issue(moved.token_kid, moved.reservation_id)
    desk.say({"reissued": answer})


# --- acting on many


@ops.command
@click.option(
    "--since",
    default="24h",
    show_default=True,
    callback=_span,
    help="Calls sent in this time: 90m, 24h, 7d.",
)
@acts
@pass_desk
def reconcile(desk: Desk, since: timedelta, actor: str) -> None:
    """Make every open or recent call due: the steps ask the providers about each."""
    oversight = wiring.oversight()
    looked = operate.reconcile(
        oversight.now() - since,
        uow=wiring.unit_of_work(),
        oversight=oversight,
        policy=wiring.policy(),
        actor=actor,
    )
    desk.say(
        {
            "made due": {
                "reservations": looked.reservations,
                "payments_calls": looked.payments_calls,
                "supplier_calls": looked.supplier_calls,
            }
        }
    )


@ops.group
def outbox() -> None:
    """Hints that are stored and not published yet."""


@outbox.command
@reads
@pass_desk
def lag(desk: Desk) -> None:
    """How many hints wait or are dead, and for how long the oldest."""
    oversight = wiring.oversight()
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
    desk.say({"revived": wiring.retention().revive(queue=queue, actor=actor)})


@outbox.command
@reads
@pass_desk
def publish(desk: Desk) -> None:
    """Do the poller's work from here, until nothing waits: for when it does not run."""
    uow, publisher, policy = wiring.unit_of_work(), desk.publisher(), wiring.policy()
    total = done = poll_outbox(uow=uow, publisher=publisher, policy=policy)
    while done.published or done.woken:
        done = poll_outbox(uow=uow, publisher=publisher, policy=policy)
        total += done
    desk.say({"published": total.published, "woken": total.woken, "unanswered": total.unanswered})


@ops.group
def dlq() -> None:
    """Messages set aside. They are hints: neither repeating nor dropping one changes a reservation."""


@dlq.command(name="list")
@queue_option
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Messages of a queue to look at.",
)
@reads
@pass_desk
def list_dead_letters(desk: Desk, queue: Queue | None, limit: int) -> None:
    """How many there are in each queue, and why."""
    letters = desk.dead_letters()
    queues = [queue] if queue else list(Queue)
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
@queue_option
@rate_option
@dry_option
@acts
@pass_desk
def redrive(desk: Desk, queue: Queue | None, rate: float, dry_run: bool, actor: str) -> None:
    """Send the messages to their queues again."""
    letters = desk.dead_letters()
    queues = [queue] if queue else list(Queue)
    counts = {q: letters.count(q) if dry_run else letters.redrive(q, rate=rate) for q in queues}
    _say_moved(desk, "would redrive" if dry_run else "redriven", counts, actor=actor)


@dlq.command
@queue_option
@rate_option
@dry_option
@sure
@acts
@pass_desk
def drop(
    desk: Desk, queue: Queue | None, rate: float, dry_run: bool, yes: bool, actor: str
) -> None:
    """Delete the messages for good; their reservations come back by their own timers."""
    letters = desk.dead_letters()
    queues = [queue] if queue else list(Queue)
    if not dry_run:
        _make_sure(yes, "Delete the messages for good?")
    counts = {q: letters.count(q) if dry_run else letters.drop(q, rate=rate) for q in queues}
    _say_moved(desk, "would drop" if dry_run else "dropped", counts, actor=actor)


def _say_moved(desk: Desk, done: str, counts: Mapping[Queue, int], *, actor: str) -> None:
    """A message belongs to no reservation's history: who moved it is said where it is kept, in the output."""
    rows = [{"queue": queue, "messages": count, "by": actor} for queue, count in counts.items()]
    desk.say({done: rows})


if __name__ == "__main__":
    ops()
