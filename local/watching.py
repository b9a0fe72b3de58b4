"""Copy each edit into the running stack: `python -m local.watching`.

LocalStack runs functions and layers from the folders of the build. An edit is copied there, and a mark
makes the executor start the function's process again at its next call. The stack runs on, at the same
address, with its mails and its state.
"""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from local import deployment
from local.localstack.marks import MARK
from local.paths import ROOT, VENVS, read_json, write_json
from local.processes import StackError
from local.progress import complain, done, note
from local.template import resources

_PAUSE_SECONDS = 0.2
_TEXTS = "reservations/texts"
_COMPILER = ("es.toml", "en.toml", "__main__.py")  # the build of the layer leaves them out
_REBUILD = ("template.yaml", "samconfig.toml", "layers/*/requirements.txt", "layers/*/Makefile")


@dataclass(frozen=True, slots=True)
class Place:
    """Sources, and the copy of them that the stack runs. `root` has the mark."""

    sources: Path
    copy: Path
    root: Path


def places(build: Path = deployment.BUILD) -> list[Place]:
    """Return where each function and each layer of ours is copied to."""
    functions = [
        Place(ROOT / properties["CodeUri"], build / name, build / name)
        for name, properties in resources("AWS::Serverless::Function").items()
    ]
    core, pdf = build / "CoreLayer", build / "PdfLayer"
    return [
        *functions,
        Place(ROOT / "layers/core/reservations", core / "python/reservations", core),
        Place(ROOT / "layers/pdf/voucher_fonts", pdf / "python/voucher_fonts", pdf),
    ]


Seen = dict[Path, int]


def look(place: Place) -> Seen:
    """Return the time of the last change of each source."""
    return {
        path: path.stat().st_mtime_ns
        for path in place.sources.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def carry_over(place: Place, before: Seen, after: Seen) -> list[str]:
    """Copy what changed, and set the mark. Return the names of the changed files."""
    changed = sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
    names = [str(path.relative_to(place.sources)) for path in changed]
    texts = [name for name in names if name.endswith(".toml")]
    for path, name in zip(changed, names, strict=True):
        copy = place.copy / name
        if name in texts or path.name == "__main__.py":
            continue
        # Its bytecode is never compared with its source: an edited file would stay as it was.
        for stale in copy.parent.glob(f"__pycache__/{copy.stem}.*.pyc"):
            stale.unlink()
        if path in after:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        else:
            copy.unlink(missing_ok=True)
    try:
        if texts:
            _compile_texts(place)
    finally:
        if names:
            (place.root / MARK).touch()
    return names


def _compile_texts(place: Place) -> None:
    """
    Raises:
        StackError: the texts of the two languages do not fit.
    """
    folder = place.copy / "texts"
    for name in _COMPILER:
        shutil.copy(place.sources / "texts" / name, folder / name)
    try:
        command = [str(VENVS / "lambda" / "bin" / "python"), "-m", "reservations.texts"]
        compiled = subprocess.run(
            command, cwd=place.copy.parent, capture_output=True, text=True, timeout=30
        )
    finally:
        for name in _COMPILER:
            (folder / name).unlink()
    for stale in folder.glob("__pycache__/compiled.*.pyc"):
        stale.unlink()
    if compiled.returncode:
        raise StackError(compiled.stderr.strip(), remedy="The stack keeps the texts of before.")


def _build_files(root: Path) -> Seen:
    return {path: path.stat().st_mtime_ns for glob in _REBUILD for path in root.glob(glob)}


class Watch:
    """Carries edits over, and signs the build for the next `make up` while it has all of them.

    A change that only a build brings, or texts that do not compile, end the signing: `make up` then builds
    again. `deployed` and `stamp` are the two files that say which sources the stack runs.

    Raises:
        StackError: the stack does not run these sources.
    """

    def __init__(self, watched: list[Place], *, deployed: Path, stamp: Path, root: Path) -> None:
        self._deployed, self._stamp, self._root = deployed, stamp, root
        self._seen = {place: look(place) for place in watched}
        self._built_from = self._build_files = _build_files(root)
        self._uncompiled: set[Place] = set()
        self._signed = True
        if read_json(deployed).get("sources") != deployment.sources_fingerprint(root):
            raise StackError(
                "The stack does not run these sources.", remedy="Run make watch again."
            )

    def step(self) -> None:
        """Carry over what was edited since the last step."""
        for place, before in self._seen.items():
            now = look(place)
            if now != before:
                self._signed = False
                self._carry_over(place, now)
        if (current := _build_files(self._root)) != self._build_files:
            note("The template or the packages changed: run make watch again, which builds them")
            self._build_files = current
        if not self._signed:
            self._sign()

    def _carry_over(self, place: Place, now: Seen) -> None:
        before, self._seen[place] = self._seen[place], now
        at = f"{time.strftime('%H:%M:%S')} {place.sources.relative_to(self._root)}"
        try:
            names = carry_over(place, before, now)
        except StackError as error:
            self._uncompiled.add(place)
            complain(error)
            return
        if any(name.endswith(".toml") for name in names):
            self._uncompiled.discard(place)
        done(f"{at}: {', '.join(names)}")

    def _sign(self) -> None:
        """Note the sources that the stack runs now, unless some of them are in no copy."""
        known = read_json(self._deployed)
        if self._uncompiled or self._build_files != self._built_from or not known:
            return
        sources = deployment.sources_fingerprint(self._root)
        # An edit that came after its look is in the fingerprint and in no copy.
        if all(look(place) == seen for place, seen in self._seen.items()):
            self._stamp.write_text(sources)
            write_json(self._deployed, {**known, "sources": sources})
            self._signed = True


def watch() -> None:
    """Copy edits until Ctrl-C.

    Raises:
        StackError: the stack does not run these sources.
    """
    stamp = deployment.BUILD / deployment.STAMP
    watched = Watch(places(), deployed=deployment.DEPLOYED, stamp=stamp, root=ROOT)
    done("Watching functions/ and layers/: an edit is live at the next call. Ctrl-C ends it.")
    while True:
        watched.step()
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    try:
        watch()
    except KeyboardInterrupt:
        note("\nNo longer watching. The stack runs on with the last edit.")
    except StackError as error:
        complain(error)
        sys.exit(1)
