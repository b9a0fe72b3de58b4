"""Add the operators' evidence, the removal time of documents, and an index for shared provider ids.

Each change is made only where it is missing. Neither engine rolls back an ALTER TABLE, so a failed
migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("history", "note", "VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin"),
    ("document", "removed_at", "DATETIME(6)"),
)
_INDEXED, _INDEX = "provider_call", "ix_provider_call_shared"


def upgrade() -> None:
    for table, column, definition in _COLUMNS:
        if not _has(table, column):
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
    if not _is_indexed():
        op.create_index(_INDEX, _INDEXED, ["operation", "provider_id"])


def downgrade() -> None:
    if _is_indexed():
        op.drop_index(_INDEX, table_name=_INDEXED)
    for table, column, _ in _COLUMNS:
        if _has(table, column):
            op.drop_column(table, column)


def _has(table: str, column: str) -> bool:
    found = sa.inspect(op.get_bind())
    return found.has_table(table) and column in {c["name"] for c in found.get_columns(table)}


def _is_indexed() -> bool:
    found = sa.inspect(op.get_bind())
    if not found.has_table(_INDEXED):
        return False
    return _INDEX in {index["name"] for index in found.get_indexes(_INDEXED)}
