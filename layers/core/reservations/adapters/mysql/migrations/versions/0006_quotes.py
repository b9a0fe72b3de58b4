"""Add the facts about prices: a signed offer, and a booking request that carries the price.

Only additions, so that the release before runs on. Neither engine rolls back DDL, so a failed
migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = (("reservation", "quoted"), ("provider_call", "priced"))


def upgrade() -> None:
    for table, column in _COLUMNS:
        if not _has(table, column):
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column} BOOL NOT NULL DEFAULT 0")


def downgrade() -> None:
    for table, column in _COLUMNS:
        if _has(table, column):
            op.drop_column(table, column)


def _has(table: str, column: str) -> bool:
    found = sa.inspect(op.get_bind())
    return found.has_table(table) and column in {c["name"] for c in found.get_columns(table)}
