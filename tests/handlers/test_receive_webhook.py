"""Webhooks: recorded once, never trusted as facts, and refused without a valid signature."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reservations.domain.errors import DatabaseBusyError, DatabaseUnavailableError
from reservations.domain.facts import Call, Operation, Provider, Status
from reservations.domain.messages import Queue
from reservations.services import Services
from tests.handlers.conftest import Surroundings
from tests.worlds.builders import NOON, RESERVATION_ID, SECOND, a_booking, a_charge, a_reservation
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of, raising
from tests.worlds.signing import PAYMENTS_SECRET, signed_headers

SENT_AT = NOON  # signing time of the example events
NEW_SECRET = b"the payments' next secret, 32 B."


@pytest.fixture(autouse=True)
def at_the_time_it_was_sent(around: Surroundings) -> None:
    around.moment = SENT_AT


def written(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode()


def post(services: Services, event: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(event, str):
        event = an_event(f"receive_webhook.{event}")
    return handler_of("receive_webhook", services)(event, a_context())


def signed_webhook(
    secret: bytes, *, webhook_id: str = "msg_other", at: datetime = SENT_AT, **body: Any
) -> dict[str, Any]:
    event = an_event("receive_webhook.payment_succeeded")
    content = json.dumps(json.loads(event["body"]) | body)
    headers = signed_headers(
        secret,
        webhook_id=webhook_id,
        timestamp=int(at.timestamp()),
        body=content.encode(),
    )
    event["headers"] |= headers
    event["multiValueHeaders"] |= {name: [value] for name, value in headers.items()}
    event["body"] = content
    return event


def code(answer: dict[str, Any]) -> str:
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    problem: str = json.loads(answer["body"])["code"]
    return problem


def is_untouched(around: Surroundings) -> bool:
    """No read, no write, and no unit of work opened."""
    database = around.database
    return not (around.units or database.webhooks or database.outbox)


def hints(around: Surroundings) -> list[Queue]:
    return [row.hint.queue for row in around.database.outbox.values()]


def the_only(around: Surroundings, operation: Operation) -> Call:
    [call] = around.stored.facts.of(operation)
    return call


# --- accepted -------------------------------------------------------------------------------------


def test_a_webhook_schedules_an_inquiry_and_changes_nothing_else(around: Surroundings) -> None:
    pending = a_charge(Status.PENDING, check_at=NOON + 600 * SECOND)
    around.keep(a_reservation(pending, next_check_at=NOON + 600 * SECOND))

    answer = post(around, "payment_succeeded")

    assert (answer["statusCode"], answer["body"] or "") == (200, "")
    charge = the_only(around, Operation.CHARGE)
    assert (charge.status, charge.check_at) == (Status.PENDING, NOON)
    assert hints(around) == [Queue.PAYMENT]
    [event] = around.database.webhooks.values()
    assert (event.provider, event.type) == (Provider.PAYMENTS, "payment.succeeded")
    assert event.reference == str(RESERVATION_ID)
    assert around.logs.metrics == {"WebhookTaken"}


def test_a_cancellation_webhook_of_the_supplier_only_schedules_an_inquiry(
    around: Surroundings,
) -> None:
    around.keep(a_reservation(a_charge(), a_booking()))

    answer = post(around, "booking_cancelled")

    assert answer["statusCode"] == 200
    booking = the_only(around, Operation.BOOK)
    assert (booking.status, booking.check_at) == (Status.SUCCEEDED, NOON)
    assert the_only(around, Operation.CHARGE).check_at is None
    assert Queue.SUPPLIER in hints(around)


def test_a_body_in_base64_is_signed_over_its_own_bytes(around: Surroundings) -> None:
    around.keep(a_reservation(a_charge()))
    assert post(around, "in_base64")["statusCode"] == 200
    assert len(around.database.webhooks) == 1


def test_a_second_delivery_does_nothing(around: Surroundings) -> None:
    around.keep(a_reservation(a_charge(Status.PENDING)))
    post(around, "payment_succeeded")
    before = around.stored
    around.database.outbox.clear()
    around.database.now += SECOND

    answer = post(around, "payment_succeeded")

    assert answer["statusCode"] == 200
    assert around.stored == before
    assert hints(around) == []
    assert "WebhookDuplicate" in around.logs.metrics


def test_a_webhook_of_an_unknown_reservation_is_stored_and_answered_alike(
    around: Surroundings,
) -> None:
    """A webhook that arrives before our own commit is one too: the reservation is not visible yet."""
    answer = post(around, "unknown_reference")

    assert (answer["statusCode"], answer["body"] or "") == (200, "")
    assert len(around.database.webhooks) == 1
    assert hints(around) == []
    assert around.logs.metrics == {"WebhookUnknownReference"}


def test_a_webhook_with_a_foreign_reference_is_harmless(around: Surroundings) -> None:
    event = signed_webhook(PAYMENTS_SECRET, data={"reference": "order 7; DROP TABLE"})
    assert post(around, event)["statusCode"] == 200
    assert around.logs.metrics == {"WebhookUnknownReference"}


@pytest.mark.parametrize("kind", ["dispute.created", "ping", None], ids=str)
def test_any_signed_webhook_with_our_reference_schedules_an_inquiry(
    around: Surroundings, kind: str | None
) -> None:
    around.keep(a_reservation(a_charge(), a_booking()))

    answer = post(around, signed_webhook(PAYMENTS_SECRET, type=kind))

    assert (answer["statusCode"], answer["body"] or "") == (200, "")
    assert the_only(around, Operation.CHARGE).check_at == NOON
    assert Queue.PAYMENT in hints(around)
    assert around.logs.metrics == {"WebhookTaken"}


def test_a_signed_webhook_without_a_reference_is_counted_and_changes_nothing(
    around: Surroundings,
) -> None:
    answer = post(around, signed_webhook(PAYMENTS_SECRET, data={}))

    assert (answer["statusCode"], answer["body"] or "") == (200, "")
    assert is_untouched(around)
    assert around.logs.metrics == {"WebhookWithoutReference"}


@pytest.mark.parametrize("secret", [PAYMENTS_SECRET, NEW_SECRET], ids=["old", "new"])
def test_both_secrets_are_accepted_during_a_rotation(around: Surroundings, secret: bytes) -> None:
    around.secrets[Provider.PAYMENTS] = [NEW_SECRET, PAYMENTS_SECRET]
    assert post(around, signed_webhook(secret))["statusCode"] == 200


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["forged_body", "another_s_secret", "without_signature"])
def test_a_webhook_without_its_provider_s_signature_is_refused_and_changes_nothing(
    around: Surroundings, case: str
) -> None:
    around.keep(a_reservation(a_charge(Status.PENDING)))
    before = around.stored

    answer = post(around, case)

    assert (answer["statusCode"], code(answer)) == (401, "webhook_signature_invalid")
    assert is_untouched(around)
    assert around.stored == before


@pytest.mark.parametrize("away", [timedelta(seconds=301), -timedelta(seconds=301)])
def test_a_webhook_from_the_past_or_the_future_is_stale(
    around: Surroundings, away: timedelta
) -> None:
    around.moment = SENT_AT + away

    answer = post(around, "payment_succeeded")

    assert (answer["statusCode"], code(answer)) == (401, "webhook_stale")
    assert is_untouched(around)


@pytest.mark.parametrize("away", [timedelta(seconds=300), -timedelta(seconds=300)])
def test_a_webhook_five_minutes_away_is_accepted(around: Surroundings, away: timedelta) -> None:
    around.moment = SENT_AT + away
    assert post(around, "payment_succeeded")["statusCode"] == 200


def test_an_unknown_provider_is_a_404(around: Surroundings) -> None:
    answer = post(around, "unknown_provider")

    assert (answer["statusCode"], code(answer)) == (404, "not_found")
    assert is_untouched(around)


def test_a_body_too_large_is_refused_before_its_signature(around: Surroundings) -> None:
    event = an_event("receive_webhook.without_signature")
    event["body"] = "x" * (64 * 1024 + 1)

    answer = post(around, event)

    assert (answer["statusCode"], code(answer)) == (413, "body_too_large")
    assert is_untouched(around)


def test_a_signed_body_that_is_not_json_is_malformed(around: Surroundings) -> None:
    answer = post(around, "malformed_json")

    assert (answer["statusCode"], code(answer)) == (400, "malformed_json")
    assert is_untouched(around)


def test_no_log_quotes_a_webhook(around: Surroundings) -> None:
    said = {"reference": "Ana Pérez", "card": "4111 1111 1111 1111"}

    post(around, signed_webhook(PAYMENTS_SECRET, webhook_id="msg_of_ana", data=said))
    post(around, signed_webhook(PAYMENTS_SECRET, webhook_id="msg_2", type="Ana Pérez", data=said))
    post(around, "forged_body")

    for word in ("Ana", "4111", "msg_", "v1,", PAYMENTS_SECRET.decode()):
        assert word not in around.logs.text


# --- failures of ours -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (DatabaseUnavailableError("lost at db.example"), "service_unavailable"),
        (DatabaseBusyError("deadlock"), "busy_try_again"),
        (RuntimeError("SELECT secret"), "service_unavailable"),
    ],
    ids=["no database", "a lock", "a defect"],
)
def test_a_failure_of_ours_is_a_503_so_that_the_provider_retries(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    monkeypatch.setattr(around, "unit_of_work", raising(error))

    answer = post(around, "payment_succeeded")

    assert (answer["statusCode"], code(answer)) == (503, problem)
    assert "Retry-After" in answer["multiValueHeaders"]
    for inside in ("secret", "db.example", "deadlock"):
        assert inside not in answer["body"]


def test_a_webhook_refused_by_a_locked_row_is_accepted_on_retry(
    around: Surroundings,
) -> None:
    around.keep(a_reservation(a_charge(Status.PENDING)))
    with around.unit_of_work() as worker:
        worker.open(RESERVATION_ID)
        assert post(around, "payment_succeeded")["statusCode"] == 503
    assert not around.database.webhooks

    assert post(around, "payment_succeeded")["statusCode"] == 200
    assert the_only(around, Operation.CHARGE).check_at == NOON


def test_the_example_webhooks_are_signed_at_the_time_of_their_header() -> None:
    headers = an_event("receive_webhook.payment_succeeded")["headers"]
    assert datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC) == SENT_AT
