"""Add the version of an access token, so that it can be revoked for one reservation.

Version 0 is the token that every reservation has. Only an addition, so that the release before runs
on. Neither engine rolls back DDL, so a failed migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if not _exists():
        op.execute("ALTER TABLE reservation ADD COLUMN token_version INTEGER NOT NULL DEFAULT 0")


def downgrade() -> None:
    if _exists():
        op.drop_column("reservation", "token_version")


def _exists() -> bool:
    found = sa.inspect(op.get_bind())
    columns = found.get_columns("reservation") if found.has_table("reservation") else []
    return "token_version" in {column["name"] for column in columns}
