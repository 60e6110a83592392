"""Following a stream: earlier claims first, then new work, through everything that goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis

from pipeline.following import follow
from pipeline.protocol import Keyspace
from pipeline.streams import Entry, StreamReader
from tests.integration.pipeline.looking import blocked_clients
from tests.waiting import wait_until


def make_reader(
    redis: Redis, keys: Keyspace, *, consumer: str = "c", lease_ms: int = 60_000
) -> StreamReader:
    """Make a reader of the result stream."""
    return StreamReader(redis, keys, group="followers", consumer=consumer, lease_ms=lease_ms)


@dataclass
class Follower:
    """A service that only notes what it is given."""

    room: int = 10
    batches: list[list[str]] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def seen(self) -> list[str]:
        """Give everything that came, in order."""
        return [number for batch in self.batches for number in batch]

    async def run(self, reader: StreamReader, stream: str) -> None:
        """Follow until stopped."""
        async for entries in follow(reader, stream, self.stop, room=lambda: self.room):
            self.batches.append([entry.fields["n"] for entry in entries])


@asynccontextmanager
async def following(
    reader: StreamReader, stream: str, *, room: int = 10
) -> AsyncIterator[Follower]:
    """Follow *stream* while the block lasts."""
    follower = Follower(room=room)
    task = asyncio.create_task(follower.run(reader, stream))
    try:
        yield follower
    finally:
        follower.stop.set()
        await asyncio.wait_for(task, 10)


async def add(redis: Redis, keys: Keyspace, *numbers: int) -> None:
    """Add entries to the result stream."""
    for number in numbers:
        await redis.xadd(keys.results, {"n": str(number)})


async def claim_all(reader: StreamReader, keys: Keyspace) -> list[Entry]:
    """Claim what there is, as an earlier life would have."""
    await reader.ensure_groups([keys.results])
    return await reader.claim([keys.results], count=100, block_ms=0)


async def test_new_entries_come_as_they_are_added(redis: Redis, keys: Keyspace) -> None:
    """What is there at the start and what comes later are both yielded, in order."""
    await add(redis, keys, 1)
    async with following(make_reader(redis, keys), keys.results) as follower:
        await wait_until(lambda: follower.seen == ["1"])
        await add(redis, keys, 2, 3)
        await wait_until(lambda: follower.seen == ["1", "2", "3"])


async def test_an_earlier_life_comes_first(redis: Redis, keys: Keyspace) -> None:
    """What this consumer had claimed before its restart is yielded before anything new."""
    await add(redis, keys, 1, 2)
    await claim_all(make_reader(redis, keys), keys)
    await add(redis, keys, 3)

    async with following(make_reader(redis, keys), keys.results) as follower:
        await wait_until(lambda: len(follower.seen) == 3)

    assert follower.batches == [["1", "2"], ["3"]]


async def test_a_dead_consumers_entries_are_taken_over(redis: Redis, keys: Keyspace) -> None:
    """They come once their lease has run out, all of them, however small the room is."""
    await add(redis, keys, *range(7))
    await claim_all(make_reader(redis, keys, consumer="dead"), keys)

    heir = make_reader(redis, keys, consumer="heir", lease_ms=300)
    async with following(heir, keys.results, room=2) as follower:
        await wait_until(lambda: sorted(set(follower.seen)) == [str(n) for n in range(7)])

    assert max(len(batch) for batch in follower.batches) == 2


async def test_no_room_claims_nothing(redis: Redis, keys: Keyspace) -> None:
    """A full service leaves the work to others, and goes on when it has room again."""
    reader = make_reader(redis, keys)
    await reader.ensure_groups([keys.results])
    async with following(reader, keys.results, room=0) as follower:
        await add(redis, keys, 1)
        other = make_reader(redis, keys, consumer="other")
        assert len(await claim_all(other, keys)) == 1
        await add(redis, keys, 2)
        assert follower.batches == []

        follower.room = 1
        await wait_until(lambda: follower.seen == ["2"])


async def test_at_most_the_room_comes_at_once(redis: Redis, keys: Keyspace) -> None:
    """A claim never passes what the service has room for."""
    await add(redis, keys, *range(5))

    async with following(make_reader(redis, keys), keys.results, room=2) as follower:
        await wait_until(lambda: len(follower.seen) == 5)

    assert [len(batch) for batch in follower.batches] == [2, 2, 1]


async def test_an_emptied_server_is_followed_on(redis: Redis, keys: Keyspace) -> None:
    """When the streams vanish under a waiting reader it makes its group again and goes on."""
    async with following(make_reader(redis, keys), keys.results) as follower:
        await add(redis, keys, 1)
        await wait_until(lambda: follower.seen == ["1"])
        await wait_until(lambda: blocked_clients(redis))

        names = [name async for name in redis.scan_iter(match=f"{keys.prefix}:*")]
        await redis.delete(*names)
        await add(redis, keys, 2)

        await wait_until(lambda: follower.seen == ["1", "2"])


async def test_a_stop_is_noticed_while_waiting_for_work(redis: Redis, keys: Keyspace) -> None:
    """An idle service ends within one read, without any work coming."""
    async with following(make_reader(redis, keys), keys.results) as follower:
        await wait_until(lambda: blocked_clients(redis))

    assert follower.batches == []
