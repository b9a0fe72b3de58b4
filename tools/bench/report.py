"""The figures of a run: ratios by round, the table, and the file of results."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.paths import ROOT, STATE, read_json, write_json

FOLDER = STATE / "bench"
RESULTS = FOLDER / "results.json"
DETAILS = FOLDER / "details.json"
GROWTH = STATE / "growth" / "results.json"
KEYS = (
    "create_p50_x_floor",
    "create_cpu_x_floor",
    "create_rps_x_conventional",
    "create_trips",
    "saga_trips",
    "saga_trips_with_papers",
    "saga_cpu_ms",
    "saga_cpu_x_floor",
    "saga_rps_x_floor",
    "quiet_p50_ms",
    "cold_create_x_driver",
    "get304_x_200",
    "get304_trips",
    "voucher_x_page",
    "growth_max",
)


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with its quartiles."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        found = sorted(values)
        if len(found) == 1:
            return cls(found[0], found[0], found[0])
        low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(low, middle, high)

    def __format__(self, form: str) -> str:
        return f"{self.middle:{form}} ({self.low:{form}}–{self.high:{form}})"


def ratio(values: Sequence[float], yardstick: Sequence[float]) -> Spread:
    """The median of the ratios of the rounds."""
    return Spread.of(a / b for a, b in zip(values, yardstick, strict=True))


def bars(title: str, values: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Part of a plot: the median and the quartiles of each contestant."""
    spreads = {name: Spread.of(found) for name, found in values.items()}
    ours = [name for name in values if name.startswith(("crear", "este"))]
    parts = {name: [each.low, each.middle, each.high] for name, each in spreads.items()}
    return {"title": title, "bars": parts, "ours": ours, "height": 0.8 + 0.42 * len(parts)}


@dataclass(slots=True)
class Figures:
    """Tables for people, and numbers for `results.json`."""

    tables: dict[str, tuple[list[str], list[list[str]]]] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    charts: dict[str, Any] = field(default_factory=dict)

    def row(self, table: str, head: Sequence[str], *cells: str) -> None:
        """Add a row to a table of these columns."""
        self.tables.setdefault(table, (list(head), []))[1].append(list(cells))

    def put(self, name: str, value: float) -> None:
        assert name in KEYS, name
        self.numbers[name] = round(value, 3)


def machine() -> str:
    """The conditions of the run, in Spanish."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, {os.cpu_count()} CPU,"
        f" Python {platform.python_version()}, código {commit}"
    )


def load() -> float:
    return os.getloadavg()[0]


def write(figures: Figures, conditions: str) -> None:
    """Write the results. A run of some rows keeps the numbers of the others."""
    known = read_json(RESULTS)
    growth = read_json(GROWTH).get("growth_max")
    merged = {name: known.get(name) for name in KEYS} | figures.numbers | {"growth_max": growth}
    write_json(RESULTS, merged)
    details = {"conditions": conditions, "tables": figures.tables, "charts": figures.charts}
    write_json(DETAILS, details)


def markdown(tables: dict[str, tuple[list[str], list[list[str]]]]) -> str:
    return "\n".join(
        "\n".join(
            [
                f"**{title}**",
                "",
                f"| {' | '.join(head)} |",
                "|" + "---|" * len(head),
                *(f"| {' | '.join(cells)} |" for cells in rows),
                "",
            ]
        )
        for title, (head, rows) in tables.items()
    )
