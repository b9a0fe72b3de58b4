"""Clients that others generate from the contract compile, and make a reservation on the stack."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.paths import ROOT, STATE, VENVS
from tests.e2e.travel import PATIENCE_SECONDS, a_request, quoted

pytestmark = pytest.mark.timeout(2 * PATIENCE_SECONDS)

CONTRACT = str(ROOT / "docs" / "contratos" / "openapi.yaml")
USES = ROOT / "tests" / "clients"
TOOLS = STATE / "node" / "clients"  # a module is found above the file that imports it
WORKSHOP = TOOLS / "workshop"
GENERATED = WORKSHOP / "generated"
BIN = TOOLS / "node_modules" / ".bin"
PYTHON = VENVS / "clients" / "bin"
ENVIRONMENT = {**os.environ, "PATH": f"{VENVS / 'node' / 'bin'}:{PYTHON}:{os.environ['PATH']}"}

RUN = (
    'require("./built/" + process.argv[1]).travel().then((end) => console.log(JSON.stringify(end)))'
)
TRIPS: dict[str, list[str | Path]] = {
    **{name: ["node", "-e", RUN, name] for name in ("hey-api", "orval", "openapi-fetch")},
    "openapi-python-client": [PYTHON / "python", "python_client.py"],
}


def run(*command: str | Path, **variables: str) -> str:
    """Run a command in the workshop, and return its output."""
    done = subprocess.run(
        command,
        cwd=WORKSHOP,
        env={**ENVIRONMENT, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def workshop(steady_stack: dict[str, Any]) -> Iterator[None]:
    """The four clients, generated and compiled."""
    shutil.rmtree(WORKSHOP, ignore_errors=True)
    shutil.copytree(USES, WORKSHOP, ignore=shutil.ignore_patterns("package*.json", "*.pyc"))
    config = f"""export default {{ api: {{ input: {CONTRACT!r}, output: {{
        target: "generated/orval/api.ts", client: "fetch", baseUrl: {steady_stack["api_url"]!r} }} }} }}"""
    (WORKSHOP / "orval.config.mjs").write_text(config)
    schema, sdk = GENERATED / "openapi-typescript/schema.d.ts", GENERATED / "hey-api"
    python = ("openapi-python-client", "generate", "--meta", "none", "--fail-on-warning", "--path")
    generators = [
        (BIN / "openapi-ts", "-i", CONTRACT, "-o", sdk),
        (BIN / "orval", "--config", "orval.config.mjs"),
        (BIN / "openapi-typescript", CONTRACT, "-o", schema),
        (*python, CONTRACT, "--output-path", WORKSHOP / "reservations_client"),
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda command: run(*command), generators))
    run(BIN / "tsc", "--project", ".")
    yield
    shutil.rmtree(WORKSHOP)


@pytest.mark.usefixtures("workshop")
def test_every_generated_client_makes_a_reservation(
    steady_stack: dict[str, Any], api: httpx.Client
) -> None:
    variables = {"API_URL": steady_stack["api_url"], "API_KEY": steady_stack["api_keys"]["web"]}

    def travel(name: str) -> dict[str, Any]:
        request = json.dumps(quoted(api, a_request()))
        end: dict[str, Any] = json.loads(run(*TRIPS[name], REQUEST=request, **variables))
        return end

    with ThreadPoolExecutor() as pool:
        ends = dict(zip(TRIPS, pool.map(travel, TRIPS), strict=True))

    for name, end in ends.items():
        assert (end["status"], end["closed_reason"], end["documents"]) == ("CONFIRMADA", None, 1), (
            name
        )
        assert end["supplier_locator"], name
