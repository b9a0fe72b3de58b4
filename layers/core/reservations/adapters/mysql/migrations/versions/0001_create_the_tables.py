"""Create the tables.

Neither engine rolls back a CREATE or DROP TABLE. Both directions can run again after a failure.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin"
_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_OPTIONS = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

# In the order of their references.
_TABLES = {
    "idempotency": f"""
        client_id VARCHAR(64) {_ASCII} NOT NULL,
        operation VARCHAR(64) {_ASCII} NOT NULL,
        idempotency_key VARCHAR(255) {_ASCII} NOT NULL,
        fingerprint CHAR(64) {_ASCII} NOT NULL,
        response TEXT,
        expires_at DATETIME(6) NOT NULL,
        PRIMARY KEY (client_id, operation, idempotency_key),
        INDEX ix_idempotency_expires_at (expires_at)
    """,
    "outbox": f"""
        id BIGINT NOT NULL AUTO_INCREMENT,
        message_id BINARY(16) NOT NULL,
        queue VARCHAR(16) {_ASCII} NOT NULL,
        status VARCHAR(16) {_ASCII} NOT NULL,
        available_at DATETIME(6) NOT NULL,
        lease_token BINARY(16),
        refusals INT NOT NULL,
        reservation_id BINARY(16) NOT NULL,
        type VARCHAR(64) {_ASCII} NOT NULL,
        occurred_at DATETIME(6) NOT NULL,
        traceparent VARCHAR(64) {_ASCII},
        PRIMARY KEY (id),
        CONSTRAINT ck_outbox_status CHECK (status IN ('dead', 'pending', 'published')),
        CONSTRAINT ck_outbox_queue CHECK (queue IN ('notification', 'payment',
            'supplier', 'voucher')),
        CONSTRAINT ck_outbox_lease CHECK (lease_token IS NULL OR status = 'pending'),
        CONSTRAINT ck_outbox_refusals CHECK (refusals >= 0),
        INDEX ix_outbox_claim (status, available_at, id)
    """,
    "reservation": f"""
        id BINARY(16) NOT NULL,
        code CHAR(11) {_ASCII} NOT NULL,
        client_id VARCHAR(64) {_ASCII} NOT NULL,
        token_kid VARCHAR(64) {_ASCII} NOT NULL,
        offer_id VARCHAR(128) {_TEXT} NOT NULL,
        description VARCHAR(500) {_TEXT} NOT NULL,
        starts_on DATE NOT NULL,
        ends_on DATE NOT NULL,
        guests INT NOT NULL,
        price_minor BIGINT NOT NULL,
        currency CHAR(3) {_ASCII} NOT NULL,
        reason VARCHAR(32) {_ASCII},
        accepted_minor BIGINT,
        state VARCHAR(32) {_ASCII} NOT NULL,
        settled BOOL NOT NULL,
        review VARCHAR(255) {_ASCII} NOT NULL,
        confirmed_at DATETIME(6),
        ended_at DATETIME(6),
        next_check_at DATETIME(6),
        lease_token BINARY(16),
        version INT NOT NULL,
        created_at DATETIME(6) NOT NULL,
        updated_at DATETIME(6) NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_reservation_code UNIQUE (code),
        CONSTRAINT ck_reservation_state CHECK (state IN ('CANCELLATION_IN_PROGRESS',
            'CANCELLED', 'CREATED', 'EXPIRED', 'PAID', 'PAYMENT_FAILED',
            'PAYMENT_IN_PROGRESS', 'REFUNDED', 'REFUND_IN_PROGRESS',
            'SUPPLIER_CONFIRMED')),
        CONSTRAINT ck_reservation_reason CHECK (reason IS NULL OR reason IN
            ('customer_cancelled', 'expired', 'payment_declined', 'supplier_cancelled',
            'supplier_rejected')),
        CONSTRAINT ck_reservation_live CHECK ((reason IS NULL) = (state IN ('CREATED',
            'PAID', 'PAYMENT_IN_PROGRESS', 'SUPPLIER_CONFIRMED'))),
        CONSTRAINT ck_reservation_settled CHECK (settled = (next_check_at IS NULL)),
        CONSTRAINT ck_reservation_confirmed CHECK (state <> 'SUPPLIER_CONFIRMED' OR
            confirmed_at IS NOT NULL),
        CONSTRAINT ck_reservation_ended CHECK (ended_at IS NULL OR reason IS NOT NULL),
        CONSTRAINT ck_reservation_offer CHECK (starts_on <= ends_on AND guests > 0),
        CONSTRAINT ck_reservation_price CHECK (price_minor > 0),
        CONSTRAINT ck_reservation_version CHECK (version > 0),
        INDEX ix_reservation_next_check_at (next_check_at, id)
    """,
    "webhook": f"""
        provider VARCHAR(32) {_ASCII} NOT NULL,
        webhook_id VARCHAR(255) {_TEXT} NOT NULL,
        type VARCHAR(64) {_TEXT} NOT NULL,
        reference VARCHAR(255) {_TEXT} NOT NULL,
        received_at DATETIME(6) NOT NULL,
        PRIMARY KEY (provider, webhook_id),
        INDEX ix_webhook_received_at (received_at)
    """,
    "customer": f"""
        reservation_id BINARY(16) NOT NULL,
        full_name VARCHAR(200) {_TEXT} NOT NULL,
        email VARCHAR(320) {_TEXT} NOT NULL,
        phone VARCHAR(32) {_TEXT},
        payment_token VARCHAR(255) {_TEXT},
        language CHAR(2) {_ASCII} NOT NULL,
        PRIMARY KEY (reservation_id),
        CONSTRAINT ck_customer_language CHECK (language IN ('en', 'es')),
        FOREIGN KEY(reservation_id) REFERENCES reservation (id)
    """,
    "document": f"""
        id BIGINT NOT NULL AUTO_INCREMENT,
        reservation_id BINARY(16) NOT NULL,
        type VARCHAR(16) {_ASCII} NOT NULL,
        s3_key VARCHAR(255) {_ASCII} NOT NULL,
        sha256 CHAR(64) {_ASCII} NOT NULL,
        issued_at DATETIME(6) NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_document_type UNIQUE (reservation_id, type),
        CONSTRAINT ck_document_type CHECK (type IN ('voucher')),
        FOREIGN KEY(reservation_id) REFERENCES reservation (id)
    """,
    "history": f"""
        id BIGINT NOT NULL AUTO_INCREMENT,
        reservation_id BINARY(16) NOT NULL,
        event VARCHAR(64) {_ASCII} NOT NULL,
        at DATETIME(6) NOT NULL,
        actor VARCHAR(128) {_TEXT} NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(reservation_id) REFERENCES reservation (id),
        INDEX ix_history_reservation (reservation_id, id)
    """,
    "mail_send": f"""
        id BIGINT NOT NULL AUTO_INCREMENT,
        reservation_id BINARY(16) NOT NULL,
        kind VARCHAR(16) {_ASCII} NOT NULL,
        status VARCHAR(16) {_ASCII} NOT NULL,
        attempts INT NOT NULL,
        sent_at DATETIME(6) NOT NULL,
        check_at DATETIME(6),
        ses_id VARCHAR(128) {_ASCII},
        PRIMARY KEY (id),
        CONSTRAINT uq_mail_send_kind UNIQUE (reservation_id, kind),
        CONSTRAINT ck_mail_send_kind CHECK (kind IN ('cancelled', 'confirmed',
            'expired', 'refunded', 'rejected')),
        CONSTRAINT ck_mail_send_status CHECK (status IN ('not_sent', 'refused', 'sent',
            'started', 'unknown')),
        CONSTRAINT ck_mail_send_attempts CHECK (attempts >= 0),
        FOREIGN KEY(reservation_id) REFERENCES reservation (id)
    """,
    "provider_call": f"""
        id BIGINT NOT NULL AUTO_INCREMENT,
        reservation_id BINARY(16) NOT NULL,
        call_key VARCHAR(300) {_TEXT} NOT NULL,
        operation VARCHAR(16) {_ASCII} NOT NULL,
        target VARCHAR(255) {_TEXT},
        status VARCHAR(16) {_ASCII} NOT NULL,
        provider_id VARCHAR(255) {_TEXT},
        locator VARCHAR(255) {_TEXT},
        money_minor BIGINT,
        currency CHAR(3) {_ASCII},
        attempts INT NOT NULL,
        looks INT NOT NULL,
        started_at DATETIME(6) NOT NULL,
        sent_at DATETIME(6) NOT NULL,
        closed_at DATETIME(6),
        quiet_from DATETIME(6),
        missing_since DATETIME(6),
        void_asked BOOL NOT NULL,
        check_at DATETIME(6),
        deadline_at DATETIME(6) NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT uq_provider_call_key UNIQUE (reservation_id, call_key),
        CONSTRAINT uq_provider_call_provider_id UNIQUE (reservation_id, operation,
            provider_id),
        CONSTRAINT ck_provider_call_operation CHECK (operation IN ('book',
            'cancel_booking', 'charge', 'refund')),
        CONSTRAINT ck_provider_call_status CHECK (status IN ('cancelled', 'declined',
            'not_found', 'pending', 'started', 'succeeded', 'unknown', 'voided')),
        CONSTRAINT ck_provider_call_closed CHECK ((closed_at IS NULL) = (status IN
            ('pending', 'started', 'unknown'))),
        CONSTRAINT ck_provider_call_provider_id CHECK (provider_id IS NOT NULL OR status
            IN ('not_found', 'started', 'unknown') OR operation = 'cancel_booking'),
        CONSTRAINT ck_provider_call_money CHECK ((money_minor IS NULL) = (currency IS
            NULL)),
        CONSTRAINT ck_provider_call_counts CHECK (attempts >= 0 AND looks >= 0),
        FOREIGN KEY(reservation_id) REFERENCES reservation (id)
    """,
    "provider_attempt": f"""
        id BIGINT NOT NULL AUTO_INCREMENT,
        call_id BIGINT NOT NULL,
        verb VARCHAR(16) {_ASCII} NOT NULL,
        sent_at DATETIME(6) NOT NULL,
        outcome VARCHAR(32) {_ASCII} NOT NULL,
        http_status INT,
        elapsed_ms INT NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT ck_provider_attempt_verb CHECK (verb IN ('book', 'cancel_booking',
            'charge', 'inquire', 'refund', 'void')),
        FOREIGN KEY(call_id) REFERENCES provider_call (id),
        INDEX ix_provider_attempt_call (call_id, id)
    """,
}


def upgrade() -> None:
    for name, columns in _TABLES.items():
        op.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) {_OPTIONS}")


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE IF EXISTS {name}")
