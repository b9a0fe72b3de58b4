"""A contract of `docs/contratos`, compared with answers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from local.paths import ROOT


class Contract:
    """`payments-openapi.yaml` or `supplier-openapi.yaml`."""

    def __init__(self, provider: str) -> None:
        self.path: Path = ROOT / "docs" / "contratos" / f"{provider}-openapi.yaml"
        self._document: dict[str, Any] = yaml.safe_load(self.path.read_text("utf-8"))

    def deviation(
        self, method: str, path: str, *, status: int, headers: Mapping[str, str], body: Any
    ) -> str | None:
        """Return the difference between an answer and the contract. `body` is `None` if it was no JSON."""
        operation = self._operation(method, path)
        if str(status) not in operation["responses"]:
            return f"status {status} is not declared"
        declared = self._follow(operation["responses"][str(status)])
        for name, header in declared.get("headers", {}).items():
            if self._follow(header).get("required") and name not in headers:
                return f"{status} without {name}"
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/json":
            return f"{status} is {kind or 'of no type'}, not application/json"
        schema = declared["content"]["application/json"]["schema"]
        within = {"components": self._document["components"], **schema}
        validator = Draft202012Validator(within, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for error in validator.iter_errors(body):
            where = ".".join(str(part) for part in error.absolute_path) or "body"
            return f"{status}: {where} breaks `{error.validator}`"
        return None

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        for template, operations in self._document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                return dict(operations[method.lower()])
        raise LookupError(f"{method} {path} is in no contract")

    def _follow(self, node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in node:
            return node
        found: Any = self._document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)
