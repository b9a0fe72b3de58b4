"""Limits of `make growth`."""

import pytest

from tests.proofs.growth.__main__ import LIMIT_MB, LIMIT_MS, exceeded


@pytest.mark.parametrize(
    ("cpu_ms", "peak_mb", "broken"),
    [
        (LIMIT_MS, LIMIT_MB, []),
        (LIMIT_MS + 1, LIMIT_MB, ["CPU"]),
        (LIMIT_MS, LIMIT_MB + 1, ["MB"]),
        (LIMIT_MS + 1, LIMIT_MB + 1, ["CPU", "MB"]),
    ],
)
def test_a_slice_beyond_a_limit_fails_the_measure(
    cpu_ms: float, peak_mb: float, broken: list[str]
) -> None:
    faults = exceeded(cpu_ms, peak_mb)

    assert len(faults) == len(broken)
    assert all(word in fault for word, fault in zip(broken, faults, strict=True))
