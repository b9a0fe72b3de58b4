"""The hostile world from the command line; `python -m tests.proofs.simulation --help` says how."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.proofs.simulation.mutants import MUTANTS, Mutant, caught_by, plant, record

# What runs the real code is imported only after a fault is planted in it.

_REPORT_EVERY_S = 5


def main() -> int:
    """Run what the arguments ask for; the exit code tells whether all is as promised."""
    arguments = _parsed()
    if getattr(arguments, "mutant", None):
        plant(MUTANTS[arguments.mutant])
    match arguments.command:
        case "run":
            return _run(arguments.count, first=arguments.first, jobs=arguments.jobs)
        case "replay":
            return _replay(arguments.seed)
        case "hunt":
            return _hunt(arguments.limit)
        case _:
            return _mutants(hunt=arguments.hunt)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.simulation")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="live COUNT schedules through")
    run.add_argument("count", type=int)
    run.add_argument("--first", type=int, default=0, help="the first seed")
    run.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    replay = commands.add_parser("replay", help="tell one schedule")
    replay.add_argument("seed", type=int)
    hunt = commands.add_parser("hunt", help="find the first seed that catches a planted fault")
    hunt.add_argument("limit", type=int)
    for command in (replay, hunt):
        command.add_argument("--mutant", choices=MUTANTS, help="with this fault planted")
    mutants = commands.add_parser("mutants", help="plant each fault, and see it caught")
    mutants.add_argument(
        "--hunt",
        type=int,
        metavar="LIMIT",
        help="look for a new seed below LIMIT where the recorded one fails",
    )
    return parser.parse_args()


def _run(count: int, *, first: int, jobs: int) -> int:
    from tests.proofs.simulation.seeds import Summary, live_all

    summary, began = Summary(), time.monotonic()
    reported = began
    for lived in live_all(first, count, jobs=jobs):
        summary.add(lived)
        if lived.violation:
            print(f"seed {lived.seed}: {lived.violation}", flush=True)
        if time.monotonic() - reported > _REPORT_EVERY_S:
            reported = time.monotonic()
            rate = summary.schedules / (reported - began)
            print(f"{summary.schedules:>7} of {count}, {rate:.0f}/s", file=sys.stderr, flush=True)
    rate = summary.schedules / (time.monotonic() - began)
    print(
        f"{summary.schedules} schedules from seed {first}, {len(summary.violations)} violations, "
        f"{rate:.1f}/s, at most {summary.most_calls} calls to providers in one"
    )
    for end, times in summary.ends.most_common():
        print(f"{times:>8}  {end}")
    return 1 if summary.violations else 0


def _replay(seed: int) -> int:
    from tests.proofs.simulation.seeds import tell

    story = tell(seed)
    print(*story, sep="\n")
    return 1 if story[-1].startswith("VIOLATION") else 0


def _hunt(limit: int) -> int:
    from tests.proofs.simulation.seeds import live

    for seed in range(limit):
        if violation := live(seed).violation:
            print(f"{seed} {violation}")
            return 0
    print(f"survives {limit} seeds")
    return 1


def _mutants(*, hunt: int | None) -> int:
    """Each fault needs a process of its own: modules are loaded once."""
    seeds, found = caught_by(), {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tried = pool.map(
            lambda mutant: _tried(mutant, seeds.get(mutant.name, 0), hunt), MUTANTS.values()
        )
        for mutant, (seed, said) in zip(MUTANTS.values(), tried, strict=True):
            fate = "SURVIVES" if seed is None else "caught  "
            print(f"{fate}  {mutant.name:<58} {said[:120]}", flush=True)
            if seed is not None:
                found[mutant.name] = seed
    print(f"{len(found)} of {len(MUTANTS)} planted faults caught")
    if hunt:
        record(found)
    return 0 if len(found) == len(MUTANTS) else 1


def _tried(mutant: Mutant, seed: int, hunt: int | None) -> tuple[int | None, str]:
    """The seed that catches it, if any: the one on record, or else the first below `hunt`."""
    code, lines = _in_a_process("replay", str(seed), "--mutant", mutant.name)
    if code == 1 and "VIOLATION" in lines[-1]:
        return seed, f"by seed {seed}: {lines[-1]}"
    if not hunt:
        return None, f"by seed {seed}: {lines[-1]}"
    code, lines = _in_a_process("hunt", str(hunt), "--mutant", mutant.name)
    return (int(lines[-1].split()[0]) if code == 0 else None), f"by seed {lines[-1]}"


def _in_a_process(*arguments: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-m", "tests.proofs.simulation", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    return ended.returncode, list(_lines(ended.stdout + ended.stderr))


def _lines(text: str) -> Iterator[str]:
    yield from text.splitlines() or ["it said nothing"]


if __name__ == "__main__":
    sys.exit(main())
