"""Run the scenarios: `python -m tools.stress [short] [handlers|embedded|soak] [--only NAME]`.

Without a target both are loaded: first the handlers, to know the limit of our own code, then the embedded stack.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.database import chosen_engine
from local.paths import ROOT, STATE, VENVS, read_json, write_json
from local.processes import StackError
from local.progress import complain
from reservations.domain.messages import Queue
from tests.worlds.databases import server
from tools.bench.product import Json
from tools.bench.report import load, machine
from tools.stress import check, documents, target
from tools.stress.plan import Arrival, arrivals, written
from tools.stress.target import Target
from tools.stress.watch import Database, Watched, watching

FOLDER = STATE / "stress"
RESULTS = FOLDER / "results.json"
TARGETS = ("handlers", "embedded")
STEADY_SHARE = 0.7
KNEE_P95_SECONDS = 2.0
KNEE_REST_SECONDS = 15.0  # the promise of RNF-05
LATE_SECONDS = 0.05  # a request that the sender itself began later than this
WARM_UP_SECONDS = 8.0
_RATES = {
    "pila embebida": (0.25, 0.5, 1, 2, 4, 8, 12),
    "solo nuestro código": (2, 5, 10, 20, 40, 80, 120),
}
_LOCUST_SECONDS = 7200
_HINT = (
    "INSERT INTO outbox (message_id, queue, status, available_at, refusals, reservation_id, type, occurred_at)"
    " WITH RECURSIVE k AS (SELECT 0 n UNION ALL SELECT n + 1 FROM k WHERE n + 1 < %s)"
    " SELECT UUID_TO_BIN(UUID()), ELT(1 + n %% 2, 'payment', 'supplier'), 'pending', UTC_TIMESTAMP(6), 0,"
    " r.id, 'check.due', UTC_TIMESTAMP(6) FROM k JOIN (SELECT id FROM reservation WHERE settled = 1"
    " ORDER BY id DESC LIMIT 1) r"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Seconds of each part, and sizes."""

    step: float
    steady: float
    scenario: float
    hints: int
    storm: int


FULL = Lengths(step=30, steady=600, scenario=120, hints=20_000, storm=300)
SHORT = Lengths(step=15, steady=180, scenario=30, hints=1_000, storm=60)


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """p50, p95 and p99 of at least two values."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """One load with its figures."""

    scenario: str
    target: str
    offered: float  # creations and reads a second
    answers: list[Json]
    watched: Watched
    promises: check.Promises
    rest_s: float | None
    confirmed: list[float] = field(default_factory=list)  # seconds to CONFIRMADA
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)

    def latencies(self, kind: str) -> tuple[float, float, float] | None:
        """p50, p95 and p99 in seconds, from the intended start."""
        found = [
            row["seconds"] for row in self.answers if row["kind"] == kind and row["status"] < 400
        ]
        if len(found) < 2:
            return None
        return percentiles(found)

    @property
    def to_confirmed(self) -> tuple[float, float, float] | None:
        """p50, p95 and p99 from acceptance to CONFIRMADA, in seconds (RNF-05)."""
        return percentiles(self.confirmed) if len(self.confirmed) > 1 else None

    @property
    def outbox_age(self) -> float:
        """p95 of the seconds that the oldest due hint waited, one sample a second (RNF-04)."""
        ages = [age for _, age in self.watched.series["outbox_age"]]
        return percentiles(ages)[1] if len(ages) > 1 else 0.0

    @property
    def late(self) -> int:
        return sum(row["late"] > LATE_SECONDS for row in self.answers)

    @property
    def bearable(self) -> bool:
        """Every answer came in time, and every reservation was at rest soon after the last arrival."""
        found = self.latencies("create")
        good = all(row["status"] in (200, 202, 304) for row in self.answers)
        rested = self.rest_s is not None and self.rest_s <= KNEE_REST_SECONDS
        return bool(found and found[1] <= KNEE_P95_SECONDS and good and rested)


Act = tuple[float, Callable[[], None]]


def run(
    one: Target,
    scenario: str,
    planned: Sequence[Arrival],
    *,
    name: str,
    seconds: float,
    acts: Sequence[Act] = (),
    spans: Sequence[tuple[str, float, float]] = (),
) -> Outcome:
    """Send a plan while faults come and go, wait for rest, and judge."""
    print(f"… {one.name}: {scenario}, {len(planned)} arrivals in {seconds:.0f} s", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    plan, answers = FOLDER / "plan.json", FOLDER / "answers.jsonl"
    answers.unlink(missing_ok=True)
    content = {"url": one.url, "headers": one.headers, "arrivals": written(list(planned))}
    write_json(plan, content)
    database = Database(one.database_url)
    since = database.now()
    timers = [threading.Timer(at, act) for at, act in acts]
    with watching(one.database_url, one.depth, since=since) as watched:
        for timer in timers:
            timer.start()
        _locust(plan, answers)
        for timer in timers:
            timer.join()
        one.heal()
        rest_s = check.rest(database, since)
        _until_quiet(one, database)
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    promises = check.judge(one, name, since, rows)
    confirmed = database.confirmations(since)
    database.close()
    outcome = Outcome(
        scenario=scenario,
        target=one.name,
        offered=len(planned) / seconds,
        answers=rows,
        watched=watched,
        promises=promises,
        rest_s=rest_s,
        confirmed=confirmed,
        spans=list(spans),
    )
    print(f"  {_line(outcome)}", flush=True)
    return outcome


def _locust(plan: Any, answers: Any) -> None:
    environment = os.environ | {"STRESS_PLAN": str(plan), "STRESS_ANSWERS": str(answers)}
    command: list[str | Path] = [
        VENVS / "load" / "bin" / "locust",
        *("-f", ROOT / "tools" / "stress" / "locustfile.py", "--headless"),
        *("--users", "1", "--spawn-rate", "1", "--only-summary", "--exit-code-on-error", "0"),
    ]
    with (FOLDER / "locust.log").open("a", encoding="utf-8") as log:
        subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            check=True,
            stdout=log,
            stderr=log,
            timeout=_LOCUST_SECONDS,
        )


def _until_quiet(one: Target, database: Database) -> None:
    """Wait until outbox and queues are empty, so that no scenario pays for the one before."""
    _until_published(database)
    deadline = time.monotonic() + check.PATIENCE_SECONDS
    while one.depth() and time.monotonic() < deadline:
        time.sleep(5)


def _until_published(database: Database) -> None:
    deadline = time.monotonic() + check.PATIENCE_SECONDS
    while database.pending()[0] and time.monotonic() < deadline:
        time.sleep(0.2)


def _line(outcome: Outcome) -> str:
    parts = [f"{check.statuses(outcome.answers)}", f"late {outcome.late}"]
    for kind in ("create", "read"):
        if found := outcome.latencies(kind):
            parts.append(f"{kind} p50/p95/p99 {'/'.join(f'{each * 1e3:.0f}' for each in found)} ms")
    rested = "not at rest" if outcome.rest_s is None else f"at rest after {outcome.rest_s:.1f} s"
    told = outcome.promises
    parts += [rested, f"lost {told.lost}, doubled {told.doubled}, 500 {told.http_500}"]
    parts += told.complaints[:3]
    return "; ".join(parts)


# --- the scenarios


def ladder(one: Target, lengths: Lengths) -> tuple[float, list[Outcome]]:
    """Raise the rate until a step is not bearable. Return the last rate that was, and the steps."""
    knee, steps = 0.0, []
    for _ in range(2):  # functions start, so that no step pays for it
        _plain(one, "calentamiento", WARM_UP_SECONDS, creations=0.5, reads=0.5)
    for rate in _RATES[one.name]:
        name = _name()
        planned = arrivals(run=name, seconds=lengths.step, creations=rate, reads=rate)
        step = run(one, f"escalón {rate:g}/s", planned, name=name, seconds=lengths.step)
        steps.append(step)
        if not step.bearable:
            break
        knee = float(rate)
    return knee, steps


def _name() -> str:
    return f"s{uuid.uuid4().hex[:10]}"


def _plain(one: Target, scenario: str, seconds: float, **rates: Any) -> Outcome:
    name = _name()
    planned = arrivals(run=name, seconds=seconds, **rates)
    return run(one, scenario, planned, name=name, seconds=seconds)


def steady(one: Target, lengths: Lengths, rate: float) -> Outcome:
    rates = {"creations": rate, "reads": rate}
    return _plain(one, "creación concurrente, al 70 %", lengths.steady, **rates)


def duplicates(one: Target, lengths: Lengths, rate: float) -> Outcome:
    rates = {"creations": rate / 3, "repeats": True}
    return _plain(one, "duplicados por reintento", lengths.scenario, **rates)


def hot_polling(one: Target, lengths: Lengths, rate: float) -> Outcome:
    rates = {"creations": rate / 4, "reads": rate * 2}
    outcome = _plain(one, "consulta intensiva", lengths.scenario, **rates)
    reads = [row for row in outcome.answers if row["kind"] == "read"]
    outcome.facts["304"] = sum(row["status"] == 304 for row in reads) / max(1, len(reads))
    return outcome


def backlog(one: Target, lengths: Lengths, rate: float) -> Outcome:
    """Thousands of stored hints fall due at once, while reservations go on."""
    began: list[float] = []

    def fill() -> None:
        database = Database(one.database_url)
        database.run("SET SESSION cte_max_recursion_depth = 1000000")
        began.append(time.monotonic())
        database.run(_HINT, (lengths.hints,))
        _until_published(database)
        began.append(time.monotonic())
        database.close()

    name = _name()
    planned = arrivals(run=name, seconds=lengths.scenario, creations=rate / 3)
    acts = [(lengths.scenario / 4, fill)]
    outcome = run(one, "outbox atrasado", planned, name=name, seconds=lengths.scenario, acts=acts)
    outcome.facts["drain_per_s"] = lengths.hints / (began[1] - began[0])
    return outcome


def _sick(provider: str, mode: str, word: str, latency_ms: int = 0) -> Callable[..., Outcome]:
    def scenario(one: Target, lengths: Lengths, rate: float) -> Outcome:
        name, seconds = _name(), lengths.scenario
        ill, well = seconds / 3, seconds * 2 / 3
        acts: list[Act] = [
            (ill, lambda: one.faults(provider, mode, latency_ms)),
            (well, lambda: one.faults(provider, "ok")),
        ]
        planned = arrivals(run=name, seconds=seconds, creations=rate / 2, reads=rate / 2)
        spans = [(word, ill, well)]
        return run(one, word, planned, name=name, seconds=seconds, acts=acts, spans=spans)

    return scenario


def storm(one: Target, lengths: Lengths, rate: float) -> Outcome:
    """Old messages return by the hundred, as after a redrive of the dead-letter queues."""
    name, seconds = _name(), lengths.scenario
    planned = arrivals(run=name, seconds=seconds, creations=rate / 3)

    def redrive() -> None:
        database = Database(one.database_url)
        rows = database.rows(
            "SELECT BIN_TO_UUID(id) AS id FROM reservation ORDER BY id DESC LIMIT %s",
            (lengths.storm,),
        )
        database.close()
        for row in rows:
            for queue in (Queue.PAYMENT, Queue.SUPPLIER, Queue.VOUCHER, Queue.NOTIFICATION):
                one.send(queue, _old_hint(row["id"]))

    acts = [(seconds / 3, redrive)]
    return run(one, "tormenta de redrive", planned, name=name, seconds=seconds, acts=acts)


def _old_hint(reservation_id: str) -> str:
    from reservations.domain.identifiers import uuid7

    now = datetime.now(UTC)
    return json.dumps(
        {
            "message_id": str(uuid7(now)),
            "schema_version": 1,
            "reservation_id": reservation_id,
            "type": "check.due",
            "occurred_at": now.isoformat().replace("+00:00", "Z"),
            "traceparent": None,
        }
    )


SCENARIOS: dict[str, Callable[[Target, Lengths, float], Outcome]] = {
    "steady": steady,
    "duplicates": duplicates,
    "backlog": backlog,
    "slow": _sick("supplier", "slow", "proveedor lento", 4000),
    "down": _sick("payments", "outage", "pagos caído y de vuelta"),
    "polling": hot_polling,
    "storm": storm,
}


Found = tuple[float, list[Outcome], list[Outcome]]


def all_of(one: Target, lengths: Lengths, only: str | None) -> Iterator[Found]:
    """Yield the knee, the steps of the ladder, and the scenarios so far, each at 70 % of the knee."""
    one.heal()
    knee, steps = ladder(one, lengths)
    rate = STEADY_SHARE * (knee or _RATES[one.name][0])
    outcomes: list[Outcome] = []
    for name, scenario in SCENARIOS.items():
        if only in (None, name):
            outcomes.append(scenario(one, lengths, rate))
            yield knee, steps, outcomes


@contextmanager
def _loaded(name: str) -> Iterator[Target]:
    with target.embedded() if name == "embedded" else target.handlers() as one:
        yield one


def main() -> int:
    parser = argparse.ArgumentParser(prog="make stress", description=__doc__)
    parser.add_argument("words", nargs="*", choices=[[], "short", "handlers", "embedded", "soak"])
    parser.add_argument("--only", choices=SCENARIOS)
    arguments = parser.parse_args()
    lengths = SHORT if "short" in arguments.words else FULL
    if "soak" in arguments.words:
        lengths = Lengths(**{**asdict(lengths), "steady": 3600.0})
    names = [name for name in TARGETS if name in arguments.words]
    began, loads, kept = time.monotonic(), [load()], True
    try:
        for name in names or TARGETS:
            with _loaded(name) as one:
                for found in all_of(one, lengths, arguments.only):
                    loads.append(load())
                    kept &= _keep(one, _conditions(loads), " ".join(arguments.words), found)
    except StackError as error:
        complain(error)
        return 1
    print(f"{_conditions(loads)}; {time.monotonic() - began:.0f} s")
    print(json.dumps(_numbers(), indent=2))
    return 0 if kept else 1


def _conditions(loads: Sequence[float]) -> str:
    version = server(chosen_engine()).version
    return f"{machine()}, {chosen_engine()} {version}, carga de {min(loads):.1f} a {max(loads):.1f}"


def _keep(one: Target, conditions: str, words: str, found: Found) -> bool:
    """Store the figures of one target and write the documents again. Return whether all promises were kept."""
    knee, steps, rest = found
    outcomes = [*steps, *rest]
    drains = [each.facts["drain_per_s"] for each in rest if "drain_per_s" in each.facts]
    stored = documents.of_target(knee, steps, rest, conditions, words) | {
        "knee_rps": knee,
        "drain_per_s": round(drains[0], 1) if drains else None,
        **{
            name: sum(getattr(each.promises, name) for each in outcomes)
            for name in ("lost", "doubled", "http_500")
        },
    }
    write_json(FOLDER / f"{one.key}.json", stored)
    write_json(RESULTS, _numbers())
    documents.write([read_json(FOLDER / f"{name}.json") for name in TARGETS])
    return all(each.promises.kept for each in outcomes)


def _numbers() -> dict[str, Any]:
    """The figures of the embedded stack, and beside them the limits of our own code."""
    alone, embedded = (read_json(FOLDER / f"{name}.json") for name in TARGETS)
    return {
        **{
            name: alone.get(name, 0) + embedded.get(name, 0)
            for name in ("lost", "doubled", "http_500")
        },
        **{name: embedded.get(name) for name in ("knee_rps", "drain_per_s")},
        **{f"{name}_handlers": alone.get(name) for name in ("knee_rps", "drain_per_s")},
    }


if __name__ == "__main__":
    sys.exit(main())
