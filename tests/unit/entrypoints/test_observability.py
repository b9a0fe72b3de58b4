"""Logs and metrics of a function, and the service that they name."""

import json
import subprocess
import sys

import pytest

from reservations.entrypoints import observability
from tests.worlds.invocation import LogBook

PROGRAM = """
import logging
logging.basicConfig(format="plain: %(message)s")  # as the runtime's own handler on the root logger
from reservations.adapters.aws import sqs
from reservations.entrypoints import observability
sqs._logger.warning("not accepted", extra={"code": "busy"})
"""


@pytest.mark.parametrize("service", ["reservations", "reservations-dev", "payments"])
def test_a_warning_of_an_adapter_is_logged_once_and_structured(service: str) -> None:
    written = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            "PYTHONPATH": ":".join(sys.path),
            "POWERTOOLS_SERVICE_NAME": service,
            "AWS_DEFAULT_REGION": "eu-west-1",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    [line] = (written.stdout + written.stderr).splitlines()
    logged = json.loads(line)
    assert logged["service"] == service
    assert (logged["level"], logged["message"], logged["code"]) == (
        "WARNING",
        "not accepted",
        "busy",
    )


def test_an_unlisted_field_is_logged_by_name_without_its_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with LogBook(capsys).open() as book:
        observability.logger.info("logged", extra={"code": "busy", "email": "ana@example.com"})
        [line] = book.saying("logged")

    assert (line["code"], line["left_out"]) == ("busy", ["email"])
    assert "ana@example.com" not in book.text


TELLING = """
from aws_lambda_powertools.metrics import MetricUnit
from reservations.entrypoints.observability import count, logger, measure, metrics

logger.info("said")
count("Counted")
metrics.flush_metrics()
measure(metric="Measured", value=1, unit=MetricUnit.Count)
"""


def test_logs_and_metrics_carry_the_service_of_the_environment() -> None:
    run = subprocess.run(
        [sys.executable, "-c", TELLING],
        env={"PYTHONPATH": ":".join(sys.path), "POWERTOOLS_SERVICE_NAME": "reservations-dev"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [each["service"] for each in lines] == ["reservations-dev"] * 3
