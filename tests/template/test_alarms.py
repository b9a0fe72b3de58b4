"""The alarms of the template: each watches an existing metric of its own stage and pages somebody."""

from collections.abc import Iterator
from typing import Any

from tests.template.resources import logical_id, metrics_explained, name_of, resources, template

ALARMS = resources("AWS::CloudWatch::Alarm")


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
    assert all(each == [{"Name": "service", "Value": own}] for each in dimensions)


def test_an_alarm_of_one_function_or_of_the_gateway_watches_only_that() -> None:
    for function in map(logical_id, ("poll_outbox", "clean_up")):
        [dimension] = ALARMS[function.replace("Function", "Alarm")]["Dimensions"]
        assert (dimension["Name"], name_of(dimension["Value"])) == ("FunctionName", function)
    [api] = ALARMS["GatewayErrorAlarm"]["Dimensions"]
    assert api == {"Name": "ApiName", "Value": {"Ref": "AWS::StackName"}}  # as SAM names it


def test_every_alarm_pages_somebody_and_names_its_runbook() -> None:
    for name, alarm in ALARMS.items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
        assert alarm.get("ActionsEnabled", True), name
        assert "docs/runbooks/" in alarm["AlarmDescription"], name
        # Missing data is good news, except for the invariants: their check reports on every run.
        silence = "breaching" if name == "InvariantAlarm" else "notBreaching"
        assert alarm["TreatMissingData"] == silence, name
