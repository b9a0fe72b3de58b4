"""An operator is given the id of a request, and finds its reservation in what the functions logged."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.desk import Desk
from ops.finding import by_clue
from reservations.application.ports import Overview
from reservations.domain.errors import DatabaseUnavailableError
from tests.handlers.conftest import Surroundings
from tests.unit.ops.test_finding import an_overview
from tests.worlds.builders import RESERVATION_ID, a_reservation
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of, raising

HOUR = timedelta(hours=1)


class Stored:
    """Finds the one reservation, by its id only."""

    def by_id(self, reservation_id: UUID) -> list[Overview]:
        return [an_overview()] if reservation_id == RESERVATION_ID else []

    def by_provider(self, name: str, *, limit: int) -> list[Overview]:
        return []


def asked(around: Surroundings, event: dict[str, Any], *, function: str) -> tuple[int, str]:
    """The status of the answer, and its id of the request."""
    answer = handler_of(function, around)(event, a_context())
    [request] = answer["multiValueHeaders"]["X-Request-Id"]
    return answer["statusCode"], request


def found(around: Surroundings, request: str, logs: Path) -> list[str]:
    (logs / "function.log").write_text(around.logs.text)
    around.search = Stored  # type: ignore[method-assign,assignment]  # a part of it is asked
    desk = Desk(around, stack="none", log_folder=str(logs))
    return [each.code for each in by_clue(desk, request, since=HOUR)]


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("get_reservation.wrong_token", 404),
        ("get_reservation.without_token", 401),
        ("cancel_reservation.without_key", 400),
    ],
)
def test_a_refused_request_leads_to_the_reservation_of_its_path(
    around: Surroundings, tmp_path: Path, case: str, status: int
) -> None:
    around.keep(a_reservation())
    function = case.partition(".")[0]

    answered, request = asked(around, an_event(case), function=function)

    assert answered == status
    assert found(around, request, tmp_path) == [a_reservation().code]


def test_a_failed_request_leads_to_the_reservation_of_its_path(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.keep(a_reservation())
    with monkeypatch.context() as outage:
        outage.setattr(around, "unit_of_work", raising(DatabaseUnavailableError()))
        event = an_event("get_reservation.shown")
        answered, request = asked(around, event, function="get_reservation")

    assert answered == 503
    assert found(around, request, tmp_path) == [a_reservation().code]


def test_an_answered_read_logs_nothing(around: Surroundings) -> None:
    around.keep(a_reservation())

    answered, request = asked(around, an_event("get_reservation.shown"), function="get_reservation")

    assert answered == 200
    assert request not in around.logs.text


@pytest.mark.parametrize("segment", ["ana.perez@example.com", "7KQ2M-XD4RT-Q", "%00"])
def test_a_path_that_names_no_reservation_is_not_logged(around: Surroundings, segment: str) -> None:
    event = an_event("get_reservation.shown")
    event |= {"path": f"/v1/reservations/{segment}", "pathParameters": {"code": segment}}

    answered, request = asked(around, event, function="get_reservation")

    assert answered == 404
    [line] = around.logs.saying("error answered")
    assert line["request_id"] == request
    assert segment not in around.logs.text
