"""The HTTP contract as a judge: any answer of the API against `docs/contratos/openapi.yaml`."""

from functools import cache
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

from local.paths import ROOT

_STAGE = "/live"  # of the API; the contract's paths begin after it
_NOWHERE = {"404": {"$ref": "#/components/responses/NotFound"}}  # every route that is not ours
_ANOTHER_METHOD = {"405": {"$ref": "#/components/responses/MethodNotAllowed"}}


def judge(response: httpx.Response) -> None:
    """Assert that an answer is one the contract declares: status, headers, media type and body."""
    response.read()
    declared = _declared(response.request, str(response.status_code))
    for name, header in declared.get("headers", {}).items():
        _judge_header(name, _follow(header), response.headers.get(name))
    content = declared.get("content")
    if content is None:
        assert not response.content
        return
    media_type = response.headers["content-type"].partition(";")[0]
    assert media_type in content, media_type
    obeys(content[media_type]["schema"], response.json())


def obeys(schema: dict[str, Any], value: object) -> None:
    """Assert that a value is what a schema of the contract says; references are the document's."""
    within = {"components": _document()["components"], **schema}
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator(within, format_checker=checker).validate(value)


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _declared(request: httpx.Request, status: str) -> dict[str, Any]:
    responses = _responses(request.method, request.url.path.partition(_STAGE)[2])
    assert status in responses, f"{request.method} {request.url.path}: {status} is not declared"
    return _follow(responses[status])


def _responses(method: str, path: str) -> dict[str, Any]:
    parts = path.split("/")
    for template, operations in _document()["paths"].items():
        names = template.split("/")
        if len(names) == len(parts) and all(
            name == part or name.startswith("{") for name, part in zip(names, parts, strict=True)
        ):
            return dict(operations.get(method.lower(), {}).get("responses", _ANOTHER_METHOD))
    return _NOWHERE


def _judge_header(name: str, header: dict[str, Any], value: str | None) -> None:
    if value is None:
        assert not header.get("required"), f"{name} is missing"
        return
    numeric = header["schema"].get("type") == "integer"
    obeys(header["schema"], int(value) if numeric else value)


def _follow(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: Any = _document()
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


@cache
def _document() -> dict[str, Any]:
    path = ROOT / "docs" / "contratos" / "openapi.yaml"
    document: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return document
