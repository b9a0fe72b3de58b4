"""The functions' surroundings: services made of fakes, and a check of everything that is logged."""

from collections.abc import Iterator

import pytest

from reservations.domain.reservation import Reservation
from reservations.entrypoints.observability import metrics
from tests.worlds.builders import RESERVATION_ID, a_creation, a_customer
from tests.worlds.fakes import InMemoryDocumentStore, InMemoryUnitOfWork
from tests.worlds.invocation import LogBook
from tests.worlds.services import KEYS, FakeServices

# Personal data and credentials, as in events/.
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
    """The services of a test's functions, with their logs."""

    def __init__(self, logs: LogBook) -> None:
        super().__init__()
        self.logs = logs

    @property
    def store(self) -> InMemoryDocumentStore:
        return self.document_store

    def keep(self, reservation: Reservation) -> None:
        with InMemoryUnitOfWork(self.database) as uow:
            uow.add(a_creation(reservation), CUSTOMER)
            uow.commit()

    @property
    def stored(self) -> Reservation:
        return self.database.reservations[RESERVATION_ID]


@pytest.fixture(autouse=True)
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[LogBook]:
    """Fail every test that logs personal data or an unlisted field."""
    metrics.clear_metrics()  # drop the counts of earlier tests
    with LogBook(capsys).open() as book:
        yield book
    assert [canary for canary in PERSONAL if canary in book.text] == []
    assert '"left_out"' not in book.text


@pytest.fixture
def around(logs: LogBook) -> Surroundings:
    return Surroundings(logs)
