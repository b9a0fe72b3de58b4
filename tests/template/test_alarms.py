"""The alarms of the template: each watches an existing metric of its own stage and pages somebody."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from reservations.application.clean_up import PAGES, READ
from reservations.application.oversee import AUDIT_EVERY, SLICE
from tests.template.resources import (
    functions,
    logical_id,
    metrics_explained,
    name_of,
    resources,
    template,
)
from tests.worlds.cloudwatch import Minute, Series, composite_rings, period_of, rings

ALARMS = resources("AWS::CloudWatch::Alarm")
COMPOSITES = resources("AWS::CloudWatch::CompositeAlarm")
PAGING = {
    name: each for name, each in ALARMS.items() if each.get("ActionsEnabled", True)
} | COMPOSITES


def watched(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics that an alarm watches, alone or in a formula."""
    stats = [each["MetricStat"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    return [stat["Metric"] for stat in stats] or [alarm]


def of_ours() -> Iterator[dict[str, Any]]:
    for alarm in ALARMS.values():
        yield from (each for each in watched(alarm) if each["Namespace"] == "Reservations")


def test_an_alarm_on_our_metrics_watches_only_those_that_are_counted() -> None:
    assert {each["MetricName"] for each in of_ours()} <= metrics_explained()


def test_the_metrics_of_one_stage_trigger_no_alarm_of_another() -> None:
    own = {"Fn::Sub": "reservations-${Stage}"}
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == own
    dimensions = [each["Dimensions"] for each in of_ours()]
    assert dimensions
    assert all({"Name": "service", "Value": own} in each for each in dimensions)


def test_an_alarm_of_one_function_or_of_the_gateway_watches_only_that() -> None:
    for function in map(logical_id, ("poll_outbox", "clean_up")):
        [dimension] = ALARMS[function.replace("Function", "Alarm")]["Dimensions"]
        assert (dimension["Name"], name_of(dimension["Value"])) == ("FunctionName", function)
    [api] = ALARMS["GatewayErrorAlarm"]["Dimensions"]
    assert api == {"Name": "ApiName", "Value": {"Ref": "AWS::StackName"}}  # as SAM names it


def test_every_alarm_pages_somebody_says_when_it_is_over_and_names_its_runbook() -> None:
    for name, alarm in PAGING.items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
        assert alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name
        assert "docs/runbooks/" in alarm["AlarmDescription"], name


def test_an_alarm_that_pages_nobody_is_a_window_of_one_that_does() -> None:
    windows = {name for composite in COMPOSITES for name in windows_of(composite)}
    assert windows == ALARMS.keys() - PAGING.keys()


# --- each alarm, driven by a series that must ring and by one that must not -----------------------------

NOTHING: Minute = ()


def steady(*values: float) -> dict[str, Minute]:
    """One minute of the alarm's only metric."""
    return {"": values}


def requests(failed: int, of: int) -> dict[str, Minute]:
    """One minute of the gateway."""
    each = [1.0] * failed + [0.0] * (of - failed)
    return {"": each, "errors": each, "requests": [1.0] * of}


def calls(failed: int, of: int) -> dict[str, Minute]:
    """One minute of the first function of an alarm on versions; the others are idle."""
    return {"Failures": [float(failed)], "Calls": [float(of)]}


# By alarm: a minute that, repeated, must ring; one that must not; and a burst of `quiet` minutes at most that must not.
Case = tuple[dict[str, Minute], dict[str, Minute], int]
ONE_IS_ENOUGH: Case = (steady(1), steady(0), 0)

CASES: Mapping[str, Case] = {
    **{name: ONE_IS_ENOUGH for name in ALARMS if name.endswith("DeadLetterAlarm")},
    # One failure in a quiet minute is a rate too: three such minutes of ten ring, two do not.
    "GatewayErrorAlarm": (requests(1, of=1), requests(2, of=100), 2),
    "HttpVersionAlarm": (calls(1, of=3), calls(4, of=100), 1),
    "QueueVersionAlarm": (calls(1, of=3), calls(4, of=100), 1),
    "ClockVersionAlarm": (calls(1, of=1), calls(0, of=1), 1),
    "HttpDefectAlarm": (calls(1, of=3), calls(4, of=100), 1),
    "QueueDefectAlarm": (calls(1, of=3), calls(4, of=100), 1),
    "FastBurnHour": (requests(1, of=60), requests(1, of=100), 2),
    "FastBurnMinutes": (requests(1, of=60), requests(1, of=100), 2),
    "SlowBurnHours": (requests(1, of=160), requests(1, of=200), 2),
    "SlowBurnHalfHour": (requests(1, of=160), requests(1, of=200), 2),
    "ThrottleAlarm": (steady(1), steady(0), 2),
    "PollOutboxSilentAlarm": (steady(), steady(1), 9),
    "PollOutboxAlarm": (steady(1), steady(0), 2),
    "CleanUpAlarm": (steady(1), steady(0), 1),
    "InvariantAlarm": (steady(1), steady(0), 0),
    "AuditAlarm": (steady(172_800), steady(172_799), 0),
    "RetentionAlarm": (steady(172_800), steady(172_799), 0),
    "ReviewAlarm": ONE_IS_ENOUGH,
    "ContradictionAlarm": ONE_IS_ENOUGH,
    "OldContradictionAlarm": (steady(86_400), steady(86_399), 0),
    "QueueBehindAlarm": (steady(600), steady(599), 0),
    "LooksBehindAlarm": (steady(14_400), steady(14_399), 0),
    "OldestDueAlarm": (steady(600), steady(599), 0),
    "OutboxLagAlarm": (steady(60), steady(59), 1),
    "OutboxDeadAlarm": ONE_IS_ENOUGH,
    "UnhandledErrorAlarm": ONE_IS_ENOUGH,
    "ProviderAnswerAlarm": ONE_IS_ENOUGH,
    "QuotesRefusedAlarm": (steady(1), steady(0), 10),
    "ProviderUnreachableAlarm": (steady(1), steady(0), 5),
    "MailRefusedAlarm": ONE_IS_ENOUGH,
    "MailBounceAlarm": (steady(0.05), steady(0.049), 0),
    "MailComplaintAlarm": (steady(0.001), steady(0.0009), 0),
    "MailsWaitingAlarm": ONE_IS_ENOUGH,
    "VouchersWaitingAlarm": (steady(600), steady(599), 0),
    "MailsHeldAlarm": (steady(1), steady(0), 10),
}
# The least that rings, as docs/05 tells it: failures in so many minutes, each alone in its minute.
LEAST: Mapping[str, tuple[dict[str, Minute], int, int]] = {
    "GatewayErrorAlarm": (requests(1, of=1), 3, 1),
    "HttpVersionAlarm": (calls(1, of=1), 2, 1),
    "QueueVersionAlarm": (calls(1, of=1), 2, 1),
    "ClockVersionAlarm": (calls(1, of=1), 2, 1),
    "HttpDefectAlarm": (calls(1, of=1), 2, 1),
    "QueueDefectAlarm": (calls(1, of=1), 2, 1),
    "FastBurnMinutes": (requests(1, of=1), 3, 1),
    "SlowBurnHalfHour": (requests(1, of=1), 3, 1),
    "ThrottleAlarm": (steady(1), 3, 1),
    "QuotesRefusedAlarm": (steady(1, 1, 1), 3, 5),
    "ProviderUnreachableAlarm": (steady(1), 3, 5),
    "MailsHeldAlarm": (steady(1, 1, 1, 1, 1), 3, 5),
}
GROWING = {"MoreReviewsAlarm"}  # compares a period with the one before


def series_of(alarm: dict[str, Any], minutes: list[dict[str, Minute]]) -> Series:
    """These minutes by metric of the alarm; a metric that a minute does not name is missing in it."""
    stats = [each["Id"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    names = stats or [alarm["MetricName"]]
    first = re.sub(r"(Errors|Defects)$", "", names[0])

    def of(metric: str, minute: dict[str, Minute]) -> Minute:
        if "" in minute and metric == names[0]:
            return minute[""]
        if metric in minute:
            return minute[metric]
        of_version = re.fullmatch(r"(.+)(Errors|Defects|Calls)", metric)
        if of_version:  # the first function of an alarm on versions
            kind = "Calls" if of_version[2] == "Calls" else "Failures"
            return minute.get(kind, NOTHING) if of_version[1] == first else NOTHING
        return NOTHING

    return {name: [of(name, minute) for minute in minutes] for name in names}


def played(alarm: dict[str, Any], minutes: list[dict[str, Minute]]) -> bool:
    """Whether the alarm rings at the end of these minutes."""
    return rings(alarm, series_of(alarm, minutes))


def length(alarm: dict[str, Any]) -> int:
    """Minutes of the alarm's whole window."""
    return period_of(alarm) * int(alarm["EvaluationPeriods"])


def windows_of(composite: str) -> list[str]:
    """The alarms of a composite's rule, the longest window first."""
    names = re.findall(r"\$\{(\w+)\}", COMPOSITES[composite]["AlarmRule"]["Fn::Sub"])
    return sorted(names, key=lambda name: -length(ALARMS[name]))


def played_together(composite: str, minutes: list[dict[str, Minute]]) -> bool:
    """Whether the composite rings at the end of these minutes of the gateway."""
    rule: str = COMPOSITES[composite]["AlarmRule"]["Fn::Sub"]
    states = {name: played(ALARMS[name], minutes) for name in windows_of(composite)}
    return composite_rings(rule, states)


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_burn_rate_pages_while_both_of_its_windows_ring(name: str) -> None:
    long, short = windows_of(name)
    trouble, calm, _ = CASES[long]
    whole, end = length(ALARMS[long]), length(ALARMS[short])

    assert played_together(name, [trouble] * whole)
    assert not played_together(name, [calm] * whole)
    assert not played_together(name, [trouble] * (whole - end) + [calm] * end)  # it is over
    assert not played_together(name, [calm] * (whole - end) + [trouble] * end)  # it has just begun


def test_every_alarm_is_driven() -> None:
    assert CASES.keys() | GROWING == ALARMS.keys()


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
def test_an_alarm_rings_while_its_trouble_lasts(name: str, case: Case) -> None:
    trouble, _, _ = case

    assert played(ALARMS[name], [trouble] * length(ALARMS[name]))


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
def test_an_alarm_is_silent_below_its_threshold(name: str, case: Case) -> None:
    _, calm, _ = case

    assert not played(ALARMS[name], [calm] * length(ALARMS[name]))


@pytest.mark.parametrize(("name", "least"), LEAST.items(), ids=LEAST)
def test_an_alarm_works_with_the_least_traffic_that_the_document_tells(
    name: str, least: tuple[dict[str, Minute], int, int]
) -> None:
    bad, times, every = least
    minutes = length(ALARMS[name])

    def with_bad(times: int) -> list[dict[str, Minute]]:
        ends = {minutes - 1 - every * at for at in range(times)}
        return [bad if minute in ends else {} for minute in range(minutes)]

    assert played(ALARMS[name], with_bad(times))
    assert not played(ALARMS[name], with_bad(times - 1))


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
def test_a_blip_rings_no_alarm(name: str, case: Case) -> None:
    trouble, calm, blip = case
    minutes, period = length(ALARMS[name]), period_of(ALARMS[name])

    for after in {0, 1, period // 2, period - 1}:  # across the periods of the clock
        before = [calm] * (minutes - blip)
        assert not played(ALARMS[name], before + [trouble] * blip + [calm] * after), after


@pytest.mark.parametrize(("name", "alarm"), ALARMS.items(), ids=ALARMS)
def test_silence_rings_only_where_a_job_must_report(name: str, alarm: dict[str, Any]) -> None:
    """Each run of these jobs reports. A request, a message or a mail may be missing for days."""
    silent = played(alarm, [{}] * length(alarm))

    reporting = {"InvariantAlarm", "AuditAlarm", "RetentionAlarm", "PollOutboxSilentAlarm"}
    assert silent == (name in reporting)


def test_one_more_review_rings_while_another_waits() -> None:
    alarm = ALARMS["MoreReviewsAlarm"]
    before, after = [steady(3)] * 5, [steady(4)] * 5

    assert played(alarm, before + after)
    assert not played(alarm, after + after)
    assert not played(alarm, after + before)


def test_the_alarm_of_an_audit_leaves_time_for_one_that_began_a_day_later() -> None:
    days = timedelta(seconds=ALARMS["AuditAlarm"]["Threshold"])

    assert days >= 2 * AUDIT_EVERY
    assert ALARMS["AuditAlarm"]["Threshold"] == ALARMS["RetentionAlarm"]["Threshold"]


@pytest.mark.parametrize(("task", "slice_"), [("audit", SLICE), ("retention", PAGES * READ)])
def test_slices_of_a_day_go_through_three_million_reservations(task: str, slice_: int) -> None:
    [event] = [
        each["Properties"]
        for each in functions()["clean_up"]["Events"].values()
        if f'"{task}"' in each["Properties"]["Input"]
    ]
    [(number, unit)] = re.findall(r"^rate\((\d+) (minute|hour)s?\)$", event["Schedule"])
    every = timedelta(**{f"{unit}s": int(number)})

    assert slice_ * AUDIT_EVERY / every > 3_000_000
