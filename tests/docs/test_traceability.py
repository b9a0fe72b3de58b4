"""Requirements, stories and tests name each other, and nothing they name is missing."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
REQUIREMENTS = (ROOT / "docs" / "01-etapa-1-requerimientos.md").read_text(encoding="utf-8")
STORIES = (ROOT / "docs" / "02-etapa-2-historias-usuario.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "03-seguridad.md").read_text(encoding="utf-8")
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows(prefix: str) -> dict[str, list[str]]:
    """The cells of each requirement's row, by its id."""
    found = [
        line.strip("|").split("|")
        for line in REQUIREMENTS.splitlines()
        if line.startswith(f"| {prefix}")
    ]
    cells = [[cell.strip() for cell in row] for row in found]
    assert len({row[0] for row in cells}) == len(cells)
    return {row[0]: row[1:] for row in cells}


def test_functional_requirements_are_numbered_without_gaps() -> None:
    assert list(rows("RF-")) == [f"RF-{number:02}" for number in range(1, len(rows("RF-")) + 1)]


def test_every_functional_requirement_belongs_to_a_story_that_exists() -> None:
    stories = set(re.findall(r"^## (HU-\d\d)", STORIES, re.MULTILINE))
    for name, (_, owner, _) in rows("RF-").items():
        named = set(re.findall(r"HU-\d\d", owner))
        assert named <= stories, name
        assert named or owner in {"todas", "—"}, name


def test_every_story_is_asked_for_by_a_requirement() -> None:
    owners = " ".join(cells[1] for cells in rows("RF-").values())
    stories = re.findall(r"^## (HU-\d\d)", STORIES, re.MULTILINE)
    assert [story for story in stories if story not in owners] == []


def test_every_quality_requirement_has_a_metric_a_threshold_and_a_method() -> None:
    quality = rows("RNF-")
    assert list(quality) == [f"RNF-{number:02}" for number in range(1, len(quality) + 1)]
    for name, cells in quality.items():
        metric, threshold, method, test, measured = cells
        assert all((metric, threshold, method, test, measured)), name


def test_a_requirement_names_a_test_or_says_that_there_is_none() -> None:
    for name, cells in {**rows("RF-"), **rows("RNF-")}.items():
        test = cells[2] if name.startswith("RF-") else cells[3]
        assert TEST_ID.search(test) or test.startswith("pendiente"), name


def test_every_test_named_in_a_document_exists() -> None:
    missing = []
    for path, name in TEST_ID.findall(REQUIREMENTS + STORIES + SECURITY):
        file = ROOT / path
        if not file.is_file() or (name and f"def {name}(" not in file.read_text(encoding="utf-8")):
            missing.append(f"{path}::{name}")
    assert missing == []


def gate_says(number: int, criterion: str) -> str:
    gate = yaml.safe_load((ROOT / "docs" / "gates" / f"gate-{number}.yaml").read_text("utf-8"))
    [evidence] = [c["evidence"] for c in gate["criteria"] if c["id"] == criterion]
    return str(evidence)


def test_traceability_is_approved_only_when_nothing_is_pending() -> None:
    pending = [name for name, cells in rows("R").items() if "pendiente" in " ".join(cells)]
    assert gate_says(1, "G1-trazabilidad") == "pending" or pending == []


def test_concurrency_is_approved_only_when_every_case_has_its_test() -> None:
    cases = STORIES.split("## Concurrencia")[1]
    assert gate_says(2, "G2-pruebas-concurrencia") == "pending" or "pendiente" not in cases
