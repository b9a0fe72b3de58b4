"""The payments API we rely on: our client, the simulator and the document keep one promise."""

import base64
import hashlib
import hmac
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from reservations.application.ports import PaymentRequest, PaymentsApi, Reply
from reservations.domain.actions import Inquire, Send, Void
from reservations.domain.facts import Listing, NoAnswer, NotSent, Operation, Seen, Status
from reservations.domain.money import Money
from tests.worlds.builders import row_of
from tests.worlds.contracts import Contract
from tests.worlds.providers import Receiver, Simulator, eventually

PRICE = Money(34250, "EUR")
A_GOOD_TOKEN = "tok_ok"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_charge(token: str = A_GOOD_TOKEN) -> PaymentRequest:
    reference = uuid4()
    return PaymentRequest(
        action=Send(operation=Operation.CHARGE, key=f"charge:{reference}", money=PRICE),
        reference=reference,
        money=PRICE,
        payment_token=token,
        not_after=datetime.now(UTC) + timedelta(minutes=1),
    )


def an_inquiry(request: PaymentRequest) -> PaymentRequest:
    return replace(request, action=Inquire(row_of(request.action)), payment_token=None)


def a_void(charge: PaymentRequest, payment_id: str) -> PaymentRequest:
    pending = replace(row_of(charge.action), provider_id=payment_id)
    return replace(charge, action=Void(pending), payment_token=None)


def a_refund(
    charge: PaymentRequest, payment_id: str, money: Money = PRICE, *, key: str | None = None
) -> PaymentRequest:
    refund = Send(
        operation=Operation.REFUND,
        key=key or f"refund:{payment_id}",
        target=payment_id,
        money=money,
    )
    return replace(charge, action=refund, money=money, payment_token=None)


def seen(reply: Reply) -> Seen:
    assert isinstance(reply.outcome, Seen)
    return reply.outcome


def listed(reply: Reply) -> tuple[Seen, ...]:
    assert isinstance(reply.outcome, Listing)
    return reply.outcome.seen


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("tok_ok", Status.SUCCEEDED),
        ("tok_declined", Status.DECLINED),
        ("tok_pending", Status.PENDING),
        ("tok_undecided", Status.PENDING),
        ("tok_never_heard_of", Status.DECLINED),
    ],
)
def test_a_charge_is_answered_as_its_token_says(
    payments_api: PaymentsApi, token: str, status: Status
) -> None:
    payment = seen(payments_api.perform(a_charge(token)))

    assert (payment.status, payment.money) == (status, PRICE)


def test_a_charge_sent_again_under_its_key_takes_the_money_once(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge()

    first, second = payments_api.perform(charge), payments_api.perform(charge)

    assert seen(first) == seen(second)
    assert first.http_status == 201
    [row] = payments_simulator.ledger("charges", charge.reference)
    assert row == {
        "payment_id": seen(first).provider_id,
        "reference": str(charge.reference),
        "amount": "342.50",
        "currency": "EUR",
        "status": "succeeded",
    }


def test_a_lost_charge_takes_nothing_however_often_it_is_sent(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge("tok_lost")

    replies = [payments_api.perform(charge) for _ in range(4)]

    assert all(isinstance(reply.outcome, NoAnswer | NotSent) for reply in replies)
    assert listed(payments_api.perform(an_inquiry(charge))) == ()
    assert payments_simulator.ledger("charges", charge.reference) == []


def test_a_pending_payment_succeeds_later(payments_api: PaymentsApi) -> None:
    charge = a_charge("tok_pending")
    payment = seen(payments_api.perform(charge))

    def settled() -> bool:
        [now] = listed(payments_api.perform(an_inquiry(charge)))
        assert now.provider_id == payment.provider_id
        return now.status is Status.SUCCEEDED

    assert eventually(settled)


def test_a_pending_payment_that_is_voided_never_succeeds(payments_api: PaymentsApi) -> None:
    unwanted, later = a_charge("tok_pending"), a_charge("tok_pending")
    payment = seen(payments_api.perform(unwanted))

    voided = seen(payments_api.perform(a_void(unwanted, payment.provider_id)))
    payments_api.perform(later)
    eventually(
        lambda: listed(payments_api.perform(an_inquiry(later)))[0].status is Status.SUCCEEDED
    )

    assert voided.status is Status.VOIDED
    assert listed(payments_api.perform(an_inquiry(unwanted))) == (voided,)


def test_voiding_a_payment_that_succeeded_changes_nothing(
    payments_api: PaymentsApi,
) -> None:
    charge = a_charge()
    payment = seen(payments_api.perform(charge))

    assert seen(payments_api.perform(a_void(charge, payment.provider_id))) == payment


def test_a_refund_sent_again_under_its_key_is_made_once(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge()
    payment = seen(payments_api.perform(charge))
    refund = a_refund(charge, payment.provider_id)

    first, second = seen(payments_api.perform(refund)), seen(payments_api.perform(refund))
    inquiry = an_inquiry(refund)

    assert first == second
    assert (first.status, first.money) == (Status.SUCCEEDED, PRICE)
    assert listed(payments_api.perform(inquiry)) == (first,)
    [row] = payments_simulator.ledger("refunds")
    assert row == {
        "refund_id": first.provider_id,
        "payment_id": payment.provider_id,
        "amount": "342.50",
    }


def test_no_more_is_refunded_than_was_charged(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge()
    payment = seen(payments_api.perform(charge))
    part = Money(34200, "EUR")
    payments_api.perform(a_refund(charge, payment.provider_id, part))

    excess = a_refund(charge, payment.provider_id, Money(51, "EUR"), key="refund:excess")
    reply = payments_api.perform(excess)

    [refund] = listed(payments_api.perform(an_inquiry(excess)))
    assert refund.money == part
    assert (reply.outcome, reply.http_status, reply.alarm) == (NoAnswer(), 422, "contract")
    assert len(payments_simulator.ledger("refunds")) == 1


def test_a_declined_payment_is_not_refunded(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge("tok_declined")
    payment = seen(payments_api.perform(charge))

    reply = payments_api.perform(a_refund(charge, payment.provider_id))

    assert (reply.outcome, reply.alarm) == (NoAnswer(), "contract")
    assert payments_simulator.ledger("refunds") == []


def test_a_payment_that_does_not_exist_is_no_answer(payments_api: PaymentsApi) -> None:
    charge = a_charge()

    void = payments_api.perform(a_void(charge, "pay_nowhere"))
    refund = payments_api.perform(a_refund(charge, "pay_nowhere"))

    assert (void.outcome, void.http_status, void.alarm) == (NoAnswer(), 404, "contract")
    assert (refund.outcome, refund.http_status, refund.alarm) == (NoAnswer(), 404, "contract")


@pytest.mark.parametrize(
    ("token", "taken"),
    [("tok_wrong_amount", Money(34350, "EUR")), ("tok_wrong_currency", Money(34250, "USD"))],
)
def test_another_amount_than_requested_is_reported_as_it_is(
    payments_api: PaymentsApi, payments_simulator: Simulator, token: str, taken: Money
) -> None:
    charge = a_charge(token)

    payment = seen(payments_api.perform(charge))

    assert payment.money == taken
    [row] = payments_simulator.ledger("charges", charge.reference)
    assert (row["amount"], row["currency"]) == (taken.amount, taken.currency)
    refund = a_refund(charge, payment.provider_id, taken)
    assert seen(payments_api.perform(refund)).status is Status.SUCCEEDED


def test_an_answer_about_another_payment_is_ignored_and_ours_is_listed(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge("tok_wrong_reference")

    reply = payments_api.perform(charge)

    assert (reply.outcome, reply.alarm) == (NoAnswer(), "foreign_reference")
    [ours] = listed(payments_api.perform(an_inquiry(charge)))
    assert (ours.status, ours.money) == (Status.SUCCEEDED, PRICE)
    assert len(payments_simulator.ledger("charges", charge.reference)) == 1


def test_a_pending_refund_is_made_later_and_announced_by_a_webhook(
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
    payments_contract: Contract,
    receiver: Receiver,
) -> None:
    payments_simulator.tell(receiver.url, SECRET)
    charge = a_charge("tok_refund_pending")
    payment = seen(payments_api.perform(charge))
    refund = a_refund(charge, payment.provider_id)

    first = seen(payments_api.perform(refund))
    refunds_at_first = payments_simulator.ledger("refunds")
    excess = a_refund(charge, payment.provider_id, Money(1, "EUR"), key="refund:excess")
    more = payments_api.perform(excess)
    [webhook] = eventually(lambda: receiver.received)

    assert first.status is Status.PENDING
    assert refunds_at_first == []
    assert (more.outcome, more.http_status) == (NoAnswer(), 422)
    body = payments_contract.check_webhook("paymentChanged", webhook.headers, webhook.body)
    assert body["type"] == "refund.succeeded"
    assert body["data"] == {
        "reference": str(charge.reference),
        "payment_id": payment.provider_id,
    }
    [now] = listed(payments_api.perform(an_inquiry(refund)))
    assert (now.provider_id, now.status) == (first.provider_id, Status.SUCCEEDED)
    assert len(payments_simulator.ledger("refunds")) == 1


def test_a_rejected_refund_returns_no_money(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge("tok_refund_rejected")
    payment = seen(payments_api.perform(charge))

    refund = seen(payments_api.perform(a_refund(charge, payment.provider_id)))

    assert refund.status is Status.DECLINED
    assert payments_simulator.ledger("refunds") == []


def test_a_refund_without_an_answer_is_found_under_its_payment(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge("tok_refund_timeout")
    payment = seen(payments_api.perform(charge))
    refund = a_refund(charge, payment.provider_id)

    silence = payments_api.perform(refund)
    [found] = listed(payments_api.perform(an_inquiry(refund)))

    assert silence.outcome == NoAnswer()
    assert found.status is Status.SUCCEEDED
    assert len(payments_simulator.ledger("refunds")) == 1


def test_an_answer_slower_than_our_limit_leaves_a_charge_that_is_found(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge()
    payments_simulator.faults("slow", latency_ms=10_000)

    reply = payments_api.perform(charge)
    payments_simulator.faults("ok")

    assert reply.outcome == NoAnswer()
    assert len(listed(payments_api.perform(an_inquiry(charge)))) == 1


def test_a_provider_killed_before_it_answers_has_taken_the_money_once(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    charge = a_charge("tok_timeout")
    replies: list[Reply] = []
    caller = threading.Thread(target=lambda: replies.append(payments_api.perform(charge)))
    caller.start()
    eventually(lambda: payments_simulator.ledger("charges", charge.reference))
    payments_simulator.kill()
    caller.join()
    payments_simulator.start()

    [payment] = listed(payments_api.perform(an_inquiry(charge)))

    assert replies[0].outcome == NoAnswer()
    assert payment.status is Status.SUCCEEDED
    assert len(payments_simulator.ledger("charges", charge.reference)) == 1


def test_a_settled_payment_is_announced_by_a_signed_webhook(
    payments_api: PaymentsApi,
    payments_simulator: Simulator,
    payments_contract: Contract,
    receiver: Receiver,
) -> None:
    payments_simulator.tell(receiver.url, SECRET)
    charge = a_charge("tok_pending")
    payment = seen(payments_api.perform(charge))

    [webhook] = eventually(lambda: receiver.received)

    body = payments_contract.check_webhook("paymentChanged", webhook.headers, webhook.body)
    assert body["type"] == "payment.succeeded"
    assert body["data"] == {
        "reference": str(charge.reference),
        "payment_id": payment.provider_id,
    }
    # Written from the specification, not with the simulator's own code.
    signed = b".".join(
        [
            webhook.headers["webhook-id"].encode(),
            webhook.headers["webhook-timestamp"].encode(),
            webhook.body,
        ]
    )
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert webhook.headers["webhook-signature"] == f"v1,{expected}"


def test_a_refused_webhook_is_repeated_with_its_id(
    payments_api: PaymentsApi, payments_simulator: Simulator
) -> None:
    with Receiver(refusals=1) as receiver:
        payments_simulator.tell(receiver.url, SECRET)
        payments_api.perform(a_charge("tok_pending"))

        first, second = eventually(lambda: receiver.received[1:] and receiver.received)

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_kill_loses_no_webhook(
    payments_api: PaymentsApi, payments_simulator: Simulator, receiver: Receiver
) -> None:
    payments_simulator.tell(receiver.url, SECRET)
    charge = a_charge("tok_pending")
    payments_api.perform(charge)
    payments_simulator.kill()
    payments_simulator.start()

    [webhook] = eventually(lambda: receiver.received)

    assert str(charge.reference).encode() in webhook.body


GOOD = {"reference": "r", "amount": "1.00", "currency": "EUR", "token": "tok_ok"}
WITH_KEY = {"Authorization": "Bearer k", "Idempotency-Key": "a-key"}


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (401, {"Idempotency-Key": "a-key"}, GOOD),
        (400, {"Authorization": "Bearer k"}, GOOD),
        (400, WITH_KEY, None),
        (422, WITH_KEY, {**GOOD, "amount": 1.0}),
        (422, WITH_KEY, {**GOOD, "amount": "0.00"}),
        (422, WITH_KEY, {**GOOD, "amount": "-1.00"}),
        (422, WITH_KEY, {**GOOD, "amount": "1,00"}),
        (422, WITH_KEY, {**GOOD, "currency": "euro"}),
        (422, WITH_KEY, {**GOOD, "reference": ""}),
        (422, WITH_KEY, {**GOOD, "card": "4111"}),
        (422, WITH_KEY, {"reference": "r"}),
        (413, WITH_KEY, {**GOOD, "token": "t" * 70_000}),
    ],
)
def test_a_request_outside_the_contract_is_refused_and_does_nothing(
    payments_simulator: Simulator,
    payments_contract: Contract,
    status: int,
    headers: dict[str, str],
    body: dict[str, Any] | None,
) -> None:
    with httpx.Client(base_url=payments_simulator.url, trust_env=False) as client:
        response = client.post("/payments", headers=headers, json=body)

    assert response.status_code == status
    payments_contract.check_answer(response.request, response)
    assert payments_simulator.ledger("charges") == []


def test_a_listing_needs_a_reference(
    payments_simulator: Simulator, payments_contract: Contract
) -> None:
    with httpx.Client(base_url=payments_simulator.url, trust_env=False) as client:
        response = client.get("/payments", headers={"Authorization": "Bearer k"})

    assert response.status_code == 400
    payments_contract.check_answer(response.request, response)
