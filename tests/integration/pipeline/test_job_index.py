"""The index of a tenant's jobs."""

from __future__ import annotations

from redis.asyncio import Redis

from pipeline.ids import new_id
from pipeline.jobs.index import JobIndex, Span
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import Keyspace
from tests.builders import make_job, make_subscriber

START_MS = 1_700_000_000_000


async def accepted(redis: Redis, keys: Keyspace, *moments_ms: int) -> list[Job]:
    """Accept a job of each moment."""
    jobs = [make_job(job_id=new_id("job", START_MS + each)) for each in moments_ms]
    await JobStore(redis, keys).accept(jobs, waiting_max=10_000)
    return jobs


async def test_ids_are_listed_newest_first(redis: Redis, keys: Keyspace) -> None:
    """Within their span, as many as asked for."""
    jobs = await accepted(redis, keys, 3, 1, 2)
    index = JobIndex(redis, keys)
    newest = [jobs[0].job_id, jobs[2].job_id, jobs[1].job_id]

    assert await index.ids("default", Span(), limit=9) == newest
    assert await index.ids("default", Span(), limit=2) == newest[:2]
    assert await index.ids("default", Span(before_id=newest[0]), limit=9) == newest[1:]
    assert await index.ids("default", Span(from_unix_ms=START_MS + 2), limit=9) == newest[:2]
    assert await index.ids("default", Span(until_unix_ms=START_MS + 2), limit=9) == newest[2:]
    assert await index.ids("other", Span(), limit=9) == []
    assert await index.submitters() == ["default"]


async def test_a_summary_is_the_record_without_its_bulk(redis: Redis, keys: Keyspace) -> None:
    """The result only when asked for, None where there is no record."""
    store, index = JobStore(redis, keys), JobIndex(redis, keys)
    job = make_job(subscribers=(make_subscriber(),), preview=True, reference="订单")
    await store.accept([job], waiting_max=9)
    for state in (JobState.RUNNING, JobState.INFERRED, JobState.SUCCEEDED):
        seen = await store.get(job.job_id)
        assert seen is not None
        await store.move([Move(job=seen, to=state, result="{}", finished_unix_ms=5)])

    slim, gone = await index.summaries([job.job_id, "job_x"])
    (full,) = await index.summaries([job.job_id], with_result=True)

    assert slim is not None
    assert full is not None
    assert gone is None
    assert (slim.state, slim.reference, slim.preview) == (JobState.SUCCEEDED, "订单", True)
    assert (slim.result, slim.subscribers, full.result) == ("", (), "{}")


async def test_ids_of_lost_records_are_trimmed(redis: Redis, keys: Keyspace) -> None:
    """Those old enough to have lost theirs; one that lives long stays, however old."""
    old, lasting, young = await accepted(redis, keys, 1, 2, 9)
    await redis.delete(keys.job(old.job_id), keys.job(young.job_id))
    index = JobIndex(redis, keys)

    trimmed = await index.trim("default", accepted_before_unix_ms=START_MS + 5)

    assert trimmed == 1
    assert await index.ids("default", Span(), limit=9) == [young.job_id, lasting.job_id]


async def test_many_ids_are_trimmed(redis: Redis, keys: Keyspace) -> None:
    """More than one round trip's worth, with lasting ones in between."""
    jobs = await accepted(redis, keys, *range(1_100))
    for job in jobs[::2]:
        await redis.delete(keys.job(job.job_id))

    trimmed = await JobIndex(redis, keys).trim("default", accepted_before_unix_ms=START_MS + 9_999)

    assert trimmed == 550
    assert await redis.zcard(keys.jobs("default")) == 550


async def test_a_job_is_removed_once_and_only_when_it_has_ended(
    redis: Redis, keys: Keyspace
) -> None:
    """A live one stays whole, and one that is gone is said to be."""
    (job,) = await accepted(redis, keys, 1)
    store, index = JobStore(redis, keys), JobIndex(redis, keys)

    live = await index.remove(job)
    await store.move([Move(job=job, to=JobState.CANCELED, finished_unix_ms=5)])

    assert live == "queued"
    assert await index.remove(job) == ""
    assert await index.remove(job) == "gone"
    assert await index.ids("default", Span(), limit=9) == []
    assert (await store.counts())[JobState.CANCELED] == 1
