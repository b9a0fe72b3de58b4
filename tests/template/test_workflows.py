"""`.github`: workflows run a developer's commands and pinned actions, with no right they do not need."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import deployment
from local.paths import ROOT
from local.processes import StackError
from tools.release import notes, pack

GITHUB = ROOT / ".github"
WORKFLOWS: dict[str, dict[Any, Any]] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((GITHUB / "workflows").glob("*.yml"))
}
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in GITHUB.glob("workflows/*.yml")}
JOBS = {
    f"{workflow}.{name}": job
    for workflow, document in WORKFLOWS.items()
    for name, job in document["jobs"].items()
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
PUBLISH = "release.publish"
GATES = sorted((ROOT / "docs/gates").glob("*.yaml"))
ADRS = sorted((ROOT / "docs/ADR").glob("*.md"))
TEAM_OF = {
    "orquestación": "orchestration",
    "arquitectura": "architecture",
    "seguridad": "security",
    "datos": "data",
    "plataforma": "platform",
    "calidad": "quality",
    "operación": "operations",
}

every_workflow = pytest.mark.parametrize("name", WORKFLOWS)
every_job = pytest.mark.parametrize("name", JOBS)


def commands(name: str) -> list[str]:
    return [step["run"] for step in JOBS[name]["steps"] if "run" in step]


@every_job
def test_a_job_fails_with_any_of_its_steps(name: str) -> None:
    assert "if" not in JOBS[name]
    assert not any("continue-on-error" in part for part in (JOBS[name], *JOBS[name]["steps"]))


def test_every_change_is_checked_and_only_a_release_that_passed_is_published() -> None:
    triggers = {name: workflow[True] for name, workflow in WORKFLOWS.items()}  # YAML's `on`
    assert triggers["check"] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert triggers["release"] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    assert "schedule" in triggers["audit"]
    assert JOBS[PUBLISH]["needs"] == "build"
    on_a_change = {each for name in JOBS if name.startswith("check.") for each in commands(name)}
    for checked in (on_a_change, {*commands("release.build")}):
        assert {"make check", "make test"} <= checked


def test_a_pull_request_is_compared_with_its_base_on_the_whole_history() -> None:
    job = JOBS["check.pull-request"]
    [checkout] = [step for step in job["steps"] if "checkout" in step.get("uses", "")]

    assert commands("check.pull-request") == ["make check-pr"]
    assert checkout["with"]["fetch-depth"] == 0
    assert job["env"]["BASE"].startswith("${{ github.event.pull_request.base.sha ")


@every_job
def test_a_job_calls_only_existing_targets(name: str) -> None:
    if name == PUBLISH:
        return
    for command in commands(name):
        called = re.fullmatch(
            r"""make ([a-z-]+)( ARGS=[a-z-]+| ARGS="--seed \d+"| proofs="\$PROOF")?""", command
        )
        assert called, command
        assert called[1] in TARGETS


def test_only_the_publishing_job_runs_something_else_and_nothing_of_the_repository() -> None:
    [command] = commands(PUBLISH)
    assert command.startswith("gh release create ")
    assert not any("checkout" in step.get("uses", "") for step in JOBS[PUBLISH]["steps"])


@every_workflow
def test_every_action_is_pinned_to_a_commit_and_says_its_version(name: str) -> None:
    used = re.findall(r"uses: (.+)", TEXTS[name])
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@every_workflow
def test_a_token_may_only_read(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}


@every_job
def test_no_job_may_do_more_than_its_workflow_but_the_one_that_publishes(name: str) -> None:
    own = JOBS[name].get("permissions")
    assert own == ({"contents": "write"} if name == PUBLISH else None)


@every_job
def test_a_job_ends_and_runs_on_a_named_system(name: str) -> None:
    assert JOBS[name]["timeout-minutes"] <= (350 if name == "proofs.proofs" else 60)
    assert JOBS[name]["runs-on"] == "ubuntu-24.04"


@every_job
def test_the_checkout_token_is_not_kept_for_later_steps(name: str) -> None:
    for step in JOBS[name]["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_nothing_that_others_write_reaches_a_shell(name: str) -> None:
    for job in WORKFLOWS[name]["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
    assert "pull_request_target" not in TEXTS[name]


def test_every_python_and_database_is_tested() -> None:
    pythons = ["3.11", "3.13"]
    assert JOBS["check.test"]["strategy"]["matrix"] == {
        "python": pythons,
        "engine": ["mysql", "mariadb"],
    }
    for job in ("check.check", "check.containers"):
        assert JOBS[job]["strategy"]["matrix"] == {"python": pythons}
    assert JOBS["check.test"]["env"] == {"DB_ENGINE": "${{ matrix.engine }}"}
    for job in ("check.check", "check.test", "check.containers"):
        settings = [step.get("with", {}) for step in JOBS[job]["steps"]]
        assert {"python-version": "${{ matrix.python }}"} in settings


def test_every_owner_is_a_role_and_every_owned_path_is_there() -> None:
    lines = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    for line in filter(lambda line: line and not line.startswith("#"), lines):
        place, *owners = line.split()
        assert owners
        assert all(re.fullmatch(r"@reservations/[a-z]+", owner) for owner in owners)
        assert place == "*" or (ROOT / place.strip("/")).exists(), place


def owners_of(path: Path) -> set[str]:
    """Owners of a path. As on GitHub, the last matching line of CODEOWNERS decides."""
    lines = (GITHUB / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    place = f"/{path.relative_to(ROOT)}"
    [*_, owners] = [
        line.split()[1:]
        for line in lines
        if line.startswith("* ") or (line.startswith("/") and place.startswith(line.split()[0]))
    ]
    return {owner.removeprefix("@reservations/") for owner in owners}


@pytest.mark.parametrize("path", GATES, ids=lambda path: path.stem)
def test_a_gate_changes_with_the_roles_that_approve_its_criteria(path: Path) -> None:
    criteria = yaml.safe_load(path.read_text(encoding="utf-8"))["criteria"]
    assert owners_of(path) == {TEAM_OF[criterion["role"]] for criterion in criteria}


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem[:7])
def test_a_decision_changes_with_the_role_that_approves_it(path: Path) -> None:
    table = (ROOT / "docs/04-gobernanza.md").read_text(encoding="utf-8").split("## 2.")[0]
    rows = [[cell.strip() for cell in row.split("|")] for row in table.splitlines() if "|" in row]
    approvers = {TEAM_OF[row[1].lower()] for row in rows if path.stem[:7] in row[3]}
    assert owners_of(path) == (approvers or {"architecture"})


def test_localstack_is_not_offered_a_version_that_asks_for_a_token() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    [compose] = [update for update in updates if update["package-ecosystem"] == "docker-compose"]
    assert {"dependency-name": "localstack/localstack"} in compose["ignore"]


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-02\n\n- new\n\n## [1.2.2]\n\n- old\n"
    assert notes("v1.2.3", changelog) == "- new\n"
    for version in ("v1.2.4", "1.2.3", "v1.2"):
        with pytest.raises(StackError):
            notes(version, changelog)


def test_a_release_is_packed_by_the_python_that_is_to_run_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The layers contain packages for the Python that built them."""
    monkeypatch.setattr(deployment, "runtime", lambda: "python3.8")
    with pytest.raises(StackError, match=r"by python3\.8 would not run on python3"):
        pack("v1.2.3")
