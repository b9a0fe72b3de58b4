"""No gate is approved on evidence that is missing, unfinished or cannot be checked."""

import re
import shlex
import subprocess
import sys
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GATES = sorted((ROOT / "docs" / "gates").glob("*.yaml"))
MEMBERS = {"id", "text", "evidence_path", "check", "plan", "evidence", "role", "date"}
UNFINISHED = re.compile(r"\b(TODO|TBD|FIXME|XXX|WIP)\b|por completar|lorem ipsum")
UNMEASURED = re.compile(r"aún no (está )?medid[oa]|aún no se ha ejecutado", re.IGNORECASE)
MEASURED = {"G6-cobertura", "G6-caos", "G7-rps", "G7-degradacion", "G8-datos-realistas", "G8-slo"}
EMPTY_PART = re.compile(r"<!-- generado:\w+ -->\s*<!-- /generado -->")

Criterion = dict[str, Any]


@cache
def gate(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def criteria() -> list[Criterion]:
    return [criterion for path in GATES for criterion in gate(path)["criteria"]]


every_criterion = pytest.mark.parametrize(
    "criterion", criteria(), ids=lambda criterion: criterion["id"]
)


def roles() -> set[str]:
    text = (ROOT / "docs" / "04-gobernanza.md").read_text(encoding="utf-8")
    section = text.split("## 1. Roles")[1].split("## 2.")[0]
    return {
        row.split("|")[1].strip().lower() for row in section.splitlines() if row.startswith("|")
    }


def named_tests(check: str) -> list[str]:
    """The files, folders and tests that a check runs."""
    return [word for word in check.replace("ARGS=", "").split() if word.startswith("tests/")]


@cache
def collected() -> list[str]:
    """The ids of all tests that the checks name, as pytest collects them."""
    named = {test for criterion in criteria() for test in named_tests(criterion["check"] or "")}
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*collect, *sorted(named)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.splitlines()


def test_ids_are_unique_and_carry_their_gate() -> None:
    assert [path.name for path in GATES] == [f"gate-{number}.yaml" for number in range(10)]
    for number, path in enumerate(GATES):
        ids = [criterion["id"] for criterion in gate(path)["criteria"]]
        assert gate(path)["gate"] == number
        assert all(name.startswith(f"G{number}-") for name in ids)
        assert len(set(ids)) == len(ids)
    assert {criterion["id"] for criterion in criteria()} >= MEASURED


@every_criterion
def test_a_criterion_has_a_role_a_date_and_a_check_or_a_judge(criterion: Criterion) -> None:
    assert set(criterion) == MEMBERS
    assert criterion["plan"] == "approved"  # no code follows an unapproved plan
    assert criterion["evidence"] in {"approved", "pending"}
    assert criterion["role"] in roles()
    assert isinstance(criterion["date"], date)
    judged = criterion["text"].endswith("Lo juzga una persona")
    assert judged == (criterion["check"] is None)


@every_criterion
def test_a_check_runs_existing_tests_or_targets(criterion: Criterion) -> None:
    check = criterion["check"]
    if check is None:
        return
    tool, *words = shlex.split(check)
    named = named_tests(check)
    if tool == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = [word for word in words if "=" not in word]
        assert targets
        assert [target for target in targets if f"\n{target}:" not in makefile] == []
    else:
        assert (tool, words) == (".venv/bin/pytest", [*named, "-q"])
        assert [test for test in named if test.startswith("tests/e2e")] == []  # they need the stack
    assert [test for test in named if not any(each.startswith(test) for each in collected())] == []


@every_criterion
def test_approved_evidence_is_finished_measured_and_checked(criterion: Criterion) -> None:
    evidence = ROOT / criterion["evidence_path"]
    text = evidence.read_text(encoding="utf-8")
    if criterion["evidence"] == "approved":
        assert criterion["check"] is not None
        assert not UNFINISHED.search(text)
        assert not EMPTY_PART.search(text)
        assert not (criterion["id"] in MEASURED and UNMEASURED.search(text))
