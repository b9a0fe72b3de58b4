"""Add the mails on the way: it takes longer, a person looks into it, and the link that was asked for.

Only words more, so that the release before runs on. Neither engine rolls back DDL, so a failed
migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_CHECK = "ck_mail_send_kind"
_BEFORE = ("cancelled", "confirmed", "expired", "refund_failed", "refunded", "rejected", "voucher")
_ADDED = ("in_progress", "link", "under_review")


def upgrade() -> None:
    _allow(_BEFORE + _ADDED)


def downgrade() -> None:
    op.execute(f"DELETE FROM mail_send WHERE kind IN ({_listed(_ADDED)})")
    _allow(_BEFORE)


def _allow(words: tuple[str, ...]) -> None:
    checks = sa.inspect(op.get_bind()).get_check_constraints("mail_send")
    if _CHECK in {found["name"] for found in checks}:
        op.execute(f"ALTER TABLE mail_send DROP CONSTRAINT {_CHECK}")
    op.execute(f"ALTER TABLE mail_send ADD CONSTRAINT {_CHECK} CHECK (kind IN ({_listed(words)}))")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))
