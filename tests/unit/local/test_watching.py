"""Edits reach the folders that the stack runs."""

import json
import os
import shutil
from pathlib import Path

import pytest

from local import deployment
from local.debugging import PORT
from local.deployment import sources_fingerprint
from local.localstack.marks import MARK
from local.paths import ROOT
from local.processes import StackError
from local.watching import Place, Watch, carry_over, look, places


@pytest.fixture
def place(tmp_path: Path) -> Place:
    sources, root = tmp_path / "sources", tmp_path / "layer"
    sources.mkdir()
    (root / "python").mkdir(parents=True)
    return Place(sources, root / "python", root)


def test_an_edit_is_copied_without_its_old_bytecode(place: Place) -> None:
    module = place.sources / "rules.py"
    module.write_text("limit = 1")
    before = look(place)
    carry_over(place, {}, before)
    stale = place.copy / "__pycache__" / "rules.cpython-311.pyc"
    stale.parent.mkdir()
    stale.write_bytes(b"limit = 1")
    (place.root / MARK).unlink()

    module.write_text("limit = 22")
    names = carry_over(place, before, look(place) | {module: 0})

    assert names == ["rules.py"]
    assert (place.copy / "rules.py").read_text() == "limit = 22"
    assert not stale.exists()
    assert (place.root / MARK).exists()


def test_a_deleted_file_is_deleted_in_the_copy(place: Place) -> None:
    module = place.sources / "rules.py"
    module.write_text("limit = 1")
    before = look(place)
    carry_over(place, {}, before)

    module.unlink()
    carry_over(place, before, look(place))

    assert not (place.copy / "rules.py").exists()


def test_without_an_edit_no_process_starts_again(place: Place) -> None:
    (place.sources / "rules.py").write_text("limit = 1")

    assert carry_over(place, look(place), look(place)) == []
    assert not (place.root / MARK).exists()


# --- the note for the next `make up`


TEXTS = "layers/core/reservations/texts"
COMPILER = """
from pathlib import Path
folder = Path(__file__).parent
text = (folder / "es.toml").read_text()
if "{" in text:
    raise SystemExit("es.toml: an open brace")
(folder / "compiled.py").write_text(f"text = {text!r}")
"""


class Tree:
    """Sources, their build, and the files that say which sources the stack runs."""

    def __init__(self, root: Path) -> None:
        self.root, self.build, self._clock = root, root / "build", 0
        self.deployed, self.stamp = root / "deployed.json", self.build / "built-from.txt"
        for name, content in {
            "template.yaml": "first",
            "functions/act/handler.py": "first",
            "layers/core/reservations/__init__.py": "",
            f"{TEXTS}/__main__.py": COMPILER,
            f"{TEXTS}/es.toml": "first",
            f"{TEXTS}/en.toml": "first",
        }.items():
            self.write(name, content)
        core = self.build / "CoreLayer"
        self.places = [
            Place(root / "functions/act", self.build / "Act", self.build / "Act"),
            Place(root / "layers/core/reservations", core / "python/reservations", core),
        ]
        for place in self.places:
            shutil.copytree(place.sources, place.copy)
        for name in ("es.toml", "en.toml", "__main__.py"):
            (core / "python/reservations/texts" / name).unlink()
        self.deployed.write_text(json.dumps({"sources": sources_fingerprint(root), "api_url": "u"}))

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        self._clock += 1  # that of a file system may stand still between two writes
        os.utime(path, ns=(self._clock, self._clock))

    def watch(self) -> Watch:
        return Watch(self.places, deployed=self.deployed, stamp=self.stamp, root=self.root)

    @property
    def is_signed(self) -> bool:
        """Whether `make up` would take the build and the deployment for those of the sources."""
        sources = sources_fingerprint(self.root)
        stamped = self.stamp.exists() and self.stamp.read_text() == sources
        return stamped and json.loads(self.deployed.read_text()) == {
            "sources": sources,
            "api_url": "u",
        }


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_an_edit_that_was_carried_over_needs_no_build(tree: Tree) -> None:
    watch = tree.watch()

    tree.write("functions/act/handler.py", "second")
    watch.step()

    assert (tree.build / "Act/handler.py").read_text() == "second"
    assert tree.is_signed


def test_a_template_that_changed_needs_a_build_whatever_is_edited_later(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = tree.watch()

    tree.write("template.yaml", "second")
    watch.step()
    tree.write("functions/act/handler.py", "second")
    watch.step()

    assert capsys.readouterr().out.count("run make watch again") == 1
    assert (tree.build / "Act/handler.py").read_text() == "second"
    assert not tree.is_signed


def test_an_edit_since_the_stack_came_up_ends_the_watch(tree: Tree) -> None:
    tree.write("functions/act/handler.py", "second")

    with pytest.raises(StackError, match="does not run these sources"):
        tree.watch()


def test_an_edit_after_the_look_is_signed_once_it_is_carried_over(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = tree.watch()
    tree.write("functions/act/handler.py", "second")
    with monkeypatch.context() as late:

        def saved_meanwhile(root: Path) -> str:
            tree.write("functions/act/handler.py", "third, saved during the step")
            return sources_fingerprint(root)

        late.setattr(deployment, "sources_fingerprint", saved_meanwhile)
        watch.step()

    assert not tree.is_signed
    watch.step()
    assert tree.is_signed


def test_texts_that_do_not_compile_are_not_signed_until_they_do(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = tree.watch()
    copies = tree.build / "CoreLayer/python/reservations"

    tree.write(f"{TEXTS}/es.toml", "{")
    tree.write("layers/core/reservations/rules.py", "second")
    watch.step()
    tree.write("layers/core/reservations/rules.py", "the third")
    watch.step()

    assert "an open brace" in capsys.readouterr().err
    assert (copies / "rules.py").read_text() == "the third"
    assert (tree.build / "CoreLayer" / MARK).exists()
    assert not tree.is_signed

    tree.write(f"{TEXTS}/es.toml", "second")
    watch.step()

    assert (copies / "texts/compiled.py").read_text() == "text = 'second'"
    assert not (copies / "texts/es.toml").exists()
    assert tree.is_signed


def test_every_function_and_layer_of_ours_is_watched(tmp_path: Path) -> None:
    watched = {place.sources.relative_to(ROOT) for place in places(tmp_path)}
    functions = {path.parent.relative_to(ROOT) for path in ROOT.glob("functions/*/handler.py")}

    assert watched == functions | {
        Path("layers/core/reservations"),
        Path("layers/pdf/voucher_fonts"),
    }


def test_an_editor_finds_the_sources_of_everything_that_is_debugged() -> None:
    [attach] = json.loads((ROOT / ".vscode" / "launch.json").read_text())["configurations"]
    build = ROOT / ".local" / "build"
    mapped = {(each["localRoot"], each["remoteRoot"]) for each in attach["pathMappings"]}
    folder = "${workspaceFolder}"

    assert attach["connect"]["port"] == PORT
    assert mapped == {
        (f"{folder}/{p.sources.relative_to(ROOT)}", f"{folder}/{p.copy.relative_to(ROOT)}")
        for p in places(build)
        if p.sources.name != "voucher_fonts"
    }
