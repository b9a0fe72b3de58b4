"""The two services under load: the embedded stack, and its handlers without the emulator."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from local import deployment
from local.database import chosen_engine
from local.paths import STACK_FILE, read_json
from local.processes import StackError
from reservations.adapters.mysql.address import Address
from reservations.domain.messages import Queue
from tests.worlds.databases import migrated_schema, url_of
from tools.bench.product import Json
from tools.stress import front


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A service: its door, its database, its providers and its queues."""

    key: str
    name: str
    url: str
    headers: dict[str, str]
    database_url: str
    stack: Json
    depth: Callable[[], int]
    send: Callable[[Queue, str], None]

    def faults(self, provider: str, mode: str, latency_ms: int = 0) -> None:
        url = f"{self.stack[f'{provider}_url']}/_sim/faults"
        body = {"mode": mode, "latency_ms": latency_ms}
        httpx.post(url, json=body, timeout=10, trust_env=False).raise_for_status()

    def heal(self) -> None:
        for provider in ("payments", "supplier"):
            self.faults(provider, "ok")


def stack() -> Json:
    """
    Raises:
        StackError: it is not up.
    """
    found = read_json(STACK_FILE)
    if not found:
        raise StackError("The stack is not up.", remedy="Start it: make up")
    return found


@contextmanager
def embedded() -> Iterator[Target]:
    described = stack()
    sqs: Any = deployment.client("sqs", described["aws_endpoint_url"])
    known = sqs.list_queues().get("QueueUrls", [])
    urls = {queue: _url_of(queue, known) for queue in Queue}
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def depth() -> int:
        found = [
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names) for url in urls.values()
        ]
        return sum(int(number) for each in found for number in each["Attributes"].values())

    def send(queue: Queue, body: str) -> None:
        sqs.send_message(QueueUrl=urls[queue], MessageBody=body)

    yield Target(
        key="embedded",
        name="pila embebida",
        url=described["api_url"],
        headers={"x-api-key": described["api_keys"]["partner"]},
        # InnoDB's counters need the account that may see the whole server.
        database_url=url_of(chosen_engine(), Address.of(described["database_url"]).database),
        stack=described,
        depth=depth,
        send=send,
    )


def _url_of(queue: Queue, urls: list[str]) -> str:
    """The template names its queues `PaymentQueue`, `PaymentLookQueue` and so on."""
    name = "".join(word.capitalize() for word in re.split("[-_]", queue.value))
    [url] = [url for url in urls if f"-{name}Queue-" in url]
    return url


@contextmanager
def handlers() -> Iterator[Target]:
    """The handlers behind a small HTTP server, on a schema of their own and the stack's providers."""
    described = stack()
    settings = {
        "payments-url": described["payments_url"],
        "supplier-url": described["supplier_url"],
        "payments-api-key": described["provider_keys"]["payments"],
        "supplier-api-key": described["provider_keys"]["supplier"],
        "saga-policy": deployment.SAGA_POLICY,
    }
    with migrated_schema("mysql") as url, front.running(url, settings) as (door, hints):
        yield Target(
            key="handlers",
            name="solo nuestro código",
            url=door,
            headers={},
            database_url=url,
            stack=described,
            depth=hints.qsize,
            send=lambda queue, body: hints.put((queue.value, body)),
        )
