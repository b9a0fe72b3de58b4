"""Test the running stack with schemathesis: `python -m tools.fuzz [its options]`.

Valid and invalid requests, alone and in sequences, must only get answers that the contract declares.
"""

import os
import subprocess
import sys

from local.paths import ROOT, STACK_FILE, VENVS, read_json
from local.processes import StackError
from local.progress import complain

SECONDS = 180
FUZZ = ROOT / "tests" / "fuzz"


def main() -> int:
    """Run schemathesis and return its exit code: not 0 if an answer broke the contract."""
    stack = read_json(STACK_FILE)
    if not stack:
        complain(StackError("The stack is not up.", remedy="Start it: make up"))
        return 1
    environment = os.environ | {
        "API_KEY": stack["api_keys"]["partner"],  # it needs no quote, which no schema can sign
        "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
    }
    program = str(VENVS / "security" / "bin" / "schemathesis")
    command = [program, "--config-file", str(FUZZ / "schemathesis.toml")]
    command += ["run", str(ROOT / "docs/contratos/openapi.yaml"), "--url", stack["api_url"]]
    command += ["--checks", "all", "--max-time", str(SECONDS), *sys.argv[1:]]
    return subprocess.call(command, env=environment)


if __name__ == "__main__":
    sys.exit(main())
