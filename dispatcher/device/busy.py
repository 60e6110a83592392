"""How busy a device was: what its process spent inside the runtime, over a sliding window."""

from __future__ import annotations

from collections import deque


class BusyMeter:
    """Adds up the device's own times. Moments are monotonic seconds.

    A batch counts for what the device process measured inside the runtime; any other call, and one
    that never ended, for its turn at the process. What the supervisor was late to read is therefore
    not taken for work. One call runs at a time.
    """

    def __init__(self, *, window_s: float) -> None:
        self.window_s = window_s
        self._spans: deque[tuple[float, float]] = deque()
        self._began_s: float | None = None

    def began(self, now_s: float) -> None:
        """Note that the process came to a call."""
        self._began_s = now_s

    def ended(self, now_s: float, *, device_ms: float | None = None) -> None:
        """Note that it is through with it; *device_ms* is what it measured itself."""
        turn_s = 0.0 if self._began_s is None else now_s - self._began_s
        self._began_s = None
        self._spans.append((now_s, turn_s if device_ms is None else device_ms / 1000))
        self._forget(now_s)

    def share(self, now_s: float) -> float:
        """Give the busy share of the window that ends now, from 0 to 1."""
        self._forget(now_s)
        from_s = now_s - self.window_s
        busy_s = sum(min(took_s, ended_s - from_s) for ended_s, took_s in self._spans)
        if self._began_s is not None:
            busy_s += now_s - max(self._began_s, from_s)
        return min(1.0, busy_s / self.window_s)

    def _forget(self, now_s: float) -> None:
        while self._spans and self._spans[0][0] <= now_s - self.window_s:
            self._spans.popleft()
