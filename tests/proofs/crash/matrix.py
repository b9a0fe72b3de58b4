"""The matrix: every recorded boundary, struck by each blow, and the outcomes."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TypeVar

from local.database import chosen_engine
from tests.proofs.crash.boundaries import (
    COLD,
    OUTSIDE,
    TOGETHER,
    Blow,
    Order,
    is_cold,
    outside,
    warm,
)
from tests.proofs.crash.cloud import Cloud
from tests.proofs.crash.environment import Nursery
from tests.proofs.crash.stories import TALES, BrokenPromiseError, migrate, tell
from tests.proofs.crash.world import Strike, World
from tests.worlds.databases import server

Item = TypeVar("Item")
Made = TypeVar("Made")

_TELLING = ("sql COMMIT", *OUTSIDE)
_WRITES = ("sql INSERT", "sql UPDATE", "sql DELETE", "sql CREATE", "sql ALTER")
LIST = Path(__file__).with_name("boundaries.txt")
# The function that opens a reservation first after its deadline closes it. Time decides whether it is this one.
# The stack's tests break invariants, and the audit's clock decides whether it meets them.
BY_TIMING = {
    "clean_up | sql INSERT finding",
    "notify_customer | sql DELETE charge_claim",
    "notify_customer | sql UPDATE customer SET payment_token",
}
_KINDS = {  # the first that fits
    COLD: "cold start",
    "http ": "call to a provider",
    "sqs ": "call to SQS, S3 or SES",
    "s3 ": "call to SQS, S3 or SES",
    "ses ": "call to SQS, S3 or SES",
    "socket ": "other connection",
    "sql COMMIT": "COMMIT",
    "sql ROLLBACK": "ROLLBACK",
    **dict.fromkeys(_WRITES, "SQL write"),
    "": "SQL read",
}
NOT_MET = "not met again"
_ENDINGS = ("as undisturbed", "with one mail more", NOT_MET, "broken")
HEADER = "# Made by `make crash-boundaries`; no line is written by hand."
MIGRATION = "migration"
_STORIES: dict[str, Callable[[World], str]] = {
    **{tale.name: partial(tell, tale) for tale in TALES},
    MIGRATION: migrate,
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Boundary:
    """One I/O of a function. `path` sums up its invocation, `nth` numbers equal crossings."""

    function: str
    path: str
    crossing: str
    nth: int

    def __str__(self) -> str:
        return f"{self.function} | {self.path} | {self.crossing} | {self.nth}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a boundary: story, invocation, and all crossings up to it."""

    story: str
    invocation: int
    crossings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    boundary: Boundary
    place: Place
    blow: Blow

    def __str__(self) -> str:
        return f"{self.boundary} | {self.blow}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of a story, or the broken promise.

    A place that depends on timing may not be met again. Such a case strikes and proves nothing.
    """

    case: Case
    outcome: str
    seconds: float
    broken: str | None = None


# --- worlds ---------------------------------------------------------------------------------------


@contextmanager
def worlds(number: int) -> Iterator[list[World]]:
    """Open independent worlds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="crash-")))
        cloud = stack.enter_context(Cloud())
        environ = cloud.environ() | {"POWERTOOLS_LOG_LEVEL": "WARNING"}
        nursery = stack.enter_context(Nursery(environ, log=folder / "functions.log"))
        server(chosen_engine())  # else each thread below would start one

        def open_one(name: str) -> World:
            (folder / name).mkdir()
            world = World(name, cloud=cloud, nursery=nursery, folder=folder / name)
            return stack.enter_context(world)

        with ThreadPoolExecutor(number) as pool:
            opened = list(pool.map(open_one, [f"world-{index}" for index in range(number)]))
        yield opened


def _in_each(
    items: Iterable[Item], opened: Sequence[World], work: Callable[[Item, World], Made]
) -> Iterator[Made]:
    """Work on each item in some free world. Yield the results as they come."""
    free: SimpleQueue[World] = SimpleQueue()
    for world in opened:
        free.put(world)

    def in_some_world(item: Item) -> Made:
        world = free.get()
        try:
            return work(item, world)
        finally:
            free.put(world)

    with ThreadPoolExecutor(len(opened)) as pool:
        futures = [pool.submit(in_some_world, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


# --- recording ------------------------------------------------------------------------------------


def record(opened: Sequence[World]) -> dict[Boundary, Place]:
    """Run every story undisturbed, and keep the first place of each boundary."""
    cold: set[str] = set()

    def live_undisturbed(name: str, world: World) -> tuple[str, list[tuple[str, int, list[str]]]]:
        world.begin(cold=cold)
        _STORIES[name](world)
        return name, world.story.seen

    seen = dict(_in_each(reversed(_STORIES), opened, live_undisturbed))  # the long ones first
    places: dict[Boundary, Place] = {}
    for name in _STORIES:
        for function, invocation, crossings in seen[name]:
            for boundary, before in _boundaries(function, crossings):
                place = Place(story=name, invocation=invocation, crossings=tuple(before))
                places.setdefault(boundary, place)
    return places


def _boundaries(function: str, crossings: list[str]) -> Iterator[tuple[Boundary, list[str]]]:
    path, met = _path(crossings), Counter[tuple[str, str]]()
    for index, crossing in enumerate(crossings):
        cold = is_cold(crossing)
        kind = ("cold start" if cold else path, crossing)
        met[kind] += 1
        boundary = Boundary(function=function, path=kind[0], crossing=crossing, nth=met[kind])
        so_far = crossings[: index + 1]
        yield boundary, so_far if cold else warm(so_far)


def _path(crossings: list[str]) -> str:
    """A summary of an invocation: the parties it called, else `writes` or `reads`."""
    called = outside(crossings)
    if called:
        return " + ".join(dict.fromkeys(called))
    written = (*_WRITES, f"sql COMMIT{TOGETHER}")
    return "writes" if any(c.startswith(written) for c in crossings) else "reads"


def lines_of(boundaries: Iterable[Boundary]) -> set[str]:
    """The lines of the committed list, one for each statement of a flight.

    They omit path and number, and the company of a statement, which depend on timing.
    """
    return {line for each in boundaries for line in lines_of_crossing(each.function, each.crossing)}


def lines_of_crossing(function: str, crossing: str) -> list[str]:
    first, *others = crossing.split(TOGETHER)
    return [f"{function} | {each}" for each in (first, *(f"sql {other}" for other in others))]


def write_list(boundaries: Iterable[Boundary]) -> int:
    lines = sorted(lines_of(boundaries))
    LIST.write_text("".join(f"{line}\n" for line in (HEADER, *lines)))
    return len(lines)


def read_list() -> set[str]:
    return set(LIST.read_text().splitlines()) - {HEADER}


# --- cases ----------------------------------------------------------------------------------------


def cases_of(places: dict[Boundary, Place]) -> list[Case]:
    """Each boundary with each blow, the most important first, the functions in turn.

    A blow after a crossing equals one before the next. Only crossings with an effect are also struck after.
    """
    cases = [
        Case(boundary=boundary, place=place, blow=blow)
        for boundary, place in sorted(places.items())
        for blow in Blow
        if blow is not Blow.KILL_AFTER or boundary.crossing.startswith((*_TELLING, *_WRITES))
    ]
    turns: Counter[tuple[int, str]] = Counter()
    order: dict[Case, tuple[int, int]] = {}
    for case in cases:
        group = (_rank(case), case.boundary.function)
        turns[group] += 1
        order[case] = (group[0], turns[group])
    return sorted(cases, key=lambda case: order[case])


def _rank(case: Case) -> int:
    crossing = case.boundary.crossing
    kinds: tuple[tuple[str, ...], ...] = (_TELLING, _WRITES, ("sql ",))
    return next((i for i, kind in enumerate(kinds) if crossing.startswith(kind)), len(kinds))


def sample(cases: Sequence[Case], size: int) -> list[Case]:
    """A sample of up to `size` of the most important cases, across all functions and blows."""
    telling = [case for case in cases if _rank(case) == 0]
    step = max(1, len(telling) // size)
    # A step that shares no factor with the three blows takes each of them in turn.
    step += step > 1 and step % len(Blow) == 0
    return [telling[index * step % len(telling)] for index in range(min(size, len(telling)))]


def run(
    cases: Collection[Case], opened: Sequence[World], *, minutes: float = math.inf
) -> Iterator[Result]:
    """Run the cases in all worlds in parallel. Yield results as they come; start no case after `minutes`."""
    ends_at = time.monotonic() + minutes * 60

    def in_time(case: Case, world: World) -> Result | None:
        return run_case(case, world) if time.monotonic() < ends_at else None

    yield from (result for result in _in_each(cases, opened, in_time) if result)


def run_case(case: Case, world: World) -> Result:
    """Run the story of a case with one invocation struck, and check the promises."""
    began = time.monotonic()
    for strike in _strikes(case):
        try:
            world.begin(strike=strike)
            outcome = _STORIES[case.place.story](world)
        except (BrokenPromiseError, TimeoutError, EOFError, AssertionError) as error:
            world.abandon()
            broken = f"{type(error).__name__}: {error} (story: {case.place.story})"
            return Result(case=case, outcome="", seconds=time.monotonic() - began, broken=broken)
        if world.story.struck_in is not None:
            return Result(case=case, outcome=outcome, seconds=time.monotonic() - began)
    return Result(case=case, outcome=NOT_MET, seconds=time.monotonic() - began)


def _strikes(case: Case) -> Iterator[Strike]:
    """The strikes to try: at the recorded place, else at the first like it. Invocations may overtake each other."""
    order = Order(crossings=list(case.place.crossings), blow=case.blow)
    for nth, exact in ((case.place.invocation, True), (1, True), (1, False)):
        strike_order = replace(order, exact=exact)
        yield Strike(function=case.boundary.function, nth=nth, order=strike_order)


# --- the tables -----------------------------------------------------------------------------------


def summary(results: Iterable[Result]) -> str:
    """Kinds of boundary by blows and by outcomes, in Markdown. Each case counts once in both halves."""
    columns = (*Blow, *_ENDINGS)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        counts[_kind(result.case.boundary.crossing)].update([result.case.blow, _ending(result)])
    rows = [(kind, *(str(counts[kind][column]) for column in columns)) for kind in sorted(counts)]
    head = [("kind", *columns), ("---",) * (1 + len(columns))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (*head, *rows))


def _kind(crossing: str) -> str:
    return next(kind for start, kind in _KINDS.items() if crossing.startswith(start))


def _ending(result: Result) -> str:
    as_undisturbed, one_mail_more, _, broken = _ENDINGS
    if result.broken:
        return broken
    if result.outcome == NOT_MET:
        return NOT_MET
    return one_mail_more if "mails" in result.outcome else as_undisturbed


def table(results: Iterable[Result]) -> str:
    """Boundaries by outcome of each blow, in Markdown."""
    cells: dict[Boundary, dict[Blow, str]] = defaultdict(dict)
    for result in results:
        kept = NOT_MET if result.outcome == NOT_MET else f"✓ {result.outcome}"
        mark = f"✗ {result.broken}" if result.broken else kept
        cells[result.case.boundary][result.case.blow] = mark
    lines = [
        f"| function | invocation | boundary | {' | '.join(Blow)} |",
        "|" + "---|" * (3 + len(Blow)),
    ]
    for boundary in sorted(cells):
        which = f" #{boundary.nth}" if boundary.nth > 1 else ""
        marks = " | ".join(cells[boundary].get(blow, "–") for blow in Blow)
        lines.append(
            f"| {boundary.function} | {boundary.path} | {boundary.crossing}{which} | {marks} |"
        )
    return "\n".join(lines) + "\n"
