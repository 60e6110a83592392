"""Promises: acceptance under an idempotency key, at the store."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from pipeline.jobs.job import JobState
from pipeline.jobs.promises import Once, Promise, Promises
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.builders import make_job

ONCE = Once.of("order 17", fingerprint="f" * 64, keep_ms=60_000)


async def test_a_promise_is_made_with_the_jobs(redis: Redis, keys: Keyspace) -> None:
    """And found under its key, by its tenant alone."""
    jobs = [make_job(), make_job()]

    admission = await JobStore(redis, keys).accept(jobs, waiting_max=9, once=ONCE)

    promises = Promises(redis, keys)
    promise = await promises.get("default", ONCE.key_sha256)
    assert admission.accepted
    assert promise == Promise(fingerprint="f" * 64, job_ids=(jobs[0].job_id, jobs[1].job_id))
    assert await promises.get("other", ONCE.key_sha256) is None
    name = keys.promise("default", ONCE.key_sha256)
    assert 0 < await redis.pttl(name) <= 60_000


async def test_other_jobs_under_the_same_key_are_not_accepted(redis: Redis, keys: Keyspace) -> None:
    """The earlier promise is given, past every limit, and nothing is written."""
    store = JobStore(redis, keys)
    first, second = make_job(), make_job()
    await store.accept([first], waiting_max=1, once=ONCE)

    admission = await store.accept([second], waiting_max=1, once=ONCE)

    assert not admission.accepted
    assert admission.earlier is not None
    assert admission.earlier.job_ids == (first.job_id,)
    assert await store.get(second.job_id) is None


async def test_a_repeated_call_is_the_same_acceptance(redis: Redis, keys: Keyspace) -> None:
    """When only the answer was lost, it is no earlier promise but its own."""
    store = JobStore(redis, keys)
    job = make_job()

    admissions = [await store.accept([job], waiting_max=9, once=ONCE) for _ in range(2)]

    assert [(each.accepted, each.earlier) for each in admissions] == [(True, None)] * 2
    assert (await store.counts())[JobState.QUEUED] == 1


async def test_a_refusal_promises_nothing(redis: Redis, keys: Keyspace) -> None:
    """The same key is free for the next try."""
    store = JobStore(redis, keys)

    refused = await store.accept([make_job()], waiting_max=0, once=ONCE)

    assert not refused.accepted
    assert await Promises(redis, keys).get("default", ONCE.key_sha256) is None
    assert (await store.accept([make_job()], waiting_max=1, once=ONCE)).accepted


async def test_of_many_at_once_one_is_accepted(redis: Redis, keys: Keyspace) -> None:
    """All the others are given its jobs."""
    stores = [JobStore(redis, keys) for _ in range(4)]

    admissions = await asyncio.gather(
        *(store.accept([make_job()], waiting_max=99, once=ONCE) for store in stores * 5)
    )

    assert sum(each.accepted for each in admissions) == 1
    assert len({each.earlier for each in admissions if each.earlier}) == 1
    assert (await stores[0].counts())[JobState.QUEUED] == 1
