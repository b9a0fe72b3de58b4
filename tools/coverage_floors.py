"""Compare each layer's coverage with its floor: `make coverage` runs it on the data of its tests.

`coverage report --fail-under` has one figure for lines and branches, in which missed branches hide behind lines.
"""

import fnmatch
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from coverage import Coverage

from local.paths import STATE, read_json
from local.progress import note
from tools.gates import now_and_commit

KEPT = STATE / "coverage.json"  # the last measure, for `make checklist`

# Layer, its files, least share of lines, least share of branches or `None`, as in docs/06-qa-testing.md.
FLOORS: tuple[tuple[str, tuple[str, ...], float, float | None], ...] = (
    ("domain", ("*/domain/*",), 0.95, 0.90),
    ("application", ("*/application/*",), 0.90, None),
    ("adapters", ("*/adapters/*", "*/entrypoints/*", "*/texts/*", "functions/*"), 0.80, None),
)


def main() -> int:
    """Print the shares; return 1 if one is below its floor."""
    files = _measured()
    high_enough, rows = True, []
    for layer, patterns, lines, branches in FLOORS:
        count: Counter[str] = Counter()
        for name, summary in files.items():
            if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                count.update(
                    {key: summary[key] for key in summary if key.startswith(("cov", "num"))}
                )
        got = (
            count["covered_lines"] / max(count["num_statements"], 1),
            count["covered_branches"] / max(count["num_branches"], 1),
        )
        enough = got[0] >= lines and got[1] >= (branches or 0)
        high_enough &= enough
        floor = f"lines {lines:.0%}" + (f", branches {branches:.0%}" if branches else "")
        rows.append(
            f"{'✓' if enough else '✗'} {layer:<12} lines {got[0]:6.1%}   branches {got[1]:6.1%}   floor: {floor}"
        )
        note(rows[-1])
    keep(rows)
    return 0 if high_enough else 1


def keep(rows: list[str], path: Path = KEPT) -> None:
    """Keep the lines of this measure, with commit and time."""
    at, commit = now_and_commit()
    path.write_text(json.dumps({"at": at, "commit": commit, "rows": rows}))


def _measured() -> dict[str, dict[str, Any]]:
    """Return the counts of each file, by path."""
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        coverage.json_report(outfile=str(report))
        files: dict[str, dict[str, Any]] = read_json(report)["files"]
    return {name: file["summary"] for name, file in files.items()}


if __name__ == "__main__":
    sys.exit(main())
