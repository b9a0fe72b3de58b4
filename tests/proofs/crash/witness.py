"""Make the deployed functions log their crossings, for comparison with the list of the crash matrix."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.deployment import client
from local.paths import ROOT, STACK
from local.template import resources

_INSIDE = Path(__file__).with_name("inside")
_OURS = ("PYTHONPATH", "CROSSINGS_OF", "CROSSINGS_LOG")


@contextmanager
def witnessed(endpoint: str) -> Iterator[Path]:
    """Yield the file to which every function of the stack adds `function | crossing`, once per process.

    Lambda's own API changes the functions' configuration for it, and restores it afterwards.
    """
    aws, functions = client("lambda", endpoint), _functions(endpoint)
    with TemporaryDirectory() as folder:
        log = Path(folder, "crossings")
        log.touch(mode=0o600)
        before = {name: _variables(aws, name) for name in functions}
        path = os.pathsep.join(map(str, (_INSIDE, ROOT)))
        witnesses = {
            name: before[name] | dict(zip(_OURS, (path, function, str(log)), strict=True))
            for name, function in functions.items()
        }
        [poller] = (name for name, function in functions.items() if function == "poll_outbox")
        _replace(aws, witnesses, poller=poller)
        try:
            yield log
        finally:
            _replace(aws, before, poller=poller)


def _functions(endpoint: str) -> dict[str, str]:
    """The folder of each function, by its name in Lambda."""
    cloudformation = client("cloudformation", endpoint)
    names = {
        row["LogicalResourceId"]: row["PhysicalResourceId"]
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
        for row in page["StackResourceSummaries"]
    }
    return {
        names[logical]: Path(properties["CodeUri"]).name
        for logical, properties in resources("AWS::Serverless::Function").items()
        if logical in names  # a stack without CodeDeploy has no rehearsal
    }


def _variables(aws: Any, name: str) -> dict[str, str]:
    """The variables of a function, without those that an interrupted run left."""
    configuration = aws.get_function_configuration(FunctionName=name)
    variables = configuration.get("Environment", {}).get("Variables", {})
    return {name: value for name, value in variables.items() if name not in _OURS}


def _replace(aws: Any, variables_of: dict[str, dict[str, str]], *, poller: str) -> None:
    """Give each function other variables. Invoke the poller, which its rule would leave idle for a minute."""
    for name, variables in variables_of.items():
        aws.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    for name in variables_of:
        aws.get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 150}
        )
    aws.invoke(FunctionName=poller, InvocationType="Event", Payload=b"{}")
