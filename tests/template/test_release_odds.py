"""A release that fails is taken back, and one blip takes none back. The numbers are the template's."""

from collections import Counter
from random import Random

import pytest

from reservations.entrypoints.trials import TRIALS
from tests.template.resources import ROOT, functions
from tools import release_odds
from tools.release_odds import RATES, SHARE_FAILING, alarm, rings, shares, taken_back

SEED = 20
DRAWN = 3000


def drawn(rate: float, failing: float, *, of_version: bool, random: Random) -> bool:
    """One deployment, call by call, with an alarm that counts minutes."""
    watching = alarm("HttpVersionAlarm" if of_version else "GatewayErrorAlarm")
    bad = 0
    for share in shares()[: release_odds.WITHIN - release_odds.DELAY]:
        counted: Counter[str] = Counter()
        moment = random.expovariate(rate)
        while moment < 1:
            new = random.random() < share
            counted["failed"] += new and random.random() < failing
            counted["calls"] += new or not of_version
            moment += random.expovariate(rate)
        bad += (
            bool(counted["failed"]) and counted["failed"] / counted["calls"] >= watching.threshold
        )
    return bad >= watching.needed


@pytest.mark.parametrize("of_version", [True, False], ids=["crashes", "answers 503"])
@pytest.mark.parametrize("rate", [1, 5, 30])
def test_the_arithmetic_agrees_with_deployments_drawn_call_by_call(
    rate: int, of_version: bool
) -> None:
    random = Random(SEED)
    seen = sum(
        drawn(rate, SHARE_FAILING, of_version=of_version, random=random) for _ in range(DRAWN)
    )

    assert seen / DRAWN == pytest.approx(
        taken_back(rate, SHARE_FAILING, of_version=of_version), abs=0.03
    )


def test_a_version_that_always_fails_meets_no_traveler() -> None:
    """The rehearsal invokes every function whose calls are moved."""
    moved = {
        folder
        for folder, properties in functions().items()
        if properties["DeploymentPreference"]["Enabled"] is not False
    }
    assert TRIALS.keys() == moved


def test_a_version_that_crashes_one_call_of_ten_at_thirty_a_minute_is_taken_back_in_ten_minutes() -> (
    None
):
    assert taken_back(30, SHARE_FAILING, of_version=True) > 0.99
    assert taken_back(30, SHARE_FAILING, of_version=False) > 0.95


@pytest.mark.parametrize("rate", RATES[2:])
def test_more_traffic_never_hides_a_failure(rate: int) -> None:
    assert taken_back(rate, SHARE_FAILING, of_version=True) > 0.99


def test_one_blip_takes_no_release_back() -> None:
    """A crash is counted in one minute; an outage of the database may lie across two."""
    assert not rings(alarm("HttpVersionAlarm"), 1)
    assert not rings(alarm("GatewayErrorAlarm"), 2)


def test_each_version_alarm_counts_by_the_same_numbers() -> None:
    http, queue, clock = map(alarm, ("HttpVersionAlarm", "QueueVersionAlarm", "ClockVersionAlarm"))
    assert http == queue == clock


def test_the_document_tells_below_which_traffic_nothing_notices() -> None:
    text = (ROOT / "docs/despliegue-aws.md").read_text(encoding="utf-8")
    crash, answered = (release_odds.lowest_rate(0.5, of_version=each) for each in (True, False))
    assert f"por debajo de {crash} peticiones por minuto si se corta, y de {answered} si" in text
