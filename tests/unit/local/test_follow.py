"""Logs are worded for people, and the stack can be stopped after a set-up that failed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from local.follow import lines, shown
from local.paths import FUNCTION_LOGS, LOGS, ROOT

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
