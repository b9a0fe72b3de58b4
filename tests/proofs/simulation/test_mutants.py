"""The simulation bites: faults planted in the real code are caught by the seeds that the table names."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.proofs.simulation.mutants import MUTANTS, caught_by, mutated

ROOT = Path(__file__).parents[3]
CORE = ROOT / "layers" / "core"
QUICK = (
    "the money rule stops at closing",
    "all reservations charge under one key",
    "a webhook is only a hint",
    "the mail goes before the voucher",
    "the call is made before it is written down",
)  # one a module or so; `make simulate-mutants` plants them all


@pytest.mark.parametrize("name", MUTANTS)
def test_a_fault_can_still_be_planted_in_the_code_as_it_is(name: str) -> None:
    mutant = MUTANTS[name]
    source = (CORE / f"{mutant.module.replace('.', '/')}.py").read_text(encoding="utf-8")

    changed = mutated(source, mutant)

    assert changed != source
    compile(changed, mutant.module, "exec")


def test_every_fault_has_a_seed_on_record_that_catches_it() -> None:
    assert list(caught_by()) == list(MUTANTS)


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_fault_is_caught_by_its_seed(name: str) -> None:
    ended = replay(caught_by()[name], "--mutant", name)

    assert "VIOLATION" in ended.stdout.splitlines()[-1], ended.stderr


@pytest.mark.parametrize("name", QUICK)
def test_the_seed_that_catches_a_fault_finds_none_in_the_code_as_it_is(name: str) -> None:
    ended = replay(caught_by()[name])

    assert ended.stdout.splitlines()[-1].startswith("all rests"), ended.stdout


def replay(seed: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.proofs.simulation", "replay", str(seed), *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(CORE)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
