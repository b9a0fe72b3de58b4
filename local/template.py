"""`template.yaml`, read as CloudFormation reads it: `!Ref X` is {"Ref": "X"}, and so on."""

from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

SIZES = ("small", "middle", "large")
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


def in_size(value: Any, size: str = "middle") -> int | None:
    """Return the number of places that the template gives by size; `None` if it gives none."""
    match value:
        case {"Fn::If": ["WithPlaces", reserved, _]}:
            return in_size(reserved, size) if size != "small" else None
        case {"Fn::FindInMap": ["Places", {"Ref": "Size"}, key]}:
            most: int = template()["Mappings"]["Places"][size][key]
            return most
    raise ValueError(f"not by size: {value}")
