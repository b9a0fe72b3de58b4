"""Schedules written from the contracts alone, by a reader of nothing else, keep every promise."""

import pytest

from tests.proofs.simulation.script import Script, scripts
from tests.proofs.simulation.stage import Stage


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.name)
def test_a_written_schedule_keeps_its_promises(script: Script) -> None:
    Stage(script).play()
