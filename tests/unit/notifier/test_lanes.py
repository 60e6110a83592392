"""Lanes: each receiver's attempts run beside the others', never behind them."""

from __future__ import annotations

import asyncio
from collections import Counter

from notifier.lanes import Lanes


class Gate:
    """An attempt that waits until it is let go; it counts what runs at once."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun: list[str] = []
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def attempt(self, item: str) -> None:
        """Note the item's lane (its first letter) and wait."""
        lane = item[0]
        self.begun.append(item)
        self.running[lane] += 1
        self.most[lane] = max(self.most[lane], self.running[lane])
        await self.open.wait()
        self.running[lane] -= 1


async def let_begin() -> None:
    """Give tasks that were just made their first turn."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_lane_runs_so_many_at_once_and_the_rest_in_order() -> None:
    """The concurrency holds for the whole run, and waiting items go first come, first served."""
    gate = Gate()
    lanes = Lanes[str](gate.attempt, concurrency=2, queue_max=10)

    for number in range(6):
        assert lanes.offer("a", f"a{number}")
    await let_begin()
    assert gate.begun == ["a0", "a1"]
    gate.open.set()
    await lanes.idle()

    assert gate.begun == [f"a{number}" for number in range(6)]
    assert gate.most["a"] == 2


async def test_a_stuck_lane_does_not_hold_another() -> None:
    """While one receiver hangs, another's deliveries begin at once."""
    gate = Gate()
    lanes = Lanes[str](gate.attempt, concurrency=1, queue_max=10)

    for item in ("a0", "a1", "b0"):
        lanes.offer(item[0], item)
    await let_begin()

    assert gate.begun == ["a0", "b0"]
    gate.open.set()
    await lanes.idle()


async def test_a_full_lane_takes_no_more_and_says_when_to_come_back() -> None:
    """Past its queue a lane refuses, with a bounded time to wait."""
    gate = Gate()
    lanes = Lanes[str](gate.attempt, concurrency=1, queue_max=2)
    taken = [lanes.offer("a", f"a{number}") for number in range(5)]

    assert taken == [True, True, True, False, False]
    assert 0 < lanes.put_off_s("a") <= 60
    gate.open.set()
    await lanes.idle()


async def test_retries_do_not_starve_what_is_new() -> None:
    """With both waiting three places of four go to first attempts, and each has room of its own."""
    gate = Gate()
    lanes = Lanes[str](gate.attempt, concurrency=1, queue_max=8)
    gate.open.set()

    for number in range(9):
        lanes.offer("a", f"a-retry{number}", is_retry=True)
    for number in range(8):
        assert lanes.offer("a", f"a-new{number}")
    await lanes.idle()

    order = ["new" in item for item in gate.begun]
    assert order.index(True) <= 2
    assert sum(order[:11]) >= 7
    assert len(order) == 17


async def test_an_endpoint_may_have_its_own_concurrency() -> None:
    """What the item's endpoint says holds for its lane."""
    gate = Gate()
    lanes = Lanes[str](gate.attempt, concurrency=1, queue_max=10)

    for number in range(6):
        lanes.offer("a", f"a{number}", concurrency=3)
    await let_begin()

    assert len(gate.begun) == 3
    gate.open.set()
    await lanes.idle()
    assert gate.most["a"] == 3


async def test_what_has_not_begun_can_be_withdrawn() -> None:
    """Withdrawing gives back the waiting items and leaves the running ones."""
    gate = Gate()
    lanes = Lanes[str](gate.attempt, concurrency=1, queue_max=10)
    for item in ("a0", "a1", "b0", "b1"):
        lanes.offer(item[0], item)
    await let_begin()

    assert sorted(lanes.withdraw()) == ["a1", "b1"]
    gate.open.set()
    await lanes.idle()

    assert sorted(gate.begun) == ["a0", "b0"]
