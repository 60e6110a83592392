"""At the memory limit new work is refused whole, and accepted work goes on to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.deliveries.delivery import Attempt, DeliveryState
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.errors import Unavailable
from pipeline.health import HealthBoard, Heartbeat
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import (
    DISPATCHER_GROUP,
    NOTIFIER_GROUP,
    POSTPROCESS_GROUP,
    InferRequested,
    Keyspace,
)
from pipeline.streams import StreamReader
from tests.builders import make_inferred, make_job, make_subscriber
from tests.integration.pipeline.own_server import OwnServer, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnServer]:
    """Run a server that a test may fill."""
    with running(tmp_path, "--maxmemory-policy", "noeviction") as server:
        yield server


@pytest_asyncio.fixture
async def full(server: OwnServer) -> AsyncIterator[Redis]:
    """Give a client of that server."""
    async with connect(server.settings(timeout_s=5)) as client:
        yield client


async def reach_the_limit(redis: Redis) -> None:
    """Lower the limit below what is already used."""
    await redis.config_set("maxmemory", "1kb")


async def test_new_work_is_refused_and_writes_nothing(full: Redis, keys: Keyspace) -> None:
    """Acceptance raises Unavailable; no record, entry, count or deadline of the job is there."""
    store = JobStore(full, keys)
    await store.accept([make_job()], waiting_max=100)
    before = sorted([name async for name in full.scan_iter()])
    await reach_the_limit(full)
    refused = [make_job(deadline_unix_ms=5), make_job()]

    with pytest.raises(Unavailable):
        await store.accept(refused, waiting_max=100)

    assert sorted([name async for name in full.scan_iter()]) == before
    assert (await store.counts())[JobState.QUEUED] == 1
    assert await store.past_deadline(now_unix_ms=9, limit=9) == []
    assert await full.xlen(keys.infer("echo", refused[0].priority, "default")) == 1


async def test_accepted_work_goes_on_to_its_end(full: Redis, keys: Keyspace) -> None:
    """Every step after acceptance works at the limit, in services that start only there."""
    store, deliveries = JobStore(full, keys), DeliveryStore(full, keys)
    job = make_job(subscribers=(make_subscriber(), make_subscriber()))
    infer = keys.infer(job.model, job.priority, job.tenant)
    await store.accept([job], waiting_max=100)
    await reach_the_limit(full)
    # A restarted server has forgotten the scripts too.
    await full.script_flush()

    def reader(group: str) -> StreamReader:
        return StreamReader(full, keys, group=group, consumer="c", lease_ms=60_000)

    dispatcher = reader(DISPATCHER_GROUP)
    await dispatcher.ensure_groups([infer])
    (entry,) = await dispatcher.claim([infer], count=10, block_ms=0)
    await dispatcher.renew([entry])
    message = InferRequested.from_fields(entry.fields)
    (started,) = await store.start([(entry, message)], now_unix_ms=1)
    assert started is not None
    handed_back = Move(
        job=started,
        to=JobState.QUEUED,
        cause=entry,
        group=DISPATCHER_GROUP,
        announces=message,
        stream=infer,
    )
    assert await store.move([handed_back]) == [True]
    (entry,) = await dispatcher.claim([infer], count=10, block_ms=0)
    (started,) = await store.start([(entry, message)], now_unix_ms=2)
    assert started is not None
    inferred = replace(
        handed_back,
        job=started,
        to=JobState.INFERRED,
        cause=entry,
        announces=make_inferred(started),
        stream=keys.results,
    )
    assert await store.move([inferred]) == [True]

    postprocess = reader(POSTPROCESS_GROUP)
    await postprocess.ensure_groups([keys.results])
    (entry,) = await postprocess.claim([keys.results], count=10, block_ms=0)
    done = Move(
        job=replace(started, state=JobState.INFERRED),
        to=JobState.SUCCEEDED,
        result="{}" + " " * 10_000,
        cause=entry,
        group=POSTPROCESS_GROUP,
    )
    assert await store.move([done]) == [True]

    notifier = reader(NOTIFIER_GROUP)
    await notifier.ensure_groups([keys.deliveries])
    first, second = await notifier.claim([keys.deliveries], count=10, block_ms=0)
    attempt = Attempt(number=1, at_unix_ms=1, duration_ms=1, status=500)
    settlement = Settlement(
        delivery_id=job.subscribers[0].delivery_id,
        job_id="job_1",
        entry=first,
        state=DeliveryState.PENDING,
        attempt=attempt,
        due_unix_ms=5,
    )
    assert await deliveries.settle([settlement], now_unix_ms=0) == [True]
    assert (await deliveries.release_due(now_unix_ms=5, limit=10)).released == 1
    await notifier.park(second, "to see that it can be parked")

    counts = await store.counts()
    assert {state for state, count in counts.items() if count} == {JobState.SUCCEEDED}


async def test_services_show_life_at_the_limit(full: Redis, keys: Keyspace) -> None:
    """A full store does not make a working service seem dead."""
    await reach_the_limit(full)
    now_unix_ms = SystemClock().unix_ms()
    beat = Heartbeat(service="s", instance="i", pid=1, started_unix_ms=1, beat_unix_ms=now_unix_ms)
    board = HealthBoard(full, keys)

    await board.beat(beat)

    assert await board.all() == [beat]


async def test_work_is_taken_again_below_the_limit(full: Redis, keys: Keyspace) -> None:
    """The same request that was refused is accepted once there is room."""
    store = JobStore(full, keys)
    job = make_job()
    await reach_the_limit(full)
    with pytest.raises(Unavailable):
        await store.accept([job], waiting_max=100)

    await full.config_set("maxmemory", "0")

    assert (await store.accept([job], waiting_max=100)).accepted
    assert await store.get(job.job_id) == job
