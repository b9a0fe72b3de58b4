"""A stage: its stack, the parameters that `sam deploy` will send, and the resources that exist."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from local.paths import ROOT
from local.processes import StackError
from local.template import in_size, resources, template
from ops.aws import resources_of
from tools.documents import sources

Clients = Callable[[str], Any]

_SETTING = re.compile(r"parameter/reservations/\$\{Stage\}/([a-z-]+)")


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why the deployment would fail or serve nobody, and the commands that remove it.

    Each line of `fix` can be pasted into a shell: prose is a comment.
    """

    text: str
    fix: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the reader that stops nothing."""

    text: str


Finding = Problem | Notice


@dataclass(frozen=True)
class Stage:
    """A stage as `samconfig.toml` and its parameter file describe it."""

    name: str
    stack: str
    region: str
    given: Mapping[str, Any]
    file: Path
    clients: Clients

    def value(self, parameter: str) -> str:
        """The parameter's value: the last one given, else the template's default."""
        declared = template()["Parameters"][parameter]
        return str(self.given.get(parameter, declared.get("Default", "")))

    def values(self, parameter: str) -> list[str]:
        """A list parameter, which a file writes as a list or separated by commas."""
        given = self.given.get(parameter, [])
        parts = given.split(",") if isinstance(given, str) else given
        return [str(each).strip() for each in parts if str(each).strip()]

    def edit(self, line: str) -> str:
        """The fix that writes a line into the parameter file. SAM refuses a file with a name twice."""
        name = line.partition(":")[0]
        write = f"echo '{line}' >> {self.file.name}"
        # An indented line, or an item of a list, belongs to the name above it.
        remove = f"sed -i '/^{name}:/,/^[^ -]/{{/^{name}:/d;/^[ -]/d}}' {self.file.name}"
        return f"{remove} && {write}" if name in self.given else write

    @cached_property
    def _stack(self) -> Mapping[str, Any]:
        try:
            [stack] = self.clients("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return {}
            raise
        return dict(stack)

    @property
    def status(self) -> str:
        """The status of the stack; empty before the first deployment."""
        return str(self._stack.get("StackStatus", ""))

    @property
    def unset(self) -> list[str]:
        """Parameters of the template with no value: given, by default, or of the last deployment."""
        kept = {each["ParameterKey"] for each in self._stack.get("Parameters", [])}
        declared = template()["Parameters"].items()
        known = self.given.keys() | kept
        return [name for name, each in declared if "Default" not in each and name not in known]

    @cached_property
    def deployed(self) -> Mapping[str, str]:
        """Physical ids by logical id; empty before the first deployment."""
        if not self.status:
            return {}
        return resources_of(self.clients("cloudformation"), self.stack)

    @property
    def reserved(self) -> int:
        """Concurrent executions that the template reserves in this size."""
        return sum(
            in_size(given, self.value("Size")) or 0
            for properties in resources("AWS::Serverless::Function").values()
            if (given := properties.get("ReservedConcurrentExecutions"))
        )

    @property
    def settings(self) -> set[str]:
        """Names of the parameters in Parameter Store that this stage must bring."""
        read = set(_SETTING.findall(str(template()["Resources"])))
        return read - set(self._written()) - _optional()

    def _written(self) -> Iterator[str]:
        for name, properties in resources("AWS::SSM::Parameter").items():
            if name != "DatabaseUrl" or self.value("DatabaseResourceId"):
                yield properties["Name"]["Fn::Sub"].rpartition("/")[2]
        if not self.deployed:
            yield "public-base-url"  # an output of the first deployment


def _optional() -> set[str]:
    return {
        model.parameter(name).replace("_", "-")
        for model in sources()
        for name, field in model.model_fields.items()
        if not field.is_required()
    }


def _deploy(name: str, folder: Path) -> dict[str, Any]:
    config = tomllib.loads((folder / "samconfig.toml").read_text(encoding="utf-8"))
    if name not in config or "deploy" not in config[name]:
        raise StackError(f"samconfig.toml has no stage {name}.", remedy="STAGE=dev or STAGE=prod")
    found: dict[str, Any] = config[name]["deploy"]["parameters"]
    return found


def region_of(name: str) -> str:
    """The region that a stage is deployed to.

    Raises:
        StackError: no such stage.
    """
    return str(_deploy(name, ROOT)["region"])


def read_stage(name: str, clients: Clients, folder: Path = ROOT) -> Stage:
    """Read a stage from `samconfig.toml` and the files that it names.

    Raises:
        StackError: no such stage.
        FileNotFoundError: its parameter file is missing.
    """
    deploy = _deploy(name, folder)
    given: dict[str, Any] = {}
    file = folder / f"{name}.parameters.yaml"
    for override in deploy["parameter_overrides"]:
        path = folder / override.removeprefix("file://")
        if path == file or (override.startswith("file://") and path.exists()):
            given |= yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        elif "=" in override:
            key, _, value = override.partition("=")
            given[key] = value
    return Stage(name, deploy["stack_name"], deploy["region"], given, file, clients)
