"""The SQL of the door, the steps and the poller: constants, checked against the tables by tests.

An UPDATE under a condition is followed by a check in the same flight: it answers two rows where one
may stand, which is an error, unless the row is as it was meant to be. COMMIT is never reached then.
No ROW_COUNT() and no variables, as either would pin a connection of RDS Proxy
(docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-pinning.html).
"""

from collections.abc import Sequence
from typing import Final

from reservations.adapters.mysql.engine import Statement
from reservations.domain.errors import DuplicateCodeError
from reservations.domain.messages import Queue

Columns = Sequence[str]


def _named(columns: str) -> Columns:
    return tuple(columns.split())


class KeyTakenError(Exception):
    """Another request has the idempotency key."""


_FIXED: Final = _named(
    "id code client_id quoted offer_id description starts_on ends_on guests price_minor currency "
    "created_at"
)
_CHANGING: Final = _named(
    "token_kid token_version reason accepted_minor settled review confirmed_at ended_at "
    "next_check_at next_look_at contradictions lease_token version updated_at"
)
_RESERVATION: Final = (*_FIXED, *_CHANGING, "state")
_CUSTOMER: Final = _named(
    "reservation_id full_name email phone payment_token language former_email"
)
_CALL_CHANGING: Final = _named(
    "status provider_id locator money_minor currency attempts looks sent_at closed_at "
    "quiet_from missing_since void_asked check_at deadline_at doubted refunded_minor "
    "refunds_at"
)
_CALL: Final = (
    *_named("reservation_id call_key operation target priced started_at"),
    *_CALL_CHANGING,
)
_CONTRADICTION_KEY: Final = _named("reservation_id kind subject number")
_CONTRADICTION_CHANGING: Final = _named(
    "seen payment money_minor currency looks first_at last_at check_at opened_at over_at "
    "closed_at sticky decision evidence"
)
_CONTRADICTION: Final = (*_CONTRADICTION_KEY, *_CONTRADICTION_CHANGING)
_DOCUMENT_KEY: Final = ("reservation_id", "type")
_DOCUMENT_CHANGING: Final = ("s3_key", "sha256", "issued_at", "removed_at")
_DOCUMENT: Final = (*_DOCUMENT_KEY, *_DOCUMENT_CHANGING)
_SEND_KEY: Final = ("reservation_id", "kind")
_SEND_CHANGING: Final = ("status", "attempts", "sent_at", "check_at", "ses_id")
_SEND: Final = (*_SEND_KEY, *_SEND_CHANGING)
_HINT: Final = _named("message_id queue reservation_id type occurred_at traceparent")


def _listed(columns: Columns) -> str:
    return ", ".join(columns)


def _select(table: str, columns: Columns, rest: str) -> Statement:
    return Statement(f"SELECT {_listed(columns)} FROM {table} WHERE {rest}")


def _insert(table: str, columns: Columns, **computed: str) -> str:
    values = [*(f"%({column})s" for column in columns), *computed.values()]
    return f"INSERT INTO {table} ({_listed([*columns, *computed])}) VALUES ({_listed(values)})"


def _set(columns: Columns) -> str:
    return _listed([f"{column} = %({column})s" for column in columns])


def _same(columns: Columns) -> str:
    return " AND ".join(f"{column} = %({column})s" for column in columns)


def _is_written(table: str, key: Columns, columns: Columns, *, promise: str) -> Statement:
    """A check that one row with this key has all these values."""
    written = " AND ".join(f"{column} <=> %({column})s" for column in columns)
    return Statement(
        f"SELECT IF((SELECT COUNT(*) FROM {table} WHERE {_same(key)} AND {written}) = 1,"
        " 1, (SELECT 1 UNION ALL SELECT 2))",
        promise=promise,
    )


# --- a reservation

_OF_ONE: Final = "reservation_id = %(id)s ORDER BY id"
_OF_MANY: Final = "reservation_id IN %(ids)s ORDER BY id"
_OF_CODE: Final = "reservation_id = (SELECT id FROM reservation WHERE code = %(code)s) ORDER BY id"

LOCK: Final = _select("reservation", _RESERVATION, "id = %(id)s FOR UPDATE")
HELD: Final = _select("reservation", _RESERVATION, "id = %(id)s LOCK IN SHARE MODE")
SOME: Final = _select("reservation", _RESERVATION, "id IN %(ids)s ORDER BY id")
BY_CODE: Final = _select("reservation", _RESERVATION, "code = %(code)s")
# While nothing changes, a reader's poll reads no more than this.
GLANCE: Final = Statement(
    "SELECT id, client_id, token_kid, token_version, starts_on, created_at, state, review,"
    " next_check_at, version, updated_at,"
    " EXISTS (SELECT 1 FROM mail_send WHERE reservation_id = reservation.id"
    " AND (status <> 'sent' OR check_at IS NOT NULL)) AS mailing,"
    " contradictions = 0 AND NOT EXISTS (SELECT 1 FROM provider_call"
    " WHERE reservation_id = reservation.id AND status <> 'succeeded')"
    " AND EXISTS (SELECT 1 FROM mail_send JOIN document USING (reservation_id)"
    " WHERE reservation_id = reservation.id AND kind = 'confirmed' AND type = 'voucher'"
    " AND issued_at <= mail_send.sent_at) AS served"
    " FROM reservation WHERE code = %(code)s"
)
CUSTOMER: Final = _select("customer", _CUSTOMER, "reservation_id = %(id)s")
EXISTS: Final = _select("reservation", ("id",), "id = %(id)s")

CHILDREN: Final = ("provider_call", "contradiction", "document", "mail_send")
_COLUMNS: Final = (_CALL, _CONTRADICTION, _DOCUMENT, _SEND)


def _children(whose: str) -> tuple[Statement, ...]:
    """Ledger, contradictions, documents and mails, each in the order of the rows."""
    return tuple(
        _select(table, columns, whose) for table, columns in zip(CHILDREN, _COLUMNS, strict=True)
    )


CHILDREN_OF_ONE: Final = _children(_OF_ONE)
CHILDREN_OF_MANY: Final = _children(_OF_MANY)
CHILDREN_OF_CODE: Final = _children(_OF_CODE)

ADD: Final = Statement(
    _insert("reservation", _RESERVATION), duplicate=lambda: DuplicateCodeError("the code is taken")
)
ADD_CUSTOMER: Final = Statement(_insert("customer", _CUSTOMER))
ADD_CALL: Final = Statement(_insert("provider_call", _CALL))
ADD_CONTRADICTION: Final = Statement(_insert("contradiction", _CONTRADICTION))
ADD_DOCUMENT: Final = Statement(_insert("document", _DOCUMENT))
ADD_SEND: Final = Statement(_insert("mail_send", _SEND))
ADD_HISTORY: Final = Statement(_insert("history", _named("reservation_id event at actor note")))
ADD_ATTEMPT: Final = Statement(
    _insert(
        "provider_attempt",
        _named("verb sent_at outcome http_status elapsed_ms code"),
        call_id="(SELECT id FROM provider_call WHERE reservation_id = %(id)s AND call_key = %(key)s)",
    ),
    promise="an attempt belongs to a call",
)

# A frozen reservation keeps its state: `state` is null then.
CHANGE: Final = Statement(
    f"UPDATE reservation SET state = COALESCE(%(state)s, state), {_set(_CHANGING)}"
    " WHERE id = %(id)s AND version = %(before)s"
    " AND (reason IS NULL OR reason = %(reason)s)"
    " AND (confirmed_at IS NULL OR confirmed_at = %(confirmed_at)s)"
    " AND (ended_at IS NULL OR ended_at = %(ended_at)s)"
)
CHANGED: Final = _is_written(
    "reservation", ("id",), _CHANGING, promise="the reason or a timestamp is set once"
)
# Knowledge only grows. Only a call that was not found goes back to the start: our own retry.
CHANGE_CALL: Final = Statement(
    f"UPDATE provider_call SET {_set(_CALL_CHANGING)}"
    " WHERE reservation_id = %(reservation_id)s AND call_key = %(call_key)s"
    " AND (status IN %(lower)s"
    "      OR %(again)s AND status = 'not_found' AND attempts < %(attempts)s)"
    " AND (provider_id IS NULL OR provider_id = %(provider_id)s) AND attempts <= %(attempts)s"
)
CALL_CHANGED: Final = _is_written(
    "provider_call",
    ("reservation_id", "call_key"),
    _CALL_CHANGING,
    promise="a call's status only grows, and its provider's id never changes",
)
CHANGE_CONTRADICTION: Final = Statement(
    f"UPDATE contradiction SET {_set(_CONTRADICTION_CHANGING)} WHERE {_same(_CONTRADICTION_KEY)}"
    " AND (opened_at IS NULL OR opened_at = %(opened_at)s)"
    " AND (decision IS NULL OR decision = %(decision)s)"
)
CONTRADICTION_CHANGED: Final = _is_written(
    "contradiction",
    _CONTRADICTION_KEY,
    _CONTRADICTION_CHANGING,
    promise="an opening and a decision happen once",
)
CHANGE_DOCUMENT: Final = Statement(
    f"UPDATE document SET {_set(_DOCUMENT_CHANGING)} WHERE {_same(_DOCUMENT_KEY)}"
)
DOCUMENT_CHANGED: Final = _is_written(
    "document", _DOCUMENT_KEY, _DOCUMENT_CHANGING, promise="no such document"
)
CHANGE_SEND: Final = Statement(
    f"UPDATE mail_send SET {_set(_SEND_CHANGING)} WHERE {_same(_SEND_KEY)}"
    " AND (status <> 'sent' OR %(status)s = 'sent' OR %(attempts)s = 0)"
)
SEND_CHANGED: Final = _is_written(
    "mail_send", _SEND_KEY, _SEND_CHANGING, promise="a mail stays sent until it is asked for again"
)
FORGET_TOKEN: Final = Statement(
    "UPDATE customer SET payment_token = NULL WHERE reservation_id = %(id)s"
)
CHANGE_ADDRESS: Final = Statement(
    "UPDATE customer SET email = %(email)s, former_email = %(former)s WHERE reservation_id = %(id)s"
)
ERASE: Final = Statement("DELETE FROM customer WHERE reservation_id = %(id)s")
HISTORY: Final = _select("history", ("event", "at", "actor", "note"), _OF_ONE)

# --- the clock

_BEHIND: Final = (
    "{0} <= UTC_TIMESTAMP(6) AND ({0} > %(at)s OR {0} = %(at)s AND id > %(id)s) ORDER BY {0}, id"
    " LIMIT {1} FOR UPDATE SKIP LOCKED"
)
DUE: Final = _select("reservation", _RESERVATION, _BEHIND.format("next_check_at", "%(limit)s"))
LEASE: Final = Statement(
    "UPDATE reservation SET next_check_at = %(until)s, lease_token = %(token)s WHERE id IN %(ids)s"
)
# One row: a lock that is not needed would hold up a step.
DUE_LOOK: Final = _select(
    "reservation", ("next_look_at", "id"), _BEHIND.format("next_look_at", "1")
)

# --- the outbox

_IDS: Final = "id IN %(ids)s"
# Each of `tokens` is a lease that the caller holds, so a row may have any of them.
_UNDER_LEASE: Final = f"{_IDS} AND lease_token IN %(tokens)s"
_LEASE_END: Final = "UTC_TIMESTAMP(6) + INTERVAL %(microseconds)s MICROSECOND"
# A queue of another release waits for that release.
_QUEUES: Final = ", ".join(f"'{queue}'" for queue in sorted(Queue))

ADD_HINT: Final = Statement(
    _insert(
        "outbox",
        _HINT,
        status="'pending'",
        refusals="0",
        lease_token="%(token)s",  # noqa: S106 - a placeholder
        available_at=_LEASE_END,
    )
)
CLAIM_HINTS: Final = _select(
    "outbox",
    ("id", *_HINT),
    f"status = 'pending' AND available_at <= UTC_TIMESTAMP(6) AND queue IN ({_QUEUES})"
    " ORDER BY available_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED",
)
LEASE_HINTS: Final = Statement(
    f"UPDATE outbox SET lease_token = %(token)s, available_at = {_LEASE_END} WHERE {_IDS}"
)
HINTS_PUBLISHED: Final = Statement(
    f"UPDATE outbox SET status = 'published', lease_token = NULL WHERE {_UNDER_LEASE}"
)
LOCK_REFUSED: Final = _select("outbox", ("id", "refusals"), f"{_UNDER_LEASE} FOR UPDATE")
HINTS_REFUSED: Final = Statement(
    f"UPDATE outbox SET refusals = refusals + 1, lease_token = NULL WHERE {_IDS}"
)
HINTS_DEAD: Final = Statement(f"UPDATE outbox SET status = 'dead' WHERE {_IDS}")

# --- webhooks

# A row that is not new stays as it is, and counts as no change.
ADD_WEBHOOK: Final = Statement(
    _insert(
        "webhook",
        _named("provider webhook_id type reference"),
        received_at="UTC_TIMESTAMP(6)",
    )
    + " ON DUPLICATE KEY UPDATE webhook_id = webhook_id"
)

# --- claims of charges

# A row that another reservation holds stays as it is.
ADD_CLAIM: Final = Statement(
    _insert("charge_claim", _named("client_id digest reservation_id claimed_at"))
    + " ON DUPLICATE KEY UPDATE digest = digest"
)
OTHER_HOLDER: Final = Statement(
    "SELECT code FROM charge_claim JOIN reservation ON id = reservation_id"
    " WHERE charge_claim.client_id = %(client_id)s AND digest IN %(digests)s"
    " AND reservation_id <> %(reservation_id)s LIMIT 1"
)
FREE_CLAIMS: Final = Statement("DELETE FROM charge_claim WHERE reservation_id = %(id)s")

# --- mails about what was never paid

LOCK_QUOTA: Final = Statement(
    _insert("unpaid_mail", ("digest", "sent_at"), slot="0") + " ON DUPLICATE KEY UPDATE slot = slot"
)
PLACES: Final = _select("unpaid_mail", ("slot", "sent_at"), "digest = %(digest)s FOR UPDATE")
TAKE_PLACE: Final = Statement(
    _insert("unpaid_mail", _named("digest slot sent_at"))
    + " ON DUPLICATE KEY UPDATE sent_at = %(sent_at)s"
)

# --- the way back to a reservation

ADDRESS: Final = Statement(
    "SELECT id, client_id, email FROM reservation JOIN customer ON reservation_id = id"
    " WHERE code = %(code)s"
)
# An id that no reservation has changes nothing, at the same cost.
WAKE: Final = Statement(
    "UPDATE reservation SET settled = 0, next_check_at = LEAST(COALESCE(next_check_at, %(at)s), %(at)s)"
    " WHERE id = %(id)s"
)
ASK_FOR_MAIL: Final = Statement(
    f"INSERT INTO mail_send ({_listed(_SEND)})"
    f" SELECT {_listed([f'%({column})s' for column in _SEND])} FROM reservation"
    " WHERE id = %(reservation_id)s"
    f" ON DUPLICATE KEY UPDATE {_set(_SEND_CHANGING)}"
)

# --- idempotency

_KEY: Final = ("client_id", "operation", "idempotency_key")
_KEPT: Final = "UTC_TIMESTAMP(6) + INTERVAL %(kept)s MICROSECOND"
_READ_KEY: Final = (
    "SELECT idempotency_key, fingerprint, response, expires_at <= UTC_TIMESTAMP(6) AS expired"
    f" FROM idempotency WHERE {_same(_KEY)}"
)

PUT_KEY: Final = Statement(
    _insert("idempotency", (*_KEY, "fingerprint"), expires_at=_KEPT), duplicate=KeyTakenError
)
READ_KEY: Final = Statement(_READ_KEY)
LOCK_KEY: Final = Statement(f"{_READ_KEY} FOR UPDATE")
TAKE_KEY_OVER: Final = Statement(
    "UPDATE idempotency SET fingerprint = %(fingerprint)s, response = NULL,"
    f" expires_at = {_KEPT} WHERE {_same(_KEY)}"
)
COMPLETE_KEY: Final = Statement(
    f"UPDATE idempotency SET response = %(response)s WHERE {_same(_KEY)}"
)
KEY_COMPLETED: Final = _is_written(
    "idempotency", _KEY, ("response",), promise="the key's row is in this transaction"
)
