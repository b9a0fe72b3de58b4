"""Add the notice to a former address, and the provider's word for a refused request.

Only columns that may be empty and one word more, so that the release before runs on. It leaves the
mail of that word alone. Neither engine rolls back DDL, so a failed migration runs again from its
beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_CHECK = "ck_mail_send_kind"
_ADDED = "address_changed"
_BEFORE = (
    "cancelled",
    "confirmed",
    "expired",
    "in_progress",
    "link",
    "refund_failed",
    "refunded",
    "rejected",
    "under_review",
    "voucher",
)
_COLUMNS = (
    (
        "customer",
        "former_email",
        "former_email VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    ),
    ("provider_attempt", "code", "code VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin"),
)


def upgrade() -> None:
    for table, column, declared in _COLUMNS:
        if not _has(table, column):
            op.execute(f"ALTER TABLE {table} ADD COLUMN {declared}")
    _allow((_ADDED, *_BEFORE))


def downgrade() -> None:
    op.execute(f"DELETE FROM mail_send WHERE kind = '{_ADDED}'")
    _allow(_BEFORE)
    for table, column, _ in _COLUMNS:
        if _has(table, column):
            op.drop_column(table, column)


def _has(table: str, column: str) -> bool:
    found = sa.inspect(op.get_bind())
    return found.has_table(table) and column in {each["name"] for each in found.get_columns(table)}


def _allow(words: tuple[str, ...]) -> None:
    checks = sa.inspect(op.get_bind()).get_check_constraints("mail_send")
    if _CHECK in {found["name"] for found in checks}:
        op.execute(f"ALTER TABLE mail_send DROP CONSTRAINT {_CHECK}")
    listed = ", ".join(f"'{word}'" for word in words)
    op.execute(f"ALTER TABLE mail_send ADD CONSTRAINT {_CHECK} CHECK (kind IN ({listed}))")
