"""Noticing that the clock was set."""

from __future__ import annotations

import pytest

from pipeline.clock import JumpWatch, SystemClock


class SetClock:
    """A clock whose two sides are moved apart."""

    def __init__(self) -> None:
        self.passed_ms = 0
        self.moved_ms = 0

    def unix_ms(self) -> int:
        """Give what somebody has set it to."""
        return 1_767_225_600_000 + self.passed_ms + self.moved_ms

    def monotonic_ms(self) -> float:
        """Give what really passed."""
        return 500.5 + self.passed_ms


@pytest.mark.parametrize("moved_ms", [3_600_000, -3_600_000, 50 * 365 * 86_400_000])
def test_a_clock_that_was_set_is_noticed_once(moved_ms: int) -> None:
    """By how much is told at the next look, and nothing at the one after."""
    clock = SetClock()
    watch = JumpWatch(clock)

    clock.passed_ms += 2000
    assert watch.jumped_ms() == 0
    clock.passed_ms += 2000
    clock.moved_ms = moved_ms
    assert watch.jumped_ms() == moved_ms
    assert watch.jumped_ms() == 0


def test_the_systems_clock_stands_still() -> None:
    """Its two sides do not move apart from one line to the next."""
    assert abs(JumpWatch(SystemClock()).jumped_ms()) < 1000
