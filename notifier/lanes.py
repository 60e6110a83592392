"""Lanes: each receiver has its own, so that none can delay another.

A lane runs a few attempts at once and keeps some deliveries ready behind them. What does not fit
is put off by the caller, so that one dead receiver's deliveries never fill the notifier.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

#: The share of a new attempt's duration in a lane's estimate.
_LEARNING_RATE = 0.2

#: What is put off comes back after at least and at most so long.
_PUT_OFF_MIN_S = 1.0
_PUT_OFF_MAX_S = 60.0


@dataclass(slots=True)
class _Lane(Generic[T]):
    waiting: deque[T] = field(default_factory=deque)
    active: int = 0
    attempt_s: float = 0.1


class Lanes(Generic[T]):
    """Runs *attempt* for every item offered, at most *concurrency* at once in each lane."""

    def __init__(
        self, attempt: Callable[[T], Awaitable[None]], *, concurrency: int, queue_max: int
    ) -> None:
        self._attempt = attempt
        self._concurrency = concurrency
        self._queue_max = queue_max
        self._lanes: dict[str, _Lane[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, key: str, item: T) -> bool:
        """Take *item* into the lane of *key*; False when the lane is full."""
        lane = self._lanes.setdefault(key, _Lane())
        if len(lane.waiting) >= self._queue_max:
            return False
        lane.waiting.append(item)
        self._pump(key, lane)
        return True

    def put_off_s(self, key: str) -> float:
        """Estimate when the lane of *key* will have room: how long its queue takes to drain."""
        lane = self._lanes[key]
        drain_s = len(lane.waiting) * lane.attempt_s / self._concurrency
        return min(max(drain_s, _PUT_OFF_MIN_S), _PUT_OFF_MAX_S)

    def withdraw(self) -> list[T]:
        """Take back everything that has not begun."""
        items = [item for lane in self._lanes.values() for item in lane.waiting]
        for lane in self._lanes.values():
            lane.waiting.clear()
        return items

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _pump(self, key: str, lane: _Lane[T]) -> None:
        while lane.waiting and lane.active < self._concurrency:
            lane.active += 1
            task = asyncio.create_task(
                self._run(key, lane, lane.waiting.popleft()), name=f"attempt {key}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str, lane: _Lane[T], item: T) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            await self._attempt(item)
        finally:
            lane.active -= 1
            lane.attempt_s += _LEARNING_RATE * (loop.time() - started_s - lane.attempt_s)
            self._pump(key, lane)
            if not lane.active and not lane.waiting:
                self._lanes.pop(key, None)
