"""Pack a release: `python -m tools.release v1.2.3` writes the files of a tag to `.local/release/`.

The archive holds the output of `sam build`, so `sam deploy` needs no build. A second deployment of the same
archive needs another `Release` (`date +%s`) in its release.parameters.yaml.
"""

import hashlib
import re
import shutil
import sys
import tarfile
import time

from local import deployment
from local.paths import ROOT, STATE
from local.processes import StackError
from local.progress import complain, done
from local.template import template

_FOLDER = STATE / "release"
_BUILD = STATE / "release-build"
RELEASE_FILE = "release.parameters.yaml"  # samconfig.toml names it
_VERSION = re.compile(r"v(\d+\.\d+\.\d+)")


def notes(version: str, changelog: str) -> str:
    """Return the section of a version in the changelog.

    Raises:
        StackError: the section is missing or empty, or the version is malformed.
    """
    number = _VERSION.fullmatch(version)
    if not number:
        raise StackError(f"{version!r} is no version.", remedy="make release VERSION=v1.2.3")
    section = rf"^## \[{re.escape(number[1])}\][^\n]*\n(.*?)(?=^## |^\[|\Z)"
    found = re.search(section, changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        raise StackError(
            f"CHANGELOG.md has no section for {number[1]}.",
            remedy="Move the lines under Unreleased to its own section before tagging.",
        )
    return found[1].strip() + "\n"


def pack(version: str) -> None:
    """Build for Lambda, and write the archive, the bills of materials of `make sbom`, checksums and notes."""
    deployed = template()["Parameters"]["PythonRuntime"]["Default"]
    if deployment.runtime() != deployed:
        raise StackError(
            f"Layers built by {deployment.runtime()} would not run on {deployed}.",
            remedy=f"make release VERSION={version} PYTHON={deployed}",
        )
    text = notes(version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir(parents=True)
    (_FOLDER / "notes.md").write_text(text, encoding="utf-8")
    deployment.build_for_lambda(_BUILD)
    name = f"reservations-{version}"
    with tarfile.open(_FOLDER / f"{name}.tar.gz", "w:gz") as archive:
        archive.add(_BUILD, arcname=name)
        for file in ("samconfig.toml", "CHANGELOG.md", "LICENSE"):
            archive.add(ROOT / file, arcname=f"{name}/{file}")
        (_FOLDER / RELEASE_FILE).write_text(f'Release: "{int(time.time())}"\n')
        archive.add(_FOLDER / RELEASE_FILE, arcname=f"{name}/{RELEASE_FILE}")
    for layer in ("dependencies", "pdf"):
        shutil.copy(STATE / f"sbom-{layer}.json", _FOLDER / f"{name}-{layer}.cdx.json")
    _write_checksums(name)
    done(f"Release packed in {_FOLDER}")


def _write_checksums(name: str) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(_FOLDER.glob(f"{name}*"))
    ]
    (_FOLDER / f"{name}.sha256").write_text("".join(lines))


def main(version: str) -> int:
    """Pack one version; print a failure with its remedy."""
    try:
        pack(version)
    except StackError as error:
        complain(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
