"""Claims under competition, and the indexes they use."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text

from reservations.adapters.mysql import oversight, reservations, statements
from reservations.adapters.mysql.address import Connect as OpenOne
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database, Query
from reservations.adapters.mysql.tables import OUTBOX, RESERVATION, OutboxStatus
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.poll_outbox import poll_outbox
from reservations.domain.facts import Reason, Status
from reservations.domain.identifiers import uuid7
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from tests.database.waiting import DEADLINE_SECONDS, at_once
from tests.worlds.builders import (
    MINUTE,
    NOON,
    RESERVATION_ID,
    a_booking,
    a_change,
    a_charge,
    a_creation,
    a_customer,
    a_reservation,
    some_facts,
)
from tests.worlds.databases import Connect
from tests.worlds.fakes import RecordingPublisher
from tests.worlds.sql import explained, run

LEASE = timedelta(hours=1)


def fill_the_outbox(database: Database, *, pending: int, published: int = 0) -> None:
    statuses = [OutboxStatus.PENDING] * pending + [OutboxStatus.PUBLISHED] * published
    past = database.now() - MINUTE
    rows = [
        {
            "message_id": uuid7(NOON),
            "queue": Queue.PAYMENT,
            "status": status,
            "available_at": past,
            "refusals": 0,
            "reservation_id": RESERVATION_ID,
            "type": "payment.due",
            "occurred_at": NOON,
        }
        for status in statuses
    ]
    run(database, insert(OUTBOX), rows)
    database.commit()


class InterruptedDatabase(Database):
    """Lets others act between the first statement of its first flight and the second."""

    def __init__(self, connect: OpenOne, *, meanwhile: Callable[[], None]) -> None:
        super().__init__(connect)
        self._meanwhile = [meanwhile]

    def _fly(self, flight: Sequence[Query]) -> Any:
        if not self._meanwhile:
            return super()._fly(flight)
        first = super()._fly(flight[:1])
        self._meanwhile.pop()()
        return first + super()._fly(flight[1:])


def test_a_reading_never_mixes_a_row_with_a_ledger_of_another_moment(
    url: str, connect: Connect
) -> None:
    confirmed = a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON))
    with MySqlUnitOfWork(connect()) as uow:
        uow.add(a_creation(confirmed), a_customer())
        uow.commit()

    def supplier_cancels() -> None:
        with MySqlUnitOfWork(connect()) as uow:
            locked = uow.open(RESERVATION_ID).reservation
            facts = locked.facts.put(a_booking(Status.CANCELLED))
            facts = replace(facts, reason=Reason.SUPPLIER_CANCELLED)
            cancelled = replace(locked, facts=facts)
            uow.store(a_change(locked, cancelled, now=uow.now()))
            uow.commit()

    reader = InterruptedDatabase(connector(url), meanwhile=supplier_cancels)
    with MySqlUnitOfWork(reader) as uow:
        read = uow.reservations.find(confirmed.code)
    reader.close()

    assert read is not None
    assert read.facts.reason is Reason.SUPPLIER_CANCELLED
    assert read.version == confirmed.version + 1


def test_an_unreadable_row_stops_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    fill_the_reservations(database, due=3, settled=0)
    run(database, text("UPDATE reservation SET currency = 'ZZZ' WHERE code LIKE '%1'"))
    database.commit()

    with MySqlUnitOfWork(database) as uow:
        claimed = uow.reservations.claim_due(limit=10, lease=LEASE)
        uow.commit()

    assert {reservation.code[-1] for reservation in claimed} == {"0", "2"}
    [line] = [record for record in caplog.records if record.name == reservations.__name__]
    assert line.getMessage() == "reservations not readable"
    # It stays due, so the alarm of the oldest due reservation rings.
    [row] = run(database, text("SELECT id, code FROM reservation WHERE next_check_at < NOW(6)"))
    assert row.code[-1] == "1"
    assert [UUID(logged) for logged in line.reservation_ids] == [UUID(bytes=row.id)]  # type: ignore[attr-defined]


def test_a_far_look_of_an_unreadable_row_stops_no_other(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    fill_the_reservations(database, due=0, settled=3)
    run(database, text("UPDATE reservation SET next_look_at = NOW(6) - INTERVAL 1 HOUR"))
    run(database, text("UPDATE reservation SET currency = 'ZZZ' WHERE code LIKE '%1'"))
    database.commit()

    polled = poll_outbox(
        uow=MySqlUnitOfWork(database), publisher=RecordingPublisher(), policy=STANDARD
    )

    assert polled.looked == 2
    [row] = run(database, text("SELECT code FROM reservation WHERE next_look_at < NOW(6)"))
    assert row.code[-1] == "1"
    assert "far look not taken" in {record.getMessage() for record in caplog.records}


def test_more_unreadable_rows_than_a_claim_takes_stop_no_other(database: Database) -> None:
    fill_the_reservations(database, due=12, settled=0)
    unread = "UPDATE reservation SET currency = 'ZZZ'"
    first = "next_check_at = next_check_at - INTERVAL 1 SECOND WHERE code < '00000000007'"
    run(database, text(f"{unread}, {first}"))
    run(database, text(f"{unread} WHERE code = '00000000009'"))
    database.commit()

    claims = []
    for _ in range(3):
        with MySqlUnitOfWork(database) as uow:
            claims.append(uow.reservations.claim_due(limit=3, lease=LEASE))
            uow.commit()

    assert [len(claim) for claim in claims] == [3, 1, 0]
    codes = {int(reservation.code) for claim in claims for reservation in claim}
    assert codes == {7, 8, 10, 11}


def test_a_hint_of_a_queue_that_only_another_release_knows_waits_and_stops_no_other(
    database: Database,
) -> None:
    run(database, text("ALTER TABLE outbox DROP CONSTRAINT ck_outbox_queue"))  # as it migrates
    fill_the_outbox(database, pending=3)
    run(database, text("UPDATE outbox SET queue = 'loyalty' ORDER BY id LIMIT 1"))
    database.commit()
    lags = oversight.MySqlOversight(database).outbox

    assert {lag.queue: lag.hints for lag in lags()} == {"loyalty": 1, Queue.PAYMENT: 2}
    assert len(drain(database)) == 2
    [lag] = lags()
    assert (lag.queue, lag.status, lag.hints) == ("loyalty", OutboxStatus.PENDING, 1)
    assert lag.oldest_s >= 60  # so the outbox's alarm rings


def fill_the_reservations(database: Database, *, due: int, settled: int) -> None:
    now = database.now()
    rows = [
        {
            "id": uuid7(NOON),
            "code": f"{number:011d}",
            "client_id": "web",
            "token_kid": "k1",
            "offer_id": "HTL-MAD-001",
            "description": "Hotel Sol",
            "starts_on": NOON.date(),
            "ends_on": NOON.date(),
            "guests": 2,
            "price_minor": 100,
            "currency": "EUR",
            "state": "CREATED",
            "settled": number >= due,
            "review": "",
            "next_check_at": now - MINUTE if number < due else None,
            "version": 1,
            "created_at": NOON,
            "updated_at": NOON,
        }
        for number in range(due + settled)
    ]
    run(database, insert(RESERVATION), rows)
    database.commit()


def drain(database: Database) -> list[int]:
    """Claim, publish and mark until nothing is left; return the ids in the order claimed."""
    uow = MySqlUnitOfWork(database)
    taken: list[int] = []
    while True:
        with uow:
            messages = uow.outbox.claim(limit=20, lease=LEASE)
            uow.commit()
        if not messages:
            return taken
        taken += [message.row_id for message in messages]
        with uow:
            uow.outbox.mark_published(messages)
            uow.commit()


def test_four_pollers_publish_every_hint_once(database: Database, connect: Connect) -> None:
    fill_the_outbox(database, pending=400)

    pollers = [connect() for _ in range(4)]
    taken = [row for f in at_once([partial(drain, p) for p in pollers]) for row in f.result()]

    left = run(database, text("SELECT COUNT(*) FROM outbox WHERE status <> 'published'"))
    assert left.scalar_one() == 0
    assert len(taken) == len(set(taken)) == 400


def test_four_pollers_claim_every_due_reservation_once(
    database: Database, connect: Connect
) -> None:
    fill_the_reservations(database, due=60, settled=20)

    def claim_all(own: Database) -> list[UUID]:
        uow = MySqlUnitOfWork(own)
        claimed: list[UUID] = []
        while True:
            with uow:
                batch = uow.reservations.claim_due(limit=7, lease=LEASE)
                uow.commit()
            if not batch:
                return claimed
            claimed += [reservation.reservation_id for reservation in batch]

    pollers = [connect() for _ in range(4)]
    claimed = [row for f in at_once([partial(claim_all, p) for p in pollers]) for row in f.result()]

    assert len(claimed) == len(set(claimed)) == 60


def test_a_poller_that_dies_leaves_its_hints_to_the_next(
    database: Database, connect: Connect
) -> None:
    fill_the_outbox(database, pending=3)
    dying = connect()
    unit = MySqlUnitOfWork(dying)
    with unit:
        unit.outbox.claim(limit=2, lease=LEASE)
        dying.close()  # before it commits

    assert len(drain(database)) == 3


def test_hints_are_stored_while_others_are_being_claimed(
    database: Database, connect: Connect
) -> None:
    """READ COMMITTED locks no gaps, so claiming never delays a new reservation."""
    fill_the_outbox(database, pending=3)
    hint = Hint(
        message_id=uuid7(NOON),
        queue=Queue.PAYMENT,
        reservation_id=RESERVATION_ID,
        type="payment.due",
        occurred_at=NOON,
    )
    impatient = connect()
    run(impatient, text("SET SESSION innodb_lock_wait_timeout = 1"))
    impatient.rollback()

    with MySqlUnitOfWork(database) as claiming:
        claiming.outbox.claim(limit=10, lease=LEASE)
        with MySqlUnitOfWork(impatient) as storing:
            storing.outbox.add(hint, lease=timedelta(0))
            storing.commit()

    assert len(drain(database)) == 4


def assert_claims_by(index: str, table: str, database: Database, query: Query) -> None:
    """Wait for the plan: until InnoDB purges rows of earlier tests, the index still counts them."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        run(database, text(f"ANALYZE TABLE {table}")).all()
        [plan] = explained(database, query)
        database.rollback()  # a read view of ours would delay the purge
        in_order = plan.key == index and "filesort" not in (plan.Extra or "")
        if in_order and int(plan.rows) < 500:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"planned as {plan}")
        time.sleep(0.1)


@pytest.mark.parametrize("limit", [1, 100])
def test_the_outbox_is_claimed_by_its_index_in_order(database: Database, limit: int) -> None:
    fill_the_outbox(database, pending=50, published=2000)

    assert_claims_by("ix_outbox_claim", "outbox", database, statements.CLAIM_HINTS(limit=limit))


def test_due_reservations_are_claimed_by_their_index_in_order(database: Database) -> None:
    fill_the_reservations(database, due=50, settled=1000)

    assert_claims_by(
        "ix_reservation_next_check_at",
        "reservation",
        database,
        statements.DUE(limit=100, **reservations._FIRST),
    )


def test_a_due_far_look_is_found_by_its_index_in_order(database: Database) -> None:
    fill_the_reservations(database, due=50, settled=1000)
    run(
        database, text("UPDATE reservation SET next_look_at = NOW(6) + INTERVAL CRC32(code) SECOND")
    )
    database.commit()

    assert_claims_by(
        "ix_reservation_next_look_at",
        "reservation",
        database,
        statements.DUE_LOOK(**reservations._FIRST),
    )
