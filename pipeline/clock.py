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


class SystemClock:
    """The machine's clock."""

    def unix_ms(self) -> int:
        """Give Unix milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        """Give monotonic milliseconds."""
        return time.monotonic_ns() / 1e6
