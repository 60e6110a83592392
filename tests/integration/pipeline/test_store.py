"""The job store's moves against a real server: each is whole, fenced and safe to repeat."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from pipeline.errors import IllegalTransition
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.quotas import Bucket, Quota
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import (
    DISPATCHER_GROUP,
    NOTIFIER_GROUP,
    POSTPROCESS_GROUP,
    DeliveryDue,
    InferRequested,
    JobInferred,
    Keyspace,
)
from pipeline.streams import Entry, StreamReader
from tests.builders import make_inferred, make_job, make_subscriber


async def claim_one(redis: Redis, keys: Keyspace, group: str, stream: str) -> Entry:
    """Claim the only entry of *stream* as a consumer of *group*."""
    reader = StreamReader(redis, keys, group=group, consumer="c", lease_ms=60_000)
    await reader.ensure_groups([stream])
    (entry,) = await reader.claim([stream], count=10, block_ms=0)
    return entry


async def start_one(redis: Redis, keys: Keyspace, job: Job) -> tuple[Job, Entry]:
    """Accept, claim and start *job*."""
    store = JobStore(redis, keys)
    await store.accept([job], waiting_max=100)
    entry = await claim_one(
        redis, keys, DISPATCHER_GROUP, keys.infer(job.model, job.priority, job.tenant)
    )
    (started,) = await store.start(
        [(entry, InferRequested.from_fields(entry.fields))], now_unix_ms=job.accepted_unix_ms + 5
    )
    assert started is not None
    return started, entry


async def test_an_accepted_job_is_stored_counted_and_announced(
    redis: Redis, keys: Keyspace
) -> None:
    """Accepting writes the record, the count and the entry for the dispatcher."""
    store = JobStore(redis, keys)
    job = make_job(deadline_unix_ms=5, subscribers=(make_subscriber(),), metadata={"camera": "3号"})

    admission = await store.accept([job], waiting_max=1)

    assert admission.accepted
    assert await store.get(job.job_id) == job
    assert (await store.counts())[JobState.QUEUED] == 1
    assert await store.past_deadline(now_unix_ms=5, limit=10) == [job.job_id]
    entry = await claim_one(
        redis, keys, DISPATCHER_GROUP, keys.infer("echo", job.priority, job.tenant)
    )
    assert InferRequested.from_fields(entry.fields).job_id == job.job_id


async def test_a_full_queue_accepts_none_of_several(redis: Redis, keys: Keyspace) -> None:
    """Past the limit nothing is written, not even the part that would fit."""
    store = JobStore(redis, keys)
    await store.accept([make_job()], waiting_max=2)
    refused = [make_job(), make_job()]

    admission = await store.accept(refused, waiting_max=2)

    assert not admission.accepted
    assert admission.waiting == 1
    assert await store.get_many([job.job_id for job in refused]) == [None, None]
    assert (await store.counts())[JobState.QUEUED] == 1


async def test_weighing_says_what_accepting_would_and_changes_nothing(
    redis: Redis, keys: Keyspace
) -> None:
    """Room, a full queue and an empty bucket are told alike; no token is taken."""
    store = JobStore(redis, keys)
    bucket = Bucket(name="tenant", key=keys.bucket("default"), rate_per_s=0.001, burst=1)
    quota = Quota(buckets=(bucket,))

    weighed = [await store.weigh([make_job()], waiting_max=2, quota=quota) for _ in range(2)]
    assert [(each.accepted, each.waiting) for each in weighed] == [(True, 0)] * 2
    assert [key async for key in redis.scan_iter(f"{keys.prefix}:*")] == []

    assert (await store.accept([make_job()], waiting_max=2, quota=quota)).accepted
    for waiting_max, name in ((2, "tenant"), (1, "queue")):
        job = make_job()
        asked = await store.weigh([job], waiting_max=waiting_max, quota=quota)
        told = await store.accept([job], waiting_max=waiting_max, quota=quota)
        assert asked.refusal is not None
        assert told.refusal is not None
        assert (asked.accepted, asked.refusal.name) == (told.accepted, told.refusal.name)
        assert (asked.accepted, asked.refusal.name) == (False, name)


async def test_accepting_twice_stores_once(redis: Redis, keys: Keyspace) -> None:
    """A repeated acceptance, as after a lost answer, adds neither an entry nor a count."""
    store = JobStore(redis, keys)
    job = make_job()

    await store.accept([job], waiting_max=5)
    await store.accept([job], waiting_max=5)

    assert (await store.counts())[JobState.QUEUED] == 1
    assert await redis.xlen(keys.infer("echo", job.priority, job.tenant)) == 1


async def test_handing_on_moves_job_and_entry_in_one_step(redis: Redis, keys: Keyspace) -> None:
    """An inferred job has left the infer stream and stands in the result stream."""
    store = JobStore(redis, keys)
    started, entry = await start_one(redis, keys, make_job())
    message = make_inferred(started)

    moved = await store.move(
        [
            Move(
                job=started,
                to=JobState.INFERRED,
                cause=entry,
                group=DISPATCHER_GROUP,
                announces=message,
                stream=keys.results,
            )
        ]
    )

    assert moved == [True]
    assert await redis.xlen(entry.stream) == 0
    result = await claim_one(redis, keys, POSTPROCESS_GROUP, keys.results)
    assert JobInferred.from_fields(result.fields) == message
    counts = await store.counts()
    assert (counts[JobState.RUNNING], counts[JobState.INFERRED]) == (0, 1)


async def test_a_late_attempt_changes_nothing(redis: Redis, keys: Keyspace) -> None:
    """A dispatcher whose claim was taken over is refused, and the new owner's entry stays."""
    store = JobStore(redis, keys)
    zombie, entry = await start_one(redis, keys, make_job())
    (owner,) = await store.start(
        [(entry, InferRequested(job_id=zombie.job_id))], now_unix_ms=zombie.started_unix_ms + 1
    )
    assert owner is not None
    assert owner.attempt == 2

    late = Move(job=zombie, to=JobState.FAILED, cause=entry, group=DISPATCHER_GROUP)
    assert await store.move([late]) == [False]

    assert await redis.xlen(entry.stream) == 1
    assert (await store.get(zombie.job_id)) == owner
    assert await store.move([replace(late, job=owner)]) == [True]


async def test_the_end_creates_each_delivery_once(redis: Redis, keys: Keyspace) -> None:
    """A terminal move announces to every subscriber; a second end is refused and adds none."""
    store = JobStore(redis, keys)
    job = make_job(subscribers=(make_subscriber(), make_subscriber()), deadline_unix_ms=9)
    started, entry = await start_one(redis, keys, job)
    end = Move(
        job=started,
        to=JobState.FAILED,
        finished_unix_ms=77,
        reason_code="model_failed",
        reason="it broke",
        cause=entry,
        group=DISPATCHER_GROUP,
    )

    assert await store.move([end]) == [True]
    assert await store.move([end]) == [False]

    reader = StreamReader(redis, keys, group=NOTIFIER_GROUP, consumer="n", lease_ms=1000)
    await reader.ensure_groups([keys.deliveries])
    entries = await reader.claim([keys.deliveries], count=10, block_ms=0)
    assert [DeliveryDue.from_fields(e.fields).delivery_id for e in entries] == [
        s.delivery_id for s in job.subscribers
    ]
    ended = await store.get(job.job_id)
    assert ended is not None
    assert (ended.state, ended.reason, ended.finished_unix_ms) == (JobState.FAILED, "it broke", 77)
    assert await store.past_deadline(now_unix_ms=10, limit=10) == []
    assert await redis.pttl(keys.job(job.job_id)) > 0


async def test_an_ended_job_is_not_started(redis: Redis, keys: Keyspace) -> None:
    """A job that was withdrawn while it waited is dropped when its entry is claimed."""
    store = JobStore(redis, keys)
    job = make_job()
    await store.accept([job], waiting_max=5)
    await store.move([Move(job=job, to=JobState.CANCELED)])
    entry = await claim_one(
        redis, keys, DISPATCHER_GROUP, keys.infer("echo", job.priority, job.tenant)
    )

    started = await store.start([(entry, InferRequested.from_fields(entry.fields))], now_unix_ms=1)

    assert started == [None]
    assert await redis.xlen(entry.stream) == 0


async def test_an_illegal_move_writes_nothing(redis: Redis, keys: Keyspace) -> None:
    """A step that the table does not have raises before anything is sent."""
    store = JobStore(redis, keys)
    job = make_job()
    await store.accept([job], waiting_max=5)

    with pytest.raises(IllegalTransition, match="queued to succeeded"):
        await store.move([Move(job=job, to=JobState.SUCCEEDED)])

    assert await store.get(job.job_id) == job


async def test_a_job_handed_back_waits_again(redis: Redis, keys: Keyspace) -> None:
    """Handing back leaves a new entry that anybody may claim, and no mark on the job."""
    store = JobStore(redis, keys)
    started, entry = await start_one(redis, keys, make_job())
    await store.move([Move(job=started, to=JobState.RUNNING, alone=True)])

    back = Move(
        job=started,
        to=JobState.QUEUED,
        cause=entry,
        group=DISPATCHER_GROUP,
        announces=InferRequested(job_id=started.job_id),
        stream=entry.stream,
    )
    assert await store.move([back]) == [True]

    fresh = await claim_one(redis, keys, DISPATCHER_GROUP, entry.stream)
    assert fresh.entry_id != entry.entry_id
    waiting = await store.get(started.job_id)
    assert waiting is not None
    assert not waiting.alone
    assert (await store.counts())[JobState.QUEUED] == 1
