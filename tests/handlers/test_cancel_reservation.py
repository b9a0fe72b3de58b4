"""POST …/cancel: once, by the owner, in any state of the reservation; on both real databases."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.domain.codes import canonical
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.facts import Reason, Status
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus
from reservations.entrypoints import answers
from tests.worlds.builders import (
    CODE,
    NOON,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.databases import ENGINES, Connect, SchemaOf, connections_to
from tests.worlds.invocation import LogBook, a_context, an_event
from tests.worlds.services import BASE_URL, OnDatabase, handler_of, raising
from tests.worlds.sql import run

OTHER_ID = UUID("0195511f-3c00-7abc-8def-00000000b0b0")  # as in the event "key_reused"
OTHER_CODE = canonical("23456-789AB-P")
ITSELF = f"{BASE_URL}/v1/reservations/7KQ2M-XD4RT-S"


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


# The database's clock decides whether the service has begun, so these trips are counted from it.
def upcoming(*, in_days: int = 60) -> Any:
    starts_on = datetime.now(UTC).date() + timedelta(days=in_days)
    return an_offer(starts_on=starts_on, ends_on=starts_on + timedelta(days=3))


def keep(database: Database, *calls: Any, **changes: Any) -> Reservation:
    reservation = a_reservation(*calls, **{"offer": upcoming(), **changes})
    with MySqlUnitOfWork(database) as uow:
        uow.add(a_creation(reservation), a_customer())
        uow.commit()
    return reservation


def confirmed(database: Database) -> Reservation:
    facts = some_facts(a_charge(), a_booking(), confirmed_at=NOON)
    return keep(database, facts=facts, documents=(a_voucher(),))


def post(services: OnDatabase, case: str = "accepted", *, key: str | None = None) -> dict[str, Any]:
    event = an_event(f"cancel_reservation.{case}")
    if key:
        event["headers"]["Idempotency-Key"] = key
    return post_event(services, event)


def post_event(services: OnDatabase, event: dict[str, Any]) -> dict[str, Any]:
    return handler_of("cancel_reservation", services)(event, a_context())


def header(answer: dict[str, Any], name: str) -> str | None:
    values = answer["multiValueHeaders"].get(name)
    return values[0] if values else None


def problem(answer: dict[str, Any]) -> str:
    assert header(answer, "Content-Type") == "application/problem+json"
    code: str = json.loads(answer["body"])["code"]
    return code


def stored(database: Database, code: str = CODE) -> Reservation:
    with MySqlUnitOfWork(database) as uow:
        reservation = uow.reservations.find(code)
    assert reservation is not None
    return reservation


def count(database: Database, table: str) -> int:
    counted = int(run(database, text(f"SELECT COUNT(*) FROM {table}")).scalar_one())
    database.rollback()
    return counted


def but_for_the_mark(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without its `Idempotency-Replayed` header."""
    headers = dict(answer["multiValueHeaders"])
    headers.pop("Idempotency-Replayed", None)
    return answer | {"multiValueHeaders": headers}


# --- accepted -------------------------------------------------------------------------------------


def test_an_uncharged_reservation_is_cancelled_at_once(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    keep(database)

    answer = post(services)

    body = json.loads(answer["body"])
    assert answer["statusCode"] == 200
    assert (body["status"], body["refund"], body["documents"]) == ("CANCELADA", None, [])
    assert "access_token" not in body
    assert header(answer, "ETag") == f'W/"{body["version"]}"'
    assert header(answer, "Cache-Control") == "private, no-cache"
    assert header(answer, "Location") is None
    assert header(answer, "Retry-After") == "2"  # its mail is on the way
    assert "cancel" not in body["_links"]
    assert stored(database).standing.public_status is PublicStatus.CANCELADA
    assert logs.metrics == {"CancellationAccepted"}


def test_a_confirmed_reservation_is_cancelled_step_by_step(
    services: OnDatabase, database: Database
) -> None:
    confirmed(database)

    answer = post(services)

    body = json.loads(answer["body"])
    assert answer["statusCode"] == 202
    assert (body["status"], body["documents"]) == ("EN CANCELACION", [])
    assert body["refund"] == {"status": "pending", "amount": "342.50", "currency": "EUR"}
    assert header(answer, "Location") == body["_links"]["self"] == ITSELF
    assert header(answer, "Retry-After") is not None
    reservation = stored(database)
    assert reservation.facts.reason is Reason.CUSTOMER_CANCELLED
    assert reservation.version == body["version"] == 2
    queues = run(database, text("SELECT queue FROM outbox")).scalars().all()
    assert "supplier" in queues  # the booking is cancelled before the refund


@pytest.mark.parametrize("status", [Status.STARTED, Status.UNKNOWN, Status.PENDING])
def test_a_cancellation_with_an_undecided_payment_is_still_in_progress(
    services: OnDatabase, database: Database, status: Status
) -> None:
    keep(database, a_charge(status))

    answer = post(services)

    assert answer["statusCode"] == 202
    assert json.loads(answer["body"])["status"] == "EN CANCELACION"


def test_the_history_names_the_customer_as_actor_of_the_cancellation(
    services: OnDatabase, database: Database
) -> None:
    keep(database)
    post(services)
    actors = run(
        database,
        text("SELECT actor FROM history WHERE event = 'reservation.closed.customer_cancelled'"),
    )
    assert actors.scalars().all() == ["customer"]


def test_the_stored_hint_continues_the_trace_of_the_caller(
    services: OnDatabase, database: Database
) -> None:
    confirmed(database)
    event = an_event("cancel_reservation.accepted")
    event["headers"]["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    post_event(services, event)
    traceparents = run(database, text("SELECT traceparent FROM outbox")).scalars().all()
    assert {value.split("-")[1] for value in traceparents} == {"0af7651916cd43dd8448eb211c80319c"}


# --- repeated -------------------------------------------------------------------------------------


def test_a_repeat_is_answered_the_same_and_does_nothing(
    services: OnDatabase, database: Database, logs: LogBook
) -> None:
    confirmed(database)

    first, again = post(services), post(services)

    assert header(first, "Idempotency-Replayed") is None
    assert header(again, "Idempotency-Replayed") == "true"
    assert but_for_the_mark(again) == but_for_the_mark(first)
    assert stored(database).version == 2
    assert len(logs.saying("cancellation accepted")) == 1
    [line] = logs.saying("cancellation replayed")
    assert line["reservation_id"] == str(RESERVATION_ID)


def test_a_repeat_after_the_reservation_changed_still_gets_the_first_answer(
    services: OnDatabase,
    database: Database,
) -> None:
    confirmed(database)
    first = post(services)
    run(database, text("UPDATE reservation SET version = 9"))
    database.commit()

    assert but_for_the_mark(post(services)) == but_for_the_mark(first)


def test_a_new_key_during_a_cancellation_gets_the_current_reservation(
    services: OnDatabase,
    database: Database,
) -> None:
    confirmed(database)
    post(services)

    answer = post(services, key="another-key-altogether")

    assert answer["statusCode"] == 202
    assert header(answer, "Idempotency-Replayed") is None
    assert stored(database).version == 2
    assert count(database, "idempotency") == 2


def test_a_new_key_after_the_cancellation_is_a_200(
    services: OnDatabase, database: Database
) -> None:
    keep(database)
    post(services)

    answer = post(services, key="another-key-altogether")

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["status"] == "CANCELADA"


def test_a_key_used_for_another_reservation_is_refused(
    services: OnDatabase, database: Database
) -> None:
    keep(database)
    facts = some_facts(reservation_id=OTHER_ID)
    keep(database, facts=facts, reservation_id=OTHER_ID, code=OTHER_CODE)
    post(services)

    answer = post(services, "key_reused")

    assert (answer["statusCode"], problem(answer)) == (422, "idempotency_key_reused")
    assert stored(database, OTHER_CODE).facts.reason is None
    assert count(database, "idempotency") == 1


def test_a_repeat_may_spell_the_code_differently(services: OnDatabase, database: Database) -> None:
    keep(database)
    first = post(services)
    event = an_event("cancel_reservation.accepted")
    typed = "/v1/reservations/7kq2m%20xd4rts/cancel"
    event["path"], event["pathParameters"] = typed, {"code": "7kq2m xd4rts"}

    again = post_event(services, event)

    assert header(again, "Idempotency-Replayed") == "true"
    assert again["body"] == first["body"]


# --- refused --------------------------------------------------------------------------------------

OVER = {
    "declined": a_reservation(a_charge(Status.DECLINED), reason=Reason.PAYMENT_DECLINED),
    "rejected": a_reservation(
        a_charge(), a_booking(Status.DECLINED), a_refund(), reason=Reason.SUPPLIER_REJECTED
    ),
    "expired": a_reservation(reason=Reason.EXPIRED),
}


@pytest.mark.parametrize("name", OVER)
def test_a_closed_reservation_is_not_cancellable_and_the_refusal_is_repeated(
    services: OnDatabase, database: Database, logs: LogBook, name: str
) -> None:
    over = OVER[name]
    keep(database, facts=over.facts)

    first, again = post(services), post(services)

    assert (first["statusCode"], problem(first)) == (409, "not_cancellable")
    assert json.loads(first["body"])["effect"] == "none"
    assert header(again, "Idempotency-Replayed") == "true"
    assert but_for_the_mark(again) == but_for_the_mark(first)
    assert stored(database).facts.reason is over.facts.reason
    assert count(database, "outbox") == 0
    assert "CancellationAccepted" not in logs.metrics


def test_a_refusal_is_repeated_even_if_cancelling_has_become_possible(
    services: OnDatabase, database: Database
) -> None:
    keep(database, offer=upcoming(in_days=-1))
    first = post(services)
    postponed = ", ".join(f"{day} = {day} + INTERVAL 60 DAY" for day in ("starts_on", "ends_on"))
    run(database, text(f"UPDATE reservation SET {postponed}"))
    database.commit()

    again = post(services)

    assert problem(first) == "not_cancellable"
    assert but_for_the_mark(again) == but_for_the_mark(first)
    assert post(services, key="another-key-altogether")["statusCode"] == 200


@pytest.mark.parametrize("case", ["wrong_token", "another_client", "accepted"])
def test_a_stranger_gets_the_same_404_and_stores_no_key(
    services: OnDatabase, database: Database, case: str
) -> None:
    if case != "accepted":  # in the case "accepted" no reservation exists
        confirmed(database)

    answer = post(services, case)

    assert (answer["statusCode"], problem(answer)) == (404, "not_found")
    assert count(database, "idempotency") == 0
    if case != "accepted":
        assert stored(database).facts.reason is None


def test_a_stranger_cannot_find_out_that_a_key_was_used(
    services: OnDatabase, database: Database
) -> None:
    keep(database)
    post(services)

    answer = post(services, "wrong_token")

    assert (answer["statusCode"], problem(answer)) == (404, "not_found")
    assert header(answer, "Idempotency-Replayed") is None


@pytest.mark.parametrize(
    ("case", "status", "code"),
    [
        ("without_token", 401, "unauthorized"),
        ("without_key", 400, "idempotency_key_missing"),
        ("malformed_key", 400, "idempotency_key_invalid"),
    ],
)
def test_an_invalid_request_is_refused_and_stores_nothing(
    services: OnDatabase, database: Database, case: str, status: int, code: str
) -> None:
    confirmed(database)

    answer = post(services, case)

    assert (answer["statusCode"], problem(answer)) == (status, code)
    assert count(database, "idempotency") == 0
    assert stored(database).facts.reason is None


def test_a_refusal_is_in_the_caller_s_language(services: OnDatabase, database: Database) -> None:
    keep(database, reason=Reason.EXPIRED)
    event = an_event("cancel_reservation.accepted")
    event["headers"]["Accept-Language"] = "en"

    answer = post_event(services, event)

    assert header(answer, "Content-Language") == "en"
    assert json.loads(answer["body"])["title"] == "It cannot be cancelled"


# --- failures of ours -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["policy", "key_ring", "joined_unit_of_work", "api_settings"])
def test_a_defect_is_a_503_and_cancels_nothing(
    services: OnDatabase,
    database: Database,
    logs: LogBook,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    confirmed(database)
    with monkeypatch.context() as broken:
        broken.setattr(services, name, raising(RuntimeError("a defect")))
        answer = post(services)

    assert (answer["statusCode"], problem(answer)) == (503, "service_unavailable")
    assert header(answer, "Retry-After") == "5"
    assert logs.metrics == {"UnhandledError", "Defect"}
    assert count(database, "idempotency") == 0
    assert stored(database).facts.reason is None
    assert post(services)["statusCode"] == 202  # under the same key


def test_a_defect_after_the_commit_answers_that_the_effect_is_unknown(
    services: OnDatabase, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed(database)
    with monkeypatch.context() as broken:
        broken.setattr(answers, "cancelled", raising(RuntimeError("a defect")))
        answer = post(services)

    assert (answer["statusCode"], problem(answer)) == (503, "gateway_timeout")
    assert stored(database).facts.reason is Reason.CUSTOMER_CANCELLED
    assert header(post(services), "Idempotency-Replayed") == "true"


def test_a_locked_row_is_busy_and_the_key_stays_free(
    services: OnDatabase, database: Database, connect: Connect
) -> None:
    confirmed(database)
    with MySqlUnitOfWork(connect()) as worker:
        worker.open(RESERVATION_ID)
        answer = post(services)

    assert (answer["statusCode"], problem(answer)) == (503, "busy_try_again")
    assert count(database, "idempotency") == 0
    assert post(services)["statusCode"] == 202


def test_a_commit_of_unknown_fate_answers_that_the_effect_is_unknown(
    services: OnDatabase, database: Database, logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed(database)
    lost = DatabaseUnavailableError("lost during the commit", effect_unknown=True)
    monkeypatch.setattr(database, "commit", raising(lost))

    answer = post(services)

    assert (answer["statusCode"], problem(answer)) == (503, "gateway_timeout")
    assert json.loads(answer["body"])["effect"] == "unknown"
    assert "CancellationAccepted" not in logs.metrics


def test_an_unreachable_database_is_a_503(
    logs: LogBook,
) -> None:
    services = OnDatabase(Database(connector("mysql+pymysql://user:secret@127.0.0.1:1/none")))

    answer = post(services)

    assert (answer["statusCode"], problem(answer)) == (503, "service_unavailable")
    assert logs.metrics == {"RequestUnavailable"}
    assert "secret" not in logs.text
