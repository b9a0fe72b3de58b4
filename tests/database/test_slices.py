"""Checks and audits that go on where the last run ended, and findings that stay until they are mended."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from reservations.adapters.mysql.audit import MySqlAudit
from reservations.adapters.mysql.checkpoints import MySqlCheckpoints
from reservations.adapters.mysql.engine import Database
from reservations.application import oversee
from reservations.application.oversee import Checked
from reservations.domain.policy import STANDARD
from reservations.domain.reservation import Reservation
from tests.database.test_oversight import DAY, Stored, a_finding
from tests.worlds.builders import HOUR, MINUTE
from tests.worlds.databases import Connect
from tests.worlds.sql import run

BREAK = "UPDATE provider_call SET money_minor = money_minor + 1 WHERE operation = 'charge'"
MEND = "UPDATE provider_call SET money_minor = money_minor - 1 WHERE operation = 'charge'"


def never() -> bool:
    return False


def after(times: int) -> Callable[[], bool]:
    """True from the given call on."""
    calls = iter(range(times))
    return lambda: next(calls, None) is None


class Jobs(Stored):
    """The scheduled checks on a database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.reader = MySqlAudit(database)
        self.checkpoints = MySqlCheckpoints(database)

    def audit(self, finished: Callable[[], bool] = never) -> Checked:
        return oversee.audit_slice(
            finished, audit=self.reader, checkpoints=self.checkpoints, policy=STANDARD
        )

    def check_changes(self, finished: Callable[[], bool] = never) -> Checked:
        return oversee.check_changes(
            finished, audit=self.reader, checkpoints=self.checkpoints, policy=STANDARD
        )

    def standing(self) -> list[str]:
        found = oversee.check_found(never, audit=self.reader, policy=STANDARD)
        return [each.code for each in found["confirmed_sum"]]

    def pass_time(self, time: timedelta) -> None:
        """Let all that is stored be older."""
        seconds = int(time.total_seconds())
        for table, columns in {"history": ["at"], "checkpoint": ["began_at", "whole_at"]}.items():
            for column in columns:
                run(
                    self.database,
                    text(f"UPDATE {table} SET {column} = {column} - INTERVAL {seconds} SECOND"),
                )
        self.database.commit()


@pytest.fixture
def jobs(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(oversee, "PAGE", 2)
    monkeypatch.setattr(oversee, "LINES", 3)
    return Jobs(connect())


def codes(reservations: list[Reservation]) -> list[str]:
    return [each.code for each in reservations]


# --- the audit


def test_an_audit_goes_on_where_its_time_was_over_until_all_are_checked(jobs: Jobs) -> None:
    kept = [jobs.confirmed() for _ in range(5)]
    jobs.change(BREAK)

    slices = [jobs.audit(after(1)).checked for _ in range(3)]

    assert slices == [2, 2, 1]
    assert set(jobs.standing()) == set(codes(kept))


def test_a_slice_ends_at_its_size(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oversee, "SLICE", 3)
    for _ in range(5):
        jobs.confirmed()

    assert [jobs.audit().checked for _ in range(2)] == [4, 1]


def test_an_audit_begins_again_a_day_after_the_last_one_began(jobs: Jobs) -> None:
    jobs.confirmed()
    assert jobs.audit().checked == 1

    jobs.pass_time(DAY - HOUR)
    assert jobs.audit().checked == 0

    jobs.pass_time(HOUR)
    assert jobs.audit().checked == 1


def test_the_age_counts_from_the_beginning_of_the_last_whole_audit(jobs: Jobs) -> None:
    for _ in range(3):
        jobs.confirmed()

    def age() -> timedelta:
        return jobs.checkpoints.get(oversee.AUDIT).age

    jobs.audit()
    jobs.pass_time(25 * HOUR)
    jobs.audit(after(1))
    assert 25 * HOUR <= age() < 26 * HOUR
    jobs.audit()
    assert age() < HOUR


def test_two_audits_at_once_leave_no_reservation_out(jobs: Jobs, connect: Connect) -> None:
    for _ in range(4):
        jobs.confirmed()
    place = jobs.checkpoints.get(oversee.AUDIT)
    other = MySqlCheckpoints(connect())

    moved = replace(place, reservation_id=jobs.reader.page(after=None, limit=1)[0])
    assert other.move(place, moved)
    assert not jobs.checkpoints.move(place, replace(place, whole_at=place.began_at))

    assert jobs.audit().checked == 3


# --- what changed


def test_a_change_is_checked_until_eleven_minutes_after_it(jobs: Jobs) -> None:
    reservation = jobs.confirmed(at=jobs.now)
    assert jobs.check_changes().checked >= 1

    jobs.change(BREAK)
    jobs.pass_time(10 * MINUTE)
    jobs.check_changes()
    assert jobs.standing() == [reservation.code]

    jobs.pass_time(2 * MINUTE)
    assert jobs.check_changes().checked >= 1
    assert jobs.check_changes().checked == 0


def test_changes_that_no_run_had_time_for_are_checked_by_the_next(jobs: Jobs) -> None:
    jobs.check_changes()
    kept = [jobs.confirmed() for _ in range(8)]
    jobs.change(BREAK)

    checked = [jobs.check_changes(after(1)).checked for _ in range(4)]

    assert checked == [3, 3, 2, 0]
    assert set(jobs.standing()) == set(codes(kept))


# --- findings


def test_a_finding_stays_until_the_reservation_is_sound(jobs: Jobs) -> None:
    reservation = jobs.confirmed(at=jobs.now - 30 * DAY)
    jobs.change(BREAK)
    jobs.audit()

    assert jobs.standing() == jobs.standing() == [reservation.code]

    jobs.change(MEND)
    assert jobs.standing() == []
    assert jobs.count("SELECT COUNT(*) FROM finding") == 0


def test_each_invariant_that_a_reservation_breaks_is_stored_once(jobs: Jobs) -> None:
    reservation = jobs.confirmed()
    findings = a_finding(reservation) + a_finding(reservation, "two_kept") + a_finding(reservation)

    jobs.reader.record([reservation.reservation_id], findings)
    jobs.reader.record([reservation.reservation_id], findings)

    assert jobs.count("SELECT COUNT(*) FROM finding") == 2
    assert jobs.reader.found(after=None, limit=9) == [reservation.reservation_id]
