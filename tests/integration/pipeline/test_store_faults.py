"""The job store where something is odd: late finishers, strange texts, records cut short."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from pipeline.jobs.job import LIVE_STATES, JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import DISPATCHER_GROUP, InferRequested, Keyspace
from pipeline.streams import StreamReader
from tests.builders import make_inferred, make_job, make_subscriber
from tests.integration.pipeline.looking import entries_of, pending_of
from tests.integration.pipeline.test_store import start_one


async def test_a_late_finish_settles_the_entry_of_a_withdrawn_job(
    redis: Redis, keys: Keyspace
) -> None:
    """A job canceled while it ran stays canceled, and its entry goes with the refused answer."""
    store = JobStore(redis, keys)
    started, entry = await start_one(redis, keys, make_job())
    cancel = Move(job=started, to=JobState.CANCELED, expected=LIVE_STATES)
    assert await store.move([cancel]) == [True]

    answer = Move(
        job=started,
        to=JobState.INFERRED,
        cause=entry,
        group=DISPATCHER_GROUP,
        announces=make_inferred(started),
        stream=keys.results,
    )

    assert await store.move([answer]) == [False]
    assert await entries_of(redis, entry.stream) == []
    assert await pending_of(redis, entry.stream, DISPATCHER_GROUP) == []
    assert await redis.exists(keys.results) == 0


async def test_a_withdrawal_by_an_older_attempt_is_refused(redis: Redis, keys: Keyspace) -> None:
    """A caller that read the job before it was started anew must read again."""
    store = JobStore(redis, keys)
    seen, entry = await start_one(redis, keys, make_job())
    await store.start([(entry, InferRequested(job_id=seen.job_id))], now_unix_ms=9)
    cancel = Move(job=seen, to=JobState.CANCELED, expected=LIVE_STATES)

    assert await store.move([cancel]) == [False]
    fresh = await store.get(seen.job_id)
    assert fresh is not None
    assert await store.move([replace(cancel, job=fresh)]) == [True]


async def test_a_handed_back_job_is_told_of_once(redis: Redis, keys: Keyspace) -> None:
    """Repeating a hand-back whose answer was lost adds no second entry."""
    store = JobStore(redis, keys)
    started, entry = await start_one(redis, keys, make_job())
    back = Move(
        job=started,
        to=JobState.QUEUED,
        cause=entry,
        group=DISPATCHER_GROUP,
        announces=InferRequested(job_id=started.job_id),
        stream=entry.stream,
    )

    assert await store.move([back]) == [True]
    assert await store.move([back]) == [False]

    assert len(await entries_of(redis, entry.stream)) == 1


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\x1f\x7f", "安全帽 ☕ 😀", '"\\', "\u2028"])
async def test_any_text_is_accepted_and_ended(redis: Redis, keys: Keyspace, text: str) -> None:
    """No character of a caller's or a model's makes a script fail; lone surrogates are replaced."""
    store = JobStore(redis, keys)
    kept = text.replace("\ud800", "?")
    job = make_job(reference=text, metadata={"note": text}, subscribers=(make_subscriber(),))

    assert (await store.accept([job], waiting_max=5)).accepted
    end = Move(job=job, to=JobState.FAILED, reason=text, reason_code="model_failed")
    assert await store.move([end]) == [True]

    ended = await store.get(job.job_id)
    assert ended is not None
    assert (ended.reference, ended.metadata, ended.reason) == (kept, {"note": kept}, kept)


async def test_a_record_cut_short_is_no_record(redis: Redis, keys: Keyspace) -> None:
    """A record that lacks a field is as good as none, rather than a job with a guessed one."""
    store = JobStore(redis, keys)
    job = make_job()
    await store.accept([job], waiting_max=5)
    await redis.hdel(keys.job(job.job_id), "picture")

    assert await store.get(job.job_id) is None
    assert await store.get_many([job.job_id]) == [None]


async def test_a_thousand_jobs_move_in_one_call(redis: Redis, keys: Keyspace) -> None:
    """A batch of the largest allowed size is started and ended with each of its jobs."""
    store = JobStore(redis, keys)
    jobs = [make_job(subscribers=(make_subscriber(),)) for _ in range(1000)]
    await store.accept(jobs, waiting_max=1000)
    stream = keys.infer("echo", jobs[0].priority, "default")
    reader = StreamReader(redis, keys, group=DISPATCHER_GROUP, consumer="c", lease_ms=60_000)
    await reader.ensure_groups([stream])
    entries = await reader.claim([stream], count=1000, block_ms=0)
    claims = [(entry, InferRequested.from_fields(entry.fields)) for entry in entries]

    started = await store.start(claims, now_unix_ms=1)
    moves = [
        Move(job=job, to=JobState.FAILED, cause=entry, group=DISPATCHER_GROUP)
        for entry, job in zip(entries, started, strict=True)
        if job is not None
    ]
    assert await store.move(moves) == [True] * 1000

    assert (await store.counts())[JobState.FAILED] == 1000
    assert await redis.xlen(stream) == 0
    assert await redis.xlen(keys.deliveries) == 1000
