"""A webhook proves nothing. It is stored once and makes us inquire."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from reservations.application.ports import WebhookEvent
from reservations.application.receive_webhook import Received, receive_webhook
from reservations.domain.actions import Verb
from reservations.domain.errors import DatabaseBusyError
from reservations.domain.facts import Call, Listing, Operation, Provider, Reason, Seen, Status
from reservations.domain.messages import Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from reservations.domain.words import PublicStatus, State
from tests.worlds.application import World
from tests.worlds.builders import (
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)
from tests.worlds.fakes import ScriptedPayments, ScriptedSupplier

LATER = NOON + HOUR


def from_payments(webhook_id: str = "msg_1", reference: object = RESERVATION_ID) -> WebhookEvent:
    return WebhookEvent(
        provider=Provider.PAYMENTS,
        webhook_id=webhook_id,
        type="payment.succeeded",
        reference=str(reference),
    )


def from_supplier(webhook_id: str = "msg_1") -> WebhookEvent:
    event = from_payments(webhook_id)
    return replace(event, provider=Provider.SUPPLIER, type="booking.cancelled")


def receive(world: World, event: WebhookEvent) -> Received:
    return receive_webhook(event, cases=world.cases())


def confirmed() -> Reservation:
    """A reservation at rest: voucher issued, mail sent, nothing due."""
    return a_reservation(
        facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON),
        documents=(a_voucher(),),
        sends=(a_send(),),
        next_check_at=None,
    )


def only(world: World, operation: Operation) -> Call:
    [call] = world.stored.facts.of(operation)
    return call


def test_a_webhook_makes_a_pending_charge_due_now() -> None:
    world = World(a_reservation(a_charge(Status.PENDING, check_at=LATER), next_check_at=LATER))
    world.wait(MINUTE)

    assert receive(world, from_payments()) is Received.TAKEN

    assert only(world, Operation.CHARGE).check_at == world.now
    assert world.take_hints() == [Queue.PAYMENT]
    payments = ScriptedPayments(
        Listing((Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE),))
    )
    world.pay(payments)
    assert [request.action.verb for request in payments.requests] == [Verb.INQUIRE]
    assert world.state() is State.PAID


def test_only_the_answer_to_an_inquiry_counts_not_the_webhook() -> None:
    world = World(a_reservation(a_charge(Status.PENDING, check_at=LATER), next_check_at=LATER))
    receive(world, from_payments())

    world.pay(ScriptedPayments(Listing((Seen(provider_id="pay_1", status=Status.DECLINED),))))

    assert world.public_status() is PublicStatus.RECHAZADA


def test_a_webhook_makes_due_no_call_of_the_other_provider() -> None:
    world = World(
        a_reservation(a_charge(check_at=LATER), a_booking(Status.PENDING, check_at=LATER))
    )

    receive(world, from_supplier())

    assert only(world, Operation.BOOK).check_at == NOON
    assert only(world, Operation.CHARGE).check_at == LATER


def test_a_supplier_cancellation_is_noticed_long_after_settlement() -> None:
    world = World(confirmed())
    world.wait(timedelta(days=30))

    receive(world, from_supplier())
    assert world.public_status() is PublicStatus.CONFIRMADA
    assert world.take_hints() == [Queue.SUPPLIER]
    gone = Seen(provider_id="bkg_1", status=Status.CANCELLED)
    world.confirm(ScriptedSupplier(Listing((gone,))))

    assert world.stored.facts.reason is Reason.SUPPLIER_CANCELLED
    assert world.public_status() is PublicStatus.EN_CANCELACION
    assert Queue.PAYMENT in world.take_hints()


def test_a_webhook_before_its_listing_changes_nothing_and_is_inquired_about_again() -> None:
    """A listing may lag behind the webhook that announces it."""
    world = World(confirmed())

    receive(world, from_supplier())
    alive = Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="HOTEL-77")
    world.confirm(ScriptedSupplier(Listing((alive,))))

    assert world.public_status() is PublicStatus.CONFIRMADA
    assert only(world, Operation.BOOK).check_at == NOON + STANDARD.aftercare[0]


def test_a_second_delivery_does_nothing() -> None:
    world = World(a_reservation(a_charge(Status.PENDING, check_at=LATER), next_check_at=LATER))
    receive(world, from_payments())
    before = world.stored
    world.take_hints()
    world.wait(MINUTE)

    assert receive(world, from_payments()) is Received.DUPLICATE

    assert world.stored == before
    assert world.take_hints() == []


def test_two_providers_may_use_the_same_webhook_id() -> None:
    world = World(confirmed())
    assert receive(world, from_payments("msg_1")) is Received.TAKEN
    assert receive(world, from_supplier("msg_1")) is Received.TAKEN


@pytest.mark.parametrize("reference", [uuid4(), "not ours", "", "0195511f"])
def test_a_webhook_about_no_reservation_is_stored_and_wakes_none(reference: object) -> None:
    world = World(confirmed())
    before = world.stored

    assert receive(world, from_payments(reference=reference)) is Received.UNKNOWN_REFERENCE

    assert len(world.database.webhooks) == 1
    assert world.stored == before
    assert world.take_hints() == []


def test_a_webhook_before_our_own_commit_is_harmless() -> None:
    """The provider is quicker than our commit: the reservation is not visible yet."""
    world = World()
    early = world.stored
    del world.database.reservations[RESERVATION_ID]

    assert receive(world, from_payments()) is Received.UNKNOWN_REFERENCE

    world.database.reservations[RESERVATION_ID] = early
    world.pay(ScriptedPayments(Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)))
    assert world.state() is State.PAID


def test_a_webhook_during_the_call_makes_an_inquiry_due_before_the_answer() -> None:
    world = World(a_reservation(a_charge(Status.STARTED, check_at=LATER)))
    receive(world, from_payments())

    listed = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
    world.pay(ScriptedPayments(Listing((listed,))))

    assert world.state() is State.PAID
    assert len(world.stored.facts.of(Operation.CHARGE)) == 1


def test_a_webhook_for_a_locked_reservation_is_not_stored_and_can_be_delivered_again() -> None:
    world = World(a_reservation(a_charge(Status.PENDING)))
    with world.unit_of_work() as worker:
        worker.open(RESERVATION_ID)
        with pytest.raises(DatabaseBusyError):
            receive(world, from_payments())
    assert not world.database.webhooks

    assert receive(world, from_payments()) is Received.TAKEN


def test_a_webhook_adds_no_line_to_the_timeline() -> None:
    world = World(confirmed())
    before, version = world.events, world.stored.version

    receive(world, from_supplier())

    assert (world.events, world.stored.version) == (before, version)
