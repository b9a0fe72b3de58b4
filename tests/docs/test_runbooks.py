"""Alarms, invariants and runbooks name each other, one to one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reservations.application.oversee import INVARIANTS

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
STAGE_5 = ROOT / "docs" / "05-tolerancia-fallos.md"
TEMPLATE = ROOT / "template.yaml"
ALARM = re.compile(r"`(\w+Alarm)`")


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short functions as what they are given."""


def _given(loader: Loader, _: str, node: yaml.Node) -> object:
    match node:
        case yaml.MappingNode():
            return loader.construct_mapping(node, deep=True)
        case yaml.SequenceNode():
            return loader.construct_sequence(node, deep=True)
        case _:
            return loader.construct_scalar(node)  # type: ignore[arg-type]


Loader.add_multi_constructor("!", _given)


def alarms() -> dict[str, dict[str, Any]]:
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader)  # noqa: S506
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def rows(path: Path) -> list[str]:
    """Table rows of the part that says what wakes somebody."""
    text = path.read_text(encoding="utf-8").split("## Síntomas y alarmas")[1].split("\n## ")[0]
    return [line for line in text.splitlines() if line.startswith("| ")]


def entries(path: Path) -> list[str]:
    """The alarms whose own entry is here: those named in the first column."""
    names = [ALARM.findall(row.split("|")[1]) for row in rows(path) if "](" not in row]
    return [name for row in names for name in row]


def test_each_alarm_has_one_entry_in_one_runbook_and_no_entry_is_idle() -> None:
    found = sorted(name for path in RUNBOOKS for name in entries(path))

    assert found == sorted(alarms())


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_an_alarm_sends_whoever_is_paged_to_the_runbook_that_has_its_entry(path: Path) -> None:
    sent = {name: alarm["AlarmDescription"] for name, alarm in alarms().items()}
    for name in entries(path):
        assert f"docs/runbooks/{path.name}" in sent[name], name


def test_each_alarm_stands_in_the_table_of_failures() -> None:
    table = STAGE_5.read_text(encoding="utf-8").split("Modos de fallo")[1].split("\n## ")[0]

    assert set(ALARM.findall(table)) == set(alarms())


def test_the_invariants_of_the_code_are_those_of_the_document() -> None:
    section = STAGE_5.read_text(encoding="utf-8").split("Invariantes\n")[1].split("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(INVARIANTS)
