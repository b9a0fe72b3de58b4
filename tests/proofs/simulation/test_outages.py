"""What ADR-012 rests on, with few reservations; `make outages` measures many."""

import pytest

from reservations.domain.facts import Provider
from tests.proofs.simulation.outages import Illness, measure

SLOTS = 10  # of each step's queue, in template.yaml


@pytest.mark.parametrize("sick", Provider)
def test_a_silent_provider_costs_no_reservation_and_is_never_flooded(sick: Provider) -> None:
    figures = measure(sick, Illness.SILENT, breaker=False, crowd=10)

    assert figures.lost == 0
    assert figures.most_at_once <= SLOTS


def test_a_breaker_spares_a_silent_provider_calls_and_loses_nothing_either() -> None:
    without, with_one = (
        measure(Provider.SUPPLIER, Illness.SILENT, breaker=breaker, crowd=10)
        for breaker in (False, True)
    )

    assert with_one.calls_per_minute < without.calls_per_minute
    assert with_one.lost == 0
