"""Add the contradictions, the far looks, and the words of both in stored columns.

Only additions, so that the release before runs on. Neither engine rolls back DDL, so a failed
migration runs again from its beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_OPTIONS = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

_CONTRADICTION = f"""
    CREATE TABLE IF NOT EXISTS contradiction (
        id BIGINT NOT NULL AUTO_INCREMENT,
        reservation_id BINARY(16) NOT NULL,
        kind VARCHAR(32) {_ASCII} NOT NULL,
        subject VARCHAR(255) {_TEXT} NOT NULL,
        number INT NOT NULL,
        seen VARCHAR(255) {_TEXT} NOT NULL,
        payment VARCHAR(255) {_TEXT},
        money_minor BIGINT,
        currency CHAR(3) {_ASCII},
        looks INT NOT NULL,
        first_at DATETIME(6) NOT NULL,
        last_at DATETIME(6) NOT NULL,
        check_at DATETIME(6),
        opened_at DATETIME(6),
        over_at DATETIME(6),
        closed_at DATETIME(6),
        sticky BOOL NOT NULL,
        decision VARCHAR(16) {_ASCII},
        evidence VARCHAR(128) {_ASCII},
        PRIMARY KEY (id),
        CONSTRAINT uq_contradiction_matter UNIQUE (reservation_id, kind, subject, number),
        CONSTRAINT ck_contradiction_kind CHECK (kind IN ('booking_absent', 'booking_alive',
            'booking_changed', 'dispute', 'foreign_refund', 'other_sum', 'payment_absent',
            'payment_changed', 'refund_failed')),
        CONSTRAINT ck_contradiction_decision CHECK (decision IS NULL OR decision IN ('booked',
            'cancelled', 'gone', 'honoured', 'not_booked', 'not_charged', 'paid', 'rebooked',
            'refund_again', 'refunded', 'returned', 'stands')),
        CONSTRAINT ck_contradiction_money CHECK ((money_minor IS NULL) = (currency IS NULL)),
        CONSTRAINT ck_contradiction_counts CHECK (looks >= 0 AND number > 0),
        FOREIGN KEY (reservation_id) REFERENCES reservation (id)
    ) {_OPTIONS}
"""
_COLUMNS = (
    ("reservation", "next_look_at", "DATETIME(6)"),
    ("reservation", "contradictions", "INT NOT NULL DEFAULT 0"),
    ("provider_call", "doubted", "BOOL NOT NULL DEFAULT 0"),
    ("provider_call", "refunded_minor", "BIGINT"),
    ("provider_call", "refunds_at", "DATETIME(6)"),
)
_INDEXED, _INDEX = "reservation", "ix_reservation_next_look_at"
# table, check, column, the words before, the words added
_WORDS = (
    (
        "outbox",
        "ck_outbox_queue",
        "queue",
        ("notification", "payment", "supplier", "voucher"),
        ("payment_look", "supplier_look"),
    ),
    (
        "mail_send",
        "ck_mail_send_kind",
        "kind",
        ("cancelled", "confirmed", "expired", "refunded", "rejected"),
        ("refund_failed",),
    ),
)


def upgrade() -> None:
    op.execute(_CONTRADICTION)
    for table, column, definition in _COLUMNS:
        if not _has(table, column):
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
    if not _is_indexed():
        op.create_index(_INDEX, _INDEXED, ["next_look_at", "id"])
    for table, check, column, before, added in _WORDS:
        _allow(table, check, column, before + added)


def downgrade() -> None:
    for table, check, column, before, added in _WORDS:
        op.execute(f"DELETE FROM {table} WHERE {column} IN ({_listed(added)})")
        _allow(table, check, column, before)
    if _is_indexed():
        op.drop_index(_INDEX, table_name=_INDEXED)
    for table, column, _ in _COLUMNS:
        if _has(table, column):
            op.drop_column(table, column)
    op.execute("DROP TABLE IF EXISTS contradiction")


def _allow(table: str, check: str, column: str, words: tuple[str, ...]) -> None:
    if check in {found["name"] for found in sa.inspect(op.get_bind()).get_check_constraints(table)}:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {check}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({column} IN ({_listed(words)}))")


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


def _has(table: str, column: str) -> bool:
    found = sa.inspect(op.get_bind())
    return found.has_table(table) and column in {c["name"] for c in found.get_columns(table)}


def _is_indexed() -> bool:
    found = sa.inspect(op.get_bind())
    if not found.has_table(_INDEXED):
        return False
    return _INDEX in {index["name"] for index in found.get_indexes(_INDEXED)}
