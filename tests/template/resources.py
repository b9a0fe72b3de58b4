"""`template.yaml`, read as CloudFormation reads it: `!Ref X` is {"Ref": "X"}, and so on."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


class _Loader(yaml.SafeLoader):
    """Knows the short forms of the intrinsic functions."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def template() -> dict[str, Any]:
    with (ROOT / "template.yaml").open(encoding="utf-8") as file:
        document: dict[str, Any] = yaml.load(file, Loader=_Loader)  # noqa: S506  # a safe one
    return document


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of the resources of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template()["Resources"].items()
        if resource["Type"] == kind
    }


def functions() -> dict[str, dict[str, Any]]:
    """The functions' properties by folder, with what the globals add."""
    shared = template()["Globals"]["Function"]
    return {
        Path(own["CodeUri"]).name: shared | own
        for own in resources("AWS::Serverless::Function").values()
    }


def logical_id(folder: str) -> str:
    """`process_payment` is ProcessPaymentFunction."""
    return "".join(word.title() for word in folder.split("_")) + "Function"


def name_of(reference: Any) -> str:
    """The logical id that a `!Ref` or `!GetAtt` means."""
    if "Ref" in reference:
        return str(reference["Ref"])
    return str(reference["Fn::GetAtt"][0])


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """A function's own policy statements; SAM's policy templates are left out."""
    return [
        statement
        for policy in properties.get("Policies", [])
        for statement in policy.get("Statement", [])
    ]
