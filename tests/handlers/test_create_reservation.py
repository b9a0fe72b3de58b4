"""POST: accepted once, refused with a reason, and never half done; on both real databases."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from local.events import TODAY
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.application.poll_outbox import poll_outbox
from reservations.application.ports import Published
from reservations.domain.access_token import KeyRing
from reservations.domain.clients import DuplicateCharge, QuoteMode
from reservations.domain.errors import (
    DatabaseUnavailableError,
    DefectError,
    DuplicateCodeError,
    KnowledgeLostError,
    SettingsError,
)
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from reservations.entrypoints import answers
from tests.worlds.databases import ENGINES, Connect, SchemaOf, connections_to
from tests.worlds.fakes import RecordingPublisher
from tests.worlds.invocation import LogBook, a_context, an_event
from tests.worlds.quotes import SIGNER, claims_of
from tests.worlds.services import BASE_URL, KEYS, OnDatabase, handler_of, raising
from tests.worlds.sql import run

TABLES = ("idempotency", "reservation", "customer", "history", "outbox")
NOTHING = dict.fromkeys(TABLES, 0)
ONE_OF_EACH = dict.fromkeys(TABLES, 1)
REQUEST_ID = an_event("create_reservation.accepted")["requestContext"]["requestId"]
STARTS_ON = TODAY + timedelta(days=150)  # as in events/


@pytest.fixture(params=[pytest.param(engine, marks=pytest.mark.mysql) for engine in ENGINES])
def connect(request: pytest.FixtureRequest, schema_of: SchemaOf) -> Iterator[Connect]:
    with connections_to(schema_of(request.param)) as connect:
        yield connect


@pytest.fixture
def database(connect: Connect) -> Database:
    return connect()


@pytest.fixture
def services(database: Database) -> OnDatabase:
    return OnDatabase(database)


def post(services: OnDatabase, case: str) -> dict[str, Any]:
    event = an_event(f"create_reservation.{case}")
    return handler_of("create_reservation", services)(event, a_context())


def header(answer: dict[str, Any], name: str) -> str | None:
    values = answer["multiValueHeaders"].get(name)
    return values[0] if values else None


def problem(answer: dict[str, Any]) -> str:
    assert header(answer, "Content-Type") == "application/problem+json"
    code: str = json.loads(answer["body"])["code"]
    return code


def rows(database: Database) -> dict[str, int]:
    counted = {
        table: run(database, text(f"SELECT COUNT(*) FROM {table}")).scalar_one() for table in TABLES
    }
    database.rollback()
    return counted


def only_value(database: Database, statement: str) -> Any:
    value = run(database, text(statement)).scalar_one()
    database.rollback()
    return value


def test_a_reservation_is_accepted_without_waiting_for_a_provider(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    answer = post(services, "accepted")

    body = json.loads(answer["body"])
    assert answer["statusCode"] == 202
    assert body["status"] == "EN PROCESO"
    assert rows(database) == ONE_OF_EACH
    reservation_id = UUID(bytes=only_value(database, "SELECT id FROM reservation"))
    assert KEYS.verify(body["access_token"], "k1", reservation_id)
    assert header(answer, "Location") == (f"{BASE_URL}/v1/reservations/{body['reservation_code']}")
    assert header(answer, "Retry-After") == "2"
    assert logs.metrics == {"ReservationAccepted"}


@pytest.mark.parametrize(
    ("mode", "counted"), [(QuoteMode.OFF, set()), (QuoteMode.OBSERVE, {"QuoteMissing"})]
)
def test_a_reservation_without_a_quote_is_counted_for_an_observed_client(
    services: OnDatabase, logs: LogBook, mode: QuoteMode, counted: set[str]
) -> None:
    services.modes["web"] = replace(services.modes["web"], quote=mode)

    post(services, "accepted")
    post(services, "accepted")

    assert logs.metrics == {"ReservationAccepted"} | counted


def post_quoted(services: OnDatabase, *, at: datetime, **members: Any) -> dict[str, Any]:
    """Post the body of the event with a quote for it, given at that time, and with changed `members`."""
    event = an_event("create_reservation.accepted")
    body = json.loads(event["body"])
    quote = SIGNER.sign(claims_of(body, at=at))
    event["body"] = json.dumps({**body, "quote": quote, **members})
    return handler_of("create_reservation", services)(event, a_context())


@pytest.mark.parametrize("quoted", [False, True])
def test_a_reservation_remembers_whether_its_offer_was_signed(
    services: OnDatabase, database: Database, logs: LogBook, quoted: bool
) -> None:
    services.modes["web"] = replace(services.modes["web"], quote=QuoteMode.OBSERVE)

    post_quoted(services, at=services.now()) if quoted else post(services, "accepted")

    assert only_value(database, "SELECT quoted FROM reservation") == quoted
    assert ("QuoteMissing" in logs.metrics) is not quoted


def test_a_changed_price_is_refused_and_nothing_is_stored(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    cheap = {"amount": "0.01", "currency": "EUR"}

    answer = post_quoted(services, at=services.now(), price=cheap)

    assert (answer["statusCode"], problem(answer)) == (422, "validation_failed")
    [fault] = json.loads(answer["body"])["errors"]
    assert (fault["pointer"], fault["code"]) == ("/price/amount", "quote_mismatch")
    assert rows(database) == NOTHING
    assert logs.metrics == {"QuoteRefused"}


def test_the_key_of_a_refused_quote_is_free_for_a_good_one(
    services: OnDatabase, database: Database
) -> None:
    services.modes["web"] = replace(services.modes["web"], quote=QuoteMode.REQUIRED)
    stale = services.now() - timedelta(hours=1)

    answers = [
        post(services, "accepted"),
        post_quoted(services, at=stale),
        post_quoted(services, at=services.now()),
    ]

    assert [answer["statusCode"] for answer in answers] == [422, 422, 202]
    assert rows(database) == ONE_OF_EACH


def test_a_repeat_is_replayed_after_its_quote_expired_and_with_a_fresh_or_no_quote(
    services: OnDatabase, database: Database
) -> None:
    services.modes["web"] = replace(services.modes["web"], quote=QuoteMode.REQUIRED)
    began = services.now()
    first = post_quoted(services, at=began)

    services.moment = began + timedelta(hours=1)
    repeats = [
        post_quoted(services, at=began),
        post_quoted(services, at=services.moment),
        post_quoted(services, at=began, quote="not a quote"),
        post(services, "accepted"),
    ]

    assert {answer["body"] for answer in repeats} == {first["body"]}
    assert {header(answer, "Idempotency-Replayed") for answer in repeats} == {"true"}
    assert rows(database) == ONE_OF_EACH


def test_an_accepted_and_a_replayed_request_are_logged_with_the_reservation(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    post(services, "accepted")
    post(services, "accepted")

    reservation_id = str(UUID(bytes=only_value(database, "SELECT id FROM reservation")))
    for message in ("reservation accepted", "reservation replayed"):
        [line] = logs.saying(message)
        assert line["reservation_id"] == reservation_id
        assert line["request_id"] == REQUEST_ID


def test_the_stored_client_is_the_one_of_the_api_key(
    services: OnDatabase, database: Database
) -> None:
    post(services, "accepted")
    assert only_value(database, "SELECT client_id FROM reservation") == "web"


def test_the_stored_hint_continues_the_trace_of_the_caller(
    services: OnDatabase, database: Database
) -> None:
    post(services, "accepted")
    traceparent = only_value(database, "SELECT traceparent FROM outbox")
    assert traceparent.split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


def test_a_repeat_is_answered_the_same_and_does_nothing(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    first = post(services, "accepted")
    again = post(services, "accepted")

    assert again["body"] == first["body"]
    assert (first["statusCode"], again["statusCode"]) == (202, 202)
    assert header(first, "Idempotency-Replayed") is None
    assert header(again, "Idempotency-Replayed") == "true"
    assert rows(database) == ONE_OF_EACH
    assert len(logs.saying("reservation accepted")) == 1


def test_a_new_reservation_s_hint_is_sent_and_marked_before_the_answer(
    services: OnDatabase, database: Database
) -> None:
    post(services, "accepted")
    post(services, "accepted")

    assert [hint.queue for hint in services.prompt_publisher.hints] == [Queue.PAYMENT]
    assert only_value(database, "SELECT status FROM outbox") == "published"


def test_a_reservation_is_accepted_without_its_queue_and_the_poller_sends_its_hint(
    services: OnDatabase, database: Database
) -> None:
    services.prompt_publisher.unreachable = {Queue.PAYMENT}
    assert post(services, "accepted")["statusCode"] == 202

    run(database, text("UPDATE outbox SET available_at = UTC_TIMESTAMP(6)"))  # after `hint_grace`
    database.commit()
    poller = RecordingPublisher()
    poll_outbox(uow=services.unit_of_work(), publisher=poller, policy=STANDARD)
    assert [hint.queue for hint in poller.hints] == [Queue.PAYMENT]


def test_a_database_lost_after_the_commit_changes_no_answer(
    services: OnDatabase, database: Database, connect: Connect
) -> None:
    ours = only_value(database, "SELECT CONNECTION_ID()")

    class LosingTheDatabase(RecordingPublisher):
        def publish(self, hints: Sequence[Hint]) -> Published:
            run(connect(), text(f"KILL {ours}"))
            return super().publish(hints)

    services.prompt_publisher = LosingTheDatabase()

    assert post(services, "accepted")["statusCode"] == 202
    assert rows(database) == ONE_OF_EACH
    assert only_value(database, "SELECT status FROM outbox") == "pending"


def test_a_key_used_for_another_request_is_refused(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    post(services, "accepted")
    answer = post(services, "key_reused")

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
def test_an_invalid_request_is_refused_and_stores_nothing(
    services: OnDatabase, database: Database, case: str, status: int, code: str
) -> None:
    answer = post(services, case)

    assert (answer["statusCode"], problem(answer)) == (status, code)
    assert rows(database) == NOTHING


def test_a_refusal_lists_every_fault_in_the_caller_s_language(services: OnDatabase) -> None:
    answer = post(services, "invalid_body")

    errors = json.loads(answer["body"])["errors"]
    assert [(error["pointer"], error["code"]) for error in errors] == [
        ("/customer/email", "malformed_email"),
        ("/offer/ends_on", "not_after_start"),
        ("/price/amount", "not_a_decimal"),
    ]
    assert errors[0]["message"] == "It is not a valid e-mail address."
    assert header(answer, "Content-Language") == "en"


def test_a_refused_body_may_be_fixed_under_the_same_key(services: OnDatabase) -> None:
    post(services, "invalid_body")
    assert post(services, "accepted")["statusCode"] == 202


def at(day: date) -> datetime:
    """The moment at which the day begins in the zone where days end last."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def test_a_repeat_after_the_trip_began_gets_the_first_answer(
    services: OnDatabase, database: Database
) -> None:
    services.moment = at(STARTS_ON)
    first = post(services, "accepted")

    services.moment = at(STARTS_ON + timedelta(days=1))
    again = post(services, "accepted")

    assert (first["statusCode"], again["statusCode"]) == (202, 202)
    assert again["body"] == first["body"]
    assert header(again, "Idempotency-Replayed") == "true"
    assert rows(database) == ONE_OF_EACH


def test_a_first_request_for_a_trip_that_began_yesterday_is_refused_and_its_key_stays_free(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    services.moment = at(STARTS_ON + timedelta(days=1))
    refused = post(services, "accepted")

    assert (refused["statusCode"], problem(refused)) == (422, "validation_failed")
    [fault] = json.loads(refused["body"])["errors"]
    assert (fault["pointer"], fault["code"]) == ("/offer/starts_on", "in_the_past")
    assert rows(database) == NOTHING
    assert logs.metrics == set()
    services.moment = at(STARTS_ON)
    accepted = post(services, "accepted")
    assert accepted["statusCode"] == 202
    assert header(accepted, "Idempotency-Replayed") is None


def test_a_reused_key_is_refused_as_such_even_after_the_trip_began(
    services: OnDatabase,
) -> None:
    services.moment = at(STARTS_ON)
    post(services, "accepted")

    services.moment = at(STARTS_ON + timedelta(days=1))

    assert problem(post(services, "key_reused")) == "idempotency_key_reused"


# --- two open tabs


def post_from_another_tab(
    services: OnDatabase, *, api_key_id: str | None = None, **members: Any
) -> dict[str, Any]:
    """The accepted request again, with another key and these members of its body."""
    event = an_event("create_reservation.accepted")
    event["headers"]["Idempotency-Key"] = "another-tab-another-key"
    event["multiValueHeaders"]["Idempotency-Key"] = ["another-tab-another-key"]
    event["body"] = json.dumps(json.loads(event["body"]) | members)
    if api_key_id is not None:
        event["requestContext"]["identity"]["apiKeyId"] = api_key_id
    return handler_of("create_reservation", services)(event, a_context())


def test_a_second_tab_is_refused_with_the_code_of_the_first(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    first = json.loads(post(services, "accepted")["body"])

    answer = post_from_another_tab(services)

    assert (answer["statusCode"], problem(answer)) == (409, "payment_in_progress")
    refusal = json.loads(answer["body"])
    assert refusal["reservation_code"] == first["reservation_code"]
    assert first["access_token"] not in answer["body"]
    assert header(answer, "Retry-After") is None
    assert rows(database) == ONE_OF_EACH
    assert "PaymentInProgress" in logs.metrics


def test_the_first_tab_still_gets_its_answer_again(services: OnDatabase) -> None:
    first = post(services, "accepted")
    post_from_another_tab(services)

    assert post(services, "accepted")["body"] == first["body"]


def test_a_saved_card_pays_for_another_trip(services: OnDatabase) -> None:
    post(services, "accepted")
    other_price = {"amount": "342.51", "currency": "EUR"}

    assert post_from_another_tab(services, price=other_price)["statusCode"] == 202


@pytest.mark.parametrize("case", ["another client", "allowed"])
def test_a_client_that_may_charge_twice_does(services: OnDatabase, case: str) -> None:
    allow = replace(services.modes["web"], duplicate_charge=DuplicateCharge.ALLOW)
    if case == "allowed":
        services.modes["web"] = allow
    post(services, "accepted")
    client = "q8zt4nf7s0" if case == "another client" else None

    assert post_from_another_tab(services, api_key_id=client)["statusCode"] == 202


@pytest.mark.parametrize("current", ["k1", "k2"])
def test_a_second_tab_is_refused_during_a_rotation_of_the_keys(
    services: OnDatabase, current: str
) -> None:
    post(services, "accepted")
    services.ring = KeyRing(current=current, keys={**KEYS.keys, "k2": b"2" * 32})

    assert problem(post_from_another_tab(services)) == "payment_in_progress"


def test_a_refused_tab_may_try_again_under_its_key_once_the_first_is_closed(
    services: OnDatabase, database: Database
) -> None:
    post(services, "accepted")
    assert problem(post_from_another_tab(services)) == "payment_in_progress"
    reservation_id = UUID(bytes=only_value(database, "SELECT id FROM reservation"))
    with services.unit_of_work() as uow:
        cancel_reservation(reservation_id, cases=Cases(uow=uow, policy=STANDARD))
        uow.commit()

    assert post_from_another_tab(services)["statusCode"] == 202


def fails(answer: dict[str, Any], code: str = "service_unavailable") -> bool:
    body = json.loads(answer["body"])
    for inside in ("SQL", "INSERT", "Error", "Traceback", "customer", "127.0.0.1"):
        assert inside not in answer["body"]
    return (answer["statusCode"], body["code"], header(answer, "Retry-After")) == (503, code, "5")


@pytest.mark.parametrize("name", ["policy", "key_ring", "joined_unit_of_work"])
def test_a_defect_is_a_503_and_stores_nothing(
    services: OnDatabase,
    database: Database,
    logs: LogBook,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(services, name, raising(RuntimeError("a defect")))

    assert fails(post(services, "accepted"))

    assert rows(database) == NOTHING
    assert logs.metrics == {"UnhandledError", "Defect"}
    [line] = logs.saying("request failed unexpectedly")
    assert "RuntimeError" in line["exception"]


@pytest.mark.parametrize("defect", [KnowledgeLostError, DuplicateCodeError])
def test_a_broken_internal_rule_is_counted_as_a_defect(
    services: OnDatabase, logs: LogBook, monkeypatch: pytest.MonkeyPatch, defect: type[DefectError]
) -> None:
    monkeypatch.setattr(services, "policy", raising(defect("a defect")))

    assert fails(post(services, "accepted"))

    assert logs.metrics == {"UnhandledError", "Defect"}
    [line] = logs.saying("request failed")
    assert line["code"] == defect.code


def test_a_defect_after_the_commit_answers_that_the_effect_is_unknown(
    services: OnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(answers, "created", raising(RuntimeError("a defect")))
        answer = post(services, "accepted")

    assert fails(answer, "gateway_timeout")
    assert json.loads(answer["body"])["effect"] == "unknown"
    assert header(post(services, "accepted"), "Idempotency-Replayed") == "true"
    monkeypatch.setattr(services, "api_settings", raising(RuntimeError("a defect")))
    assert fails(
        post(services, "accepted")
    )  # the commit of one request does not affect the answer to the next


@pytest.mark.parametrize("name", ["key_ring", "public_base_url"])
def test_unreadable_settings_during_a_replay_answer_that_the_effect_is_unknown(
    services: OnDatabase, logs: LogBook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    post(services, "accepted")

    monkeypatch.setattr(services, name, raising(SettingsError("not readable")))
    answer = post(services, "accepted")

    assert fails(answer, "gateway_timeout")
    assert json.loads(answer["body"])["effect"] == "unknown"
    assert "RequestUnavailable" in logs.metrics
    [line] = logs.saying("request failed")
    assert line["code"] == "settings_invalid"


def test_after_a_failure_the_same_key_is_usable_again(
    services: OnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(services, "policy", raising(RuntimeError("a defect")))
        post(services, "accepted")

    answer = post(services, "accepted")

    assert answer["statusCode"] == 202
    assert header(answer, "Idempotency-Replayed") is None


def test_a_failed_statement_logs_no_parameter(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    """The `logs` fixture looks for the traveler's name, address, phone and payment token."""
    run(database, text("RENAME TABLE customer TO customer_away"))
    try:
        assert fails(post(services, "accepted"))
    finally:
        run(database, text("RENAME TABLE customer_away TO customer"))

    [line] = logs.saying("request failed")
    assert line["code"] == "statement_refused"
    assert "1146: INSERT INTO customer" in line["exception"]  # no such table
    assert rows(database) == NOTHING


def test_an_unreachable_database_is_a_503(
    logs: LogBook,
) -> None:
    services = OnDatabase(Database(connector("mysql+pymysql://user:secret@127.0.0.1:1/none")))

    answer = post(services, "accepted")

    assert fails(answer)
    assert json.loads(answer["body"])["effect"] == "none"
    assert logs.metrics == {"RequestUnavailable"}
    assert "secret" not in logs.text


def test_a_commit_of_unknown_fate_answers_that_the_effect_is_unknown(
    services: OnDatabase, database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = DatabaseUnavailableError("lost during the commit", effect_unknown=True)
    monkeypatch.setattr(database, "commit", raising(lost))

    answer = post(services, "accepted")

    assert fails(answer, "gateway_timeout")
    assert json.loads(answer["body"])["effect"] == "unknown"
    assert "ReservationAccepted" not in logs.metrics


def test_without_idempotency_nothing_is_accepted(
    services: OnDatabase, database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_IDEMPOTENCY_DISABLED", "true")

    assert fails(post(services, "accepted"))

    assert rows(database) == NOTHING
    [line] = logs.saying("request failed")
    assert "POWERTOOLS_IDEMPOTENCY_DISABLED" in line["exception"]
