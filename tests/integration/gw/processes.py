"""Looking at processes from outside, and waiting with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil


def wait_until(condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
    """Poll *condition* until it holds; fail with its last value after *timeout_s*."""
    deadline_s = time.monotonic() + timeout_s
    while not (seen := condition()):
        assert time.monotonic() < deadline_s, f"still {seen!r} after {timeout_s:g} s"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Tell whether *pid* is a process that still executes: a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def lines_of(path: Path) -> list[str]:
    """Read the whole lines that have been written to *path* so far."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
