"""Rehearse the versions of a release, before a traveler meets them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reservations.application.ports import ReleasedVersions

# A connection that breaks once, or a right that IAM spreads late, takes no release back.
ATTEMPTS = 5
PAUSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An event that a version must answer. `status` is that of an HTTP answer; `None` for a rehearsal."""

    event: Mapping[str, Any]
    status: int | None = None

    def is_passed_by(self, answer: Mapping[str, Any] | None) -> bool:
        """Judge an answer; `None` if the version failed or did not start."""
        if answer is None:
            return False
        return answer.get("statusCode") == self.status if self.status else "rehearsed" in answer


def rehearse_release(
    trials: Mapping[str, Sequence[Trial]],
    *,
    versions: ReleasedVersions,
    pause: Callable[[float], None],
) -> str | None:
    """Invoke each function's new version directly. Return the first function that fails, else `None`."""
    failed = (
        name
        for name, of_function in trials.items()
        for trial in of_function
        if not _passes(name, trial, versions, pause)
    )
    return next(failed, None)


def _passes(
    name: str, trial: Trial, versions: ReleasedVersions, pause: Callable[[float], None]
) -> bool:
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(PAUSE_S)
        if trial.is_passed_by(versions.answer(name, trial.event)):
            return True
    return False
