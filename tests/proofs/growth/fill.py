"""Fill a schema with the clones of a few lives: a year of reservations, and as much work in hand at every size."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pymysql.connections import Connection
from sqlalchemy import Date, Table, make_url

from reservations.adapters.mysql import schema
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.tables import METADATA, Utc
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.domain.history import ACCEPTED
from tests.proofs.growth.lives import EXPIRED, IN_HAND, YEAR, Band, lived
from tests.worlds.builders import a_creation

HAND = 1000  # reservations of each kind of work in hand
CHUNK = 20_000  # reservations filled at once
DUE = 600  # rows of each kind that retention deletes: more than a batch
LIVES = "growth_lives"

_CALLS = 16  # more than any reservation has: the ids of its calls follow from its number
_DAY_US = 86_400_000_000
_NAMES = (
    "Ana Pérez Gutiérrez",
    "王小明" * 20,
    "พระเจ้าวรวงศ์เธอ พระองค์เจ้าอาทิตย์ทิพอาภา" * 3,
    "عبد الرحمن بن محمد آل سعود الكبير" * 4,
    "Αικατερίνη Παπαδοπούλου-Κωνσταντινίδου",
)
_DESCRIPTION = "ホテル・ソル・イ・マール、海の見えるダブルルーム、朝食付き。" * 12
_TABLES = ("reservation", "customer", "provider_call", "contradiction", "document", "mail_send")
_EVERY_EIGHTH = ("provider_attempt", "history")  # in a thin schema

# Expressions instead of the values of the life; `i` numbers a reservation, `h` is its id in hex.
_UUID = "CONCAT_WS('-', SUBSTR(h, 1, 8), SUBSTR(h, 9, 4), SUBSTR(h, 13, 4), SUBSTR(h, 17, 4), SUBSTR(h, 21))"
_ID = "UNHEX(h)"
_OWN: Mapping[str, str] = {
    "reservation.id": _ID,
    "reservation_id": _ID,
    # Base 36 of a hash: codes are no sequence.
    "code": "LPAD(CONV(SUBSTR(SHA2(i, 256), 1, 14), 16, 36), 11, '0')",
    "full_name": f"ELT(1 + i % {len(_NAMES)}, {str(_NAMES)[1:-1]})",
    "email": "CONCAT('viajero', i, '@example.com')",
    "contradictions": "p.contradictions + (i % 20 = 0)",
    "description": f"IF(i % 3, p.description, '{_DESCRIPTION}')",
    "provider_call.id": f"i * {_CALLS} + p.id - s.first_call + 1",
    "call_id": f"i * {_CALLS} + p.call_id - s.first_call + 1",
    "call_key": "IF(LOCATE(s.text_id, p.call_key), REPLACE(p.call_key, s.text_id, new_id),"
    " CONCAT(p.call_key, '.', i))",
    **dict.fromkeys(
        ("provider_id", "target", "locator", "subject", "payment", "ses_id"),
        "CONCAT(p.{}, '.', i)",
    ),
}


@dataclass(frozen=True, slots=True)
class _Slice:
    """Reservations `first` to `last` in time order, the first of them at `start`, one each `step`."""

    band: int
    first: int
    last: int
    start_us: int
    step_us: int

    @property
    def numbers(self) -> str:
        """A table of the number, the time and the id of each: UUIDv7 without chance."""
        digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
        powers = [f"{10**power} * d{power}.d" for power in range(5)]
        joined = " CROSS JOIN ".join(f"({digits}) AS d{power}" for power in range(5))
        count = self.last - self.first
        return (
            f"(SELECT i, us, h, {_UUID} AS new_id FROM (SELECT i, us, LOWER(CONCAT("
            "LPAD(HEX(us DIV 1000), 12, '0'), '7', LPAD(HEX(i % 4096), 3, '0'), '8',"
            " LPAD(HEX(i), 15, '0'))) AS h FROM (SELECT"
            f" {self.first} + k AS i, {self.start_us} + k * {self.step_us} AS us"
            f" FROM (SELECT {' + '.join(powers)} AS k FROM {joined}) AS ks WHERE k < {count})"
            " AS ts) AS hs ORDER BY i LIMIT 100000) AS n"
        )


def fill(url: str, size: int, *, thin: bool = False) -> None:
    """Fill a migrated, empty schema. A `thin` one has an eighth of all history and attempts."""
    _lives(url)
    connection = _connection(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION foreign_key_checks = 0, unique_checks = 0")
        now = datetime.now(UTC)
        for each in _slices(size, now):
            _clone(cursor, each, thin=thin)
            _contradict(cursor, each)
            _beside(cursor, each, now)
            connection.commit()
        add_due_rows(cursor)
        connection.commit()
        for table in METADATA.tables:
            cursor.execute(f"ANALYZE TABLE {table}")


def _connection(url: str) -> "Connection[Any]":
    return connector(url, answer_seconds=3600)()


def _slices(size: int, now: datetime) -> Iterator[_Slice]:
    total = sum(band.oldest - band.youngest for band in YEAR)
    shares = [(band, round(size * (band.oldest - band.youngest) / total)) for band in YEAR]
    hand = [(band, HAND) for band in IN_HAND]
    first = 1
    for number, (band, count) in enumerate([(EXPIRED, DUE), *shares, *hand]):
        step = timedelta(days=(band.oldest - band.youngest) / max(count, 1))
        for begin in range(0, count, CHUNK):
            end = min(begin + CHUNK, count)
            start = now - timedelta(days=band.oldest) + begin * step
            yield _Slice(number, first + begin, first + end, _us(start), _us_of(step))
        first += count


def _us(at: datetime) -> int:
    return _us_of(at - datetime(1970, 1, 1, tzinfo=UTC))


def _us_of(time: timedelta) -> int:
    return time // timedelta(microseconds=1)


def _clone(cursor: Any, part: _Slice, *, thin: bool) -> None:
    for name in (*_TABLES, *_EVERY_EIGHTH):
        table = METADATA.tables[name]
        columns = [column.name for column in table.columns if _is_given(table, column.name)]
        values = ", ".join(_value(table, name) for name in columns)
        some = " AND n.i % 8 = 0" if thin and name in _EVERY_EIGHTH else ""
        cursor.execute(
            f"INSERT INTO {name} ({', '.join(columns)}) SELECT {values} FROM {part.numbers}"
            f" JOIN {LIVES}.slot s ON s.band = {part.band} AND s.slot = n.i % 100{some}"
            f" {_rows_of(name)} ORDER BY n.i"
        )


def _contradict(cursor: Any, part: _Slice) -> None:
    """A contradiction of one reservation in twenty, long over."""
    at = "FROM_UNIXTIME(0) + INTERVAL n.us MICROSECOND"
    cursor.execute(
        "INSERT INTO contradiction (reservation_id, kind, subject, number, seen, looks, first_at,"
        " last_at, opened_at, over_at, closed_at, sticky)"
        f" SELECT {_ID}, 'payment_absent', CONCAT('pay_', i), 1, 'absent', 3, {at}, {at}, {at}, {at},"
        f" {at}, 0 FROM {part.numbers} WHERE n.i % 20 = 0"
    )


def _rows_of(table: str) -> str:
    """Join the rows of the life, by an index."""
    if table == "reservation":
        return f"JOIN {LIVES}.reservation p ON p.id = s.reservation_id"
    if table == "provider_attempt":
        return (
            f"JOIN {LIVES}.provider_call c ON c.reservation_id = s.reservation_id"
            f" JOIN {LIVES}.provider_attempt p ON p.call_id = c.id"
        )
    return f"JOIN {LIVES}.{table} p ON p.reservation_id = s.reservation_id"


def _is_given(table: Table, column: str) -> bool:
    """True unless the server makes the value."""
    if table.columns[column].computed is not None:
        return False
    return column != "id" or table.name in {"reservation", "provider_call"}


def _value(table: Table, column: str) -> str:
    own = _OWN.get(f"{table.name}.{column}") or _OWN.get(column)
    if own:
        return own.format(column)
    kind = table.columns[column].type
    if isinstance(kind, Utc):
        return f"p.{column} + INTERVAL (n.us - s.made_us) MICROSECOND"
    if isinstance(kind, Date):
        return f"p.{column} + INTERVAL (n.us - s.made_us) DIV {_DAY_US} DAY"
    return f"p.{column}"


def _beside(cursor: Any, part: _Slice, now: datetime) -> None:
    """Published hints, webhooks, keys and claims, as young as retention leaves them."""
    at = "FROM_UNIXTIME(0) + INTERVAL n.us MICROSECOND"

    def add(table: str, days: int, columns: str, values: str) -> None:
        youngest = _us(now - timedelta(days=days))
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM {part.numbers}"
            f" WHERE n.us > {youngest}"
        )

    if part.start_us + (part.last - part.first) * part.step_us < _us(now - timedelta(days=30)):
        return
    for queue in ("payment", "supplier", "voucher", "notification"):
        add(
            "outbox",
            14,
            "message_id, queue, status, available_at, refusals, reservation_id, type, occurred_at",
            f"{_ID}, '{queue}', 'published', {at}, 0, {_ID}, '{queue}.due', {at}",
        )
    for provider in ("payments", "supplier"):
        add(
            "webhook",
            30,
            "provider, webhook_id, type, reference, received_at",
            f"'{provider}', CONCAT('evt_', SHA2(n.i, 256)), '{provider}.changed', n.new_id, {at}",
        )
    add(
        "idempotency",
        30,
        "client_id, operation, idempotency_key, fingerprint, response, expires_at",
        "'web', 'POST /v1/reservations', SHA2(CONCAT('k', n.i), 256), SHA2(n.i, 256),"
        f" REPEAT('x', 800), {at} + INTERVAL 30 DAY",
    )
    add(
        "charge_claim",
        2,
        "client_id, digest, reservation_id, claimed_at",
        f"'web', UNHEX(SHA2(CONCAT('c', n.i), 256)), {_ID}, {at}",
    )
    add(
        "unpaid_mail",
        1,
        "digest, slot, sent_at",
        "UNHEX(SHA2(CONCAT('m', n.i), 256)), 0, UTC_TIMESTAMP(6) + INTERVAL (n.i % 600) SECOND",
    )


def add_due_rows(cursor: Any) -> None:
    """Add rows that retention deletes, and hints that wait: as many at every size."""
    some = (
        f"SELECT id, @row := @row + 1 AS number FROM reservation, (SELECT @row := 0) AS zero"
        f" ORDER BY id LIMIT {DUE}"
    )
    cursor.execute("DELETE FROM outbox WHERE status IN ('pending', 'dead')")
    for status, age in (("published", "15 DAY"), ("pending", "1 SECOND"), ("dead", "1 DAY")):
        cursor.execute(
            "INSERT INTO outbox (message_id, queue, status, available_at, refusals, reservation_id,"
            f" type, occurred_at) SELECT id, 'payment', '{status}', UTC_TIMESTAMP(6) - INTERVAL {age},"
            f" 0, id, 'check.due', UTC_TIMESTAMP(6) FROM ({some}) AS some"
        )
    cursor.execute(
        "INSERT IGNORE INTO webhook (provider, webhook_id, type, reference, received_at)"
        " SELECT 'payments', CONCAT('old_', number), 'x', 'x', UTC_TIMESTAMP(6) - INTERVAL 31 DAY"
        f" FROM ({some}) AS some"
    )
    cursor.execute(
        "INSERT IGNORE INTO idempotency (client_id, operation, idempotency_key, fingerprint, expires_at)"
        " SELECT 'web', 'POST', CONCAT('old_', number), REPEAT('0', 64),"
        f" UTC_TIMESTAMP(6) - INTERVAL 1 DAY FROM ({some}) AS some"
    )
    cursor.execute(
        "INSERT IGNORE INTO charge_claim (client_id, digest, reservation_id, claimed_at)"
        " SELECT 'web', UNHEX(SHA2(CONCAT('old', number), 256)), id,"
        f" UTC_TIMESTAMP(6) - INTERVAL 3 DAY FROM ({some}) AS some"
    )
    cursor.execute(
        "INSERT IGNORE INTO unpaid_mail (digest, slot, sent_at) SELECT"
        " UNHEX(SHA2(CONCAT('old', number), 256)), 0, UTC_TIMESTAMP(6) - INTERVAL 2 HOUR"
        f" FROM ({some}) AS some"
    )


# --- the lives


@cache
def _lives(url: str) -> None:
    """Play each life, and store it in a schema of its own on the same server."""
    server = make_url(url)
    with _connection(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {LIVES}")
        cursor.execute(f"CREATE DATABASE {LIVES} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    own = server.set(database=LIVES).render_as_string(hide_password=False)
    schema.upgrade(schema.engine_of(connector(own, answer_seconds=600)))
    database = Database(connector(own))
    with _connection(own) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE slot (band INT, slot INT, reservation_id BINARY(16), text_id CHAR(36),"
            " made_us BIGINT, first_call BIGINT, PRIMARY KEY (band, slot))"
        )
        for number, band in enumerate((EXPIRED, *YEAR, *IN_HAND)):
            _store(number, band, database, cursor)
            connection.commit()
    database.close()


def _store(number: int, band: Band, database: Database, cursor: Any) -> None:
    slot = 0
    for life in band.lives:
        with lived(life) as trip, MySqlUnitOfWork(database) as uow:
            stored, rows = trip.stored, trip.around.database
            uow.add(a_creation(stored), rows.customers[stored.reservation_id])
            for line in rows.history[stored.reservation_id]:
                if line.event != ACCEPTED:
                    uow.reservations.add_history(stored.reservation_id, line)
            for attempt in rows.attempts.get(stored.reservation_id, ()):
                uow.reservations.add_attempt(stored.reservation_id, attempt)
            uow.commit()
        id_ = stored.reservation_id
        cursor.execute("COMMIT")
        cursor.execute("SELECT MIN(id) FROM provider_call WHERE reservation_id = %s", (id_.bytes,))
        [first_call] = cursor.fetchone()
        made_us = _us(stored.facts.created_at)
        for _ in range(life.percent):
            cursor.execute(
                "INSERT INTO slot VALUES (%s, %s, %s, %s, %s, %s)",
                (number, slot, id_.bytes, str(id_), made_us, first_call or 0),
            )
            slot += 1
    assert slot == 100
