"""Every command of every runbook, word for word, on the running stack."""

import re
import shlex
import shutil
from pathlib import Path

import httpx
import pytest

from local.paths import ROOT
from tests.e2e.backstage import Backstage
from tests.e2e.operators import Hand, Operator, Said, shell
from tests.e2e.test_operators import in_review, operator, papers_sent
from tests.e2e.travel import Json, Trip, a_request, depart, eventually

pytestmark = pytest.mark.timeout(600)

__all__ = ["in_review", "operator"]  # the fixtures

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
VARIABLE = re.compile(r"\$([A-Z_]+)")
OPS = re.compile(r'make ops ARGS="([^"]+)"')
ASK = ("cancel ", "erase ", "dlq drop ")  # at a terminal, a person answers


def commands(path: Path) -> list[str]:
    blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def carried_out(command: str, names: dict[str, str], operator: Operator) -> Said:
    """Run a command. `ops` commands run in this process: starting each would take minutes in all."""
    ops = OPS.fullmatch(command)
    if ops is None:
        without_curl = command.startswith("curl ") and shutil.which("curl") is None
        return asked_for(command, names) if without_curl else shell(command, names)
    words = shlex.split(VARIABLE.sub(lambda found: names[found[1]], ops[1]))
    return operator.ops(*words, *(["--yes"] if ops[1].startswith(ASK) else []))


def asked_for(command: str, names: dict[str, str]) -> Said:
    """Fetch the address that ends a curl command, on a machine without curl."""
    address = VARIABLE.sub(lambda found: names[found[1]], shlex.split(command)[-1])
    answer = httpx.get(address, timeout=10)
    return Said(status=0 if answer.is_success else 22, out=answer.text, err="")


def done(command: str, said: Said, names: dict[str, str]) -> bool:
    """True if a command worked. Findings about reservations of other tests are no failure."""
    if "invariants" not in command:
        return said.status == 0
    return said.status in (0, 1) and not any(code in said.out for code in names.values())


@pytest.fixture(scope="module")
def names(
    steady_stack: Json,
    api: httpx.Client,
    backstage: Backstage,
    hand: Hand,
    in_review: Trip,
) -> dict[str, str]:
    """Values for the variables of the runbooks' commands."""
    departed = [depart(api, a_request()) for _ in range(5)]
    confirmed, unwanted, leaked, past, contradicted = (
        papers_sent(trip, backstage) for trip in departed
    )
    [booking] = backstage.bookings(contradicted)
    backstage.set_row("supplier", "booking", booking["booking_id"], set={"ends_on": "2099-12-31"})
    eventually(lambda: contradicted.read()["requires_support"], of="a contradiction that is open")
    [over] = backstage.bookings(past)
    hand.change_trip(past, "starts_on = '2026-01-01', ends_on = '2026-01-02'")
    dates = {"starts_on": "2026-01-01", "ends_on": "2026-01-02"}
    backstage.set_row("supplier", "booking", over["booking_id"], set=dates)
    return {
        "DESDE": "1m",  # no longer, as all that was sent since then is asked about
        "API_URL": steady_stack["api_url"],
        "CODIGO": confirmed.code,
        "EN_REVISION": in_review.code,
        "CONTRADICHA": contradicted.code,
        "PARA_CANCELAR": unwanted.code,
        "FILTRADA": leaked.code,
        "TERMINADA": past.code,
    }


def test_every_command_of_every_runbook_works(names: dict[str, str], operator: Operator) -> None:
    failed = [
        f"{path.name}: {command}\n{said.out[-400:]}{said.err[-400:]}"
        for path in RUNBOOKS
        for command in commands(path)
        if not done(command, said := carried_out(command, names, operator), names)
    ]

    assert failed == []


def test_make_runs_the_same_commands(names: dict[str, str]) -> None:
    said = shell('make ops ARGS="show $CODIGO --json"', names)

    assert said.page["reservation"]["code"] == names["CODIGO"]


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_shows_its_commands_in_a_form_that_can_be_run(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert len(commands(path)) >= 5
    assert set(re.findall(r"^```(\w*)$", text, re.MULTILINE)) == {"console", ""}
    for block in BLOCK.findall(text):
        assert all(line.startswith("$ ") for line in block.splitlines())
