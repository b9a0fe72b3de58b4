"""The steps at the two providers after each answer, silence and crash."""

from datetime import timedelta

import pytest

from reservations.application.ports import Reply
from reservations.domain.actions import Verb
from reservations.domain.errors import DatabaseBusyError, ReservationNotFoundError
from reservations.domain.facts import Listing, NoAnswer, NotSent, Reason, Seen, Status
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import ERASED
from reservations.domain.words import PublicStatus, Review, State
from tests.worlds.application import CrashError, World
from tests.worlds.builders import (
    BOOK_KEY,
    CHARGE_KEY,
    MINUTE,
    NOON,
    PRICE,
    RESERVATION_ID,
    SECOND,
    a_booking,
    a_charge,
    a_refund,
    a_reservation,
)
from tests.worlds.fakes import ScriptedPayments, ScriptedSupplier

PAID = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
DECLINED = Seen(provider_id="pay_1", status=Status.DECLINED)
BOOKED = Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="HOTEL-77")
REFUSED = Seen(provider_id="bkg_1", status=Status.DECLINED)
REFUNDED = Seen(provider_id="ref_1", status=Status.SUCCEEDED, money=PRICE)
NOTHING = Listing(())


def verbs(provider: ScriptedPayments | ScriptedSupplier) -> list[Verb]:
    return [request.action.verb for request in provider.requests]


def ask_until_believed_absent(world: World, payments: ScriptedPayments) -> None:
    """Make three inquiries, apart enough to believe "not found"."""
    for _ in range(3):
        world.wait(STANDARD.call_limit + STANDARD.visibility)
        world.pay(payments)


# --- the money ----------------------------------------------------------------------------------------


def test_a_payment_that_succeeds_is_handed_to_the_supplier() -> None:
    world, payments = World(), ScriptedPayments(PAID)

    world.pay(payments)

    assert world.state() is State.PAID
    assert world.public_status() is PublicStatus.EN_PROCESO
    assert world.take_hints() == [Queue.SUPPLIER]


@pytest.mark.parametrize("waited", [timedelta(0), STANDARD.hint_lease])
def test_a_copy_of_a_hint_makes_no_copy_for_the_other_worker(waited: timedelta) -> None:
    """When the lease is over, the poller repeats the hint."""
    world = World()
    world.pay(ScriptedPayments(PAID))
    assert world.take_hints() == [Queue.SUPPLIER]

    world.wait(waited)
    world.pay(ScriptedPayments())

    assert world.take_hints() == []
    assert world.stored.next_check_at == NOON + STANDARD.hint_lease


def test_a_charge_asks_for_the_price_under_the_key_of_the_ledger() -> None:
    world, payments = World(), ScriptedPayments(PAID)

    world.pay(payments)

    [request] = payments.requests
    assert request.action.verb is Verb.CHARGE
    assert request.action.key == CHARGE_KEY
    assert request.reference == RESERVATION_ID
    assert request.money == PRICE
    assert request.payment_token == "tok_ok"
    assert request.not_after == NOON + STANDARD.call_limit


def test_the_payment_token_is_forgotten_once_it_is_spent() -> None:
    world = World()

    world.pay(ScriptedPayments(PAID))

    assert world.database.customers[RESERVATION_ID].payment_token is None


def test_a_declined_card_rejects_the_reservation_and_mails_the_traveler() -> None:
    world, payments = World(), ScriptedPayments(DECLINED)

    world.pay(payments)

    assert world.state() is State.PAYMENT_FAILED
    assert world.public_status() is PublicStatus.RECHAZADA
    assert world.stored.facts.reason is Reason.PAYMENT_DECLINED
    assert world.take_hints() == [Queue.NOTIFICATION]


def test_the_call_is_written_down_before_it_leaves() -> None:
    world = World()

    with pytest.raises(CrashError):
        world.pay(ScriptedPayments(CrashError()))

    assert world.call(CHARGE_KEY).status is Status.STARTED
    assert world.state() is State.PAYMENT_IN_PROGRESS
    assert world.stored.next_check_at == NOON + STANDARD.rung(0)


def test_every_answer_leaves_evidence() -> None:
    world = World()
    reply = Reply(outcome=PAID, http_status=201, elapsed_ms=87)

    world.pay(ScriptedPayments(reply))

    [attempt] = world.database.attempts[RESERVATION_ID]
    assert (attempt.call_key, attempt.verb, attempt.sent_at) == (CHARGE_KEY, Verb.CHARGE, NOON)
    assert (attempt.outcome, attempt.http_status, attempt.elapsed_ms) == ("Seen", 201, 87)


def test_a_call_with_an_unknown_answer_is_inquired_about_not_repeated() -> None:
    world, payments = World(), ScriptedPayments(NoAnswer(), Listing((PAID,)))

    world.pay(payments)
    assert world.call(CHARGE_KEY).status is Status.UNKNOWN
    world.wait_until_due()
    world.pay(payments)

    assert verbs(payments) == [Verb.CHARGE, Verb.INQUIRE]
    assert world.state() is State.PAID


def test_a_hint_before_an_inquiry_is_due_does_nothing() -> None:
    world, payments = World(), ScriptedPayments(NoAnswer())
    world.pay(payments)

    world.wait(STANDARD.rung(0) - SECOND)
    step = world.pay(payments)

    assert step is None
    assert verbs(payments) == [Verb.CHARGE]


def test_a_repeated_hint_does_nothing() -> None:
    world, payments = World(), ScriptedPayments(PAID)

    world.pay(payments)
    world.pay(payments)

    assert verbs(payments) == [Verb.CHARGE]


def test_a_charge_lost_in_a_crash_is_not_found_and_sent_again_under_its_key() -> None:
    world = World()
    with pytest.raises(CrashError):
        world.pay(ScriptedPayments(CrashError()))

    payments = ScriptedPayments(NOTHING, NOTHING, PAID)
    ask_until_believed_absent(world, payments)

    assert verbs(payments) == [Verb.INQUIRE, Verb.INQUIRE, Verb.CHARGE]
    assert payments.requests[-1].action.key == CHARGE_KEY
    assert payments.requests[-1].payment_token == "tok_ok"
    assert world.call(CHARGE_KEY).attempts == 2
    assert world.state() is State.PAID


def test_a_crash_after_the_call_costs_an_inquiry_and_no_second_charge() -> None:
    world, payments = World(), ScriptedPayments(CrashError(), Listing((PAID,)))
    with pytest.raises(CrashError):
        world.pay(payments)

    world.wait_until_due()
    world.pay(payments)

    assert verbs(payments) == [Verb.CHARGE, Verb.INQUIRE]
    assert world.state() is State.PAID


def test_an_unsent_call_is_sent_again_after_retry_after() -> None:
    world, payments = World(), ScriptedPayments(NotSent(retry_after_s=40), PAID)

    world.pay(payments)
    assert world.call(CHARGE_KEY).check_at == NOON + timedelta(seconds=40)
    world.wait_until_due()
    world.pay(payments)

    assert verbs(payments) == [Verb.CHARGE, Verb.CHARGE]
    assert {request.action.key for request in payments.requests} == {CHARGE_KEY}


def test_another_amount_than_the_price_waits_for_a_person_and_is_not_booked() -> None:
    world = World()
    less = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=Money(100, "EUR"))
    world.pay(ScriptedPayments(less))

    step = world.confirm(ScriptedSupplier())

    assert step is None
    assert world.stored.standing.reviews(world.now) == {Review.MONEY_MISMATCH}


def test_a_reservation_that_could_not_be_charged_expires_after_its_hold() -> None:
    world = World()

    world.wait(STANDARD.hold_limit + STANDARD.grace)
    step = world.pay(ScriptedPayments())

    assert step is None
    assert world.public_status() is PublicStatus.EXPIRADA
    assert world.take_hints() == [Queue.NOTIFICATION]


# --- the service ----------------------------------------------------------------------------------


def test_a_booking_confirms_a_paid_reservation_and_asks_for_its_voucher() -> None:
    world, supplier = World(a_reservation(a_charge())), ScriptedSupplier(BOOKED)

    world.confirm(supplier)

    assert world.state() is State.SUPPLIER_CONFIRMED
    assert world.public_status() is PublicStatus.CONFIRMADA
    assert world.call(BOOK_KEY).locator == "HOTEL-77"
    assert world.take_hints() == [Queue.VOUCHER]


def test_the_supplier_gets_the_offer_the_lead_guest_and_the_price_only() -> None:
    world, supplier = World(a_reservation(a_charge())), ScriptedSupplier(BOOKED)

    world.confirm(supplier)

    [request] = supplier.requests
    offer = world.reservation.offer
    assert (request.action.verb, request.action.key, request.reference) == (
        Verb.BOOK,
        BOOK_KEY,
        RESERVATION_ID,
    )
    assert (request.offer.offer_id, request.offer.guests) == (offer.offer_id, offer.guests)
    assert (request.offer.starts_on, request.offer.ends_on) == (offer.starts_on, offer.ends_on)
    assert (request.lead_guest, request.price) == ("Ana Pérez", PRICE)


def test_a_booking_carries_the_price_in_every_attempt() -> None:
    world = World(a_reservation(a_charge()))
    supplier = ScriptedSupplier(NotSent(), BOOKED)

    world.confirm(supplier)
    world.wait(10 * MINUTE)
    world.confirm(supplier)

    assert [request.price for request in supplier.requests] == [PRICE, PRICE]


def test_a_booking_that_an_older_release_began_keeps_its_body_without_the_price() -> None:
    begun = a_booking(Status.NOT_FOUND, check_at=NOON, priced=False)
    world, supplier = World(a_reservation(a_charge(), begun)), ScriptedSupplier(BOOKED)

    world.confirm(supplier)

    [request] = supplier.requests
    assert (request.action.verb, request.price) == (Verb.BOOK, None)


def test_a_guest_whose_data_were_deleted_has_no_name_to_book_under() -> None:
    world, supplier = World(a_reservation(a_charge())), ScriptedSupplier(NotSent())
    world.database.customers[RESERVATION_ID] = ERASED

    world.confirm(supplier)

    [request] = supplier.requests
    assert request.lead_guest is None  # the adapter then sends nothing and raises an alarm


def test_a_refused_booking_leads_to_a_refund() -> None:
    world = World(a_reservation(a_charge()))

    world.confirm(ScriptedSupplier(REFUSED))
    assert world.state() is State.REFUND_IN_PROGRESS
    payments = ScriptedPayments(REFUNDED)
    world.pay(payments)

    [request] = payments.requests
    assert (request.action.verb, request.action.key, request.action.target) == (
        Verb.REFUND,
        "refund:pay_1",
        "pay_1",
    )
    assert request.money == PRICE
    assert world.state() is State.REFUNDED
    assert world.public_status() is PublicStatus.RECHAZADA


def test_a_second_booking_that_is_found_is_cancelled() -> None:
    world = World(a_reservation(a_charge(), a_booking(Status.UNKNOWN, check_at=NOON)))
    second = Seen(provider_id="bkg_2", status=Status.SUCCEEDED)
    cancelled = Seen(provider_id="bkg_2", status=Status.SUCCEEDED)
    supplier = ScriptedSupplier(Listing((BOOKED, second)), cancelled)

    world.confirm(supplier)
    world.confirm(supplier)

    assert verbs(supplier) == [Verb.INQUIRE, Verb.CANCEL_BOOKING]
    assert supplier.requests[-1].action.target == "bkg_2"
    assert world.state() is State.SUPPLIER_CONFIRMED


# --- hints ----------------------------------------------------------------------------------------


def test_a_hint_calls_no_other_provider() -> None:
    world, payments = World(a_reservation(a_charge())), ScriptedPayments()

    assert world.pay(payments) is None

    assert payments.requests == []
    assert world.stored == world.reservation


def test_a_hint_for_a_reservation_at_rest_changes_nothing() -> None:
    reservation = a_reservation(
        a_charge(), a_refund(), reason=Reason.SUPPLIER_REJECTED, next_check_at=None
    )
    world = World(reservation)
    world.notify()  # the rejection
    world.notify()  # the refund
    before = world.stored
    world.take_hints()

    world.pay(ScriptedPayments())
    world.confirm(ScriptedSupplier())

    assert world.stored == before
    assert world.take_hints() == []


def test_a_hint_for_no_reservation_calls_no_provider() -> None:
    world, payments = World(), ScriptedPayments()
    world.database.reservations.clear()

    with pytest.raises(ReservationNotFoundError):
        world.pay(payments)

    assert payments.requests == []


def test_a_reservation_locked_by_another_worker_is_left_for_later() -> None:
    world, payments = World(), ScriptedPayments()

    with world.unit_of_work() as other:
        other.open(RESERVATION_ID)
        with pytest.raises(DatabaseBusyError):
            world.pay(payments)

    assert payments.requests == []


def test_the_version_rises_only_when_a_reader_would_see_a_difference() -> None:
    world, payments = World(), ScriptedPayments(NoAnswer(), NOTHING)
    world.pay(payments)
    version = world.stored.version

    world.wait(MINUTE)
    world.pay(payments)

    assert verbs(payments) == [Verb.CHARGE, Verb.INQUIRE]
    assert world.stored.version == version
