"""POST /v1/reservations/lookup: one answer for a match and a miss, and 422 for what is malformed."""

import json
from typing import Any

import pytest

from reservations.domain.reservation import MailKind, Reservation
from tests.handlers.conftest import CUSTOMER, Surroundings
from tests.worlds.builders import RESERVATION_ID, a_reservation
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of


def answer_to(around: Surroundings, event: dict[str, Any]) -> dict[str, Any]:
    return handler_of("look_up_reservation", around)(event, a_context())


def lookup(**changes: Any) -> dict[str, Any]:
    event = an_event("look_up_reservation.sent")
    return event | {"body": json.dumps(json.loads(event["body"]) | changes)}


@pytest.mark.parametrize("stored", [a_reservation(), None], ids=["match", "miss"])
def test_a_lookup_is_always_answered_alike(
    around: Surroundings, stored: Reservation | None
) -> None:
    if stored:
        around.keep(stored)

    answer = answer_to(
        around, lookup(email=CUSTOMER.email.upper(), reservation_code="7kq2m xd4rt s")
    )

    assert (answer["statusCode"], answer["body"]) == (202, None)
    assert answer["multiValueHeaders"]["Cache-Control"] == ["no-store"]
    if stored:
        assert around.database.reservations[RESERVATION_ID].send_of(MailKind.LINK)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"reservation_code": "7KQ2M-XD4RT-T"}, "/reservation_code", "malformed_code"),
        ({"reservation_code": 7}, "/reservation_code", "wrong_type"),
        ({"email": "ana"}, "/email", "malformed_email"),
        ({"email": "ana@-.example"}, "/email", "malformed_email"),
        ({"phone": "+34600111222"}, "", "unknown_member"),
    ],
)
def test_a_malformed_lookup_is_refused_before_any_reading(
    around: Surroundings, changes: dict[str, Any], pointer: str, code: str
) -> None:
    answer = answer_to(around, lookup(**changes))

    assert answer["statusCode"] == 422
    [fault] = json.loads(answer["body"])["errors"]
    assert (fault["pointer"], fault["code"]) == (pointer, code)
    assert around.units == 0


def test_all_faults_of_a_lookup_are_named_at_once(around: Surroundings) -> None:
    answer = answer_to(around, an_event("look_up_reservation.malformed"))

    faults = {fault["pointer"] for fault in json.loads(answer["body"])["errors"]}
    assert faults == {"/reservation_code", "/email"}


def test_without_a_page_there_is_no_lookup(around: Surroundings) -> None:
    around.manage_url = None

    assert answer_to(around, lookup())["statusCode"] == 404


def test_a_lookup_needs_a_client(around: Surroundings) -> None:
    event = lookup()
    event["requestContext"]["identity"]["apiKeyId"] = "zzzzzzzzzz"

    assert answer_to(around, event)["statusCode"] == 401
