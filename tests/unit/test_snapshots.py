"""Nothing unique is made when a function is imported: two copies of one snapshot must differ.

A fork copies a process as a snapshot does.
"""

import os
import subprocess
import sys

import pytest

_COPIES = """
import importlib, os, sys
from datetime import UTC, datetime
for folder in sys.argv[1:]:
    importlib.import_module(f"functions.{folder}.handler")
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.domain.codes import new_code
from reservations.domain.identifiers import uuid7
from reservations.services import Services
from reservations import config, tracing

class Durations(Services):
    def durations(self):
        from reservations.domain.policy import STANDARD
        return STANDARD

services = Durations({})
now = datetime(2027, 3, 1, tzinfo=UTC)
reading, writing = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        unit = MySqlUnitOfWork(Database(lambda: None))
        made = uuid7(now), new_code(), unit.outbox._token, services.policy(), tracing.begin(None)
        os.write(writing, "\\n".join(map(str, made)).encode() + b"\\n\\0")
        os._exit(0)
    os.wait()
os.close(writing)
sys.stdout.write(open(reading).read())
"""
DOOR = (
    "create_reservation",
    "get_reservation",
    "cancel_reservation",
    "look_up_reservation",
    "receive_webhook",
)


@pytest.mark.parametrize("functions", [DOOR], ids=["door"])
def test_two_copies_of_an_imported_function_make_different_values(
    functions: tuple[str, ...],
) -> None:
    paths = os.pathsep.join(["layers/core", "layers/pdf", "."])
    told = subprocess.run(
        [sys.executable, "-c", _COPIES, *functions],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    first, second, _ = told.split("\0")

    pairs = list(zip(first.split("\n")[:-1], second.split("\n")[:-1], strict=True))
    assert len(pairs) == 5
    assert [pair for pair in pairs if pair[0] == pair[1]] == []
