"""The infer streams of a model, one per tenant and priority, and the counters beside them."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from pipeline.jobs.infer_queue import NEVER_RUNG, InferQueue, Line
from pipeline.jobs.job import Job, JobState, Priority
from pipeline.jobs.loads import LoadStore, loads_of, through_field
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import DISPATCHER_GROUP, InferRequested, Keyspace
from pipeline.streams import StreamReader
from tests.builders import make_job


def queue_of(redis: Redis, keys: Keyspace, consumer: str = "a") -> InferQueue:
    """Give the queue as one dispatcher sees it."""
    reader = StreamReader(redis, keys, group=DISPATCHER_GROUP, consumer=consumer, lease_ms=60_000)
    return InferQueue(redis, keys, reader)


def line(tenant: str, priority: Priority = Priority.NORMAL) -> Line:
    """Give a line of the model ``echo``."""
    return Line(model="echo", priority=priority, tenant=tenant)


async def accept(redis: Redis, keys: Keyspace, tenant: str, count: int) -> list[Job]:
    """Accept jobs of a tenant."""
    jobs = [make_job(tenant=tenant) for _ in range(count)]
    assert (await JobStore(redis, keys).accept(jobs, waiting_max=1000)).accepted
    return jobs


async def test_each_line_gives_no_more_than_its_share(redis: Redis, keys: Keyspace) -> None:
    """Two tenants, two shares; what is left stays in the lines, and both are named."""
    queue = queue_of(redis, keys)
    await accept(redis, keys, "one", 5)
    await accept(redis, keys, "two", 5)

    claimed = await queue.claim("echo", {line("one"): 3, line("two"): 1, line("none"): 9})

    assert {each.tenant: len(found) for each, found in claimed.entries.items()} == {
        "one": 3,
        "two": 1,
        "none": 0,
    }
    assert list(claimed.lines) == [line("one"), line("two")]


async def test_a_line_is_named_until_its_last_entry_is_settled(
    redis: Redis, keys: Keyspace
) -> None:
    """Claimed is not gone: whoever takes over must find it."""
    queue, store = queue_of(redis, keys), JobStore(redis, keys)
    (job,) = await accept(redis, keys, "one", 1)
    claimed = await queue.claim("echo", {line("one"): 5})
    (entry,) = claimed.entries[line("one")]

    assert list((await queue.claim("echo", {line("one"): 5})).lines) == [line("one")]

    (started,) = await store.start([(entry, InferRequested(job_id=job.job_id))], now_unix_ms=5)
    assert started is not None
    await store.move(
        [
            Move(
                job=started,
                to=JobState.FAILED,
                cause=entry,
                group=DISPATCHER_GROUP,
                finished_unix_ms=5,
            )
        ]
    )
    assert (await queue.claim("echo", {line("one"): 5})).lines == []
    assert not await redis.exists(keys.waiting("echo"))
    assert not await redis.exists(keys.infer("echo", Priority.NORMAL, "one")) or not (
        await redis.xlen(keys.infer("echo", Priority.NORMAL, "one"))
    )


async def test_a_job_handed_back_is_named_and_rung_again(redis: Redis, keys: Keyspace) -> None:
    """It waits in its own tenant's line, wherever it was claimed from, and wakes a dispatcher."""
    queue, store = queue_of(redis, keys), JobStore(redis, keys)
    (job,) = await accept(redis, keys, "one", 1)
    claimed = await queue.claim("echo", {line("one"): 1})
    (entry,) = claimed.entries[line("one")]
    (started,) = await store.start([(entry, InferRequested(job_id=job.job_id))], now_unix_ms=5)
    assert started is not None
    bell = await queue.rung("echo", since=NEVER_RUNG, block_ms=1000)
    await redis.delete(keys.waiting("echo"))

    again = InferRequested(job_id=job.job_id)
    move = Move(
        job=started, to=JobState.QUEUED, cause=entry, group=DISPATCHER_GROUP, announces=again
    )
    assert await store.move([move]) == [True]

    assert await queue.rung("echo", since=bell, block_ms=1000) > bell
    assert list((await queue.claim("echo", {})).lines) == [line("one")]
    assert len((await queue.claim("echo", {line("one"): 5})).entries[line("one")]) == 1


async def test_a_bell_wakes_whoever_waits_and_misses_nothing(redis: Redis, keys: Keyspace) -> None:
    """One that rang before the wait is heard as well as one that rings during it."""
    queue = queue_of(redis, keys)
    assert await queue.rung("echo", since=NEVER_RUNG, block_ms=10) == NEVER_RUNG

    waiting = asyncio.create_task(queue.rung("echo", since=NEVER_RUNG, block_ms=5000))
    await accept(redis, keys, "one", 1)
    first = await waiting
    await accept(redis, keys, "one", 1)

    assert NEVER_RUNG < first < await queue.rung("echo", since=first, block_ms=5000)
    assert await redis.xlen(keys.bell("echo")) == 1


async def test_a_dispatcher_that_starts_finds_its_own_claims(redis: Redis, keys: Keyspace) -> None:
    """In every line, those of an older webapp too, though nobody names them any more."""
    queue = queue_of(redis, keys)
    await accept(redis, keys, "one", 2)
    await redis.xadd(keys.infer("echo", Priority.LOW), {"kind": "x"})
    await queue.claim("echo", {line("one"): 1, line("", Priority.LOW): 1})
    await redis.delete(keys.waiting("echo"))

    lines = await queue.find_streams("echo")

    assert lines == [line("one"), line("", Priority.LOW)]
    assert [(each, len(found)) for each, found in await queue.own(lines)] == [
        (line("one"), 1),
        (line("", Priority.LOW), 1),
    ]


@pytest.mark.parametrize("to", [JobState.CANCELED, JobState.FAILED, JobState.EXPIRED])
async def test_the_loads_follow_the_states(redis: Redis, keys: Keyspace, to: JobState) -> None:
    """Acceptance raises them, a hand-back changes nothing, the end gives back exactly as much."""
    store, loads = JobStore(redis, keys), LoadStore(redis, keys)
    one = await accept(redis, keys, "one", 3)
    two = await accept(redis, keys, "two", 2)
    assert (await loads.read()).fields == loads_of([*one, *two])

    (handed,) = [Move(job=one[0], to=JobState.RUNNING)]
    assert await store.move([handed]) == [True]
    assert (await loads.read()).fields == loads_of([*one, *two])

    moves = [Move(job=job, to=to, finished_unix_ms=5) for job in two]
    assert await store.move(moves) == [True, True]
    assert await store.move(moves) == [False, False]

    assert (await loads.read()).fields == loads_of(one) | {through_field("echo"): 2}


async def test_wrong_loads_are_set_right_but_for_those_that_move(
    redis: Redis, keys: Keyspace
) -> None:
    """A counter that was changed since it was looked at is left for the next time."""
    loads = LoadStore(redis, keys)
    jobs = await accept(redis, keys, "one", 3)
    await redis.hincrby(keys.loads, "bytes:one", 7)
    await redis.hset(keys.loads, "jobs:ghost", "4")
    seen = await loads.read()
    jobs += await accept(redis, keys, "two", 1)

    corrected = await loads.correct(seen, loads_of(jobs[:3]))

    assert set(corrected) == {"bytes:one", "jobs:ghost"}
    assert (await loads.read()).fields == loads_of(jobs)
