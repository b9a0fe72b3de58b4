"""The board of the gates: `make gates` shows each criterion's last result, `make gates RUN=all` runs the checks.

`RUN` takes `all`, a gate (`G5`) or a criterion. Results are kept in `.local/gates.json`, with commit and time.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import yaml

from local.paths import ROOT, STATE
from local.progress import note

GATES = ROOT / "docs" / "gates"
RESULTS = STATE / "gates.json"
_SECONDS = 3600  # limit of one check


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion of a gate. Without a `check` a person judges it."""

    id: str
    text: str
    check: str | None
    evidence: str
    role: str
    date: date

    @property
    def is_pending(self) -> bool:
        return self.evidence == "pending"


@dataclass(frozen=True, slots=True)
class Result:
    """The last run of a check."""

    passed: bool
    commit: str
    at: str
    seconds: float


def criteria(folder: Path = GATES) -> Iterator[Criterion]:
    """Every criterion, in the order of the gates."""
    for path in sorted(folder.glob("gate-*.yaml")):
        for row in yaml.safe_load(path.read_text(encoding="utf-8"))["criteria"]:
            yield Criterion(**{name: row[name] for name in Criterion.__dataclass_fields__})


def results(path: Path = RESULTS) -> dict[str, Result]:
    """The last result of each check that ever ran here, by the check."""
    if not path.exists():
        return {}
    return {check: Result(**row) for check, row in json.loads(path.read_text()).items()}


def board(rows: Iterator[Criterion], known: Mapping[str, Result], now: datetime) -> Iterator[str]:
    """A line per criterion: verdict, id, its last result, and whom it waits for since when."""
    for row in rows:
        result = known.get(row.check or "")
        if row.check is None:
            seen = "judged by a person"
        elif result is None:
            seen = "never run here"
        else:
            age = now - datetime.fromisoformat(result.at)
            verdict = "passed" if result.passed else "FAILED"
            seen = f"{verdict} at {result.commit}, {_age(age.total_seconds())} ago"
        failed = result is not None and not result.passed
        mark = "✗" if failed else "·" if row.is_pending else "✓"
        waits = f"; waits since {row.date} for {row.role}" if row.is_pending else ""
        yield f"{mark} {row.id:<24} {seen}{waits}"


def run(wanted: str, path: Path = RESULTS, folder: Path = GATES) -> bool:
    """Run the checks of `wanted`, each once, and keep their results. Return whether all passed."""
    chosen = [
        row
        for row in criteria(folder)
        if row.check and (wanted == "all" or wanted in (row.id, row.id.partition("-")[0]))
    ]
    known, passed = results(path), True
    for check in dict.fromkeys(row.check for row in chosen if row.check):
        note(f"… {check}")
        known[check] = result = _result(check)
        passed &= result.passed
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({name: asdict(each) for name, each in known.items()}, indent=1))
    return passed and bool(chosen)


def _result(check: str) -> Result:
    began = time.monotonic()
    paths = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
    try:
        done = subprocess.run(
            shlex.split(check),
            cwd=ROOT,
            env={**os.environ, "PATH": paths},
            stdout=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
        passed = done.returncode == 0
    except subprocess.TimeoutExpired:
        passed = False
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Result(passed, commit, now, round(time.monotonic() - began, 1))


def _age(seconds: float) -> str:
    for name, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.gates", description=__doc__)
    parser.add_argument("run", nargs="?", default="", help="all, a gate (G5) or a criterion")
    wanted = parser.parse_args().run
    passed = run(wanted) if wanted else True
    for line in board(criteria(), results(), datetime.now(UTC)):
        note(line)
    pending = sum(row.is_pending for row in criteria())
    note(
        f"{pending} criteria wait. A mark ✓ is an approval; the result beside it is this machine's."
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
