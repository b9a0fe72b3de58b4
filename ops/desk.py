"""Shared parts of the commands: the deployment, the options and the failures."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import boto3
import click
from botocore.exceptions import BotoCoreError

from ops import output
from ops.cloudformation import CLOUDFORMATION_CONFIG, resources_of
from reservations.adapters.aws.dead_letters import Pair, SqsDeadLetterQueues
from reservations.adapters.aws.sqs import SQS_CONFIG
from reservations.application import ports
from reservations.domain.actions import LOOK_QUEUE_OF
from reservations.domain.decisions import DecisionRefusedError
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
from reservations.services import Services

_Value = TypeVar("_Value", bound=str)
_Command = TypeVar("_Command", bound=Callable[..., Any])

_SPAN = re.compile(r"([1-9]\d{0,3})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
# No blanks, no @: a reference, not prose.
_EVIDENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{2,99}")
_ROLE = re.compile(r"[a-z][a-z0-9._-]{0,39}")
_WITHOUT_DASHES = str.maketrans("", "", "-_")  # as in logical ids of the template
_FAILED = 2  # exit status; 1 says that an invariant is broken

# A late look is dead-lettered beside the hints of its provider, and comes back through their queue.
SOURCES: tuple[ports.Source, ...] = (
    *(queue for queue in Queue if queue not in LOOK_QUEUE_OF.values()),
    ports.MAIL_EVENT,
)

# The cause of a failure, and the next step.
ADVICE: Mapping[type[Exception], str] = {
    ReservationNotFoundError: "There is no such reservation in this stage. `ops list` shows those that need a person.",
    InvalidReservationCodeError: "That is no reservation code: a symbol is wrong or missing. Read it again.",
    NotCancellableError: "It cannot be cancelled: it ended otherwise, or its service has begun. See `ops show`.",
    DatabaseBusyError: "A step holds a reservation at this moment; nothing was done to it. Repeat the command.",
    DatabaseUnavailableError: "The database did not answer. Repeat the command; `ops timeline` shows whether it acted.",
    SchemaOutdatedError: "The database does not fit this code. Deploy, which migrates it, and repeat.",
    SettingsError: "Check --stage, --stack and your AWS credentials and region.",
    QueueUnavailableError: "The queue did not answer. Repeat the command: a repeated message is harmless.",
    DocumentStoreUnavailableError: "The bucket did not answer. Repeat the command: deleting twice is harmless.",
}


class Values(click.Choice[_Value]):
    """Members of an enumeration by their values, which is how they are stored and shown."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)


class OpsError(click.ClickException):
    exit_code = _FAILED


class Operations(click.Group):
    """Reports each failure with its cause and the next step."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DecisionRefusedError as error:
            raise OpsError(f"Refused: {error}.") from error
        except ReservationsError as error:
            happened = f"{error}\n" if str(error) else ""
            raise OpsError(happened + ADVICE.get(type(error), "")) from error
        except BotoCoreError as error:
            raise OpsError(f"AWS was not reached: {error}\n{ADVICE[SettingsError]}") from error


@dataclass
class Desk:
    """The deployment that a command works on, and the form of its answer.

    `services` know the deployment's parameters. Names of queues and buckets are read from the `stack`.
    """

    services: Services
    stack: str
    as_json: bool = False

    @cached_property
    def resources(self) -> Mapping[str, str]:
        client = boto3.client("cloudformation", config=CLOUDFORMATION_CONFIG)
        return resources_of(client, self.stack)

    def document_store(self) -> ports.DocumentStore:
        return self._services_with(DOCUMENT_BUCKET=self.resources["DocumentBucket"]).document_store

    def publisher(self) -> ports.MessagePublisher:
        urls = {f"{queue.upper()}_QUEUE_URL": self._url(queue, "Queue") for queue in Queue}
        return self._services_with(**urls).publisher

    def dead_letters(self) -> ports.DeadLetters:
        pairs: dict[ports.Source, Pair] = {
            queue: Pair(source=self._url(queue, "Queue"), dead=self._url(queue, "DeadLetterQueue"))
            for queue in SOURCES
        }
        return SqsDeadLetterQueues(boto3.client("sqs", config=SQS_CONFIG), queues=pairs)

    def say(self, page: output.Page) -> None:
        output.emit(page, as_json=self.as_json)

    def show_changed(self, done: str, reservation: Reservation) -> None:
        with self.services.unit_of_work() as uow:
            now = uow.now()
        self.say({done: output.summary(reservation, now)})

    def _services_with(self, **variables: str) -> Services:
        return replace(self.services, environment={**self.services.environment, **variables})

    def _url(self, queue: ports.Source, kind: str) -> str:
        return self.resources[f"{queue.title().translate(_WITHOUT_DASHES)}{kind}"]


pass_desk = click.make_pass_decorator(Desk)


def _answer_as_json(ctx: click.Context, _: click.Parameter, chosen: bool) -> None:
    if chosen:
        ctx.find_object(Desk).as_json = True  # type: ignore[union-attr]  # the group made it


def _actor(_: click.Context, __: click.Parameter, role: str) -> str:
    if not _ROLE.fullmatch(role):
        raise click.BadParameter("a role, not a person: lower-case letters, digits, . _ -")
    return f"operator:{role}"


def reference(_: click.Context, __: click.Parameter, evidence: str) -> str:
    if not _EVIDENCE.fullmatch(evidence):
        raise click.BadParameter(
            "a reference of 3 to 100 letters, digits and . _ : / # -, no personal data"
        )
    return evidence


def span(_: click.Context, __: click.Parameter, text: str) -> timedelta:
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
    """A command that changes something, in the role that `--as` names."""
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
sure = click.option("--yes", is_flag=True, help="Do not ask; without a terminal, no command asks.")
queue_option = click.option("--queue", type=Values(Queue), help="Only this queue.")
source_option = click.option("--queue", type=Values(SOURCES), help="Only this queue.")
rate_option = click.option(
    "--rate",
    type=click.FloatRange(0.1, 100),
    default=5,
    show_default=True,
    help="Messages a second.",
)
dry_option = click.option("--dry-run", is_flag=True, help="Only count the messages.")


def make_sure(yes: bool, question: str) -> None:
    """Ask for confirmation at a terminal. A script has decided already."""
    if not yes and sys.stdin.isatty():
        click.confirm(question, abort=True)
