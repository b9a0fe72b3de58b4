"""The database and both providers die under load; the long form is `make chaos`."""

import pytest

from tests.e2e.chaos import DATABASE, rampage

pytestmark = [pytest.mark.disruptive, pytest.mark.timeout(600)]


@pytest.mark.usefixtures("stack")
def test_accepted_reservations_survive_killed_processes() -> None:
    figures = rampage([(DATABASE,), ("payments", "supplier")], per_second=2, calm_s=1)

    assert figures.broken == []
    assert figures.accepted == sum(figures.ends.values()) > 0
    assert figures.answers[503] > 0, "no traveler met the database outage"
