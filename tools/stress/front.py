"""Doors, steps and a poller in processes of their own, on the handlers: the service without an emulator.

Each process serves one request at a time, as an execution environment of Lambda does.
"""

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.queues import Queue as Channel
from multiprocessing.synchronize import Event
from typing import Any, TypeAlias

from local.events import event
from reservations.application.poll_outbox import poll_until
from reservations.domain.messages import Queue
from tools.bench.product import CONTEXT, FUNCTION_OF, Journeys, Json, Product, a_request, at_code

DOORS = 2
STEPS = 2
REDELIVERY_SECONDS = 6.0  # the visibility of the short profile
_context = multiprocessing.get_context("spawn")
Hints: TypeAlias = "Channel[tuple[str, str] | None]"


def _product(url: str, settings: dict[str, str], hints: Hints) -> Product:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def put(queue: Queue, body: str) -> None:
        hints.put((queue.value, body))

    return Product(url, "", put, settings=settings)


class _Door(BaseHTTPRequestHandler):
    """Turns HTTP into the gateway's events. The connection is closed, so that any process takes the next one."""

    journeys: Journeys
    events: dict[str, Json]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length).decode()
        key = {"Idempotency-Key": self.headers["Idempotency-Key"]}
        self._serve("create_reservation", a_request(self.events["create"], **key) | {"body": body})

    def do_GET(self) -> None:
        code = self.path.rpartition("/")[2]
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        tag = self.headers["If-None-Match"]
        more = {"If-None-Match": tag} if tag else {}
        self._serve("get_reservation", at_code(self.events["read"], code, token, **more))

    def _serve(self, function: str, request: Json) -> None:
        answer = self.journeys.handler(function)(request, CONTEXT)
        content = (answer.get("body") or "").encode()
        self.send_response_only(int(answer["statusCode"]))
        for name, values in answer.get("multiValueHeaders", {}).items():
            for value in values:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def serve(url: str, settings: dict[str, str], hints: Hints, listening: socket.socket) -> None:
    journeys = Journeys(_product(url, settings, hints))
    events = {
        "create": event("create_reservation.accepted"),
        "read": event("get_reservation.shown"),
    }
    for function in ("create_reservation", "get_reservation"):
        journeys.handler(function)
    door = type("Door", (_Door,), {"journeys": journeys, "events": events})
    server = HTTPServer(listening.getsockname(), door, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.serve_forever()


def work(url: str, settings: dict[str, str], hints: Hints) -> None:
    """Take each hint to its step. A failed one comes again after the visibility timeout."""
    journeys = Journeys(_product(url, settings, hints))
    while (hint := hints.get()) is not None:
        name, body = hint
        queue = Queue(name)
        record = event(f"{FUNCTION_OF[queue]}.due")["Records"][0] | {"body": body}
        verdict = journeys.handler(FUNCTION_OF[queue])({"Records": [record]}, CONTEXT)
        if verdict["batchItemFailures"]:
            threading.Timer(REDELIVERY_SECONDS, partial(hints.put, hint)).start()


def poll(url: str, settings: dict[str, str], hints: Hints, over: Event) -> None:
    product = _product(url, settings, hints)
    product.prepare()
    poll_until(
        over.is_set,
        uow=product.unit_of_work(),
        publisher=product.publisher,
        policy=product.policy(),
        pause=time.sleep,
    )


@contextmanager
def running(url: str, settings: dict[str, str]) -> Iterator[tuple[str, Hints]]:
    """Yield the URL of the doors and the queue between the processes."""
    hints: Hints = _context.Queue()
    over = _context.Event()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    common = (url, settings, hints)
    processes = [
        *(_context.Process(target=serve, args=(*common, listening)) for _ in range(DOORS)),
        *(_context.Process(target=work, args=common) for _ in range(STEPS)),
        _context.Process(target=poll, args=(*common, over)),
    ]
    for process in processes:
        process.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", hints
    finally:
        over.set()
        for process in processes:
            process.terminate()
            process.join()
        listening.close()
