"""Waiting for something to come true, with a deadline and the last thing seen."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_PAUSE_S = 0.01


async def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> Any:
    """Poll *condition* until it is true, and give what it gave; fails after *timeout_s*.

    *condition* may also give something to await, whose result then counts.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        seen = condition()
        if inspect.isawaitable(seen):
            seen = await seen
        if seen:
            return seen
        _check(deadline_s, timeout_s, seen)
        await asyncio.sleep(_PAUSE_S)


def wait_until_blocking(condition: Callable[[], T], timeout_s: float = 10.0) -> T:
    """Poll *condition* as :func:`wait_until` does, outside of an event loop."""
    deadline_s = time.monotonic() + timeout_s
    while not (seen := condition()):
        _check(deadline_s, timeout_s, seen)
        time.sleep(_PAUSE_S)
    return seen


def _check(deadline_s: float, timeout_s: float, seen: object) -> None:
    if time.monotonic() >= deadline_s:
        raise AssertionError(f"still {seen!r} after {timeout_s:g} s")
