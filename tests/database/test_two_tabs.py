"""Equal requests with one payment token and different keys, on real servers: one of them charges."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event
from uuid import UUID

import pytest
from sqlalchemy import text

from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.cases import Cases
from reservations.application.ports import ChargeClaim
from reservations.domain.errors import PaymentInProgressError
from reservations.domain.facts import Reason
from reservations.domain.policy import STANDARD
from reservations.domain.words import State
from tests.database.create import SCOPE, create
from tests.database.waiting import DEADLINE_SECONDS, at_once, connection_id, wait_until_blocked
from tests.worlds.databases import Connect
from tests.worlds.sql import run

OLD, NEW, NEWER = bytes(32), b"1" * 32, b"2" * 32
RINGS = ((OLD,), (OLD, NEW), (NEW, OLD))  # of environments during a rotation
CROWD = 8


class RefusedForTestsError(Exception):
    """The use case refuses."""


def tab(database: Database, number: int, digests: tuple[bytes, ...] = (OLD,)) -> str:
    """Request as one tab, and return the code of the reservation that charges."""
    scope = replace(SCOPE, key=f"the-key-of-tab-{number:04}")
    try:
        answer, _ = create(database, scope=scope, claim=ChargeClaim("web", digests))
    except PaymentInProgressError as refusal:
        return refusal.reservation_code
    code: str = answer["body"]["reservation_code"]
    return code


def count(database: Database, table: str) -> int:
    number: int = run(database, text(f"SELECT COUNT(*) FROM {table}")).scalar_one()
    database.rollback()
    return number


def ready(connect: Connect, number: int) -> list[Database]:
    callers = [connect() for _ in range(number)]
    for caller in callers:
        connection_id(caller)
    return callers


@pytest.mark.parametrize("rings", [RINGS[:1], RINGS, RINGS[1:]])
def test_of_simultaneous_tabs_one_charges_and_all_learn_its_code(
    database: Database, connect: Connect, rings: tuple[tuple[bytes, ...], ...]
) -> None:
    tabs = [
        partial(tab, caller, number, rings[number % len(rings)])
        for number, caller in enumerate(ready(connect, CROWD))
    ]

    codes = {future.result() for future in at_once(tabs)}

    assert len(codes) == 1
    assert (count(database, "reservation"), count(database, "idempotency")) == (1, 1)


def test_of_tabs_that_wait_for_a_failing_one_one_charges(
    database: Database, connect: Connect, url: str
) -> None:
    claimed, callers = Event(), ready(connect, CROWD)

    def hold_and_fail() -> None:
        claimed.set()
        wait_until_blocked(url, len(callers))
        raise RefusedForTestsError

    def fail() -> None:
        with pytest.raises(RefusedForTestsError):
            create(database, claim=ChargeClaim("web", (OLD,)), then=hold_and_fail)

    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(fail)
        assert claimed.wait(DEADLINE_SECONDS)
        futures = at_once([partial(tab, caller, n) for n, caller in enumerate(callers)])
    failing.result()

    assert len({future.result() for future in futures}) == 1
    assert count(database, "reservation") == 1


def test_of_tabs_after_a_claim_that_is_over_one_charges(
    database: Database, connect: Connect
) -> None:
    first = tab(database, 9000, (OLD, NEW))
    closed = f"UPDATE reservation SET reason = '{Reason.EXPIRED}', state = '{State.EXPIRED}'"
    run(database, text(closed))
    database.commit()
    tabs = [partial(tab, c, n, (NEW, NEWER)) for n, c in enumerate(ready(connect, CROWD))]

    codes = {future.result() for future in at_once(tabs)}

    assert len(codes) == 1
    assert codes != {first}
    assert count(database, "reservation") == 2


def test_a_tab_and_a_cancellation_of_the_first_leave_one_claim_at_most(
    database: Database, connect: Connect
) -> None:
    first = tab(database, 9000)
    reservation_id = _id_of(database, first)
    canceller, other = ready(connect, 2)

    def cancel() -> str:
        with MySqlUnitOfWork(canceller) as uow:
            cancel_reservation(reservation_id, cases=Cases(uow=uow, policy=STANDARD))
            uow.commit()
        return first

    tasks: list[Callable[[], str]] = [cancel, partial(tab, other, 1)]
    _, second = [future.result() for future in at_once(tasks)]

    assert count(database, "charge_claim") == (0 if second == first else 1)


def _id_of(database: Database, code: str) -> UUID:
    with MySqlUnitOfWork(database) as uow:
        reservation = uow.reservations.find(code)
    assert reservation is not None
    return reservation.reservation_id
