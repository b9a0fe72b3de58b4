"""CloudWatch's rules of an alarm, over series of a minute: period, statistic, missing data, M of N.

Sources: docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring, "Evaluating an alarm" and "Using metric math". An
expression is evaluated as far as the template uses it; an unknown one is an error.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Minute = Sequence[float]  # the values that arrived in that minute
Series = Mapping[str, Sequence[Minute]]  # by metric, each minute's values
Value = float | None  # `None`: missing

_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Average": lambda values: sum(values) / len(values),
    "SampleCount": len,
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
}


def rings(alarm: Mapping[str, Any], series: Series) -> bool:
    """Whether the alarm is in ALARM at the end of the series, which is keyed by metric id or name."""
    values = _points(alarm, series)
    window = values[-alarm["EvaluationPeriods"] :]
    needed: int = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    over = _COMPARISONS[alarm["ComparisonOperator"]]
    breaching: list[bool] = [
        alarm["TreatMissingData"] == "breaching"
        if value is None
        else over(value, alarm["Threshold"])
        for value in window
    ]
    return sum(breaching) >= needed


def composite_rings(rule: str, states: Mapping[str, bool]) -> bool:
    """Whether a rule of `ALARM("${name}")` joined by AND or by OR is true in these states."""
    for word, judge in ((" AND ", all), (" OR ", any)):
        parts = [re.fullmatch(r'ALARM\("\$\{(\w+)\}"\)', each) for each in rule.split(word)]
        if all(parts):
            return judge(states[each[1]] for each in parts if each)
    raise ValueError(f"no rule for {rule}")


def period_of(alarm: Mapping[str, Any]) -> int:
    """Minutes of the alarm's period. All metrics of an expression share one."""
    stats = [each["MetricStat"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    [seconds] = {each["Period"] for each in stats or [alarm]}
    minutes, rest = divmod(int(seconds), 60)
    assert rest == 0
    return minutes


def _points(alarm: Mapping[str, Any], series: Series) -> list[Value]:
    minutes = period_of(alarm)
    if "Metrics" not in alarm:
        return _periods(series[alarm["MetricName"]], minutes, alarm["Statistic"])
    inputs = {
        each["Id"]: _periods(series[each["Id"]], minutes, each["MetricStat"]["Stat"])
        for each in alarm["Metrics"]
        if "MetricStat" in each
    }
    [formula] = [each["Expression"] for each in alarm["Metrics"] if "Expression" in each]
    length = len(next(iter(inputs.values())))
    return [
        _value(formula, {name: points[at] for name, points in inputs.items()}, inputs, at)
        for at in range(length)
    ]


def _periods(values: Sequence[Minute], minutes: int, statistic: str) -> list[Value]:
    """Aggregate each whole period, counted from the end."""
    first = len(values) % minutes
    groups = [
        [value for minute in values[at : at + minutes] for value in minute]
        for at in range(first, len(values), minutes)
    ]
    return [_STATISTICS[statistic](group) if group else None for group in groups]


def _value(
    formula: str, now: Mapping[str, Value], inputs: Mapping[str, list[Value]], at: int
) -> Value:
    present = [value for value in now.values() if value is not None]
    if formula in ("MAX(METRICS())", "SUM(METRICS())"):
        return (max if formula.startswith("MAX") else sum)(present) if present else None
    if difference := re.fullmatch(r"DIFF\((\w+)\)", formula):
        before = inputs[difference[1]][at - 1] if at else None
        value = now[difference[1]]
        return None if value is None or before is None else value - before
    if rates := re.fullmatch(r"MAX\(\[(.+)\]\)", formula):
        found = [_ratio(each, now) for each in rates[1].split(", ")]
        known = [each for each in found if each is not None]
        return max(known) if known else None
    if guarded := re.fullmatch(r"IF\((\w+) >= (\d+), (\w+ / \w+), 0\)", formula):
        value = now[guarded[1]]
        if value is None:
            return None
        return _ratio(guarded[3], now) if value >= int(guarded[2]) else 0.0
    raise ValueError(f"no rule for {formula}")


def _ratio(text: str, now: Mapping[str, Value]) -> Value:
    above, below = (now[name] for name in text.split(" / "))
    return above / below if above is not None and below else None
