"""Edits reach the folders that the stack runs."""

import json
from pathlib import Path

import pytest

from local.debugging import PORT
from local.localstack.marks import MARK
from local.paths import ROOT
from local.watching import Place, carry_over, look, places


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
