"""Time, handed in rather than read: monotonic for durations, epoch milliseconds for records."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a decision may know about time."""

    def unix_ms(self) -> int:
        """Give the moment as Unix milliseconds: for records, comparable between processes."""
        ...

    def monotonic_ms(self) -> float:
        """Give milliseconds since some fixed moment: for durations, never stepped by NTP."""
        ...


class JumpWatch:
    """Notices when the wall clock was set, or the machine slept: told by the clock that is not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ms = self._ahead_ms()

    def jumped_ms(self) -> float:
        """Give by how much Unix time was moved since the last call, negative for back."""
        last_ms, self._last_ms = self._last_ms, self._ahead_ms()
        return self._last_ms - last_ms

    def _ahead_ms(self) -> float:
        return self._clock.unix_ms() - self._clock.monotonic_ms()


class SystemClock:
    """The machine's clock."""

    def unix_ms(self) -> int:
        """Give Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Give monotonic milliseconds."""
        return time.monotonic_ns() / 1e6
