"""Check an account before a deployment: `python -m tools.preflight dev`. A problem ends with status 1."""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.paths import ROOT
from local.processes import StackError
from local.progress import complain, done, note
from reservations.domain.errors import SettingsError
from tools.preflight import account, database, network
from tools.preflight.stage import Clients, Finding, Problem, Stage, read_stage, region_of

CHECKS: dict[str, Callable[[Stage], Iterator[Finding]]] = {
    "the stack": account.check_stack,
    "the parameters": account.check_parameters,
    "concurrency": account.check_concurrency,
    "the log role": account.check_log_role,
    "settings": account.check_settings,
    "mail": account.check_mail,
    "alarms": account.check_alarms,
    "the origin": account.check_origin,
    "the network": network.check_network,
    "the database": database.check_database,
}
_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3})


def findings(name: str, clients: Clients, folder: Path = ROOT) -> Iterator[Finding]:
    """Everything that these checks find, in their order."""
    try:
        stage = read_stage(name, cache(clients), folder)
    except StackError as error:
        yield Problem(str(error), error.remedy)
        return
    except FileNotFoundError as error:
        file = Path(error.filename).name
        yield Problem(
            f"{file} is missing.",
            f"touch {file}\n# docs/despliegue-aws.md, section 2, lists its lines.",
        )
        return
    try:
        clients("sts").get_caller_identity()
    except (BotoCoreError, ClientError):
        yield Problem("AWS accepts no credentials of this shell.", "aws configure sso")
        return
    for what, check in CHECKS.items():
        yield from _guarded(what, check, stage)


def _guarded(
    what: str, check: Callable[[Stage], Iterator[Finding]], stage: Stage
) -> Iterator[Finding]:
    """A check that could not look is a problem."""
    try:
        yield from check(stage)
    except ClientError as error:
        operation, told = error.operation_name, error.response["Error"]
        refused = any(word in told["Code"] for word in ("Denied", "Unauthorized", "NotAuthorized"))
        yield Problem(
            f"Preflight could not look at {what}: {operation} answered {told['Code']}.",
            f"aws sts get-caller-identity\n# Allow {operation} to these credentials."
            if refused
            else f"make preflight STAGE={stage.name}\n# AWS says: {told.get('Message', '')}",
        )
    except (BotoCoreError, SettingsError) as error:
        yield Problem(
            f"Preflight could not look at {what}: {error}.", f"make preflight STAGE={stage.name}"
        )


def main(name: str) -> int:
    """Print what was found; return 1 if the deployment would fail."""

    def clients(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service, by name
            region_name=region_of(name),
            config=_CONFIG,
        )

    problems = 0
    for finding in findings(name, clients):
        if isinstance(finding, Problem):
            problems += 1
            complain(StackError(finding.text, remedy=finding.fix.replace("\n", "\n  ")))
        else:
            note(f"· {finding.text}")
    if problems:
        note(f"{problems} to fix before STAGE={name} can be deployed.")
        return 1
    done(f"STAGE={name} can be deployed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
