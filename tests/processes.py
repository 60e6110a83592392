"""What runs below the tests."""

from __future__ import annotations

import psutil


def device_processes() -> list[psutil.Process]:
    """List the processes below this one, alive or not, but for the session's server."""
    below = psutil.Process().children(recursive=True)
    return [each for each in below if each.name() not in ("redis-server", "valkey-server")]
