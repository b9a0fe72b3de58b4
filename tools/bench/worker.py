"""A warm process with one contestant: `python -m tools.bench.worker KIND DATABASE_URL PROVIDERS_URL`.

Each line of the input asks for a number of calls, or for seconds of them. Each line of the output has the samples.
"""

import json
import os
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import astuple
from functools import partial
from itertools import islice
from typing import Any

from local.events import event
from tools.bench import outbox
from tools.bench.product import (
    CONTEXT,
    Journeys,
    Json,
    Product,
    Sample,
    Tally,
    a_request,
    a_webhook,
    at_code,
    creations,
)

GROUP = 10  # journeys that share the rounds of the poller
WARM_UP = 20

Call = Callable[[], Any]
Samples = dict[str, list[Sample]]


class Contestant:
    """Something that can be asked for calls of a kind, by name."""

    tally: Tally

    def ready(self) -> None:
        self.run("create", number=WARM_UP)

    def calls(self, row: str) -> Iterator[Call]:
        raise NotImplementedError

    def run(self, row: str, *, number: int = 0, seconds: float = 0) -> Samples:
        """Time each call of a row. The calls are made ready before, outside the measure."""
        most = number or int(seconds * 3000)
        calls, samples = list(islice(self.calls(row), most)), []
        end = time.perf_counter() + seconds
        for call in calls:
            trips, wall, cpu = self.tally.trips, time.perf_counter(), time.process_time()
            call()
            used = (time.perf_counter() - wall, time.process_time() - cpu)
            samples.append(Sample(*used, self.tally.trips - trips))
            if seconds and time.perf_counter() >= end:
                break
        return {row: samples}


class Creator(Contestant):
    """A yardstick that only creates."""

    def __init__(self, handler: Any, tally: Tally) -> None:
        self._handler = handler
        self.tally = tally

    def calls(self, row: str) -> Iterator[Call]:
        return (partial(_answered, self._handler, request) for request in creations())


class Floor(Contestant):
    """The saga by hand."""

    def __init__(self, url: str, providers: str) -> None:
        from tools.bench.floors import SagaFloor

        self._saga = SagaFloor(url, providers)
        self.tally = self._saga.tally
        self._body = next(creations())["body"]

    def ready(self) -> None:
        self._journey()

    def _journey(self) -> None:
        self._saga.run(GROUP, lambda: self._body)

    def run(self, row: str, *, number: int = 0, seconds: float = 0) -> Samples:
        return _in_groups(self._journey, self.tally, number=number, seconds=seconds)


class Whole(Contestant):
    """The product: every row but the cold starts."""

    def __init__(self, url: str, providers: str) -> None:
        self._product = Product(url, providers)
        self._journeys = Journeys(self._product)
        self.tally = self._product.tally
        self._known: Json = {}

    def run(self, row: str, *, number: int = 0, seconds: float = 0) -> Samples:
        journeys = self._journeys
        journeys.samples.clear()
        self._product.queue.clear()
        if row == "sustained":
            turn = lambda: journeys.run(GROUP, papers=False)  # noqa: E731
            return _in_groups(turn, self.tally, number=number, seconds=seconds)
        if row.startswith("outbox"):
            return outbox.drained(self._product, row.partition(" ")[2], hints=number)
        if row == "trips":
            return journeys.trips()
        if row == "steps":
            for _ in range(number):
                journeys.run(1, papers=True)
            return {name: each for name, each in journeys.samples.items() if each}
        samples = super().run(row, number=number, seconds=seconds)
        self._product.queue.clear()
        return samples

    def calls(self, row: str) -> Iterator[Call]:
        create = self._journeys.handler("create_reservation")
        match row:
            case "create":
                requests = creations()
                return (partial(_answered, create, request) for request in requests)
            case "replay":
                request = next(creations())
                _answered(create, request)
                return iter(lambda: lambda: _answered(create, request), None)
            case "idle poll":
                return iter(lambda: self._product.poll, None)
            case "cancel":
                return self._cancellations()
            case "webhook":
                return self._webhooks()
            case "voucher" | "page":
                from tools.bench import papers

                return iter(lambda: getattr(papers, row), None)
        return self._reads(row)

    def _reads(self, row: str) -> Iterator[Call]:
        read = self._journeys.handler("get_reservation")
        if not self._known:
            self._known = self._journeys.create()
            self._journeys.travel(papers=True)
        code, token = self._known["reservation_code"], self._known["access_token"]
        case = "timeline" if row == "timeline" else "shown"
        request = at_code(event(f"get_reservation.{case}"), code, token)
        shown = _answered(read, request, 200)
        assert case == "timeline" or "CONFIRMADA" in shown["body"], shown
        if row == "GET 304":
            [tag] = shown["multiValueHeaders"]["ETag"]
            request = a_request(request, **{"If-None-Match": tag})
        expected = 304 if row == "GET 304" else 200
        return iter(lambda: lambda: _answered(read, request, expected), None)

    def _cancellations(self) -> Iterator[Call]:
        cancel, base = (
            self._journeys.handler("cancel_reservation"),
            event("cancel_reservation.accepted"),
        )
        while True:
            made = self._journeys.create()
            key = {"Idempotency-Key": str(uuid.uuid4())}
            request = at_code(base, made["reservation_code"], made["access_token"], **key)
            yield partial(_answered, cancel, request, 200, 202)

    def _webhooks(self) -> Iterator[Call]:
        receive, base = (
            self._journeys.handler("receive_webhook"),
            event("receive_webhook.payment_succeeded"),
        )
        reference = self._reference()
        while True:
            request = a_webhook(base, reference)
            yield partial(_answered, receive, request, 200)

    def _reference(self) -> str:
        """The id of a reservation, as its first hint names it."""
        self._product.queue.clear()
        self._journeys.create()
        while not self._product.queue:
            self._product.poll()
        _, body = self._product.queue.pop()
        return str(json.loads(body)["reservation_id"])


def _answered(handler: Any, request: Json, *expected: int) -> Json:
    answer: Json = handler(request, CONTEXT)
    assert answer["statusCode"] in (expected or (202,)), answer
    return answer


def _in_groups(turn: Call, tally: Tally, *, number: int, seconds: float) -> Samples:
    """Time groups of journeys, each counted as one call per journey."""
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    end = time.perf_counter() + seconds
    while len(samples["journey"]) < number or time.perf_counter() < end:
        trips, wall, cpu = tally.trips, time.perf_counter(), time.process_time()
        turn()
        used = (time.perf_counter() - wall, time.process_time() - cpu)
        each = Sample(used[0] / GROUP, used[1] / GROUP, (tally.trips - trips) // GROUP)
        samples["journey"] += [each] * GROUP
    return samples


def contestant(kind: str, url: str, providers: str) -> Contestant:
    match kind:
        case "create floor":
            from tools.bench.floors import CreateFloor

            floor = CreateFloor(url)
            return Creator(floor, floor.tally)
        case "conventional":
            from tools.bench.conventional import make_handler

            tally = Tally()
            return Creator(make_handler(url, tally), tally)
        case "saga floor":
            return Floor(url, providers)
    return Whole(url, providers)


class Worker:
    """A contestant in a process of its own, seen from the bench."""

    def __init__(self, kind: str, url: str, providers: str) -> None:
        command = [sys.executable, "-m", "tools.bench.worker", kind, url, providers]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait(self) -> None:
        assert self._read() == "ready"

    def ask(self, row: str, *, number: int = 0, seconds: float = 0) -> None:
        assert self._process.stdin
        self._process.stdin.write(
            json.dumps({"row": row, "number": number, "seconds": seconds}) + "\n"
        )
        self._process.stdin.flush()

    def hear(self) -> Samples:
        answer = self._read()
        return {name: [Sample(*each) for each in samples] for name, samples in answer.items()}

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError("a contestant of the bench has died")
        return json.loads(line)

    def end(self) -> None:
        with self._process:
            assert self._process.stdin
            self._process.stdin.close()


def main(kind: str, url: str, providers: str) -> None:
    # Functions write their log lines and metrics to a pipe, as on Lambda; nobody reads it here.
    protocol = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    one = contestant(kind, url, providers)
    one.ready()
    print(json.dumps("ready"), file=protocol, flush=True)
    for line in sys.stdin:
        samples = one.run(**json.loads(line))
        named = {name: [astuple(each) for each in found] for name, found in samples.items()}
        print(json.dumps(named), file=protocol, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
