"""What runs below the tests."""

from __future__ import annotations

import psutil

#: What tests share, for as long as the session or a module of it lasts.
_SHARED = ("redis-server", "valkey-server", "mosquitto")


_earlier: set[int] = set()


def forget_earlier_processes() -> None:
    """Count from now on: what an earlier test has left is not the next one's."""
    _earlier.clear()
    _earlier.update(each.pid for each in device_processes())


def device_processes() -> list[psutil.Process]:
    """List the processes below this one, alive or not, but for what tests share."""
    below = psutil.Process().children(recursive=True)
    return [
        each
        for each in below
        if each.pid not in _earlier and each.name() not in _SHARED and not _is_trackers(each)
    ]


def _is_trackers(process: psutil.Process) -> bool:
    """Tell whether it is the one that multiprocessing keeps for all its resources."""
    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False
