"""Rehearse the deployed version of a stage: `python -m tools.rehearse dev`, the last step of `make deploy`."""

import json
import sys
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.processes import StackError
from local.progress import complain, done
from local.template import resources
from tools.preflight.stage import Clients, region_of

_CONFIG = Config(connect_timeout=5, read_timeout=310, retries={"total_max_attempts": 1})


def hook_of(stage: str) -> str:
    """The name of the stage's hook, as the template gives it."""
    name: str = resources("AWS::Serverless::Function")["RehearseReleaseFunction"]["FunctionName"][
        "Fn::Sub"
    ]
    return name.replace("${Stage}", stage)


def rehearse(stage: str, clients: Clients) -> None:
    """Invoke the hook directly, so that no deployment hears its verdict.

    Raises:
        StackError: a function failed its trial, or the hook did not run.
    """
    try:
        answered = clients("lambda").invoke(FunctionName=hook_of(stage), Payload=b"{}")
    except (BotoCoreError, ClientError) as error:
        reason = error.response["Error"]["Code"] if isinstance(error, ClientError) else error
        raise StackError(
            f"The rehearsal could not be started: {reason}.",
            remedy=f"make rehearse STAGE={stage}, with credentials that may invoke {hook_of(stage)}",
        ) from error
    verdict = json.loads(answered["Payload"].read())
    if answered.get("FunctionError") or not verdict["passed"]:
        failed = verdict.get("failed") or "rehearse_release"
        raise StackError(
            f"{failed} failed its rehearsal.",
            remedy=f"Read its log group. After the first deployment, write /reservations/{stage}/public-base-url"
            f" (docs/despliegue-aws.md, section 4), then: make rehearse STAGE={stage}",
        )


def main(stage: str) -> int:
    def clients(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service, by name
            region_name=region_of(stage),
            config=_CONFIG,
        )

    try:
        rehearse(stage, clients)
    except StackError as error:
        complain(error)
        return 1
    done(f"STAGE={stage} passed its rehearsal.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
