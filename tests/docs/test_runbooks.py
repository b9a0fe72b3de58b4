"""Alarms, invariants and runbooks name each other, one to one."""

import re
from pathlib import Path
from typing import Any

import pytest

from local.template import resources
from reservations.application.oversee import INVARIANTS
from tests.template.resources import stacks

ROOT = Path(__file__).parents[2]
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
STAGE_5 = ROOT / "docs" / "05-tolerancia-fallos.md"
ALARM = re.compile(r"`(\w+Alarm)`")


def alarms() -> dict[str, dict[str, Any]]:
    """The alarms that page; a window of a composite alarm does not."""
    alone = resources("AWS::CloudWatch::Alarm")
    paging = {name: each for name, each in alone.items() if each.get("ActionsEnabled", True)}
    return paging | resources("AWS::CloudWatch::CompositeAlarm")


def entries(path: Path) -> list[str]:
    """The alarms that a heading of this runbook names."""
    text = path.read_text(encoding="utf-8").split("## Síntomas y alarmas")[1].split("\n## ")[0]
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    return [name for heading in headings for name in ALARM.findall(heading)]


def test_each_alarm_has_one_entry_in_one_runbook_and_no_entry_is_idle() -> None:
    found = sorted(name for path in RUNBOOKS for name in entries(path))

    assert found == sorted(alarms())


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_an_alarm_names_the_runbook_that_has_its_entry(path: Path) -> None:
    sent = {name: alarm["AlarmDescription"] for name, alarm in alarms().items()}
    for name in entries(path):
        assert f"docs/runbooks/{path.name}" in sent[name], name


def test_each_alarm_is_in_the_table_of_failures() -> None:
    table = STAGE_5.read_text(encoding="utf-8").split("Modos de fallo")[1].split("\n## ")[0]

    assert set(ALARM.findall(table)) == set(alarms())


def test_each_alarm_says_once_with_which_traffic_it_works() -> None:
    text = STAGE_5.read_text(encoding="utf-8")
    section = text.split("### Tráfico con que funciona cada alarma")[1].split("\n### ")[0]

    assert sorted(ALARM.findall(section)) == sorted(alarms())


def test_the_invariants_of_the_code_are_those_of_the_document() -> None:
    section = STAGE_5.read_text(encoding="utf-8").split("Invariantes\n")[1].split("\n## ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(INVARIANTS)


def test_a_command_for_aws_names_a_stack_that_is_deployed() -> None:
    named = {
        (path.name, name)
        for path in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"--stack-name[ =]([\w<>-]+)", path.read_text(encoding="utf-8"))
    }

    assert named
    for path, name in named:
        meant = {name.replace("<etapa>", stage) for stage in stacks()}
        assert meant <= set(stacks().values()), path
