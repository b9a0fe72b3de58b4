"""Mutate the domain and count the mutants that its example tests notice: `make mutation`.

`pyproject.toml` leaves out tests of thousands of cases: the space of facts, the walks, the state machine.
With them a run takes many times as long, and the score is about the examples.
"""

import json
import shutil
import subprocess
import sys
from collections import Counter

from local.paths import ROOT, STATE, VENVS

GOAL = 0.8

_PLACE = STATE / "mutation"  # working folder of mutmut, which mutates a copy
_MUTMUT = VENVS / "mutation" / "bin" / "mutmut"

# By the exit code of the tests. Any other code means that a test failed or did not end.
_NOT_KILLED = {None: "not tried", 0: "survived", 5: "no test", 33: "no test", 34: "not tried"}


def main(arguments: list[str]) -> int:
    """Run mutmut on a fresh copy, print survivors and score, and return 1 below the goal."""
    _prepare()
    run = subprocess.run([_MUTMUT, "run", *arguments], cwd=_PLACE)
    if run.returncode:
        return run.returncode
    fates = _fates()
    tried = {name: fate for name, fate in fates.items() if fate != "not tried"}
    for name, fate in tried.items():
        if fate != "killed":
            print(f"{fate}: {name}")
    score = Counter(tried.values())["killed"] / max(len(tried), 1)
    print(f"{score:.1%} of {len(tried)} mutants noticed ({len(fates)} in all, goal {GOAL:.0%})")
    print(f"To see one: cd {_PLACE.relative_to(ROOT)} && {_MUTMUT} show NAME")
    return 0 if score >= GOAL else 1


def _prepare() -> None:
    shutil.rmtree(_PLACE, ignore_errors=True)
    _PLACE.mkdir(parents=True)
    for name, original in (
        ("reservations", "layers/core/reservations"),
        ("tests", "tests"),
        ("pyproject.toml", "pyproject.toml"),
    ):
        (_PLACE / name).symlink_to(ROOT / original)


def _fates() -> dict[str, str]:
    fates: dict[str, str] = {}
    for file in sorted((_PLACE / "mutants" / "reservations" / "domain").glob("*.meta")):
        exit_codes = json.loads(file.read_text())["exit_code_by_key"]
        fates |= {name: _NOT_KILLED.get(code, "killed") for name, code in exit_codes.items()}
    return fates


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
