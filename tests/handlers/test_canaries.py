"""Marked values through every function, with a failure at each of its doors: no sink receives one.

The functions are wired as on AWS, to a real MySQL, to moto and to providers that echo every request. A door is a
statement, a commit, a request to a provider or a call of AWS. Each door fails in turn, with errors that quote all
their inputs.
"""

import itertools
import json
import logging
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from secrets import choice, token_hex
from string import digits
from typing import Any, cast
from uuid import uuid4

import boto3
import httpx
import pymysql
import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.client import BaseClient
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends
from pymysql.cursors import Cursor
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from local.events import TODAY
from reservations.adapters.exchange import HttpWire
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.tables import METADATA
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import new_code
from reservations.domain.facts import Reason, Status
from reservations.domain.messages import Queue
from reservations.domain.reservation import MailKind, Reservation
from reservations.entrypoints.observability import logger
from reservations.entrypoints.problems import CATALOGUE
from reservations.services import Services
from tests.worlds.builders import (
    CODE,
    RESERVATION_ID,
    a_booking,
    a_charge,
    a_creation,
    a_customer,
    a_refund,
    a_reservation,
    a_send,
    a_voucher,
    an_offer,
    some_facts,
)
from tests.worlds.canaries import Search, forms
from tests.worlds.databases import SchemaOf
from tests.worlds.fakes import PlainRenderer
from tests.worlds.invocation import Context, LogBook, an_event
from tests.worlds.quotes import JWK_SET
from tests.worlds.services import handler_of
from tests.worlds.signing import signed_headers
from tests.worlds.wire import OverHttpx

pytestmark = [pytest.mark.mysql, pytest.mark.timeout(600)]

REGION = "eu-west-1"
BUCKET = "documents"
SENDER = "reservas@viajes.example"
MAIL_SET = "reservations-canaries"
THEN = datetime.now(UTC) - timedelta(minutes=1)
RING_KEY = token_hex(16).encode()
TOKEN = KeyRing(current="k1", keys={"k1": RING_KEY}).issue("k1", RESERVATION_ID)
WEBHOOK_SECRET = token_hex(16).encode()


def marked(prefix: str = "") -> str:
    return f"{prefix}{token_hex(8)}"


VALUES = {
    "name": f"Ñusta {marked('Canaria ')}",
    "email": f"{marked('canaria.')}@example.com",
    "phone": "+34" + "".join(choice(digits) for _ in range(12)),
    "notes": f"Habitación accesible, {marked('nota ')}",
    "payment token": marked("tok_canary_"),
    "access token": TOKEN.removeprefix("k1."),
    "access token key": RING_KEY.decode(),
    "API key": marked("key-"),
    "idempotency key": marked("idem-canary-"),
    "address of the caller": f"2001:db8::{token_hex(2)}:{token_hex(2)}",
    "browser of the caller": marked("Browser/"),
    "key at payments": marked("pk-"),
    "key at the supplier": marked("sk-"),
    "webhook secret": b64encode(WEBHOOK_SECRET).decode(),
    "words of a provider": marked("upstream said "),
    "words of a webhook": marked("webhook said "),
    "code that was looked up": new_code(),
    "address that was looked up": f"{marked('buscada.')}@example.com",
    "address to answer the stack": marked("X-Amz-Signature="),
}
ALLOWED = {
    "answers": frozenset({"notes", "access token"}),  # returned once, to their owner
    "table reservation": frozenset({"notes"}),
    "table idempotency": frozenset({"notes", "idempotency key"}),
}
SEARCHED_TABLES = sorted(set(METADATA.tables) - {"customer"})

CUSTOMER = a_customer(
    full_name=VALUES["name"],
    email=VALUES["email"],
    phone=VALUES["phone"],
    payment_token=VALUES["payment token"],
)
OFFER = an_offer(
    description=VALUES["notes"], starts_on=TODAY + timedelta(150), ends_on=TODAY + timedelta(153)
)
ACCEPTED = a_reservation(
    facts=some_facts(created_at=THEN), offer=OFFER, updated_at=THEN, next_check_at=THEN
)
PAID = replace(ACCEPTED, facts=some_facts(a_charge(at=THEN), created_at=THEN))
CONFIRMED = replace(
    ACCEPTED,
    facts=some_facts(a_charge(at=THEN), a_booking(at=THEN), created_at=THEN, confirmed_at=THEN),
)
WITH_VOUCHER = replace(CONFIRMED, documents=(a_voucher(issued_at=THEN),))
PENDING = replace(ACCEPTED, facts=some_facts(a_charge(Status.PENDING, at=THEN), created_at=THEN))
CLOSED: dict[str, Any] = {"created_at": THEN, "reason": Reason.CUSTOMER_CANCELLED}
TO_REFUND = replace(ACCEPTED, facts=some_facts(a_charge(at=THEN), **CLOSED))
TO_VOID = replace(ACCEPTED, facts=some_facts(a_charge(Status.PENDING, at=THEN), **CLOSED))
TO_CANCEL = replace(ACCEPTED, facts=some_facts(a_charge(at=THEN), a_booking(at=THEN), **CLOSED))
REFUNDED = replace(ACCEPTED, facts=some_facts(a_charge(at=THEN), a_refund(at=THEN), **CLOSED))
LONG_AGO = replace(
    WITH_VOUCHER,
    offer=replace(OFFER, starts_on=date(2020, 5, 1), ends_on=date(2020, 5, 4)),
    sends=(a_send(MailKind.CONFIRMED, sent_at=THEN),),
    next_check_at=None,
)


# --- the doors ------------------------------------------------------------------------------------

Fault = Callable[[Callable[[], Any], str], Any]


def _raising(error: Callable[[str], BaseException], *, after: bool = False) -> Fault:
    def fault(act: Callable[[], Any], known: str) -> Any:
        if after:
            act()
        raise error(known)

    return fault


def _aws_error(code: str, status: int) -> Callable[[str], BaseException]:
    def error(known: str) -> BaseException:
        response = {"Error": {"Code": code, "Message": known}}
        return ClientError(
            cast(Any, response | {"ResponseMetadata": {"HTTPStatusCode": status}}), "Call"
        )

    return error


def _answering(status: int) -> Fault:
    return lambda act, known: (act(), httpx.Response(status, json={"error": known}))[1]


_DEFECT = _raising(RuntimeError)
OF_OTHERS = ("provider", "aws")
LOCK_WAIT = 3  # index of the lock wait among the faults of a statement
FAULTS: dict[str, tuple[Fault, ...]] = {
    "sql": (
        _raising(lambda known: pymysql.err.OperationalError(2013, known)),
        _raising(lambda known: pymysql.err.DataError(1406, known)),
        _DEFECT,
        _raising(lambda known: pymysql.err.OperationalError(1205, known)),
    ),
    "commit": (
        _raising(lambda known: pymysql.err.OperationalError(2013, known), after=True),
        _DEFECT,
    ),
    "provider": (
        _raising(httpx.ConnectError),
        _raising(httpx.ReadTimeout, after=True),
        _answering(500),
        _answering(401),
        _answering(200),
        _DEFECT,
    ),
    "aws": (
        _raising(_aws_error("ValidationError", 400)),
        _raising(_aws_error("InternalFailure", 500), after=True),
        _raising(lambda known: EndpointConnectionError(endpoint_url=known)),
        _DEFECT,
    ),
}


@dataclass(slots=True)
class Doors:
    """Counts the doors that a function passes, and fails door `fail_at` in the given way."""

    fail_at: int | None = None
    way: int = 0
    passed: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def open(self, *, fail_at: int | None = None, way: int = 0) -> None:
        self.fail_at, self.way = fail_at, way
        self.passed.clear()

    def through(self, kind: str, act: Callable[[], Any], known: str) -> Any:
        self.passed.append(kind)
        if self.fail_at == len(self.passed):
            ways = FAULTS[kind]
            return ways[self.way % len(ways)](act, known)
        return act()

    def hang(self, monkeypatch: pytest.MonkeyPatch) -> None:
        execute, commit = Cursor.execute, pymysql.Connection.commit
        call = BaseClient._make_api_call  # type: ignore[attr-defined]  # botocore ships no types

        def executed(cursor: Any, query: Any, args: Any = None) -> Any:
            return self.through("sql", lambda: execute(cursor, query, args), f"{query} {args}")

        def committed(connection: Any) -> None:
            self.through("commit", lambda: commit(connection), repr(vars(connection)))

        def called(client: Any, operation: str, parameters: Any) -> Any:
            known = f"{operation} {parameters}"
            return self.through("aws", lambda: call(client, operation, parameters), known)

        def asked(request: httpx.Request) -> httpx.Response:
            known = f"{request.url} {request.headers.raw} {request.read().decode()}"
            self.heard.append(known)
            return cast(
                httpx.Response,
                self.through("provider", lambda: provider_answer(request, known), known),
            )

        monkeypatch.setattr(Cursor, "execute", executed)
        monkeypatch.setattr(pymysql.Connection, "commit", committed)
        monkeypatch.setattr(BaseClient, "_make_api_call", called)
        others = OverHttpx(httpx.MockTransport(asked))
        monkeypatch.setattr(HttpWire, "send", lambda _, *request: others.send(*request))


PAID_FOR = {"reference": str(RESERVATION_ID), "amount": "342.50"}


def provider_answer(request: httpx.Request, known: str) -> httpx.Response:
    """Answer as both providers: perform the request, and echo it in an extra member."""
    asked = json.loads(request.content or b"{}")
    gossip = {"message": f"{VALUES['words of a provider']} {known}"}
    answers: dict[tuple[str, str], dict[str, Any]] = {
        ("POST", "payments"): {"payment_id": "pay_1", "status": "succeeded", **asked},
        ("GET", "payments"): {"payments": []},
        ("POST", "refunds"): {
            "refund_id": "ref_1",
            "status": "succeeded",
            "currency": "EUR",
            **asked,
        },
        ("POST", "void"): {
            "payment_id": "pay_1",
            "status": "voided",
            "currency": "EUR",
            **PAID_FOR,
        },
        ("POST", "cancel"): {
            "booking_id": "bkg_1",
            "locator": "L1",
            "status": "cancelled",
            **PAID_FOR,
        },
        ("POST", "bookings"): {
            "booking_id": "bkg_1",
            "locator": "L1",
            "status": "confirmed",
            **asked,
        },
    }
    answer = answers.get((request.method, request.url.path.rpartition("/")[2]), {})
    return httpx.Response(200, json=answer | gossip, request=request)


# --- the surroundings -----------------------------------------------------------------------------


class OnAws(Services):
    """Wired as on AWS, except for the voucher renderer."""

    voucher_renderer = PlainRenderer()

    def databases(self) -> list[Database]:
        return [self._database, self._unhurried_database]

    def close(self) -> None:
        for database in self.databases():
            database.close()

    def let_go(self) -> None:
        """End open transactions of the previous call, and reconnect its lost connections."""
        for database in self.databases():
            database.rollback()
            database.now()
            database.rollback()


@dataclass(slots=True)
class World:
    services: OnAws
    doors: Doors
    logs: LogBook
    connection: Connection
    search: Search
    queues: dict[str, str]

    def prepare(self, reservation: Reservation | None, *, cold: bool = False) -> None:
        """Reset all stores to one reservation and its document, with warm connections unless `cold`."""
        self.doors.open()
        self.services.let_go()
        for table in reversed(METADATA.sorted_tables):
            self.connection.execute(table.delete())
        if reservation is not None:
            with self.services.unit_of_work() as uow:
                uow.add(a_creation(reservation), CUSTOMER)
                uow.commit()
        self.services.document_store.put("vouchers/a.pdf", b"%PDF")
        if cold:
            self.services.close()
            self.services = OnAws(self.services.environment)

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any] | None:
        """Call a function as Lambda does. Search the text of an escaped exception."""
        handler = handler_of(function, self.services)
        try:
            answer = handler(event, cast(LambdaContext, _OneRound()))
        except Exception as error:
            self.search.look("escaped errors", traceback.format_exception_only(error))
            return None
        if "statusCode" in answer:
            sink = "problems" if answer["statusCode"] >= 400 else "answers"
            self.search.look(sink, [answer])
        return answer

    def look_at_tables(self) -> None:
        self.services.let_go()
        for table in SEARCHED_TABLES:
            rows = self.connection.execute(text(f"SELECT * FROM {table}")).all()
            self.search.look(f"table {table}", rows)

    def look_at_the_rest(self) -> None:
        self.doors.open()
        lines = self.logs.text.splitlines()
        self.search.look("metrics", [line for line in lines if '"_aws"' in line])
        self.search.look("log lines", [line for line in lines if '"_aws"' not in line])
        s3, sqs = boto3.client("s3"), boto3.client("sqs")
        self.search.look("object keys", s3.list_objects_v2(Bucket=BUCKET).get("Contents", []))
        for name, url in self.queues.items():
            sink = "dead letters" if name == "dead" else "queue messages"
            while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
                "Messages"
            ):
                self.search.look(sink, batch)
                for message in batch:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


class _OneRound(Context):
    """Enough time at first, and 0 ms when a loop asks again."""

    def __init__(self) -> None:
        super().__init__(120_000)
        self._asked = 0

    def get_remaining_time_in_millis(self) -> int:
        self._asked += 1
        return 120_000 if self._asked == 1 else 0


def parameters(database_url: str) -> dict[str, str]:
    secret = json.dumps([f"whsec_{VALUES['webhook secret']}"])
    ring = {"current": "k1", "keys": {"k1": b64encode(RING_KEY).decode()}}
    return {
        "database-url": database_url,
        "saga-policy": json.dumps({"profile": "standard"}),
        "payments-url": "https://payments.example",
        "payments-api-key": VALUES["key at payments"],
        "supplier-url": "https://supplier.example",
        "supplier-api-key": VALUES["key at the supplier"],
        "mail-sender": SENDER,
        "manage-url": "https://www.viajes.example/reserva",  # so that mails carry the token
        "mails-per-hour": json.dumps({"address": 3, "client": 500}),
        "support-contact": "soporte@viajes.example",
        "public-base-url": "https://api.reservations.example/live",
        "api-clients": json.dumps({"l3pk9vw2d1": "web"}),
        "quote-keys": json.dumps(JWK_SET),
        "client-modes": json.dumps(
            {"web": {"public": True, "quote": "observe", "duplicate_charge": "refuse"}}
        ),
        "access-token-keys": json.dumps(ring),
        "webhook-secrets-payments": secret,
        "webhook-secrets-supplier": secret,
    }


@pytest.fixture(scope="module")
def cloud(schema_of: SchemaOf) -> Iterator[tuple[str, dict[str, str], OnAws]]:
    """Queues, bucket, parameters, and the functions' services, kept warm between tests."""
    url = schema_of("mysql")
    VALUES["database password"] = str(make_url(url).password)
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
            patch.setenv(name, REGION)
        sqs = boto3.client("sqs")
        queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in (*Queue, "dead")}
        boto3.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        boto3.client("ses").verify_email_identity(EmailAddress=SENDER)
        for name, value in parameters(url).items():
            boto3.client("ssm").put_parameter(
                Name=f"/canaries/{name}", Value=value, Type="SecureString"
            )
        boto3.client("ses").create_configuration_set(ConfigurationSet={"Name": MAIL_SET})
        environment = {"SETTINGS_PATH": "/canaries", "DOCUMENT_BUCKET": BUCKET}
        environment |= {"MAIL_CONFIGURATION_SET": MAIL_SET, "BUCKET_ADDRESSING": "virtual"}
        environment |= {f"{name.upper()}_QUEUE_URL": url for name, url in queues.items()}
        environment |= {"DEAD_LETTER_QUEUE_URL": queues["dead"]}
        environment |= {"ALLOWED_ORIGIN": "https://www.reservations.example"}
        services = OnAws(environment)
        yield url, queues, services
        services.close()


@pytest.fixture
def world(
    cloud: tuple[str, dict[str, str], OnAws], logs: LogBook, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    url, queues, services = cloud
    doors = Doors()
    doors.hang(monkeypatch)
    root, level, ours = logging.getLogger(), logging.getLogger().level, logger.log_level
    root.setLevel(logging.INFO)  # more verbose than Lambda's default WARNING
    logger.setLevel("DEBUG")
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield World(
            services=services,
            doors=doors,
            logs=logs,
            connection=connection,
            search=Search(VALUES, ALLOWED),
            queues=queues,
        )
        doors.open()
    root.setLevel(level)
    logger.setLevel(ours)


# --- calls ----------------------------------------------------------------------------------------


def request(name: str, *, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """A request of `events/`, with every marked value that a caller may send."""
    event = an_event(name)
    own = {
        "x-api-key": VALUES["API key"],
        "User-Agent": VALUES["browser of the caller"],
        "X-Forwarded-For": VALUES["address of the caller"],
        "Idempotency-Key": VALUES["idempotency key"] + token_hex(4),
        "traceparent": VALUES["name"],  # not a valid traceparent, so it must not be stored
        "Authorization": f"Bearer {TOKEN}",
    }
    event["headers"] |= own | headers
    event["multiValueHeaders"] |= {key: [value] for key, value in event["headers"].items()}
    event["requestContext"]["identity"] |= {
        "apiKey": VALUES["API key"],
        "sourceIp": VALUES["address of the caller"],
        "userAgent": VALUES["browser of the caller"],
    }
    if body is not None:
        event["body"] = json.dumps(body)
    return event


def a_body(**changes: Any) -> dict[str, Any]:
    customer = {name: VALUES[key] for name, key in (("full_name", "name"), ("email", "email"))}
    offer = {"offer_id": "HTL-1", "description": VALUES["notes"], "guests": 2}
    return {
        "customer": customer | {"phone": VALUES["phone"]},
        "offer": offer | {"starts_on": str(OFFER.starts_on), "ends_on": str(OFFER.ends_on)},
        "price": {"amount": "342.50", "currency": "EUR"},
        "payment_token": VALUES["payment token"],
    } | changes


def creation(**changes: Any) -> dict[str, Any]:
    return request("create_reservation.accepted", body=a_body(**changes))


def lookup_of_others() -> dict[str, Any]:
    code, email = VALUES["code that was looked up"], VALUES["address that was looked up"]
    return request("look_up_reservation.sent", body={"reservation_code": code, "email": email})


def webhook() -> dict[str, Any]:
    body = {
        "type": "payment.succeeded",
        "data": {"reference": str(RESERVATION_ID), "holder": VALUES["name"]},
        "message": VALUES["words of a webhook"],
    }
    signed = signed_headers(
        WEBHOOK_SECRET,
        webhook_id=f"msg_{uuid4().hex}",
        timestamp=int(datetime.now(UTC).timestamp()),
        body=json.dumps(body).encode(),
    )
    return request("receive_webhook.payment_succeeded", body=body, **signed)


def migration() -> dict[str, Any]:
    event = an_event("migrate_database.create")
    return event | {"ResponseURL": f"https://s3.example/a?{VALUES['address to answer the stack']}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call of a function, on a reservation in the given state."""

    function: str
    event: Callable[[], dict[str, Any]]
    state: Reservation | None = None
    cold: bool = False
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)  # in addition to ALLOWED
    asks: str = ""  # end of the URL of a provider request that must be among its doors


def shelf(name: str) -> Callable[[], dict[str, Any]]:
    return lambda: an_event(name)


def bounce() -> dict[str, Any]:
    """An SES event with the marked address, and the marked name in the diagnostic of the mail server."""
    event = an_event("record_mail_event.bounced")
    [record] = event["Records"]
    body = record["body"].replace("ana.perez@example.com", VALUES["email"])
    record["body"] = body.replace("smtp; 550", f"smtp; {VALUES['name']}")
    return event


def poison() -> dict[str, Any]:
    event = an_event("process_payment.due")
    event["Records"][0]["body"] = json.dumps({"version": VALUES["name"], VALUES["email"]: "?"})
    return event


CASES = {
    "a request to reserve": Case(function="create_reservation", event=creation),
    "reading": Case(
        function="get_reservation", event=lambda: request("get_reservation.shown"), state=CONFIRMED
    ),
    "the timeline": Case(
        function="get_reservation",
        event=lambda: request("get_reservation.timeline"),
        state=CONFIRMED,
    ),
    "the voucher": Case(
        function="get_reservation",
        event=lambda: request("get_reservation.voucher"),
        state=WITH_VOUCHER,
    ),
    "a lookup that misses": Case(
        function="look_up_reservation", event=lookup_of_others, state=CONFIRMED
    ),
    "a lookup that matches": Case(
        function="look_up_reservation",
        event=lambda: request(
            "look_up_reservation.sent",
            body={"reservation_code": CODE, "email": VALUES["email"]},
        ),
        state=CONFIRMED,
    ),
    "the health": Case(
        function="get_reservation", event=lambda: request("get_reservation.health"), state=ACCEPTED
    ),
    "a cold start": Case(
        function="get_reservation",
        event=lambda: request("get_reservation.health"),
        state=ACCEPTED,
        cold=True,
    ),
    "a cancellation": Case(
        function="cancel_reservation",
        event=lambda: request("cancel_reservation.accepted"),
        state=CONFIRMED,
    ),
    "a webhook": Case(function="receive_webhook", event=webhook, state=PENDING),
    "the poller": Case(
        function="poll_outbox", event=shelf("poll_outbox.every_minute"), state=ACCEPTED
    ),
    "a charge": Case(
        function="process_payment",
        event=shelf("process_payment.due"),
        state=ACCEPTED,
        asks="/payments",
    ),
    "a look at a charge": Case(
        function="process_payment",
        event=shelf("process_payment.due"),
        state=PENDING,
        asks=f"/payments?reference={RESERVATION_ID}",
    ),
    "a refund": Case(
        function="process_payment",
        event=shelf("process_payment.due"),
        state=TO_REFUND,
        asks="/refunds",
    ),
    "a void": Case(
        function="process_payment", event=shelf("process_payment.due"), state=TO_VOID, asks="/void"
    ),
    "an unreadable message": Case(
        function="process_payment",
        event=poison,
        state=ACCEPTED,
        allowed={"dead letters": frozenset({"name", "email"})},  # dead-lettered unchanged
    ),
    "a booking": Case(
        function="confirm_supplier",
        event=shelf("confirm_supplier.due"),
        state=PAID,
        asks="/bookings",
    ),
    "a supplier's cancellation": Case(
        function="confirm_supplier",
        event=shelf("confirm_supplier.due"),
        state=TO_CANCEL,
        asks="/cancel",
    ),
    "a voucher": Case(function="issue_voucher", event=shelf("issue_voucher.due"), state=CONFIRMED),
    "a mail": Case(
        function="notify_customer", event=shelf("notify_customer.due"), state=WITH_VOUCHER
    ),
    "a mail about a refund": Case(
        function="notify_customer", event=shelf("notify_customer.due"), state=REFUNDED
    ),
    "a bounce": Case(function="record_mail_event", event=bounce, state=WITH_VOUCHER),
    "retention": Case(function="clean_up", event=shelf("clean_up.retention"), state=LONG_AGO),
    "the invariants": Case(
        function="clean_up", event=shelf("clean_up.invariants"), state=WITH_VOUCHER
    ),
    "a migration": Case(function="migrate_database", event=migration),
}


def sweep(world: World, case: Case) -> int:
    """Call a function with a fault at each of its doors in turn. Return the number of doors.

    Requests to providers and calls of AWS fail in every way. Statements and commits are many, so each fails in one
    way. The ways take turns, and each case starts with another one.
    """
    turn = list(CASES.values()).index(case)
    world.prepare(case.state)
    world.invoke(case.function, case.event())
    for door in itertools.count(1):
        kind = failed(world, case, door, way=door + turn)
        if kind is None:
            world.look_at_the_rest()
            return door - 1
        if kind in OF_OTHERS:
            for more in range(1, len(FAULTS[kind])):
                failed(world, case, door, way=door + turn + more)
    raise AssertionError("there is always a last door")


def failed(world: World, case: Case, door: int, *, way: int) -> str | None:
    """Call a function with a fault at one door. Return the kind of that door, or `None` past the last one."""
    world.prepare(case.state, cold=case.cold)
    world.doors.open(fail_at=door, way=way)
    world.invoke(case.function, case.event())
    passed = [*world.doors.passed]
    world.doors.open()
    world.look_at_tables()
    return passed[door - 1] if len(passed) >= door else None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_failure_at_any_door_leaks_personal_data_or_secrets(world: World, case: Case) -> None:
    world.search.allowed = {**ALLOWED, **case.allowed}

    doors = sweep(world, case)

    assert doors > 0
    assert not case.asks or any(
        known.partition(" ")[0].endswith(case.asks) for known in world.doors.heard
    )
    assert world.search.looked["log lines"] + world.search.looked["metrics"] > 0
    world.search.conclude()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The last of `events` is refused with `code`; if `locked`, because another transaction holds a lock."""

    code: str
    events: tuple[dict[str, Any], ...]
    function: str = "create_reservation"
    state: Reservation = CONFIRMED
    locked: bool = False


def refused(code: str, *events: dict[str, Any], **more: Any) -> Refusal:
    return Refusal(code=code, events=events, **more)


def without(event: dict[str, Any], name: str) -> dict[str, Any]:
    for headers in (event["headers"], event["multiValueHeaders"]):
        del headers[name]
    return event


def stale_webhook() -> dict[str, Any]:
    body = {"type": "payment.succeeded", "data": {"reference": VALUES["name"]}}
    signed = signed_headers(
        WEBHOOK_SECRET,
        webhook_id="msg_long_ago",
        timestamp=int((THEN - timedelta(days=1)).timestamp()),
        body=json.dumps(body).encode(),
    )
    return request("receive_webhook.payment_succeeded", body=body, **signed)


SAME_KEY = {"Idempotency-Key": VALUES["idempotency key"]}
REFUSED = {
    "a member too many": refused(
        "validation_failed", creation(**{VALUES["name"]: VALUES["email"]})
    ),
    "everything of the wrong type": refused(
        "validation_failed",
        creation(
            customer=[VALUES["name"]],
            offer=VALUES["notes"],
            price=[VALUES["email"]],
            payment_token=[],
        ),
    ),
    "an invalid mail address": refused(
        "validation_failed",
        creation(
            customer={
                "full_name": VALUES["name"],
                "email": VALUES["name"],
                "phone": VALUES["email"],
            }
        ),
    ),
    "a body that is cut off": refused(
        "malformed_json", creation() | {"body": json.dumps(a_body())[:-2]}
    ),
    "a body that is too large": refused(
        "body_too_large", creation(payment_token=VALUES["payment token"] * 5000)
    ),
    "another media type": refused(
        "unsupported_media_type",
        request("create_reservation.accepted", body=a_body(), **{"Content-Type": VALUES["name"]}),
    ),
    "no key": refused("idempotency_key_missing", without(creation(), "Idempotency-Key")),
    "a malformed key": refused(
        "idempotency_key_invalid",
        request(
            "create_reservation.accepted", body=a_body(), **{"Idempotency-Key": VALUES["name"]}
        ),
    ),
    "a key for two trips": refused(
        "idempotency_key_reused",
        request("create_reservation.accepted", body=a_body(), **SAME_KEY),
        request("create_reservation.accepted", body=a_body(payment_token="tok_other"), **SAME_KEY),
    ),
    "a second tab": refused(
        "payment_in_progress",
        request("create_reservation.accepted", body=a_body(), **SAME_KEY),
        request(
            "create_reservation.accepted",
            body=a_body(),
            **{"Idempotency-Key": "another-tab-another-key"},
        ),
    ),
    "a key that another request holds": refused("request_in_flight", creation(), locked=True),
    "a row that another request holds": refused(
        "busy_try_again",
        request("cancel_reservation.accepted"),
        function="cancel_reservation",
        locked=True,
    ),
    "a trip that is over": refused(
        "not_cancellable",
        request("cancel_reservation.accepted"),
        function="cancel_reservation",
        state=LONG_AGO,
    ),
    "no token": refused(
        "unauthorized",
        without(request("get_reservation.shown"), "Authorization"),
        function="get_reservation",
    ),
    "another's token": refused(
        "not_found",
        request("get_reservation.shown", Authorization=f"Bearer k1.{VALUES['payment token']}"),
        function="get_reservation",
    ),
    "another route": refused(
        "not_found",
        request("get_reservation.unknown_route") | {"path": f"/{VALUES['name']}"},
        function="get_reservation",
    ),
    "another method": refused(
        "method_not_allowed",
        request("get_reservation.shown") | {"httpMethod": "DELETE", "body": json.dumps(a_body())},
        function="get_reservation",
    ),
    "a forged webhook": refused(
        "webhook_signature_invalid",
        request("receive_webhook.forged_body", body=a_body()),
        function="receive_webhook",
    ),
    "an old webhook": refused("webhook_stale", stale_webhook(), function="receive_webhook"),
}
# The gateway answers the first one itself, and the sweep over all doors causes the others.
NOT_REFUSED = {"rate_limited", "quota_exceeded", "service_unavailable", "gateway_timeout"}


def test_every_refusal_of_the_catalogue_is_tried() -> None:
    assert {refusal.code for refusal in REFUSED.values()} == set(CATALOGUE) - NOT_REFUSED


@pytest.mark.parametrize("refusal", REFUSED.values(), ids=REFUSED)
def test_no_refusal_quotes_the_request(world: World, refusal: Refusal) -> None:
    world.prepare(refusal.state)
    *before, event = refusal.events
    for earlier in before:
        world.invoke(refusal.function, earlier)

    codes = list(answered(world, refusal, event))

    assert refusal.code in codes
    world.doors.open()
    world.look_at_tables()
    world.look_at_the_rest()
    assert world.search.looked["problems"] == len(codes)
    world.search.conclude()


def answered(world: World, refusal: Refusal, event: dict[str, Any]) -> Iterator[str]:
    """Code of the answer. If `locked`, one code per door, each with the lock denied there."""
    doors: Iterable[int | None] = itertools.count(1) if refusal.locked else [None]
    for door in doors:
        world.doors.open(fail_at=door, way=LOCK_WAIT)
        answer = world.invoke(refusal.function, event)
        assert answer is not None
        if answer["statusCode"] < 400:  # no door left to fail
            return
        yield json.loads(answer["body"])["code"]


# --- the search itself ----------------------------------------------------------------------------


def test_the_marked_values_reached_their_recipients(world: World) -> None:
    for name in ("a charge", "a booking", "a mail"):
        world.prepare(CASES[name].state)
        world.invoke(CASES[name].function, CASES[name].event())

    heard = "\n".join(world.doors.heard)
    for name in ("payment token", "name", "key at payments", "key at the supplier"):
        assert any(form in heard.casefold() for form in forms(VALUES[name])), name
    mailed = [sent.destinations for sent in ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages]
    assert any(VALUES["email"] in addresses for addresses in mailed)


def test_the_search_finds_a_formatter_that_quotes_an_error(world: World) -> None:
    reticent = logger.registered_handler.formatter
    logger.registered_handler.setFormatter(LambdaPowertoolsFormatter())
    try:
        sweep(world, CASES["a request to reserve"])
    finally:
        logger.registered_handler.setFormatter(reticent)

    assert {("log lines", "name"), ("log lines", "email")} <= world.search.found


@pytest.mark.parametrize(
    "write", [str, json.dumps, lambda v: b64encode(b"xy" + v.encode()).decode()]
)
def test_a_value_is_found_in_every_encoding(write: Callable[[str], str]) -> None:
    for name, value in VALUES.items():
        search = Search({name: value})
        search.look("a sink", [f"before {write(value)} after"])
        assert search.found == {("a sink", name)}
