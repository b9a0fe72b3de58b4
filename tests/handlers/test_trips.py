"""Round trips to the database of each function, on a connection that is open."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reservations.adapters.aws.hint_codec import encode_hint
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.poll_outbox import poll_outbox
from reservations.domain.clients import DuplicateCharge
from reservations.domain.facts import Seen, Status
from reservations.domain.messages import Hint, Queue
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from tests.worlds.builders import (
    NOON,
    PRICE,
    a_booking,
    a_charge,
    a_creation,
    a_customer,
    a_reservation,
    a_voucher,
    some_facts,
)
from tests.worlds.databases import ENGINES, SchemaOf, empty_the_tables
from tests.worlds.fakes import RecordingPublisher, ScriptedPayments, ScriptedSupplier
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import OnDatabase, handler_of
from tests.worlds.sql import counted

CONFIRMED = a_reservation(facts=some_facts(a_charge(), a_booking(), confirmed_at=NOON))
STEPS = {
    Queue.PAYMENT: "process_payment",
    Queue.SUPPLIER: "confirm_supplier",
    Queue.VOUCHER: "issue_voucher",
    Queue.NOTIFICATION: "notify_customer",
}
LONGEST = 16 * 1024  # bytes of one text, before RDS Proxy pins its connection


class Counted(OnDatabase):
    """Services on a real database that count their round trips."""

    def __init__(self, url: str) -> None:
        self.trips: list[str] = []
        super().__init__(Database(counted(connector(url), self.trips)))
        self._database.now()
        self._database.rollback()

    def keep(self, reservation: Reservation) -> None:
        with MySqlUnitOfWork(self._database) as uow:
            uow.add(a_creation(reservation), a_customer())
            uow.commit()

    def run(self, event: str, hint: Hint | None = None, **headers: str) -> int:
        """Invoke a function on one of its events, or on a `hint`. Return the number of round trips."""
        self.trips.clear()
        sent = an_event(event)
        if hint is not None:
            sent["Records"][0]["body"] = encode_hint(hint)
        for name, value in headers.items():
            sent["headers"][name.replace("_", "-")] = value
            sent["multiValueHeaders"][name.replace("_", "-")] = [value]
        self.answer: dict[str, Any] = handler_of(event.partition(".")[0], self)(sent, a_context())
        assert max(len(trip.encode()) for trip in self.trips) < LONGEST
        return len(self.trips)

    def close(self) -> None:
        self._database.close()


@pytest.fixture(params=[pytest.param(engine, marks=pytest.mark.mysql) for engine in ENGINES])
def services(request: pytest.FixtureRequest, schema_of: SchemaOf) -> Iterator[Counted]:
    url = schema_of(request.param)
    services = Counted(url)
    yield services
    services.close()
    empty_the_tables(url)


@pytest.mark.parametrize(
    ("duplicate", "trips"), [(DuplicateCharge.ALLOW, 3), (DuplicateCharge.REFUSE, 4)]
)
def test_a_reservation_is_created_in_three_and_answered_again_in_two(
    services: Counted, duplicate: DuplicateCharge, trips: int
) -> None:
    """The third marks the hint as sent. One more claims the charge, and reads who has the claim."""
    services.modes["web"] = replace(services.modes["web"], duplicate_charge=duplicate)

    assert services.run("create_reservation.accepted") == trips
    assert services.run("create_reservation.accepted") == 2
    assert "Idempotency-Replayed" in services.answer["multiValueHeaders"]


def test_a_reservation_is_read_in_one(services: Counted) -> None:
    services.keep(a_reservation())

    assert services.run("get_reservation.shown") == 1
    [tag] = services.answer["multiValueHeaders"]["ETag"]
    assert services.run("get_reservation.shown", If_None_Match=tag) == 1
    assert services.answer["statusCode"] == 304
    assert "FROM contradiction" not in services.trips[0]
    assert services.run("get_reservation.shown", If_None_Match='W/"9"') == 2
    assert services.answer["statusCode"] == 200


def test_a_provider_s_step_takes_two_before_the_call_and_two_after_and_one_to_mark_the_hint(
    services: Counted,
) -> None:
    services.keep(a_reservation())
    paid = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
    services.payments = ScriptedPayments(paid)

    assert services.run("process_payment.due") == 5


@pytest.mark.parametrize(
    ("event", "reservation", "trips"),
    [
        ("issue_voucher.due", CONFIRMED, 5),
        ("notify_customer.due", a_reservation(facts=CONFIRMED.facts, documents=(a_voucher(),)), 7),
        ("cancel_reservation.accepted", a_reservation(), 5),
        ("receive_webhook.payment_succeeded", a_reservation(), 3),  # its hint is under way
        ("receive_webhook.payment_succeeded", a_reservation(a_charge(Status.PENDING)), 4),
        ("record_mail_event.bounced", a_reservation(), 3),
    ],
)
def test_every_other_function_takes_no_more(
    services: Counted, event: str, reservation: Reservation, trips: int
) -> None:
    services.keep(reservation)
    services.moment = NOON  # the webhook is signed at this time

    assert services.run(event) == trips


def test_a_journey_takes_thirteen_to_be_confirmed_and_eleven_more_with_its_papers(
    services: Counted,
) -> None:
    """All of it, without the poller: each step sends the hint of the next, and marks it."""
    paid = Seen(provider_id="pay_1", status=Status.SUCCEEDED, money=PRICE)
    booked = Seen(provider_id="bkg_1", status=Status.SUCCEEDED, locator="SOL-8841")
    services.payments, services.supplier = ScriptedPayments(paid), ScriptedSupplier(booked)
    services.modes["web"] = replace(services.modes["web"], duplicate_charge=DuplicateCharge.ALLOW)

    taken = [services.run("create_reservation.accepted")]
    for hint in (hints := services.prompt_publisher.hints):
        taken.append(services.run(f"{STEPS[hint.queue]}.due", hint))

    assert [hint.queue for hint in hints] == list(STEPS)
    assert taken == [3, 5, 5, 5, 6]


@pytest.mark.parametrize(("hints", "trips"), [(0, 6), (1, 7)])
def test_a_round_of_the_poller_takes_two_more_for_each_kind_of_work(
    services: Counted, hints: int, trips: int
) -> None:
    services.saga_policy = replace(STANDARD, hint_grace=timedelta(0))
    services.prompt_publisher = RecordingPublisher()
    services.prompt_publisher.unreachable = set(Queue)
    if hints:
        services.run("create_reservation.accepted")
    services.trips.clear()

    polled = poll_outbox(uow=services.unit_of_work(), publisher=services.publisher, policy=STANDARD)

    assert polled.published == hints
    assert len(services.trips) == trips
