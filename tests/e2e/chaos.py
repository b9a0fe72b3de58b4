"""Kill processes of the stack while travelers reserve, and check the promises afterwards.

`make chaos` kills each process, then two at once, and prints the figures. `test_chaos.py` is the short form.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

import httpx
from sqlalchemy.exc import SQLAlchemyError

from local import processes
from local.database import chosen_engine
from local.paths import ROOT, STACK_FILE, read_json
from reservations.domain.words import FINAL, State
from tests.e2e import contract
from tests.e2e.backstage import Backstage
from tests.e2e.ledgers import EMULATOR_FAULT, ProvidersBooks
from tests.e2e.travel import Json, a_request, new_key, quoted, remember

DOWN_SECONDS = 4.0  # from a kill to the restart, so that travelers meet the outage
PATIENCE_SECONDS = 240.0  # for accepted reservations to end, and for a traveler to get an answer
COMMAND_SECONDS = 240
AT_ONCE = 6  # travelers who wait for an answer at the same time
# With this many unfinished reservations no new traveler comes: a slow machine must not drown in its backlog.
MOST_ON_THE_WAY = 30
SAMPLE_SECONDS = 0.5
SEARCHED_FOR = 8  # the data of each eighth traveler are searched for in logs, queues and tables
DATABASE = "database"
EVERYTHING = (
    (DATABASE,),
    ("payments",),
    ("supplier",),
    ("localstack",),
    (DATABASE, "payments"),
    ("localstack", "supplier"),
)
_RESTING = ", ".join(f"'{state}'" for state in sorted({*FINAL, State.SUPPLIER_CONFIRMED}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """The effects of one fault. Times are in seconds."""

    killed: tuple[str, ...]
    restarted_s: float  # from the kill until the processes ran again
    accepting_s: float | None  # from the restart until the next 202
    caught_up_s: float  # from the restart until every earlier reservation was at rest
    refused: int
    unavailable: int


@dataclass(slots=True)
class Figures:
    """The answers that travelers got, and every broken promise."""

    answers: Counter[int] = field(default_factory=Counter)
    posts: int = 0
    refused: int = 0  # no connection, a broken one, or no gateway behind it
    emulator_faults: int = 0
    retries: int = 0  # requests sent again with the same key
    accepted: int = 0
    accepted_at: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    strikes: list[Strike] = field(default_factory=list)
    outbox_lag_s: float = 0
    on_the_way: int = 0  # at the last sample
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A reservation as its traveler holds it."""

    request: Json
    key: str
    code: str
    bearer: str

    @property
    def email(self) -> str:
        return str(self.request["customer"]["email"])


class Travelers:
    """Travelers who come at a steady rate, and retry with the same key until they get an answer."""

    def __init__(self, client: httpx.Client, figures: Figures, *, per_second: float) -> None:
        self._client = client
        self._figures = figures
        self._pause = 1 / per_second
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._stack = read_json(STACK_FILE)
        self._api_url = ""
        self.accepted: list[Accepted] = []

    @contextmanager
    def traveling(self) -> Iterator[None]:
        """Let travelers come during the block. Afterwards wait until each has an answer."""
        with ThreadPoolExecutor(AT_ONCE + 1) as pool:
            coming = pool.submit(self._come, pool)
            try:
                yield
            finally:
                self._enough.set()
            coming.result()

    def _come(self, pool: ThreadPoolExecutor) -> None:
        under_way = threading.BoundedSemaphore(AT_ONCE)
        number = 0
        while not self._enough.wait(self._pause):
            if self._figures.on_the_way >= MOST_ON_THE_WAY:
                continue
            under_way.acquire()
            number += 1
            pool.submit(self._travel, number).add_done_callback(lambda _: under_way.release())

    def _travel(self, number: int) -> None:
        request, key = a_request(), new_key()
        try:
            request = quoted(self._client, request, stack=self._stack)
            answer = self._post(request, key)
            if answer.status_code != httpx.codes.ACCEPTED:
                return self._complain(f"{answer.status_code} to a new key")
            accepted = self._keep(request, key, answer.json())
            if number % SEARCHED_FOR == 0:
                remember(answer)
            return self._go_on(number % 8, accepted, answer)
        except Exception as error:  # this thread's result is never read
            return self._complain(f"{type(error).__name__}: {error}")

    def _keep(self, request: Json, key: str, created: Json) -> Accepted:
        accepted = Accepted(
            request=request,
            key=key,
            code=created["reservation_code"],
            bearer=f"Bearer {created['access_token']}",
        )
        with self._lock:
            self.accepted.append(accepted)
            self._figures.accepted += 1
            self._figures.accepted_at.append(time.monotonic())
        return accepted

    def _go_on(self, choice: int, accepted: Accepted, answer: httpx.Response) -> None:
        """Repeat the request, reuse its key, cancel, or, mostly, read."""
        match choice:
            case 3:
                if self._post(accepted.request, accepted.key).content != answer.content:
                    self._complain(f"{accepted.code}: the same key got another answer")
            case 5:
                other = accepted.request | {"payment_token": "tok_declined"}
                status = self._post(other, accepted.key).status_code
                if status != httpx.codes.UNPROCESSABLE_ENTITY:
                    self._complain(f"{accepted.code}: {status} to a key used again")
            case 6:
                self._ask("POST", f"/{accepted.code}/cancel", accepted, key=new_key())
            case _:
                self.look(accepted)

    def look(self, accepted: Accepted) -> Json:
        reading: Json = self._ask("GET", f"/{accepted.code}", accepted).json()
        return reading

    def _post(self, request: Json, key: str) -> httpx.Response:
        self._count(posts=1)
        return self._answered(
            lambda url: self._client.build_request(
                "POST", f"{url}/v1/reservations", json=request, headers=_headers(key)
            )
        )

    def _ask(
        self, method: str, path: str, accepted: Accepted, *, key: str | None = None
    ) -> httpx.Response:
        headers = _headers(key) | {"Authorization": accepted.bearer}
        return self._answered(
            lambda url: self._client.build_request(
                method, f"{url}/v1/reservations{path}", headers=headers
            )
        )

    def _answered(self, request: Callable[[str], httpx.Request]) -> httpx.Response:
        """Retry until there is a final answer.

        Raises:
            AssertionError: an answer is not in the contract, or none came in time.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = self._sent(request(self._address()))
            if answer is None:
                again_in = 1.0
            elif answer.status_code == 503 or _in_flight(answer):
                again_in = float(answer.headers["Retry-After"])
            else:
                return answer
            self._count(retries=1)
            threading.Event().wait(again_in)
        raise AssertionError("a traveler got no answer")

    def _sent(self, request: httpx.Request) -> httpx.Response | None:
        """The answer, checked against the contract. `None` if no API was there to give one."""
        try:
            answer = self._client.send(request)
        except httpx.TransportError:
            self._count(refused=1)
            return None
        if answer.status_code == 404 and "deployed API Gateway API" in answer.text:
            self._count(refused=1)
            return None
        if answer.status_code == 500 and EMULATOR_FAULT in answer.text:
            self._count(emulator_faults=1)
            return None
        with self._lock:
            self._figures.answers[answer.status_code] += 1
        _judge(answer)
        return answer

    def _address(self) -> str:
        """The API's address, or its last known one during a restart."""
        self._api_url = read_json(STACK_FILE).get("api_url") or self._api_url
        return self._api_url

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self._figures, name, getattr(self._figures, name) + number)

    def _complain(self, what: str) -> None:
        with self._lock:
            self._figures.broken.append(what)


def _headers(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _in_flight(answer: httpx.Response) -> bool:
    return answer.status_code == 409 and answer.json()["code"] == "request_in_flight"


def _judge(answer: httpx.Response) -> None:
    """Assert that an answer obeys the contract, and that the only 5xx is 503."""
    where = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
    assert answer.status_code in (200, 202, 409, 422, 503), f"{where} {answer.text[:200]}"
    contract.judge(answer)
    if answer.status_code == 503:
        assert answer.headers["Content-Type"] == "application/problem+json", where
        assert int(answer.headers["Retry-After"]) >= 1, where


# --- faults


def _kill(names: Collection[str]) -> None:
    for name in names:
        pid = processes.pid_of(chosen_engine() if name == DATABASE else name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, signal.SIGKILL)


def _stack(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "local.stack", *arguments],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=COMMAND_SECONDS,
    )


def _strike(names: tuple[str, ...], figures: Figures, *, since: datetime) -> Strike:
    """Kill, let travelers meet the outage, restart as a supervisor does, wait for recovery."""
    before = (figures.refused, figures.answers[503])
    began = time.monotonic()
    _kill(names)
    threading.Event().wait(DOWN_SECONDS)
    _stack("up")
    back = time.monotonic()
    backstage = Backstage(read_json(STACK_FILE))
    until = _database_time(backstage)
    _until_none(lambda: _on_the_way(backstage, since, until), after=f"the kill of {names}")
    caught_up = time.monotonic()
    accepting = min((at for at in figures.accepted_at if at > back), default=None)
    return Strike(
        killed=names,
        restarted_s=back - began,
        accepting_s=None if accepting is None else accepting - back,
        caught_up_s=caught_up - back,
        refused=figures.refused - before[0],
        unavailable=figures.answers[503] - before[1],
    )


def _database_time(backstage: Backstage) -> datetime:
    [row] = backstage.rows("SELECT UTC_TIMESTAMP(6) AS now")
    now: datetime = row["now"]
    return now


def _on_the_way(backstage: Backstage, since: datetime, until: object = "9999-01-01") -> list[Json]:
    """Unfinished reservations of this run only: earlier ones may wait for an operator for ever."""
    return backstage.rows(
        f"SELECT code, state, created_at, next_check_at, UTC_TIMESTAMP(6) AS now FROM reservation"
        f" WHERE created_at BETWEEN :since AND :until AND state NOT IN ({_RESTING})",
        since=since,
        until=until,
    )


def _until_none(left: Callable[[], list[Json]], *, after: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while rows := left():
        if time.monotonic() > deadline:
            told = "\n".join(" ".join(f"{name}={row[name]}" for name in row) for row in rows)
            raise AssertionError(f"{PATIENCE_SECONDS} s after {after}, still unfinished:\n{told}")
        threading.Event().wait(SAMPLE_SECONDS)


@contextmanager
def _watching(stack: Json, figures: Figures, *, since: datetime) -> Iterator[None]:
    """Sample the age of the oldest pending hint and the unfinished reservations, while the database answers."""
    backstage, over = Backstage(stack), threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            try:
                [row] = backstage.rows(
                    "SELECT MAX(TIMESTAMPDIFF(MICROSECOND, occurred_at, UTC_TIMESTAMP(6))) / 1e6 AS s"
                    " FROM outbox WHERE status = 'pending'"
                )
                figures.on_the_way = len(_on_the_way(backstage, since))
            except SQLAlchemyError:
                continue
            figures.outbox_lag_s = max(figures.outbox_lag_s, float(row["s"] or 0))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def rampage(faults: Sequence[tuple[str, ...]], *, per_second: float, calm_s: float) -> Figures:
    """Strike repeatedly under load, with `calm_s` before, between and after. Then check the promises."""
    figures, stack = Figures(), read_json(STACK_FILE)
    headers = {"x-api-key": stack["api_keys"]["web"]}
    since = _database_time(Backstage(stack))
    with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
        travelers = Travelers(client, figures, per_second=per_second)
        with _watching(stack, figures, since=since), travelers.traveling():
            for names in faults:
                threading.Event().wait(calm_s)
                figures.strikes.append(_strike(names, figures, since=since))
            threading.Event().wait(calm_s)
        figures.broken += _broken_promises(travelers, figures, since=since)
    return figures


# --- what must hold


def _broken_promises(travelers: Travelers, figures: Figures, *, since: datetime) -> Iterator[str]:
    stack = read_json(STACK_FILE)
    backstage = Backstage(stack)
    _until_none(lambda: _on_the_way(backstage, since), after="the last traveler")
    _until_none(lambda: _unpublished(backstage), after="the last reservation's end")
    rows = {
        row["email"]: row
        for row in backstage.rows(
            "SELECT c.email, r.id, r.code, r.state, r.price_minor FROM reservation r"
            " JOIN customer c ON c.reservation_id = r.id"
        )
    }
    stored = Counter(row["email"] for row in backstage.rows("SELECT email FROM customer"))
    books = ProvidersBooks(stack)
    for accepted in travelers.accepted:
        if stored[accepted.email] != 1:
            yield f"{accepted.code}: {stored[accepted.email]} reservations for one key"
            continue
        row = rows[accepted.email]
        if row["code"] != accepted.code.replace("-", ""):
            yield f"{accepted.code} is stored as {row['code']}"
        word = travelers.look(accepted)["status"]
        figures.ends[word] += 1
        if word not in ("CONFIRMADA", "CANCELADA", "RECHAZADA", "EXPIRADA"):
            yield f"{accepted.code} ends {word}"
        yield from books.differences(accepted.code, row, confirmed=word == "CONFIRMADA")
    if set_aside := backstage.messages_set_aside():
        yield f"dead letters: {set_aside}"
    audit = subprocess.run(
        [sys.executable, "-m", "local.ops", "invariants"],
        cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_SECONDS,
    )  # fmt: skip
    if audit.returncode:
        yield f"ops invariants: {audit.stdout}{audit.stderr}"


def _unpublished(backstage: Backstage) -> list[Json]:
    return backstage.rows("SELECT * FROM outbox WHERE status <> 'published'")


# --- the long form


def _print(figures: Figures) -> None:
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(figures.answers.items()))
    print(f"{figures.posts} posts, {figures.accepted} accepted; answers: {answers}")
    print(f"{figures.refused} without a gateway, {figures.emulator_faults} faults of the emulator,")
    print(f"{figures.retries} retried with the same key")
    print("ends: " + ", ".join(f"{n} {word}" for word, n in figures.ends.most_common()))
    print(f"oldest hint in the outbox: {figures.outbox_lag_s:.1f} s")
    print("| killed | running again (s) | next 202 (s) | caught up (s) | no gateway | 503 |")
    print("|---|---|---|---|---|---|")
    for strike in figures.strikes:
        accepting = "–" if strike.accepting_s is None else f"{strike.accepting_s:.1f}"
        print(
            f"| {' + '.join(strike.killed)} | {strike.restarted_s:.1f} | {accepting} |"
            f" {strike.caught_up_s:.1f} | {strike.refused} | {strike.unavailable} |"
        )
    for promise in figures.broken:
        print(f"BROKEN {promise}")


def main() -> NoReturn:
    """Kill every process in turn and print the figures. Exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.chaos")
    parser.add_argument("--per-second", type=float, default=3, help="travelers a second")
    parser.add_argument("--calm", type=float, default=8, help="seconds between two faults")
    parser.add_argument(
        "--kill",
        action="append",
        metavar="NAME[+NAME]",
        help="only these, in this order: database, payments, supplier, localstack",
    )
    arguments = parser.parse_args()
    faults = [tuple(names.split("+")) for names in arguments.kill or ()] or EVERYTHING
    was_up = STACK_FILE.exists()
    _stack("up")
    try:
        figures = rampage(faults, per_second=arguments.per_second, calm_s=arguments.calm)
    finally:
        if not was_up:
            _stack("down")
    _print(figures)
    sys.exit(1 if figures.broken else 0)


if __name__ == "__main__":
    main()
