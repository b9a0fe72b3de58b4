"""Requests and answers compared with a committed OpenAPI document."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import httpx
import yaml
from jsonschema import Draft202012Validator

from local.paths import ROOT


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """Close the open answers of our contract, so that an undocumented member is found.

    A schema that others extend stays open: check those with `unevaluatedProperties`.
    """
    schemas = document["components"]["schemas"]
    extended = {
        part.get("$ref", "").rpartition("/")[2]
        for schema in schemas.values()
        for part in schema.get("allOf", [])
    }
    for name, schema in schemas.items():
        if "properties" in schema and name not in extended:
            schema.setdefault("additionalProperties", False)
    return document


class Contract:
    """`payments-openapi.yaml`, `supplier-openapi.yaml` or, without a name, our own `openapi.yaml`.

    Answers of ours have documented members only.
    """

    def __init__(self, name: str = "") -> None:
        path = ROOT / "docs" / "contratos" / "-".join(filter(None, (name, "openapi.yaml")))
        document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        self.document = document if name else closed(document)
        self._answers = {} if name else {"unevaluatedProperties": False}

    def operations(self) -> set[tuple[str, str]]:
        return {
            (method.upper(), path)
            for path, methods in self.document["paths"].items()
            for method in methods
        }

    def check(self, request: httpx.Request, response: httpx.Response) -> None:
        """Assert that a request and its answer are as documented."""
        operation = self.path(request.url.path)[request.method.lower()]
        assert request.headers["Authorization"].startswith("Bearer ")
        self._check_parameters(operation, request)
        if "requestBody" in operation:
            self._check_content(operation["requestBody"], request.content)
        else:
            assert request.content == b""
        self.check_answer(request, response)

    def check_answer(self, request: httpx.Request, response: httpx.Response) -> None:
        """Assert only that the answer is documented, whatever the request."""
        operation = self.path(request.url.path)[request.method.lower()]
        self.check_response(operation["responses"], response)

    def check_response(self, responses: Mapping[str, Any], response: httpx.Response) -> None:
        """Assert that an answer is one of `responses`: status, headers, media type and body."""
        status = str(response.status_code)
        assert status in responses, f"{status} is not documented"
        documented = self.follow(responses[status])
        for name, header in documented.get("headers", {}).items():
            self._check_header(name, self.follow(header), response.headers.get(name))
        if "content" not in documented or response.request.method == "HEAD":
            assert not response.content
            return
        media_type = response.headers["content-type"].partition(";")[0]
        assert media_type in documented["content"], media_type
        schema = documented["content"][media_type]["schema"]
        self.validate(schema | self._answers, response.json())

    def check_webhook(self, name: str, headers: Mapping[str, str], body: bytes) -> Any:
        """Assert that a webhook is as announced; return its body."""
        operation = self.document["webhooks"][name]["post"]
        for parameter in map(self.follow, operation["parameters"]):
            self.validate(parameter["schema"], headers[parameter["name"]])
        return self._check_content(operation["requestBody"], body)

    def validate(self, schema: Mapping[str, Any], value: object) -> None:
        within = {"components": self.document["components"], **schema}
        checker = Draft202012Validator.FORMAT_CHECKER
        Draft202012Validator(within, format_checker=checker).validate(value)

    def path(self, path: str) -> dict[str, Any]:
        """The operations of a path by method; empty if the path is unknown."""
        parts = path.split("/")
        for template, operations in self.document["paths"].items():
            names = template.split("/")
            if len(names) == len(parts) and all(
                name == part or name.startswith("{")
                for name, part in zip(names, parts, strict=True)
            ):
                return dict(operations)
        return {}

    def follow(self, node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in node:
            return node
        found: Any = self.document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)

    def _check_header(self, name: str, header: dict[str, Any], value: str | None) -> None:
        if value is None:
            assert not header.get("required"), f"{name} is missing"
            return
        numeric = header["schema"].get("type") == "integer"
        self.validate(header["schema"], int(value) if numeric else value)

    def _check_parameters(self, operation: Mapping[str, Any], request: httpx.Request) -> None:
        query = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        given = {"header": request.headers, "query": query}
        parameters = [self.follow(parameter) for parameter in operation["parameters"]]
        for parameter in parameters:
            value = given.get(parameter["in"], {}).get(parameter["name"])
            if value is not None:
                self.validate(parameter["schema"], value)
            else:
                assert parameter["in"] == "path" or not parameter["required"], parameter["name"]
        assert set(query) <= {known["name"] for known in parameters}

    def _check_content(self, documented: Mapping[str, Any], content: bytes) -> Any:
        body = httpx.Response(200, content=content).json()
        self.validate(documented["content"]["application/json"]["schema"], body)
        return body
