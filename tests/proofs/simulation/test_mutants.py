"""The first schedules of the simulation catch faults planted in the real code."""

from pathlib import Path

import pytest

from tests.proofs.simulation.mutants import MUTANTS, RECORDED, caught, mutated

CORE = Path(__file__).parents[3] / "layers" / "core"
QUICK = (
    "the money rule stops at closing",
    "all reservations charge under one key",
    "a webhook is only a hint",
    "the mail goes before the voucher",
    "the call is made before it is written down",
    "booking absent: it is not missed",
)  # one a module or so; `make simulate-mutants` plants them all


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_can_still_be_planted_in_the_code_as_it_is(name: str) -> None:
    mutant = MUTANTS[name]
    source = (CORE / f"{mutant.module.replace('.', '/')}.py").read_text(encoding="utf-8")

    changed = mutated(source, mutant)

    assert changed != source
    compile(changed, mutant.module, "exec")


def test_planted_faults_are_caught_by_schedules_that_find_none_in_the_code_as_it_is() -> None:
    for name, catch in caught(QUICK):
        assert catch is not None, name


def test_every_fault_has_the_schedule_that_caught_it() -> None:
    assert set(RECORDED) == set(MUTANTS)
