"""Promises of every unit of work, in memory and on both databases."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.ports import (
    Addressee,
    Attempt,
    ChargeClaim,
    OutboxMessage,
    Quota,
    UnitOfWork,
    WebhookEvent,
)
from reservations.domain.actions import Verb
from reservations.domain.codes import new_code
from reservations.domain.errors import (
    DuplicateCodeError,
    KnowledgeLostError,
    ReservationNotFoundError,
)
from reservations.domain.facts import (
    Call,
    Contradiction,
    Decision,
    Facts,
    Kind,
    Provider,
    Reason,
    Status,
)
from reservations.domain.fulfilment import ask_for
from reservations.domain.history import HistoryEntry
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from reservations.domain.money import Money
from reservations.domain.reservation import ERASED, MailKind, MailSend, MailStatus, Reservation
from tests.worlds.builders import (
    CHARGE_KEY,
    HOUR,
    MINUTE,
    NOON,
    RESERVATION_ID,
    a_booking,
    a_change,
    a_charge,
    a_contradiction,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    some_facts,
)
from tests.worlds.databases import ENGINES, SchemaOf, connections_to
from tests.worlds.fakes import InMemoryDatabase, InMemoryUnitOfWork, glance_of

AnotherUnit = Callable[[], UnitOfWork]
NO_LEASE = timedelta(0)
LATER = NOON + MINUTE


@pytest.fixture(
    params=["in memory", *(pytest.param(engine, marks=pytest.mark.mysql) for engine in ENGINES)]
)
def another_unit(request: pytest.FixtureRequest, schema_of: SchemaOf) -> Iterator[AnotherUnit]:
    """Open one more unit of work on the same store."""
    if request.param == "in memory":
        memory = InMemoryDatabase(now=NOON + 100 * 365 * 24 * HOUR)  # later than any row here
        yield lambda: InMemoryUnitOfWork(memory)
        return
    with connections_to(schema_of(request.param)) as connect:
        yield lambda: MySqlUnitOfWork(connect())


@pytest.fixture
def uow(another_unit: AnotherUnit) -> UnitOfWork:
    return another_unit()


def store(uow: UnitOfWork, reservation: Reservation) -> None:
    with uow:
        uow.add(a_creation(reservation), a_customer())
        uow.commit()


def stored(uow: UnitOfWork, reservation_id: UUID = RESERVATION_ID) -> Reservation:
    with uow:
        return uow.open(reservation_id).reservation


def save(uow: UnitOfWork, *, now: datetime = LATER, **changes: Any) -> Reservation:
    """Lock the reservation, save it with `changes` and commit."""
    with uow:
        locked = uow.open(RESERVATION_ID).reservation
        change = a_change(locked, replace(locked, **changes), now=now)
        uow.store(change)
        uow.commit()
        return change.after


def with_calls(*calls: Call, **changes: Any) -> Facts:
    return replace(a_reservation(*calls).facts, **changes)


def a_hint(reservation_id: UUID = RESERVATION_ID, queue: Queue = Queue.PAYMENT) -> Hint:
    return Hint(
        message_id=uuid7(NOON),
        queue=queue,
        reservation_id=reservation_id,
        type="payment.due",
        occurred_at=NOON,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def another_reservation(**changes: Any) -> Reservation:
    reservation_id = uuid7(NOON)
    facts = replace(a_reservation().facts, reservation_id=reservation_id)
    other = a_reservation(facts=facts, reservation_id=reservation_id, code=new_code())
    return replace(other, **changes)


# --- one transaction


def test_a_stored_reservation_is_read_back_whole(uow: UnitOfWork) -> None:
    reservation = a_reservation(
        a_charge(),
        a_booking(check_at=LATER),
        documents=(a_voucher(),),
        sends=(a_send(ses_id="0102"),),
    )
    reservation = replace(reservation, facts=replace(reservation.facts, confirmed_at=NOON))

    store(uow, reservation)

    assert stored(uow) == reservation


def test_a_closed_reservation_is_read_back_whole(uow: UnitOfWork) -> None:
    facts = with_calls(
        a_charge(Status.NOT_FOUND, attempts=2, looks=3, missing_since=NOON),
        reason=Reason.EXPIRED,
        accepted_minor=100,
        ended_at=LATER,
    )
    reservation = a_reservation(facts=facts, next_check_at=None)

    store(uow, reservation)

    assert stored(uow) == reservation


def test_leaving_without_commit_stores_nothing(uow: UnitOfWork) -> None:
    with uow:
        uow.add(a_creation(a_reservation()), a_customer())
        uow.outbox.add(a_hint(), lease=NO_LEASE)

    with uow, pytest.raises(ReservationNotFoundError):
        uow.open(RESERVATION_ID)
    with uow:
        assert uow.outbox.claim(limit=1, lease=HOUR) == []


def test_an_error_inside_the_block_stores_nothing(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    other = another_reservation()

    with contextlib.suppress(RuntimeError), uow:
        uow.add(a_creation(other), a_customer())
        raise RuntimeError

    with uow, pytest.raises(ReservationNotFoundError):
        uow.open(other.reservation_id)


def test_leaving_releases_the_row(uow: UnitOfWork, another_unit: AnotherUnit) -> None:
    store(uow, a_reservation())

    with uow:
        uow.open(RESERVATION_ID)

    assert stored(another_unit()) == a_reservation()


def test_uncommitted_changes_are_invisible_to_others(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    with uow, another_unit() as other:
        uow.add(a_creation(a_reservation()), a_customer())
        unseen = other.reservations.find(a_reservation().code)
        uow.commit()
        seen = other.reservations.find(a_reservation().code)

    assert unseen is None
    assert seen == a_reservation()


def test_the_clock_is_aware_and_runs_on_utc(uow: UnitOfWork) -> None:
    with uow:
        now = uow.now()

    assert now.utcoffset() == timedelta(0)


# --- adding and reading


def test_a_taken_code_is_refused_with_all_of_its_transaction(uow: UnitOfWork) -> None:
    store(uow, a_reservation())
    rival, other = another_reservation(code=a_reservation().code), another_reservation()

    def add_both() -> None:
        with uow:
            uow.add(a_creation(other), a_customer())
            uow.add(a_creation(rival), a_customer())
            uow.commit()

    with pytest.raises(DuplicateCodeError):
        add_both()

    with uow, pytest.raises(ReservationNotFoundError):
        uow.open(other.reservation_id)


def test_a_reservation_is_found_by_its_code_only_when_it_is_exactly_that(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    with uow:
        assert uow.reservations.find(a_reservation().code) == a_reservation()
        assert uow.reservations.find(a_reservation().code.lower()) is None
        assert uow.reservations.find(another_reservation().code) is None


@pytest.mark.parametrize(
    "reservation",
    [
        a_reservation(),
        a_reservation(a_charge(), sends=(a_send(), a_send(MailKind.LINK, MailStatus.NOT_SENT))),
        a_reservation(a_charge(Status.PENDING, deadline_at=NOON)),
        a_reservation(
            facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON),
            documents=(a_voucher(),),
            sends=(a_send(),),
        ),
        a_reservation(a_charge(), documents=(a_voucher(issued_at=NOON + HOUR),), sends=(a_send(),)),
    ],
    ids=["new", "mailing", "in review", "served", "a newer voucher"],
)
def test_a_glance_sees_the_row_its_mails_and_its_calls(
    uow: UnitOfWork, reservation: Reservation
) -> None:
    store(uow, reservation)

    with uow:
        found = uow.reservations.find(reservation.code)
        assert found is not None
        assert uow.reservations.glance(reservation.code) == glance_of(found, NOON)
        assert uow.reservations.glance(another_reservation().code) is None


def test_an_unknown_reservation_cannot_be_locked(uow: UnitOfWork) -> None:
    with uow, pytest.raises(ReservationNotFoundError):
        uow.open(RESERVATION_ID)


def test_the_customer_is_read_back(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    with uow:
        assert uow.reservations.customer(RESERVATION_ID) == a_customer()
        with pytest.raises(ReservationNotFoundError):
            uow.reservations.customer(uuid7(NOON))


def test_a_customer_has_another_address_and_nothing_else_changes(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    with uow:
        uow.reservations.change_address(
            RESERVATION_ID, "other@example.com", former=a_customer().email
        )
        uow.commit()

    with uow:
        changed = a_customer(email="other@example.com", former_email=a_customer().email)
        assert uow.reservations.customer(RESERVATION_ID) == changed
        uow.reservations.change_address(RESERVATION_ID, "other@example.com", former=None)
        uow.commit()

    with uow:
        assert uow.reservations.customer(RESERVATION_ID) == a_customer(email="other@example.com")


def test_an_erased_customer_is_read_as_erased_and_the_reservation_stays(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge()))

    with uow:
        assert uow.reservations.erase_customer(RESERVATION_ID)
        uow.commit()

    with uow:
        assert uow.reservations.customer(RESERVATION_ID) == ERASED
        assert not uow.reservations.erase_customer(RESERVATION_ID)
    assert stored(uow).facts.calls == (a_charge(),)


def test_an_added_history_line_keeps_its_note(uow: UnitOfWork) -> None:
    entry = HistoryEntry(
        event="review.resolved", at=LATER, actor="operator:on-call", note="paid TICKET-5"
    )
    store(uow, a_reservation())

    with uow:
        uow.reservations.add_history(RESERVATION_ID, entry)
        uow.commit()

    with uow:
        [accepted, added] = uow.reservations.history(RESERVATION_ID)
    assert (accepted.event, accepted.note) == ("reservation.accepted", None)
    assert added == entry


def test_a_removed_document_is_read_back_as_removed(uow: UnitOfWork) -> None:
    store(uow, a_reservation(documents=(a_voucher(),)))

    save(uow, documents=(a_voucher(removed_at=LATER),))

    assert stored(uow).documents == (a_voucher(removed_at=LATER),)


# --- saving the difference


def test_only_a_reservation_locked_in_this_transaction_can_be_saved(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    with uow:
        found = uow.reservations.find(a_reservation().code)
        assert found is not None
        with pytest.raises(LookupError):
            uow.store(a_change(found, found, now=LATER))


def test_new_and_changed_calls_are_stored_in_the_order_they_began(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge(Status.STARTED)))
    paid = a_charge(at=NOON, check_at=LATER, looks=2)
    booking = a_booking(Status.STARTED)

    saved = save(uow, facts=with_calls(paid, booking))

    assert stored(uow) == saved
    assert saved.facts.calls == (paid, booking)


def test_documents_and_mails_are_stored_and_changed(uow: UnitOfWork) -> None:
    begun = a_send(status=MailStatus.STARTED, check_at=LATER)
    store(uow, a_reservation(documents=(a_voucher(),), sends=(begun,)))
    reissued = a_voucher(s3_key="vouchers/b.pdf", sha256="1" * 64)
    done = a_send(ses_id="0102")

    saved = save(uow, documents=(reissued,), sends=(done,))

    assert (saved.documents, saved.sends) == ((reissued,), (done,))
    assert stored(uow) == saved


def test_a_new_access_token_is_read_back(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    saved = save(uow, token_kid="k2", token_version=1)

    assert (saved.token_kid, saved.token_version) == ("k2", 1)
    assert stored(uow) == saved


def test_the_version_and_its_time_are_stored_as_the_change_says(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge(Status.STARTED)))

    seen = save(uow, facts=with_calls(a_charge()))
    unseen = save(uow, now=LATER + MINUTE, next_check_at=LATER + MINUTE)

    assert (seen.version, unseen.version, unseen.updated_at) == (2, 2, LATER)
    assert stored(uow) == unseen


def test_saving_twice_in_one_transaction_goes_on_from_the_first(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    with uow:
        locked = uow.open(RESERVATION_ID).reservation
        first = a_change(locked, replace(locked, facts=with_calls(a_charge())), now=LATER)
        uow.store(first)
        second = a_change(first.after, replace(first.after, next_check_at=LATER), now=LATER)
        uow.store(second)
        uow.commit()

    assert stored(uow) == second.after


def test_the_history_shows_each_change_and_its_actor(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge(Status.STARTED)))

    with uow:
        locked = uow.open(RESERVATION_ID).reservation
        paid = replace(locked, facts=with_calls(a_charge()))
        uow.store(a_change(locked, paid, now=LATER, actor="operator"))
        uow.commit()

    with uow:
        lines = [(h.event, h.at, h.actor) for h in uow.reservations.history(RESERVATION_ID)]
    assert lines == [
        ("reservation.accepted", NOON, "system"),
        ("payment.succeeded", LATER, "operator"),
    ]


def test_an_attempt_needs_the_call_it_is_evidence_of(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge()))
    attempt = Attempt(
        call_key=CHARGE_KEY,
        verb=Verb.CHARGE,
        sent_at=NOON,
        outcome="Seen",
        http_status=201,
        elapsed_ms=12,
    )

    for key, allowed in (
        (CHARGE_KEY, contextlib.nullcontext()),
        ("charge:none", pytest.raises(KnowledgeLostError)),
    ):
        with uow, allowed:
            locked = uow.open(RESERVATION_ID).reservation
            change = a_change(locked, locked, now=LATER)
            uow.store(change, attempts=[replace(attempt, call_key=key)])
            uow.commit()


# --- knowledge only grows


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (a_charge(), a_charge(Status.PENDING)),
        (a_charge(), a_charge(Status.STARTED, attempts=2)),
        (a_charge(Status.DECLINED), a_charge(Status.VOIDED)),
        (a_charge(Status.UNKNOWN), a_charge(Status.STARTED, attempts=2)),
        (a_charge(Status.NOT_FOUND), a_charge(Status.STARTED)),
        (a_charge(Status.UNKNOWN, attempts=2), a_charge(Status.UNKNOWN)),
        (a_charge(Status.PENDING), a_charge(provider_id="pay_2")),
        (a_booking(), a_booking(Status.CANCELLED, provider_id="bkg_2")),
    ],
)
def test_a_call_never_forgets(uow: UnitOfWork, before: Call, after: Call) -> None:
    store(uow, a_reservation(before, facts=with_calls(before, confirmed_at=NOON)))

    with pytest.raises(KnowledgeLostError):
        save(uow, facts=with_calls(after, confirmed_at=NOON))

    assert stored(uow).facts.calls == (before,)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (a_charge(Status.STARTED), a_charge(Status.NOT_FOUND)),
        (a_charge(Status.NOT_FOUND), a_charge(Status.STARTED, attempts=2)),
        (a_charge(Status.NOT_FOUND), a_charge(Status.DECLINED)),
        (a_charge(Status.PENDING), a_charge(Status.PENDING, looks=4)),
        (a_booking(), a_booking(Status.CANCELLED)),
    ],
)
def test_a_call_learns(uow: UnitOfWork, before: Call, after: Call) -> None:
    store(uow, a_reservation(before))

    save(uow, facts=with_calls(after))

    assert stored(uow).facts.calls == (after,)


def test_a_call_is_never_taken_away(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge()))

    with pytest.raises(KnowledgeLostError):
        save(uow, facts=with_calls())


@pytest.mark.parametrize(
    "forgetful",
    [
        {"reason": None},
        {"reason": Reason.CUSTOMER_CANCELLED},
        {"confirmed_at": LATER},
        {"confirmed_at": None},
        {"ended_at": LATER},
        {"ended_at": None, "reason": Reason.EXPIRED},
    ],
)
def test_the_reason_and_the_stamps_are_set_once(uow: UnitOfWork, forgetful: dict[str, Any]) -> None:
    stamps = {"reason": Reason.EXPIRED, "confirmed_at": NOON, "ended_at": NOON}
    store(uow, a_reservation(facts=with_calls(**stamps)))

    with pytest.raises(KnowledgeLostError):
        save(uow, facts=with_calls(**stamps | forgetful))


SUSPECTED = a_contradiction(looks=1, opened_at=None, check_at=LATER)
DECIDED = a_contradiction(
    number=2, closed_at=LATER, decision=Decision.GONE, evidence="TICKET-5", sticky=True
)


def with_contradictions(*rows: Contradiction) -> Facts:
    return with_calls(a_charge(), a_booking(), contradictions=rows, confirmed_at=NOON)


def test_contradictions_are_read_back_whole_and_in_order(uow: UnitOfWork) -> None:
    rows = (
        a_contradiction(over_at=LATER, closed_at=LATER, check_at=None),
        DECIDED,
        a_contradiction(Kind.FOREIGN_REFUND, "ré_1", payment="pay_1", money=Money(1, "JPY")),
        a_contradiction(Kind.FOREIGN_REFUND, "RÉ_1", payment="pay_1", money=Money(2, "EUR")),
        SUSPECTED,
    )
    rows = (*rows[:-1], replace(SUSPECTED, number=3))

    store(uow, a_reservation(facts=with_contradictions(*rows)))

    assert stored(uow).facts.contradictions == rows


def test_a_contradiction_is_added_opened_and_decided(uow: UnitOfWork) -> None:
    store(uow, a_reservation(facts=with_contradictions()))
    opened = replace(SUSPECTED, opened_at=LATER, looks=3, seen="pending", last_at=LATER)
    decided = replace(opened, decision=Decision.STANDS, evidence="TICKET-5", closed_at=LATER)

    for row in (SUSPECTED, opened, decided, replace(decided, over_at=LATER)):
        save(uow, facts=with_contradictions(row))

        assert stored(uow).facts.contradictions == (row,)


@pytest.mark.parametrize(
    "forgetful",
    [
        (),
        (replace(DECIDED, decision=None),),
        (replace(DECIDED, decision=Decision.STANDS),),
        (replace(DECIDED, opened_at=None),),
        (replace(DECIDED, opened_at=LATER),),
    ],
)
def test_an_opening_and_a_decision_are_never_forgotten(
    uow: UnitOfWork, forgetful: tuple[Contradiction, ...]
) -> None:
    store(uow, a_reservation(facts=with_contradictions(DECIDED)))

    with pytest.raises(KnowledgeLostError):
        save(uow, facts=with_contradictions(*forgetful))

    assert stored(uow).facts.contradictions == (DECIDED,)


def test_what_a_charge_tells_of_its_refunds_is_stored_and_changed(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge(refunded_minor=0, refunds_at=LATER, doubted=True)))
    told = a_charge(refunded_minor=6000, refunds_at=None, doubted=True)

    save(uow, facts=with_calls(told))

    assert stored(uow).facts.calls == (told,)


def test_a_signed_offer_and_a_booking_with_its_price_are_read_back(uow: UnitOfWork) -> None:
    signed = a_reservation(a_charge(), quoted=True)
    store(uow, signed)
    save(uow, facts=signed.facts.put(a_booking(Status.STARTED, priced=True)))

    assert stored(uow).quoted
    assert [call.priced for call in stored(uow).facts.calls] == [False, True]


def test_a_mail_that_was_sent_stays_sent(uow: UnitOfWork) -> None:
    store(uow, a_reservation(sends=(a_send(ses_id="0102"),)))

    with pytest.raises(KnowledgeLostError):
        save(uow, sends=(a_send(status=MailStatus.UNKNOWN),))


def test_a_mail_that_was_sent_can_be_asked_for_again(uow: UnitOfWork) -> None:
    store(uow, a_reservation(sends=(a_send(MailKind.ADDRESS_CHANGED, ses_id="0102"),)))

    save(uow, sends=(ask_for(MailKind.ADDRESS_CHANGED, LATER),))

    assert stored(uow).sends == (ask_for(MailKind.ADDRESS_CHANGED, LATER),)


def test_one_more_copy_of_a_sent_mail_is_due(uow: UnitOfWork) -> None:
    store(uow, a_reservation(sends=(a_send(ses_id="0102"),)))

    save(uow, sends=(a_send(ses_id="0102", check_at=LATER),))

    assert stored(uow).sends == (a_send(ses_id="0102", check_at=LATER),)


# --- the payment token


@pytest.mark.parametrize("spent", [True, False])
def test_a_payment_token_that_is_spent_is_forgotten(uow: UnitOfWork, spent: bool) -> None:
    store(uow, a_reservation())

    with uow:
        locked = uow.open(RESERVATION_ID).reservation
        uow.store(replace(a_change(locked, locked, now=LATER), token_spent=spent))
        uow.commit()

    with uow:
        customer = uow.reservations.customer(RESERVATION_ID)
    assert customer == a_customer(payment_token=None if spent else a_customer().payment_token)


# --- due reservations


def test_a_due_reservation_is_claimed_once_until_its_lease_ends(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    with uow:
        uow.add(a_creation(a_reservation(next_check_at=uow.now())), a_customer())
        uow.commit()

    with uow:
        [claimed] = uow.reservations.claim_due(limit=10, lease=HOUR)
        uow.commit()
    with another_unit() as other:
        again = other.reservations.claim_due(limit=10, lease=HOUR)

    assert again == []
    assert claimed.reservation_id == RESERVATION_ID
    assert stored(uow) == claimed


def test_a_lease_of_nothing_has_ended(uow: UnitOfWork) -> None:
    with uow:
        uow.add(a_creation(a_reservation(next_check_at=uow.now())), a_customer())
        uow.commit()

    for _ in range(2):
        with uow:
            assert len(uow.reservations.claim_due(limit=10, lease=NO_LEASE)) == 1
            uow.commit()


def test_reservations_that_are_settled_or_not_due_are_not_claimed(uow: UnitOfWork) -> None:
    with uow:
        for next_check_at in (None, uow.now() + HOUR):
            uow.add(a_creation(another_reservation(next_check_at=next_check_at)), a_customer())
        uow.commit()

    with uow:
        assert uow.reservations.claim_due(limit=10, lease=HOUR) == []


def test_claims_skip_locked_rows_and_take_the_longest_due_first(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    with uow:
        now = uow.now()
        due = [another_reservation(next_check_at=now - age * MINUTE) for age in (1, 3, 2)]
        for reservation in due:
            uow.add(a_creation(reservation), a_customer())
        uow.commit()

    with uow, another_unit() as other:
        [mine] = uow.reservations.claim_due(limit=1, lease=HOUR)
        theirs = other.reservations.claim_due(limit=10, lease=HOUR)

    assert mine.reservation_id == due[1].reservation_id
    assert [r.reservation_id for r in theirs] == [due[2].reservation_id, due[0].reservation_id]


# --- far looks


def test_far_looks_are_locked_one_after_another_and_the_oldest_first(uow: UnitOfWork) -> None:
    with uow:
        now = uow.now()
        times = {"due": 1, "oldest": 3, "older": 2, "later": -1}
        looks = {name: now - age * MINUTE for name, age in times.items()} | {"none": None}
        rows = {name: another_reservation(next_look_at=at) for name, at in looks.items()}
        for reservation in rows.values():
            uow.add(a_creation(reservation), a_customer())
        uow.commit()

    found, look = [], None
    with uow:
        while (look := uow.reservations.lock_due_look(after=look)) is not None:
            found.append((look.reservation_id, look.at))

    assert found == [(rows[n].reservation_id, looks[n]) for n in ("oldest", "older", "due")]


def test_a_far_look_is_not_waited_for_while_another_has_its_row(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    with uow:
        at = uow.now() - MINUTE
        twins = [another_reservation(next_look_at=at) for _ in range(2)]
        for reservation in twins:
            uow.add(a_creation(reservation), a_customer())
        uow.commit()

    with uow, another_unit() as other:
        mine = uow.reservations.lock_due_look(after=None)
        theirs = other.reservations.lock_due_look(after=None)
        none_left = other.reservations.lock_due_look(after=theirs)

    assert mine is not None
    assert theirs is not None
    assert {mine.reservation_id, theirs.reservation_id} == {r.reservation_id for r in twins}
    assert none_left is None


def test_a_far_look_and_what_it_brings_are_stored_with_its_reservation(uow: UnitOfWork) -> None:
    store(uow, a_reservation(a_charge(), next_look_at=LATER))

    saved = save(uow, next_look_at=LATER + HOUR)
    assert stored(uow) == saved

    save(uow, next_look_at=None)
    assert stored(uow).next_look_at is None


# --- the outbox


def put_in_the_outbox(
    uow: UnitOfWork, *hints: Hint, lease: timedelta = NO_LEASE
) -> list[OutboxMessage]:
    with uow:
        for hint in hints:
            uow.outbox.add(hint, lease=lease)
        uow.commit()
    return list(uow.outbox.stored)


def claim(uow: UnitOfWork, *, lease: timedelta = HOUR) -> list[OutboxMessage]:
    with uow:
        messages = uow.outbox.claim(limit=10, lease=lease)
        uow.commit()
        return messages


def test_hints_come_out_as_they_went_in(uow: UnitOfWork) -> None:
    hints = [a_hint(queue=queue) for queue in Queue]
    put_in_the_outbox(uow, *hints)

    assert [message.hint for message in claim(uow)] == hints
    assert claim(uow) == []


def test_a_claim_takes_no_more_than_its_limit(uow: UnitOfWork) -> None:
    put_in_the_outbox(uow, *[a_hint() for _ in range(3)])

    with uow:
        assert len(uow.outbox.claim(limit=2, lease=HOUR)) == 2
        uow.commit()

    assert len(claim(uow)) == 1


def test_claims_skip_the_hints_that_another_holds(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    put_in_the_outbox(uow, a_hint(), a_hint())

    with uow, another_unit() as other:
        [mine] = uow.outbox.claim(limit=1, lease=HOUR)
        [theirs] = other.outbox.claim(limit=10, lease=HOUR)

    assert mine.row_id != theirs.row_id


def test_an_unmarked_hint_comes_back_when_the_lease_ends(uow: UnitOfWork) -> None:
    put_in_the_outbox(uow, a_hint())

    [first] = claim(uow, lease=NO_LEASE)
    [second] = claim(uow, lease=NO_LEASE)

    assert first == second


def test_a_published_hint_does_not_come_back(uow: UnitOfWork) -> None:
    put_in_the_outbox(uow, a_hint(), a_hint())
    [published, _] = claim(uow, lease=NO_LEASE)

    with uow:
        uow.outbox.mark_published([published])
        uow.outbox.mark_published([])
        uow.commit()

    [left] = claim(uow)
    assert left != published


def test_a_slow_publisher_cannot_mark_a_hint_that_another_took_over(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    put_in_the_outbox(uow, a_hint())
    slow = claim(uow, lease=NO_LEASE)
    other = another_unit()
    claim(other, lease=NO_LEASE)

    with uow:
        uow.outbox.mark_published(slow)
        dead = uow.outbox.mark_refused(slow, dead_after=1)
        uow.commit()

    assert dead == 0
    assert [message.row_id for message in claim(other)] == [message.row_id for message in slow]


def test_a_stored_hint_is_its_sender_s_until_the_lease_ends(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    put_in_the_outbox(uow, a_hint(), lease=HOUR)
    put_in_the_outbox(uow, at_once := a_hint())

    assert [message.hint for message in claim(another_unit())] == [at_once]


def test_stored_hints_are_marked_by_another_unit(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    hints = [a_hint(queue=queue) for queue in Queue]
    stored = put_in_the_outbox(uow, *hints)
    assert [message.hint for message in stored] == hints

    with another_unit() as other:
        other.outbox.mark_published(stored[1:])
        other.commit()

    assert [message.hint for message in claim(uow)] == hints[:1]


def test_a_slow_sender_cannot_mark_a_hint_that_the_poller_took_over(
    uow: UnitOfWork, another_unit: AnotherUnit
) -> None:
    slow = put_in_the_outbox(uow, a_hint())
    poller = another_unit()
    taken = claim(poller, lease=NO_LEASE)

    with uow:
        uow.outbox.mark_published(slow)
        uow.commit()

    assert claim(poller) == taken


def test_a_new_transaction_has_stored_no_hint_yet(uow: UnitOfWork) -> None:
    put_in_the_outbox(uow, a_hint())

    with uow:
        assert list(uow.outbox.stored) == []


def test_a_hint_dies_of_its_last_refusal_and_is_not_claimed_again(uow: UnitOfWork) -> None:
    put_in_the_outbox(uow, a_hint())

    deaths = []
    for _ in range(3):
        refused = claim(uow, lease=NO_LEASE)
        with uow:
            deaths.append(uow.outbox.mark_refused(refused, dead_after=3))
            uow.commit()

    assert deaths == [0, 0, 1]
    assert claim(uow) == []


def test_no_refusal_means_no_dead_hint(uow: UnitOfWork) -> None:
    with uow:
        assert uow.outbox.mark_refused([], dead_after=1) == 0


# --- webhooks

WEBHOOK = WebhookEvent(
    provider=Provider.PAYMENTS,
    webhook_id="msg_1",
    type="payment.succeeded",
    reference=str(RESERVATION_ID),
)


def test_a_webhook_is_taken_once(uow: UnitOfWork, another_unit: AnotherUnit) -> None:
    with uow:
        first = uow.webhooks.add(WEBHOOK)
        again = uow.webhooks.add(WEBHOOK)
        uow.commit()
    with another_unit() as other:
        later = other.webhooks.add(replace(WEBHOOK, type="payment.declined"))

    assert (first, again, later) == (True, False, False)


def test_webhooks_of_two_providers_and_two_spellings_are_different(uow: UnitOfWork) -> None:
    with uow:
        assert uow.webhooks.add(WEBHOOK)
        assert uow.webhooks.add(replace(WEBHOOK, provider=Provider.SUPPLIER))
        assert uow.webhooks.add(replace(WEBHOOK, webhook_id="MSG_1"))


def test_a_webhook_that_was_not_committed_is_taken_again(uow: UnitOfWork) -> None:
    for _ in range(2):
        with uow:
            assert uow.webhooks.add(WEBHOOK)


# --- claims of charges


def a_claim(*digests: bytes, client_id: str = "web") -> ChargeClaim:
    return ChargeClaim(client_id, tuple(digest * 32 for digest in digests))


def take(uow: UnitOfWork, claim: ChargeClaim, reservation: Reservation) -> str | None:
    """Claim for a reservation, and return the code of another that has the claim."""
    with uow:
        holder = uow.claims.take(claim, reservation.reservation_id, now=NOON)
        uow.commit()
    return holder


@pytest.mark.parametrize(
    ("claim", "held"),
    [
        (a_claim(b"1"), True),
        (a_claim(b"2", b"1"), True),
        (a_claim(b"2"), False),
        (a_claim(b"1", client_id="partner"), False),
    ],
    ids=["equal", "after a rotation", "other body", "other client"],
)
def test_a_claim_is_of_one_reservation(uow: UnitOfWork, claim: ChargeClaim, held: bool) -> None:
    first, second = a_reservation(), another_reservation()
    store(uow, first)
    store(uow, second)
    assert take(uow, a_claim(b"1"), first) is None

    assert take(uow, claim, second) == (first.code if held else None)


def test_a_refused_claim_stages_nothing(uow: UnitOfWork) -> None:
    first, second = a_reservation(), another_reservation()
    store(uow, first)
    store(uow, second)
    take(uow, a_claim(b"2"), first)

    assert take(uow, a_claim(b"1", b"2"), second) == first.code
    assert take(uow, a_claim(b"1"), second) is None


def test_a_claim_that_is_not_committed_is_of_nobody(uow: UnitOfWork) -> None:
    first, second = a_reservation(), another_reservation()
    store(uow, first)
    store(uow, second)
    with uow:
        uow.claims.take(a_claim(b"1"), first.reservation_id, now=NOON)

    assert take(uow, a_claim(b"1"), second) is None


def test_a_reservation_that_gave_its_charge_back_loses_its_claim(uow: UnitOfWork) -> None:
    first, second = a_reservation(), another_reservation()
    store(uow, first)
    store(uow, second)
    take(uow, a_claim(b"1", b"2"), first)

    save(uow, facts=with_calls(a_charge()))
    assert take(uow, a_claim(b"1"), second) == first.code
    save(uow, facts=with_calls(a_charge(), reason=Reason.CUSTOMER_CANCELLED))
    assert take(uow, a_claim(b"1"), second) == first.code
    save(uow, facts=with_calls(a_charge(), a_refund(), reason=Reason.CUSTOMER_CANCELLED))

    assert take(uow, a_claim(b"1", b"2"), second) is None


# --- mails about what was never paid


def take_place(uow: UnitOfWork, *quotas: Quota, at: datetime) -> datetime | None:
    with uow:
        place = uow.unpaid_mails.take(quotas, now=at, last=at + 24 * HOUR)
        uow.commit()
    return place


def in_minutes(places: Sequence[datetime | None]) -> list[float | None]:
    return [None if at is None else (at - NOON) / MINUTE for at in places]


def test_a_quota_has_so_many_places_in_any_hour(uow: UnitOfWork) -> None:
    quota = Quota(b"1" * 32, 2)

    places = [take_place(uow, quota, at=NOON + m * MINUTE) for m in (0, 30, 59, 60, 61, 89, 211)]

    assert in_minutes(places) == [0, 30, 60, 90, 120, 150, 211]


def test_mails_of_one_moment_have_places_of_their_own_for_a_day(uow: UnitOfWork) -> None:
    quota = Quota(b"1" * 32, 1)

    places = [take_place(uow, quota, at=NOON) for _ in range(27)]

    assert in_minutes(places) == [*range(0, 25 * 60, 60), None, None]
    assert in_minutes([take_place(uow, quota, at=NOON + HOUR)]) == [25 * 60]


def test_a_place_is_free_in_all_quotas(uow: UnitOfWork) -> None:
    mailbox, client = Quota(b"1" * 32, 2), Quota(b"2" * 32, 1)
    take_place(uow, client, at=NOON)

    assert take_place(uow, mailbox, client, at=LATER) == NOON + HOUR
    assert take_place(uow, mailbox, at=LATER) == LATER
    assert take_place(uow, mailbox, at=LATER) == LATER + HOUR


def test_a_place_long_ahead_takes_none_of_the_hours_before(uow: UnitOfWork) -> None:
    mailbox, client = Quota(b"1" * 32, 1), Quota(b"2" * 32, 2)
    places = [take_place(uow, mailbox, client, at=NOON) for _ in range(4)]

    others = [take_place(uow, client, at=NOON) for _ in range(5)]

    assert in_minutes(places) == [0, 60, 120, 180]
    assert in_minutes(others) == [0, 60, 120, 180, 240]


def test_a_place_between_others_is_free_if_no_hour_holds_too_many(uow: UnitOfWork) -> None:
    quota = Quota(b"1" * 32, 2)

    places = [take_place(uow, quota, at=NOON + m * MINUTE) for m in (0, 90, 40, 41)]

    assert in_minutes(places) == [0, 90, 40, 100]


def test_a_mail_without_a_place_in_one_quota_takes_none_in_another(uow: UnitOfWork) -> None:
    full, free = Quota(b"1" * 32, 1), Quota(b"2" * 32, 1)
    for _ in range(25):
        take_place(uow, full, at=NOON)

    assert take_place(uow, free, full, at=NOON) is None
    assert take_place(uow, free, at=NOON) == NOON


def test_a_lower_limit_waits_until_enough_places_are_free(uow: UnitOfWork) -> None:
    for minutes in range(3):
        take_place(uow, Quota(b"1" * 32, 3), at=NOON + minutes * MINUTE)

    place = take_place(uow, Quota(b"1" * 32, 1), at=NOON + 5 * MINUTE)

    assert place == NOON + 2 * MINUTE + HOUR


# --- the way back to a reservation


def test_a_reservation_is_found_with_its_client_and_address(uow: UnitOfWork) -> None:
    store(uow, a_reservation())

    with uow:
        found = uow.lookups.find(a_reservation().code)
        nothing = uow.lookups.find(new_code())

    assert found == Addressee(
        reservation_id=RESERVATION_ID, client_id="web", email=a_customer().email
    )
    assert nothing is None


def test_an_erased_address_is_not_found(uow: UnitOfWork) -> None:
    store(uow, a_reservation())
    with uow:
        uow.reservations.erase_customer(RESERVATION_ID)
        uow.commit()

    with uow:
        assert uow.lookups.find(a_reservation().code) is None


@pytest.mark.parametrize("due", [None, NOON, LATER + HOUR])
@pytest.mark.parametrize(
    "earlier", [(), (a_send(MailKind.LINK, ses_id="0102"),)], ids=["first", "again"]
)
def test_a_mail_that_is_asked_for_is_due_at_once(
    uow: UnitOfWork, due: datetime | None, earlier: tuple[MailSend, ...]
) -> None:
    store(uow, a_reservation(sends=earlier, next_check_at=due))

    with uow:
        uow.lookups.ask(RESERVATION_ID, now=LATER)
        uow.commit()

    asked = stored(uow)
    assert asked.send_of(MailKind.LINK) == ask_for(MailKind.LINK, LATER)
    assert asked.next_check_at == min(due or LATER, LATER)


def test_a_mail_of_no_reservation_is_asked_for_in_vain(uow: UnitOfWork) -> None:
    store(uow, a_reservation())
    before = stored(uow)

    with uow:
        uow.lookups.ask(UUID(int=0), now=LATER)
        uow.commit()

    assert stored(uow) == before
