"""Lookups in `template.yaml` and `samconfig.toml`, shared by the tests of the template."""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from local.template import name_of, resources, template

__all__ = [
    "ROOT",
    "functions",
    "logical_id",
    "metrics_explained",
    "name_of",
    "resources",
    "samconfig",
    "stacks",
    "statements",
    "template",
]

ROOT = Path(__file__).parents[2]


def functions() -> dict[str, dict[str, Any]]:
    """The functions' properties by folder, merged with the globals."""
    shared = template()["Globals"]["Function"]
    return {
        Path(own["CodeUri"]).name: shared | own
        for own in resources("AWS::Serverless::Function").values()
    }


def logical_id(folder: str) -> str:
    """`process_payment` becomes ProcessPaymentFunction."""
    return "".join(word.title() for word in folder.split("_")) + "Function"


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """A function's own policy statements, without SAM's policy templates."""
    return [
        statement
        for policy in properties.get("Policies", [])
        for statement in policy.get("Statement", [])
    ]


@cache
def metrics_explained() -> frozenset[str]:
    """The names of our metrics, as docs/06 lists them."""
    text = (ROOT / "docs/06-qa-testing.md").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def samconfig() -> dict[str, Any]:
    return tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))


def stacks() -> dict[str, str]:
    """The stack name of each stage that `sam deploy` knows."""
    return {
        stage: commands["deploy"]["parameters"]["stack_name"]
        for stage, commands in samconfig().items()
        if stage != "version" and "deploy" in commands
    }
