"""The saga in a hostile world: every schedule keeps every promise, and a seed replays exactly."""

import os

import pytest

from tests.proofs.simulation.seeds import Lived, Summary, live_all, tell

SCHEDULES = 400
pytestmark = pytest.mark.timeout(900)  # for all schedules on a busy machine

FIRST = 1_000_000  # not the seeds of `make simulate`
ENDS = {"SUPPLIER_CONFIRMED", "REFUNDED", "CANCELLED", "EXPIRED", "PAYMENT_FAILED"}


@pytest.fixture(scope="module")
def lived() -> list[Lived]:
    return list(live_all(FIRST, SCHEDULES, jobs=os.cpu_count() or 1))


def test_no_schedule_breaks_a_promise(lived: list[Lived]) -> None:
    assert len(lived) == SCHEDULES
    assert [(one.seed, one.violation) for one in lived if one.violation] == []


def test_the_schedules_end_in_every_way_a_reservation_can_end(lived: list[Lived]) -> None:
    summary = Summary()
    for one in lived:
        summary.add(one)

    assert set(summary.ends) >= ENDS


@pytest.mark.parametrize("seed", [FIRST, FIRST + 1, FIRST + 2])
def test_a_seed_replays_the_same_story(seed: int) -> None:
    story = tell(seed)

    assert len(story) > 5
    assert tell(seed) == story
