"""The board of the gates: `make gates` shows each criterion's last result, `make gates RUN=all` runs the checks.

`RUN` takes `all`, a gate (`G5`) or a criterion. Results are kept in `.local/gates.json`, with commit and time, and the
output of each criterion's last run in `.local/gates/`.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import yaml

from local.paths import ROOT, STATE
from local.processes import StackError
from local.progress import complain, note

GATES = ROOT / "docs" / "gates"
RESULTS = STATE / "gates.json"
LOGS = STATE / "gates"
_SECONDS = 6 * 3600  # limit of one check: the crash matrix takes hours


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion of a gate. Without a `check` a person judges it."""

    id: str
    text: str
    check: str | None
    evidence: str
    role: str
    date: date  # of the last change of `evidence`

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


def board(rows: Iterable[Criterion], known: Mapping[str, Result], now: datetime) -> Iterator[str]:
    """A line per criterion: verdict, id, its last result; below it, whom it waits for since when."""
    for row in rows:
        result = known.get(row.check or "")
        if row.check is None:
            seen = "judged by a person"
        elif result is None:
            seen = "never run here" if row.is_pending else "approved, never run here"
        else:
            age = now - datetime.fromisoformat(result.at)
            verdict = "passed" if result.passed else "FAILED"
            seen = f"{verdict} at {result.commit}, {_age(age.total_seconds())} ago"
        failed = result is not None and not result.passed
        approved = "✓" if result else "?"
        mark = "✗" if failed else "·" if row.is_pending else approved
        yield f"{mark} {row.id:<24} {seen}"
        if row.is_pending:
            yield f"{'':27}waits since {row.date} for {row.role}"


def summary(rows: Sequence[Criterion], known: Mapping[str, Result]) -> Iterator[str]:
    """Counts below the board."""
    checks = {row.check for row in rows if row.check}
    ran = [known[check] for check in checks if check in known]
    passed = sum(each.passed for each in ran)
    yield f"{len(rows)} criteria: {sum(row.is_pending for row in rows)} wait, the others are approved."
    yield (
        f"{len(checks)} checks here: {passed} passed, {len(ran) - passed} failed,"
        f" {len(checks) - len(ran)} never ran."
    )


def run(wanted: str, path: Path = RESULTS, folder: Path = GATES, logs: Path = LOGS) -> bool:
    """Run the checks of `wanted`, each once, and keep their results. Return whether all passed."""
    chosen = {row.check: row.id for row in criteria(folder) if row.check and wanted in _names(row)}
    known, passed = results(path), True
    logs.mkdir(parents=True, exist_ok=True)
    for check, name in chosen.items():
        note(f"… {check}")
        log = logs / f"{name}.log"
        known[check] = result = _result(check, log)
        if not result.passed:
            note(f"✗ {name} failed after {result.seconds:.0f} s; its output is in {log}")
        passed &= result.passed
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({name: asdict(each) for name, each in known.items()}, indent=1))
    return passed and bool(chosen)


def _result(check: str, log: Path) -> Result:
    began = time.monotonic()
    paths = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            shlex.split(check),
            cwd=ROOT,
            env={**os.environ, "PATH": paths},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            passed = process.wait(_SECONDS) == 0
        except BaseException as error:  # the check and all that it started end with us
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            passed = False
    now, commit = now_and_commit()
    return Result(passed, commit, now, round(time.monotonic() - began, 1))


def now_and_commit() -> tuple[str, str]:
    """The time, and the commit of the working tree."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return datetime.now(UTC).isoformat(timespec="seconds"), commit


def _names(row: Criterion) -> tuple[str, ...]:
    """The values of `RUN` that mean this criterion."""
    return "all", row.id.partition("-")[0], row.id


def _age(seconds: float) -> str:
    for name, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {name}"
    return f"{seconds:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.gates", description=__doc__)
    parser.add_argument("run", nargs="?", default="", help="all, a gate (G5) or a criterion")
    wanted = parser.parse_args().run
    if wanted and not any(wanted in _names(row) for row in criteria()):
        complain(StackError(f"No criterion is called {wanted}.", remedy="make gates lists them"))
        return 1
    passed = run(wanted) if wanted else True
    rows, known = list(criteria()), results()
    for line in [*board(rows, known, datetime.now(UTC)), *summary(rows, known)]:
        note(line)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
