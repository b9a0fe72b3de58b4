"""One reservation at a time through processes of their own: door, two workers, poller, and a queue in memory."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from reservations.application.poll_outbox import poll_until
from reservations.domain.messages import Queue
from tools.bench.floors import connection
from tools.bench.product import PAPERS, Journeys, Product, Tally

WORKERS = 2
PATIENCE_SECONDS = 20
_PAUSE_SECONDS = 0.1
_context = multiprocessing.get_context("spawn")

Hints = SimpleQueue[tuple[str, str] | None]


def _product(url: str, providers: str, hints: Hints) -> Product:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def put(queue: Queue, body: str) -> None:
        if queue not in PAPERS:
            hints.put((queue.value, body))

    return Product(url, providers, put)


def work(url: str, providers: str, hints: Hints, ready: Any) -> None:
    journeys = Journeys(_product(url, providers, hints))
    journeys.handler("process_payment"), journeys.handler("confirm_supplier")
    ready.release()
    while (hint := hints.get()) is not None:
        journeys.deliver(Queue(hint[0]), hint[1])


def poll(url: str, providers: str, hints: Hints, ready: Any, over: Event) -> None:
    product = _product(url, providers, hints)
    product.prepare()
    ready.release()
    poll_until(
        over.is_set,
        uow=product.unit_of_work(),
        publisher=product.publisher,
        policy=product.policy(),
        pause=time.sleep,
    )


def create(
    url: str, providers: str, hints: Hints, ready: Any, asked: SimpleQueue[bool | None]
) -> None:
    journeys = Journeys(_product(url, providers, hints))
    journeys.handler("create_reservation")
    ready.release()
    while asked.get():
        journeys.create()


@contextmanager
def _processes(url: str, providers: str) -> Iterator[SimpleQueue[bool | None]]:
    hints: Hints = _context.SimpleQueue()
    asked: SimpleQueue[bool | None] = _context.SimpleQueue()
    ready, over = _context.Semaphore(0), _context.Event()
    common = (url, providers, hints, ready)
    processes = [
        *(_context.Process(target=work, args=common) for _ in range(WORKERS)),
        _context.Process(target=poll, args=(*common, over)),
        _context.Process(target=create, args=(*common, asked)),
    ]
    for process in processes:
        process.start()
    try:
        for _ in processes:
            assert ready.acquire(timeout=PATIENCE_SECONDS)
        yield asked
    finally:
        over.set()
        asked.put(None)
        for _ in range(WORKERS):
            hints.put(None)
        for process in processes:
            process.join(PATIENCE_SECONDS)
            process.terminate()


def waits(url: str, providers: str, *, number: int, warm_up: int = 3) -> list[float]:
    """Create one reservation after another. Return the seconds to CONFIRMADA, by the database's clock."""
    found: list[float] = []
    with _processes(url, providers) as asked, connection(url, Tally()) as database:
        cursor = database.cursor()
        cursor.execute("SELECT UTC_TIMESTAMP(6)")
        [since] = cursor.fetchone()
        for turn in range(1, warm_up + number + 1):
            asked.put(True)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                time.sleep(_PAUSE_SECONDS)
                database.commit()
                cursor.execute(
                    "SELECT TIMESTAMPDIFF(MICROSECOND, created_at, confirmed_at) / 1e6"
                    " FROM reservation WHERE created_at >= %s AND confirmed_at IS NOT NULL"
                    " ORDER BY created_at",
                    (since,),
                )
                found = [float(seconds) for (seconds,) in cursor.fetchall()]
                if len(found) >= turn:
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not CONFIRMADA in {PATIENCE_SECONDS} s")
    return found[warm_up:]
