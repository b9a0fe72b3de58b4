"""The surroundings of the functions in normal operation: poller, queues, webhooks and providers."""

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self

from botocore.exceptions import ClientError
from sqlalchemy import Engine, create_engine, text

from local.database import chosen_engine
from reservations.adapters.mysql.address import connector
from reservations.adapters.mysql.engine import Database
from reservations.adapters.mysql.retention import MySqlRetention
from reservations.adapters.mysql.tables import METADATA
from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork
from reservations.application.cases import Cases
from reservations.application.operate import resolve_review
from reservations.config import SagaProfile
from reservations.domain.errors import UnavailableError
from reservations.domain.facts import Decision
from reservations.domain.messages import Queue
from tests.proofs.crash.boundaries import Blow, Order, is_cold
from tests.proofs.crash.cloud import MAIL_SET, SENDER, Cloud
from tests.proofs.crash.environment import Environment, Invocation, Nursery, Outcome
from tests.worlds.databases import empty_schema, migrated_schema
from tests.worlds.invocation import an_event
from tests.worlds.providers import Receiver, Simulator

STOP_SECONDS = 2.3  # the servers' lock wait is 2 s
PATIENCE_SECONDS = 120
PENDING_SECONDS = 1.5
_PAUSE_SECONDS = 0.03
_SECRET = "whsec_" + base64.b64encode(b"secret-of-both-providers" + bytes(8)).decode()
_KEY_RING = {"current": "k1", "keys": {"k1": base64.b64encode(bytes(32)).decode()}}
_API_KEY_ID = "l3pk9vw2d1"
_MODES = {"web": {"public": True, "quote": "off", "duplicate_charge": "refuse"}}

# As short as a busy machine allows: a call may take 2 s (connect twice, read), and start 4 s late.
SAGA: Mapping[str, object] = {
    "profile": "short",
    "timeouts": {
        f"{provider}_{what}": seconds
        for provider in ("payments", "supplier")
        for what, seconds in (("connect", 0.5), ("read", 1.0))
    },
}
SAGA_POLICY: Mapping[str, object] = {
    "ladder": [0.3, 0.5, 1, 1, 2, 4],
    "ladder_end": 4,
    "retry_after_limit": 2,
    "aftercare": [0.5],
    "one_look": 0.5,
    "suspicion": [0.3, 0.6, 1, 2],
    "absence_believed": 0.9,
    "change_believed": 0.5,
    "refund_believed": 0.5,
    "hold": 120,
    "hold_limit": 120,
    "call_limit": 6,
    "visibility": 0.1,
    "not_found_gap": 0.1,
    "hint_grace": 0.6,
    "hint_lease": 2,
    "hint_lease_limit": 4,
    "mail_repeat": 3,
}
DURATIONS = SagaProfile.model_validate({**SAGA, "policy": SAGA_POLICY}).durations

MAIL_EVENTS = "mail-events"
CONSUMERS: dict[str, str] = {
    Queue.PAYMENT: "process_payment",
    Queue.PAYMENT_LOOK: "process_payment",
    Queue.SUPPLIER: "confirm_supplier",
    Queue.SUPPLIER_LOOK: "confirm_supplier",
    Queue.VOUCHER: "issue_voucher",
    Queue.NOTIFICATION: "notify_customer",
    MAIL_EVENTS: "record_mail_event",
}
_MIGRATING = Lock()  # Alembic's context is one for the whole process
ONE_ROUND_MS = (60_000, 0)  # the poller's remaining time: enough for one round only

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """Strike the `nth` invocation of a function in a story, or a later one that fits the order."""

    function: str
    nth: int
    order: Order


@dataclass(slots=True)
class _Struck:
    """A stopped invocation, and the callback for its outcome."""

    environment: Environment
    resume_at: float
    conclude: Callable[[Outcome], None]
    resumed: bool = False


@dataclass(slots=True)
class Story:
    """The record of one case: invocations of each function, crossings seen, and the place of the blow."""

    strike: Strike | None = None
    cold: set[str] | None = None  # while recording: functions whose cold start was recorded
    order: Order | None = None  # set once it is carried out
    counts: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[str, int, list[str]]] = field(default_factory=list)
    struck_in: str | None = None
    last_error: str | None = None


class World:
    """A database schema, two providers, queues and a bucket. They survive every killed function."""

    def __init__(self, name: str, *, cloud: Cloud, nursery: Nursery, folder: Path) -> None:
        self._name = name
        self._cloud = cloud
        self._nursery = nursery
        self._folder = folder
        self._stack = ExitStack()
        self._stopped: _Struck | None = None
        self._environ: dict[str, str] = {}
        self._last_events: dict[str, Json] = {}
        self._behind: set[Queue] = set()
        self.story = Story()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._open(opening.enter_context)
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._steady.close()
        self._stack.close()

    def _open(self, enter: Callable[[AbstractContextManager[Any]], Any]) -> None:
        with _MIGRATING:
            self._database_url: str = enter(migrated_schema(chosen_engine()))
        # One connection, checked before use.
        self._engine = create_engine(
            self._database_url, pool_size=1, pool_pre_ping=True, isolation_level="AUTOCOMMIT"
        )
        enter(closing_pool(self._engine))
        self.receivers: dict[str, Receiver] = {}
        self.simulators: dict[str, Simulator] = {}
        for provider in ("payments", "supplier"):
            receiver = self.receivers[provider] = enter(Receiver())
            simulator = Simulator(provider, self._folder, pending_seconds=PENDING_SECONDS)
            self.simulators[provider] = enter(simulator)
            simulator.tell(receiver.url, _SECRET)
        queues = {queue: self._cloud.queue(f"{self._name}-{queue}") for queue in CONSUMERS}
        self._dead_letters = self._cloud.queue(f"{self._name}-dead")
        self.bucket = self._cloud.bucket(f"{self._name}-documents")
        self._write_parameters(f"/{self._name}")
        self._environ = {
            "SETTINGS_PATH": f"/{self._name}",
            "DEAD_LETTER_QUEUE_URL": self._dead_letters,
            "DOCUMENT_BUCKET": self.bucket,
            "BUCKET_ADDRESSING": "path",
            "MAIL_CONFIGURATION_SET": MAIL_SET,
            "ALLOWED_ORIGIN": "https://www.reservations.example",
            **{f"{queue.upper()}_QUEUE_URL": queues[queue] for queue in Queue},
        }
        self._queues = queues
        self._steady = self._nursery.fork(self._environ)

    def _write_parameters(
        self,
        path: str,
        *,
        database_url: str | None = None,
        policy: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        clients = {_API_KEY_ID: "web"}
        values = {
            "database-url": database_url or self._database_url,
            "payments-url": self.simulators["payments"].url,
            "supplier-url": self.simulators["supplier"].url,
            "payments-api-key": "payments-key",
            "supplier-api-key": "supplier-key",
            "access-token-keys": json.dumps(_KEY_RING),
            "webhook-secrets-payments": json.dumps([_SECRET]),
            "webhook-secrets-supplier": json.dumps([_SECRET]),
            "mail-sender": SENDER,
            "manage-url": "https://www.viajes.example/reserva",
            "mails-per-hour": json.dumps({"address": 3, "client": 500}),
            "support-contact": "soporte@example.com",
            "public-base-url": "https://api.reservations.example/live",
            "api-clients": json.dumps(clients),
            "client-modes": json.dumps(_MODES),
            "quote-keys": json.dumps({"keys": []}),
            "saga-policy": json.dumps({**SAGA, "policy": {**SAGA_POLICY, **policy}}),
        }
        for name, value in values.items():
            self._cloud.ssm.put_parameter(
                Name=f"{path}/{name}", Value=value, Type="String", Overwrite=True
            )

    # --- one case -------------------------------------------------------------

    def begin(self, *, strike: Strike | None = None, cold: set[str] | None = None) -> None:
        """Delete everything of the previous case: rows, messages, ledgers and webhooks."""
        self.story = Story(strike=strike, cold=cold)
        self._last_events.clear()
        self._cloud.before_storing(self.bucket, None)
        with self._engine.begin() as connection:
            for table in reversed(METADATA.sorted_tables):
                connection.execute(table.delete())
        for url in (*self._queues.values(), self._dead_letters):
            self._cloud.sqs.purge_queue(QueueUrl=url)
        for provider, simulator in self.simulators.items():
            simulator.post("/_sim/reset").raise_for_status()
            self.receivers[provider].received.clear()

    def abandon(self) -> None:
        """End all processes of a failed case."""
        if self._stopped is not None:
            self._stopped.environment.kill()
            self._stopped = None
        self._renew()

    def _renew(self) -> None:
        self._steady.close()
        self._steady = self._nursery.fork(self._environ)

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """Point the functions at a schema without tables during the block. Yield its URL."""
        with empty_schema(chosen_engine()) as url, self._elsewhere(database_url=url):
            yield url

    def hurried(self, policy: Mapping[str, object]) -> AbstractContextManager[None]:
        """Give the functions other durations (seconds) during the block."""
        return self._elsewhere(policy=policy)

    @contextmanager
    def _elsewhere(self, **settings: Any) -> Iterator[None]:
        usual, path = self._environ, f"/{self._name}-elsewhere"
        self._write_parameters(path, **settings)
        self._environ = {**usual, "SETTINGS_PATH": path}
        self._renew()
        try:
            yield
        finally:
            self._environ = usual
            self._renew()

    def invoke(
        self,
        function: str,
        event: Json,
        *,
        remaining_ms: tuple[int, ...] = (60_000,),
        conclude: Callable[[Outcome], None] = lambda _: None,
    ) -> Outcome:
        """Run a function to its end, or to the blow of this case.

        `conclude` receives the end, also one that comes later, after a stop.
        """
        story = self.story
        story.counts[function] += 1
        order = self._order_for(function)
        cold = story.cold is not None and function not in story.cold
        if story.cold is not None:
            story.cold.add(function)
        # Use a warm process unless the case is about a cold start: repeated cold starts would be too late to call.
        alone = cold or (order is not None and is_cold(order.crossings[-1]))
        environment = self._nursery.fork(self._environ) if alone else self._steady
        environment.begin(
            Invocation(function=function, event=event, remaining_ms=remaining_ms), order
        )
        while not environment.answers_within(_PAUSE_SECONDS):
            self.tend()
        outcome = environment.outcome()
        story.last_error = outcome.error or story.last_error
        if outcome.blow is not None:
            story.struck_in, story.order, story.strike = function, order, None
        if story.cold is not None:
            story.seen.append((function, story.counts[function], outcome.crossings))
        if outcome.blow is not None and not alone:
            self._steady = self._nursery.fork(self._environ)
        if outcome.blow is Blow.STOP:
            self._stopped = _Struck(environment, time.monotonic() + STOP_SECONDS, conclude)
        else:
            if environment is not self._steady:
                environment.close()
            conclude(outcome)
        return outcome

    def _order_for(self, function: str) -> Order | None:
        strike = self.story.strike
        if strike and strike.function == function and self.story.counts[function] >= strike.nth:
            return strike.order
        return None

    def tend(self) -> None:
        """Resume the stopped invocation when it is time, and collect its outcome."""
        stopped = self._stopped
        if stopped is None:
            return
        if not stopped.resumed and time.monotonic() >= stopped.resume_at:
            stopped.environment.resume()
            stopped.resumed = True
        if stopped.resumed and stopped.environment.answers_within(0):
            self._stopped = None
            outcome = stopped.environment.outcome()
            stopped.environment.close()
            stopped.conclude(outcome)

    def run(self, function: str, event: Json) -> Json:
        """Invoke a function, with retries until it succeeds, as a schedule or a deployment does."""
        answers: list[Json] = []

        def conclude(outcome: Outcome) -> None:
            answers.extend([outcome.answer] if outcome.answer is not None else [])

        def ran() -> bool:
            self.invoke(function, event, conclude=conclude)
            return bool(answers)

        self.wait_until(ran, what=f"a success of {function}")
        self.wait_until(self.undisturbed, what="the end of the stopped invocation")
        return answers[0]

    # --- normal operation -----------------------------------------------------

    def round(self) -> None:
        """One round of normal operation: deliver webhooks, run the poller, deliver messages to their steps."""
        self.tend()
        for provider, receiver in self.receivers.items():
            for webhook in receiver.received[:]:
                if self._deliver(provider, webhook.headers, webhook.body):
                    receiver.received.remove(webhook)
        self.invoke("poll_outbox", an_event("poll_outbox.every_minute"), remaining_ms=ONE_ROUND_MS)
        for queue in (queue for queue in CONSUMERS if queue not in self._behind):
            self._consume(queue)

    @contextmanager
    def behind(self, queue: Queue) -> Iterator[None]:
        """Leave a queue without a consumer during the block."""
        self._behind.add(queue)
        try:
            yield
        finally:
            self._behind.clear()

    def refusing(self, queue: Queue) -> AbstractContextManager[None]:
        """Make a queue refuse every hint during the block, as if it were our own fault."""
        return self._cloud.refusing(self._queues[queue])

    @contextmanager
    def _desk(self) -> Iterator[Database]:
        """The database as `ops` opens it."""
        database = Database(connector(self._database_url))
        try:
            yield database
        finally:
            database.close()

    def revive_hints(self) -> None:
        """Revive dead hints, as `ops outbox revive` does."""
        with self._desk() as database:
            MySqlRetention(database).revive(queue=None, actor="operator")

    def decide(self, code: str, decision: Decision, *, evidence: str) -> None:
        """Answer a review, as `ops review resolve` does. Repeat it while a function holds the lock."""

        def decided() -> bool:
            with self._desk() as database:
                cases = Cases(uow=MySqlUnitOfWork(database), policy=DURATIONS, actor="operator")
                try:
                    resolve_review(code, decision, evidence=evidence, cases=cases)
                except UnavailableError:
                    return False
                return True

        self.operate_until(decided, what=f"the decision {decision}")

    def waiting(self, queue: Queue) -> int:
        """Number of messages in a queue."""
        return self._cloud.waiting(self._queues[queue])

    def tell_of_mail(self, body: str) -> None:
        """Put an event of SES on our queue, as its topic does."""
        self._cloud.sqs.send_message(QueueUrl=self._queues[MAIL_EVENTS], MessageBody=body)

    def poison(self) -> int:
        """Send an unreadable message to each queue and wait until all are dead-lettered.

        Return the number of dead letters, and drop them.
        """
        for url in self._queues.values():
            self._cloud.sqs.send_message(QueueUrl=url, MessageBody="{")
        self.operate_until(self._queues_are_empty, what="nothing left on the queues")
        set_aside = self.dead_letters()
        self._cloud.sqs.purge_queue(QueueUrl=self._dead_letters)
        return set_aside

    def _queues_are_empty(self) -> bool:
        return self.undisturbed() and not any(map(self._cloud.waiting, self._queues.values()))

    def _deliver(self, provider: str, headers: Mapping[str, str], body: bytes) -> bool:
        names = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature")
        event = api_event(
            "POST",
            f"/v1/webhooks/{provider}",
            body=body.decode(),
            headers={name: headers[name] for name in names},
            api_key_id=None,
        )
        self._last_events["receive_webhook"] = event
        answer = self.invoke("receive_webhook", event).answer
        return answer is not None and answer["statusCode"] == 200

    def _consume(self, queue: str) -> None:
        url = self._queues[queue]
        if not self._cloud.waiting(url):
            return
        received = self._cloud.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        for message in received.get("Messages", []):

            def delete_if_taken(outcome: Outcome, receipt: str = message["ReceiptHandle"]) -> None:
                if outcome.answer is not None and not outcome.answer["batchItemFailures"]:
                    self._cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=receipt)

            event = self._last_events[CONSUMERS[queue]] = sqs_event(queue, message)
            self.invoke(CONSUMERS[queue], event, conclude=delete_if_taken)

    def redrive(self) -> None:
        """Deliver the last message of each queue, and the last webhook, once more."""
        for function, event in self._last_events.items():
            self.invoke(function, event)

    def operate_until(self, reached: Callable[[], bool], *, what: str) -> None:
        """
        Raises:
            TimeoutError: it did not happen within PATIENCE_SECONDS of normal operation.
        """
        self.wait_until(reached, what=what, meanwhile=self.round)

    def wait_until(
        self, reached: Callable[[], bool], *, what: str, meanwhile: Callable[[], None] | None = None
    ) -> None:
        """
        Raises:
            TimeoutError: it did not happen within PATIENCE_SECONDS.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"never: {what}; {self._left()}")
            (meanwhile or self.tend)()
            time.sleep(_PAUSE_SECONDS)

    def _left(self) -> str:
        """Unfinished work and the last error, to explain a timeout."""
        due = self.rows(
            "SELECT state, next_check_at, UTC_TIMESTAMP(6) now FROM reservation WHERE settled = 0"
        )
        calls = self.rows("SELECT operation, status, looks, attempts, check_at FROM provider_call")
        doubts = self.rows("SELECT kind, seen, looks, check_at, closed_at FROM contradiction")
        hints = self.rows(
            "SELECT queue, refusals, available_at FROM outbox WHERE status = 'pending'"
        )
        stopped = "" if self.undisturbed() else "an invocation is still stopped"
        left: Json = {"due": due, "calls": calls, "doubts": doubts, "hints": hints}
        left |= {"ran": dict(self.story.counts)}
        return f"{stopped} {json.dumps(left, default=str)}\n{self.story.last_error or ''}"

    def undisturbed(self) -> bool:
        """True if no invocation is stopped."""
        return self._stopped is None

    def at_rest(self) -> bool:
        """True if no invocation is stopped, nothing is due, and no hint or webhook is under way."""
        return (
            self.undisturbed()
            and not self.rows("SELECT id FROM reservation WHERE settled = 0")
            and not self.rows("SELECT id FROM outbox WHERE status = 'pending'")
            and not any(receiver.received for receiver in self.receivers.values())
        )

    # --- contents --------------------------------------------------------------

    def rows(self, sql: str, **values: object) -> list[Json]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def change(self, sql: str, **values: object) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(sql), values)

    def dead_letters(self) -> int:
        count: Literal["ApproximateNumberOfMessages"] = "ApproximateNumberOfMessages"
        answer = self._cloud.sqs.get_queue_attributes(
            QueueUrl=self._dead_letters, AttributeNames=[count]
        )
        return int(answer["Attributes"][count])

    def document(self, key: str) -> bytes | None:
        """Content of an object, or `None` if the store has no such object."""
        try:
            return self._cloud.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None

    def lose_documents(self) -> None:
        """Delete from the store every document that the database lists."""
        for row in self.rows("SELECT s3_key FROM document"):
            self._cloud.s3.delete_object(Bucket=self.bucket, Key=row["s3_key"])

    def remove_documents_meanwhile(self) -> None:
        """Mark the documents as erased while the next object is on its way to the store."""
        mark = "UPDATE document SET removed_at = UTC_TIMESTAMP(6)"
        self._cloud.before_storing(self.bucket, lambda: self.change(mark))

    def mails_to(self, address: str) -> list[str]:
        return self._cloud.mails_to(address)


@contextmanager
def closing_pool(engine: Engine) -> Iterator[None]:
    try:
        yield
    finally:
        engine.dispose()


def api_event(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    body: str | None = None,
    api_key_id: str | None = _API_KEY_ID,
) -> Json:
    """An event of API Gateway."""
    event = an_event("create_reservation.accepted")
    event |= {"httpMethod": method, "path": path, "resource": path, "body": body}
    event |= {
        "headers": dict(headers),
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
    }
    event["requestContext"]["identity"]["apiKeyId"] = api_key_id
    return event


def sqs_event(queue: str, message: Mapping[str, Any]) -> Json:
    """The event of Lambda's poller for one message."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
        "awsRegion": "eu-west-1",
    }
    return {"Records": [record]}
