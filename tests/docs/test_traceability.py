"""Requirements, stories and tests name each other, and nothing they name is missing."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
REQUIREMENTS = (ROOT / "docs" / "01-etapa-1-requerimientos.md").read_text(encoding="utf-8")
STORIES = (ROOT / "docs" / "02-etapa-2-historias-usuario.md").read_text(encoding="utf-8")
QA = (ROOT / "docs" / "06-qa-testing.md").read_text(encoding="utf-8")
DOCUMENTS = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
TEST_ID = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
TEST_PLACE = re.compile(r"`(tests/[\w/.]+)(?:::\w+)?`")


def sections(prefix: str) -> dict[str, tuple[str, str]]:
    """The title and the body of each requirement, by its id."""
    found = re.findall(rf"^### ({prefix}-\d\d) (.+)\n((?:(?!#).*\n)*)", REQUIREMENTS, re.MULTILINE)
    assert [name for name, _, _ in found] == [
        f"{prefix}-{number:02}" for number in range(1, len(found) + 1)
    ]
    return {name: (title, body) for name, title, body in found}


FUNCTIONAL = sections("RF")
QUALITY = sections("RNF")


def part(requirement: str, label: str) -> str:
    """The bullet of a quality requirement with that label, and its nested bullets."""
    _, body = QUALITY[requirement]
    found = re.search(rf"^- \*\*{label}:\*\* ?(.*\n(?:  .*\n)*)", body, re.MULTILINE)
    return found[1].strip() if found else ""


def test_every_functional_requirement_belongs_to_a_story_that_exists() -> None:
    stories = set(re.findall(r"^## (HU-\d\d)", STORIES, re.MULTILINE))
    for name, (title, _) in FUNCTIONAL.items():
        owner = title.rpartition("(")[2].removesuffix(")")
        named = set(re.findall(r"HU-\d\d", owner))
        assert named <= stories, name
        assert named or owner in {"todas", "sin historia"}, name


def test_every_story_belongs_to_a_requirement() -> None:
    owners = " ".join(title for title, _ in FUNCTIONAL.values())
    stories = re.findall(r"^## (HU-\d\d)", STORIES, re.MULTILINE)
    assert [story for story in stories if story not in owners] == []


def test_every_quality_requirement_has_a_threshold_a_method_a_test_and_a_measurement() -> None:
    assert QUALITY
    for name in QUALITY:
        missing = [
            label for label in ("Umbral", "Método", "Prueba", "Medido") if not part(name, label)
        ]
        assert missing == [], name


def test_a_requirement_names_a_test_or_is_pending() -> None:
    assert [name for name, (_, body) in FUNCTIONAL.items() if not TEST_ID.search(body)] == []
    for name in QUALITY:
        test = part(name, "Prueba")
        assert TEST_ID.search(test) or test.startswith("pendiente"), name


def test_a_quality_requirement_has_a_figure_or_is_not_measured() -> None:
    for name in QUALITY:
        measured = part(name, "Medido")
        assert re.search(r"\d", measured) or measured == "aún no medido.", name


def test_each_scenario_of_a_story_names_the_tests_that_prove_it() -> None:
    for story in re.split(r"^## (?=HU-)", STORIES.split("## Concurrencia")[0], flags=re.MULTILINE)[
        1:
    ]:
        proofs = re.findall(r"^\d+\. (.+)$", story, re.MULTILINE)
        assert len(proofs) == story.count("Escenario:"), story[:5]
        assert all(TEST_ID.search(proof) for proof in proofs), story[:5]


def is_collected(path: str, name: str) -> bool:
    """True if pytest would find a test function of that name in that file."""
    file = ROOT / path
    return (
        file.is_file()
        and file.name.startswith("test_")
        and name.startswith("test_")
        and re.search(rf"^def {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    )


def test_every_test_named_in_a_document_exists() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
    assert [
        f"{document.name}: {path}::{name}"
        for document, text in texts.items()
        for path, name in TEST_ID.findall(text)
        if not is_collected(path, name)
    ] == []
    assert [
        f"{document.name}: {place}"
        for document, text in texts.items()
        for place in TEST_PLACE.findall(text)
        if not (ROOT / place).exists()
    ] == []


@pytest.mark.parametrize(
    ("column", "paths"),
    [
        (2, ("tests/handlers/test_stories.py",)),
        (3, ("tests/e2e/test_failures.py", "tests/e2e/test_webhooks.py")),
    ],
)
def test_every_failure_story_is_in_its_table_and_no_other(
    column: int, paths: tuple[str, ...]
) -> None:
    table = QA.split("## 9. Historias de fallo")[1].split("|---|---|---|\n")[1]
    cells = [line.split("|")[column] for line in table.splitlines() if line.startswith("|")]
    named = re.findall(r"`(test_\w+)`", "".join(cells))

    code = "".join((ROOT / path).read_text(encoding="utf-8") for path in paths)
    told = re.findall(r"^def (test_\w+)", code, re.MULTILINE)
    assert sorted(named) == sorted(told)


def gate_says(number: int, criterion: str) -> str:
    gate = yaml.safe_load((ROOT / "docs" / "gates" / f"gate-{number}.yaml").read_text("utf-8"))
    [evidence] = [c["evidence"] for c in gate["criteria"] if c["id"] == criterion]
    return str(evidence)


def test_traceability_is_approved_only_when_nothing_is_pending() -> None:
    requirements = {**FUNCTIONAL, **QUALITY}
    pending = [name for name, (_, body) in requirements.items() if "pendiente" in body]
    assert gate_says(1, "G1-trazabilidad") == "pending" or pending == []


def test_concurrency_is_approved_only_when_every_case_has_its_test() -> None:
    cases = STORIES.split("## Concurrencia")[1]
    assert gate_says(2, "G2-pruebas-concurrencia") == "pending" or "pendiente" not in cases
