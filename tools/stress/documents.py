"""Writes the measured part of docs/07-stress.md and its plots."""

import re
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from local.paths import ROOT, STATE, VENVS, write_json

if TYPE_CHECKING:
    from tools.stress.__main__ import Outcome

DOCUMENT = ROOT / "docs" / "07-stress.md"
PLOTS = ROOT / "docs" / "graficas"
_CHARTS = STATE / "stress" / "charts.json"
Json = dict[str, Any]
_PART = re.compile(r"(<!-- medido:carga -->\n).*?(<!-- /medido -->)", re.DOTALL)
_FILES = {"pila embebida": "carga-pila", "solo nuestro código": "carga-codigo"}


def of_target(
    knee: float, steps: "list[Outcome]", rest: "list[Outcome]", conditions: str, words: str
) -> Json:
    """The part of the document and the plots of one target."""
    charts = _charts(steps, rest)
    order = f"Orden: `make stress{f' ARGS={words}' if words else ''}`. {conditions}."
    plots = "\n".join(f"![{name}](graficas/{name}.svg)" for name in charts)
    body = "\n\n".join([_target(knee, steps, rest), order, plots])
    return {"body": body, "charts": charts}


def write(targets: Sequence[Json]) -> None:
    """Write the parts of all targets that were ever loaded here."""
    known = [each for each in targets if each]
    text = DOCUMENT.read_text(encoding="utf-8")
    body = "\n\n".join(each["body"] for each in known)
    DOCUMENT.write_text(
        _PART.sub(lambda place: f"{place[1]}{body}\n{place[2]}", text), encoding="utf-8"
    )
    charts = {name: chart for each in known for name, chart in each["charts"].items()}
    write_json(_CHARTS, {"charts": charts})
    python = VENVS / "load" / "bin" / "python"
    subprocess.run([python, "-m", "tools.charts", _CHARTS, PLOTS], cwd=ROOT, check=True)


def _target(knee: float, steps: "list[Outcome]", rest: "list[Outcome]") -> str:
    name = steps[0].target
    parts = [
        f"**{name[0].upper()}{name[1:]}.** Rodilla: {knee:g} creaciones y otras tantas consultas por segundo.",
        _table(
            [
                "Escenario",
                "crear p50 / p95 / p99 ms",
                "consultar p50 / p95 / p99 ms",
                "a CONFIRMADA p50 / p95 / p99 s",
                "outbox p95 s",
                "tarde",
                "reposo s",
            ],
            [_latencies(each) for each in (*steps, *rest)],
        ),
        _table(
            ["Escenario", "aceptadas", "perdidas, dobles, 500", "emulador, sin respuesta", "respuestas"],
            [_promises(each) for each in (*steps, *rest)],
        ),
        _table(
            ["Escenario", "CPU por proceso, núcleos", "memoria, MB", "esperas de bloqueo", "interbloqueos"],
            [_resources(each) for each in (*steps, *rest)],
        ),
    ]  # fmt: skip
    facts = [
        f"- {each.scenario}: {_fact(key, value)}"
        for each in rest
        for key, value in each.facts.items()
    ]
    broken = [
        f"- {each.scenario}: {text}"
        for each in (*steps, *rest)
        for text in each.promises.complaints
    ]
    return "\n\n".join([*parts, *(["\n".join([*facts, *broken])] if facts or broken else [])])


def _fact(key: str, value: float) -> str:
    if key == "drain_per_s":
        return f"el outbox se vacía a {value:.0f} filas por segundo"
    return f"{value:.0%} de las consultas contestan {key}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _latencies(each: "Outcome") -> list[str]:
    cells = []
    for kind in ("create", "read"):
        found = each.latencies(kind)
        cells.append(" / ".join(f"{value * 1e3:.0f}" for value in found) if found else "–")
    confirmed = each.to_confirmed
    cells.append(" / ".join(f"{value:.1f}" for value in confirmed) if confirmed else "–")
    rested = "no" if each.rest_s is None else f"{each.rest_s:.1f}"
    return [each.scenario, *cells, f"{each.outbox_age:.1f}", str(each.late), rested]


def _promises(each: "Outcome") -> list[str]:
    told = each.promises
    counts: dict[int, int] = {}
    for row in each.answers:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    answers = ", ".join(f"{number} × {status}" for status, number in sorted(counts.items()))
    broken = f"{told.lost}, {told.doubled}, {told.http_500}"
    apart = f"{told.emulator_faults}, {told.unanswered}"
    return [each.scenario, str(told.accepted), broken, apart, answers]


def _resources(each: "Outcome") -> list[str]:
    watched = each.watched
    cpu = ", ".join(
        f"{kind} {used / watched.seconds:.2f}"
        for kind, used in sorted(watched.cpu.items(), key=lambda pair: -pair[1])
    )
    memory = ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(watched.memory.items()))
    waits = watched.locks
    spent = waits.get("Innodb_row_lock_time", 0)
    locks = f"{waits.get('Innodb_row_lock_waits', 0)} ({spent} ms)"
    dead = f"{waits.get('lock_deadlocks', 0)}, {waits.get('lock_timeouts', 0)} vencidas"
    return [each.scenario, cpu, memory, locks, dead]


def _charts(steps: "list[Outcome]", rest: "list[Outcome]") -> dict[str, Any]:
    """Depths over time of each scenario, and the ladder."""
    name = _FILES[steps[0].target]
    known = [(step, step.latencies("create")) for step in steps]
    ladder = {
        label: [(step.offered / 2, found[place] * 1e3) for step, found in known if found]
        for place, label in enumerate(("p50", "p95", "p99"))
    }
    title = (
        f"Crear en la {steps[0].target}"
        if "pila" in steps[0].target
        else "Crear, solo nuestro código"
    )
    first = {
        "title": f"{title}: latencia por escalón, ms",
        "lines": ladder,
        "x": "creaciones por segundo",
        "log": True,
    }
    depths = [
        {
            "title": f"{each.scenario}: profundidad en el tiempo",
            "lines": {
                "reservas sin asentar": each.watched.series["unfinished"],
                "outbox": each.watched.series["outbox"],
                "colas": each.watched.series["queues"],
            },
            "spans": each.spans,
            "x": "segundos",
        }
        for each in rest
    ]  # fmt: skip
    return {
        f"{name}-escalera": {"parts": [first]},
        **({f"{name}-profundidad": {"parts": depths}} if depths else {}),
    }
