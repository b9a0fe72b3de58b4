"""`template.yaml`, read as CloudFormation reads it: `!Ref X` is {"Ref": "X"}, and so on."""

from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

TEMPLATE = Path(__file__).parents[1] / "template.yaml"


@cache
def template() -> dict[str, Any]:
    document: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))
    return document


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Return the properties of the resources of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template()["Resources"].items()
        if resource["Type"] == kind
    }


def name_of(reference: Any) -> str:
    """Return the logical id in a `!Ref` or `!GetAtt`."""
    if "Ref" in reference:
        return str(reference["Ref"])
    return str(reference["Fn::GetAtt"][0])
