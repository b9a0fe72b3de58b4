"""The migration: called by a waiting stack, and directly."""

from typing import Any

import pytest

from reservations.domain.errors import DatabaseUnavailableError
from tests.unit.entrypoints.test_custom_resource import answer_to, stack
from tests.worlds.invocation import LogBook, a_context, an_event
from tests.worlds.providers import Receiver
from tests.worlds.services import FakeServices, handler_of

__all__ = ["stack"]  # the fixture

REVISION = "0001"


class Migrations(FakeServices):
    """Counts the runs of a migration that succeeds, or raises `error`."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.error: Exception | None = None

    def migrate_database(self) -> str:
        self.runs += 1
        if self.error:
            raise self.error
        return REVISION


@pytest.fixture
def migrations() -> Migrations:
    return Migrations()


def migrate(migrations: Migrations, case: str, stack: Receiver | None = None) -> dict[str, Any]:
    event = an_event(f"migrate_database.{case}")
    if stack is not None:
        event["ResponseURL"] = stack.url
    return handler_of("migrate_database", migrations)(event, a_context())


@pytest.mark.parametrize("case", ["create", "update"])
def test_a_stack_waiting_for_the_migration_gets_its_result(
    migrations: Migrations, stack: Receiver, logs: LogBook, case: str
) -> None:
    assert migrate(migrations, case, stack) == {"revision": REVISION}

    assert migrations.runs == 1
    answer = answer_to(stack)
    assert (answer["Status"], answer["Data"]) == ("SUCCESS", {"revision": REVISION})
    assert answer["PhysicalResourceId"] == "DatabaseMigration"
    [line] = logs.saying("schema is current")
    assert line["revision"] == REVISION


def test_deleting_the_stack_leaves_the_schema_as_it_is(
    migrations: Migrations, stack: Receiver
) -> None:
    migrations.error = DatabaseUnavailableError("it may be gone already")

    migrate(migrations, "delete", stack)

    assert migrations.runs == 0
    answer = answer_to(stack)
    assert answer["Status"] == "SUCCESS"


def test_a_failed_migration_fails_the_deployment_without_details(
    migrations: Migrations, stack: Receiver, logs: LogBook
) -> None:
    migrations.error = DatabaseUnavailableError("no connection to db.example")

    migrate(migrations, "create", stack)

    answer = answer_to(stack)
    assert answer["Status"] == "FAILED"
    assert "db.example" not in answer["Reason"]
    [line] = logs.saying("resource not made")
    assert "DatabaseUnavailableError" in line["exception"]


def test_a_direct_call_returns_the_revision(migrations: Migrations) -> None:
    assert migrate(migrations, "direct") == {"revision": REVISION}


def test_a_failed_direct_call_raises_its_error(migrations: Migrations) -> None:
    migrations.error = DatabaseUnavailableError("no connection to the database")
    with pytest.raises(DatabaseUnavailableError):
        migrate(migrations, "direct")
