"""The Lambda context of an invocation, and the output of the function."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any, cast

import pytest
from aws_lambda_powertools.logging.filters import SuppressFilter
from aws_lambda_powertools.utilities.typing import LambdaContext

from local import events
from reservations.entrypoints.observability import logger, metrics

an_event = events.event


class Context:
    """The part of a Lambda context that the functions and Powertools use."""

    function_name = "reservations-function"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:reservations-function"
    aws_request_id = "6f2d1c9e-1d1f-4c52-a1e5-6a2f1f0a9d11"
    tenant_id = None

    def __init__(self, remaining_ms: int) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms


def a_context(*, remaining_ms: int = 60_000) -> LambdaContext:
    return cast(LambdaContext, Context(remaining_ms))


class LogBook:
    """All output of a function: our log lines, those of libraries, metrics, prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._logged = StringIO()
        self._capsys = capsys
        self._printed = ""

    @property
    def text(self) -> str:
        self._printed += "".join(self._capsys.readouterr())
        return self._printed + self._logged.getvalue()

    @property
    def metrics(self) -> set[str]:
        """Names of the outcome metrics (CloudWatch embedded metric format)."""
        return {
            metric["Name"]
            for line in self._json()
            if "_aws" in line
            for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        }

    def measured(self, name: str) -> dict[str | None, float]:
        """Values of a metric, by its dimension other than `service`, or `None` without one."""
        return {
            next((line[d] for d in directive["Dimensions"][0] if d != "service"), None): line[name][
                0
            ]
            for line in self._json()
            if "_aws" in line
            for directive in line["_aws"]["CloudWatchMetrics"]
            if name in line
        }

    def saying(self, message: str) -> list[dict[str, Any]]:
        """Our own lines with that message, as they reach CloudWatch."""
        return [line for line in self._json() if line.get("message") == message]

    def _json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    @contextmanager
    def open(self) -> Iterator["LogBook"]:
        ours = logger.registered_handler
        assert isinstance(ours, logging.StreamHandler)
        others, root = logging.StreamHandler(self._logged), logging.getLogger()
        before = ours.setStream(self._logged)
        others.addFilter(
            SuppressFilter(logger.service)
        )  # as Powertools does to Lambda's own handler
        root.addHandler(others)
        try:
            yield self
        finally:
            root.removeHandler(others)
            ours.setStream(before)
            metrics.clear_metrics()
