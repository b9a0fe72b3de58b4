"""Lines of the functions' logs, from the files of this machine or from CloudWatch."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from ops.desk import Desk, code, pass_desk, reads, span
from ops.output import columns_of, shown, wrapped
from reservations.application.cases import find_reservation
from reservations.domain.codes import display
from reservations.domain.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

Line = dict[str, Any]

_AT_MOST = 10_000  # lines of a query: the most that Logs Insights gives
_GROUPS_AT_MOST = 50  # of a query, by the same limits
_QUERY_SECONDS = 60
_POLL_SECONDS = 0.5
_FOLLOW_SECONDS = 1.0
_INDENT = "    "
# Members of a line that say where it was written. The others say something about the work.
_WHERE = frozenset(
    (
        *("level", "location", "message", "timestamp", "service", "cold_start", "function_name"),
        *("function_memory_size", "function_arn", "function_request_id", "xray_trace_id"),
        *("trace_id", "request_id", "message_id", "reservation_id", "left_out"),
        *("exception", "exception_name"),
    )
)


class Logs(Protocol):
    def having(self, words: Sequence[str], *, since: datetime) -> list[Line]:
        """The lines that have one of these words, the oldest first. Metrics are left out."""


class FileLogs(Logs):
    """The files in which the embedded stack keeps its functions' logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def having(self, words: Sequence[str], *, since: datetime) -> list[Line]:
        files = sorted(self._folder.glob("*.log"))
        lines = (line for file in files for line in file.read_text(errors="replace").splitlines())
        return _ordered(
            filter(None, (read_line(line) for line in lines if _has(line, words))), since
        )


class InsightsLogs(Logs):
    """CloudWatch, by Logs Insights."""

    def __init__(self, logs: "CloudWatchLogsClient", *, groups: Sequence[str]) -> None:
        self._logs = logs
        self._groups = groups

    def having(self, words: Sequence[str], *, since: datetime) -> list[Line]:
        condition = " or ".join(f"@message like {json.dumps(word)}" for word in words)
        query = self._logs.start_query(
            logGroupNames=list(self._groups[:_GROUPS_AT_MOST]),
            startTime=int(since.timestamp()),
            endTime=int(time.time()) + 1,
            queryString=f"fields @message | filter {condition} | sort @timestamp | limit {_AT_MOST}",
        )
        texts = [
            field["value"]
            for result in self._answer(query["queryId"])
            for field in result
            if field["field"] == "@message"
        ]
        # Emulators answer with every line.
        return _ordered(
            filter(None, (read_line(text) for text in texts if _has(text, words))), since
        )

    def _answer(self, query: str) -> Sequence[Any]:
        deadline = time.monotonic() + _QUERY_SECONDS
        while time.monotonic() < deadline:
            answer = self._logs.get_query_results(queryId=query)
            if answer["status"] not in ("Scheduled", "Running"):
                return answer["results"]
            time.sleep(_POLL_SECONDS)
        raise SettingsError("Logs Insights gave no answer in a minute: repeat with a later --since")


def _has(line: str, words: Sequence[str]) -> bool:
    return any(word in line for word in words)


def read_line(line: str) -> Line | None:
    try:
        content = json.loads(line)
    except ValueError:
        return None
    is_log = isinstance(content, dict) and "message" in content and "timestamp" in content
    return content if is_log else None


def _ordered(lines: Iterator[Line], since: datetime) -> list[Line]:
    return sorted(
        (line for line in lines if at_of(line) >= since), key=lambda line: str(line["timestamp"])
    )


def at_of(line: Line) -> datetime:
    return datetime.fromisoformat(line["timestamp"])


def of_reservation(logs: Logs, names: Sequence[str], *, since: datetime) -> list[Line]:
    """The lines about a reservation or a request, and those of the same traces."""
    found = logs.having(names, since=since)
    traces = sorted({line["trace_id"] for line in found if line.get("trace_id")})
    return logs.having([*names, *traces], since=since) if traces else found


def reservations_in(lines: Sequence[Line]) -> list[str]:
    """The ids of the reservations that these lines name, in their order."""
    return list(dict.fromkeys(str(x["reservation_id"]) for x in lines if "reservation_id" in x))


def codes_in(lines: Sequence[Line]) -> list[str]:
    """The codes that these lines name: those in the paths of requests."""
    return list(dict.fromkeys(x["reservation_code"] for x in lines if "reservation_code" in x))


def told(line: Line, columns: int | None = None) -> str:
    """A line for people: time, function, level if it is no information, message and facts.

    With `columns` it is broken between words, and goes on behind an indent.
    """
    facts = " ".join(f"{key}={shown(value)}" for key, value in line.items() if key not in _WHERE)
    level = "" if line["level"] == "INFO" else f"{line['level']} "
    name = str(line.get("function_name", "")).rpartition("Functio")[0].partition("-")[2]
    at = shown(at_of(line).astimezone(UTC))
    head = f"{at} {name or line.get('function_name', '')}  {level}{shown(line['message'])}  {facts}"
    error = str(line.get("exception") or "").splitlines()
    return "\n".join(
        wrapped(text, columns, indent=_INDENT) for text in (head.rstrip(), *map(shown, error))
    )


since_option = click.option(
    "--since", default="24h", show_default=True, callback=span, help="Lines of this time: 90m, 7d."
)


@click.command
@code
@since_option
@click.option("--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@reads
@pass_desk
def logs(desk: Desk, code: str, since: timedelta, follow: bool) -> None:
    """Show the log lines of every function about one reservation, the oldest first."""
    with desk.services.unit_of_work() as uow:
        reservation = find_reservation(code, uow=uow)
    names = [str(reservation.reservation_id)]
    lines = of_reservation(desk.logs(), names, since=datetime.now(UTC) - since)
    name = f"logs of {display(reservation.code)}"
    if desk.as_json or not (lines or follow):
        desk.say({name: lines})
        return
    printed: list[Line] = []
    while True:
        for line in lines:
            if line not in printed:
                click.echo(told(line, columns_of(sys.stdout)))
        printed = lines
        if not follow:
            return
        time.sleep(_FOLLOW_SECONDS)
        lines = of_reservation(desk.logs(), names, since=datetime.now(UTC) - since)
