"""No gate is approved on evidence that is missing, unfinished or cannot be checked."""

import re
import shlex
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GATES = sorted((ROOT / "docs" / "gates").glob("*.yaml"))
MEMBERS = {"id", "text", "evidence_path", "check", "plan", "evidence", "role", "date"}
TOOLS = {".venv/bin/pytest", "make"}
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


def roles() -> set[str]:
    text = (ROOT / "docs" / "04-gobernanza.md").read_text(encoding="utf-8")
    section = text.split("## 1. Roles")[1].split("## 2.")[0]
    return {
        row.split("|")[1].strip().lower() for row in section.splitlines() if row.startswith("|")
    }


def faults(criterion: Criterion) -> list[str]:
    """What keeps a criterion's evidence from being approved."""
    evidence = ROOT / criterion["evidence_path"]
    if not evidence.is_file():
        return ["the evidence does not exist"]
    text = evidence.read_text(encoding="utf-8")
    found = (
        ["the evidence is unfinished"] if UNFINISHED.search(text) or EMPTY_PART.search(text) else []
    )
    if criterion["plan"] != "approved":
        found.append("the plan is not approved")
    if criterion["id"] in MEASURED and UNMEASURED.search(text):
        found.append("the evidence says itself that it is not measured")
    missing = unknown_words(criterion["check"])
    return found + [f"the check names {word}, which does not exist" for word in missing]


def unknown_words(command: str) -> list[str]:
    """The test paths, the make targets and the selections of tests that a command names and the tree lacks."""
    tool, *words = shlex.split(command)
    targets = [word for word in words if "=" not in word] if tool == "make" else []
    arguments = shlex.split(" ".join(word.removeprefix("ARGS=") for word in words))
    paths = [word for word in arguments if word.startswith("tests/")]
    chosen = arguments[arguments.index("-k") + 1 :][:1] if "-k" in arguments else []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return [
        *(word for word in targets if f"\n{word}:" not in makefile),
        *(word for word in paths if not (ROOT / word).exists()),
        # They ask for the stack, which only `make test` brings up.
        *(word for word in paths if word.startswith("tests/e2e") and tool != "make"),
        *(word for word in chosen if not any(word in name for name in document_tests())),
    ]


@cache
def document_tests() -> list[str]:
    """The names among which `-k` chooses: of these files, of their tests, and of the stages they are about."""
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    functions = [
        name
        for file in files
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    stages = [f"stage_{int(path.name[:2])}" for path in (ROOT / "docs").glob("0*.md")]
    return [*(file.name for file in files), *functions, *stages]


def test_there_is_one_file_for_each_gate() -> None:
    assert [path.name for path in GATES] == [f"gate-{number}.yaml" for number in range(10)]
    assert [gate(path)["gate"] for path in GATES] == list(range(10))


@pytest.mark.parametrize("criterion", criteria(), ids=lambda criterion: criterion["id"])
def test_a_criterion_says_what_who_when_and_how_to_check(criterion: Criterion) -> None:
    assert set(criterion) == MEMBERS
    assert criterion["plan"] in {"approved", "pending"}
    assert criterion["evidence"] in {"approved", "pending"}
    assert criterion["role"] in roles()
    assert isinstance(criterion["date"], date)
    assert shlex.split(criterion["check"])[0] in TOOLS


@pytest.mark.parametrize("criterion", criteria(), ids=lambda criterion: criterion["id"])
def test_approved_evidence_exists_is_finished_and_can_be_checked(criterion: Criterion) -> None:
    if criterion["evidence"] == "approved":
        assert faults(criterion) == []


@pytest.mark.parametrize("criterion", criteria(), ids=lambda criterion: criterion["id"])
def test_a_check_can_be_run_whatever_its_outcome(criterion: Criterion) -> None:
    assert unknown_words(criterion["check"]) == []


def test_a_measurement_is_not_approved_before_it_is_made() -> None:
    [slo] = [criterion for criterion in criteria() if criterion["id"] == "G8-slo"]
    text = (ROOT / slo["evidence_path"]).read_text(encoding="utf-8")
    assert bool(UNMEASURED.search(text)) == bool(faults(slo))
    assert {criterion["id"] for criterion in criteria()} >= MEASURED


def test_ids_are_unique_and_carry_their_gate() -> None:
    ids = [criterion["id"] for criterion in criteria()]
    assert len(set(ids)) == len(ids)
    for path in GATES:
        number = gate(path)["gate"]
        assert all(
            criterion["id"].startswith(f"G{number}-") for criterion in gate(path)["criteria"]
        )


def test_no_code_is_governed_by_an_unapproved_plan() -> None:
    assert [criterion["id"] for criterion in criteria() if criterion["plan"] != "approved"] == []


A_CRITERION = {
    "id": "G4-adr",
    "evidence_path": "docs/04-gobernanza.md",
    "check": ".venv/bin/pytest tests/docs -q",
    "plan": "approved",
}


@pytest.mark.parametrize(
    "change",
    [
        {"evidence_path": "docs/no-existe.md"},
        {"plan": "pending"},
        {"check": ".venv/bin/pytest tests/no_existe -q"},
        {"check": "make no-existe"},
        {"check": "make test ARGS=tests/no_existe"},
        {"check": ".venv/bin/pytest tests/e2e -q"},
        {"check": ".venv/bin/pytest tests/docs -q -k no_existe"},
    ],
)
def test_bad_evidence_is_refused(change: Criterion) -> None:
    assert faults(A_CRITERION) == []
    assert faults({**A_CRITERION, **change})


@pytest.mark.parametrize(
    "mark", ["TODO: medir", "por completar", "<!-- generado:x -->\n<!-- /generado -->"]
)
def test_unfinished_evidence_is_refused(mark: str, tmp_path: Path) -> None:
    evidence = tmp_path / "evidence.md"
    evidence.write_text(mark, encoding="utf-8")

    assert faults({**A_CRITERION, "evidence_path": str(evidence)})
