"""POST: accepted once, refused with a reason, and never half done; on both real databases."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Self
from uuid import UUID

import pytest
from sqlalchemy import text

from functions.create_reservation import handler
from functions.create_reservation.handler import lambda_handler
from reservations import tracing, wiring
from reservations.adapters.mysql.engine import Database, engine_for
from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore
from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork
from reservations.domain.errors import (
    DatabaseUnavailableError,
    DefectError,
    DuplicateCodeError,
    KnowledgeLostError,
    SettingsError,
)
from reservations.domain.policy import STANDARD
from reservations.entrypoints import answers
from tests.handlers.conftest import BASE_URL, KEYS, Surroundings
from tests.worlds.databases import ENGINES, Connect, SchemaOf, connections_to
from tests.worlds.invocation import LogBook, a_context, an_event

TABLES = ("idempotency", "reservation", "customer", "history", "outbox")
NOTHING = dict.fromkeys(TABLES, 0)
ONE_OF_EACH = dict.fromkeys(TABLES, 1)
STARTS_ON = date(2099, 5, 1)  # as in events/


@pytest.fixture(params=[pytest.param(engine, marks=pytest.mark.mysql) for engine in ENGINES])
def connect(request: pytest.FixtureRequest, schema_of: SchemaOf) -> Iterator[Connect]:
    with connections_to(schema_of(request.param)) as connect:
        yield connect


@pytest.fixture
def database(connect: Connect, around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = connect()
    wire(monkeypatch, database)
    return database


def wire(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    def joined() -> JoinedUnitOfWork:
        return JoinedUnitOfWork(database, policy=STANDARD, traceparent=tracing.current())

    def store(**scope: str) -> MySqlIdempotencyStore:
        return MySqlIdempotencyStore(database, **scope)

    monkeypatch.setattr(wiring, "joined_unit_of_work", joined)
    monkeypatch.setattr(wiring, "idempotency_store", store)


def post(case: str) -> dict[str, Any]:
    return lambda_handler(an_event(f"create_reservation.{case}"), a_context())


def header(answer: dict[str, Any], name: str) -> str | None:
    values = answer["multiValueHeaders"].get(name)
    return values[0] if values else None


def problem(answer: dict[str, Any]) -> str:
    assert header(answer, "Content-Type") == "application/problem+json"
    code: str = json.loads(answer["body"])["code"]
    return code


def rows(database: Database) -> dict[str, int]:
    counted = {
        table: database.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one()
        for table in TABLES
    }
    database.rollback()
    return counted


def only_value(database: Database, statement: str) -> Any:
    value = database.execute(text(statement)).scalar_one()
    database.rollback()
    return value


def test_a_reservation_is_accepted_and_nothing_else_is_awaited(
    database: Database, logs: LogBook
) -> None:
    answer = post("accepted")

    body = json.loads(answer["body"])
    assert answer["statusCode"] == 202
    assert body["status"] == "EN PROCESO"
    assert rows(database) == ONE_OF_EACH
    reservation_id = UUID(bytes=only_value(database, "SELECT id FROM reservation"))
    assert KEYS.verify(body["access_token"], "k1", reservation_id)
    assert header(answer, "Location") == (f"{BASE_URL}/v1/reservations/{body['reservation_code']}")
    assert header(answer, "Retry-After") == "2"
    assert logs.metrics == {"ReservationAccepted"}


def test_the_client_is_the_one_the_gateway_knows(database: Database) -> None:
    post("accepted")
    assert only_value(database, "SELECT client_id FROM reservation") == "web"


def test_the_trace_of_the_caller_goes_on_in_the_stored_hint(database: Database) -> None:
    post("accepted")
    traceparent = only_value(database, "SELECT traceparent FROM outbox")
    assert traceparent.split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


def test_a_repeat_is_answered_the_same_and_does_nothing(database: Database, logs: LogBook) -> None:
    first = post("accepted")
    again = post("accepted")

    assert again["body"] == first["body"]
    assert (first["statusCode"], again["statusCode"]) == (202, 202)
    assert header(first, "Idempotency-Replayed") is None
    assert header(again, "Idempotency-Replayed") == "true"
    assert rows(database) == ONE_OF_EACH
    assert len(logs.saying("reservation accepted")) == 1


def test_a_key_used_for_another_request_is_refused(database: Database, logs: LogBook) -> None:
    post("accepted")
    answer = post("key_reused")

    assert (answer["statusCode"], problem(answer)) == (422, "idempotency_key_reused")
    assert rows(database) == ONE_OF_EACH
    assert "IdempotencyKeyReused" in logs.metrics


@pytest.mark.parametrize(
    ("case", "status", "code"),
    [
        ("invalid_body", 422, "validation_failed"),
        ("malformed_json", 400, "malformed_json"),
        ("without_key", 400, "idempotency_key_missing"),
        ("unknown_client", 401, "unauthorized"),
    ],
)
def test_a_request_that_is_wrong_is_refused_and_leaves_no_trace(
    database: Database, case: str, status: int, code: str
) -> None:
    answer = post(case)

    assert (answer["statusCode"], problem(answer)) == (status, code)
    assert rows(database) == NOTHING


def test_a_refusal_points_at_every_fault_in_the_callers_language(database: Database) -> None:
    answer = post("invalid_body")

    errors = json.loads(answer["body"])["errors"]
    assert [(error["pointer"], error["code"]) for error in errors] == [
        ("/customer/email", "malformed_email"),
        ("/offer/ends_on", "not_after_start"),
        ("/price/amount", "not_a_decimal"),
    ]
    assert errors[0]["message"] == "It is not a valid e-mail address."
    assert header(answer, "Content-Language") == "en"


def test_a_refused_body_may_be_mended_under_the_same_key(database: Database) -> None:
    post("invalid_body")
    assert post("accepted")["statusCode"] == 202


# --- over midnight --------------------------------------------------------------------------------


def it_is(today: date, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(today.year, today.month, today.day, tzinfo=tz)

    monkeypatch.setattr(handler, "datetime", Clock)


def test_a_repeat_gets_its_answer_when_the_trip_has_begun_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    it_is(STARTS_ON, monkeypatch)
    first = post("accepted")

    it_is(STARTS_ON + timedelta(days=1), monkeypatch)
    again = post("accepted")

    assert (first["statusCode"], again["statusCode"]) == (202, 202)
    assert again["body"] == first["body"]
    assert header(again, "Idempotency-Replayed") == "true"
    assert rows(database) == ONE_OF_EACH


def test_a_first_request_for_a_trip_that_began_yesterday_is_refused_and_its_key_stays_free(
    database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    it_is(STARTS_ON + timedelta(days=1), monkeypatch)
    refused = post("accepted")

    assert (refused["statusCode"], problem(refused)) == (422, "validation_failed")
    [fault] = json.loads(refused["body"])["errors"]
    assert (fault["pointer"], fault["code"]) == ("/offer/starts_on", "in_the_past")
    assert rows(database) == NOTHING
    assert logs.metrics == set()
    it_is(STARTS_ON, monkeypatch)
    accepted = post("accepted")
    assert accepted["statusCode"] == 202
    assert header(accepted, "Idempotency-Replayed") is None


def test_a_used_key_with_another_request_is_refused_as_such_on_any_day(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    it_is(STARTS_ON, monkeypatch)
    post("accepted")

    it_is(STARTS_ON + timedelta(days=1), monkeypatch)

    assert problem(post("key_reused")) == "idempotency_key_reused"


# --- what fails on our side -----------------------------------------------------------------------


def fails(answer: dict[str, Any], code: str = "service_unavailable") -> bool:
    body = json.loads(answer["body"])
    for inside in ("SQL", "INSERT", "Error", "Traceback", "customer", "127.0.0.1"):
        assert inside not in answer["body"]
    return (answer["statusCode"], body["code"], header(answer, "Retry-After")) == (503, code, "5")


def raising(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("name", ["policy", "key_ring", "joined_unit_of_work"])
def test_a_defect_is_a_503_and_stores_nothing(
    database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(wiring, name, raising(RuntimeError("a defect")))

    assert fails(post("accepted"))

    assert rows(database) == NOTHING
    assert logs.metrics == {"UnhandledError"}
    [line] = logs.saying("request failed unexpectedly")
    assert "RuntimeError" in line["exception"]


@pytest.mark.parametrize("defect", [KnowledgeLostError, DuplicateCodeError])
def test_a_rule_that_we_broke_ourselves_is_counted_as_a_defect(
    database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch, defect: type[DefectError]
) -> None:
    monkeypatch.setattr(wiring, "policy", raising(defect("a defect")))

    assert fails(post("accepted"))

    assert logs.metrics == {"UnhandledError"}
    [line] = logs.saying("request failed")
    assert line["code"] == defect.code


def test_a_defect_after_the_commit_does_not_claim_that_nothing_was_done(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(answers, "created", raising(RuntimeError("a defect")))
        answer = post("accepted")

    assert fails(answer, "gateway_timeout")
    assert json.loads(answer["body"])["effect"] == "unknown"
    assert header(post("accepted"), "Idempotency-Replayed") == "true"
    monkeypatch.setattr(wiring, "api_settings", raising(RuntimeError("a defect")))
    assert fails(post("accepted"))  # what one request did says nothing of the next


@pytest.mark.parametrize("name", ["key_ring", "public_base_url"])
def test_settings_that_cannot_be_read_for_a_replay_do_not_deny_what_was_done(
    database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    post("accepted")

    monkeypatch.setattr(wiring, name, raising(SettingsError("not readable")))
    answer = post("accepted")

    assert fails(answer, "gateway_timeout")
    assert json.loads(answer["body"])["effect"] == "unknown"
    assert "RequestUnavailable" in logs.metrics
    [line] = logs.saying("request failed")
    assert line["code"] == "settings_invalid"


def test_after_a_failure_the_same_key_is_as_good_as_new(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(wiring, "policy", raising(RuntimeError("a defect")))
        post("accepted")

    answer = post("accepted")

    assert answer["statusCode"] == 202
    assert header(answer, "Idempotency-Replayed") is None


def test_a_statement_that_fails_shows_no_parameter_in_any_log(
    database: Database, logs: LogBook
) -> None:
    """The `logs` fixture looks for the traveler's name, address, phone and payment token."""
    database.execute(text("RENAME TABLE customer TO customer_away"))
    try:
        assert fails(post("accepted"))
    finally:
        database.execute(text("RENAME TABLE customer_away TO customer"))

    [line] = logs.saying("request failed unexpectedly")
    assert "ProgrammingError: 1146" in line["exception"]  # no such table
    assert "in add\n" in line["exception"]
    assert rows(database) == NOTHING


def test_a_database_that_cannot_be_reached_is_a_503(
    around: Surroundings, logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire(monkeypatch, Database(engine_for("mysql+pymysql://user:secret@127.0.0.1:1/none")))

    answer = post("accepted")

    assert fails(answer)
    assert json.loads(answer["body"])["effect"] == "none"
    assert logs.metrics == {"RequestUnavailable"}
    assert "secret" not in logs.text


def test_a_commit_of_unknown_fate_is_told_as_unknown(
    database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = DatabaseUnavailableError("lost during the commit", effect_unknown=True)
    monkeypatch.setattr(database, "commit", raising(lost))

    answer = post("accepted")

    assert fails(answer, "gateway_timeout")
    assert json.loads(answer["body"])["effect"] == "unknown"
    assert "ReservationAccepted" not in logs.metrics


def test_without_idempotency_nothing_is_accepted(
    database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_IDEMPOTENCY_DISABLED", "true")

    assert fails(post("accepted"))

    assert rows(database) == NOTHING
    [line] = logs.saying("request failed")
    assert "POWERTOOLS_IDEMPOTENCY_DISABLED" in line["exception"]
