"""Three alarms of the template, judged by LocalStack's CloudWatch on the series of tests/template/test_alarms.py.

LocalStack judges an alarm as soon as it is put. It takes an alarm on one metric; formulas and composites it stores and
never judges. It looks at more periods than CloudWatch, so a series here lies within the alarm's own window.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local import deployment
from local.paths import STACK
from ops.aws import resources_of
from tests.e2e.travel import eventually
from tests.template.test_alarms import ALARMS, CASES, length, series_of
from tests.worlds.cloudwatch import Series, rings

# By alarm, the rule that it shows: M of N of a rate, a threshold twice in a row, and silence that must ring.
CHECKED = ("GatewayErrorAlarm", "OutboxLagAlarm", "PollOutboxSilentAlarm")
_STATES = {True: "ALARM", False: "OK"}


class Copies:
    """Copies of the deployed alarms, each on a metric of its own."""

    def __init__(self, stack: dict[str, Any]) -> None:
        endpoint = stack["aws_endpoint_url"]
        self._metrics = deployment.client("cloudwatch", endpoint)
        self._names = resources_of(deployment.client("cloudformation", endpoint), STACK)

    def put(self, name: str, series: Series) -> str:
        """Store the series as the last minutes of a metric, then an alarm on it. Return its name."""
        [deployed] = self._metrics.describe_alarms(AlarmNames=[self._names[name]])["MetricAlarms"]
        copy = f"{name}-{uuid.uuid4().hex}"
        dimensions = [{"Name": "copy", "Value": copy}]
        now = datetime.now(UTC)
        [minutes] = series.values()
        data = [
            {
                "MetricName": deployed["MetricName"],
                "Dimensions": dimensions,
                "Timestamp": now - timedelta(minutes=len(minutes) - at - 0.5),
                "Values": list(values),
            }
            for at, values in enumerate(minutes)
            if values
        ]
        if data:
            self._metrics.put_metric_data(Namespace=deployed["Namespace"], MetricData=data)
        kept = self._metrics.meta.service_model.operation_model(
            "PutMetricAlarm"
        ).input_shape.members
        properties = {key: value for key, value in deployed.items() if key in kept}
        self._metrics.put_metric_alarm(
            **properties | {"AlarmName": copy, "Dimensions": dimensions, "ActionsEnabled": False}
        )
        return copy

    def state(self, copy: str) -> str | None:
        """The state that LocalStack gave it; `None` while it has not judged."""
        [alarm] = self._metrics.describe_alarms(AlarmNames=[copy])["MetricAlarms"]
        state: str = alarm["StateValue"]
        return None if state == "INSUFFICIENT_DATA" else state

    def delete(self, copy: str) -> None:
        self._metrics.delete_alarms(AlarmNames=[copy])


@pytest.fixture(scope="module")
def copies(steady_stack: dict[str, Any]) -> Copies:
    return Copies(steady_stack)


def series_to_check(name: str) -> Iterator[tuple[str, Series]]:
    """The series of one alarm that must ring, and those that must not."""
    trouble, calm, blip = CASES[name]
    minutes = length(ALARMS[name])
    yield "trouble", series_of(ALARMS[name], [trouble] * minutes)
    yield "calm", series_of(ALARMS[name], [calm] * minutes)
    yield "blip", series_of(ALARMS[name], [calm] * (minutes - blip) + [trouble] * blip)


@pytest.mark.parametrize("name", CHECKED)
def test_an_alarm_rings_on_localstack_as_by_the_rules_of_the_template_s_tests(
    copies: Copies, name: str
) -> None:
    expected, seen = {}, {}
    with ExitStack() as put:
        judged = {}
        for kind, series in series_to_check(name):
            expected[kind] = _STATES[rings(ALARMS[name], series)]
            judged[kind] = copies.put(name, series)
            put.callback(copies.delete, judged[kind])
        for kind, copy in judged.items():
            seen[kind] = eventually(
                lambda copy=copy: copies.state(copy),  # type: ignore[misc]  # bound at once
                of=f"LocalStack's judgment of {name}",
            )

    assert seen == expected
    assert set(seen.values()) == {"ALARM", "OK"}
