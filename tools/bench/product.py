"""The product in one warm process: its own handlers and adapters, with SQS, S3, SES and settings in memory."""

import base64
import json
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from io import BytesIO
from typing import Any

from botocore.exceptions import ClientError
from pymysql.connections import Connection

from local.events import event
from reservations.adapters.aws.prompt_publisher import PromptPublisher
from reservations.adapters.aws.s3 import S3DocumentStore
from reservations.adapters.aws.ses import SesMailer
from reservations.adapters.aws.sqs import SqsMessagePublisher
from reservations.adapters.mysql.address import Connect
from reservations.application.poll_outbox import Polled, poll_outbox
from reservations.application.ports import MessagePublisher
from reservations.config import HINT_SEND_LIMIT
from reservations.domain.messages import Queue
from reservations.services import Services
from tests.worlds.signing import signed_headers

Json = dict[str, Any]

FUNCTION_OF = {
    Queue.PAYMENT: "process_payment",
    Queue.PAYMENT_LOOK: "process_payment",
    Queue.SUPPLIER: "confirm_supplier",
    Queue.SUPPLIER_LOOK: "confirm_supplier",
    Queue.VOUCHER: "issue_voucher",
    Queue.NOTIFICATION: "notify_customer",
}
PAPERS = {Queue.VOUCHER, Queue.NOTIFICATION}
WEBHOOK_KEY = b"key-of-the-webhooks-of-the-bench"
_PATH = "/reservations/bench"
_EXAMPLE = "0195511f-3c00-7abc-8def-0123456789ab"  # the reservation in events/
ENVIRONMENT = {
    "SETTINGS_PATH": _PATH,
    "ALLOWED_ORIGIN": "https://www.example.com",
    "BUCKET_ADDRESSING": "path",
    "DOCUMENT_BUCKET": "documents",
    "MAIL_CONFIGURATION_SET": "reservations-bench",
    "DEAD_LETTER_QUEUE_URL": "http://127.0.0.1/queues/dead",
    **{
        f"{queue.name}_QUEUE_URL": f"http://127.0.0.1/queues/{queue.value}" for queue in Queue
    },
}  # fmt: skip


def parameters(database_url: str, providers: str, **others: str) -> dict[str, str]:
    """Return the settings in Parameter Store, some replaced. The client `web` needs no quote and may charge twice."""
    secret = json.dumps([f"whsec_{base64.b64encode(WEBHOOK_KEY).decode()}"])
    key_ring = {"current": "k1", "keys": {"k1": base64.b64encode(bytes(range(32))).decode()}}
    modes = {"public": True, "quote": "off", "duplicate_charge": "allow"}
    values = {
        "database-url": database_url,
        "payments-url": providers,
        "supplier-url": providers,
        "payments-api-key": "key",
        "supplier-api-key": "key",
        "access-token-keys": json.dumps(key_ring),
        "quote-keys": '{"keys": []}',
        "webhook-secrets-payments": secret,
        "webhook-secrets-supplier": secret,
        "mail-sender": "reservas@example.com",
        "mails-per-hour": '{"address": 1000000, "client": 1000000}',
        "support-contact": "soporte@example.com",
        "public-base-url": "https://api.example.com/live",
        "api-clients": '{"l3pk9vw2d1": "web", "q8zt4nf7s0": "partner"}',
        "client-modes": json.dumps({"web": modes, "partner": modes}),
        "saga-policy": '{"profile": "standard"}',
    }
    return {f"{_PATH}/{name}": value for name, value in (values | others).items()}


@dataclass(slots=True)
class Tally:
    """Round trips to the database so far, and the bytes that they sent."""

    trips: int = 0
    sent: int = 0

    def counting(self, connect: Connect) -> Connect:
        def opened() -> "Connection[Any]":
            connection: Any = connect()
            send = connection._execute_command

            def counted(command: int, sql: str | bytes) -> None:
                self.trips += 1
                self.sent += len(sql)
                send(command, sql)

            connection._execute_command = counted
            return connection  # type: ignore[no-any-return]

        return opened


class MemorySqs:
    """Accepts every message and hands it to `put` with the name of its queue."""

    def __init__(self, put: Callable[[Queue, str], None]) -> None:
        self._put = put

    def send_message_batch(self, **request: Any) -> Json:
        for entry in request["Entries"]:
            self._put(_queue_of(request["QueueUrl"]), entry["MessageBody"])
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    def send_message(self, **request: Any) -> Json:
        self._put(_queue_of(request["QueueUrl"]), request["MessageBody"])
        return {"MessageId": "m-1"}


def _queue_of(url: str) -> Queue:
    return Queue(url.rpartition("/")[2])


class MemoryS3(dict[str, bytes]):
    def put_object(self, **request: Any) -> None:
        self[request["Key"]] = request["Body"]

    def get_object(self, **request: Any) -> Json:
        return {"Body": BytesIO(self._found(request))}

    def head_object(self, **request: Any) -> None:
        self._found(request)

    def _found(self, request: Json) -> bytes:
        if request["Key"] not in self:
            raise ClientError({"Error": {"Code": "404"}}, "GetObject")
        return self[request["Key"]]


class MemorySes:
    def send_raw_email(self, **_: Any) -> Json:
        return {"MessageId": "m-1"}


class Product(Services):
    """Services on a real database and on providers over HTTP. `put` takes the hints that are sent."""

    def __init__(
        self,
        database_url: str,
        providers: str,
        put: Callable[[Queue, str], None] | None = None,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(ENVIRONMENT)
        self._values = parameters(database_url, providers, **(settings or {}))
        self.database_url = database_url
        self.providers = providers
        self.queue: deque[tuple[Queue, str]] = deque()
        self.put = put or (lambda queue, body: self.queue.append((queue, body)))
        self.tally = Tally()

    def read_parameters(self, names: Collection[str], *, brief: bool = False) -> Mapping[str, str]:
        return {name: self._values[name] for name in names if name in self._values}

    def _connector(self, **limits: int) -> Connect:
        return self.tally.counting(super()._connector(**limits))

    @cached_property
    def publisher(self) -> MessagePublisher:
        sqs: Any = MemorySqs(self.put)
        return SqsMessagePublisher(sqs, queue_urls=self._queue_urls())

    @cached_property
    def prompt_publisher(self) -> MessagePublisher:
        sqs: Any = MemorySqs(self.put)
        return PromptPublisher(sqs, queue_urls=self._queue_urls(), within=HINT_SEND_LIMIT)

    @cached_property
    def document_store(self) -> S3DocumentStore:
        s3: Any = MemoryS3()
        return S3DocumentStore(s3, bucket="documents")

    @cached_property
    def brief_document_store(self) -> S3DocumentStore:
        return self.document_store

    @cached_property
    def mailer(self) -> SesMailer:
        ses: Any = MemorySes()
        return SesMailer(ses, sender="reservas@example.com", configuration_set="reservations-bench")

    def poll(self) -> Polled:
        """One round of the poller, as its function makes it."""
        self.prepare()
        polled = poll_outbox(
            uow=self.unit_of_work(), publisher=self.publisher, policy=self.policy()
        )
        if polled.outage:
            raise polled.outage
        return polled


class Context:
    """The part of a Lambda context that functions and Powertools use."""

    function_name = "reservations-bench"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:reservations-bench"
    aws_request_id = "6f2d1c9e-1d1f-4c52-a1e5-6a2f1f0a9d11"
    tenant_id = None

    def get_remaining_time_in_millis(self) -> int:
        return 240_000


CONTEXT: Any = Context()


def a_request(base: Json, **headers: str) -> Json:
    """Copy an event of the gateway cheaply, with other headers."""
    return {
        **base,
        "headers": {**base["headers"], **headers},
        "multiValueHeaders": {
            **base["multiValueHeaders"],
            **{name: [value] for name, value in headers.items()},
        },
    }


def creations() -> Iterator[Json]:
    """Yield requests to create a reservation, each with a key of its own."""
    base = event("create_reservation.accepted")
    while True:
        yield a_request(base, **{"Idempotency-Key": str(uuid.uuid4())})


def at_code(base: Json, code: str, token: str, **headers: str) -> Json:
    """Address an event of the gateway to one reservation."""
    path = base["resource"].replace("{code}", code)
    request = a_request(base, Authorization=f"Bearer {token}", **headers)
    context = {**base["requestContext"], "path": f"/live{path}"}
    return request | {"pathParameters": {"code": code}, "path": path, "requestContext": context}


def about(sent: Json, reference: str) -> Json:
    """Let an event name another reservation than the one of the examples."""
    return json.loads(json.dumps(sent).replace(_EXAMPLE, reference))  # type: ignore[no-any-return]


def a_webhook(base: Json, reference: str) -> Json:
    """A webhook of payments with an id of its own, signed now."""
    now = datetime.now(UTC)
    data = {"payment_id": "pay_1", "reference": reference}
    content = {"type": "payment.succeeded", "timestamp": now.isoformat(), "data": data}
    body = json.dumps(content)
    signed = signed_headers(
        WEBHOOK_KEY,
        webhook_id=f"msg_{uuid.uuid4().hex}",
        timestamp=int(now.timestamp()),
        body=body.encode(),
    )
    return a_request(base, **signed) | {"body": body, "isBase64Encoded": False}


@dataclass(frozen=True, slots=True)
class Sample:
    """One call: seconds by the clock, seconds of this process's CPU, round trips."""

    wall: float
    cpu: float
    trips: int


@dataclass(slots=True)
class Journeys:
    """Whole journeys by the handlers, where this process is door, poller and worker."""

    product: Product
    samples: defaultdict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    handlers: dict[str, Any] = field(default_factory=dict)
    records: dict[str, Json] = field(default_factory=dict)
    requests: Iterator[Json] = field(default_factory=creations)

    def handler(self, name: str) -> Any:
        if name not in self.handlers:
            module = import_module(f"functions.{name}.handler")
            self.handlers[name] = module.make_handler(self.product)
        return self.handlers[name]

    def timed(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        tally = self.product.tally
        trips, wall, cpu = tally.trips, time.perf_counter(), time.process_time()
        answer = call(*arguments)
        used = (time.perf_counter() - wall, time.process_time() - cpu)
        self.samples[name].append(Sample(*used, tally.trips - trips))
        return answer

    def create(self) -> Json:
        request = next(self.requests)
        answer = self.timed("create", self.handler("create_reservation"), request, CONTEXT)
        assert answer["statusCode"] == 202, answer
        return json.loads(answer["body"])  # type: ignore[no-any-return]

    def deliver(self, queue: Queue, body: str) -> None:
        name = FUNCTION_OF[queue]
        if name not in self.records:
            self.records[name] = event(f"{name}.due")["Records"][0]
        delivery = {"Records": [self.records[name] | {"body": body}]}
        verdict = self.timed(queue.value, self.handler(name), delivery, CONTEXT)
        assert verdict == {"batchItemFailures": []}, verdict

    def poll(self) -> bool:
        """Poll once. Return whether anything was sent; a round without is filed apart."""
        polled: Polled = self.timed("poll", self.product.poll)
        if polled.idle:
            self.samples["idle poll"].append(self.samples["poll"].pop())
        return not polled.idle

    def travel(self, *, papers: bool) -> None:
        """Deliver everything that was sent, and poll until nothing is left to send."""
        while True:
            while self.product.queue:
                queue, body = self.product.queue.popleft()
                if papers or queue not in PAPERS:
                    self.deliver(queue, body)
            if not self.poll():
                return

    def trips(self) -> dict[str, list[Sample]]:
        """Round trips of one reservation until CONFIRMADA, and until its papers are out; idle polls apart."""
        self.poll()  # so that no silence is long enough for a ping
        self.samples.clear()
        confirmed = None
        self.create()
        while self.product.queue or self.poll():
            queue, body = self.product.queue.popleft()
            self.deliver(queue, body)
            if queue is Queue.SUPPLIER and confirmed is None:
                confirmed = self._trips()
        assert confirmed is not None
        counts = {"CONFIRMADA": confirmed, "papers": self._trips()}
        return {name: [Sample(0, 0, trips)] for name, trips in counts.items()}

    def _trips(self) -> int:
        found = {name: samples for name, samples in self.samples.items() if name != "idle poll"}
        return sum(sample.trips for samples in found.values() for sample in samples)

    def run(self, number: int, *, papers: bool) -> None:
        for _ in range(number):
            self.create()
        self.travel(papers=papers)
