"""The side that no traveler sees: the providers' ledgers, the mailbox, the tables and the logs."""

import email
import email.policy
from decimal import Decimal
from email.message import EmailMessage
from typing import Any, Literal
from uuid import UUID

import httpx
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from local.deployment import client
from tests.e2e.ledgers import LIVE_BOOKING
from tests.e2e.travel import Json, Trip, eventually
from tests.worlds.books import PRICE, Books

Provider = Literal["payments", "supplier"]


class Backstage:
    """Reads around the API, to prove what the API says."""

    def __init__(self, stack: Json) -> None:
        self._stack = stack
        self._engine: Engine = create_engine(stack["database_url"], poolclass=NullPool)
        self._http = httpx.Client(timeout=30)  # one client: each new one reads all trusted roots

    def close(self) -> None:
        self._http.close()

    # --- the providers ---

    def charges(self, trip: Trip) -> list[Json]:
        reference = self.reference(trip)
        charges = self._all("payments")["charges"]
        return [row for row in charges if row["reference"] == reference]

    def books(self, trip: Trip) -> Books:
        return Books.of(
            self.reference(trip), payments=self._all("payments"), supplier=self._all("supplier")
        )

    def money_kept(self, trip: Trip) -> Decimal:
        """Charges of a trip minus refunds, by the ledger of the payments API."""
        return self.books(trip).kept

    def bookings(self, trip: Trip) -> list[Json]:
        reference = self.reference(trip)
        bookings = self._all("supplier")["bookings"]
        return [row for row in bookings if row["reference"] == reference]

    def live_bookings(self, trip: Trip) -> list[Json]:
        return [row for row in self.bookings(trip) if row["status"] in LIVE_BOOKING]

    def locator(self, trip: Trip) -> str:
        """Read the locator from the supplier's own API."""
        answer = self._http.get(
            f"{self._stack['supplier_url']}/bookings",
            params={"reference": self.reference(trip)},
            headers={"Authorization": f"Bearer {self._stack['provider_keys']['supplier']}"},
        )
        [booking] = answer.raise_for_status().json()["bookings"]
        return str(booking["locator"])

    def faults(self, provider: Provider, mode: str, *, latency_ms: int = 0) -> None:
        self._http.post(
            f"{self._stack[f'{provider}_url']}/_sim/faults",
            json={"mode": mode, "latency_ms": latency_ms},
        ).raise_for_status()

    def set_row(self, provider: Provider, kind: str, row_id: str, **change: Any) -> None:
        """Let a provider change its word; see `POST /_sim/rows`."""
        self._http.post(
            f"{self._stack[f'{provider}_url']}/_sim/rows",
            json={"kind": kind, "id": row_id, **change},
        ).raise_for_status()

    def take_late(self, trip: Trip) -> None:
        """Let the request of a lost charge arrive at last, under its own key, and be announced."""
        [lost] = self.calls(trip, "charge")
        answer = self._http.post(
            f"{self._stack['payments_url']}/payments",
            json={
                "reference": self.reference(trip),
                "amount": str(PRICE),
                "currency": "EUR",
                "token": "tok_ok",
            },
            headers={
                "Authorization": f"Bearer {self._stack['provider_keys']['payments']}",
                "Idempotency-Key": lost["call_key"],
            },
        )
        payment_id = answer.raise_for_status().json()["payment_id"]
        self.set_row("payments", "payment", payment_id, set={"status": "succeeded"})

    def _all(self, provider: Provider) -> dict[str, list[Json]]:
        url = f"{self._stack[f'{provider}_url']}/_sim/ledger"
        ledger: dict[str, list[Json]] = self._http.get(url).raise_for_status().json()
        return ledger

    # --- the mailbox ---

    def mails(self, address: str) -> list[EmailMessage]:
        """The mails to an address, oldest first. LocalStack keeps mails instead of sending them."""
        caught = self._http.get(f"{self._stack['aws_endpoint_url']}/_aws/ses").json()
        raw = [str(message.get("RawData") or "") for message in caught["messages"]]
        read = [
            email.message_from_string(content, policy=email.policy.default)
            for content in raw
            if address in content
        ]
        return [message for message in read if message["To"] == address]

    def mail(self, address: str) -> EmailMessage:
        """Wait for the first mail to an address."""
        return eventually(lambda: self.mails(address), of=f"mail to {address}")[0]

    # --- the tables ---

    def rows(self, sql: str, **values: object) -> list[Json]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def dump(self, table: str) -> str:
        """All rows of a table, as text."""
        return "\n".join(str(row) for row in self.rows(f"SELECT * FROM {table}"))

    def reference(self, trip: Trip) -> str:
        """The reference of a reservation at the providers."""
        [row] = self.rows(
            "SELECT id FROM reservation WHERE code = :code", code=trip.code.replace("-", "")
        )
        return str(UUID(bytes=row["id"]))

    def calls(self, trip: Trip, operation: str) -> list[Json]:
        return self.rows(
            "SELECT * FROM provider_call WHERE reservation_id = :id AND operation = :operation",
            id=UUID(self.reference(trip)).bytes,
            operation=operation,
        )

    def mails_sent(self, trip: Trip) -> set[str]:
        """The kinds of mail that were sent and need no retry."""
        rows = self.rows(
            "SELECT kind FROM mail_send WHERE reservation_id = :id AND status = 'sent'"
            " AND check_at IS NULL",
            id=UUID(self.reference(trip)).bytes,
        )
        return {row["kind"] for row in rows}

    def stored(self, client: str) -> tuple[int, int]:
        """Number of reservations and of idempotency keys of a client."""
        [counts] = self.rows(
            "SELECT (SELECT COUNT(*) FROM reservation WHERE client_id = :client) reservations,"
            " (SELECT COUNT(*) FROM idempotency WHERE client_id = :client) idempotency_keys",
            client=client,
        )
        return counts["reservations"], counts["idempotency_keys"]

    # --- AWS ---

    def aws(self, service: str) -> Any:
        return client(service, self._stack["aws_endpoint_url"])

    def logs(self, *, containing: str = "", function: str = "") -> list[str]:
        """CloudWatch log lines with `containing`, of functions whose name contains `function`."""
        logs = self.aws("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
        names = [group["logGroupName"] for group in groups if function in group["logGroupName"]]
        assert names
        pages = [
            page
            for name in names
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name)
        ]
        lines = [str(event["message"]) for page in pages for event in page["events"]]
        return [line for line in lines if containing in line]

    def object_keys(self) -> list[str]:
        s3 = self.aws("s3")
        return [
            entry["Key"]
            for bucket in s3.list_buckets()["Buckets"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
            for entry in page.get("Contents", [])
        ]

    def waiting_messages(self) -> list[str]:
        """The messages of every queue, dead letters included. They are read without being received."""
        return [self._messages(url) for url in self.aws("sqs").list_queues()["QueueUrls"]]

    def dead_letters(self) -> list[str]:
        """The messages of each dead-letter queue, read without being received."""
        return [self._messages(url) for url in self._dead_letter_queues()]

    def messages_set_aside(self) -> dict[str, int]:
        """Number of messages in each dead-letter queue that is not empty."""
        sqs = self.aws("sqs")
        attribute = "ApproximateNumberOfMessages"
        counts = {
            url: int(
                sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"][
                    attribute
                ]
            )
            for url in self._dead_letter_queues()
        }
        return {url: count for url, count in counts.items() if count}

    def _messages(self, url: str) -> str:
        endpoint = f"{self._stack['aws_endpoint_url']}/_aws/sqs/messages"
        return self._http.get(endpoint, params={"QueueUrl": url}).raise_for_status().text

    def _dead_letter_queues(self) -> list[str]:
        urls = [url for url in self.aws("sqs").list_queues()["QueueUrls"] if "DeadLetter" in url]
        assert urls
        return urls
