"""Check a pull request: `make check-pr BASE=main`. It is small, and brings its documents, tests and changelog.

The rule is the founding document's, gate 9. Moves and generated files do not count as authored lines. A criterion
of a gate that is approved or reopened brings its date.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.paths import ROOT
from local.processes import StackError
from local.progress import complain, done

MOST_LINES = 400
_PRODUCT = re.compile(r"(functions|layers|ops)/|template\.yaml$|samconfig\.toml$")
_COMPANIONS = {
    "docs/": re.compile(r"docs/|README\.md$|SECURITY\.md$|CONTRIBUTING\.md$"),
    "tests/": re.compile(r"tests/"),
    "CHANGELOG.md": re.compile(r"CHANGELOG\.md$"),
}
_GENERATED = re.compile(
    r"\.lock$|requirements\.txt$|package-lock\.json$|texts/compiled\.py$|\.mmd$|\.ttf$|\.pem$"
    r"|boundaries\.txt$|openapi\.en\.yaml$|docs/referencia/|^\.secrets\.baseline$"
    r"|docs/planes\.md$|docs/graficas/|tests/unit/adapters/mails/|tests/contract/fingerprints/"
    r"|catches\.json$|top_level_domains\.txt$"
)


@dataclass(frozen=True, slots=True)
class Changed:
    """A file of the range, and the lines that were written into it."""

    path: str
    added: int


def changed(base: str, folder: Path = ROOT) -> list[Changed]:
    """The files that the range from the common ancestor of `base` to HEAD changes. A move adds what it changes.

    Raises:
        StackError: git does not know the base.
    """
    diff = ["git", "diff", "--numstat", "--find-renames", "-z", f"{base}...HEAD"]
    run = subprocess.run(diff, cwd=folder, capture_output=True, text=True)
    if run.returncode:
        raise StackError(f"git does not know {base}.", remedy="make check-pr BASE=main")
    return list(_rows(run.stdout.split("\0")))


def _rows(parts: list[str]) -> Iterator[Changed]:
    """Rows of `--numstat -z`: a moved file has its two names behind its row."""
    at = 0
    while at < len(parts) - 1:
        added, _, path = parts[at].split("\t")
        if not path:
            path, at = parts[at + 2], at + 2
        at += 1
        yield Changed(path, int(added) if added.isdigit() else 0)


def faults(files: list[Changed]) -> Iterator[str]:
    """What the range lacks."""
    authored = sum(each.added for each in files if not _GENERATED.search(each.path))
    if authored > MOST_LINES:
        yield f"{authored} authored lines; at most {MOST_LINES}."
    if not any(_PRODUCT.match(each.path) for each in files):
        return
    for name, belongs in _COMPANIONS.items():
        if not any(belongs.match(each.path) for each in files):
            yield f"The range changes the product, and nothing in {name}."


def undated(base: str, folder: Path = ROOT) -> Iterator[str]:
    """Criteria of gates whose evidence the range changes without its date."""
    common = ["git", "merge-base", base, "HEAD"]
    start = subprocess.run(common, cwd=folder, capture_output=True, text=True).stdout.strip()
    for path in sorted((folder / "docs" / "gates").glob("gate-*.yaml")):
        show = ["git", "show", f"{start}:{path.relative_to(folder)}"]
        run = subprocess.run(show, cwd=folder, capture_output=True, text=True)
        before = _criteria(run.stdout) if run.returncode == 0 else {}
        for name, row in _criteria(path.read_text(encoding="utf-8")).items():
            old = before.get(name, row)
            if old["evidence"] != row["evidence"] and old["date"] == row["date"]:
                yield f"{name} is {row['evidence']} since another day than {row['date']}."


def _criteria(text: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in yaml.safe_load(text)["criteria"]}


def main(base: str) -> int:
    try:
        files = changed(base)
    except StackError as error:
        complain(error)
        return 1
    found = [*faults(files), *undated(base)]
    for fault in found:
        complain(StackError(fault, remedy="Split the change, or add what is missing."))
    if not found:
        done(f"{len(files)} files against {base}: small, with documents, tests and changelog")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
