"""Lanes: each receiver has its own, so that none can delay another.

A lane runs a few attempts at once and keeps some deliveries ready behind them. What does not fit
is put off by the caller, so that one dead receiver's deliveries never fill the notifier. In a lane
first attempts and retries have queues of their own: however many retries wait, most places go to
what is new.
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
_PUT_OFF_MIN_S = 0.05
_PUT_OFF_MAX_S = 60.0

#: A lane whose oldest attempt takes longer than this keeps no more ready than it runs at once.
_SLOW_S = 2.0

#: While both wait, every so many-th place goes to a retry.
_RETRY_EVERY = 4


@dataclass(slots=True)
class _Lane(Generic[T]):
    concurrency: int
    fresh: deque[T] = field(default_factory=deque)
    retries: deque[T] = field(default_factory=deque)
    #: When each attempt under way began, oldest first.
    begun_s: dict[int, float] = field(default_factory=dict)
    attempt_s: float = 0.02
    begun: int = 0

    @property
    def waiting(self) -> int:
        return len(self.fresh) + len(self.retries)

    def next(self) -> T:
        """Take what is to begin now."""
        self.begun += 1
        wants_retry = not self.fresh or self.begun % _RETRY_EVERY == 0
        return (self.retries if self.retries and wants_retry else self.fresh).popleft()

    def is_slow(self, now_s: float) -> bool:
        """Whether an attempt has been under way for long: more of them will be."""
        oldest_s = next(iter(self.begun_s.values()), now_s)
        return now_s - oldest_s > _SLOW_S or self.attempt_s > _SLOW_S


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

    def offer(
        self, key: str, item: T, *, is_retry: bool = False, concurrency: int | None = None
    ) -> bool:
        """Take *item* into the lane of *key*; False when the lane is full."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(concurrency=self._concurrency)
        if concurrency:
            lane.concurrency = concurrency
        queue = lane.retries if is_retry else lane.fresh
        if len(queue) >= self._limit(lane):
            return False
        queue.append(item)
        self._pump(key, lane)
        return True

    def room(self, key: str) -> int:
        """Give how many more retries the lane of *key* would take."""
        lane = self._lanes.get(key)
        return self._queue_max if lane is None else max(0, self._limit(lane) - len(lane.retries))

    def put_off_s(self, key: str) -> float:
        """Estimate when the lane of *key* will have room: how long its queue takes to drain."""
        lane = self._lanes.get(key)
        if lane is None:
            return _PUT_OFF_MIN_S
        drain_s = lane.waiting * lane.attempt_s / lane.concurrency
        return min(max(drain_s, _PUT_OFF_MIN_S), _PUT_OFF_MAX_S)

    def withdraw(self) -> list[T]:
        """Take back everything that has not begun."""
        items = []
        for lane in self._lanes.values():
            items += [*lane.fresh, *lane.retries]
            lane.fresh.clear()
            lane.retries.clear()
        return items

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _limit(self, lane: _Lane[T]) -> int:
        slow = lane.is_slow(asyncio.get_running_loop().time())
        return min(lane.concurrency, self._queue_max) if slow else self._queue_max

    def _pump(self, key: str, lane: _Lane[T]) -> None:
        while lane.waiting and len(lane.begun_s) < lane.concurrency:
            item = lane.next()
            number = lane.begun
            lane.begun_s[number] = asyncio.get_running_loop().time()
            task = asyncio.create_task(self._run(key, lane, item, number), name=f"attempt {key}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, key: str, lane: _Lane[T], item: T, number: int) -> None:
        try:
            await self._attempt(item)
        finally:
            took_s = asyncio.get_running_loop().time() - lane.begun_s.pop(number)
            lane.attempt_s += _LEARNING_RATE * (took_s - lane.attempt_s)
            self._pump(key, lane)
            if not lane.begun_s and not lane.waiting:
                self._lanes.pop(key, None)
