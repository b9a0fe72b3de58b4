"""The board of the gates, the check of a pull request and the daily checklist."""

import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.paths import ROOT
from local.processes import StackError
from tools import check_pr, checklist, coverage_floors, gates
from tools.gates import Criterion, Result

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


# --- gates ----------------------------------------------------------------------------------------


def a_criterion(**changes: Any) -> Criterion:
    values: dict[str, Any] = {
        "id": "G5-tiempos",
        "text": "Tiempos definidos",
        "check": "make check",
        "evidence": "approved",
        "role": "operación",
        "date": date(2026, 11, 24),
    }
    return Criterion(**values | changes)


def a_pending() -> Criterion:
    return a_criterion(check=None, evidence="pending")


def a_result(**changes: Any) -> Result:
    values: dict[str, Any] = {
        "passed": True,
        "commit": "abc1234",
        "at": "2026-11-30T09:00:00+00:00",
        "seconds": 2.5,
    }
    return Result(**values | changes)


@pytest.mark.parametrize(
    ("criterion", "result", "lines"),
    [
        (a_criterion(), a_result(), ["✓ G5-tiempos               passed at abc1234, 3 h ago"]),
        (
            a_criterion(),
            a_result(passed=False),
            ["✗ G5-tiempos               FAILED at abc1234, 3 h ago"],
        ),
        (a_criterion(), None, ["? G5-tiempos               approved, never run here"]),
        (
            a_criterion(check=None, evidence="pending"),
            None,
            [
                "· G5-tiempos               judged by a person",
                "                           waits since 2026-11-24 for operación",
            ],
        ),
    ],
)
def test_the_board_shows_the_last_result_and_whom_a_criterion_waits_for(
    criterion: Criterion, result: Result | None, lines: list[str]
) -> None:
    known = {"make check": result} if result else {}

    assert list(gates.board([criterion], known, NOW)) == lines


def test_the_board_of_all_gates_fits_eighty_columns() -> None:
    rows = list(gates.criteria())
    known = {row.check: a_result(commit="0a457338-dirty") for row in rows if row.check}

    lines = [*gates.board(rows, known, NOW), *gates.summary(rows, known)]

    assert max(map(len, lines)) <= 80
    assert len(lines) > len(rows)


def test_the_summary_counts_each_check_once() -> None:
    rows = [a_criterion(), a_criterion(id="G5-otro"), a_criterion(check="make up"), a_pending()]

    assert list(gates.summary(rows, {"make check": a_result(passed=False)})) == [
        "4 criteria: 1 wait, the others are approved.",
        "2 checks here: 0 passed, 1 failed, 1 never ran.",
    ]


def a_row(name: str) -> dict[str, Any]:
    """A criterion as its file has it."""
    day = date(2026, 11, 24)
    return {"id": name, "text": "…", "evidence": "pending", "role": "datos", "date": day}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two gates, whose checks pass, fail and repeat."""
    for number, checks in ((1, ["true", None]), (2, ["false", "true"])):
        rows = [a_row(f"G{number}-c{at}") | {"check": each} for at, each in enumerate(checks)]
        (tmp_path / f"gate-{number}.yaml").write_text(yaml.safe_dump({"criteria": rows}))
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "passed", "ran"),
    [
        ("all", False, {"true": True, "false": False}),
        ("G1", True, {"true": True}),
        ("G2-c0", False, {"false": False}),
        ("G9", False, {}),
    ],
)
def test_a_run_keeps_each_result_with_its_commit(
    folder: Path, wanted: str, passed: bool, ran: dict[str, bool]
) -> None:
    kept = folder / "state" / "gates.json"

    assert gates.run(wanted, kept, folder, folder / "logs") is passed

    found = gates.results(kept)
    assert {check: each.passed for check, each in found.items()} == ran
    assert all(each.commit for each in found.values())


def test_a_failed_check_leaves_its_output(folder: Path) -> None:
    rows = [{**a_row("G3-c0"), "check": "sh -c 'echo why; exit 1'"}]
    (folder / "gate-3.yaml").write_text(yaml.safe_dump({"criteria": rows}))

    assert not gates.run("G3", folder / "gates.json", folder, folder / "logs")

    assert (folder / "logs" / "G3-c0.log").read_text() == "why\n"


# --- pull requests --------------------------------------------------------------------------------

COMPLETE = {"functions/a/handler.py": 1, "docs/05.md": 1, "tests/test_a.py": 1, "CHANGELOG.md": 1}


class Repository:
    """A repository with a base, and a branch that changes files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.email", "a@example.com")
        self.git("config", "user.name", "A")
        self.write({"README.md": 1, "functions/old.py": 500})
        self.git("checkout", "--quiet", "-b", "change")

    def git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True)

    def write(self, files: dict[str, int]) -> None:
        for name, lines in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name} {n}\n" for n in range(lines)))
        self.commit()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")

    def faults(self) -> list[str]:
        return list(check_pr.faults(check_pr.changed("main", self.folder)))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_small_change_with_documents_tests_and_changelog_passes(repository: Repository) -> None:
    repository.write(COMPLETE)

    assert repository.faults() == []


@pytest.mark.parametrize("missing", ["docs/05.md", "tests/test_a.py", "CHANGELOG.md"])
def test_a_change_of_the_product_brings_its_companions(
    repository: Repository, missing: str
) -> None:
    repository.write({name: lines for name, lines in COMPLETE.items() if name != missing})

    [fault] = repository.faults()

    assert missing.partition("/")[0] in fault


def test_a_change_of_documents_alone_needs_no_test(repository: Repository) -> None:
    repository.write({"docs/05.md": 30})

    assert repository.faults() == []


@pytest.mark.parametrize(("lines", "faults"), [(400, 0), (401, 1)])
def test_a_change_has_four_hundred_authored_lines_at_most(
    repository: Repository, lines: int, faults: int
) -> None:
    repository.write({"docs/05.md": lines})

    assert len(repository.faults()) == faults


def test_a_move_is_not_authored(repository: Repository) -> None:
    repository.git("mv", "functions/old.py", "functions/new.py")
    repository.commit()
    repository.write(COMPLETE)

    assert repository.faults() == []


@pytest.mark.parametrize(
    "path",
    [
        "local/locks/dev.lock",
        "docs/planes.md",
        "docs/graficas/banco-crear.svg",
        "tests/unit/adapters/mails/confirmed.es.txt",
        "tests/contract/fingerprints/accepted.jsonl",
        "tests/proofs/crash/boundaries.txt",
        "tests/proofs/simulation/catches.json",
    ],
)
def test_a_generated_file_is_not_authored(repository: Repository, path: str) -> None:
    assert (ROOT / path).exists()
    repository.write(COMPLETE | {path: 900})

    assert repository.faults() == []


def test_what_happened_on_the_base_meanwhile_does_not_count(repository: Repository) -> None:
    repository.write(COMPLETE)
    repository.git("checkout", "--quiet", "main")
    repository.write({"docs/other.md": 900})
    repository.git("checkout", "--quiet", "change")

    assert repository.faults() == []


@pytest.mark.parametrize(("day", "faults"), [("2026-11-24", 1), ("2026-11-30", 0)])
def test_a_criterion_that_is_reopened_says_since_when(
    repository: Repository, day: str, faults: int
) -> None:
    gate = repository.folder / "docs" / "gates" / "gate-0.yaml"
    gate.parent.mkdir(parents=True)
    rows = [a_row("G0-a") | {"evidence": "approved"}, a_row("G0-b")]
    repository.git("checkout", "--quiet", "main")
    gate.write_text(yaml.safe_dump({"criteria": rows}))
    repository.commit()
    repository.git("checkout", "--quiet", "-b", "reopen")
    again = a_row("G0-a") | {"date": date.fromisoformat(day)}
    gate.write_text(yaml.safe_dump({"criteria": [again, rows[1]]}))
    repository.commit()

    found = list(check_pr.undated("main", repository.folder))

    assert len(found) == faults
    assert all("G0-a" in each for each in found)


def test_an_unknown_base_is_an_error(repository: Repository) -> None:
    with pytest.raises(StackError):
        check_pr.changed("nowhere", repository.folder)


# --- checklist ------------------------------------------------------------------------------------


def test_the_backlog_counts_what_is_open() -> None:
    assert checklist.backlog("# B\n\n- [ ] one\n- [x] two\n- [ ] three\n") == ["one", "three"]


def test_metrics_are_counted_from_the_lines_of_the_functions() -> None:
    line = {
        "_aws": {"CloudWatchMetrics": [{"Metrics": [{"Name": "MailSent"}, {"Name": "MailHeld"}]}]}
    }

    assert checklist.counted([line, line, {"level": "INFO"}]) == {"MailSent": 2, "MailHeld": 2}


def test_the_last_errors_are_shown_and_all_are_counted() -> None:
    lines = [{"level": "ERROR", "timestamp": n, "message": f"m{n}"} for n in range(7)]

    *shown, total = checklist.errors([*lines, {"level": "INFO", "message": "fine"}])

    assert [text.rpartition(" ")[2] for text in shown] == ["m2", "m3", "m4", "m5", "m6"]
    assert total == "7 errors in the last day"


def test_the_last_coverage_is_shown_by_layer_with_its_commit(tmp_path: Path) -> None:
    kept = tmp_path / "coverage.json"
    assert list(checklist.covered(kept)) == ["coverage: never measured here (make coverage)"]

    coverage_floors.keep(["✓ domain       lines  99.1%   floor: lines 95%"], kept)

    when, layer = checklist.covered(kept)
    assert gates.now_and_commit()[1] in when
    assert layer == "✓ domain lines 99.1% floor: lines 95%"


def test_the_screen_has_each_part_of_the_founding_list(capsys: pytest.CaptureFixture[str]) -> None:
    titles = [title for title, lines in checklist.parts() if lines]

    assert titles == [
        "Gates and backlog",
        "Documents against code",
        "Last errors",
        "Timeouts and retries",
        "Base metrics",
        "Tests and coverage",
    ]
