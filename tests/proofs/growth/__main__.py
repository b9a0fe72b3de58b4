"""Time each slice of each job and list at several sizes: `python -m tests.proofs.growth --sizes 10000,100000`."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pymysql

from local.progress import note
from reservations.adapters.mysql.address import connector
from tests.proofs.growth.fill import fill
from tests.proofs.growth.measure import Cost, Site, Slice, audit_slice, measured
from tests.proofs.growth.server import FOLDER, make_schema, megabytes_free, migrate, server, url_of

SIZES = (10_000, 100_000, 300_000, 3_000_000)
NEEDED = 4  # kilobytes of disk for a reservation, with its history
LIMIT_MS = 15_000  # CPU of one slice
LIMIT_MB = 256  # memory of the process that runs a slice of the audit


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.growth", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="reservations, in order")
    parser.add_argument("--fill", action="store_true", help="fill again what is there already")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    with server() as pid:
        for size in sizes:
            _make(size, again=options.fill)
        sites = {size: Site(url_of(f"growth_{size}"), pid) for size in sizes}
        costs = {}
        for name, cost in measured(sites):
            costs[name] = cost
            note(_line(name, cost))
        audits = {size: audit_slice(site) for size, site in sites.items()}
        for size, each in audits.items():
            note(
                f"audit of {each.checked:,} of {size:,}: {each.cost.cpu_ms / 1000:.1f} s of CPU"
                f" ({each.cost.own_ms / 1000:.1f} ours), {each.peak_mb:.0f} MB at most"
            )
        for site in sites.values():
            site.close()
    _write(costs, audits, sizes)
    return 0


def _make(size: int, *, again: bool) -> None:
    name = f"growth_{size}"
    if not again and _is_whole(name):
        migrate(name)
        return
    if megabytes_free() < size * NEEDED // 1024 + 2048:
        sys.exit(f"✗ There is too little disk for {size:,} reservations.")
    note(f"fill {size:,} reservations")
    began = time.monotonic()
    fill(make_schema(name), size)
    with connector(url_of(name))() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE whole (at DATETIME)")
    note(f"filled in {time.monotonic() - began:,.0f} s")


def _is_whole(name: str) -> bool:
    """True if an earlier run filled this schema to its end."""
    try:
        with connector(url_of(name))() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT at FROM whole")
    except pymysql.Error:
        return False
    return True


def _ratio(cost: Mapping[int, Cost]) -> float:
    """CPU of the largest size by that of the smallest."""
    return cost[max(cost)].cpu_ms / cost[min(cost)].cpu_ms


def _line(name: str, cost: Mapping[int, Cost]) -> str:
    each = "".join(f"{one.cpu_ms:10.2f} ms {one.rows:7,} rows" for one in cost.values())
    return f"{name:36}{each}  x {_ratio(cost):.2f}"


def _write(
    costs: Mapping[str, Mapping[int, Cost]], audits: Mapping[int, Slice], sizes: Sequence[int]
) -> None:
    worst = max(costs, key=lambda name: _ratio(costs[name]))
    slices = [cost for each in costs.values() for cost in each.values()]
    slowest = max(cost.cpu_ms for cost in [*slices, *(each.cost for each in audits.values())])
    results = {
        "growth_max": round(_ratio(costs[worst]), 3),
        "growth_max_slice": worst,
        "sizes": sizes,
        "slice_cpu_ms_max": round(slowest, 1),
        "audit_slice": {str(size): asdict(each) for size, each in audits.items()},
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "slices": {
            name: {
                str(size): {
                    "own_cpu_ms": round(cost.own_ms, 3),
                    "server_cpu_ms": round(cost.server_ms, 3),
                    "wall_ms": round(cost.wall_ms, 3),
                    "rows_read": cost.rows,
                }
                for size, cost in each.items()
            }
            for name, each in costs.items()
        },
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    note(f"worst x {_ratio(costs[worst]):.2f} ({worst}); written to {FOLDER / 'results.json'}")
    if faults := exceeded(slowest, max(each.peak_mb for each in audits.values())):
        sys.exit("\n".join(f"✗ {fault}" for fault in faults))


def exceeded(cpu_ms: float, peak_mb: float) -> list[str]:
    """Each limit that the dearest slice breaks."""
    found = []
    if cpu_ms > LIMIT_MS:
        found.append(f"A slice took {cpu_ms:,.0f} ms of CPU, more than {LIMIT_MS:,}.")
    if peak_mb > LIMIT_MB:
        found.append(f"A slice took {peak_mb:,.0f} MB, more than {LIMIT_MB}.")
    return found


if __name__ == "__main__":
    sys.exit(main())
