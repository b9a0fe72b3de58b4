"""The functions' surroundings: services made of fakes, nothing deeper, and an eye on all that is written out."""

from collections.abc import Iterator

import pytest

from reservations.domain.reservation import Reservation
from reservations.entrypoints.observability import metrics
from tests.worlds.builders import RESERVATION_ID, a_customer
from tests.worlds.fakes import InMemoryDocumentStore, InMemoryUnitOfWork
from tests.worlds.invocation import LogBook
from tests.worlds.services import KEYS, FakeServices

# As in events/: what belongs to a person, and what opens a door.
CUSTOMER = a_customer(email="ana.perez@example.com")
PERSONAL = (
    "Ana",
    "Pérez",
    "ana.perez",
    "600111222",
    "tok_ok",
    KEYS.issue("k1", RESERVATION_ID).removeprefix("k1."),
    "key-of-",
)


class Surroundings(FakeServices):
    """The services of a test's functions, and what they wrote to their logs."""

    def __init__(self, logs: LogBook) -> None:
        super().__init__()
        self.logs = logs

    @property
    def store(self) -> InMemoryDocumentStore:
        return self.document_store

    def keep(self, reservation: Reservation) -> None:
        with InMemoryUnitOfWork(self.database) as uow:
            uow.reservations.add(reservation, CUSTOMER)
            uow.commit()

    @property
    def stored(self) -> Reservation:
        return self.database.reservations[RESERVATION_ID]


@pytest.fixture(autouse=True)
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[LogBook]:
    """Fail any test, whatever it is about, in which something personal or unlisted is written out."""
    metrics.clear_metrics()  # what a test without a function left counted is not this one's
    with LogBook(capsys).open() as book:
        yield book
    assert [canary for canary in PERSONAL if canary in book.text] == []
    assert '"left_out"' not in book.text


@pytest.fixture
def around(logs: LogBook) -> Surroundings:
    return Surroundings(logs)
