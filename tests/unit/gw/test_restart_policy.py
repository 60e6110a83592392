"""When a process is started again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gw.restart_policy import RestartPolicy

_POLICY = RestartPolicy(first_delay_s=0.2, max_delay_s=10.0, stable_after_s=30.0)


def test_doubles_the_delay_until_the_longest() -> None:
    """Without chance, each further failure doubles the delay, and the doubling has an end."""
    delays_s = [_POLICY.delay_s(failures, chance=0.0) for failures in range(1, 9)]

    assert delays_s[:5] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])
    assert delays_s[6] == delays_s[7] <= 10.0


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_never_leaves_its_range(failures: int, chance: float) -> None:
    """However often a process failed, its delay stays between the first and the longest."""
    assert 0.2 <= _POLICY.delay_s(failures, chance=chance) <= 10.0


@given(failures=st.integers(1, 40))
def test_spreads_restarts_by_chance(failures: int) -> None:
    """Two processes that failed equally often do not come back in step."""
    early_s = _POLICY.delay_s(failures, chance=0.0)
    late_s = _POLICY.delay_s(failures, chance=0.99)

    assert late_s > early_s * 1.4


def test_counts_failures_in_a_row() -> None:
    """A short run adds to the count."""
    assert _POLICY.failures_after(0, ran_s=0.1) == 1
    assert _POLICY.failures_after(4, ran_s=29.9) == 5


def test_a_long_run_starts_the_count_anew() -> None:
    """A process that ran well for long enough is treated as if it failed for the first time."""
    assert _POLICY.failures_after(7, ran_s=30.0) == 1
