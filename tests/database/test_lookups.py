"""A lookup that matches and one that misses do the same work on real servers."""

from collections import Counter
from functools import partial

import pytest

from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.look_up_reservation import LookedUp, Lookup, look_up_reservation
from reservations.domain.codes import new_code
from tests.database.waiting import at_once, connection_id
from tests.worlds.application import KEYS
from tests.worlds.builders import CODE, a_creation, a_customer, a_reservation
from tests.worlds.databases import Connect
from tests.worlds.sql import counted

OWNERS = Lookup(client_id="web", code=CODE, email=a_customer().email)
MISSES = {
    "another code": Lookup(client_id="web", code=new_code(), email=OWNERS.email),
    "another address": Lookup(client_id="web", code=CODE, email="eva@example.com"),
    "another client": Lookup(client_id="partner", code=CODE, email=OWNERS.email),
}


def stored(database: Database) -> None:
    with MySqlUnitOfWork(database) as uow:
        uow.add(a_creation(a_reservation()), a_customer())
        uow.commit()


def look_up(database: Database, wanted: Lookup) -> LookedUp:
    return look_up_reservation(wanted, uow=MySqlUnitOfWork(database), keys=KEYS)


@pytest.mark.parametrize("miss", MISSES.values(), ids=MISSES)
def test_a_miss_sends_the_statements_of_a_match(url: str, connect: Connect, miss: Lookup) -> None:
    stored(connect())
    trips: list[str] = []
    database = Database(counted(connector(url), trips))
    look_up(database, miss)  # opens the connection

    work = {}
    for wanted, outcome in ((OWNERS, LookedUp.MATCHED), (miss, LookedUp.MISSED)):
        trips.clear()
        assert look_up(database, wanted) is outcome
        work[outcome] = [Counter(each.split()[0] for each in trip.split(";")) for trip in trips]
    database.close()

    assert work[LookedUp.MATCHED] == work[LookedUp.MISSED]
    assert len(work[LookedUp.MATCHED]) == 3
    assert sum(work[LookedUp.MATCHED], Counter()).total() >= 7


def test_simultaneous_matches_are_three_at_most(connect: Connect) -> None:
    stored(connect())
    workers = [connect() for _ in range(8)]
    for worker in workers:
        connection_id(worker)

    outcomes = [f.result() for f in at_once([partial(look_up, w, OWNERS) for w in workers])]

    assert Counter(outcomes) == {LookedUp.MATCHED: 3, LookedUp.TOO_OFTEN: 5}
