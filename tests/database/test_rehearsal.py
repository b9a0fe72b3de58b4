"""A rehearsed creation on real servers: its SQL runs, and nothing of it stays."""

import pytest

from reservations.adapters.mysql.engine import Database, Statement
from reservations.adapters.mysql.tables import METADATA
from reservations.domain.errors import DefectError, StatementRefusedError
from reservations.entrypoints import dry_creation, rehearsal
from tests.worlds.invocation import a_context
from tests.worlds.services import OnDatabase, handler_of


def rows(database: Database) -> dict[str, int]:
    return {
        name: database.look(Statement(f"SELECT COUNT(*) AS n FROM `{name}`")())[0][0].n
        for name in METADATA.tables
    }


def test_a_rehearsed_creation_leaves_no_row(database: Database) -> None:
    before = rows(database)

    assert dry_creation.create_nothing(OnDatabase(database)) == rehearsal.DONE

    assert not database.in_transaction
    assert rows(database) == before


def test_a_version_whose_hints_the_schema_does_not_take_fails_its_rehearsal(
    database: Database,
) -> None:
    database.change(Statement("ALTER TABLE outbox RENAME COLUMN message_id TO other")())
    try:
        with pytest.raises(StatementRefusedError):
            dry_creation.create_nothing(OnDatabase(database))
    finally:
        database.change(Statement("ALTER TABLE outbox RENAME COLUMN other TO message_id")())


@pytest.mark.parametrize(
    ("function", "table", "column"),
    [
        ("cancel_reservation", "reservation", "token_kid"),
        ("get_reservation", "reservation", "token_kid"),
        ("look_up_reservation", "unpaid_mail", "sent_at"),
        ("receive_webhook", "webhook", "webhook_id"),
        ("record_mail_event", "reservation", "token_kid"),
    ],
)
def test_a_rehearsal_runs_its_statements_and_leaves_no_row(
    database: Database, function: str, table: str, column: str
) -> None:
    handler, before = handler_of(function, OnDatabase(database)), rows(database)

    assert handler(rehearsal.REQUEST, a_context()) == rehearsal.DONE

    assert not database.in_transaction
    assert rows(database) == before
    database.change(Statement(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")())
    try:
        with pytest.raises(DefectError):
            handler(rehearsal.REQUEST, a_context())
    finally:
        database.change(Statement(f"ALTER TABLE {table} RENAME COLUMN other TO {column}")())
