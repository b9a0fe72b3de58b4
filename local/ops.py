"""Run operator commands on the stack of this machine: `python -m local.ops COMMAND`."""

import os
import sys
from typing import Any, NoReturn

from local.deployment import BUCKET_ADDRESSING, STACK, STAGE
from local.paths import ROOT, STACK_FILE, read_json


def environment(stack: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables of `ops` for a described stack."""
    return {
        "OPS_STAGE": os.environ.get("OPS_STAGE", stack.get("stage", STAGE)),
        "OPS_STACK": os.environ.get("OPS_STACK", STACK),
        "PYTHONPATH": str(ROOT / "layers" / "core"),
        "AWS_ENDPOINT_URL": stack["aws_endpoint_url"],
        "AWS_DEFAULT_REGION": stack["region"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **BUCKET_ADDRESSING,
    }


def main(arguments: list[str]) -> NoReturn:
    """Replace this process by the command."""
    stack = read_json(STACK_FILE)
    if "aws_endpoint_url" not in stack:
        sys.exit("✗ The stack is not up.\n  Start it with: make up")
    command = [sys.executable, "-m", "ops", *arguments]
    os.execve(sys.executable, command, os.environ | environment(stack))


if __name__ == "__main__":
    main(sys.argv[1:])
