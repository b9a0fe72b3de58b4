"""Mails about what was never paid, counted by many workers at once on real servers."""

from datetime import datetime
from functools import partial

import pytest

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
        until = uow.unpaid_mails.take((MAILBOX, CLIENT), now=now)
        uow.commit()
    return until


@pytest.mark.parametrize("hours", [1, 2])
def test_simultaneous_mails_take_no_more_places_than_there_are(
    connect: Connect, hours: int
) -> None:
    workers = [connect() for _ in range(CROWD)]
    for worker in workers:
        connection_id(worker)
    for hour in range(hours):
        now = NOON + hour * HOUR
        waits = [f.result() for f in at_once([partial(take, w, now) for w in workers])]

        assert waits.count(None) == MAILBOX.limit
        assert set(waits) == {None, now + HOUR}
