"""GET: the owner's view, the refusals of everybody else, and the answers to failures."""

import json
from typing import Any

import pytest

from reservations.domain.errors import DatabaseBusyError, DatabaseUnavailableError
from reservations.entrypoints.http import ALLOW, METHOD_OF
from tests.handlers.conftest import Surroundings
from tests.worlds.builders import NOON, a_booking, a_charge, a_reservation, a_voucher, some_facts
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import KEYS, ORIGIN, handler_of, raising

CONFIRMED = a_reservation(
    facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON), documents=(a_voucher(),)
)
READS = ["shown", "timeline", "voucher"]


def get(around: Surroundings, case: str) -> dict[str, Any]:
    return get_event(around, an_event(f"get_reservation.{case}"))


def get_event(around: Surroundings, event: dict[str, Any]) -> dict[str, Any]:
    return handler_of("get_reservation", around)(event, a_context())


def header(answer: dict[str, Any], name: str) -> str | None:
    values = answer["multiValueHeaders"].get(name)
    return values[0] if values else None


def problem(answer: dict[str, Any]) -> str:
    assert header(answer, "Content-Type") == "application/problem+json"
    code: str = json.loads(answer["body"])["code"]
    return code


def test_the_owner_is_shown_the_reservation(around: Surroundings) -> None:
    around.keep(CONFIRMED)

    answer = get(around, "shown")

    body = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert (body["reservation_code"], body["status"]) == ("7KQ2M-XD4RT-S", "CONFIRMADA")
    assert header(answer, "ETag") == 'W/"1"'
    assert header(answer, "Cache-Control") == "private, no-cache"
    assert around.units == 1


def test_a_reader_with_the_current_version_gets_a_304_without_a_body(around: Surroundings) -> None:
    around.keep(CONFIRMED)

    answer = get(around, "unchanged")

    assert answer["statusCode"] == 304
    assert not answer["body"]


def test_a_reader_with_an_old_version_gets_the_new_one(around: Surroundings) -> None:
    around.keep(a_reservation(a_charge(), version=2))

    assert get(around, "unchanged")["statusCode"] == 200


@pytest.mark.parametrize("case", ["wrong_token", "another_client", "shown"])
def test_every_stranger_gets_the_same_404(around: Surroundings, case: str) -> None:
    if case != "shown":  # in the case "shown" no reservation exists
        around.keep(CONFIRMED)

    answer = get(around, case)

    assert (answer["statusCode"], problem(answer)) == (404, "not_found")
    body = json.loads(answer["body"])
    assert body["detail"].startswith("No hay nada aquí")
    assert header(answer, "Content-Language") == "es"


def test_without_a_token_the_database_is_not_read(around: Surroundings) -> None:
    around.keep(CONFIRMED)

    answer = get(around, "without_token")

    assert (answer["statusCode"], problem(answer)) == (401, "unauthorized")
    assert around.units == 0


def test_the_timeline_is_in_the_language_of_the_reader(around: Surroundings) -> None:
    around.keep(a_reservation())

    answer = get(around, "timeline")

    assert answer["statusCode"] == 200
    assert header(answer, "Content-Language") == "en"
    events = json.loads(answer["body"])["events"]
    assert len(events) == len(around.database.history[CONFIRMED.reservation_id]) > 0


def test_a_voucher_is_a_redirect(around: Surroundings) -> None:
    around.keep(CONFIRMED)

    answer = get(around, "voucher")

    location = header(answer, "Location")
    assert answer["statusCode"] == 303
    assert location is not None
    assert a_voucher().s3_key in location


def test_a_program_gets_the_voucher_s_link_in_the_body(around: Surroundings) -> None:
    around.keep(CONFIRMED)

    answer = get(around, "voucher_as_json")

    assert answer["statusCode"] == 200
    assert a_voucher().s3_key in json.loads(answer["body"])["url"]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (None, False),
        ({"disposition": "inline"}, True),
        ({"disposition": "attachment"}, False),
        ({"disposition": ""}, False),
        ({"disposition": "inline; filename=x"}, False),
    ],
)
def test_a_voucher_is_shown_only_on_request(
    around: Surroundings, query: dict[str, str] | None, shown: bool
) -> None:
    around.keep(CONFIRMED)
    event = an_event("get_reservation.voucher") | {"queryStringParameters": query}

    location = header(get_event(around, event), "Location") or ""

    assert location.endswith("&inline") is shown


def test_there_is_no_voucher_before_the_confirmation(around: Surroundings) -> None:
    around.keep(a_reservation(a_charge()))
    assert get(around, "voucher")["statusCode"] == 404


def test_a_document_store_outage_is_a_503_with_retry_after(around: Surroundings) -> None:
    around.keep(CONFIRMED)
    around.store.down = True

    answer = get(around, "voucher")

    assert (answer["statusCode"], problem(answer)) == (503, "service_unavailable")
    assert header(answer, "Retry-After") == "5"


def test_health_queries_the_database(around: Surroundings) -> None:
    answer = get(around, "health")

    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok"})
    assert around.units == 1


def test_an_unknown_route_is_a_404(around: Surroundings) -> None:
    answer = get(around, "unknown_route")

    assert (answer["statusCode"], problem(answer)) == (404, "not_found")


@pytest.mark.parametrize(("resource", "method"), METHOD_OF.items(), ids=METHOD_OF)
def test_an_unsupported_method_is_a_405_with_the_allowed_ones(
    around: Surroundings, resource: str, method: str
) -> None:
    event = an_event("get_reservation.unknown_route")
    event |= {"resource": resource, "path": resource, "httpMethod": "PUT"}

    answer = get_event(around, event)

    assert (answer["statusCode"], problem(answer)) == (405, "method_not_allowed")
    assert header(answer, "Allow") == ALLOW[method]
    assert around.units == 0


def head(event: dict[str, Any]) -> dict[str, Any]:
    event["httpMethod"] = event["requestContext"]["httpMethod"] = "HEAD"
    return event


@pytest.mark.parametrize(
    "case", [*READS, "unchanged", "wrong_token", "without_token", "unknown_route", "health"]
)
def test_head_is_answered_as_get_without_a_body(around: Surroundings, case: str) -> None:
    around.keep(CONFIRMED)
    shown = get(around, case)

    answer = get_event(around, head(an_event(f"get_reservation.{case}")))

    assert answer["body"] == ""
    assert answer["statusCode"] == shown["statusCode"]
    assert answer["multiValueHeaders"].keys() == shown["multiValueHeaders"].keys()


def test_a_voucher_link_for_head_is_signed_for_head(around: Surroundings) -> None:
    around.keep(CONFIRMED)

    answer = get_event(around, head(an_event("get_reservation.voucher")))

    assert answer["statusCode"] == 303
    assert "method=HEAD" in (header(answer, "Location") or "")


@pytest.mark.parametrize(
    "resource", [path for path, method in METHOD_OF.items() if method == "POST"]
)
def test_head_where_there_is_no_get_is_a_405(around: Surroundings, resource: str) -> None:
    event = an_event("get_reservation.unknown_route") | {"resource": resource, "path": resource}

    answer = get_event(around, head(event))

    assert (answer["statusCode"], answer["body"]) == (405, "")
    assert header(answer, "Allow") == "POST, OPTIONS"


def test_the_logs_continue_the_trace_of_the_caller(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = an_event("get_reservation.health")
    event["headers"]["TraceParent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    no_database = DatabaseUnavailableError("no connection to the database")
    monkeypatch.setattr(around, "unit_of_work", raising(no_database))

    get_event(around, event)

    [line] = around.logs.saying("request failed")
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("case", [*READS, "health"])
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DatabaseUnavailableError("lost at db.example"), "service_unavailable", "request failed"),
        (DatabaseBusyError("deadlock"), "busy_try_again", "request failed"),
        (RuntimeError("SELECT secret"), "service_unavailable", "request failed unexpectedly"),
    ],
    ids=["no database", "a lock", "a defect"],
)
def test_no_failure_is_a_500_or_reveals_internals(
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    error: Exception,
    code: str,
    message: str,
) -> None:
    monkeypatch.setattr(around, "unit_of_work", raising(error))

    answer = get(around, case)

    assert (answer["statusCode"], problem(answer)) == (503, code)
    assert header(answer, "Retry-After") is not None
    for inside in ("secret", "db.example", "deadlock", "Error", "Traceback"):
        assert inside not in answer["body"]
    [line] = around.logs.saying(message)
    assert type(error).__name__ in line["exception"]


@pytest.mark.parametrize("name", ["key_ring", "api_settings", "durations", "public_base_url"])
def test_an_unreadable_setting_is_a_503(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    around.keep(CONFIRMED)
    monkeypatch.setattr(around, name, raising(RuntimeError("a defect")))

    assert get(around, "shown")["statusCode"] == 503


def test_the_token_in_the_event_is_the_owner_s() -> None:
    authorization = an_event("get_reservation.shown")["headers"]["Authorization"]
    token = authorization.removeprefix("Bearer ")
    assert KEYS.verify(token, "k1", CONFIRMED.reservation_id)


@pytest.mark.parametrize("origin", [ORIGIN, "*"])
@pytest.mark.parametrize("case", [*READS, "health", "unknown_route"])
def test_pages_of_the_allowed_origin_may_read_every_answer(
    around: Surroundings, case: str, origin: str
) -> None:
    around.keep(CONFIRMED)
    around.origin = origin

    answer = get(around, case)

    assert header(answer, "Access-Control-Allow-Origin") == origin
    exposed = header(answer, "Access-Control-Expose-Headers") or ""
    assert {"Idempotency-Replayed", "X-Request-Id"} <= set(exposed.split(", "))
    assert (
        header(answer, "X-Request-Id")
        == an_event(f"get_reservation.{case}")["requestContext"]["requestId"]
    )
