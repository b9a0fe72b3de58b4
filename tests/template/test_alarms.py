"""The alarms of the template: what each looks at, from where on it rings, and whom it calls."""

from collections.abc import Iterator
from typing import Any

from tests.template.resources import logical_id, metrics_explained, name_of, resources, template

ALARMS = resources("AWS::CloudWatch::Alarm")

Told = tuple[str, str, float, int, str]

DEAD_LETTERS: Told = ("AWS/SQS ApproximateNumberOfMessagesVisible", "Maximum", 1, 60, "1 of 1")

# The metric, its statistic, from where on it rings, the seconds of a period, and how many of how many periods.
DECIDED: dict[str, Told] = {
    "PollOutboxAlarm": ("AWS/Lambda Errors", "Sum", 1, 60, "3 of 3"),
    "PaymentDeadLetterAlarm": DEAD_LETTERS,
    "SupplierDeadLetterAlarm": DEAD_LETTERS,
    "VoucherDeadLetterAlarm": DEAD_LETTERS,
    "NotificationDeadLetterAlarm": DEAD_LETTERS,
    "MailEventDeadLetterAlarm": DEAD_LETTERS,
    "MailBounceAlarm": ("AWS/SES Reputation.BounceRate", "Maximum", 0.05, 3600, "1 of 1"),
    "MailComplaintAlarm": ("AWS/SES Reputation.ComplaintRate", "Maximum", 0.001, 3600, "1 of 1"),
    "CleanUpAlarm": ("AWS/Lambda Errors", "Sum", 1, 300, "2 of 2"),
    "InvariantAlarm": ("Reservations InvariantBroken", "Maximum", 1, 600, "1 of 1"),
    "ReviewAlarm": ("Reservations ReviewsWaiting", "Maximum", 1, 300, "1 of 1"),
    "MoreReviewsAlarm": (
        "Reservations ReviewsWaiting",
        "DIFF(waiting) of Maximum",
        1,
        300,
        "1 of 1",
    ),
    "QueueBehindAlarm": (
        "AWS/SQS ApproximateAgeOfOldestMessage",
        "MAX(METRICS()) of Maximum",
        600,
        300,
        "1 of 1",
    ),
    "OldestDueAlarm": ("Reservations OldestDueAge", "Maximum", 600, 300, "1 of 1"),
    "OutboxLagAlarm": ("Reservations OutboxLag", "Maximum", 60, 300, "2 of 2"),
    "OutboxDeadAlarm": ("Reservations OutboxDead", "Sum", 1, 60, "1 of 1"),
    "ApiUnavailableAlarm": ("Reservations RequestUnavailable", "Sum", 5, 60, "3 of 3"),
    "GatewayErrorAlarm": ("AWS/ApiGateway 5XXError", "Sum", 5, 60, "2 of 2"),
    "FunctionErrorAlarm": ("AWS/Lambda Errors", "SUM(METRICS()) of Sum", 1, 60, "1 of 1"),
    "UnhandledErrorAlarm": ("Reservations UnhandledError", "Sum", 1, 60, "1 of 1"),
    "ProviderAnswerAlarm": ("Reservations ProviderAlarm", "Sum", 1, 60, "1 of 1"),
    "ProviderUnreachableAlarm": ("Reservations ProviderNotSent", "Sum", 1, 300, "3 of 4"),
    "MailRefusedAlarm": ("Reservations MailRefused", "Sum", 1, 60, "1 of 1"),
}


def watched(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics that an alarm looks at, alone or by a formula."""
    stats = [each["MetricStat"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    return [
        {**stat["Metric"], "Period": stat["Period"], "Statistic": stat["Stat"]} for stat in stats
    ] or [alarm]


def told(alarm: dict[str, Any]) -> Told:
    [(namespace, metric, statistic, seconds)] = {
        (each["Namespace"], each["MetricName"], each["Statistic"], each["Period"])
        for each in watched(alarm)
    }
    for formula in (each for each in alarm.get("Metrics", []) if each["ReturnData"]):
        statistic = f"{formula['Expression']} of {statistic}"
    periods = alarm["EvaluationPeriods"]
    of_periods = f"{alarm.get('DatapointsToAlarm', periods)} of {periods}"
    return f"{namespace} {metric}", statistic, alarm["Threshold"], seconds, of_periods


def of_ours() -> Iterator[dict[str, Any]]:
    for alarm in ALARMS.values():
        yield from (each for each in watched(alarm) if each["Namespace"] == "Reservations")


def test_every_alarm_rings_from_where_it_was_decided_to_and_there_is_no_other() -> None:
    assert {name: told(alarm) for name, alarm in ALARMS.items()} == DECIDED
    compared = {alarm["ComparisonOperator"] for alarm in ALARMS.values()}
    assert compared == {"GreaterThanOrEqualToThreshold"}


def test_an_alarm_looks_at_no_metric_of_ours_that_nobody_counts() -> None:
    assert {each["MetricName"] for each in of_ours()} <= metrics_explained()


def test_what_one_stage_counts_rings_no_alarm_of_another() -> None:
    own = {"Fn::Sub": "reservations-${Stage}"}
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == own
    dimensions = [each["Dimensions"] for each in of_ours()]
    assert dimensions
    assert all(each == [{"Name": "service", "Value": own}] for each in dimensions)


def test_an_alarm_of_one_function_or_of_the_gateway_looks_at_that() -> None:
    for function in map(logical_id, ("poll_outbox", "clean_up")):
        [dimension] = ALARMS[function.replace("Function", "Alarm")]["Dimensions"]
        assert (dimension["Name"], name_of(dimension["Value"])) == ("FunctionName", function)
    [api] = ALARMS["GatewayErrorAlarm"]["Dimensions"]
    assert api == {"Name": "ApiName", "Value": {"Ref": "AWS::StackName"}}  # as SAM names it


def test_every_alarm_calls_somebody_and_names_its_runbook() -> None:
    for name, alarm in ALARMS.items():
        assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
        assert alarm.get("ActionsEnabled", True), name
        assert "docs/runbooks/" in alarm["AlarmDescription"], name
        # Silence is good news, but from the check of the invariants: it tells on every run.
        silence = "breaching" if name == "InvariantAlarm" else "notBreaching"
        assert alarm["TreatMissingData"] == silence, name
