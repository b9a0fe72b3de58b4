"""Many seeds, one schedule each."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.proofs.simulation.schedule import Schedule
from tests.proofs.simulation.world import World

CHUNK = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """The result of one schedule. `ends` has the state and the reviews of each reservation."""

    seed: int
    violation: str | None
    calls: int
    ends: tuple[str, ...]


def live(seed: int) -> Lived:
    """Run one schedule. Any unexpected exception is a violation too."""
    schedule, violation = Schedule(seed), None
    world = schedule.world
    try:
        schedule.run()
    except Exception as error:
        violation = f"{type(error).__name__}: {error}"
    return Lived(
        seed=seed, violation=violation, calls=world.providers.calls, ends=tuple(_ends(world))
    )


def _ends(world: World) -> Iterator[str]:
    for reservation in world.database.reservations.values():
        why = sorted(reservation.standing.reviews(world.now))
        yield " ".join((reservation.standing.state, *why))


def tell(seed: int) -> list[str]:
    """Run one schedule and return its story, line by line. The last line says how it ended."""
    story: list[str] = []
    schedule = Schedule(seed, tell=story.append)
    try:
        schedule.run()
    except Exception as error:
        return [*story, f"VIOLATION {type(error).__name__}: {error}"]
    return [*story, f"all rests: {'; '.join(_ends(schedule.world))}"]


def live_all(first: int, count: int, *, jobs: int) -> Iterator[Lived]:
    """Run the seeds from `first` on, in as many processes as `jobs`."""
    seeds = range(first, first + count)
    if jobs == 1:
        yield from map(live, seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(live, seeds, chunksize=CHUNK)


@dataclass(slots=True)
class Summary:
    """Totals of many schedules."""

    schedules: int = 0
    most_calls: int = 0
    violations: list[Lived] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, lived: Lived) -> None:
        self.schedules += 1
        self.most_calls = max(self.most_calls, lived.calls)
        self.ends.update(lived.ends)
        if lived.violation:
            self.violations.append(lived)
