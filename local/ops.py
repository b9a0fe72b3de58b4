"""Run operator commands: `python -m local.ops COMMAND`.

They work on the stack of this machine. With OPS_STAGE, or with `--stage`, they work on a deployment in
AWS, by the credentials of the AWS SDK.
"""

import os
import sys
from typing import Any

from local.paths import BUCKET_ADDRESSING, FUNCTION_LOGS, ROOT, STACK, STACK_FILE, STAGE, read_json

_ELSEWHERE = "STACK_FILE"  # of containers, whose logs are in LocalStack


def environment(stack: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables of `ops` for a described stack."""
    logs = {} if _ELSEWHERE in os.environ else {"OPS_LOGS": str(FUNCTION_LOGS)}
    return {
        "OPS_STAGE": os.environ.get("OPS_STAGE", stack.get("stage", STAGE)),
        "OPS_STACK": os.environ.get("OPS_STACK", STACK),
        "AWS_ENDPOINT_URL": stack["aws_endpoint_url"],
        "AWS_DEFAULT_REGION": stack["region"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **logs,
        **BUCKET_ADDRESSING,
    }


def prepare(arguments: list[str]) -> None:
    """Point this process at the stack, unless another stage was asked for."""
    sys.path.insert(0, str(ROOT / "layers" / "core"))
    stack = read_json(STACK_FILE)
    here = stack.get("stage", STAGE)
    if "--stage" in arguments or os.environ.get("OPS_STAGE", here) != here:
        return
    if "aws_endpoint_url" not in stack:
        print("✗ The stack is not up.\n  Start it with: make up", file=sys.stderr)
        sys.exit(2)  # as a refusal of `ops`
    os.environ.update(environment(stack))


def main(arguments: list[str]) -> None:
    prepare(arguments)
    from ops.__main__ import ops

    ops(arguments, prog_name="ops")


if __name__ == "__main__":
    main(sys.argv[1:])
