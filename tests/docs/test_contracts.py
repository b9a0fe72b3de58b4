"""The contracts are valid documents, and every example in them obeys its own schema."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

from local.paths import ROOT, STATE, VENVS
from reservations.domain.codes import canonical, display

CONTRACTS = ROOT / "docs" / "contratos"
OPENAPI = sorted(CONTRACTS.glob("*.yaml"))
OURS = [CONTRACTS / "openapi.yaml", CONTRACTS / "openapi.en.yaml"]
MESSAGES = sorted((CONTRACTS / "mensajes").glob("*.schema.json"))

_COMPONENT = re.compile(r"#/components/[A-Za-z]+/[A-Za-z0-9_]+")
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


@cache
def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a local reference. Return any other node unchanged."""
    reference = node.get("$ref")
    if reference is None:
        return node
    target: Any = document
    for step in reference.removeprefix("#/").split("/"):
        target = target[step]
    return resolve(document, target)


def media_types(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every request and response body, with a name for the report."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method not in METHODS:
                continue
            bodies = [("request", operation["requestBody"])] if "requestBody" in operation else []
            bodies += list(operation["responses"].items())
            for label, body in bodies:
                for content in resolve(document, body).get("content", {}).values():
                    yield f"{method} {path} {label}", content


def examples_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], object]]:
    """Every example of a body or a schema: its name, the schema it must obey, and its value."""
    for name, content in media_types(document):
        for example in content.get("examples", {}).values():
            yield name, content["schema"], resolve(document, example)["value"]
    for name, schema in document["components"]["schemas"].items():
        for value in schema.get("examples", []):
            yield name, schema, value


def violations(document: dict[str, Any], schema: dict[str, Any], value: object) -> list[str]:
    within = {"components": document.get("components", {}), **schema}
    validator = Draft202012Validator(within, format_checker=FormatChecker())
    return [error.message for error in validator.iter_errors(value)]


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    paths = load(CONTRACTS / "openapi.yaml")["paths"]
    return {
        (method, path): operation
        for path, item in paths.items()
        for method, operation in item.items()
        if method in METHODS
    }


@pytest.mark.parametrize("path", OPENAPI, ids=lambda path: path.name)
def test_the_contract_is_valid_openapi(path: Path) -> None:
    validate(load(path), base_uri=path.as_uri())


@pytest.mark.parametrize(
    "command",
    [
        ["redocly", "lint", "--extends=recommended-strict"],
        ["spectral", "lint", "--fail-severity=hint", "--ruleset=tests/clients/spectral.yaml"],
    ],
    ids=lambda command: command[0],
)
def test_the_linters_of_others_find_nothing_in_our_contract(command: list[str]) -> None:
    tool, *arguments = command
    result = subprocess.run(
        [STATE / "node/clients/node_modules/.bin" / tool, *arguments, *OURS],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{VENVS / 'node' / 'bin'}:{os.environ['PATH']}",
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", OPENAPI, ids=lambda path: path.name)
def test_every_reference_names_a_component(path: Path) -> None:
    """Client generators do not follow a reference into a component (orval, openapi-python-client)."""
    targets = re.findall(r"\$ref: *['\"]?([^'\"}\s]+)", path.read_text(encoding="utf-8"))

    assert targets
    assert [target for target in targets if not _COMPONENT.fullmatch(target)] == []


@pytest.mark.parametrize("path", OPENAPI, ids=lambda path: path.name)
def test_every_example_obeys_its_schema(path: Path) -> None:
    document = load(path)
    examples = list(examples_of(document))
    assert examples
    for name, schema, value in examples:
        assert violations(document, schema, value) == [], name


def test_every_operation_says_how_it_fails() -> None:
    for name, operation in operations().items():
        assert {"429", "503"} <= set(operation["responses"]), name
        assert "500" not in operation["responses"], name


def test_every_problem_code_has_one_example_and_no_other() -> None:
    document = load(CONTRACTS / "openapi.yaml")["components"]
    codes = document["schemas"]["ProblemCode"]["x-extensible-enum"]

    assert list(document["examples"]) == codes
    assert [example["value"]["code"] for example in document["examples"].values()] == codes


def test_a_problem_example_is_shown_only_where_its_status_is() -> None:
    document = load(CONTRACTS / "openapi.yaml")
    for (method, path), operation in operations().items():
        for status, response in operation["responses"].items():
            bodies = resolve(document, response).get("content", {})
            for example in bodies.get("application/problem+json", {}).get("examples", {}).values():
                value = resolve(document, example)["value"]
                assert str(value["status"]) == status, f"{method} {path}"


def test_every_reservation_code_in_the_contract_passes_its_check_symbol() -> None:
    text = (CONTRACTS / "openapi.yaml").read_text(encoding="utf-8")
    codes = set(re.findall(r"\b[2-9A-HJKMNP-Z]{5}-[2-9A-HJKMNP-Z]{5}-[2-9A-HJKMNP-Z]\b", text))
    assert codes
    for code in codes:
        assert display(canonical(code)) == code


def test_our_requests_refuse_unknown_members_and_our_answers_may_gain_some() -> None:
    schemas = load(CONTRACTS / "openapi.yaml")["components"]["schemas"]
    strict = {name for name, each in schemas.items() if each.get("additionalProperties") is False}

    assert strict == {"CreateReservation", "Customer", "Offer", "Money", "Lookup"}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("full_name", ""),
        ("full_name", "Ana\u0000Pérez"),
        ("full_name", "x" * 121),
        ("email", "x" * 255),
        ("phone", "600111222"),
        ("nickname", "Ani"),
    ],
)
def test_a_customer_out_of_bounds_is_refused(member: str, value: str) -> None:
    document = load(CONTRACTS / "openapi.yaml")
    customer = {"full_name": "Ana Pérez", "email": "ana@example.com", member: value}

    assert violations(document, document["components"]["schemas"]["Customer"], customer)


@pytest.mark.parametrize("amount", ["342,50", "-1.00", "1e3", "01.00", "342.5", "", "1.0000"])
def test_an_amount_that_is_not_plain_decimal_is_refused(amount: str) -> None:
    document = load(CONTRACTS / "openapi.yaml")
    money = {"amount": amount, "currency": "EUR"}

    assert violations(document, document["components"]["schemas"]["Money"], money)


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.name)
def test_the_message_schema_is_valid_and_so_are_its_examples(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))

    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    for example in schema["examples"]:
        validator.validate(example)
    assert schema["examples"]


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"message_id": "0195a0b0-1c2d-4e3f-8a4b-5c6d7e8f9a0c"},
        {"reservation_id": "7KQ2M-XD4RT-S"},
        {"type": "Payment Succeeded"},
        {"email": "ana@example.com"},
    ],
)
def test_a_hint_that_breaks_the_contract_is_refused(change: dict[str, object]) -> None:
    schema = json.loads((CONTRACTS / "mensajes" / "hint.schema.json").read_text(encoding="utf-8"))
    hint = {**schema["examples"][0], **change}

    assert not Draft202012Validator(schema).is_valid(hint)


def test_the_webhook_schema_is_the_same_in_both_contracts() -> None:
    schema = json.loads(
        (CONTRACTS / "mensajes" / "webhook.schema.json").read_text(encoding="utf-8")
    )
    inline = load(CONTRACTS / "openapi.yaml")["components"]["schemas"]["Webhook"]
    about_itself = {"$schema", "$id", "title", "examples"}

    assert {key: schema[key] for key in schema if key not in about_itself} == inline
