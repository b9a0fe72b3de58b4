"""The migrations make exactly the tables that are declared, there and back."""

import re
from functools import partial
from secrets import token_hex
from typing import cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, make_url, text
from tenacity import Retrying

from local.database import Engine
from reservations.adapters.mysql import readiness, schema
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.tables import METADATA
from reservations.domain.errors import DatabaseBusyError
from tests.database.waiting import at_once
from tests.worlds.databases import administrator, empty_schema

CONTRACTING: frozenset[str] = frozenset()
"""Revisions that may remove parts of the schema, if no release reads them. Others may only add."""

_LITERAL = re.compile(r"_(ascii|utf8mb4)'")
_NAMED = re.compile(r"  (UNIQUE )?(KEY|CONSTRAINT) ")


def definitions(connection: Connection) -> dict[str, str]:
    """Return the server's definition of each table, its lines in order but for indexes and checks.

    A separate statement that adds an index or a check puts it last, and MySQL then reports another
    character set of a check's literals.
    """
    tables = [name for (name,) in connection.execute(text("SHOW TABLES"))]
    return {
        table: _in_order(
            _LITERAL.sub("'", connection.execute(text(f"SHOW CREATE TABLE {table}")).one()[1])
        )
        for table in tables
        if table != "alembic_version"
    }


def _in_order(definition: str) -> str:
    """Put the columns first, as they are, and all keys and constraints after them by name."""
    lines = [line.rstrip(",") for line in definition.splitlines()]
    return "\n".join(sorted(lines, key=lambda line: line if _NAMED.match(line) else ""))


def test_alembic_finds_no_difference(url: str) -> None:
    with schema.engine_of(connector(url)).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_migrated_and_declared_tables_have_equal_definitions(url: str, engine_name: Engine) -> None:
    """Alembic does not compare checks, collations and references, among others."""
    with empty_schema(engine_name) as declared_url:
        declared = schema.engine_of(connector(declared_url))
        METADATA.create_all(declared)
        with schema.engine_of(connector(url)).connect() as ours, declared.connect() as theirs:
            migrated, expected = definitions(ours), definitions(theirs)

    assert migrated == expected
    assert migrated.keys() == METADATA.tables.keys()


def test_every_check_is_in_force(url: str) -> None:
    declared = {
        constraint.name
        for table in METADATA.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    query = text(
        "SELECT constraint_name FROM information_schema.check_constraints"
        " WHERE constraint_schema = DATABASE()"
    )
    with schema.engine_of(connector(url)).connect() as connection:
        assert {name for (name,) in connection.execute(query)} == declared


def test_the_code_knows_every_revision_in_order() -> None:
    scripts = ScriptDirectory(str(schema._SCRIPTS)).walk_revisions()

    assert tuple(reversed([script.revision for script in scripts])) == readiness.REVISIONS


def test_migrations_go_up_and_down_one_by_one(engine_name: Engine) -> None:
    with empty_schema(engine_name) as url:
        engine = schema.engine_of(connector(url))
        assert schema.current(engine) is None
        seen = []
        for revision in readiness.REVISIONS:
            schema.upgrade(engine, revision=revision)
            seen.append(schema.current(engine))
        for revision in [*reversed(readiness.REVISIONS[:-1]), schema.BASE]:
            schema.downgrade(engine, revision=revision)
        schema.upgrade(engine)

        assert tuple(seen) == readiness.REVISIONS
        assert schema.current(engine) == schema.HEAD
        schema.downgrade(engine)
        with engine.connect() as connection:
            assert definitions(connection) == {}


def columns(connection: Connection) -> dict[tuple[str, str], tuple[str, bool]]:
    """Return the type of each column, and whether a row can be written without it."""
    query = text(
        "SELECT table_name, column_name, column_type,"
        " is_nullable = 'YES' OR column_default IS NOT NULL OR extra <> ''"
        " FROM information_schema.columns WHERE table_schema = DATABASE()"
    )
    found = connection.execute(query).all()
    return {(table, column): (kind, bool(spare)) for table, column, kind, spare in found}


def restrictions(connection: Connection) -> set[tuple[str, str]]:
    """Return the keys and checks of each table."""
    query = text(
        "SELECT table_name, constraint_name FROM information_schema.table_constraints"
        " WHERE table_schema = DATABASE()"
    )
    return {(table, name) for table, name in connection.execute(query)}


@pytest.mark.parametrize("revision", sorted(set(readiness.REVISIONS[1:]) - CONTRACTING))
def test_a_migration_lets_the_previous_release_go_on_writing(
    engine_name: Engine, revision: str
) -> None:
    before = readiness.REVISIONS[readiness.REVISIONS.index(revision) - 1]
    with empty_schema(engine_name) as url:
        engine = schema.engine_of(connector(url))
        schema.upgrade(engine, revision=before)
        with engine.connect() as connection:
            known, obeyed = columns(connection), restrictions(connection)
        schema.upgrade(engine, revision=revision)
        with engine.connect() as connection:
            now, to_obey = columns(connection), restrictions(connection)

    tables = {table for table, _ in known}
    added = {name: now[name] for name in now.keys() - known.keys() if name[0] in tables}
    assert known.items() <= now.items()
    assert [name for name, (_, spare) in added.items() if not spare] == []
    assert {restriction for restriction in to_obey if restriction[0] in tables} == obeyed


def test_a_migration_that_was_cut_off_is_completed_by_the_next(
    url: str, engine_name: Engine
) -> None:
    with empty_schema(engine_name) as cut_url:
        engine = schema.engine_of(connector(cut_url))
        schema.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE provider_attempt, mail_send, alembic_version"))
        schema.upgrade(engine)
        with engine.begin() as connection, schema.engine_of(connector(url)).connect() as whole:
            assert definitions(connection) == definitions(whole)
            connection.execute(text("DROP TABLE provider_attempt"))
        schema.downgrade(engine)

        with engine.connect() as connection:
            assert definitions(connection) == {}


def test_a_newer_schema_is_left_alone(engine_name: Engine) -> None:
    with empty_schema(engine_name) as url:
        engine = schema.engine_of(connector(url))
        schema.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        schema.upgrade(engine)

        assert schema.current(engine) == "9999"


def test_an_existing_schema_waits_for_no_turn(
    engine_name: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack whose update failed can roll back while the migration still runs in the server."""
    monkeypatch.setattr(schema, "TURN_SECONDS", 0)
    with empty_schema(engine_name) as url:
        engine = schema.engine_of(connector(url))
        schema.upgrade(engine, revision=readiness.REVISIONS[0])

        with schema._turn(engine):
            schema.upgrade(engine, revision=readiness.REVISIONS[0])

        assert schema.current(engine) == readiness.REVISIONS[0]


def test_a_sign_in_that_is_allowed_a_moment_later_succeeds(
    engine_name: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, password = f"late_{token_hex(6)}", token_hex(16)
    with empty_schema(engine_name) as url, administrator(engine_name) as connection:

        def allow(_: float) -> None:
            connection.execute(text(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'"))
            connection.execute(text(f"GRANT ALL ON {make_url(url).database}.* TO '{name}'@'%'"))

        monkeypatch.setattr(cast("Retrying", vars(schema._signed_in)["retry"]), "sleep", allow)
        try:
            login = make_url(url).set(username=name, password=password)
            schema.upgrade(schema.engine_of(connector(login.render_as_string(hide_password=False))))
        finally:
            connection.execute(text(f"DROP USER IF EXISTS '{name}'@'%'"))

        assert schema.current(schema.engine_of(connector(url))) == schema.HEAD


def test_two_migrations_at_once_take_turns(engine_name: Engine) -> None:
    with empty_schema(engine_name) as url:
        migrate = partial(
            schema.upgrade,
            schema.engine_of(connector(url, answer_seconds=schema.STATEMENT_SECONDS)),
        )
        for done in at_once([migrate, migrate]):
            done.result()

        assert schema.current(schema.engine_of(connector(url))) == schema.HEAD


def test_a_migration_that_never_gets_its_turn_fails_as_busy(
    engine_name: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "TURN_SECONDS", 0)
    with empty_schema(engine_name) as url:
        engine = schema.engine_of(connector(url))
        with schema._turn(engine), pytest.raises(DatabaseBusyError):
            schema.upgrade(engine)

        assert schema.current(engine) is None
