"""The hostile world from the command line; `python -m tests.proofs.simulation --help` lists its commands."""

import argparse
import os
import sys
import time

from tests.proofs.simulation.mutants import MUTANTS, RECORDED, WITHIN, caught, plant, record

# Modules that run the real code are imported only after a fault is planted in it.

_REPORT_EVERY_S = 5


def main() -> int:
    """Run the command of the arguments; exit with 1 if a promise was broken."""
    arguments = _parsed()
    os.environ["POWERTOOLS_LOG_LEVEL"] = "CRITICAL"  # a schedule tells its own story
    match arguments.command:
        case "run":
            return _run(arguments.count, first=arguments.first, jobs=arguments.jobs)
        case "replay":
            return _replay(arguments.seed, arguments.mutant)
        case _:
            return _mutants(keep=arguments.record, jobs=arguments.jobs)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.simulation")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run COUNT schedules")
    run.add_argument("count", type=int)
    run.add_argument("--first", type=int, default=0, help="the first seed")
    run.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    replay = commands.add_parser("replay", help="print one schedule")
    replay.add_argument("seed", type=int)
    replay.add_argument("--mutant", choices=MUTANTS, help="plant this fault first")
    mutants = commands.add_parser("mutants", help=f"catch each fault within {WITHIN} seeds")
    mutants.add_argument("--record", action="store_true", help="keep what caught each one")
    mutants.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
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


def _replay(seed: int, mutant: str | None) -> int:
    if mutant:
        plant(MUTANTS[mutant])
    from tests.proofs.simulation.seeds import tell

    story = tell(seed)
    print(*story, sep="\n")
    return 1 if story[-1].startswith("VIOLATION") else 0


def _mutants(*, keep: bool, jobs: int) -> int:
    catches, began = dict(RECORDED), time.monotonic()
    survivors = moved = 0
    for name, catch in caught(MUTANTS, jobs=jobs):
        before = RECORDED.get(name, "none")
        if catch is None:
            survivors += 1
            print(f"{name:<58} SURVIVES, recorded: {before}", flush=True)
            continue
        moved += catch.schedule != before
        was = "" if catch.schedule == before else f" (recorded: {before})"
        print(f"{name:<58} {catch.schedule}{was}: {catch.violation[:120]}", flush=True)
        catches[name] = catch.schedule
    print(
        f"{len(MUTANTS) - survivors} of {len(MUTANTS)} planted faults caught, {moved} by another "
        f"schedule than recorded, in {time.monotonic() - began:.0f} s"
    )
    if keep:
        record(catches)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
