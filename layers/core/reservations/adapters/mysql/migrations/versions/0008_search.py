"""Add the columns and indexes by which an operator finds a reservation.

Only additions, so that the release before runs on: the server computes the column. Neither engine
rolls back DDL, so a failed migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ADDRESS = """
    ALTER TABLE customer ADD COLUMN address VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
    GENERATED ALWAYS AS (LOWER(email)) VIRTUAL
"""
_INDEXES = (
    ("customer", "ix_customer_address", "address"),
    ("provider_call", "ix_provider_call_locator", "locator"),
)


def upgrade() -> None:
    if "address" not in {column["name"] for column in _found().get_columns("customer")}:
        op.execute(_ADDRESS)
    for table, index, column in _INDEXES:
        if not _has(table, index):
            op.execute(f"CREATE INDEX {index} ON {table} ({column})")


def downgrade() -> None:
    for table, index, _ in _INDEXES:
        if _found().has_table(table) and _has(table, index):
            op.drop_index(index, table)
    if _found().has_table("customer") and "address" in {
        column["name"] for column in _found().get_columns("customer")
    }:
        op.drop_column("customer", "address")


def _found() -> sa.Inspector:
    return sa.inspect(op.get_bind())


def _has(table: str, index: str) -> bool:
    return index in {found["name"] for found in _found().get_indexes(table)}
