"""Hearing of jobs that ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pipeline.connection import connect
from pipeline.errors import Unavailable
from pipeline.jobs.ended import EndedJobs
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import Keyspace
from tests.builders import make_job
from tests.integration.pipeline.own_server import running
from tests.waiting import wait_until


async def listeners(redis: Redis, keys: Keyspace) -> int:
    """Give how many listen."""
    ((_, count),) = await redis.pubsub_numsub(keys.ended_channel)
    return int(count)


async def test_each_end_is_heard_by_everybody(redis: Redis, keys: Keyspace) -> None:
    """Every listener hears of every end, once, and of nothing else; called off, it is gone."""
    store = JobStore(redis, keys)
    heard: list[list[str]] = [[], []]
    listening = [asyncio.create_task(EndedJobs(redis, keys).listen(each.append)) for each in heard]

    async def both_listen() -> bool:
        return await listeners(redis, keys) == 2

    async def nobody_listens() -> bool:
        return await listeners(redis, keys) == 0

    await wait_until(both_listen)
    waiting, *ending = [make_job() for _ in range(4)]
    await store.accept([waiting, *ending], waiting_max=9)
    moves = [Move(job=job, to=JobState.CANCELED) for job in ending]
    await store.move(moves)
    await store.move(moves)

    expected = [job.job_id for job in ending]
    await wait_until(lambda: all(len(each) >= 3 for each in heard))
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    assert heard == [expected, expected]
    await wait_until(nobody_listens)


async def test_a_broken_subscription_is_told(tmp_path: Path, keys: Keyspace) -> None:
    """When the server dies under a listener it raises Unavailable, in bounded time."""
    with running(tmp_path) as server:
        async with connect(server.settings(timeout_s=0.3)) as redis:
            heard: list[str] = []
            listening = asyncio.create_task(EndedJobs(redis, keys).listen(heard.append))
            await wait_until(lambda: listeners(redis, keys))

            server.kill()

            with pytest.raises(Unavailable):
                await asyncio.wait_for(listening, 10)
