"""The example events: real, harmless, and each used by a test."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.events import names
from tests.containers.expected import COUNTS, NO_STACK, OTHERS, STATUS
from tests.worlds.invocation import an_event

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
NAMES = names()
TESTS = "".join(
    path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py"))
)

every_event = pytest.mark.parametrize("name", NAMES)


def members(value: Any, name: str) -> list[Any]:
    """All values under that name, at any depth."""
    if isinstance(value, list):
        return [found for inner in value for found in members(inner, name)]
    if not isinstance(value, dict):
        return []
    own = [value[name]] if name in value else []
    return own + [found for inner in value.values() for found in members(inner, name)]


def test_every_function_has_its_events() -> None:
    assert {name.split(".")[0] for name in NAMES} == set(FUNCTIONS)


def test_every_event_has_an_expected_outcome_in_a_container() -> None:
    assert {*STATUS, *OTHERS, *COUNTS, *NO_STACK} == set(NAMES)


@every_event
def test_an_event_is_named_after_its_function_and_its_case_and_is_used(name: str) -> None:
    function, case = name.split(".")
    named = re.search(rf"\b{function}\b", TESTS)
    assert f'"{name}"' in TESTS or (named and f'"{case}"' in TESTS)


@every_event
def test_an_event_holds_only_example_addresses_and_accounts(name: str) -> None:
    text = json.dumps(an_event(name))
    assert set(re.findall(r"[\w.+-]+@([\w.-]+\w)", text)) <= {"example.com"}
    assert set(re.findall(r"\b\d{1,3}(?:\.\d{1,3}){3}\b", text)) <= {"192.0.2.10"}  # RFC 5737
    assert set(re.findall(r"arn:aws:[a-z-]+:[a-z0-9-]*:(\d*):", text)) <= {"123456789012"}


def test_no_two_events_are_the_same_request() -> None:
    for identifier in ("requestId", "messageId", "RequestId"):
        ids = [found for name in NAMES for found in members(an_event(name), identifier)]
        assert len(set(ids)) == len(ids) > 0
