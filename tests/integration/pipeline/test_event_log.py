"""The log of what happened to a tenant's jobs."""

from __future__ import annotations

from redis.asyncio import Redis

from pipeline.events.log import START, EventLog, NamedCursor
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import Keyspace
from tests.builders import make_job


async def test_acceptance_and_end_are_logged_once(redis: Redis, keys: Keyspace) -> None:
    """By the scripts themselves, however often a step is repeated."""
    store, log = JobStore(redis, keys), EventLog(redis, keys)
    job = make_job()
    for _ in range(2):
        await store.accept([job], waiting_max=9)
    cancel = Move(job=job, to=JobState.CANCELED, finished_unix_ms=5)

    assert [await store.move([cancel]) for _ in range(2)] == [[True], [False]]

    events = await log.after("default", START, limit=9)
    assert [(each.job_id, each.event) for each in events] == [
        (job.job_id, "accepted"),
        (job.job_id, "canceled"),
    ]
    assert await log.after("default", events[0].cursor, limit=9) == events[1:]
    assert await log.end("default") == events[1].cursor
    assert await log.after("other", START, limit=9) == []


async def test_what_is_refused_is_not_logged(redis: Redis, keys: Keyspace) -> None:
    """Neither events nor ids of jobs that nobody accepted."""
    store = JobStore(redis, keys)

    admission = await store.accept([make_job(), make_job()], waiting_max=1)

    assert not admission.accepted
    assert await EventLog(redis, keys).end("default") == START
    assert await redis.exists(keys.jobs("default")) == 0


async def test_a_log_is_trimmed_by_count_and_by_age(redis: Redis, keys: Keyspace) -> None:
    """The newest trimmed one is noted, also when nothing is left."""
    log = EventLog(redis, keys)
    name = keys.events("default")
    for second in range(1, 2_501):
        await redis.xadd(name, {"job": "job_1", "event": "accepted"}, id=f"{second * 1000}-0")

    by_count = await log.trim("default", older_than_unix_ms=0, keep_max=1_000)
    noted = await log.trimmed("default")
    by_age = await log.trim("default", older_than_unix_ms=2_000_000, keep_max=1_000)
    left = await redis.xlen(name)
    rest = await log.trim("default", older_than_unix_ms=9_000_000, keep_max=1_000)

    assert (by_count, noted) == (1_500, "1500000-0")
    assert (by_age, left) == (499, 501)
    assert rest == 501
    assert await log.trimmed("default") == await log.end("default") == "2500000-0"
    assert await log.trim("default", older_than_unix_ms=9_000_000, keep_max=0) == 0


async def test_a_log_tells_that_it_has_grown(redis: Redis, keys: Keyspace) -> None:
    """Those of several that have something behind their place."""
    log = EventLog(redis, keys)
    await redis.xadd(keys.events("a"), {"job": "job_1", "event": "accepted"}, id="5-0")

    grown = await log.grown({"a": START, "b": START}, block_ms=1)
    none = await log.grown({"a": "5-0", "b": START}, block_ms=1)

    assert (grown, none) == ({"a"}, set())


async def test_named_cursors_are_kept(redis: Redis, keys: Keyspace) -> None:
    """By tenant and name, until they are forgotten."""
    log = EventLog(redis, keys)
    named = NamedCursor(name="belt-7", cursor="5-0", noted_unix_ms=7)

    await log.note_cursor("default", named)

    assert await log.cursor("default", "belt-7") == named
    assert await log.cursors("default") == [named]
    assert await log.cursor("other", "belt-7") is None
    assert await log.forget_cursor("default", "belt-7")
    assert not await log.forget_cursor("default", "belt-7")
