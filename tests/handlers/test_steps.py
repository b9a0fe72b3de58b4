"""The four queue functions: the effect of a hint, retried messages, dead-lettered messages."""

from dataclasses import replace
from typing import Any

import pytest

from reservations.application.ports import MailAccepted, MailUnknown, Reply
from reservations.domain.errors import DatabaseUnavailableError
from reservations.domain.facts import Dispute, DisputeStatus, Listing, NoAnswer, Seen, Status
from reservations.domain.messages import Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import MailKind, MailStatus, Reservation
from reservations.domain.words import State
from tests.handlers.conftest import Surroundings
from tests.worlds.builders import (
    BOOK_KEY,
    CHARGE_KEY,
    NOON,
    PRICE,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_reservation,
    a_voucher,
    some_facts,
)
from tests.worlds.fakes import FailingRenderer, ScriptedPayments, ScriptedSupplier
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import handler_of, raising

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
FIRST_MESSAGE = "19dd0b57-b21e-4ac1-bd88-{:012x}"
PAID = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
BOOKED = Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="HOTEL-77")

ACCEPTED = a_reservation()
PAID_FOR = a_reservation(a_charge())
CONFIRMED = a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON))
WITH_VOUCHER = a_reservation(facts=CONFIRMED.facts, documents=(a_voucher(),))

LOOKED_AT = a_reservation(
    facts=some_facts(a_charge(check_at=NOON), a_booking(), confirmed_at=NOON),
    documents=(a_voucher(),),
)

STEPS: dict[str, Reservation] = {
    "process_payment": ACCEPTED,
    "confirm_supplier": PAID_FOR,
    "issue_voucher": CONFIRMED,
    "notify_customer": WITH_VOUCHER,
}
every_step = pytest.mark.parametrize(("step", "reservation"), STEPS.items(), ids=STEPS)


def run(around: Surroundings, step: str, case: str = "due") -> list[str]:
    """Ids of the messages to return to the queue."""
    return run_event(around, step, an_event(f"{step}.{case}"))


def run_event(around: Surroundings, step: str, event: dict[str, Any]) -> list[str]:
    verdict = handler_of(step, around)(event, a_context())
    assert set(verdict) == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in verdict["batchItemFailures"]]


def hints_stored(around: Surroundings) -> list[tuple[Queue, str | None]]:
    rows = around.database.outbox.values()
    return [(row.hint.queue, row.hint.traceparent) for row in rows]


def test_a_charge_succeeds_and_the_supplier_hint_is_stored(around: Surroundings) -> None:
    around.keep(ACCEPTED)
    around.payments = ScriptedPayments(PAID)

    assert run(around, "process_payment") == []

    [request] = around.payments.requests
    assert (request.action.key, request.money) == (CHARGE_KEY, PRICE)
    assert around.stored.standing.state is State.PAID
    [(queue, traceparent)] = hints_stored(around)
    assert queue is Queue.SUPPLIER
    assert traceparent is not None
    assert traceparent.split("-")[1] == TRACE_ID
    assert around.logs.metrics == {"ProviderSeen"}


def test_a_provider_call_is_logged_in_one_line_of_codes(around: Surroundings) -> None:
    around.keep(ACCEPTED)
    reply = Reply(outcome=NoAnswer(), http_status=502, elapsed_ms=31)
    around.payments = ScriptedPayments(reply)

    run(around, "process_payment")

    [line] = around.logs.saying("provider called")
    assert (line["verb"], line["outcome"], line["http_status"]) == ("charge", "NoAnswer", 502)
    assert line["elapsed_ms"] == 31
    assert line["reservation_id"] == str(RESERVATION_ID)
    assert line["trace_id"] == TRACE_ID


def test_an_answer_that_needs_a_person_is_an_error_in_the_logs(around: Surroundings) -> None:
    around.keep(ACCEPTED)
    reply = Reply(outcome=NoAnswer(), http_status=401, elapsed_ms=9, alarm="unauthorized")
    around.payments = ScriptedPayments(reply)

    run(around, "process_payment")

    [line] = around.logs.saying("provider answer needs a person")
    assert (line["level"], line["alarm"]) == ("ERROR", "unauthorized")
    assert around.logs.metrics == {"ProviderNoAnswer", "ProviderAlarm"}


def test_a_contradiction_is_one_page_when_it_opens(around: Surroundings) -> None:
    around.keep(LOOKED_AT)
    told = Listing.of([replace(PAID, dispute=Dispute(DisputeStatus.OPEN, PRICE))])
    around.payments = ScriptedPayments(told, told)

    run(around, "process_payment")

    [line] = around.logs.saying("contradiction opened")
    assert (line["level"], line["type"]) == ("ERROR", "dispute")
    assert around.logs.metrics == {"ProviderListing", "ContradictionOpened"}
    [row] = around.stored.facts.contradictions
    around.database.now = row.check_at or NOON
    run(around, "process_payment")
    assert len(around.payments.requests) == 2
    assert len(around.logs.saying("contradiction opened")) == 1


def test_a_service_is_booked_and_the_voucher_hint_is_stored(around: Surroundings) -> None:
    around.keep(PAID_FOR)
    around.supplier = ScriptedSupplier(BOOKED)

    assert run(around, "confirm_supplier") == []

    [request] = around.supplier.requests
    assert (request.action.key, request.offer.offer_id) == (BOOK_KEY, ACCEPTED.offer.offer_id)
    assert around.stored.standing.state is State.SUPPLIER_CONFIRMED
    assert [queue for queue, _ in hints_stored(around)] == [Queue.VOUCHER]


def test_a_voucher_is_issued_and_the_mail_hint_is_stored(around: Surroundings) -> None:
    around.keep(CONFIRMED)

    assert run(around, "issue_voucher") == []

    document = around.stored.voucher
    assert document is not None
    assert document.s3_key in around.store.documents
    assert [queue for queue, _ in hints_stored(around)] == [Queue.NOTIFICATION]
    assert around.logs.metrics == {"VoucherIssued", "ConfirmedAfter"}


def test_a_mail_is_sent_with_the_voucher(around: Surroundings) -> None:
    around.keep(WITH_VOUCHER)
    around.store.documents[a_voucher().s3_key] = b"%PDF"
    around.mailer.outcome = MailAccepted("ses-1")

    assert run(around, "notify_customer") == []

    [mail] = around.mailer.mails
    assert (mail.kind, mail.voucher_pdf) == (MailKind.CONFIRMED, b"%PDF")
    send = around.stored.send_of(MailKind.CONFIRMED)
    assert send is not None
    assert send.status is MailStatus.SENT
    assert around.logs.metrics == {"MailSent"}


def test_a_failed_voucher_is_an_error_and_the_mail_is_sent_without_it(
    around: Surroundings,
) -> None:
    around.voucher_renderer = FailingRenderer()
    around.keep(CONFIRMED)
    around.mailer.outcome = MailAccepted("ses-1")

    assert run(around, "issue_voucher") != []

    [line] = around.logs.saying("hint not handled")
    assert "VoucherNotDrawnError" in line["exception"]
    assert around.logs.metrics == {"HintFailed"}

    around.database.now += STANDARD.rung(0)
    assert run(around, "notify_customer") == []

    [mail] = around.mailer.mails
    assert (mail.kind, mail.voucher_pdf) == (MailKind.CONFIRMED, None)


def test_a_mail_without_an_answer_is_counted_as_unknown(around: Surroundings) -> None:
    around.keep(WITH_VOUCHER)
    around.mailer.outcome = MailUnknown()

    assert run(around, "notify_customer") == []

    assert around.logs.metrics == {"MailUnknown"}


@every_step
def test_a_step_without_work_calls_nothing_and_counts_nothing(
    around: Surroundings, step: str, reservation: Reservation
) -> None:
    around.keep(a_reservation(a_charge(Status.UNKNOWN)))

    assert run(around, step) == []

    assert around.logs.metrics == set()
    assert around.payments.requests == []
    assert around.supplier.requests == []
    assert around.mailer.mails == []


def test_each_message_of_a_batch_gets_its_own_verdict(around: Surroundings) -> None:
    around.keep(CONFIRMED)
    event = an_event("issue_voucher.batch")
    unreadable, _, for_nobody = event["Records"]

    assert run_event(around, "issue_voucher", event) == []

    assert around.stored.voucher is not None
    assert around.dead_letters.dead_lettered == [
        (unreadable["body"], "not_json"),
        (for_nobody["body"], "unknown_reservation"),
    ]
    assert around.logs.metrics == {"HintSetAside", "VoucherIssued", "ConfirmedAfter"}


def test_only_the_failed_message_of_a_batch_returns(around: Surroundings) -> None:
    around.keep(CONFIRMED)
    around.store.down = True

    assert run(around, "issue_voucher", "batch") == [FIRST_MESSAGE.format(6)]

    assert len(around.dead_letters.dead_lettered) == 2


def test_a_hint_of_an_unknown_version_is_dead_lettered_with_its_reason(
    around: Surroundings,
) -> None:
    around.keep(ACCEPTED)
    event = an_event("process_payment.unknown_version")

    assert run_event(around, "process_payment", event) == []

    [record] = event["Records"]
    assert around.dead_letters.dead_lettered == [(record["body"], "unknown_schema_version")]
    assert around.payments.requests == []


@every_step
def test_a_hint_of_an_unknown_reservation_is_dead_lettered(
    around: Surroundings, step: str, reservation: Reservation
) -> None:
    assert run(around, step) == []

    [(_, reason)] = around.dead_letters.dead_lettered
    assert reason == "unknown_reservation"


@every_step
@pytest.mark.parametrize(
    "error",
    [DatabaseUnavailableError("no connection to the database"), RuntimeError("a defect")],
    ids=["no database", "a defect"],
)
@pytest.mark.parametrize("name", ["unit_of_work", "policy"])
def test_a_failure_of_ours_returns_the_message_and_is_logged(
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    reservation: Reservation,
    error: Exception,
    name: str,
) -> None:
    around.keep(reservation)
    monkeypatch.setattr(around, name, raising(error))

    assert run(around, step) != []

    assert around.dead_letters.dead_lettered == []
    [line] = around.logs.saying("hint not handled")
    assert type(error).__name__ in line["exception"]
    assert line["reservation_id"] == str(RESERVATION_ID)


PORT_OF = {
    "process_payment": "payments",
    "confirm_supplier": "supplier",
    "issue_voucher": "voucher_renderer",
    "notify_customer": "mailer",
}


@every_step
def test_a_port_that_raises_costs_a_retry_and_no_message(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch, step: str, reservation: Reservation
) -> None:
    """A port must not raise for external failures. A defect that raises is retried."""
    around.keep(reservation)

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("a defect")

    monkeypatch.setattr(around, PORT_OF[step], Broken())

    assert len(run(around, step)) == 1

    assert around.dead_letters.dead_lettered == []
    assert around.stored.next_check_at is not None


def test_the_personal_data_of_a_mail_are_in_no_log_line(around: Surroundings) -> None:
    """The `logs` fixture searches for these data after every test."""
    around.keep(WITH_VOUCHER)

    run(around, "notify_customer")

    [mail] = around.mailer.mails
    assert (mail.to, mail.guest) == ("ana.perez@example.com", "Ana Pérez")
    assert around.logs.saying("mail tried")
