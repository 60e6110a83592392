"""Claims as leases: who gets an entry, for how long, and who gets it next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from pipeline.protocol import Keyspace
from pipeline.streams import Entry, StreamReader
from tests.integration.pipeline.looking import blocked_clients, entries_of, pending_of
from tests.waiting import wait_until

GROUP = "readers"

#: Long enough that nothing becomes overdue by itself in a test.
LONG_MS = 60_000


def make_reader(
    redis: Redis, keys: Keyspace, consumer: str, *, lease_ms: int = LONG_MS
) -> StreamReader:
    """Make one consumer of the group."""
    return StreamReader(redis, keys, group=GROUP, consumer=consumer, lease_ms=lease_ms)


async def fill(redis: Redis, keys: Keyspace, count: int) -> StreamReader:
    """Put *count* entries into the result stream and give its first reader."""
    reader = make_reader(redis, keys, "first")
    await reader.ensure_groups([keys.results])
    for number in range(count):
        await redis.xadd(keys.results, {"n": str(number)})
    return reader


def numbers(entries: Sequence[Entry]) -> list[int]:
    """Give what the entries carry."""
    return [int(entry.fields["n"]) for entry in entries]


async def idle_for(redis: Redis, keys: Keyspace, idle_ms: int) -> None:
    """Wait until every claimed entry has been idle for *idle_ms* by the server's own count."""

    async def all_idle() -> bool:
        rows = await pending_of(redis, keys.results, GROUP)
        return all(row["time_since_delivered"] >= idle_ms for row in rows)

    await wait_until(all_idle)


async def owners(redis: Redis, keys: Keyspace) -> list[str]:
    """Give the consumer of each claimed entry, oldest first."""
    rows = await pending_of(redis, keys.results, GROUP)
    return [row["consumer"] for row in rows]


async def test_an_entry_is_claimed_by_one_reader_alone(redis: Redis, keys: Keyspace) -> None:
    """Two readers of a group share its entries; neither sees what the other has."""
    first = await fill(redis, keys, 5)
    second = make_reader(redis, keys, "second")

    mine = await first.claim([keys.results], count=3, block_ms=0)
    others = await second.claim([keys.results], count=10, block_ms=0)

    assert (numbers(mine), numbers(others)) == ([0, 1, 2], [3, 4])
    assert await first.claim([keys.results], count=1, block_ms=0) == []


async def test_the_count_is_per_stream(redis: Redis, keys: Keyspace) -> None:
    """One claim over several streams takes up to its count of each."""
    reader = await fill(redis, keys, 3)
    await reader.ensure_groups([keys.deliveries])
    await redis.xadd(keys.deliveries, {"n": "9"})

    entries = await reader.claim([keys.results, keys.deliveries], count=2, block_ms=0)

    assert {(entry.stream, entry.fields["n"]) for entry in entries} == {
        (keys.results, "0"),
        (keys.results, "1"),
        (keys.deliveries, "9"),
    }


async def test_a_waiting_claim_ends_when_work_comes(redis: Redis, keys: Keyspace) -> None:
    """A blocked read gives the entry that was added meanwhile."""
    reader = await fill(redis, keys, 0)
    claim = asyncio.create_task(reader.claim([keys.results], count=5, block_ms=4000))
    await wait_until(lambda: blocked_clients(redis))

    await redis.xadd(keys.results, {"n": "7"})

    assert numbers(await claim) == [7]


async def test_making_a_group_again_keeps_what_it_knows(redis: Redis, keys: Keyspace) -> None:
    """A restarted reader neither loses its claims nor reads settled entries again."""
    reader = await fill(redis, keys, 2)
    claimed = await reader.claim([keys.results], count=1, block_ms=0)

    await reader.ensure_groups([keys.results])

    assert await reader.own(keys.results) == claimed
    assert numbers(await reader.claim([keys.results], count=5, block_ms=0)) == [1]


async def test_a_group_begins_at_the_oldest_entry(redis: Redis, keys: Keyspace) -> None:
    """Entries written before any reader came up are read."""
    await redis.xadd(keys.results, {"n": "0"})
    reader = make_reader(redis, keys, "late")

    await reader.ensure_groups([keys.results])

    assert numbers(await reader.claim([keys.results], count=5, block_ms=0)) == [0]


async def test_a_restarted_reader_finds_its_own_claims(redis: Redis, keys: Keyspace) -> None:
    """The same name has the same claims, at once and without anybody else's."""
    first = await fill(redis, keys, 4)
    claimed = await first.claim([keys.results], count=2, block_ms=0)
    await make_reader(redis, keys, "second").claim([keys.results], count=1, block_ms=0)

    reborn = make_reader(redis, keys, "first")

    assert await reborn.own(keys.results) == claimed
    assert await make_reader(redis, keys, "third").own(keys.results) == []


async def test_a_lease_that_runs_is_not_taken_over(redis: Redis, keys: Keyspace) -> None:
    """Before the lease is over nobody else gets the entry; after it the next one does."""
    lease_ms = 80
    first = await fill(redis, keys, 1)
    await first.claim([keys.results], count=1, block_ms=0)

    assert await make_reader(redis, keys, "early").take_over(keys.results, count=5) == []
    await idle_for(redis, keys, lease_ms)
    late = make_reader(redis, keys, "late", lease_ms=lease_ms)
    assert numbers(await late.take_over(keys.results, count=5)) == [0]

    assert await owners(redis, keys) == ["late"]
    assert await late.take_over(keys.results, count=5) == []


async def test_a_renewed_lease_starts_anew(redis: Redis, keys: Keyspace) -> None:
    """Of two entries the one that its reader renewed stays with it."""
    lease_ms = 500
    first = await fill(redis, keys, 2)
    kept, left = await first.claim([keys.results], count=2, block_ms=0)
    await idle_for(redis, keys, lease_ms)

    await first.renew([kept])

    second = make_reader(redis, keys, "second", lease_ms=lease_ms)
    taken = await second.take_over(keys.results, count=5)
    assert taken == [left]
    assert await owners(redis, keys) == ["first", "second"]


async def test_renewing_is_no_delivery(redis: Redis, keys: Keyspace) -> None:
    """However often a lease is renewed, the entry counts as delivered once."""
    reader = await fill(redis, keys, 1)
    claimed = await reader.claim([keys.results], count=1, block_ms=0)

    for _ in range(3):
        await reader.renew(claimed)

    (row,) = await pending_of(redis, keys.results, GROUP)
    assert row["times_delivered"] == 1


async def test_renewing_takes_nothing_back(redis: Redis, keys: Keyspace) -> None:
    """A reader that slept past its lease cannot renew what another has taken over since."""
    first = await fill(redis, keys, 1)
    claimed = await first.claim([keys.results], count=1, block_ms=0)
    second = make_reader(redis, keys, "second", lease_ms=0)
    await second.take_over(keys.results, count=1)

    await first.renew(claimed)

    assert await owners(redis, keys) == ["second"]
    assert await first.own(keys.results) == []


async def test_renewing_what_is_settled_claims_nothing(redis: Redis, keys: Keyspace) -> None:
    """An entry settled between two renewals, or a stream that is gone, is no fault."""
    reader = await fill(redis, keys, 1)
    claimed = await reader.claim([keys.results], count=1, block_ms=0)
    await reader.park(claimed[0], "settled")

    await reader.renew(claimed)
    assert await owners(redis, keys) == []
    await redis.delete(keys.results)
    await reader.renew(claimed)
    await reader.renew([])

    assert await redis.exists(keys.results) == 0


async def test_overdue_entries_are_found_behind_busy_ones(redis: Redis, keys: Keyspace) -> None:
    """Many older entries that a live reader renews do not hide a dead one's."""
    lease_ms = 500
    live = await fill(redis, keys, 51)
    busy = await live.claim([keys.results], count=50, block_ms=0)
    await make_reader(redis, keys, "dead").claim([keys.results], count=1, block_ms=0)
    await idle_for(redis, keys, lease_ms)
    await live.renew(busy)

    heir = make_reader(redis, keys, "heir", lease_ms=lease_ms)

    assert numbers(await heir.take_over(keys.results, count=1)) == [50]


async def test_a_take_over_stops_at_its_count(redis: Redis, keys: Keyspace) -> None:
    """No more is taken than there is room for, oldest first."""
    first = await fill(redis, keys, 5)
    await first.claim([keys.results], count=5, block_ms=0)
    heir = make_reader(redis, keys, "heir", lease_ms=0)

    assert numbers(await heir.take_over(keys.results, count=3)) == [0, 1, 2]
    assert await owners(redis, keys) == ["heir"] * 3 + ["first"] * 2


async def test_a_parked_entry_leaves_its_stream(redis: Redis, keys: Keyspace) -> None:
    """The dead stream keeps the fields, where they came from, and the reason."""
    reader = await fill(redis, keys, 1)
    (entry,) = await reader.claim([keys.results], count=1, block_ms=0)

    await reader.park(entry, "unknown kind")

    assert await redis.xlen(keys.results) == 0
    assert await owners(redis, keys) == []
    ((_, fields),) = await entries_of(redis, keys.dead)
    assert fields == {
        "from": keys.results,
        "entry": entry.entry_id,
        "reason": "unknown kind",
        "n": "0",
    }


async def test_parking_twice_buries_once(redis: Redis, keys: Keyspace) -> None:
    """A repeated call, as after a lost answer, adds nothing."""
    reader = await fill(redis, keys, 1)
    (entry,) = await reader.claim([keys.results], count=1, block_ms=0)

    await reader.park(entry, "unknown kind")
    await reader.park(entry, "unknown kind")

    assert await redis.xlen(keys.dead) == 1


async def test_an_entry_with_very_many_fields_is_parked_whole(redis: Redis, keys: Keyspace) -> None:
    """An entry beyond what a script takes as arguments at once is not lost on the way."""
    reader = await fill(redis, keys, 0)
    wide = {f"f{number}": "x" for number in range(6000)}
    await redis.xadd(keys.results, wide)  # type: ignore[arg-type]  # the stub wants wider keys
    (entry,) = await reader.claim([keys.results], count=1, block_ms=0)

    await reader.park(entry, "too wide")

    ((_, fields),) = await entries_of(redis, keys.dead)
    assert fields["reason"] == "too wide"
    assert await owners(redis, keys) == []


async def test_foreign_bytes_reach_the_reader(redis: Redis, keys: Keyspace) -> None:
    """An entry that is not text can be claimed, found again, taken over and parked."""
    reader = await fill(redis, keys, 0)
    await redis.xadd(keys.results, {b"kind": b"\x80\x04\xff"})

    claimed = await reader.claim([keys.results], count=5, block_ms=0)
    assert await reader.own(keys.results) == claimed
    heir = make_reader(redis, keys, "heir", lease_ms=0)
    assert await heir.take_over(keys.results, count=5) == claimed
    await heir.park(claimed[0], "not text")

    assert await redis.xlen(keys.dead) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_cancelled_claim_loses_nothing(redis: Redis, keys: Keyspace, moment: str) -> None:
    """An entry that comes while a waiting claim is called off is claimed by the next one."""
    reader = await fill(redis, keys, 0)
    claim = asyncio.create_task(reader.claim([keys.results], count=5, block_ms=4000))
    await wait_until(lambda: blocked_clients(redis))

    if moment == "before":
        # The server has answered by now, and nobody reads the answer.
        await redis.xadd(keys.results, {"n": "1"})
    claim.cancel()
    await asyncio.gather(claim, return_exceptions=True)
    if moment == "after":
        await redis.xadd(keys.results, {"n": "1"})

    again = await reader.own(keys.results)
    again += await reader.claim([keys.results], count=5, block_ms=0)
    assert numbers(again) == [1] or numbers(await claim) == [1]


async def test_a_burst_of_callers_waits_its_turn(redis: Redis, keys: Keyspace) -> None:
    """More calls at once than there are connections are all answered."""
    reader = await fill(redis, keys, 300)

    claims = await asyncio.gather(
        *(reader.claim([keys.results], count=1, block_ms=0) for _ in range(300))
    )

    assert sorted(number for entries in claims for number in numbers(entries)) == list(range(300))
