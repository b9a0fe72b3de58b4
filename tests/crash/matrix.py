"""The matrix: every boundary that a recording shows, by each blow, and what came of it."""

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

from tests.crash.boundaries import OUTSIDE, Blow, Order, is_cold, outside, warm
from tests.crash.cloud import Cloud
from tests.crash.stories import TALES, BrokenPromiseError, migrate, tell
from tests.crash.world import Strike, World

LIST = Path(__file__).with_name("boundaries.txt")
HEADER = "# Made by `make crash-boundaries`; no line is written by hand."
MIGRATION = "migration"
_TELLING = ("sql COMMIT", *OUTSIDE)
_WRITES = ("sql INSERT", "sql UPDATE", "sql DELETE", "sql CREATE", "sql ALTER")
_STORIES: dict[str, Callable[[World], str]] = {
    **{tale.name: partial(tell, tale) for tale in TALES},
    MIGRATION: migrate,
}


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Boundary:
    """One I/O of a function: `path` tells what else its invocation did, `nth` which of equal ones it is."""

    function: str
    path: str
    crossing: str
    nth: int

    def __str__(self) -> str:
        return f"{self.function} | {self.path} | {self.crossing} | {self.nth}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a boundary was seen: in which invocation of which story, after which crossings."""

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
    """`broken` says which promise; without it, `outcome` is how the story ended."""

    case: Case
    outcome: str
    seconds: float
    broken: str | None = None


# --- worlds ---------------------------------------------------------------------------------------


@contextmanager
def worlds(number: int) -> Iterator[list[World]]:
    """Open worlds that know nothing of each other."""
    with ExitStack() as stack:
        cloud = stack.enter_context(Cloud())
        opened = []
        for index in range(number):
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="crash-")))
            world = World(f"world-{index}", cloud=cloud, folder=folder)
            opened.append(stack.enter_context(world))
        yield opened


# --- recording ------------------------------------------------------------------------------------


def record(world: World) -> dict[Boundary, Place]:
    """Live through every story undisturbed, and keep where each boundary was first met."""
    places: dict[Boundary, Place] = {}
    for name, story in _STORIES.items():
        world.begin(recording=True)
        story(world)
        for function, invocation, crossings in world.story.seen:
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
    """What an invocation did, in a word: whom it called, else whether it wrote anything."""
    called = outside(crossings)
    if called:
        return " + ".join(dict.fromkeys(called))
    return "writes" if any(c.startswith(_WRITES) for c in crossings) else "reads"


def lines_of(boundaries: Iterable[Boundary]) -> set[str]:
    """What the committed list holds: which path, and how often, depends on who was faster."""
    return {f"{boundary.function} | {boundary.crossing}" for boundary in boundaries}


def write_list(boundaries: Iterable[Boundary]) -> int:
    lines = sorted(lines_of(boundaries))
    LIST.write_text("".join(f"{line}\n" for line in (HEADER, *lines)))
    return len(lines)


def read_list() -> set[str]:
    return set(LIST.read_text().splitlines()) - {HEADER}


# --- cases ----------------------------------------------------------------------------------------


def cases_of(places: dict[Boundary, Place]) -> list[Case]:
    """Each boundary by each blow, the most telling first and each function in its turn.

    After one is before the next: only what does something is also struck after.
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
    """As many of the most telling as `size` allows, of every function and by every blow."""
    telling = [case for case in cases if _rank(case) == 0]
    step = max(1, len(telling) // size)
    # A step that shares no factor with the three blows takes each of them in turn.
    step += step > 1 and step % len(Blow) == 0
    return [telling[index * step % len(telling)] for index in range(min(size, len(telling)))]


def run(
    cases: Collection[Case], opened: Sequence[World], *, minutes: float = math.inf
) -> Iterator[Result]:
    """Run the cases in all worlds at once; yield each result as it comes, and begin none after `minutes`."""
    ends_at = time.monotonic() + minutes * 60
    free: SimpleQueue[World] = SimpleQueue()
    for world in opened:
        free.put(world)

    def in_some_world(case: Case) -> Result | None:
        if time.monotonic() > ends_at:
            return None
        world = free.get()
        try:
            return run_case(case, world)
        finally:
            free.put(world)

    with ThreadPoolExecutor(len(opened)) as pool:
        futures = [pool.submit(in_some_world, case) for case in cases]
        try:
            for future in as_completed(futures):
                if result := future.result():
                    yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_case(case: Case, world: World) -> Result:
    """Live through the story of a case with one invocation struck; then look at the promises."""
    began = time.monotonic()
    outcome, broken = "", "never came by this place"
    for strike in _strikes(case):
        try:
            world.begin(strike=strike)
            outcome = _STORIES[case.place.story](world)
        except (BrokenPromiseError, TimeoutError, EOFError, AssertionError) as error:
            broken = f"{type(error).__name__}: {error} (story: {case.place.story})"
            world.abandon()
            break
        if world.story.struck_in is not None:
            return Result(case=case, outcome=outcome, seconds=time.monotonic() - began)
    result = Result(case=case, outcome=outcome, seconds=time.monotonic() - began)
    return replace(result, broken=broken)


def _strikes(case: Case) -> Iterator[Strike]:
    """Where it was recorded, else the first like it: invocations may overtake each other."""
    order = Order(crossings=list(case.place.crossings), blow=case.blow)
    for nth, exact in ((case.place.invocation, True), (1, True), (1, False)):
        strike_order = replace(order, exact=exact)
        yield Strike(function=case.boundary.function, nth=nth, order=strike_order)


# --- the table ------------------------------------------------------------------------------------


def table(results: Iterable[Result]) -> str:
    """Boundaries by outcomes, in Markdown."""
    cells: dict[Boundary, dict[Blow, str]] = defaultdict(dict)
    for result in results:
        mark = f"✗ {result.broken}" if result.broken else f"✓ {result.outcome}"
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
