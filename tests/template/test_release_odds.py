"""A release that fails is taken back, and one blip takes none back. The numbers are the template's."""

from random import Random

import pytest

from reservations.entrypoints.trials import TRIALS
from tests.template.resources import ROOT, functions
from tools import release_odds
from tools.release_odds import RATES, SHARE_FAILING, alarm, rings, shares, taken_back

SEED = 20
DRAWN = 3000


def drawn(rate: float, failing: float, *, random: Random) -> bool:
    """One deployment, call by call, with an alarm that counts minutes."""
    watching = alarm("HttpVersionAlarm")
    bad = 0
    for share in shares()[: release_odds.WITHIN - release_odds.DELAY]:
        failed = calls = 0
        moment = random.expovariate(rate)
        while moment < 1:
            if random.random() < share:
                calls += 1
                failed += random.random() < failing
            moment += random.expovariate(rate)
        bad += bool(failed) and failed / calls >= watching.threshold
    return bad >= watching.needed


@pytest.mark.parametrize("rate", [1, 5, 30])
def test_the_arithmetic_agrees_with_deployments_drawn_call_by_call(rate: int) -> None:
    random = Random(SEED)
    seen = sum(drawn(rate, SHARE_FAILING, random=random) for _ in range(DRAWN))

    assert seen / DRAWN == pytest.approx(taken_back(rate, SHARE_FAILING), abs=0.03)


def test_every_function_whose_calls_are_moved_is_rehearsed() -> None:
    """A version that always fails meets no traveler: tests/handlers/test_rehearse_release.py breaks each."""
    moved = {
        folder
        for folder, properties in functions().items()
        if properties["DeploymentPreference"]["Enabled"] is not False
    }
    assert TRIALS.keys() == moved


@pytest.mark.parametrize("rate", RATES[2:])
def test_a_version_that_fails_one_call_of_ten_is_taken_back_in_ten_minutes(rate: int) -> None:
    assert taken_back(rate, SHARE_FAILING) > 0.99


def test_one_blip_takes_no_release_back() -> None:
    """A failure is counted in one minute; an outage of the database may lie across two."""
    assert not rings(alarm("HttpVersionAlarm"), 1)
    assert not rings(alarm("GatewayErrorAlarm"), 2)


@pytest.mark.parametrize(
    "name", ["QueueVersionAlarm", "ClockVersionAlarm", "HttpDefectAlarm", "QueueDefectAlarm"]
)
def test_each_alarm_on_versions_counts_by_the_same_numbers(name: str) -> None:
    assert alarm(name) == alarm("HttpVersionAlarm")


def test_the_document_tells_below_which_traffic_nothing_notices() -> None:
    text = (ROOT / "docs/despliegue-aws.md").read_text(encoding="utf-8")
    assert f"por debajo de {release_odds.lowest_rate(0.5)} peticiones por minuto" in text
