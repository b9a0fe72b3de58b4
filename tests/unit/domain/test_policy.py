"""The durations agree with one another in both profiles."""

import pytest

from reservations.domain.policy import SHORT, STANDARD, Policy

PROFILES = [STANDARD, SHORT]


@pytest.mark.parametrize("policy", PROFILES)
def test_ladders_climb(policy: Policy) -> None:
    rungs = [*policy.ladder, policy.ladder_end]

    assert rungs == sorted(rungs)
    assert list(policy.aftercare) == sorted(policy.aftercare)
    assert [policy.rung(looks) for looks in range(8)] == [*rungs, policy.ladder_end]


@pytest.mark.parametrize("policy", PROFILES)
def test_a_look_is_never_leased_for_less_than_a_hint(policy: Policy) -> None:
    assert policy.hold < policy.hold_limit
    assert policy.unasked_ladder_limit < len(policy.ladder)
    assert policy.mail_repeat > policy.hint_lease


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_jitter_stretches_the_ladder_and_nothing_else(factor: float) -> None:
    jittered = STANDARD.jittered(factor)

    assert jittered.rung(0) == STANDARD.rung(0) * factor
    assert jittered.rung(99) == STANDARD.ladder_end * factor
    assert (jittered.hold, jittered.aftercare) == (STANDARD.hold, STANDARD.aftercare)
