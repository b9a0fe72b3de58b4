"""The standing of the facts and the next action, rule by rule."""

from datetime import datetime, timedelta

import pytest

from reservations.domain.actions import (
    QUEUE_OF,
    Action,
    Inquire,
    Plan,
    Send,
    Settled,
    Void,
    Wait,
    provider_of,
)
from reservations.domain.facts import Call, Facts, Operation, Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.money import Money
from reservations.domain.plan import plan
from reservations.domain.policy import STANDARD, Moment
from reservations.domain.standing import Standing
from reservations.domain.stored_words import read_word
from reservations.domain.verdict import verdict
from reservations.domain.words import PublicStatus, Review, State
from tests.worlds.builders import (
    BOOK_KEY,
    CHARGE_KEY,
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    SECOND,
    a_booking,
    a_cancellation,
    a_charge,
    a_refund,
    some_facts,
)

ANOTHER_SUM = Money(34150, "EUR")
ANOTHER_CURRENCY = Money(PRICE.minor, "USD")

CHARGE = Send(operation=Operation.CHARGE, key=CHARGE_KEY, money=PRICE)
BOOK = Send(operation=Operation.BOOK, key=BOOK_KEY)


def planned(facts: Facts, now: datetime = NOON) -> Reason | Plan:
    """The reason to close, else the plan."""
    standing, at = Standing(facts), Moment(now, STANDARD)
    return verdict(standing, at) or plan(standing, at)


def a_second_charge(status: Status = Status.SUCCEEDED, at: datetime = NOON + MINUTE) -> Call:
    return a_charge(status, provider_id="pay_2", key="seen:charge:pay_2", at=at)


def a_second_booking(status: Status = Status.SUCCEEDED, at: datetime = NOON + MINUTE) -> Call:
    return a_booking(status, provider_id="bkg_2", key="seen:book:bkg_2", at=at)


def refund_of(charge: Call) -> Action:
    return Send(
        operation=Operation.REFUND,
        key=f"refund:{charge.provider_id}",
        target=charge.provider_id,
        money=charge.money,
    )


def cancellation_of(booking: Call) -> Action:
    return Send(
        operation=Operation.CANCEL_BOOKING,
        key=f"cancel:{booking.provider_id}",
        target=booking.provider_id,
    )


# --- states and statuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "state", "word"),
    [
        ([], State.CREATED, PublicStatus.EN_PROCESO),
        ([a_charge(Status.STARTED)], State.PAYMENT_IN_PROGRESS, PublicStatus.EN_PROCESO),
        ([a_charge(Status.NOT_FOUND)], State.PAYMENT_IN_PROGRESS, PublicStatus.EN_PROCESO),
        ([a_charge()], State.PAID, PublicStatus.EN_PROCESO),
        ([a_charge(), a_booking(Status.PENDING)], State.PAID, PublicStatus.EN_PROCESO),
        ([a_booking()], State.CREATED, PublicStatus.EN_PROCESO),
        ([a_charge(), a_booking()], State.SUPPLIER_CONFIRMED, PublicStatus.CONFIRMADA),
    ],
)
def test_a_live_reservation_is_confirmed_only_with_money_and_service(
    calls: list[Call], state: State, word: PublicStatus
) -> None:
    facts = some_facts(*calls)

    assert (Standing(facts).state, Standing(facts).public_status) == (state, word)


@pytest.mark.parametrize(
    ("calls", "state"),
    [
        ([], State.EXPIRED),
        ([a_charge(Status.DECLINED)], State.EXPIRED),
        ([a_charge(Status.PENDING)], State.CANCELLATION_IN_PROGRESS),
        ([a_charge(), a_booking()], State.CANCELLATION_IN_PROGRESS),
        ([a_charge(), a_booking(Status.UNKNOWN)], State.CANCELLATION_IN_PROGRESS),
        ([a_charge(), a_booking(Status.CANCELLED)], State.REFUND_IN_PROGRESS),
        ([a_charge(), a_refund(Status.PENDING)], State.REFUND_IN_PROGRESS),
        ([a_charge(), a_refund()], State.REFUNDED),
        ([a_charge(), a_refund(), a_second_charge()], State.REFUND_IN_PROGRESS),
    ],
)
def test_a_closed_reservation_cancels_then_refunds_then_ends(
    calls: list[Call], state: State
) -> None:
    assert Standing(some_facts(*calls, reason=Reason.EXPIRED)).state is state


@pytest.mark.parametrize(
    ("reason", "state", "word"),
    [
        (Reason.PAYMENT_DECLINED, State.PAYMENT_FAILED, PublicStatus.RECHAZADA),
        (Reason.SUPPLIER_REJECTED, State.CANCELLED, PublicStatus.RECHAZADA),
        (Reason.EXPIRED, State.EXPIRED, PublicStatus.EXPIRADA),
        (Reason.SUPPLIER_CANCELLED, State.CANCELLED, PublicStatus.CANCELADA),
        (Reason.CUSTOMER_CANCELLED, State.CANCELLED, PublicStatus.CANCELADA),
    ],
)
def test_the_reason_gives_the_final_state_and_the_final_status(
    reason: Reason, state: State, word: PublicStatus
) -> None:
    facts = some_facts(reason=reason, ended_at=NOON)

    assert (Standing(facts).state, Standing(facts).public_status) == (state, word)


@pytest.mark.parametrize("reason", [Reason.SUPPLIER_CANCELLED, Reason.CUSTOMER_CANCELLED])
def test_a_cancellation_is_in_progress_until_it_has_ended_once(reason: Reason) -> None:
    late_payment = some_facts(a_charge(), reason=reason, ended_at=NOON)

    assert Standing(some_facts(reason=reason)).public_status is PublicStatus.EN_CANCELACION
    assert Standing(late_payment).public_status is PublicStatus.CANCELADA


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (None, None),
        (Reason.PAYMENT_DECLINED, "payment_declined"),
        (Reason.SUPPLIER_REJECTED, "not_available"),
        (Reason.EXPIRED, "expired"),
        (Reason.SUPPLIER_CANCELLED, "cancelled_by_hotel"),
        (Reason.CUSTOMER_CANCELLED, "cancelled_by_you"),
        (read_word(Reason, "a_later_reason"), None),
    ],
)
def test_a_closed_reservation_has_its_reason_in_a_travelers_words(
    reason: Reason | None, word: str | None
) -> None:
    assert Standing(some_facts(reason=reason)).closed_reason == word


# --- kept and held -------------------------------------------------------------------------------


def test_the_first_payment_in_time_is_kept_not_the_first_in_the_ledger() -> None:
    later, earlier = a_charge(at=NOON + HOUR), a_second_charge(at=NOON)

    assert Standing(some_facts(later, earlier)).kept_charge == earlier


@pytest.mark.parametrize("wrong", [ANOTHER_SUM, ANOTHER_CURRENCY])
def test_a_payment_of_the_right_amount_is_kept_before_an_earlier_wrong_one(wrong: Money) -> None:
    right = a_second_charge()

    assert Standing(some_facts(a_charge(money=wrong), right)).kept_charge == right


def test_an_amount_that_an_operator_accepted_is_a_right_one() -> None:
    accepted = a_charge(money=ANOTHER_SUM)

    facts = some_facts(accepted, a_second_charge(), accepted_minor=ANOTHER_SUM.minor)

    assert Standing(facts).kept_charge == accepted


def test_an_accepted_amount_has_the_currency_of_the_price() -> None:
    facts = some_facts(a_charge(money=ANOTHER_CURRENCY), accepted_minor=ANOTHER_CURRENCY.minor)

    assert Standing(facts).reviews(NOON) == {Review.MONEY_MISMATCH}


@pytest.mark.parametrize("status", [Status.STARTED, Status.NOT_FOUND, Status.DECLINED])
def test_a_payment_with_a_refund_begun_is_held_but_not_kept(status: Status) -> None:
    facts = some_facts(a_charge(), a_refund(status))

    assert Standing(facts).kept_charge is None
    assert Standing(facts).held_charges == (a_charge(),)


def test_refunded_money_is_no_longer_held() -> None:
    assert Standing(some_facts(a_charge(), a_refund(), a_second_charge())).held_charges == (
        a_second_charge(),
    )


@pytest.mark.parametrize(
    ("refunds", "left"),
    [
        ((PRICE,), 0),
        ((None,), 0),
        ((Money(10000, "EUR"),), 24250),
        ((Money(10000, "EUR"), Money(24250, "EUR")), 0),
        ((Money(PRICE.minor, "USD"),), PRICE.minor),
    ],
)
def test_a_payment_is_held_until_its_refunds_add_up_to_it(
    refunds: tuple[Money | None, ...], left: int
) -> None:
    rows = (a_refund(key=f"seen:refund:{n}", money=money) for n, money in enumerate(refunds))
    facts = some_facts(a_charge(), *rows, reason=Reason.CUSTOMER_CANCELLED)

    assert Standing(facts).left_of(a_charge()) == left
    assert (
        bool(Standing(facts).held_charges)
        is (Standing(facts).state is State.REFUND_IN_PROGRESS)
        is bool(left)
    )


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.NOT_FOUND])
def test_the_rest_of_a_partly_refunded_payment_is_in_review_after_its_deadline(
    status: Status,
) -> None:
    part = a_refund(key="seen:refund:ref_x", provider_id="ref_x", money=Money(10000, "EUR"))
    ours = a_refund(status, deadline_at=NOON + HOUR)
    facts = some_facts(a_charge(), part, ours, reason=Reason.CUSTOMER_CANCELLED)

    assert Standing(facts).reviews(NOON + HOUR) == {Review.DEADLINE}


def test_the_first_booking_in_time_is_kept_unless_we_began_to_cancel_it() -> None:
    first, second = a_booking(at=NOON + HOUR), a_second_booking(at=NOON)

    assert Standing(some_facts(first, second)).kept_booking == second
    assert Standing(some_facts(first, second, a_cancellation(of="bkg_2"))).kept_booking == first


@pytest.mark.parametrize(
    ("confirmed_late_by", "kept"), [(timedelta(0), True), (SECOND, False), (HOUR, False)]
)
def test_no_booking_after_the_confirmation_replaces_the_first_one(
    confirmed_late_by: timedelta, kept: bool
) -> None:
    confirmed = a_booking(Status.CANCELLED)
    another = a_second_booking(at=NOON + confirmed_late_by)
    facts = some_facts(a_charge(), confirmed, another, confirmed_at=NOON)

    assert Standing(facts).kept_booking == (another if kept else None)
    assert (planned(facts) == Reason.SUPPLIER_CANCELLED) is not kept


def test_nothing_is_kept_once_closed() -> None:
    facts = some_facts(a_charge(), a_booking(), reason=Reason.CUSTOMER_CANCELLED)

    assert (Standing(facts).kept_charge, Standing(facts).kept_booking) == (None, None)


@pytest.mark.parametrize(
    ("calls", "end"),
    [
        ([], NOON + 2 * HOUR),
        ([a_charge(Status.NOT_FOUND, at=NOON + HOUR)], NOON + 2 * HOUR),
        ([a_charge(Status.STARTED, at=NOON + HOUR)], NOON + HOUR + 15 * MINUTE),
        ([a_charge(Status.UNKNOWN), a_second_charge(at=NOON + MINUTE)], NOON + 16 * MINUTE),
    ],
)
def test_the_hold_counts_from_the_last_charge_that_may_have_arrived(
    calls: list[Call], end: datetime
) -> None:
    assert Standing(some_facts(*calls)).hold_ends_at(STANDARD) == end


# --- reviews --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([a_charge()], set()),
        ([a_charge(money=ANOTHER_SUM)], {Review.MONEY_MISMATCH}),
        ([a_charge(money=ANOTHER_CURRENCY)], {Review.MONEY_MISMATCH}),
        ([a_charge(), a_refund(Status.DECLINED)], {Review.REFUND_REFUSED}),
        ([a_charge(), a_booking(), a_cancellation(Status.DECLINED)], {Review.CANCEL_REFUSED}),
        ([a_charge(), a_booking(Status.CANCELLED), a_cancellation(Status.DECLINED)], set()),
    ],
)
def test_a_fault_is_in_review_while_it_lasts(calls: list[Call], expected: set[Review]) -> None:
    assert Standing(some_facts(*calls)).reviews(NOON) == expected


def test_a_refused_refund_whose_money_was_refunded_otherwise_needs_no_person() -> None:
    by_hand = a_refund(key="seen:refund:ref_9", provider_id="ref_9")

    assert not Standing(some_facts(a_charge(), a_refund(Status.DECLINED), by_hand)).reviews(NOON)


@pytest.mark.parametrize(
    ("late_by", "expected"), [(-SECOND, set()), (timedelta(0), {Review.DEADLINE})]
)
def test_a_call_that_is_open_at_its_deadline_needs_a_person(
    late_by: timedelta, expected: set[Review]
) -> None:
    facts = some_facts(a_charge(Status.PENDING))

    assert Standing(facts).reviews(NOON + STANDARD.deadline + late_by) == expected


@pytest.mark.parametrize(
    ("undone", "undoing"),
    [(a_charge(), a_refund(Status.NOT_FOUND)), (a_booking(), a_cancellation(Status.NOT_FOUND))],
)
def test_a_refund_or_cancellation_that_never_arrives_needs_a_person(
    undone: Call, undoing: Call
) -> None:
    owed = some_facts(undone, undoing, reason=Reason.CUSTOMER_CANCELLED)
    gone = some_facts(undoing, reason=Reason.CUSTOMER_CANCELLED)

    assert Standing(owed).reviews(undoing.deadline_at) == {Review.DEADLINE}
    assert not Standing(owed).reviews(undoing.deadline_at - SECOND)
    assert not Standing(gone).reviews(undoing.deadline_at)


def test_a_charge_that_never_arrived_ends_with_the_hold_and_needs_no_person() -> None:
    assert not Standing(some_facts(a_charge(Status.NOT_FOUND))).reviews(NOON + STANDARD.deadline)


def test_an_accepted_amount_needs_no_person() -> None:
    facts = some_facts(a_charge(money=ANOTHER_SUM), accepted_minor=ANOTHER_SUM.minor)

    assert not Standing(facts).reviews(NOON)


# --- step 0: the verdict --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.DECLINED, Status.VOIDED])
def test_a_payment_that_fails_closes_the_reservation(status: Status) -> None:
    assert planned(some_facts(a_charge(status))) == Reason.PAYMENT_DECLINED


def test_a_payment_that_we_voided_expires_the_reservation() -> None:
    facts = some_facts(a_charge(Status.VOIDED, void_asked=True))

    assert planned(facts) == Reason.EXPIRED


@pytest.mark.parametrize("open_status", [Status.STARTED, Status.UNKNOWN, Status.PENDING])
def test_nothing_closes_while_a_payment_may_still_succeed(open_status: Status) -> None:
    facts = some_facts(a_charge(open_status, check_at=None), a_second_charge(Status.DECLINED))

    assert not isinstance(planned(facts, NOON + 5 * MINUTE), Reason)


def test_a_second_payment_that_fails_does_not_close_a_paid_reservation() -> None:
    assert planned(some_facts(a_charge(), a_second_charge(Status.DECLINED))) == BOOK


@pytest.mark.parametrize(
    ("late_by", "expected"),
    [(-SECOND, Wait(NOON + 2 * HOUR + 2 * MINUTE)), (timedelta(0), Reason.EXPIRED)],
)
def test_without_any_payment_the_reservation_expires_after_hold_and_grace(
    late_by: timedelta, expected: Wait | Reason
) -> None:
    now = NOON + STANDARD.hold_limit + STANDARD.grace + late_by

    assert planned(some_facts(), now) == expected


@pytest.mark.parametrize("status", [Status.DECLINED, Status.CANCELLED])
def test_a_booking_that_fails_closes_the_reservation(status: Status) -> None:
    facts = some_facts(a_charge(), a_booking(status))

    assert planned(facts) == Reason.SUPPLIER_REJECTED


def test_a_booking_that_fails_beside_one_that_may_succeed_closes_nothing() -> None:
    facts = some_facts(a_charge(), a_booking(Status.DECLINED), a_second_booking(Status.PENDING))

    assert not isinstance(planned(facts), Reason)


@pytest.mark.parametrize(
    ("late_by", "expected"),
    [(-SECOND, BOOK), (timedelta(0), Reason.SUPPLIER_REJECTED)],
)
def test_a_supplier_that_never_gets_the_request_is_given_up_after_the_window(
    late_by: timedelta, expected: Action | Reason
) -> None:
    facts = some_facts(a_charge(), a_booking(Status.NOT_FOUND))

    assert planned(facts, NOON + STANDARD.book_window + late_by) == expected


def test_losing_a_confirmed_booking_closes_the_reservation_as_cancelled_by_the_supplier() -> None:
    facts = some_facts(a_charge(), a_booking(Status.CANCELLED), confirmed_at=NOON)

    assert planned(facts) == Reason.SUPPLIER_CANCELLED


# --- step 1: inquire first ----------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.STARTED, Status.UNKNOWN, Status.PENDING])
def test_an_open_call_is_inquired_about_when_due(status: Status) -> None:
    charge = a_charge(status)
    due_at = NOON + STANDARD.ladder[0]

    assert planned(some_facts(charge), due_at - SECOND) == Wait(due_at)
    assert planned(some_facts(charge), due_at) == Inquire(charge)


def test_an_inquiry_about_a_refund_names_its_payment() -> None:
    refund = a_refund(Status.UNKNOWN, check_at=NOON)
    facts = some_facts(a_charge(), refund, reason=Reason.CUSTOMER_CANCELLED)

    assert planned(facts) == Inquire(refund)
    assert Inquire(refund).target == "pay_1"


OVER = NOON + STANDARD.hold + STANDARD.grace


@pytest.mark.parametrize(
    ("facts", "now"),
    [
        (some_facts(a_charge(Status.PENDING), reason=Reason.CUSTOMER_CANCELLED), NOON),
        (some_facts(a_charge(Status.PENDING), a_second_charge(at=NOON)), NOON),
        (some_facts(a_charge(Status.PENDING, check_at=OVER + HOUR)), OVER),
    ],
)
def test_an_unwanted_pending_payment_is_voided_at_once(facts: Facts, now: datetime) -> None:
    assert planned(facts, now) == Void(facts.row(CHARGE_KEY))
    assert Void(facts.row(CHARGE_KEY)).target == "pay_1"


def test_a_void_is_repeated_only_when_due() -> None:
    asked = a_charge(Status.PENDING, void_asked=True, check_at=NOON + MINUTE)
    facts = some_facts(asked, reason=Reason.CUSTOMER_CANCELLED)

    assert planned(facts) == Wait(NOON + MINUTE)
    assert planned(facts, NOON + MINUTE) == Void(asked)


def test_a_pending_payment_is_not_voided_within_its_time() -> None:
    pending = a_charge(Status.PENDING, check_at=OVER + HOUR)

    assert planned(some_facts(pending), OVER - SECOND) == Wait(OVER)


# --- step 2: the service rule -------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.PENDING])
def test_a_second_booking_is_cancelled(status: Status) -> None:
    second = a_second_booking(status)

    assert planned(some_facts(a_charge(), a_booking(), second)) == cancellation_of(second)


def test_a_pending_booking_is_not_cancelled_while_it_may_be_kept() -> None:
    pending = a_booking(Status.PENDING)

    assert planned(some_facts(a_charge(), pending)) == Wait(NOON + STANDARD.ladder[0])


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.PENDING])
def test_the_booking_of_a_closed_reservation_is_cancelled_before_the_refund(
    status: Status,
) -> None:
    booking = a_booking(status)
    facts = some_facts(a_charge(), booking, reason=Reason.CUSTOMER_CANCELLED)

    assert planned(facts) == cancellation_of(booking)


def test_a_cancellation_that_did_not_arrive_is_sent_again_after_its_pause() -> None:
    lost = a_cancellation(Status.NOT_FOUND, check_at=NOON + MINUTE)
    facts = some_facts(a_booking(), lost, reason=Reason.CUSTOMER_CANCELLED)

    assert planned(facts) == Wait(NOON + MINUTE)
    assert planned(facts, NOON + MINUTE) == cancellation_of(a_booking())


# --- step 3: the money rule -----------------------------------------------------------------------


def test_a_second_payment_is_refunded_while_the_trip_stays_confirmed() -> None:
    facts = some_facts(a_charge(), a_booking(), a_second_charge())

    assert planned(facts) == refund_of(a_second_charge())


def test_a_payment_of_another_amount_is_refunded_in_full() -> None:
    wrong = a_charge(money=ANOTHER_SUM)
    facts = some_facts(wrong, a_booking(), a_second_charge())

    assert planned(facts) == refund_of(wrong)


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("late_by", [timedelta(0), timedelta(days=1)])
def test_a_payment_that_succeeds_after_closing_is_refunded(
    reason: Reason, late_by: timedelta
) -> None:
    late = a_charge(at=NOON + late_by)

    assert planned(some_facts(late, reason=reason), NOON + late_by) == refund_of(late)


@pytest.mark.parametrize("status", [Status.STARTED, Status.UNKNOWN])
def test_the_refund_of_a_closed_reservation_waits_while_a_booking_may_be_live(
    status: Status,
) -> None:
    facts = some_facts(a_charge(), a_booking(status), reason=Reason.CUSTOMER_CANCELLED)

    assert planned(facts) == Wait(NOON + STANDARD.ladder[0])


REFUSED_TO_CANCEL = (a_booking(), a_cancellation(Status.DECLINED))


def test_of_two_payments_one_is_refunded_while_a_booking_may_cost_us_the_other() -> None:
    """A supplier that keeps the booking takes one price, not two."""
    wrong = a_charge(money=ANOTHER_SUM)
    for first, second in ((a_charge(), a_second_charge()), (a_second_charge(), wrong)):
        facts = some_facts(first, second, *REFUSED_TO_CANCEL, reason=Reason.CUSTOMER_CANCELLED)
        assert planned(facts) == refund_of(second)

        refunded = facts.put(a_refund(of=str(second.provider_id)))
        assert planned(refunded) == Wait(NOON + timedelta(days=1))


def test_a_payment_whose_refund_did_not_arrive_is_the_last_to_cover_a_booking() -> None:
    lost = a_refund(Status.NOT_FOUND, check_at=NOON)
    closed = {"reason": Reason.CUSTOMER_CANCELLED}

    alone = some_facts(a_charge(), lost, *REFUSED_TO_CANCEL, **closed)
    assert planned(alone) == Inquire(lost)

    beside = some_facts(a_charge(), a_second_charge(), lost, *REFUSED_TO_CANCEL, **closed)
    assert planned(beside) == refund_of(a_charge())


def test_a_blocked_refund_waits_no_longer_than_its_pause() -> None:
    """A live booking blocked the refund, so aftercare rescheduled it like a closed call."""
    drifted = a_refund(Status.NOT_FOUND, check_at=NOON + timedelta(days=3))
    facts = some_facts(a_charge(), drifted, reason=Reason.CUSTOMER_CANCELLED)

    assert planned(facts, NOON + 5 * MINUTE - SECOND) == Wait(NOON + timedelta(days=3))
    assert planned(facts, NOON + 5 * MINUTE) == refund_of(a_charge())


def test_a_refund_is_never_sent_twice_while_the_first_may_have_arrived() -> None:
    facts = some_facts(a_charge(), a_refund(Status.UNKNOWN), reason=Reason.EXPIRED)

    assert planned(facts) == Wait(NOON + STANDARD.ladder[0])


def test_a_refused_refund_waits_for_a_person_with_a_daily_reminder() -> None:
    facts = some_facts(a_charge(), a_refund(Status.DECLINED), reason=Reason.EXPIRED)

    assert planned(facts) == Wait(NOON + timedelta(days=1))


# --- step 4: forward ------------------------------------------------------------------------------


def test_a_new_reservation_is_charged() -> None:
    assert planned(some_facts()) == CHARGE


def test_nothing_is_charged_again_while_another_payment_may_still_succeed() -> None:
    other = a_charge(Status.PENDING, provider_id="pay_2", key="seen:charge:pay_2")

    assert isinstance(planned(some_facts(a_charge(Status.NOT_FOUND), other)), Wait)


def test_a_call_that_did_not_arrive_is_sent_again_only_after_its_pause() -> None:
    send_at = NOON + MINUTE
    booking = some_facts(a_charge(), a_booking(Status.NOT_FOUND, check_at=send_at))
    refund = some_facts(
        a_charge(), a_refund(Status.NOT_FOUND, check_at=send_at), reason=Reason.EXPIRED
    )

    for facts in (booking, refund):
        assert planned(facts) == Wait(send_at)
        assert isinstance(planned(facts, send_at), Action)


def test_no_charge_begins_once_the_hold_is_over() -> None:
    hold_ends = NOON + STANDARD.hold_limit

    assert planned(some_facts(), hold_ends - SECOND) == CHARGE
    assert planned(some_facts(), hold_ends) == Wait(hold_ends + STANDARD.grace)


@pytest.mark.parametrize("check_at", [None, NOON])
def test_a_charge_that_did_not_arrive_is_sent_again_under_its_key(
    check_at: datetime | None,
) -> None:
    assert planned(some_facts(a_charge(Status.NOT_FOUND, check_at=check_at))) == CHARGE


def test_a_charge_that_did_not_arrive_waits_for_its_pause() -> None:
    facts = some_facts(a_charge(Status.NOT_FOUND, check_at=NOON + MINUTE))

    assert planned(facts) == Wait(NOON + MINUTE)


def test_a_paid_reservation_is_booked() -> None:
    assert planned(some_facts(a_charge())) == BOOK


@pytest.mark.parametrize("wrong", [ANOTHER_SUM, ANOTHER_CURRENCY])
def test_a_wrong_amount_is_not_booked_until_a_person_accepts_it(wrong: Money) -> None:
    facts = some_facts(a_charge(money=wrong))

    assert planned(facts) == Wait(NOON + timedelta(days=1))


def test_an_accepted_amount_is_booked() -> None:
    facts = some_facts(a_charge(money=ANOTHER_SUM), accepted_minor=ANOTHER_SUM.minor)

    assert planned(facts) == BOOK


def test_a_refused_refund_of_a_second_payment_does_not_stop_the_booking() -> None:
    facts = some_facts(
        a_charge(), a_second_charge(), a_refund(Status.DECLINED, of="pay_2", at=NOON + MINUTE)
    )

    assert planned(facts, NOON + MINUTE) == BOOK


@pytest.mark.parametrize("reason", list(Reason))
def test_nothing_goes_forward_once_closed(reason: Reason) -> None:
    assert planned(some_facts(reason=reason, ended_at=NOON)) == Settled()


# --- steps 5 and 6: aftercare and rest --------------------------------------------------------


def test_a_closed_charge_is_inquired_about_again_later() -> None:
    declined = a_charge(Status.DECLINED, check_at=NOON + 10 * MINUTE)
    facts = some_facts(declined, reason=Reason.PAYMENT_DECLINED, ended_at=NOON)

    assert planned(facts) == Wait(NOON + 10 * MINUTE)
    assert planned(facts, NOON + 10 * MINUTE) == Inquire(declined)


def test_a_lost_charge_of_a_closed_reservation_is_inquired_about_not_sent() -> None:
    lost = a_charge(Status.NOT_FOUND, check_at=NOON)

    assert planned(some_facts(lost, reason=Reason.EXPIRED)) == Inquire(lost)


def test_a_lost_cancellation_is_inquired_about_once_its_booking_is_gone() -> None:
    gone, lost = a_booking(Status.CANCELLED), a_cancellation(Status.NOT_FOUND, check_at=NOON)

    assert planned(some_facts(gone, lost, reason=Reason.CUSTOMER_CANCELLED)) == Inquire(lost)


def test_a_confirmed_reservation_in_review_is_never_settled() -> None:
    second = a_charge(provider_id="pay_2", key="seen:charge:pay_2")
    refused = a_refund(Status.DECLINED, of="pay_2")
    facts = some_facts(a_charge(), a_booking(), second, refused, confirmed_at=NOON)

    assert Standing(facts).reviews(NOON) == {Review.REFUND_REFUSED}
    assert planned(facts) == Wait(NOON + timedelta(days=1))


def test_a_confirmed_reservation_with_nothing_due_is_settled() -> None:
    assert planned(some_facts(a_charge(), a_booking())) == Settled()


# --- queues ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "queue"),
    [
        (Operation.CHARGE, Queue.PAYMENT),
        (Operation.REFUND, Queue.PAYMENT),
        (Operation.BOOK, Queue.SUPPLIER),
        (Operation.CANCEL_BOOKING, Queue.SUPPLIER),
    ],
)
def test_an_action_goes_to_the_queue_of_its_provider(operation: Operation, queue: Queue) -> None:
    assert QUEUE_OF[provider_of(Send(operation=operation, key="any"))] is queue
