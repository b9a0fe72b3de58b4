"""Invariants find exactly the rows that break them; retention deletes exactly the expired rows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from reservations.adapters.mysql.audit import MySqlAudit
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.oversight import MySqlOversight
from reservations.adapters.mysql.retention import MySqlRetention
from reservations.adapters.mysql.search import MySqlSearch
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application import operate
from reservations.application.cases import Cases
from reservations.application.oversee import INVARIANTS, check_invariants
from reservations.application.ports import Attempt, Expired, Finding, UntakenMails, Waits
from reservations.domain.actions import Verb
from reservations.domain.codes import new_code
from reservations.domain.facts import (
    Call,
    Contradiction,
    Decision,
    Kind,
    Operation,
    Reason,
    Status,
)
from reservations.domain.history import MESSAGE_DROPPED
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import MailKind, MailStatus, Reservation
from reservations.domain.words import State
from tests.worlds.builders import (
    HOUR,
    MINUTE,
    NOON,
    PRICE,
    a_booking,
    a_cancellation,
    a_charge,
    a_contradiction,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.databases import Connect
from tests.worlds.sql import run

DAY = 24 * HOUR


class Stored:
    """Writes reservations as the steps would, and breaks them on purpose."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = database.now()
        self.then = self.now - 2 * HOUR  # when its calls were closed
        database.rollback()

    def keep(
        self, *calls: Call, resting: bool = True, at: datetime | None = None, **changes: Any
    ) -> Reservation:
        """Store a reservation with ids of its own; `resting`: settled."""
        made_at = at or self.then
        reservation_id = uuid7(made_at)
        facts = replace(
            some_facts(*calls, reason=changes.pop("reason", None)),
            reservation_id=reservation_id,
            created_at=made_at,
            contradictions=changes.pop("contradictions", ()),
            confirmed_at=changes.pop("confirmed_at", None),
            ended_at=changes.pop("ended_at", None),
        )
        reservation = a_reservation(
            facts=facts,
            reservation_id=reservation_id,
            code=new_code(),
            next_check_at=None if resting else self.now + MINUTE,
            updated_at=made_at,
        )
        reservation = replace(reservation, **changes)
        with MySqlUnitOfWork(self.database) as uow:
            uow.add(a_creation(reservation), a_customer())
            uow.commit()
        return reservation

    def confirmed(self, *more: Call, **changes: Any) -> Reservation:
        """Store a confirmed reservation with its voucher and mail; settled by default."""
        fields: dict[str, Any] = {
            "confirmed_at": self.then,
            "documents": (a_voucher(),),
            "sends": (a_send(),),
        }
        return self.keep(self.charge(), self.booking(), *more, **fields | changes)

    def charge(self, **changes: Any) -> Call:
        return a_charge(at=self.then, provider_id=f"pay_{new_code()}", **changes)

    def booking(self, **changes: Any) -> Call:
        return a_booking(at=self.then, provider_id=f"bkg_{new_code()}", **changes)

    def change(self, sql: str, **values: Any) -> int:
        bound = {k: v.bytes if isinstance(v, UUID) else v for k, v in values.items()}
        changed = run(self.database, text(sql), bound).rowcount
        self.database.commit()
        return changed

    def count(self, sql: str, **values: Any) -> int:
        bound = {k: v.bytes if isinstance(v, UUID) else v for k, v in values.items()}
        number: int = run(self.database, text(sql), bound).scalar_one()
        self.database.rollback()
        return number

    def found(self, *, since: datetime | None = None) -> dict[str, list[str]]:
        """Return the reservation codes by broken invariant."""
        found = check_invariants(MySqlAudit(self.database), policy=STANDARD, since=since)
        assert list(found) == list(INVARIANTS)
        return {name: [f.code for f in findings] for name, findings in found.items() if findings}


@pytest.fixture
def stored(database: Database) -> Stored:
    return Stored(database)


def expected(invariant: str, reservation: Reservation) -> dict[str, list[str]]:
    return {invariant: [reservation.code]}


def a_finding(reservation: Reservation, invariant: str = "confirmed_sum") -> list[Finding]:
    return [
        Finding(
            invariant=invariant,
            reservation_id=reservation.reservation_id,
            code=reservation.code,
            detail="",
        )
    ]


# --- sound reservations


def test_sound_reservations_break_nothing(stored: Stored) -> None:
    stored.keep(resting=False)
    stored.confirmed()
    second = stored.charge(key="seen:charge:2")
    assert second.provider_id
    stored.confirmed(second, a_refund(of=second.provider_id, at=stored.then))
    charge = stored.charge()
    assert charge.provider_id
    stored.keep(
        charge,
        a_refund(of=charge.provider_id, at=stored.then),
        a_booking(Status.DECLINED, at=stored.then, provider_id=f"bkg_{new_code()}"),
        reason=Reason.SUPPLIER_REJECTED,
        ended_at=stored.then,
        sends=(a_send(MailKind.REJECTED), a_send(MailKind.REFUNDED)),
    )
    stored.keep(
        a_charge(Status.DECLINED, at=stored.then, provider_id=f"pay_{new_code()}"),
        reason=Reason.PAYMENT_DECLINED,
        ended_at=stored.then,
        sends=(a_send(MailKind.REJECTED),),
    )

    assert stored.found() == {}


def test_a_sum_that_an_operator_accepted_is_no_finding(stored: Stored) -> None:
    reservation = stored.confirmed()
    stored.change("UPDATE provider_call SET money_minor = 5 WHERE operation = 'charge'")
    stored.change("UPDATE reservation SET accepted_minor = 5")

    assert stored.found() == {}
    assert reservation.facts.price == PRICE


def test_a_second_payment_that_is_being_refunded_is_no_finding(stored: Stored) -> None:
    second = stored.charge(key="seen:charge:2")
    assert second.provider_id
    stored.confirmed(
        second,
        a_refund(Status.UNKNOWN, of=second.provider_id, at=stored.now),
        resting=False,
    )
    fresh = replace(stored.charge(key="seen:charge:3"), closed_at=stored.now)
    stored.confirmed(fresh, resting=False)

    assert stored.found() == {}


# --- broken invariants


def test_a_confirmation_without_a_charge_is_found(stored: Stored) -> None:
    reservation = stored.confirmed()
    stored.change("UPDATE provider_call SET status = 'declined' WHERE operation = 'charge'")

    found = stored.found()

    assert found["paid_without_charge"] == [reservation.code]
    assert found.keys() == {"paid_without_charge", "confirmed_sum", "projections_differ"}


@pytest.mark.parametrize("column", ["money_minor = money_minor + 1", "currency = 'USD'"])
def test_a_confirmation_at_another_sum_is_found(stored: Stored, column: str) -> None:
    reservation = stored.confirmed()
    stored.confirmed()
    stored.change(
        f"UPDATE provider_call SET {column} WHERE operation = 'charge' AND reservation_id = :id",
        id=reservation.reservation_id,
    )

    assert stored.found()["confirmed_sum"] == [reservation.code]


def test_a_confirmation_that_was_refunded_is_found(stored: Stored) -> None:
    charge, booking = stored.charge(), stored.booking()
    reservation = stored.confirmed()
    assert charge.provider_id
    assert booking.provider_id
    refunded = stored.change(
        "INSERT INTO provider_call (reservation_id, call_key, operation, target, status, provider_id,"
        " money_minor, currency, attempts, looks, started_at, sent_at, closed_at, void_asked,"
        " deadline_at) SELECT reservation_id, 'refund:x', 'refund', provider_id, 'succeeded', 'ref_x',"
        " money_minor, currency, 1, 0, sent_at, sent_at, closed_at, 0, deadline_at FROM provider_call"
        " WHERE operation = 'charge'"
    )

    assert refunded == 1
    assert stored.found()["confirmed_sum"] == [reservation.code]


def test_money_left_after_the_end_is_found(stored: Stored) -> None:
    reservation = stored.keep(
        stored.charge(), reason=Reason.CUSTOMER_CANCELLED, ended_at=stored.then, resting=True
    )
    stored.change("UPDATE reservation SET state = 'CANCELLED'")

    found = stored.found()

    assert found["money_left"] == [reservation.code]
    assert found["projections_differ"] == [reservation.code]


@pytest.mark.parametrize(
    "broken",
    [
        "state = 'PAID', confirmed_at = confirmed_at",
        "review = 'deadline'",
        "review = 'refund_refused'",
    ],
)
def test_a_projection_that_differs_from_its_facts_is_found(stored: Stored, broken: str) -> None:
    reservation = stored.confirmed()
    stored.change(f"UPDATE reservation SET {broken}")

    assert stored.found()["projections_differ"] == [reservation.code]


def test_a_settled_reservation_with_something_due_is_found(stored: Stored) -> None:
    reservation = stored.keep(resting=False)
    stored.change("UPDATE reservation SET settled = 1, next_check_at = NULL")

    assert stored.found() == expected("projections_differ", reservation)


def test_a_review_that_just_began_is_not_yet_a_difference(stored: Stored) -> None:
    stored.keep(
        a_charge(Status.UNKNOWN, at=stored.now - HOUR, deadline_at=stored.now), resting=False
    )
    stored.change("UPDATE reservation SET review = ''")

    assert stored.found() == {}


@pytest.mark.parametrize("operation", ["charge", "book"])
def test_one_provider_id_under_two_reservations_is_found(stored: Stored, operation: str) -> None:
    reservations = [stored.confirmed(), stored.confirmed()]
    stored.confirmed()
    for reservation in reservations:
        stored.change(
            "UPDATE provider_call SET provider_id = 'same' WHERE operation = :operation"
            " AND reservation_id = :id",
            operation=operation,
            id=reservation.reservation_id,
        )

    found = stored.found()

    assert found.keys() == {"shared_provider_id"}
    assert set(found["shared_provider_id"]) == {r.code for r in reservations}


def test_two_charges_without_a_refund_are_found(stored: Stored) -> None:
    reservation = stored.confirmed(stored.charge(key="seen:charge:2"))

    found = stored.found()

    assert found["two_kept"] == [reservation.code]
    assert found["confirmed_sum"] == [reservation.code]


def test_two_bookings_without_a_cancellation_are_found(stored: Stored) -> None:
    second = stored.booking(key="seen:book:2")
    assert second.provider_id
    reservation = stored.confirmed(second)
    stored.confirmed(
        replace(second, provider_id="bkg_ended"), a_cancellation(of="bkg_ended", at=stored.then)
    )

    assert stored.found()["two_kept"] == [reservation.code]


# --- what a contradiction explains

DECIDED = {"decision": Decision.HONOURED, "evidence": "TICKET-5"}


def a_row_about(call: Call, at: datetime, **changes: Any) -> Contradiction:
    kind = Kind.PAYMENT_ABSENT if call.operation is Operation.CHARGE else Kind.BOOKING_ABSENT
    return a_contradiction(kind, str(call.provider_id), at=at, **changes)


@pytest.mark.parametrize("operation", [Operation.CHARGE, Operation.BOOK])
@pytest.mark.parametrize(
    ("state", "is_found"),
    [
        ({"opened_at": None}, False),
        ({}, False),
        ({"closed_at": NOON, **DECIDED}, False),
        ({"closed_at": NOON, "over_at": NOON}, True),
    ],
    ids=["suspected", "open", "decided", "over"],
)
def test_a_second_one_that_a_contradiction_freezes_is_no_finding(
    stored: Stored, operation: Operation, state: dict[str, Any], is_found: bool
) -> None:
    make = stored.charge if operation is Operation.CHARGE else stored.booking
    second = make(key="seen:2")
    frozen = a_row_about(second, stored.then, **state)

    reservation = stored.confirmed(second, contradictions=(frozen,), resting=False)

    found = stored.found()
    assert found.get("two_kept", []) == ([reservation.code] if is_found else [])
    assert bool(found.get("confirmed_sum")) == (is_found and operation is Operation.CHARGE)


@pytest.mark.parametrize(
    ("state", "is_found"),
    [(DECIDED, False), ({"over_at": NOON}, True)],
    ids=["decided", "over"],
)
def test_money_that_a_decision_explains_is_no_finding(
    stored: Stored, state: dict[str, Any], is_found: bool
) -> None:
    charge = stored.charge()
    voided = a_row_about(charge, stored.then, check_at=None, closed_at=stored.then, **state)
    reservation = stored.keep(
        charge,
        contradictions=(voided,),
        reason=Reason.CUSTOMER_CANCELLED,
        ended_at=stored.then,
    )

    assert stored.found().get("money_left", []) == ([reservation.code] if is_found else [])


@pytest.mark.parametrize(
    ("state", "is_found"),
    [
        ({"check_at": None}, False),  # a person is on it
        ({"closed_at": NOON, "check_at": None, "decision": Decision.REFUND_AGAIN}, True),
        ({"closed_at": NOON, "check_at": None, "decision": Decision.RETURNED}, False),
        ({"closed_at": NOON, "check_at": None, "over_at": NOON}, False),
    ],
    ids=["open", "refund again", "returned", "over"],
)
def test_a_refund_that_failed_late_counts_as_money_left(
    stored: Stored, state: dict[str, Any], is_found: bool
) -> None:
    charge = stored.charge()
    refund = a_refund(of=str(charge.provider_id), at=stored.then)
    failed = a_contradiction(
        Kind.REFUND_FAILED, str(refund.provider_id), payment=refund.target, at=stored.then, **state
    )
    reservation = stored.keep(
        charge,
        refund,
        contradictions=(failed,),
        reason=Reason.CUSTOMER_CANCELLED,
        ended_at=stored.then,
    )

    assert stored.found().get("money_left", []) == ([reservation.code] if is_found else [])


@pytest.mark.parametrize(
    ("state", "is_found"),
    [
        ({"opened_at": None}, False),
        ({}, False),
        ({"closed_at": NOON, **DECIDED}, True),
        ({"closed_at": NOON, "over_at": NOON}, True),
    ],
    ids=["suspected", "open", "decided", "over"],
)
def test_papers_may_wait_for_a_contradiction_that_lasts(
    stored: Stored, state: dict[str, Any], is_found: bool
) -> None:
    row = a_contradiction(at=stored.then, **state)
    reservation = stored.confirmed(
        confirmed_at=stored.now - 11 * MINUTE, documents=(), contradictions=(row,), resting=False
    )

    found = stored.found().get("confirmed_without_papers", [])
    assert found == ([reservation.code] if is_found else [])


@pytest.mark.parametrize(("late_by", "is_found"), [("9", False), ("11", True)])
def test_an_overdue_reservation_is_found_after_ten_minutes(
    stored: Stored, late_by: str, is_found: bool
) -> None:
    reservation = stored.keep(resting=False)
    stored.change(
        f"UPDATE reservation SET next_check_at = UTC_TIMESTAMP(6) - INTERVAL {late_by} MINUTE"
    )

    assert stored.found() == (expected("overdue", reservation) if is_found else {})


@pytest.mark.parametrize(("late_by", "is_found"), [("23", False), ("25", True)])
def test_a_far_look_due_for_a_day_is_found_although_its_reservation_is_settled(
    stored: Stored, late_by: str, is_found: bool
) -> None:
    reservation = stored.confirmed()
    stored.change(
        f"UPDATE reservation SET next_look_at = UTC_TIMESTAMP(6) - INTERVAL {late_by} HOUR"
    )

    assert stored.found() == (expected("overdue", reservation) if is_found else {})


@pytest.mark.parametrize(
    ("lost", "minutes"), [("DELETE FROM document", 1), ("DELETE FROM mail_send", 9)]
)
def test_a_confirmation_is_found_after_2_minutes_without_voucher_or_10_without_mail(
    stored: Stored, lost: str, minutes: int
) -> None:
    reservation = stored.confirmed(resting=False)
    stored.change(lost)

    assert stored.found() == expected("confirmed_without_papers", reservation)

    stored.change(
        f"UPDATE reservation SET confirmed_at = UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE"
    )
    assert stored.found() == {}


@pytest.mark.parametrize(
    ("status", "check_in", "is_found"),
    [
        (MailStatus.STARTED, MINUTE, True),
        (MailStatus.NOT_SENT, MINUTE, True),
        (MailStatus.UNKNOWN, MINUTE, True),
        (MailStatus.STARTED, None, True),
        (MailStatus.UNKNOWN, None, True),
        (MailStatus.REFUSED, None, False),
        (MailStatus.SENT, None, False),
    ],
)
def test_a_mail_without_an_answer_is_found_and_a_settled_one_is_not(
    stored: Stored, status: MailStatus, check_in: timedelta | None, is_found: bool
) -> None:
    send = a_send(status=status, check_at=check_in and stored.now + check_in)
    reservation = stored.confirmed(sends=(send,), resting=False)

    assert stored.found() == (expected("confirmed_without_papers", reservation) if is_found else {})


def test_a_check_since_a_day_leaves_older_reservations_out(stored: Stored) -> None:
    old, new = (stored.confirmed(at=stored.now - age) for age in (8 * DAY, 6 * DAY))
    stored.change("UPDATE reservation SET review = 'cancel_refused'")
    stored.change("UPDATE provider_call SET money_minor = 1 WHERE operation = 'charge'")

    recent, every = stored.found(since=stored.now - 7 * DAY), stored.found()

    for name in ("projections_differ", "confirmed_sum"):
        assert recent[name] == [new.code]
        assert every[name] == [old.code, new.code]


def test_pages_leave_no_reservation_out(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reservations.application.oversee.PAGE", 2)
    kept = [stored.confirmed() for _ in range(5)]
    stored.change("UPDATE reservation SET review = 'cancel_refused'")

    assert sorted(stored.found()["projections_differ"]) == sorted(r.code for r in kept)


# --- lists


def test_lists_show_the_stuck_those_in_review_and_those_in_a_state(stored: Stored) -> None:
    oversight = MySqlOversight(stored.database)
    late, still, fresh = (stored.keep(resting=False) for _ in range(3))
    confirmed, broken = stored.confirmed(resting=False), stored.confirmed(resting=False)
    stored.change("UPDATE reservation SET updated_at = UTC_TIMESTAMP(6)")
    stored.change(
        "UPDATE reservation SET next_check_at = UTC_TIMESTAMP(6) - INTERVAL 11 MINUTE WHERE id = :id",
        id=late.reservation_id,
    )
    stored.change(
        "UPDATE reservation SET updated_at = UTC_TIMESTAMP(6) - INTERVAL 31 MINUTE"
        " WHERE id IN (:still, :confirmed)",
        still=still.reservation_id,
        confirmed=confirmed.reservation_id,
    )
    stored.change(
        "UPDATE reservation SET review = 'deadline' WHERE id = :id", id=fresh.reservation_id
    )

    MySqlAudit(stored.database).record([broken.reservation_id], a_finding(broken))

    def codes(found: list[Any]) -> list[str]:
        return [overview.code for overview in found]

    stuck = codes(oversight.stuck(limit=9))
    assert (stuck[0], set(stuck)) == (still.code, {late.code, still.code, broken.code})
    assert len(oversight.stuck(limit=2)) == 2
    assert codes(oversight.in_review(limit=9)) == [fresh.code]
    assert codes(oversight.in_state(State.SUPPLIER_CONFIRMED, limit=9)) == [
        confirmed.code,
        broken.code,
    ]
    assert codes(oversight.in_state(State.CREATED, limit=1)) == [still.code]


def test_reviews_are_listed_by_kind_and_counted_up_to_a_limit(stored: Stored) -> None:
    oversight = MySqlOversight(stored.database)
    kept = sorted(
        (stored.keep(resting=False) for _ in range(4)), key=lambda kept: kept.reservation_id
    )
    for reservation, review in zip(
        kept, ("refund_refused", "deadline", "deadline", ""), strict=True
    ):
        stored.change(
            "UPDATE reservation SET review = :review WHERE id = :id",
            review=review,
            id=reservation.reservation_id,
        )

    listed = [overview.code for overview in oversight.in_review(limit=9)]

    assert listed == [kept[1].code, kept[2].code, kept[0].code]
    assert [oversight.waiting_for_a_person(limit=limit) for limit in (2, 9)] == [2, 3]


def test_the_evidence_of_a_reservation_is_listed_in_its_order(stored: Stored) -> None:
    charge = stored.charge()
    reservation = stored.keep(charge)
    attempts = [
        Attempt(
            call_key=charge.key,
            verb=verb,
            sent_at=stored.now,
            outcome="NoAnswer",
            http_status=422,
            elapsed_ms=7,
            code="refund_too_large",
        )
        for verb in (Verb.CHARGE, Verb.INQUIRE)
    ]
    with MySqlUnitOfWork(stored.database) as uow:
        for attempt in attempts:
            uow.reservations.add_attempt(reservation.reservation_id, attempt)
        uow.commit()

    oversight = MySqlOversight(stored.database)

    assert oversight.attempts(reservation.reservation_id) == attempts
    assert oversight.attempts(uuid7(stored.now)) == []


def test_reservations_with_open_and_with_recently_closed_calls_are_read_page_by_page(
    stored: Stored,
) -> None:
    unknown = [
        stored.keep(a_charge(Status.UNKNOWN, at=stored.then), resting=False) for _ in range(3)
    ]
    recent = [stored.confirmed() for _ in range(3)]
    stored.keep(a_charge(Status.DECLINED, at=stored.now - DAY, provider_id="pay_old"))
    oversight = MySqlOversight(stored.database)

    first = oversight.with_open_call(after=None, limit=2)
    last = oversight.with_open_call(after=first[-1], limit=2)

    assert first + last == sorted(each.reservation_id for each in unknown)

    page = oversight.with_closed_call(since=stored.now - 3 * HOUR, after=None, limit=2)
    since, after = page[-1]
    rest = oversight.with_closed_call(since=since, after=after, limit=2)

    assert [found for _, found in page + rest] == sorted(each.reservation_id for each in recent)


def test_reconcile_makes_each_page_due_and_records_the_operator(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operate, "PAGE", 2)
    kept = [stored.confirmed() for _ in range(3)]
    stored.keep(resting=False)
    oversight = MySqlOversight(stored.database)

    reconciled = operate.reconcile(
        stored.now - 3 * HOUR,
        cases=Cases(
            uow=MySqlUnitOfWork(stored.database), policy=STANDARD, actor="operator:on-call"
        ),
        oversight=oversight,
    )

    found = (reconciled.reservations, reconciled.payments_calls, reconciled.supplier_calls)
    assert found == (3, 3, 3)
    assert stored.count("SELECT COUNT(*) FROM outbox WHERE queue = 'payment'") == 3
    lines = "SELECT COUNT(DISTINCT reservation_id) FROM history WHERE event = 'operator.nudged'"
    assert stored.count(lines) == len(kept)
    due = "SELECT COUNT(*) FROM provider_call WHERE check_at <= UTC_TIMESTAMP(6)"
    assert stored.count(due) == 2 * len(kept)


# --- the outbox


def put_hints(stored: Stored, status: str, *, age: timedelta, times: int = 1) -> None:
    for _ in range(times):
        with MySqlUnitOfWork(stored.database) as uow:
            uow.outbox.add(
                Hint(
                    message_id=uuid7(stored.now),
                    queue=Queue.PAYMENT,
                    reservation_id=uuid7(stored.now),
                    type="payment.due",
                    occurred_at=stored.now,
                ),
                lease=age,
            )
            uow.commit()
    stored.change(
        "UPDATE outbox SET status = :status, lease_token = NULL,"
        " available_at = UTC_TIMESTAMP(6) - INTERVAL :s SECOND"
        " ORDER BY id DESC LIMIT :times",
        status=status,
        s=int(age.total_seconds()),
        times=times,
    )


def test_the_lag_is_that_of_the_oldest_and_published_hints_have_none(stored: Stored) -> None:
    oversight = MySqlOversight(stored.database)
    assert oversight.outbox() == []
    assert oversight.oldest_due_s() == 0
    put_hints(stored, "published", age=DAY)
    put_hints(stored, "pending", age=MINUTE, times=2)
    put_hints(stored, "dead", age=HOUR)

    dead, pending = oversight.outbox()

    assert (dead.status, dead.hints) == ("dead", 1)
    assert (pending.status, pending.hints, pending.queue) == ("pending", 2, Queue.PAYMENT)
    assert 3600 <= dead.oldest_s < 4200
    assert 60 <= pending.oldest_s < 600


def test_dead_hints_are_listed_with_their_reservations_the_oldest_first(stored: Stored) -> None:
    put_hints(stored, "pending", age=DAY)
    put_hints(stored, "dead", age=MINUTE)
    put_hints(stored, "dead", age=HOUR)
    reservation = stored.keep(resting=False)
    stored.change(
        "UPDATE outbox SET reservation_id = :id WHERE status = 'dead'"
        " ORDER BY available_at LIMIT 1",
        id=reservation.reservation_id,
    )
    oversight, search = MySqlOversight(stored.database), MySqlSearch(stored.database)

    first, second = oversight.dead_hints(limit=9)

    assert (first.queue, first.type) == (Queue.PAYMENT, "payment.due")
    ids = {first.reservation_id, second.reservation_id}
    assert search.codes(ids) == {reservation.reservation_id: reservation.code}
    assert first.reservation_id == reservation.reservation_id
    assert search.codes([]) == {}
    assert oversight.dead_hints(limit=1) == [first]


def test_what_is_settled_or_taken_makes_nobody_wait(stored: Stored) -> None:
    stored.confirmed()
    stored.confirmed(resting=False, contradictions=(a_contradiction(closed_at=NOON),))

    assert MySqlOversight(stored.database).waits() == Waits(
        mails=0, voucher_s=0.0, contradiction_s=0.0
    )


@pytest.mark.parametrize(
    "send",
    [
        {"status": MailStatus.NOT_SENT, "attempts": 3},
        {"status": MailStatus.UNKNOWN, "sent_at": NOON - 1000 * DAY},
    ],
    ids=["refused three times", "in doubt for an hour"],
)
def test_a_mail_that_the_mail_service_does_not_take_waits(
    stored: Stored, send: dict[str, Any]
) -> None:
    waiting = a_send(**send, check_at=stored.now)
    stored.confirmed(sends=(waiting,), resting=False)

    assert MySqlOversight(stored.database).waits().mails == 1


def test_a_mail_that_was_just_tried_is_no_wait(stored: Stored) -> None:
    fresh = a_send(status=MailStatus.NOT_SENT, attempts=1, check_at=stored.now)
    stored.confirmed(sends=(fresh,), resting=False)

    assert MySqlOversight(stored.database).waits().mails == 0


def unanswered(stored: Stored, *outcomes: str, resting: bool = False, **changes: Any) -> None:
    """Store a charge with its requests, a minute apart, the last one now."""
    charge = stored.charge(**{"status": Status.UNKNOWN, "check_at": stored.now} | changes)
    reservation = stored.keep(charge, resting=resting)
    with MySqlUnitOfWork(stored.database) as uow:
        for age, outcome in zip(reversed(range(len(outcomes))), outcomes, strict=True):
            attempt = Attempt(
                call_key=charge.key,
                verb=Verb.CHARGE,
                sent_at=stored.now - age * MINUTE,
                outcome=outcome,
                http_status=None,
                elapsed_ms=1,
            )
            uow.reservations.add_attempt(reservation.reservation_id, attempt)
        uow.commit()


def test_a_silence_begins_after_the_last_answer_and_ends_with_the_next(stored: Stored) -> None:
    unanswered(stored, "NoAnswer", "Listing", "NotSent", "NoAnswer", "NotSent")
    unanswered(stored, "NotSent", status=Status.NOT_FOUND)
    unanswered(stored, "NoAnswer", "Seen")
    unanswered(stored, "NotSent", "Listing", status=Status.NOT_FOUND)
    unanswered(stored, "NotSent", status=Status.NOT_FOUND, check_at=None)
    unanswered(stored, "NotSent", "NotSent", status=Status.NOT_FOUND, resting=True)
    unanswered(stored, "NoAnswer", "NoAnswer", status=Status.SUCCEEDED)

    [silence] = MySqlOversight(stored.database).silences(limit=9)

    assert (silence.operation, silence.calls) == (Operation.CHARGE, 2)
    assert (silence.since, silence.last_at) == (stored.now - 2 * MINUTE, stored.now)


def test_mails_that_were_not_taken_are_counted_by_status(stored: Stored) -> None:
    def send(status: MailStatus, age: timedelta, attempts: int = 1) -> Reservation:
        mail = a_send(status=status, sent_at=stored.now - age, attempts=attempts)
        return stored.confirmed(sends=(mail,))

    send(MailStatus.REFUSED, 8 * DAY)
    send(MailStatus.REFUSED, 2 * HOUR)
    newest = send(MailStatus.REFUSED, MINUTE)
    failing = send(MailStatus.NOT_SENT, MINUTE)
    send(MailStatus.NOT_SENT, MINUTE, attempts=0)
    send(MailStatus.SENT, MINUTE)
    oversight = MySqlOversight(stored.database)

    not_sent, refused = oversight.untaken_mails(since=stored.now - 7 * DAY, limit=9)

    assert (not_sent.status, not_sent.mails, not_sent.code) == ("not_sent", 1, failing.code)
    assert refused == UntakenMails(
        status="refused",
        mails=2,
        first_at=stored.now - 2 * HOUR,
        last_at=stored.now - MINUTE,
        code=newest.code,
    )
    assert oversight.untaken_mails(since=stored.now - 7 * DAY, limit=2) == []


def test_the_longest_waits_for_a_voucher_and_for_a_person_are_measured(stored: Stored) -> None:
    stored.confirmed(documents=(), resting=False)
    stored.confirmed(contradictions=(a_contradiction(at=stored.then),))

    waits = MySqlOversight(stored.database).waits()

    assert 2 * 3600 <= waits.voucher_s < 2 * 3600 + 600
    assert 2 * 3600 <= waits.contradiction_s < 2 * 3600 + 600


def test_a_row_not_yet_due_is_not_late(stored: Stored) -> None:
    stored.keep(resting=False)
    put_hints(stored, "pending", age=-HOUR)
    oversight = MySqlOversight(stored.database)

    assert oversight.oldest_due_s() == 0
    assert [lag.oldest_s for lag in oversight.outbox()] == [0]


def test_dead_hints_are_revived_and_recorded_in_the_history(stored: Stored) -> None:
    reservation = stored.keep(resting=False)
    put_hints(stored, "dead", age=MINUTE, times=2)
    stored.change(
        "UPDATE outbox SET refusals = 5, reservation_id = :id", id=reservation.reservation_id
    )
    retention = MySqlRetention(stored.database)

    assert retention.revive(queue=Queue.SUPPLIER, actor="operator:on-call") == 0
    assert retention.revive(queue=Queue.PAYMENT, actor="operator:on-call") == 2
    assert retention.revive(queue=None, actor="operator:on-call") == 0

    assert (
        stored.count("SELECT COUNT(*) FROM outbox WHERE status = 'pending' AND refusals = 0") == 2
    )
    lines = "SELECT COUNT(*) FROM history WHERE event = 'operator.hint_revived' AND actor = :actor"
    assert stored.count(lines, actor="operator:on-call") == 1


def test_a_history_line_is_added_only_to_an_existing_reservation(stored: Stored) -> None:
    reservation = stored.keep(resting=True)
    retention = MySqlRetention(stored.database)

    for reservation_id in (reservation.reservation_id, uuid7(stored.now)):
        retention.tell(reservation_id, MESSAGE_DROPPED, actor="operator:on-call")

    lines = "SELECT COUNT(*) FROM history WHERE event = 'operator.message_dropped' AND actor = :a"
    assert stored.count(lines, a="operator:on-call") == 1
    lines += " AND reservation_id = :id"
    assert stored.count(lines, a="operator:on-call", id=reservation.reservation_id) == 1


# --- retention


Delete = Callable[[MySqlRetention, int], int]


def delete_hints(retention: MySqlRetention, limit: int) -> int:
    return retention.delete_published_hints(older_than=14 * DAY, limit=limit)


def test_published_hints_go_after_two_weeks_and_no_other(stored: Stored) -> None:
    retention = MySqlRetention(stored.database)
    for status in ("published", "pending", "dead"):
        put_hints(stored, status, age=15 * DAY, times=3)
    put_hints(stored, "published", age=13 * DAY)

    assert [delete_hints(retention, 2) for _ in range(3)] == [2, 1, 0]

    left = "SELECT COUNT(*) FROM outbox WHERE status = :status"
    assert {s: stored.count(left, status=s) for s in ("published", "pending", "dead")} == {
        "published": 1,
        "pending": 3,
        "dead": 3,
    }


def test_webhooks_go_after_thirty_days(stored: Stored) -> None:
    retention = MySqlRetention(stored.database)
    for number, age in enumerate((31, 31, 31, 29)):
        stored.change(
            "INSERT INTO webhook (provider, webhook_id, type, reference, received_at) VALUES"
            " ('payments', :id, 'payment.succeeded', 'x', UTC_TIMESTAMP(6) - INTERVAL :age DAY)",
            id=str(number),
            age=age,
        )

    deleted = [retention.delete_webhooks(older_than=30 * DAY, limit=2) for _ in range(3)]

    assert deleted == [2, 1, 0]
    assert stored.count("SELECT COUNT(*) FROM webhook") == 1


def test_idempotency_keys_go_when_they_expire(stored: Stored) -> None:
    retention = MySqlRetention(stored.database)
    for number, minutes in enumerate((-1, -1, -1, 1)):
        stored.change(
            "INSERT INTO idempotency (client_id, operation, idempotency_key, fingerprint, expires_at)"
            " VALUES ('web', 'POST', :key, REPEAT('0', 64),"
            " UTC_TIMESTAMP(6) + INTERVAL :minutes MINUTE)",
            key=str(number),
            minutes=minutes,
        )

    assert [retention.delete_expired_keys(limit=2) for _ in range(3)] == [2, 1, 0]
    assert stored.count("SELECT COUNT(*) FROM idempotency") == 1


def test_claims_go_after_two_days_unless_their_charge_is_not_settled(stored: Stored) -> None:
    retention = MySqlRetention(stored.database)
    paid, unpaid = stored.keep(a_charge()), stored.keep()
    owed = stored.keep(a_charge(), reason=Reason.SUPPLIER_REJECTED)
    for number, (reservation, age) in enumerate(
        [(paid, 3), (paid, 3), (paid, 3), (paid, 1), (unpaid, 3), (owed, 3)]
    ):
        stored.change(
            "INSERT INTO charge_claim (client_id, digest, reservation_id, claimed_at) VALUES"
            " ('web', :digest, :id, UTC_TIMESTAMP(6) - INTERVAL :age DAY)",
            digest=bytes([number]) * 32,
            id=reservation.reservation_id,
            age=age,
        )

    deleted = [retention.delete_claims(older_than=2 * DAY, limit=2) for _ in range(3)]

    assert deleted == [2, 1, 0]
    assert stored.count("SELECT COUNT(*) FROM charge_claim") == 3


def test_the_places_of_unpaid_mails_go_an_hour_after_their_time(stored: Stored) -> None:
    retention = MySqlRetention(stored.database)
    for slot, minutes in enumerate((61, 61, 59, -60)):
        stored.change(
            "INSERT INTO unpaid_mail (digest, slot, sent_at) VALUES"
            " (REPEAT('0', 32), :slot, UTC_TIMESTAMP(6) - INTERVAL :minutes MINUTE)",
            slot=slot,
            minutes=minutes,
        )

    deleted = [retention.delete_unpaid_mails(older_than=HOUR, limit=2) for _ in range(2)]

    assert deleted == [2, 0]
    assert stored.count("SELECT COUNT(*) FROM unpaid_mail") == 2


def expired(stored: Stored, *, after: UUID | None = None, limit: int = 9) -> Expired:
    return MySqlRetention(stored.database).expired(
        after=after,
        limit=limit,
        travelers_after=730 * DAY,
        documents_after=180 * DAY,
        removed_within=12 * HOUR,
    )


def travelled(stored: Stored, days_ago: int, **changes: Any) -> Reservation:
    day = (stored.now - days_ago * DAY).date()
    return stored.confirmed(offer=an_offer(starts_on=day, ends_on=day), **changes)


def test_travelers_are_forgotten_two_years_after_a_trip_that_rests(stored: Stored) -> None:
    old = travelled(stored, 732)
    travelled(stored, 729)
    travelled(stored, 732, resting=False)

    assert expired(stored).travelers == [old.reservation_id]
    with MySqlUnitOfWork(stored.database) as uow:
        assert uow.reservations.erase_customer(old.reservation_id)
        uow.commit()
    assert expired(stored).travelers == []


def test_documents_are_due_for_removal_half_a_year_after_the_trip(stored: Stored) -> None:
    old = travelled(stored, 182)
    travelled(stored, 179)

    assert expired(stored).documents == [old.reservation_id]
    stored.change("UPDATE document SET removed_at = UTC_TIMESTAMP(6)")
    assert expired(stored).documents == []


def test_documents_that_were_removed_within_hours_are_removed_again(stored: Stored) -> None:
    for hours_ago in (11, 13, None):
        reservation = stored.confirmed()
        stored.change(
            "UPDATE document SET s3_key = :key, removed_at = UTC_TIMESTAMP(6) - INTERVAL :hours HOUR"
            " WHERE reservation_id = :id",
            id=reservation.reservation_id,
            key=f"vouchers/{hours_ago}.pdf",
            hours=hours_ago,
        )

    assert expired(stored).removed == ["vouchers/11.pdf"]


def test_pages_of_expired_data_follow_each_other_and_leave_no_reservation_out(
    stored: Stored,
) -> None:
    kept = [travelled(stored, 800) for _ in range(3)]

    first = expired(stored, limit=2)
    second = expired(stored, after=first.last, limit=2)

    assert first.travelers + second.travelers == sorted(each.reservation_id for each in kept)
    assert first.documents + second.documents == first.travelers + second.travelers
    assert expired(stored, after=second.last, limit=2).last is None


# --- erasure


def test_erasing_a_customer_keeps_the_money_and_breaks_no_invariant(connect: Connect) -> None:
    stored = Stored(connect())
    reservation = stored.confirmed()
    with MySqlUnitOfWork(stored.database) as uow:
        assert uow.reservations.erase_customer(reservation.reservation_id)
        assert not uow.reservations.erase_customer(reservation.reservation_id)
        uow.commit()

    assert stored.count("SELECT COUNT(*) FROM customer") == 0
    assert stored.count("SELECT COUNT(*) FROM provider_call WHERE operation = 'charge'") == 1
    assert stored.found() == {}
