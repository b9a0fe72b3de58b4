"""Add the claims of charges, the count of mails about what was never paid, and the mail status `held`.

Only additions, so that the release before runs on. Neither engine rolls back DDL, so a failed
migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_OPTIONS = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

_CLAIMS = f"""
    CREATE TABLE IF NOT EXISTS charge_claim (
        client_id VARCHAR(64) {_ASCII} NOT NULL,
        digest BINARY(32) NOT NULL,
        reservation_id BINARY(16) NOT NULL,
        claimed_at DATETIME(6) NOT NULL,
        PRIMARY KEY (client_id, digest),
        KEY ix_charge_claim_reservation (reservation_id),
        KEY ix_charge_claim_claimed_at (claimed_at),
        FOREIGN KEY (reservation_id) REFERENCES reservation (id)
    ) {_OPTIONS}
"""
_MAILS = f"""
    CREATE TABLE IF NOT EXISTS unpaid_mail (
        digest BINARY(32) NOT NULL,
        slot INT NOT NULL,
        sent_at DATETIME(6) NOT NULL,
        PRIMARY KEY (digest, slot),
        KEY ix_unpaid_mail_sent_at (sent_at)
    ) {_OPTIONS}
"""
_BEFORE, _ADDED = ("not_sent", "refused", "sent", "started", "unknown"), ("held",)
_TABLE, _CHECK = "mail_send", "ck_mail_send_status"


def upgrade() -> None:
    op.execute(_CLAIMS)
    op.execute(_MAILS)
    _allow(_BEFORE + _ADDED)


def downgrade() -> None:
    op.execute(f"DELETE FROM {_TABLE} WHERE status IN ({_listed(_ADDED)})")
    _allow(_BEFORE)
    op.execute("DROP TABLE IF EXISTS unpaid_mail")
    op.execute("DROP TABLE IF EXISTS charge_claim")


def _allow(words: tuple[str, ...]) -> None:
    checks = sa.inspect(op.get_bind()).get_check_constraints(_TABLE)
    if _CHECK in {found["name"] for found in checks}:
        op.execute(f"ALTER TABLE {_TABLE} DROP CONSTRAINT {_CHECK}")
    op.execute(f"ALTER TABLE {_TABLE} ADD CONSTRAINT {_CHECK} CHECK (status IN ({_listed(words)}))")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))
