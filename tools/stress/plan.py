"""Schedules of arrivals: times from the start, and the request that each one makes."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Json = dict[str, Any]

READ, CREATE = "read", "create"
_MOST_REPEATS = 5
_AT_ONCE = 0.2  # share of the repeats that come together with the first request
_SPREAD_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request. A read takes any reservation that was accepted before it, with its last tag."""

    at: float
    kind: Literal["create", "read"]
    key: str = ""
    body: Json = field(default_factory=dict)


def creation(at: float, *, run: str) -> Arrival:
    """A request of its own, whose e-mail address names the run and the key."""
    key = uuid.uuid4().hex  # with dashes, one in 40,000 addresses would look like a card number
    starts_on = datetime.now(UTC).date() + timedelta(days=60)
    body = {
        "customer": {
            "full_name": "Ana Pérez",
            "email": f"{run}.{key}@example.com",
            "phone": "+34600111222",
        },
        "offer": {
            "offer_id": "HTL-MAD-001",
            "description": "Hotel Sol, habitación doble",
            "starts_on": starts_on.isoformat(),
            "ends_on": (starts_on + timedelta(days=3)).isoformat(),
            "guests": 2,
        },
        "price": {"amount": "342.50", "currency": "EUR"},
        "payment_token": f"tok_ok-{uuid.uuid4().hex}",
    }
    return Arrival(at=at, kind="create", key=key, body=body)


def _times(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Times of a Poisson process: people do not come in step."""
    if rate <= 0:
        return
    at = chance.expovariate(rate)
    while at < seconds:
        yield at
        at += chance.expovariate(rate)


def arrivals(
    *,
    run: str,
    seconds: float,
    creations: float = 0,
    reads: float = 0,
    repeats: bool = False,
    seed: int = 7,
) -> list[Arrival]:
    """Return a schedule in order. Rates are per second; `repeats` sends each creation up to five times."""
    chance = random.Random(seed)  # noqa: S311  a schedule, not a secret
    planned = [creation(at, run=run) for at in _times(creations, seconds, chance)]
    if repeats:
        planned += [again for first in list(planned) for again in _repeated(first, seconds, chance)]
    planned += [Arrival(at=at, kind="read") for at in _times(reads, seconds, chance)]
    return sorted(planned, key=lambda arrival: arrival.at)


def _repeated(first: Arrival, seconds: float, chance: random.Random) -> Iterator[Arrival]:
    for _ in range(chance.randrange(_MOST_REPEATS)):
        later = 0.0 if chance.random() < _AT_ONCE else chance.uniform(0.05, _SPREAD_SECONDS)
        at = min(first.at + later, seconds)
        yield Arrival(at=at, kind="create", key=first.key, body=first.body)


def written(planned: list[Arrival]) -> list[Json]:
    return [asdict(arrival) for arrival in planned]
