"""What a function writes out, however its service is called."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import logging
logging.basicConfig(format="plain: %(message)s")  # as the runtime's own handler on the root logger
from reservations.adapters import sqs
from reservations.entrypoints import observability
sqs._logger.warning("not accepted", extra={"code": "busy"})
"""


@pytest.mark.parametrize("service", ["reservations", "reservations-dev", "payments"])
def test_an_adapters_warning_comes_out_once_and_structured(service: str) -> None:
    written = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"POWERTOOLS_SERVICE_NAME": service, "AWS_DEFAULT_REGION": "eu-west-1"},
        capture_output=True,
        text=True,
        check=True,
    )

    [line] = (written.stdout + written.stderr).splitlines()
    told = json.loads(line)
    assert told["service"] == service
    assert (told["level"], told["message"], told["code"]) == ("WARNING", "not accepted", "busy")
