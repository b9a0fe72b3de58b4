"""Odds that a release that fails is taken back, from the numbers of the template.

Calls arrive at random (Poisson) at one function. The arithmetic is exact: no run is drawn. An alarm on crashes and one
on defects (errors that our code answers with 503, or returns to its queue) count by the same numbers.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import exp, lgamma, log

from local.template import resources, template

RATES = (1, 5, 30, 100, 1000)  # requests a minute
SHARE_FAILING = 0.1  # of the new version's calls
DELAY = 2  # minutes from a call until an alarm has seen it; an assumption
WITHIN = 10  # minutes


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm on a rate: `needed` minutes at or above `threshold`, of the last `window`."""

    threshold: float
    needed: int
    window: int


def alarm(name: str) -> Alarm:
    """Read an alarm of the template that watches minutes."""
    properties = resources("AWS::CloudWatch::Alarm")[name]
    stats = [each["MetricStat"] for each in properties.get("Metrics", []) if "MetricStat" in each]
    assert {each["Period"] for each in stats or [properties]} == {60}, name
    return Alarm(
        threshold=properties["Threshold"],
        needed=properties["DatapointsToAlarm"],
        window=properties["EvaluationPeriods"],
    )


def shares() -> list[float]:
    """The new version's share of the calls in each minute of a deployment, without the last."""
    kind = template()["Globals"]["Function"]["DeploymentPreference"]["Type"]
    [(percent, minutes)] = re.findall(r"^Linear(\d+)PercentEvery(\d+)Minute", kind)
    steps = [int(percent) * step / 100 for step in range(1, 100 // int(percent))]
    return [share for share in steps for _ in range(int(minutes))]


def taken_back(rate: float, failing: float) -> float:
    """The odds that an alarm on the new version of a function rings within ten minutes.

    `rate`: requests a minute to this function, old version and new. `failing`: the share of the new version's calls.
    """
    watching = alarm("HttpVersionAlarm")
    minutes = [
        _counts(rate * share * failing, rate * share * (1 - failing), watching.threshold)
        for share in shares()[: WITHIN - DELAY]
    ]
    assert len(minutes) <= watching.window
    return _at_least(watching.needed, minutes)


def rings(watching: Alarm, failed_minutes: int) -> bool:
    """Whether so many minutes that fail wholly, and no other, make it ring."""
    return failed_minutes >= watching.needed


def lowest_rate(odds: float) -> int:
    """The least requests a minute at which a version that fails one call of ten is taken back with these odds."""
    below = takewhile(lambda rate: taken_back(rate, SHARE_FAILING) < odds, range(1, 1000))
    return len(list(below)) + 1


def rows() -> Iterator[Sequence[str]]:
    """A row per rate, for docs/despliegue-aws.md."""
    for rate in RATES:
        odds = f"{100 * taken_back(rate, SHARE_FAILING):.1f} %"
        yield [str(rate), odds.replace(".", ",")]


def _counts(failed: float, well: float, threshold: float) -> float:
    """The odds that a minute reaches the threshold, by the means of its failures and successes."""
    most = int(failed + 10 * failed**0.5 + 20)
    return min(
        1.0,
        sum(
            _poisson(failed, errors) * _up_to(well, errors / threshold - errors + 1e-9)
            for errors in range(1, most)
        ),
    )


def _at_least(needed: int, minutes: Sequence[float]) -> float:
    """The odds that at least so many of these minutes count."""
    odds = [1.0] + [0.0] * needed
    for counts in minutes:
        before = list(odds)
        for seen in range(needed):
            odds[seen] -= before[seen] * counts
            odds[seen + 1] += before[seen] * counts
    return odds[needed]


def _poisson(mean: float, count: int) -> float:
    return exp(-mean + count * log(mean) - lgamma(count + 1)) if mean else float(count == 0)


def _up_to(mean: float, most: float) -> float:
    return min(1.0, sum(_poisson(mean, count) for count in range(int(most) + 1)))
