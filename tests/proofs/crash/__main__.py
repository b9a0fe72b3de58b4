"""`python -m tests.proofs.crash record` writes the list of boundaries; `run` strikes at each of them."""

import argparse
import math
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from tests.proofs.crash import matrix
from tests.proofs.crash.matrix import Result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.crash", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("record", help="run the stories and write the boundaries met")
    run = commands.add_parser("run", help="run the matrix: each boundary, each blow")
    run.add_argument("--only", default="", help="only cases whose line contains this")
    run.add_argument("--sample", type=int, help="a representative sample of this size")
    run.add_argument(
        "--minutes", type=float, default=math.inf, help="start no case after these minutes"
    )
    run.add_argument("--worlds", type=int, default=4, help="number of parallel worlds")
    run.add_argument("--table", type=Path, help="file for the outcome of every boundary")
    return parser.parse_args()


def _record() -> int:
    with matrix.worlds(4) as opened:
        places = matrix.record(opened)
    lines = matrix.write_list(places)
    print(f"{lines} lines for {len(places)} boundaries in {matrix.LIST}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    with matrix.worlds(arguments.worlds) as opened:
        cases = matrix.cases_of(matrix.record(opened))
        if arguments.sample:
            cases = matrix.sample(cases, arguments.sample)
        cases = [case for case in cases if arguments.only in str(case)]
        began, results = time.monotonic(), []
        for result in matrix.run(cases, opened, minutes=arguments.minutes):
            results.append(result)
            _tell(result, done=len(results), of=len(cases), seconds=time.monotonic() - began)
    print(matrix.summary(results))
    if arguments.table:
        arguments.table.write_text(matrix.table(results))
    broken = [result for result in results if result.broken]
    print(f"{len(results)} of {len(cases)} cases were run; {len(broken)} broken")
    return 1 if broken or not results else 0


def _tell(result: Result, *, done: int, of: int, seconds: float) -> None:
    if result.broken:
        print(f"✗ {result.case}\n  {result.broken}", file=sys.stderr, flush=True)
    if done % 20 == 0 or done == of:
        print(f"{done}/{of} after {seconds:.0f} s", file=sys.stderr, flush=True)


def _interrupted(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupted)  # so that started processes are ended
    arguments = _arguments()
    return _record() if arguments.command == "record" else _run(arguments)


if __name__ == "__main__":
    sys.exit(main())
