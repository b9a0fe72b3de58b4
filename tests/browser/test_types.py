"""The page keeps to the contract: its types come from the English one, those of the clients from the Spanish one."""

import os
import subprocess

from local.paths import ROOT, STATE, VENVS

TOOLS = STATE / "node" / "clients" / "node_modules" / ".bin"
TYPES = STATE / "web" / "contract.d.ts"


def run(*command: object) -> subprocess.CompletedProcess[str]:
    path = f"{VENVS / 'node' / 'bin'}:{os.environ['PATH']}"
    words = [str(word) for word in command]
    return subprocess.run(
        words,
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_fits_the_types_of_the_contract() -> None:
    generated = run(TOOLS / "openapi-typescript", "docs/contratos/openapi.en.yaml", "-o", TYPES)
    assert generated.returncode == 0, generated.stderr

    checked = run(TOOLS / "tsc", "-p", "web")

    assert checked.stdout == ""
    assert checked.returncode == 0
