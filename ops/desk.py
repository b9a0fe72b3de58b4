"""Shared parts of the commands: the deployment, the options and the failures."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from ops import output
from ops.aws import BRIEF, resources_of, role_of_caller
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

if TYPE_CHECKING:
    from ops.logs import Logs

Tunnel = tuple[str, int]

_Value = TypeVar("_Value", bound=str)
_Command = TypeVar("_Command", bound=Callable[..., Any])

_SPAN = re.compile(r"([1-9]\d{0,3})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
# No blanks, no @: a reference, not prose.
_EVIDENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{2,99}")
_ROLE = re.compile(r"[a-z][a-z0-9._-]{0,39}")
_WITHOUT_DASHES = str.maketrans("", "", "-_")  # as in logical ids of the template
AT_MOST = 20  # rows of a list without a limit of its own
MOST = 1000  # rows of any list
_FAILED = 2  # exit status; 1 says that an invariant is broken

# A late look is dead-lettered beside the hints of its provider, and comes back through their queue.
SOURCES: tuple[ports.Source, ...] = (
    *(queue for queue in Queue if queue not in LOOK_QUEUE_OF.values()),
    ports.MAIL_EVENT,
)

# The cause of a failure, and the next step.
ADVICE: Mapping[type[Exception], str] = {
    ReservationNotFoundError: "There is no such reservation in this stage. `ops list` shows those that need a person.",
    InvalidReservationCodeError: "A symbol of the code is wrong or missing. Read it again. Other ids: `ops find`.",
    NotCancellableError: "It cannot be cancelled: it ended otherwise, or its service has begun. See `ops show`.",
    DatabaseBusyError: "A step holds a reservation at this moment; nothing was done to it. Repeat the command.",
    DatabaseUnavailableError: "The database did not answer. Repeat the command; `ops timeline` shows whether it acted.",
    SchemaOutdatedError: "The database does not fit this code. Deploy, which migrates it, and repeat.",
    SettingsError: "Check --stage, --stack and your AWS credentials and region.",
    QueueUnavailableError: "The queue did not answer. Repeat the command: a repeated message is harmless.",
    DocumentStoreUnavailableError: "The bucket did not answer. Repeat the command: deleting twice is harmless.",
}


_TOLD_BY_ADVICE = (InvalidReservationCodeError, ReservationNotFoundError, NotCancellableError)


class Values(click.Choice[_Value]):
    """Members of an enumeration by their values, which is how they are stored and shown."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:
        return str(choice)


class OpsError(click.ClickException):
    exit_code = _FAILED

    def format_message(self) -> str:
        columns = output.columns_of(sys.stderr)
        lines = f"Error: {self.message}".splitlines()
        return "\n".join(output.wrapped(x, columns) for x in lines).removeprefix("Error: ")


class Operations(click.Group):
    """Reports each failure with its cause and the next step."""

    def invoke(self, ctx: click.Context) -> Any:
        with explained():
            return super().invoke(ctx)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failure into its cause and the next step."""
    try:
        yield
    except DecisionRefusedError as error:
        raise OpsError(f"Refused: {error}.") from error
    except ReservationsError as error:
        advice = ADVICE.get(type(error), "")
        happened = f"{error}\n" if str(error) and type(error) not in _TOLD_BY_ADVICE else ""
        raise OpsError(happened + advice) from error
    except ClientError as error:
        raise OpsError(f"AWS refused: {error}\n{ADVICE[SettingsError]}") from error
    except BotoCoreError as error:
        raise OpsError(f"AWS was not reached: {error}\n{ADVICE[SettingsError]}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm that rings. A `silent` one had no data: the job that reports them did not run."""

    name: str
    since: datetime
    silent: bool


@dataclass
class Desk:
    """The deployment that a command works on, and the form of its answer.

    `services` know the deployment's parameters. Names of queues and buckets are read from the `stack`.
    """

    services: Services
    stack: str
    as_json: bool = False
    on_aws: bool = False
    log_folder: str | None = None  # of the embedded stack

    @cached_property
    def resources(self) -> Mapping[str, str]:
        return resources_of(boto3.client("cloudformation", config=BRIEF), self.stack)

    def actor(self, role: str) -> str:
        """The actor of a command in the history. On AWS, the role of the credentials comes first."""
        if not self.on_aws:
            return f"operator:{role}"
        return f"operator:{role_of_caller(boto3.client('sts', config=BRIEF))}/{role}"

    def logs(self) -> "Logs":
        from ops.logs import FileLogs, InsightsLogs

        if self.log_folder:
            return FileLogs(Path(self.log_folder))
        groups = sorted(n for n in self.resources.values() if n.startswith("/aws/lambda/"))
        return InsightsLogs(boto3.client("logs", config=BRIEF), groups=groups)

    def alarms(self) -> list[Alarm]:
        """The alarms of the stack that ring, by name."""
        names = {name: key for key, name in self.resources.items() if key.endswith("Alarm")}
        cloudwatch = boto3.client("cloudwatch", config=BRIEF)
        # Without `AlarmTypes` CloudWatch leaves out the composites, as the burn rates are.
        pages = cloudwatch.get_paginator("describe_alarms").paginate(
            StateValue="ALARM", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        ringing = [
            Alarm(
                name=names[alarm["AlarmName"]],
                since=alarm["StateUpdatedTimestamp"].astimezone(UTC),
                silent=_points(alarm.get("StateReasonData")) == [],
            )
            for page in pages
            for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
            if alarm["AlarmName"] in names
        ]
        return sorted(ringing, key=lambda alarm: alarm.name)

    def waiting(self) -> dict[ports.Source, int]:
        """The messages in each queue of a step."""
        sqs = boto3.client("sqs", config=BRIEF)
        return {
            queue: int(
                sqs.get_queue_attributes(
                    QueueUrl=self._url(queue, "Queue"),
                    AttributeNames=["ApproximateNumberOfMessages"],
                )["Attributes"]["ApproximateNumberOfMessages"]
            )
            for queue in (*Queue, ports.MAIL_EVENT)
        }

    def document_store(self) -> ports.DocumentStore:
        return self._services_with(DOCUMENT_BUCKET=self.resources["DocumentBucket"]).document_store

    def publisher(self) -> ports.MessagePublisher:
        urls = {f"{queue.upper()}_QUEUE_URL": self._url(queue, "Queue") for queue in Queue}
        return self._services_with(**urls).publisher

    def dead_letters(self) -> ports.DeadLetters:
        from reservations.adapters.aws.dead_letters import Pair, SqsDeadLetterQueues
        from reservations.adapters.aws.sqs import SQS_CONFIG

        pairs: dict[ports.Source, Pair] = {
            queue: Pair(source=self._url(queue, "Queue"), dead=self._url(queue, "DeadLetterQueue"))
            for queue in SOURCES
        }
        return SqsDeadLetterQueues(boto3.client("sqs", config=SQS_CONFIG), queues=pairs)

    def say(self, page: output.Page) -> None:
        output.emit(page, as_json=self.as_json)

    def say_line(self, row: output.Row) -> None:
        output.emit_line(row, as_json=self.as_json)

    def show_changed(self, done: str, reservation: Reservation) -> None:
        with self.services.unit_of_work() as uow:
            now = uow.now()
        self.say({done: output.summary(reservation, now)})

    def _services_with(self, **variables: str) -> Services:
        return replace(self.services, environment={**self.services.environment, **variables})

    def _url(self, queue: ports.Source, kind: str) -> str:
        return self.resources[f"{queue.title().translate(_WITHOUT_DASHES)}{kind}"]


def _points(reason: str | None) -> list[float] | None:
    """The points that CloudWatch judged. `None` where it does not say, as of a composite."""
    points: list[float] | None = json.loads(reason or "{}").get("recentDatapoints")
    return points


pass_desk = click.make_pass_decorator(Desk)


def _answer_as_json(ctx: click.Context, _: click.Parameter, chosen: bool) -> None:
    if chosen:
        ctx.find_object(Desk).as_json = True  # type: ignore[union-attr]  # the group made it


def _actor(ctx: click.Context, _: click.Parameter, role: str) -> str:
    if not _ROLE.fullmatch(role):
        raise click.BadParameter("a role, not a person: lower-case letters, digits, . _ -")
    desk = ctx.find_object(Desk)
    assert desk is not None  # the group made it
    return desk.actor(role)


def reference(_: click.Context, __: click.Parameter, evidence: str) -> str:
    if not _EVIDENCE.fullmatch(evidence):
        raise click.BadParameter(
            "a reference of 3 to 100 letters, digits and . _ : / # -, no personal data"
        )
    return evidence


def tunnel(_: click.Context, __: click.Parameter, text: str | None) -> Tunnel | None:
    if text is None:
        return None
    host, _colon, port = text.rpartition(":")
    if not (host and port.isdecimal()):
        raise click.BadParameter("a host and a port, as in 127.0.0.1:3307")
    return host, int(port)


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
sure = click.option("--yes", is_flag=True, help="Do not ask. Without a terminal it is needed.")
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


def typed(prompt: str) -> str:
    """A line of standard input. An argument would stay in the shell's history."""
    text = input(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    if not text.strip():
        raise click.UsageError("Standard input has no address.")
    return text.strip()


def make_sure(yes: bool, question: str) -> None:
    """Ask for confirmation at a terminal. Without one, refuse: a script says `--yes`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OpsError(f"{question} Nobody can answer without a terminal: repeat it with --yes.")
    click.confirm(question, abort=True)
