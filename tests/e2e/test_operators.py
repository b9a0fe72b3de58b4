"""The operators' commands and the scheduled checks on the running stack."""

import json
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from reservations.adapters.aws.hint_codec import encode_hint
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from tests.e2e.backstage import Backstage
from tests.e2e.operators import Hand, Operator
from tests.e2e.travel import Json, Trip, a_request, depart, eventually

pytestmark = pytest.mark.timeout(300)

NAME, PHONE = f"Canario{secrets.token_hex(6)}", f"+34{secrets.randbelow(10**9):09}"


@pytest.fixture(scope="module")
def operator(steady_stack: Json) -> Operator:
    return Operator(steady_stack)


REQUESTS: dict[str, Json] = {
    "confirmed": a_request(customer={"full_name": NAME, "phone": PHONE}),
    "to cancel": a_request(),
    "to erase": a_request(customer={"full_name": NAME}),
    "leaked": a_request(),
    "declined": a_request(payment_token="tok_declined"),
}


@pytest.fixture(scope="module", autouse=True)
def trips(api: httpx.Client) -> dict[str, Trip]:
    """All trips start at the same time, so that waiting for one is waiting for all."""
    return {name: depart(api, request) for name, request in REQUESTS.items()}


@pytest.fixture(scope="module")
def confirmed(trips: dict[str, Trip], backstage: Backstage) -> Trip:
    return papers_sent(trips["confirmed"], backstage)


def papers_sent(trip: Trip, backstage: Backstage) -> Trip:
    trip.ended("CONFIRMADA")
    eventually(lambda: backstage.mails_sent(trip), of=f"the mail about {trip.code}")
    return trip


def history(operator: Operator, trip: Trip) -> list[Json]:
    page = operator.page("timeline", trip.code)
    return list(page[f"timeline of {trip.code}"])


# --- looking


def test_a_reservation_is_shown_without_personal_data(operator: Operator, confirmed: Trip) -> None:
    page = operator.page("show", confirmed.code)

    assert page["reservation"]["status"] == "CONFIRMADA"
    assert [call["operation"] for call in page["calls"]] == ["charge", "book"]
    assert {attempt["verb"] for attempt in page["attempts"]} >= {"charge", "book"}
    assert [mail["kind"] for mail in page["mails"]] == ["confirmed"]
    for said in (operator.ops("show", confirmed.code), operator.ops("timeline", confirmed.code)):
        assert said.status == 0
        for personal in (NAME, PHONE, confirmed.email, confirmed.created["access_token"]):
            assert personal not in said.out + json.dumps(page)


def test_lists_are_by_state(operator: Operator, trips: dict[str, Trip]) -> None:
    declined = trips["declined"]
    declined.ended("RECHAZADA")

    page = operator.page("list", "--state", "PAYMENT_FAILED", "--limit", "1000")

    assert declined.code in [row["code"] for row in page["PAYMENT_FAILED"]]


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["show", "22222-22222-2"], "no such reservation"),
        (["show", "ABC"], "Read it again"),
        (["list"], "Choose one"),
        (["list", "--state", "LOST"], "is not one of"),
        (["nudge", "22222-22222-2", "--as", "Ana Pérez"], "not a person"),
        (["reconcile", "--since", "yesterday"], "90m, 24h or 7d"),
    ],
)
def test_a_refused_command_gives_advice(
    operator: Operator, arguments: list[str], advice: str
) -> None:
    said = operator.ops(*arguments)

    assert said.status == 2
    assert advice in said.err
    assert "Traceback" not in said.err


# --- acting on one reservation


def test_a_nudge_makes_the_steps_inquire_without_another_charge(
    operator: Operator, confirmed: Trip, backstage: Backstage
) -> None:
    before = len(operator.page("show", confirmed.code)["attempts"])

    operator.page("nudge", confirmed.code, "--as", "guardia")

    eventually(
        lambda: len(operator.page("show", confirmed.code)["attempts"]) >= before + 2,
        of="inquiries after a nudge",
    )
    assert len(backstage.charges(confirmed)) == 1
    assert ("operator.nudged", "operator:guardia") in [
        (line["event"], line["actor"]) for line in history(operator, confirmed)
    ]
    assert confirmed.read()["status"] == "CONFIRMADA"


def test_an_operator_cancels_for_a_customer(
    operator: Operator, trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = papers_sent(trips["to cancel"], backstage)

    operator.page("cancel", trip.code, "--yes", "--as", "atencion")

    eventually(lambda: trip.read()["status"] == "CANCELADA", of=f"the end of {trip.code}")
    assert backstage.money_kept(trip) == 0
    assert backstage.live_bookings(trip) == []
    [closed] = [line for line in history(operator, trip) if "closed" in line["event"]]
    assert closed["actor"] == "operator:atencion"


@pytest.fixture(scope="module")
def in_review(api: httpx.Client) -> Trip:
    """A trip in review: the charge has another sum than the price."""
    trip = depart(api, a_request(payment_token="tok_wrong_amount"))
    eventually(lambda: trip.read()["requires_support"], of=f"a review of {trip.code}")
    return trip


def test_a_sum_is_accepted_by_evidence_and_the_trip_goes_on(
    operator: Operator, in_review: Trip, backstage: Backstage
) -> None:
    listed = operator.page("list", "--review", "--limit", "1000")["review"]
    assert in_review.code in [row["code"] for row in listed]

    operator.page("review", "resolve", in_review.code, "--reason", "paid", "--evidence", "TICKET-5")

    papers_sent(in_review, backstage)
    assert backstage.money_kept(in_review) == Decimal("343.50")
    notes = [line["note"] for line in history(operator, in_review) if line["note"]]
    assert notes == ["paid TICKET-5"]
    refused = operator.ops(
        "review", "resolve", in_review.code, "--reason", "paid", "--evidence", "TICKET-5"
    )
    assert refused.status == 2
    assert "not in review" in refused.err


def test_erasing_removes_personal_data_and_keeps_the_payment(
    operator: Operator, trips: dict[str, Trip], backstage: Backstage, hand: Hand
) -> None:
    trip = papers_sent(trips["to erase"], backstage)
    reference = UUID(backstage.reference(trip)).bytes
    assert operator.ops("erase", trip.code, "--yes").status == 2  # the trip is in the future
    hand.change_trip(trip, "starts_on = '2026-01-01', ends_on = '2026-01-02'")
    [document] = backstage.rows(
        "SELECT s3_key FROM document WHERE reservation_id = :id", id=reference
    )
    assert document["s3_key"] in backstage.object_keys()

    eventually(
        lambda: operator.ops("erase", trip.code, "--yes").status == 0,
        of="a moment between inquiries",
    )

    assert backstage.rows("SELECT 1 FROM customer WHERE reservation_id = :id", id=reference) == []
    assert document["s3_key"] not in backstage.object_keys()
    assert len(backstage.charges(trip)) == len(backstage.calls(trip, "charge")) == 1
    assert trip.read()["documents"] == []
    assert trip.get("/voucher").status_code == httpx.codes.NOT_FOUND
    assert document["s3_key"] not in backstage.object_keys()
    assert operator.page("show", trip.code)["reservation"]["personal_data"] == "erased"


def test_a_reissued_token_revokes_the_old_one(
    operator: Operator, trips: dict[str, Trip], backstage: Backstage
) -> None:
    trip = papers_sent(trips["leaked"], backstage)

    said = operator.ops("token", "reissue", trip.code)
    shown = operator.page("token", "reissue", trip.code, "--show")

    assert said.status == 0
    assert "access_token" not in said.out
    assert trip.get().status_code == httpx.codes.NOT_FOUND
    renewed = replace(trip, created=trip.created | shown["reissued"])
    assert renewed.read()["reservation_code"] == trip.code


# --- acting on many


def test_reconcile_makes_the_recent_calls_due(operator: Operator, confirmed: Trip) -> None:
    minutes = int((time.monotonic() - confirmed.began) / 60) + 1  # few of other tests' trips
    page = operator.page("reconcile", "--since", f"{minutes}m", "--as", "guardia")

    assert page["made due"]["reservations"] >= 1
    assert page["made due"]["payments_calls"] >= 1
    assert page["made due"]["supplier_calls"] >= 1


def test_a_dead_hint_is_revived_and_published(
    operator: Operator, confirmed: Trip, backstage: Backstage, hand: Hand
) -> None:
    reference = UUID(backstage.reference(confirmed)).bytes
    hand.change(
        "UPDATE outbox SET status = 'dead', refusals = 5 WHERE reservation_id = :id LIMIT 1",
        id=reference,
    )
    assert any(row["status"] == "dead" for row in operator.page("outbox", "lag")["outbox"])

    revived = [
        operator.page("outbox", "revive", "--queue", queue)["revived"]
        for queue in ("payment", "supplier", "voucher", "notification")
    ]
    operator.page("outbox", "publish")

    eventually(
        lambda: (
            not backstage.rows(
                "SELECT 1 FROM outbox WHERE reservation_id = :id AND status <> 'published'",
                id=reference,
            )
        ),
        of="the revived hint",
    )
    assert sum(revived) >= 1
    assert "operator.hint_revived" in [line["event"] for line in history(operator, confirmed)]


def test_a_moved_dead_letter_is_in_its_reservation_s_history_with_its_operator(
    operator: Operator, confirmed: Trip, backstage: Backstage
) -> None:
    sqs = backstage.aws("sqs")
    [url] = [u for u in sqs.list_queues()["QueueUrls"] if "VoucherDeadLetterQueue" in u]
    hint = Hint(
        message_id=uuid7(datetime.now(UTC)),
        queue=Queue.VOUCHER,
        reservation_id=UUID(backstage.reference(confirmed)),
        type="voucher.due",
        occurred_at=datetime.now(UTC),
    )
    for command in (["redrive"], ["drop", "--yes"]):
        sqs.send_message(QueueUrl=url, MessageBody=encode_hint(hint))
        operator.page("dlq", *command, "--queue", "voucher", "--rate", "50", "--as", "guardia")

    moved = [
        (line["event"], line["actor"])
        for line in history(operator, confirmed)
        if "message" in line["event"]
    ]
    assert moved == [
        ("operator.message_redriven", "operator:guardia"),
        ("operator.message_dropped", "operator:guardia"),
    ]
    shown = [event["type"] for event in confirmed.events()]
    assert not [event for event in shown if "message" in event]


def test_a_poisoned_message_is_listed_redriven_and_dropped(
    operator: Operator, backstage: Backstage
) -> None:
    sqs = backstage.aws("sqs")
    [url] = [
        u for u in sqs.list_queues()["QueueUrls"] if "VoucherQueue" in u and "DeadLetter" not in u
    ]
    # Those of an earlier run.
    operator.page("dlq", "drop", "--yes", "--queue", "voucher", "--rate", "100")
    sqs.send_message(QueueUrl=url, MessageBody="not a hint")

    def dead() -> list[Json]:
        return list(operator.page("dlq", "list", "--queue", "voucher")["messages"])

    [letter] = eventually(dead, of="a poisoned message in its dead-letter queue")
    assert letter["reason"] == "not_json"

    would = operator.page("dlq", "redrive", "--queue", "voucher", "--dry-run")
    assert [row["messages"] for row in would["would redrive"]] == [1]
    operator.page("dlq", "redrive", "--queue", "voucher", "--rate", "50")
    eventually(dead, of="the poison to come back")
    dropped = operator.page("dlq", "drop", "--yes", "--queue", "voucher", "--rate", "50")

    assert [row["messages"] for row in dropped["dropped"]] == [1]
    assert dead() == []


# --- invariants and retention


def clean_up(backstage: Backstage, task: str) -> Json:
    """Invoke the clean-up function with a task, as its schedule does."""
    resources = backstage.aws("cloudformation").list_stack_resources(StackName="reservations")
    [name] = [
        resource["PhysicalResourceId"]
        for resource in resources["StackResourceSummaries"]
        if resource["LogicalResourceId"] == "CleanUpFunction"
    ]
    answer = backstage.aws("lambda").invoke(
        FunctionName=name, Payload=json.dumps({"task": task}).encode()
    )
    payload: Any = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return dict(payload)


def findings(operator: Operator, invariant: str) -> list[str]:
    """Codes of the reservations that break an invariant, including those of other tests."""
    said = operator.ops("invariants", "--json")
    return [finding["code"] for finding in json.loads(said.out)[invariant]]


def test_a_broken_row_is_found_by_command_and_by_schedule(
    operator: Operator, confirmed: Trip, backstage: Backstage, hand: Hand
) -> None:
    reference = backstage.reference(confirmed)
    [charge] = backstage.calls(confirmed, "charge")
    right = charge["money_minor"]

    # Repeat the change each time: a running step may overwrite it with an older state.
    def store(minor: int) -> None:
        hand.postpone(reference)
        hand.change(
            "UPDATE provider_call SET money_minor = :minor WHERE id = :id",
            minor=minor,
            id=charge["id"],
        )

    def found(minor: int) -> bool:
        store(minor)
        return confirmed.code in findings(operator, "confirmed_sum")

    def counted(minor: int) -> bool:
        store(minor)
        return bool(clean_up(backstage, "invariants")["confirmed_sum"])

    try:
        eventually(lambda: found(right + 1), of="a finding")
        assert operator.ops("invariants").status == 1
        eventually(lambda: counted(right + 1), of="a finding of the scheduled check")
    finally:
        eventually(lambda: not found(right), of="the row as it was")
        # A step may have stored the review of the wrong sum meanwhile.
        operator.page("nudge", confirmed.code)
        eventually(
            lambda: confirmed.code not in findings(operator, "projections_differ"),
            of="the review as it was",
        )

    lines = backstage.logs(function="CleanUp", containing="InvariantBroken")
    assert any('"confirmed_sum"' in line for line in lines)


def test_retention_deletes_old_hints_and_keeps_the_dead(backstage: Backstage, hand: Hand) -> None:
    old = datetime.now(UTC) - timedelta(days=15)
    row = (
        "INSERT INTO outbox (message_id, queue, status, available_at, refusals, reservation_id,"
        " type, occurred_at) VALUES (:id, 'payment', :status, :at, 0, :id, 'check.due', :at)"
    )
    ids = {status: secrets.token_bytes(16) for status in ("published", "dead")}
    for status, key in ids.items():
        hand.change(row, id=key, status=status, at=old.replace(tzinfo=None))

    counts = clean_up(backstage, "retention")

    left = backstage.rows(
        "SELECT status FROM outbox WHERE message_id IN :ids", ids=tuple(ids.values())
    )
    hand.change("DELETE FROM outbox WHERE message_id = :id", id=ids["dead"])
    assert counts["hints"] >= 1
    assert [each["status"] for each in left] == ["dead"]
