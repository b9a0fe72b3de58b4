"""The deployed functions write down their crossings, to be held against the list of the crash matrix."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.deployment import STACK, client
from local.paths import ROOT
from local.template import resources

_INSIDE = Path(__file__).with_name("inside")


@contextmanager
def witnessed(endpoint: str) -> Iterator[Path]:
    """Give the file to which every function of the stack adds `function | crossing`, each once a process.

    Their configuration is changed for it, by Lambda's own API, and is as before afterwards.
    """
    aws, functions = client("lambda", endpoint), _functions(endpoint)
    with TemporaryDirectory() as folder:
        log = Path(folder, "crossings")
        log.touch(mode=0o600)
        before = {name: _variables(aws, name) for name in functions}
        for name, function in functions.items():
            more = {
                "PYTHONPATH": os.pathsep.join(map(str, (_INSIDE, ROOT))),
                "CROSSINGS_OF": function,
                "CROSSINGS_LOG": str(log),
            }
            _set(aws, name, before[name] | more)
        try:
            yield log
        finally:
            for name, variables in before.items():
                _set(aws, name, variables)


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
    }


def _variables(aws: Any, name: str) -> dict[str, str]:
    configuration = aws.get_function_configuration(FunctionName=name)
    return dict(configuration.get("Environment", {}).get("Variables", {}))


def _set(aws: Any, name: str, variables: dict[str, str]) -> None:
    aws.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    aws.get_waiter("function_updated_v2").wait(
        FunctionName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 150}
    )
