"""The stores behind a line that delays, cuts and drops: everything happens, and happens once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis

from pipeline.connection import connect
from pipeline.deliveries.delivery import Attempt, DeliveryState
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.errors import Unavailable
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import NOTIFIER_GROUP, Keyspace
from pipeline.settings import RedisSettings
from pipeline.streams import Entry, StreamReader
from tests.builders import make_job, make_subscriber
from tests.fakes.bad_line import BadLine

T = TypeVar("T")

JOBS = 60
LEASE_MS = 200


async def at_last(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call again until Redis has answered it, as every service does."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0)


async def submit_and_end(store: JobStore, jobs: list[Job]) -> None:
    """Accept and cancel each of *jobs*, several at once."""

    async def one(job: Job) -> None:
        await at_last(lambda: store.accept([job], waiting_max=1000))
        await at_last(lambda: store.move([Move(job=job, to=JobState.CANCELED)]))

    async with asyncio.TaskGroup() as tasks:
        for job in jobs:
            tasks.create_task(one(job))


async def deliver_all(redis: Redis, keys: Keyspace, job_of: dict[str, str]) -> None:
    """Claim and settle deliveries until all of *job_of* are; what a lost answer hid is retaken."""
    reader = StreamReader(redis, keys, group=NOTIFIER_GROUP, consumer="n", lease_ms=LEASE_MS)
    store = DeliveryStore(redis, keys)
    await at_last(lambda: reader.ensure_groups([keys.deliveries]))
    settled: set[str] = set()
    async with asyncio.timeout(60):
        while len(settled) < len(job_of):
            entries = await at_last(lambda: reader.claim([keys.deliveries], count=8, block_ms=0))
            entries += await at_last(lambda: reader.take_over(keys.deliveries, count=8))
            outcomes = [delivered(entry, job_of) for entry in entries]
            if outcomes:
                await at_last(partial(store.settle, outcomes, now_unix_ms=1))
                settled |= {each.delivery_id for each in outcomes}


def delivered(entry: Entry, job_of: dict[str, str]) -> Settlement:
    """Give the outcome of a claimed delivery."""
    delivery_id = entry.fields["delivery_id"]
    return Settlement(
        delivery_id=delivery_id,
        job_id=job_of[delivery_id],
        entry=entry,
        state=DeliveryState.DELIVERED,
        attempt=Attempt(number=1, at_unix_ms=1, duration_ms=1, status=204),
    )


async def test_a_bad_line_neither_loses_nor_doubles(
    redis_url: str, redis: Redis, keys: Keyspace
) -> None:
    """Sixty jobs are accepted, ended and told; counts, entries and attempts are of sixty."""
    jobs = [make_job(subscribers=(make_subscriber(),)) for _ in range(JOBS)]
    job_of = {job.subscribers[0].delivery_id: job.job_id for job in jobs}
    line = BadLine(
        to_port=urlsplit(redis_url).port or 0, delay_s=0.01, drop=0.05, chance=random.Random(3)
    )
    async with line.running():
        settings = RedisSettings(url=f"redis://127.0.0.1:{line.port}/0", timeout_s=2)
        async with connect(settings) as behind:
            await submit_and_end(JobStore(behind, keys), jobs)
            assert await redis.xlen(keys.deliveries) == JOBS
            await deliver_all(behind, keys, job_of)

    assert line.dropped > 10
    counts = await JobStore(redis, keys).counts()
    assert {state: count for state, count in counts.items() if count} == {JobState.CANCELED: JOBS}
    store = DeliveryStore(redis, keys)
    records = await store.get_many(list(job_of))
    assert Counter(each.state for each in records if each) == {DeliveryState.DELIVERED: JOBS}
    assert {len(await store.attempts(each)) for each in job_of} == {1}
    assert await redis.xlen(keys.deliveries) == 0
