"""The adapter's constant SQL against the declared tables, and on both engines."""

import ast
import re
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BINARY, Boolean, Column, Date, Integer, String
from sqlalchemy.dialects.mysql import TEXT

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database, Query, Statement
from reservations.adapters.mysql.tables import METADATA, OUTBOX, Utc, Uuid
from reservations.application.poll_outbox import BATCH
from reservations.domain.messages import Queue
from tests.worlds.builders import NOON, RESERVATION_ID
from tests.worlds.sql import constants, explained

# RDS Proxy pins the connection of a longer text, or of one that sets a variable or asks for
# ROW_COUNT() (docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html).
LONGEST = 16 * 1024
PINNING = re.compile(r"@|ROW_COUNT|FOUND_ROWS|LAST_INSERT_ID|\bSET (?:SESSION|GLOBAL)|LOCK TABLE")
VALUE = re.compile(r"%\((\w+)\)s")
TABLE = re.compile(r"(?:FROM|INTO|UPDATE) (\w+)")
INSERTED = re.compile(r"^INSERT INTO (\w+) \(([^)]+)\)")
EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE")
ANSWER = "x" * 4000  # longer than any answer of ours that a key keeps

# The values that are no columns, or not of the column with their name.
VALUES: dict[str, Any] = {
    "id": RESERVATION_ID,
    "ids": [RESERVATION_ID] * BATCH,
    "after": RESERVATION_ID,
    "first": RESERVATION_ID,
    "last": RESERVATION_ID,
    "reservation_before": RESERVATION_ID,
    "history_before": 1,
    "began_before": NOON,
    "key": "k" * 300,
    "limit": BATCH,
    "since": NOON,
    "until": NOON,
    "token": RESERVATION_ID,
    "tokens": [RESERVATION_ID],
    "before": 1,
    "digests": [bytes(range(32))] * 3,
    "lower": ["started", "unknown"],
    "again": True,
    "kept": 1,
    "microseconds": 1,
    "seconds": 1,
    "names": ["x" * 255] * 2,
    "hour": RESERVATION_ID,
    "day": RESERVATION_ID,
    "queue": Queue.PAYMENT,
    "former": "𝒳" * 320,
}


ALL = constants()
every_statement = pytest.mark.parametrize("name", sorted(ALL))


def a_value(column: Column[Any]) -> Any:
    """The longest value that the column takes."""
    kind = column.type
    if isinstance(kind, Uuid):
        return RESERVATION_ID
    if isinstance(kind, BINARY):
        return bytes(range(32))
    if isinstance(kind, Utc):
        return NOON
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Date):
        return date(2026, 5, 1)
    if isinstance(kind, Integer):
        return 2**31 - 1
    if isinstance(kind, TEXT):
        return ANSWER
    assert isinstance(kind, String)
    return ("x" if getattr(kind, "charset", None) == "ascii" else "𝒳") * (kind.length or 0)


def filled(statement: Statement) -> Query:
    """The statement with the longest values that the columns take, those of its table first."""
    table = TABLE.search(statement.sql)
    own = [METADATA.tables[table[1]]] if table else []
    columns = [column for each in [*METADATA.sorted_tables, *own] for column in each.columns]
    values = {column.name: a_value(column) for column in columns} | VALUES
    if own == [OUTBOX]:
        values |= {"ids": [2**63 - 1] * BATCH}
    return statement(**{name: values[name] for name in VALUE.findall(statement.sql)})


@every_statement
def test_both_engines_know_the_tables_and_columns_of_each_statement(
    database: Database, name: str
) -> None:
    statement = ALL[name]
    if not statement.sql.lstrip(" \n(").startswith(EXPLAINED):
        assert statement.sql in {"COMMIT", "ROLLBACK"}
        return

    assert explained(database, filled(statement))


@every_statement
def test_no_statement_pins_a_connection_of_the_proxy(name: str) -> None:
    text = filled(ALL[name]).quoted(quoted_at_most)

    assert not PINNING.search(ALL[name].sql)
    assert len(text.encode()) < LONGEST


def quoted_at_most(value: Any) -> str:
    """Quote no shorter than the driver."""
    if isinstance(value, list):
        return f"({','.join(quoted_at_most(each) for each in value)})"
    return f"X'{value.hex}'" if isinstance(value, UUID) else f"'{value}'"


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("reservation", statements._RESERVATION),
        ("customer", statements._CUSTOMER),
        ("provider_call", statements._CALL),
        ("contradiction", statements._CONTRADICTION),
        ("document", statements._DOCUMENT),
        ("mail_send", statements._SEND),
    ],
)
def test_a_row_that_is_read_and_written_whole_has_all_declared_columns(
    table: str, columns: Collection[str]
) -> None:
    declared = METADATA.tables[table].columns

    assert len(columns) == len(set(columns))
    assert set(columns) == {column.name for column in declared if not made_by_server(column)}


def made_by_server(column: Column[Any]) -> bool:
    """True for a numbered key and for a computed column."""
    return column.computed is not None or (column.primary_key and column.autoincrement is True)


@pytest.mark.parametrize("name", [name for name in sorted(ALL) if INSERTED.match(ALL[name].sql)])
def test_an_insert_leaves_out_no_column_without_a_default(name: str) -> None:
    match = INSERTED.match(ALL[name].sql)
    assert match is not None
    given = {column.strip() for column in match[2].split(",")}

    required = {
        column.name
        for column in METADATA.tables[match[1]].columns
        if not (column.nullable or column.server_default or made_by_server(column))
    }
    assert required <= given


def test_statements_are_made_when_their_module_is_loaded_and_never_later() -> None:
    """The text that the server gets as several statements holds no text from outside."""
    trees = {
        path: ast.parse(path.read_text())
        for root in ("layers/core/reservations", "functions", "ops")
        for path in sorted((Path(__file__).parents[2] / root).rglob("*.py"))
    }
    makers = {"Statement"}
    functions = [(path, node) for path, tree in trees.items() for node in top_functions(tree)]
    while new := {node.name for _, node in functions if called(node) & makers} - makers:
        makers |= new
    assert all(maker == "Statement" or maker.startswith("_") for maker in makers)

    late = [
        f"{path.name}: {method.name}"
        for path, tree in trees.items()
        for method in inner_functions(tree)
        if called(method) & makers
    ]
    assert late == []


def top_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def inner_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """The methods of classes, which run when work is done."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return [
        node for each in classes for node in ast.walk(each) if isinstance(node, ast.FunctionDef)
    ]


def called(node: ast.AST) -> set[str]:
    calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    names = {each.id for each in calls if isinstance(each, ast.Name)}
    return names | {each.attr for each in calls if isinstance(each, ast.Attribute)}
