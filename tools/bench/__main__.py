"""Measure all rows, or those that are named: `python -m tools.bench [ROW…]`."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.paths import STATE
from tests.worlds.databases import migrated_schema, server
from tools.bench import cold, documents, outbox, quiet, report, world
from tools.bench.floors import SagaFloor, connection
from tools.bench.product import Sample, Tally, parameters
from tools.bench.report import Figures, Spread, bars, ratio
from tools.bench.worker import Worker

ROUNDS = 7
CALLS = 25
CROWD = 8
CROWD_SECONDS = 2.0
SAGA_PROCESSES = 3
SAGA_SECONDS = 4.0
QUIET = 15
COLD_ROUNDS = 4
HINTS = 2000
_FLOOR, _CONVENTIONAL, _PRODUCT = "create floor", "conventional", "product"
_CALL = ("Medida", "p50 ms", "CPU ms", "CPU del servidor ms", "viajes")
_RATIO = ("Medida", "p50 ×", "CPU ×", "viajes", "frente a")


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of a contestant. Times are in milliseconds a call."""

    p50: float
    cpu: float
    server: float
    trips: float
    calls: int
    seconds: float

    @classmethod
    def of(cls, samples: list[Sample], server_seconds: float) -> "Round":
        walls = [sample.wall for sample in samples]
        return cls(
            p50=statistics.median(walls) * 1e3,
            cpu=statistics.fmean(sample.cpu for sample in samples) * 1e3,
            server=server_seconds / len(samples) * 1e3,
            trips=statistics.median(sample.trips for sample in samples),
            calls=len(samples),
            seconds=sum(walls),
        )


Rounds = dict[str, list[Round]]


def server_seconds() -> float:
    """CPU that the database server has used so far, over all its threads."""
    pid = int((STATE / "mysql" / "data" / "server.pid").read_text())
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:  # the thread has ended
            continue
    return total / 1e9


@dataclass(slots=True)
class Bench:
    """The worlds and warm workers of a run, made when a row first needs them."""

    url: str
    providers: str
    figures: Figures = field(default_factory=Figures)
    stack: ExitStack = field(default_factory=ExitStack)
    workers: dict[str, Worker] = field(default_factory=dict)

    def worker(self, kind: str, number: int = 0) -> Worker:
        name = f"{kind} {number}"
        if name not in self.workers:
            if kind != _PRODUCT:
                self.worker(_PRODUCT)  # the floor copies the rows of a creation
            self.workers[name] = worker = Worker(kind, self.url, self.providers)
            self.stack.callback(worker.end)
            worker.wait()
        return self.workers[name]

    def crowd(self, kind: str, number: int) -> list[Worker]:
        """Return that many workers, started together."""
        self.worker(_PRODUCT)
        names = [f"{kind} {each}" for each in range(number)]
        fresh = {
            name: Worker(kind, self.url, self.providers)
            for name in names
            if name not in self.workers
        }
        for name, worker in fresh.items():
            worker.wait()
            self.stack.callback(worker.end)
            self.workers[name] = worker
        return [self.workers[name] for name in names]

    def interleaved(
        self,
        turns: Mapping[str, tuple[Worker, str]],
        *,
        rounds: int = ROUNDS,
        calls: int = CALLS,
    ) -> Rounds:
        """Let each contestant make some calls, in turn, in both directions. One round of warm-up is dropped."""
        found: Rounds = {}
        self.settle()
        for number in range(rounds + 1):
            for name in list(turns)[:: 1 if number % 2 else -1]:
                worker, row = turns[name]
                before = server_seconds()
                worker.ask(row, number=calls)
                heard = worker.hear()
                used = server_seconds() - before
                if number:
                    for part, samples in heard.items():
                        label = name if part == row else part
                        found.setdefault(label, []).append(Round.of(samples, used))
        return {name: found[name] for name in sorted(found, key=lambda each: _order(turns, each))}

    def together(self, crowd: list[Worker], row: str, seconds: float) -> tuple[float, float, float]:
        """Let all work at once. Return calls a second, our CPU and the server's, in ms a call."""
        self.settle()
        before = server_seconds()
        for worker in crowd:
            worker.ask(row, seconds=seconds)
        heard = [next(iter(worker.hear().values())) for worker in crowd]
        server_used = server_seconds() - before
        calls = sum(len(samples) for samples in heard)
        rate = sum(len(each) / sum(sample.wall for sample in each) for each in heard)
        ours = sum(sample.cpu for each in heard for sample in each)
        return rate, ours / calls * 1e3, server_used / calls * 1e3

    def settle(self) -> None:
        """Take stored hints and due reservations out of the way of the poller."""
        with connection(self.url, Tally()) as database, database.cursor() as cursor:
            cursor.execute("DELETE FROM outbox")
            cursor.execute(
                "UPDATE reservation SET next_check_at = NULL, settled = 1, next_look_at = NULL"
            )
            database.commit()

    def add(self, table: str, name: str, found: list[Round]) -> None:
        self.figures.row(
            table,
            _CALL,
            name,
            f"{Spread.of(each.p50 for each in found):.2f}",
            f"{Spread.of(each.cpu for each in found):.2f}",
            f"{statistics.median(each.server for each in found):.2f}",
            f"{statistics.median(each.trips for each in found):.0f}",
        )


def _order(turns: Mapping[str, Any], name: str) -> int:
    names = list(turns)
    return names.index(name) if name in names else len(names)


def create(bench: Bench) -> None:
    kinds = {
        "suelo: las mismas filas con el controlador": _FLOOR,
        "convencional: ORM, tres confirmaciones": _CONVENTIONAL,
        "crear": _PRODUCT,
    }
    turns = {name: (bench.worker(kind), "create") for name, kind in kinds.items()}
    turns["crear, repetida"] = (bench.worker(_PRODUCT), "replay")
    found = bench.interleaved(turns)
    for name, rounds in found.items():
        bench.add("Crear, en el controlador de la función", name, rounds)
    floor, conventional, product = (found[name] for name in kinds)
    p50 = ratio([each.p50 for each in product], [each.p50 for each in floor])
    cpu = ratio([each.cpu for each in product], [each.cpu for each in floor])
    bench.figures.put("create_p50_x_floor", p50.middle)
    bench.figures.put("create_cpu_x_floor", cpu.middle)
    bench.figures.put("create_trips", statistics.median(each.trips for each in product))
    bench.figures.charts["banco-crear"] = {
        "parts": [
            bars(
                "p50 de una petición, ms", {n: [e.p50 for e in each] for n, each in found.items()}
            ),
            bars(
                "CPU nuestra por petición, ms",
                {n: [e.cpu for e in each] for n, each in found.items()},
            ),
        ]
    }
    head = ("Razón de cada ronda, mediana y cuartiles", "p50 ×", "CPU ×")
    table = "Crear, frente a los patrones"
    bench.figures.row(table, head, "crear / suelo", f"{p50:.2f}", f"{cpu:.2f}")
    other = [
        ratio([getattr(each, what) for each in product], [getattr(each, what) for each in conventional])
        for what in ("p50", "cpu")
    ]  # fmt: skip
    bench.figures.row(table, head, "crear / convencional", *(f"{each:.2f}" for each in other))
    _crowd(bench, kinds)


def _crowd(bench: Bench, kinds: Mapping[str, str]) -> None:
    crowds = {name: bench.crowd(kind, CROWD) for name, kind in kinds.items()}
    rates: dict[str, list[tuple[float, float, float]]] = {name: [] for name in kinds}
    for number in range(3):
        for name in list(crowds)[:: 1 if number % 2 else -1]:
            rates[name].append(bench.together(crowds[name], "create", CROWD_SECONDS))
    head = ("Medida", "por segundo", "CPU ms", "CPU del servidor ms")
    for name, found in rates.items():
        cells = (f"{Spread.of(each[part] for each in found):.1f}" for part in range(3))
        bench.figures.row(f"Crear, {CROWD} procesos a la vez", head, name, *cells)
    _, conventional, product = ([each[0] for each in found] for found in rates.values())
    times = ratio(product, conventional)
    bench.figures.put("create_rps_x_conventional", times.middle)
    bench.figures.row(
        f"Crear, {CROWD} procesos a la vez", head, "crear / convencional", f"{times:.2f}", "", ""
    )


def reads(bench: Bench) -> None:
    worker = bench.worker(_PRODUCT)
    rows = {"consultar, 200": "GET 200", "consultar, 304": "GET 304", "historia": "timeline"}
    found = bench.interleaved({name: (worker, row) for name, row in rows.items()})
    for name, rounds in found.items():
        bench.add("Otras peticiones", name, rounds)
    whole, unchanged = found["consultar, 200"], found["consultar, 304"]
    times = ratio([each.cpu for each in unchanged], [each.cpu for each in whole])
    bench.figures.put("get304_x_200", times.middle)
    bench.figures.put("get304_trips", statistics.median(each.trips for each in unchanged))


def _alone(row: str, name: str, *, calls: int = CALLS // 2) -> Callable[[Bench], None]:
    def measure(bench: Bench) -> None:
        turns = {name: (bench.worker(_PRODUCT), row)}
        for label, rounds in bench.interleaved(turns, rounds=5, calls=calls).items():
            bench.add("Otras peticiones", label, rounds)

    return measure


def steps(bench: Bench) -> None:
    names = {
        "create": "crear",
        "payment": "pago",
        "supplier": "proveedor",
        "voucher": "bono",
        "notification": "correo",
        "poll": "sondeo con un indicio",
        "idle poll": "sondeo sin nada que hacer",
    }
    found = bench.interleaved({"steps": (bench.worker(_PRODUCT), "steps")}, rounds=5, calls=6)
    for name, label in names.items():
        if name in found:
            rounds = found[name]
            bench.figures.row(
                "Un recorrido, paso a paso",
                ("Paso", "p50 ms", "CPU ms", "viajes"),
                label,
                f"{Spread.of(each.p50 for each in rounds):.2f}",
                f"{Spread.of(each.cpu for each in rounds):.2f}",
                f"{statistics.median(each.trips for each in rounds):.0f}",
            )


def papers(bench: Bench) -> None:
    worker = bench.worker(_PRODUCT)
    turns = {"página fija de fpdf2": (worker, "page"), "bono": (worker, "voucher")}
    found = bench.interleaved(turns, calls=5)
    page, voucher = found.values()
    times = ratio([each.cpu for each in voucher], [each.cpu for each in page])
    bench.figures.put("voucher_x_page", times.middle)
    head = ("Medida", "CPU ms", "× la página")
    for name, rounds in found.items():
        cpu = f"{Spread.of(each.cpu for each in rounds):.1f}"
        compared = f"{times:.2f}" if rounds is voucher else "1"
        bench.figures.row("El bono", head, name, cpu, compared)


def saga(bench: Bench) -> None:
    table, head = "El recorrido entero", ("Medida", "este código", "suelo", "×")
    worker = bench.worker(_PRODUCT)
    bench.settle()
    counts = []
    for _ in range(3):
        worker.ask("trips")
        counts.append({name: samples[0].trips for name, samples in worker.hear().items()})
    for key, name, label in (
        ("saga_trips", "CONFIRMADA", "viajes hasta CONFIRMADA"),
        ("saga_trips_with_papers", "papers", "viajes con bono y correo"),
    ):
        trips = statistics.median(each[name] for each in counts)
        bench.figures.put(key, trips)
        bench.figures.row(table, head, label, f"{trips:.0f}", "", "")
    SagaFloor.make_tables(bench.url)
    crowds = {
        "floor": bench.crowd("saga floor", SAGA_PROCESSES),
        "product": bench.crowd(_PRODUCT, SAGA_PROCESSES),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in crowds}
    for number in range(4):
        for name in list(crowds)[:: 1 if number % 2 else -1]:
            measured = bench.together(crowds[name], "sustained", SAGA_SECONDS)
            if number:
                found[name].append(measured)
    cpu = {name: [each[1] + each[2] for each in rounds] for name, rounds in found.items()}
    rates = {name: [each[0] for each in rounds] for name, rounds in found.items()}
    times, faster = ratio(cpu["product"], cpu["floor"]), ratio(rates["product"], rates["floor"])
    bench.figures.put("saga_cpu_ms", statistics.median(cpu["product"]))
    bench.figures.put("saga_cpu_x_floor", times.middle)
    bench.figures.put("saga_rps_x_floor", faster.middle)
    for label, values, against, form in (
        ("CPU por reserva, con el servidor, ms", cpu, times, ".1f"),
        ("confirmadas por segundo", rates, faster, ".0f"),
    ):
        cells = (f"{Spread.of(values[name]):{form}}" for name in ("product", "floor"))
        bench.figures.row(table, head, label, *cells, f"{against:.2f}")
    bench.settle()
    waits = quiet.waits(bench.url, bench.providers, number=QUIET)
    bench.figures.put("quiet_p50_ms", statistics.median(waits) * 1e3)
    p95 = statistics.quantiles(waits, n=20, method="inclusive")[-1]
    both = f"{statistics.median(waits) * 1e3:.0f} / {p95 * 1e3:.0f}"
    bench.figures.row(table, head, "de aceptada a CONFIRMADA, p50 / p95 ms", both, "", "")
    costs = {"suelo: una saga a mano": cpu["floor"], "este código": cpu["product"]}
    bench.figures.charts["banco-saga"] = {
        "parts": [
            bars("CPU por reserva confirmada, con el servidor, ms", costs),
            bars(
                "De aceptada a CONFIRMADA, en calma, ms", {"este código": [w * 1e3 for w in waits]}
            ),
        ]
    }


def cold_starts(bench: Bench) -> None:
    cold.build()
    rounds = [cold.a_round(bench.url, bench.providers) for _ in range(COLD_ROUNDS + 1)][1:]
    head = ("Función", "importar, CPU ms", "primera respuesta, CPU ms", "suma", "× controlador")
    driver = [each[cold.DRIVER].cpu for each in rounds]
    for name in rounds[0]:
        starts = [each[name] for each in rounds]
        times = ratio([start.cpu for start in starts], driver)
        label = "controlador y SELECT 1" if name == cold.DRIVER else f"`{name}`"
        bench.figures.row(
            "Arranque en frío, sobre el intérprete y el runtime",
            head,
            label,
            f"{statistics.median(start.imports for start in starts) * 1e3:.0f}",
            f"{statistics.median(start.first for start in starts) * 1e3:.0f}",
            f"{Spread.of(start.cpu * 1e3 for start in starts):.0f}",
            f"{times:.1f}",
        )
        if name == "create_reservation":
            bench.figures.put("cold_create_x_driver", times.middle)


def outbox_rows(bench: Bench) -> None:
    worker = bench.worker(_PRODUCT)
    head = ("Cola", "filas por segundo", "CPU µs por fila", "CPU del servidor µs por fila")
    queues = {
        outbox.NULL: "nula",
        outbox.LOOPBACK: "cliente de SQS, bucle local",
        outbox.CEILING: "techo: SendMessageBatch solo, bucle local",
    }
    if outbox.emulator():
        queues[outbox.EMULATOR] = "SQS de la pila embebida"
    found: dict[str, list[Round]] = {queue: [] for queue in queues}
    for number in range(4):
        for queue in list(queues)[:: 1 if number % 2 else -1]:
            before = server_seconds()
            worker.ask(f"outbox {queue}", number=HINTS)
            samples = worker.hear()[queue]
            if number:
                found[queue].append(Round.of(samples, server_seconds() - before))
    for queue, label in queues.items():
        rates = Spread.of(HINTS / each.seconds for each in found[queue])
        per_row = [each.calls / HINTS * 1e3 for each in found[queue]]
        ours = [each.cpu * part for each, part in zip(found[queue], per_row, strict=True)]
        servers = [each.server * part for each, part in zip(found[queue], per_row, strict=True)]
        both = (f"{statistics.median(values):.0f}" for values in (ours, servers))
        bench.figures.row("Outbox", head, label, f"{rates:.0f}", *both)


ROWS: Mapping[str, Callable[[Bench], None]] = {
    "create": create,
    "reads": reads,
    "cancel": _alone("cancel", "cancelar"),
    "webhook": _alone("webhook", "webhook"),
    "steps": steps,
    "poller": _alone("idle poll", "sondeo sin nada que hacer"),
    "voucher": papers,
    "cold": cold_starts,
    "saga": saga,
    "outbox": outbox_rows,
}


@contextmanager
def prepared() -> Iterator[Bench]:
    """A schema of its own and the world beside it."""
    with migrated_schema("mysql") as url, world.running(parameters(url, "{world}")) as providers:
        bench = Bench(url, providers)
        with bench.stack:
            yield bench


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=", ".join(ROWS))
    names = parser.parse_args().rows or list(ROWS)
    began, loads = time.monotonic(), [report.load()]
    with prepared() as bench:
        for name in names:
            print(f"… {name}", file=sys.stderr, flush=True)
            ROWS[name](bench)
            loads.append(report.load())
            conditions = (
                f"{report.machine()}, MySQL {server('mysql').version},"
                f" carga de {min(loads):.1f} a {max(loads):.1f}"
            )
            report.write(bench.figures, conditions)  # what is measured stays if a later row fails
    print(f"{conditions}; {time.monotonic() - began:.0f} s\n")
    print(report.markdown(bench.figures.tables))
    print("\n".join(f"{name} = {value}" for name, value in bench.figures.numbers.items()))
    if set(names) == set(ROWS):
        documents.write(bench.figures, conditions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
