"""Add the indexes of lists and waits, the checkpoints of scheduled jobs, and their findings.

Only additions, so that the release before runs on. Neither engine rolls back DDL, so a failed
migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_OPTIONS = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

_CHECKPOINT = f"""
    CREATE TABLE IF NOT EXISTS checkpoint (
        job VARCHAR(32) {_ASCII} NOT NULL,
        reservation_id BINARY(16),
        history_id BIGINT,
        began_at DATETIME(6) NOT NULL,
        whole_at DATETIME(6),
        PRIMARY KEY (job)
    ) {_OPTIONS}
"""
_FINDING = f"""
    CREATE TABLE IF NOT EXISTS finding (
        reservation_id BINARY(16) NOT NULL,
        invariant VARCHAR(32) {_ASCII} NOT NULL,
        found_at DATETIME(6) NOT NULL,
        PRIMARY KEY (reservation_id, invariant)
    ) {_OPTIONS}
"""
_INDEXES = (
    ("reservation", "ix_reservation_state", ("state", "updated_at", "id")),
    ("reservation", "ix_reservation_review", ("review", "id")),
    ("provider_call", "ix_provider_call_closed_at", ("closed_at", "reservation_id")),
    ("contradiction", "ix_contradiction_closed_at", ("closed_at", "opened_at")),
)


def upgrade() -> None:
    op.execute(_CHECKPOINT)
    op.execute(_FINDING)
    for table, index, columns in _INDEXES:
        if not _has(table, index):
            op.create_index(index, table, columns)


def downgrade() -> None:
    for table, index, _ in _INDEXES:
        if _has(table, index):
            op.drop_index(index, table)
    op.execute("DROP TABLE IF EXISTS finding")
    op.execute("DROP TABLE IF EXISTS checkpoint")


def _has(table: str, index: str) -> bool:
    found = sa.inspect(op.get_bind())
    return found.has_table(table) and index in {each["name"] for each in found.get_indexes(table)}
