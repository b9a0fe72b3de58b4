"""The overview, the search of logs and the form of the output."""

import io
import json
import os
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from ops.__main__ import ops
from ops.aws import role_of_caller
from ops.desk import Alarm, Desk
from ops.logs import FileLogs, InsightsLogs, Logs, of_reservation, reservations_in, told
from ops.output import columns_of
from reservations.application.ports import (
    Count,
    DeadHint,
    Doubt,
    Overview,
    Silence,
    Source,
    UntakenMails,
)
from reservations.domain.errors import SettingsError
from reservations.domain.facts import Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.words import PublicStatus, State
from tests.unit.ops.test_ops import SHOWN, Letters, Looking, Watched, confirmed, keep
from tests.worlds.builders import (
    CODE,
    NOON,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_refund,
    a_reservation,
    some_facts,
)
from tests.worlds.fakes import InMemoryDatabase

LONGEST_ID = "pay_" + 60 * "9"
NOW = datetime.now(UTC)
REQUEST = "8f14e45f-ceea-4c67-a1d2-0a1b2c3d4e5f"
TRACE = "4bf9" * 8
UNKNOWN_ID = UUID(int=7)


def an_overview(**changes: Any) -> Overview:
    fields: dict[str, Any] = {
        "code": CODE,
        "status": PublicStatus.EN_PROCESO,
        "state": State.PAID,
        "review": "money_mismatch",
        "next_check_at": NOON,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Overview(**fields | changes)


class Deployment(Desk):
    """A deployment with one hint too many, one letter in each queue and one alarm."""

    def waiting(self) -> dict[Source, int]:
        return {Queue.PAYMENT: 3, Queue.SUPPLIER: 0}

    def alarms(self) -> list[Alarm]:
        return [
            Alarm(name="AuditAlarm", since=NOON, silent=True),
            Alarm(name="ReviewAlarm", since=NOON, silent=False),
        ]

    def dead_letters(self) -> Letters:
        return Letters()


class Found(Looking):
    """One reservation in review, and one that is stuck."""

    number_stuck = 1

    def in_review(self, *, limit: int) -> list[Overview]:
        return [an_overview()]

    def stuck(self, *, limit: int) -> list[Overview]:
        return [an_overview(review="")] * min(limit, self.number_stuck)

    def by_id(self, reservation_id: UUID) -> list[Overview]:
        return [an_overview()]

    def by_address(self, address: str, *, limit: int) -> list[Overview]:
        return [an_overview()] if address == "ana@xn--bcher-kva.example" else []

    def codes(self, ids: Collection[UUID]) -> dict[UUID, str]:
        return {each: CODE for each in ids if each == RESERVATION_ID}

    def dead_hints(self, *, limit: int) -> list[DeadHint]:
        return [
            DeadHint(queue="payment", type="payment.due", reservation_id=about, occurred_at=NOON)
            for about in (RESERVATION_ID, UNKNOWN_ID)
        ]

    def outbox(self) -> list[Any]:
        return []

    def oldest_due_s(self) -> float:
        return 12.34

    def counts(self) -> list[Count]:
        return [Count(status=PublicStatus.EN_PROCESO, age="hour", reservations=7)]

    def silences(self, *, limit: int) -> list[Silence]:
        return [
            Silence(operation="charge", calls=4, since=NOON, last_at=NOON + timedelta(hours=1)),
            Silence(operation="of another release", calls=1, since=NOON, last_at=NOON),
        ]

    def untaken_mails(self, *, since: datetime, limit: int) -> list[UntakenMails]:
        newest = NOON + timedelta(minutes=2)
        return [UntakenMails(status="refused", mails=6, first_at=NOON, last_at=newest, code=CODE)]

    def doubts(self) -> list[Doubt]:
        return [Doubt(kind="booking_absent", opened=1, suspected=2)]


class Services(Watched):
    def __init__(self) -> None:
        super().__init__()
        self.watch: Found = Found()

    def search(self) -> Found:  # type: ignore[override]  # a part of it is asked
        return Found()


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
def database(services: Services) -> InMemoryDatabase:
    return services.database


def run(services: Services, *arguments: str) -> Result:
    desk = Deployment(services, stack="none")
    return CliRunner().invoke(ops, ["--stage", "test", *arguments], obj=desk)


def overpaid() -> Any:
    charge = a_charge(money=Money(99900, "EUR"), provider_id=LONGEST_ID)
    return a_reservation(facts=some_facts(charge))


def test_without_a_command_the_overview_shows_what_needs_a_person(
    services: Services, database: InMemoryDatabase
) -> None:
    keep(database, overpaid())

    shown = run(services).stdout

    for part in (
        *("EN PROCESO", "7", "booking_absent", "payment", "3", "ReviewAlarm", "999.00 EUR"),
        f"bin/ops review resolve {SHOWN} --reason paid --evidence REF",
        f"bin/ops cancel {SHOWN}",
    ):
        assert part in shown


def test_the_overview_says_that_more_need_a_person(services: Services) -> None:
    services.watch.waiting = services.watch.number_stuck = 21

    shown, none = run(services).stdout, run(Services()).stdout

    assert "21: bin/ops list --review --limit 1000" in shown
    assert "bin/ops list --stuck --limit 1000" in shown
    assert shown.count(SHOWN) - none.count(SHOWN) == 20 - 1
    assert "--limit" not in none


@pytest.mark.parametrize(("limit", "more"), [(1, True), (2, False)])
def test_a_list_says_that_it_is_not_complete(services: Services, limit: int, more: bool) -> None:
    services.watch.number_stuck = 2

    page = json.loads(run(services, "list", "--stuck", "--limit", str(limit), "--json").stdout)

    assert len(page["stuck"]) == limit
    assert ("more" in page) is more


def test_an_outage_and_refused_mails_are_in_the_overview(services: Services) -> None:
    shown = run(services).stdout

    assert re.search(rf"payments +charge +4 +{NOON:%Y-%m-%d 12:00}Z +{NOON:%Y-%m-%d 13:00}Z", shown)
    assert re.search(rf"refused +6 +{NOON:%Y-%m-%d 12:00}Z +{NOON:%Y-%m-%d 12:02}Z +{SHOWN}", shown)
    assert "of another release" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("command", [(), ("outbox", "lag"), ("dlq", "list")], ids=" ".join)
def test_dead_hints_and_letters_name_their_reservation(
    services: Services, command: tuple[str, ...]
) -> None:
    shown, page = run(services, *command), json.loads(run(services, *command, "--json").stdout)

    dead = [*page.get("dead hints", ()), *page.get("dead letters", page.get("messages", ()))]
    assert {(row["code"], row["reservation_id"]) for row in dead} <= {
        (SHOWN, str(RESERVATION_ID)),
        (None, str(UNKNOWN_ID)),  # of another database
        (None, None),  # unreadable
    }
    assert SHOWN in shown.stdout
    assert str(RESERVATION_ID) not in shown.stdout
    assert (str(UNKNOWN_ID) in shown.stdout) == ("dead hints" in page)
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_each_command_of_the_overview_is_taken(
    services: Services, database: InMemoryDatabase
) -> None:
    keep(database, overpaid())
    page = json.loads(run(services, "--json").stdout)
    [matter] = page["reviews"]
    command = matter["end it by"][0].removeprefix("bin/ops ").replace("REF", "TICKET-5")

    assert run(services, *command.split()).exit_code == 0
    assert json.loads(run(services, "--json").stdout)["reviews"][0]["review"] == ""


def test_a_refused_refund_offers_both_ways_out(
    services: Services, database: InMemoryDatabase
) -> None:
    refused = a_refund(Status.DECLINED)
    facts = some_facts(a_charge(), refused, reason=Reason.CUSTOMER_CANCELLED)
    keep(database, a_reservation(facts=facts))

    shown = run(services).stdout

    assert "--reason refunded " in shown
    assert "--reason refund_again " in shown


def test_no_line_is_longer_than_80_columns_and_no_id_is_cut(
    services: Services, database: InMemoryDatabase
) -> None:
    charge = a_charge(provider_id=LONGEST_ID)
    keep(database, a_reservation(charge, a_booking(locator="L" * 60)))

    for command in (("show", SHOWN), ("timeline", SHOWN), ("list", "--review")):
        lines = run(services, *command).stdout.splitlines()
        assert max(map(len, lines)) <= 80

    shown = run(services, "show", SHOWN).stdout
    assert LONGEST_ID in shown
    assert "L" * 60 in shown


def test_a_refusal_is_said_once(services: Services) -> None:
    said = run(services, "show", "ABC").stderr

    assert said.lower().count("code") == 1
    assert "ops find" in said


def test_a_watched_reservation_at_rest_is_told_once(
    services: Services, database: InMemoryDatabase
) -> None:
    keep(database, confirmed())

    said = run(services, "watch", SHOWN)

    assert said.exit_code == 0
    assert said.stdout.count("CONFIRMADA") == 1


# --- logs

LINES = (
    {"message": "asked", "request_id": REQUEST, "trace_id": TRACE},
    {"message": "paid", "reservation_id": str(RESERVATION_ID), "trace_id": TRACE, "verb": "charge"},
    {"message": "of another", "reservation_id": "other", "trace_id": "0" * 32},
    {"message": "too old", "request_id": REQUEST, "timestamp": "2020-01-01T00:00:00+00:00"},
)


def written() -> list[str]:
    """The lines of a function's log, among those of the runtime and metrics."""
    defaults = {"level": "INFO", "function_name": "reservations-ProcessPaymentFunction-1"}
    logged = [
        json.dumps({"timestamp": (NOW + timedelta(seconds=n)).isoformat(), **defaults, **line})
        for n, line in enumerate(LINES)
    ]
    metric = json.dumps({"_aws": {}, "request_id": REQUEST})
    return [f"START RequestId: {REQUEST}", *logged, metric, "{torn"]


@pytest.fixture(params=["files", "insights"])
def logs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Iterator[Logs]:
    if request.param == "files":
        (tmp_path / "one.log").write_text("\n".join(written()))
        yield FileLogs(tmp_path)
        return
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        client, group = boto3.client("logs"), "/aws/lambda/one"
        client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName="s")
        at = int(NOW.timestamp() * 1000)
        events = [{"timestamp": at, "message": line} for line in written()]
        client.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)  # type: ignore[arg-type]
        yield InsightsLogs(client, groups=[group])


def test_a_request_leads_to_its_reservation_by_the_trace(logs: Logs) -> None:
    found = of_reservation(logs, [REQUEST], since=NOW - timedelta(hours=1))

    assert [line["message"] for line in found] == ["asked", "paid"]
    assert reservations_in(found) == [str(RESERVATION_ID)]


def test_a_log_line_is_told_with_its_function_and_its_facts(logs: Logs) -> None:
    [line] = logs.having([str(RESERVATION_ID)], since=NOW - timedelta(hours=1))

    assert "ProcessPayment  paid  verb=charge" in told(line)


def a_long_line() -> dict[str, Any]:
    facts = {f"fact_{n}": f"value-{n}" for n in range(12)}
    exception = "Traceback:\n  File x\nOSError: \x1b[2Jcleared"
    return {
        "message": "provider answer needs a person",
        "timestamp": NOW.isoformat(),
        "level": "ERROR",
        "function_name": "reservations-ProcessPaymentFunction-1",
        "provider_id": LONGEST_ID,
        **facts,
        "exception": exception,
    }


def test_a_log_line_is_broken_between_its_words_at_the_width_of_the_terminal() -> None:
    line = a_long_line()

    whole, broken = told(line), told(line, 80)

    assert max(map(len, broken.splitlines())) <= 80
    assert broken.split() == whole.split()
    first, *others = whole.splitlines()
    assert "fact_0=value-0" in first
    assert "fact_11=value-11" in first
    assert others == ["Traceback:", "  File x", "OSError: \ufffd[2Jcleared"]


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "66")
    master, slave = os.openpty()

    with os.fdopen(slave, "w") as terminal, os.fdopen(master):
        assert columns_of(terminal) == 66
    assert columns_of(io.StringIO()) is None


# --- alarms


@pytest.mark.parametrize(("points", "silent"), [("[]", True), ("[7.0]", False), (None, False)])
def test_an_alarm_without_data_differs_from_one_over_its_threshold(
    monkeypatch: pytest.MonkeyPatch, points: str | None, silent: bool
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        cloudwatch = boto3.client("cloudwatch")
        for name in ("stack-audit", "of another stack"):
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                ComparisonOperator="GreaterThanThreshold",
                EvaluationPeriods=1,
                MetricName="AuditAge",
                Namespace="Reservations",
                Period=60,
                Statistic="Maximum",
                Threshold=1,
            )
            data = {"StateReasonData": f'{{"recentDatapoints": {points}}}'} if points else {}
            cloudwatch.set_alarm_state(
                AlarmName=name, StateValue="ALARM", StateReason="judged", **data
            )
        desk = Desk(Watched(), stack="any")
        desk.resources = {"AuditAlarm": "stack-audit", "Bucket": "b"}
        [ringing] = desk.alarms()

    assert (ringing.name, ringing.silent) == ("AuditAlarm", silent)


def test_an_alarm_composed_of_others_is_in_the_overview(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def answer(**_: Any) -> tuple[Any, dict[str, Any]]:
        """As CloudWatch does: composites for those who ask for them."""
        ringing = {
            "AlarmName": "stack-burn",
            "StateUpdatedTimestamp": NOON,
            "StateReasonData": '{"triggeringAlarms": []}',
        }
        composites = [ringing] if "CompositeAlarm" in asked.get("AlarmTypes", ()) else []
        return SimpleNamespace(status_code=200), {"MetricAlarms": [], "CompositeAlarms": composites}

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    session = boto3.Session("id", "key")
    call = "cloudwatch.DescribeAlarms"
    events: Any = session.events  # whose stubs know no answer
    events.register(f"provide-client-params.{call}", lambda params, **_: asked.update(params))
    events.register(f"before-call.{call}", answer)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    desk = Desk(Watched(), stack="any")
    desk.resources = {"FastBurnAlarm": "stack-burn"}

    [ringing] = desk.alarms()

    assert (ringing.name, ringing.silent) == ("FastBurnAlarm", False)


@pytest.mark.parametrize("on_aws", [True, False])
def test_an_alarm_without_data_is_explained(services: Services, on_aws: bool) -> None:
    desk = Deployment(services, stack="none", on_aws=on_aws)

    shown = CliRunner().invoke(ops, ["--stage", "test"], obj=desk).stdout

    assert re.search(r"AuditAlarm +2027-03-01 12:00Z +no data", shown)
    assert re.search(r"ReviewAlarm +2027-03-01 12:00Z +–$", shown, re.MULTILINE)
    assert ("the local stack records no metrics" in shown) is not on_aws
    assert ("the job that must report did not run" in shown) is on_aws
    assert max(map(len, shown.splitlines())) <= 80


# --- the caller


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.client("sts")


def test_the_actor_on_aws_is_the_role_and_not_the_session(
    sts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = "arn:aws:iam::123456789012:role/Operators"
    login = sts.assume_role(RoleArn=role, RoleSessionName="ana@example.com")["Credentials"]
    signed_in = boto3.Session(
        login["AccessKeyId"], login["SecretAccessKey"], login["SessionToken"], "eu-west-1"
    )
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", signed_in)
    desk = Desk(Watched(), stack="none", on_aws=True)

    assert desk.actor("on-call") == "operator:Operators/on-call"


def test_credentials_of_a_person_are_refused(sts: Any) -> None:
    with pytest.raises(SettingsError, match="no role"):
        role_of_caller(sts)
