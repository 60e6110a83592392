"""Time that passes on the device, and the interpreter lock while it does.

The real binding keeps the interpreter lock during execute, load and copies: no Python thread runs
meanwhile. ``ctypes.PyDLL`` calls keep the lock as well, so a sleep through it is the same.
"""

from __future__ import annotations

import ctypes
import threading
import time

_LOCKED = ctypes.PyDLL(None)
_LOCKED.usleep.argtypes = [ctypes.c_uint32]
_LOCKED.memmove.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
_LOCKED.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

# The longest single sleep: usleep takes 32 bits of microseconds.
_LONGEST_SLEEP_S = 4000.0


def hold_until(moment_s: float) -> None:
    """Sleep until *moment_s* of the monotonic clock with the interpreter lock held."""
    while (left_s := moment_s - time.monotonic()) > 0:
        _LOCKED.usleep(max(1, int(min(left_s, _LONGEST_SLEEP_S) * 1e6)))


def wait_until(moment_s: float, stopped: threading.Event) -> bool:
    """Sleep until *moment_s* with the lock released; True if *stopped* came first."""
    while (left_s := moment_s - time.monotonic()) > 0:
        if stopped.wait(min(left_s, _LONGEST_SLEEP_S)):
            return True
    return False


def copy_locked(target: int, source: int, size_bytes: int) -> None:
    """Copy memory with the interpreter lock held."""
    _LOCKED.memmove(target, source, size_bytes)


def fill_locked(target: int, value: int, size_bytes: int) -> None:
    """Fill memory with the interpreter lock held."""
    _LOCKED.memset(target, value, size_bytes)


class Timeline:
    """When the one NPU is free: work of several streams runs one after another.

    With *file* each run adds a line to it: when it begins and ends, in seconds of the monotonic
    clock.
    """

    def __init__(self, file: str = "") -> None:
        self._file = file
        self._lock = threading.Lock()
        self._free_at_s = 0.0
        self.busy_s = 0.0

    def reserve(self, duration_s: float, *, not_before_s: float) -> float:
        """Take the next *duration_s* of the NPU, and give the moment it ends."""
        with self._lock:
            begins_s = max(self._free_at_s, not_before_s)
            self._free_at_s = begins_s + duration_s
            self.busy_s += duration_s
            if self._file:
                with open(self._file, "a", encoding="ascii") as file:
                    file.write(f"{begins_s:.6f} {self._free_at_s:.6f}\n")
            return self._free_at_s
