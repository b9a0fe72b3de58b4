"""Logs are worded for people, and the stack can be stopped after a set-up that failed."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.follow import lines, shown
from local.paths import FUNCTION_LOGS, LOGS, ROOT, STATE

LINE = {
    "level": "ERROR",
    "message": "provider answer needs a person",
    "timestamp": "2026-11-30T22:25:37.000+00:00",
    "function_name": "reservations-CreateReservationFunctio-831fcbfc",
    "alarm": "wrong_reference",
}


def test_a_function_s_log_is_told_without_metrics_and_marks() -> None:
    text = [
        "START RequestId: 1",
        json.dumps(LINE),
        '{"_aws": {}}',
        "Traceback:",
        "END RequestId: 1",
    ]
    path = FUNCTION_LOGS / "reservations-ProcessPaymentFunction-831fcbfc-1.log"

    told, other = shown(path, text)

    assert "CreateReservation  ERROR provider answer needs a person  alarm=wrong_reference" in told
    assert other == "ProcessPaymentFunction: Traceback:"


def test_a_process_s_log_is_told_with_its_name() -> None:
    assert list(shown(LOGS / "mysql.log", ["ready"])) == ["mysql: ready"]


def test_a_torn_line_is_read_once_it_is_complete(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\ntw")
    text, position = lines(log, 0)
    log.write_text("one\ntwo\n")

    assert (text, lines(log, position)[0]) == (["one"], ["two"])


def test_the_logs_of_a_killed_stack_are_told_as_such_and_end(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    for name in ("__init__", "follow", "paths", "processes", "progress"):
        shutil.copy(ROOT / "local" / f"{name}.py", tmp_path / "local")
    logs = tmp_path / LOGS.relative_to(ROOT)
    logs.mkdir(parents=True)
    (logs / "mysql.log").write_text("ready\n")
    (tmp_path / STATE.relative_to(ROOT) / "stack.json").write_text("{}")

    said = subprocess.run(
        [sys.executable, "-m", "local.follow"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT}/layers/core"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert said.returncode == 0, said.stderr
    assert "The stack is down" in said.stdout
    assert "mysql: ready" in said.stdout


NOT_UP = "✗ The stack is not up.\n  Start it with: make up\n"


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        ("trace CODE=ABC", NOT_UP),
        ("logs CODE=ABC", NOT_UP),
        ("ops ARGS=invariants", NOT_UP),
        ("logs CODE=ABC FUNCTION=get_reservation", "✗ Give FUNCTION= or CODE=, not both.\n"),
    ],
)
def test_make_adds_nothing_to_a_refusal(tmp_path: Path, target: str, refusal: str) -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", *target.split()],
        cwd=ROOT,
        env={**os.environ, "STACK_FILE": str(tmp_path / "none.json")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert said.stdout + said.stderr == refusal


def test_the_stack_stops_without_any_package(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    for name in ("__init__", "down", "paths", "processes"):
        shutil.copy(ROOT / "local" / f"{name}.py", tmp_path / "local")

    done = subprocess.run([sys.executable, "-S", "-m", "local.down"], cwd=tmp_path, timeout=60)

    assert done.returncode == 0


def test_the_doctor_needs_no_package_and_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    for name in ("__init__", "doctor", "paths", "processes"):
        shutil.copy(ROOT / "local" / f"{name}.py", tmp_path / "local")

    said = subprocess.run(
        [sys.executable, "-S", "-m", "local.doctor"],
        cwd=tmp_path,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert said.returncode == 1
    assert "✗ git\n    sudo apt-get install git" in said.stdout


def test_the_doctor_names_a_python_that_is_too_old_for_the_rest(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    for name in ("__init__", "doctor"):  # the others use what an old one lacks
        shutil.copy(ROOT / "local" / f"{name}.py", tmp_path / "local")
    ast.parse((ROOT / "local/doctor.py").read_text(), feature_version=(3, 7))
    as_old = (
        "import runpy, sys; sys.version_info = (3, 9, 18); sys.version = '3.9.18 (main)';"
        "runpy.run_module('local.doctor', run_name='__main__')"
    )

    said = subprocess.run(
        [sys.executable, "-S", "-c", as_old],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert said.returncode == 1
    assert said.stderr.startswith("✗ Python 3.9.18\n    Install Python 3.11 or newer")
