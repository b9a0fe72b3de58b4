"""Characters of a provider: the odds of each behaviour, for one reservation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Personality:
    """Odds of each behaviour. Those of the wire and of the answers hold in hostile times only."""

    # --- the wire
    refuses: float = 0  # the request does not reach it: connection refused, 429, 503
    drops: float = 0  # the request is lost before it acts
    silences: float = 0  # it acts, and the answer is lost or unreadable
    slow: float = 0  # other workers run meanwhile
    # --- its rows
    pends: float = 0.1
    declines: float = 0.08
    resolves_well: float = 0.6  # a pending row succeeds
    lags: float = 0  # a listing shows a new row, or a new status, only after minutes
    cheats: float = 0  # another sum, or another currency
    repeats: float = 0  # it ignores the key once, and makes a second row
    clings: float = 0  # it refuses refunds and cancellations
    splits: float = 0  # it refunds in two parts, or only a part
    # --- its answers
    pages: float = 0  # a listing is a first page, with a `next`
    puzzles: float = 0  # a status that no contract has
    conflicts: float = 0  # 409 to a key that it has seen
    poisons: float = 0  # it keeps the 500 that it gave to a key


PERSONALITIES: dict[str, Personality] = {
    "fast": Personality(),
    "slow": Personality(slow=0.9),
    "flaky": Personality(refuses=0.25, drops=0.15, silences=0.15),
    "silent": Personality(silences=0.8),
    "lossy": Personality(drops=0.7),
    "busy": Personality(refuses=0.7),
    "pensive": Personality(pends=0.9, resolves_well=0.5),
    "lagging": Personality(lags=0.9, silences=0.4),
    "forgetful": Personality(repeats=0.7, lags=0.4, silences=0.2),
    "cheating": Personality(cheats=0.7, repeats=0.3),
    "clinging": Personality(clings=0.5, pends=0.3),
    "refusing": Personality(declines=0.8),
    "splitting": Personality(splits=0.6, silences=0.2),
    "bureaucratic": Personality(
        pages=0.3, puzzles=0.3, conflicts=0.5, poisons=0.4, drops=0.2, silences=0.2
    ),
    "moody": Personality(
        refuses=0.12, drops=0.12, silences=0.12, pends=0.25, declines=0.08, resolves_well=0.6,
        lags=0.4, cheats=0.05, repeats=0.1, clings=0.1, splits=0.05, slow=0.3,
        pages=0.05, puzzles=0.05, conflicts=0.1, poisons=0.05,
    ),
}  # fmt: skip
