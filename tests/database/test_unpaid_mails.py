"""Mails about what was never paid, counted by many workers at once on real servers."""

from collections import Counter
from datetime import datetime
from functools import partial

from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.ports import Quota
from tests.database.waiting import at_once, connection_id
from tests.worlds.builders import HOUR, NOON
from tests.worlds.databases import Connect

MAILBOX, CLIENT = Quota(b"1" * 32, 3), Quota(b"2" * 32, 500)
CROWD = 10


def take(database: Database, now: datetime) -> datetime | None:
    with MySqlUnitOfWork(database) as uow:
        place = uow.unpaid_mails.take((MAILBOX, CLIENT), now=now, last=now + 24 * HOUR)
        uow.commit()
    return place


def test_simultaneous_mails_take_places_of_their_own(connect: Connect) -> None:
    workers = [connect() for _ in range(CROWD)]
    for worker in workers:
        connection_id(worker)

    places = [f.result() for f in at_once([partial(take, w, NOON) for w in workers])]

    assert Counter(places) == {NOON: 3, NOON + HOUR: 3, NOON + 2 * HOUR: 3, NOON + 3 * HOUR: 1}
