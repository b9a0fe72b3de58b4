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
def test_unsent_calls_and_failed_inquiries_never_climb_to_the_end_of_the_ladder(
    policy: Policy,
) -> None:
    assert policy.rung(policy.unasked_ladder_limit) < policy.ladder_end


@pytest.mark.parametrize("policy", PROFILES)
def test_a_mail_is_not_repeated_while_its_first_hint_may_still_be_worked_on(
    policy: Policy,
) -> None:
    assert policy.mail_repeat > policy.hint_lease


@pytest.mark.parametrize("policy", PROFILES)
def test_a_call_is_found_missing_before_its_deadline_review(policy: Policy) -> None:
    assert policy.call_limit + policy.visibility + policy.not_found_gap < policy.deadline


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_jitter_stretches_the_ladder_and_nothing_else(factor: float) -> None:
    jittered = STANDARD.jittered(factor)

    assert jittered.rung(0) == STANDARD.rung(0) * factor
    assert jittered.rung(len(STANDARD.ladder)) == STANDARD.ladder_end * factor
    assert (jittered.hold, jittered.aftercare) == (STANDARD.hold, STANDARD.aftercare)
