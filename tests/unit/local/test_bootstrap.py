"""Environments that `local/bootstrap.sh` makes."""

import re
import sys

from local.paths import ROOT, VENVS


def test_the_python_of_the_machine_chooses_the_release_of_localstack() -> None:
    """The last open release needs Python 3.12. An older Python gets the one before."""
    lock = "localstack-2026" if sys.version_info >= (3, 12) else "localstack"
    text = (ROOT / "local" / "locks" / f"{lock}.lock").read_text(encoding="utf-8")
    locked = re.findall(r"^localstack-core==(\S+)", text, re.MULTILINE)

    installed = VENVS.glob("localstack/lib/python*/site-packages/localstack_core-*.dist-info")

    assert [path.stem.partition("-")[2] for path in installed] == locked
