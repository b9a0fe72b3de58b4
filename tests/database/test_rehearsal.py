"""A rehearsed creation on real servers: its SQL runs, and nothing of it stays."""

import pytest

from reservations.adapters.mysql.engine import Database, Statement
from reservations.adapters.mysql.tables import METADATA
from reservations.domain.errors import StatementRefusedError
from reservations.entrypoints import dry_creation, rehearsal
from tests.worlds.services import OnDatabase


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
