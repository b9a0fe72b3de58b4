"""Yardsticks on the bare driver: the rows of a creation, and a saga written by hand with an outbox and leases."""

import base64
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pymysql

from reservations.adapters.mysql.address import Address
from reservations.domain.identifiers import uuid7
from tools.bench.product import Json, Tally

BATCH = 10


def connection(url: str, tally: Tally) -> Any:
    """Open a connection without autocommit, multiple statements or type conversions of our own."""
    address = Address.of(url)

    def connect() -> Any:
        return pymysql.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password or "",
            database=address.database,
            charset="utf8mb4",
            ssl_disabled=True,
            init_command="SET SESSION wait_timeout = 28800",  # a contestant waits for its turn
        )

    return tally.counting(connect)()


def a_code() -> str:
    return base64.b32encode(os.urandom(7)).decode()[:11]


class CreateFloor:
    """Writes again the rows that a creation of the product left, by one INSERT each and a COMMIT."""

    def __init__(self, url: str) -> None:
        self.tally = Tally()
        self._db = connection(url, self.tally)
        self._inserts = [self._insert(table, row) for table, row in self._rows()]
        self._db.rollback()

    def _rows(self) -> Iterator[tuple[str, Json]]:
        """Read one creation: the reservation, its key, then every table that names it."""
        with self._db.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(
                "SELECT * FROM reservation r WHERE client_id = 'web' AND version = 1 AND EXISTS"
                " (SELECT 1 FROM outbox WHERE reservation_id = r.id) ORDER BY created_at DESC LIMIT 1"
            )
            reservation = cursor.fetchone()
            cursor.execute("SELECT * FROM idempotency WHERE client_id = 'web' LIMIT 1")
            yield "idempotency", cursor.fetchone()
            yield "reservation", reservation
            cursor.execute(
                "SELECT table_name AS name FROM information_schema.columns"
                " WHERE table_schema = DATABASE() AND column_name = 'reservation_id'"
            )
            for table in [row["name"] for row in cursor.fetchall()]:
                cursor.execute(
                    f"SELECT * FROM {table} WHERE reservation_id = %s", (reservation["id"],)
                )
                yield from ((table, row) for row in cursor.fetchall())

    def _insert(self, table: str, row: Json) -> tuple[str, Json]:
        with self._db.cursor() as cursor:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
                " AND table_name = %s AND (extra = 'auto_increment' OR generation_expression <> '')",
                (table,),
            )
            made = {name for (name,) in cursor.fetchall()}
        names = [name for name, value in row.items() if name not in made and value is not None]
        values = ", ".join(f"%({name})s" for name in names)
        return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values})", {
            name: row[name] for name in names
        }

    def __call__(self, request: Json, _: Any) -> Json:
        body = json.loads(request["body"])
        now = datetime.now(UTC)
        code = a_code()
        reservation_id = uuid7(now).bytes
        fresh = {
            "id": reservation_id,
            "reservation_id": reservation_id,
            "message_id": uuid7(now).bytes,
            "code": code,
            "idempotency_key": request["headers"]["Idempotency-Key"],
            "fingerprint": hashlib.sha256(request["body"].encode()).hexdigest(),
        }
        with self._db.cursor() as cursor:
            for statement, row in self._inserts:
                cursor.execute(statement, row | {n: fresh[n] for n in row if n in fresh})
        self._db.commit()
        answer = {"reservation_code": code, "status": "EN PROCESO", **body}
        return {"statusCode": 202, "headers": {}, "body": json.dumps(answer)}


_TABLES = (
    "CREATE TABLE floor_saga (id BINARY(16) PRIMARY KEY, client_key VARCHAR(64) UNIQUE,"
    " body TEXT NOT NULL, state VARCHAR(16) NOT NULL, payment VARCHAR(64), booking VARCHAR(64),"
    " created_at DATETIME(6) NOT NULL, confirmed_at DATETIME(6)) CHARACTER SET utf8mb4",
    "CREATE TABLE floor_outbox (id BIGINT AUTO_INCREMENT PRIMARY KEY, saga_id BINARY(16) NOT NULL,"
    " leased_until DATETIME(6) NOT NULL, KEY (leased_until, id))",
)


class SagaFloor:
    """A saga by hand: a row and an outbox entry in one commit, a lease, charge, booking, the end.

    It has no idempotent answer, no history, no inquiry and no compensation. A provider's silence repeats the call.
    """

    def __init__(self, url: str, providers: str) -> None:
        self.tally = Tally()
        self._db = connection(url, self.tally)
        self._http = httpx.Client(base_url=providers, timeout=10, trust_env=False)

    @staticmethod
    def make_tables(url: str) -> None:
        database = connection(url, Tally())
        with database.cursor() as cursor:
            for table in _TABLES:
                cursor.execute(table)
        database.close()

    def _run(self, *statements: tuple[str, tuple[Any, ...]]) -> Any:
        with self._db.cursor() as cursor:
            for statement, values in statements:
                cursor.execute(statement, values)
            return cursor.fetchall()

    def create(self, body: str) -> None:
        saga = uuid7(datetime.now(UTC)).bytes
        self._run(
            (
                "INSERT INTO floor_saga (id, client_key, body, state, created_at)"
                " VALUES (%s, %s, %s, 'PENDING', UTC_TIMESTAMP(6))",
                (saga, str(uuid.uuid4()), body),
            ),
            (
                "INSERT INTO floor_outbox (saga_id, leased_until) VALUES (%s, UTC_TIMESTAMP(6))",
                (saga,),
            ),
        )
        self._db.commit()

    def work(self) -> int:
        """Lease a batch of entries and bring each saga to its end. Return their number."""
        leased = self._run(
            (
                "SELECT id, saga_id FROM floor_outbox WHERE leased_until <= UTC_TIMESTAMP(6)"
                f" ORDER BY leased_until, id LIMIT {BATCH} FOR UPDATE SKIP LOCKED",
                (),
            )
        )
        if leased:
            ids = tuple(row[0] for row in leased)
            self._run(
                (
                    "UPDATE floor_outbox SET leased_until = UTC_TIMESTAMP(6) + INTERVAL 30 SECOND"
                    " WHERE id IN %s",
                    (ids,),
                )
            )
        self._db.commit()
        for entry, saga in leased:
            self._finish(entry, saga)
        return len(leased)

    def _finish(self, entry: int, saga: bytes) -> None:
        reference = str(UUID(bytes=saga))
        [(body,)] = self._run(("SELECT body FROM floor_saga WHERE id = %s", (saga,)))
        price = json.loads(body)["price"]
        payment = self._call("/payments", {"reference": reference, **price})["payment_id"]
        self._run(
            ("UPDATE floor_saga SET state = 'PAID', payment = %s WHERE id = %s", (payment, saga))
        )
        self._db.commit()
        booking = self._call("/bookings", {"reference": reference})["booking_id"]
        self._run(
            (
                "UPDATE floor_saga SET state = 'CONFIRMED', booking = %s,"
                " confirmed_at = UTC_TIMESTAMP(6) WHERE id = %s",
                (booking, saga),
            ),
            ("DELETE FROM floor_outbox WHERE id = %s", (entry,)),
        )
        self._db.commit()

    def _call(self, path: str, body: Json) -> Json:
        headers = {"Idempotency-Key": body["reference"]}
        answer = self._http.post(path, json=body, headers=headers)
        return answer.raise_for_status().json()  # type: ignore[no-any-return]

    def run(self, number: int, bodies: Callable[[], str]) -> None:
        for _ in range(number):
            self.create(bodies())
        while self.work():
            pass
