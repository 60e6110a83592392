"""Postprocess against a real server: every claimed answer ends its job, whatever it holds."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.clock import SystemClock
from pipeline.health import HealthBoard
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.models.catalogue import Catalogue
from pipeline.models.findings import Detection, Findings
from pipeline.models.rules import Rules
from pipeline.protocol import (
    DISPATCHER_GROUP,
    POSTPROCESS_GROUP,
    DeliveryDue,
    InferRequested,
    JobInferred,
    Keyspace,
)
from pipeline.streams import StreamReader
from postprocess.loop import Postprocess
from tests.builders import make_inferred, make_job, make_subscriber
from tests.integration.pipeline.looking import entries_of, pending_of
from tests.waiting import wait_until

RULES = Rules(labels=("head", "helmet"), min_score=0.5)


@dataclass(frozen=True)
class Parts:
    """The parts of one service, and what a test looks at."""

    redis: Redis
    keys: Keyspace
    store: JobStore
    postprocess: Postprocess
    reader: StreamReader

    async def job(self, job_id: str) -> Job:
        """Read a job that is there."""
        job = await self.store.get(job_id)
        assert job is not None
        return job


def make_parts(redis: Redis, keys: Keyspace, *, lease_ms: int = 60_000) -> Parts:
    """Build the service as its ``__main__`` does."""
    reader = StreamReader(redis, keys, group=POSTPROCESS_GROUP, consumer="p", lease_ms=lease_ms)
    store = JobStore(redis, keys)
    postprocess = Postprocess(
        reader=reader, store=store, catalogue=Catalogue(redis, keys), clock=SystemClock()
    )
    return Parts(redis=redis, keys=keys, store=store, postprocess=postprocess, reader=reader)


async def infer(parts: Parts, jobs: Sequence[Job], **changes: Any) -> list[Job]:
    """Bring accepted *jobs* through a dispatcher, to the result stream."""
    keys, store = parts.keys, parts.store
    await store.accept(jobs, waiting_max=10_000)
    stream = keys.infer(jobs[0].model, jobs[0].priority, jobs[0].tenant)
    dispatcher = StreamReader(
        parts.redis, keys, group=DISPATCHER_GROUP, consumer="d", lease_ms=60_000
    )
    await dispatcher.ensure_groups([stream])
    entries = await dispatcher.claim([stream], count=len(jobs), block_ms=0)
    claims = [(entry, InferRequested.from_fields(entry.fields)) for entry in entries]
    started = [job for job in await store.start(claims, now_unix_ms=1) if job is not None]
    moves = [
        Move(
            job=job,
            to=JobState.INFERRED,
            cause=entry,
            group=DISPATCHER_GROUP,
            announces=make_inferred(job, **({"rules_sha256": RULES.sha256()} | changes)),
            stream=keys.results,
        )
        for job, entry in zip(started, entries, strict=True)
    ]
    assert all(await store.move(moves))
    return [replace(job, state=JobState.INFERRED) for job in started]


@asynccontextmanager
async def serving(parts: Parts, *, batch_size: int = 64) -> AsyncIterator[None]:
    """Run the service while the block lasts."""
    stop = asyncio.Event()
    task = asyncio.create_task(parts.postprocess.run(parts.keys, stop, batch_size=batch_size))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def assert_settled(parts: Parts) -> None:
    """Nothing waits in the result stream, and nobody holds anything of it."""
    assert await entries_of(parts.redis, parts.keys.results) == []
    assert await pending_of(parts.redis, parts.keys.results, POSTPROCESS_GROUP) == []


async def ended(parts: Parts, count: int) -> bool:
    """Whether so many jobs have ended."""
    counts = await parts.store.counts()
    return sum(number for state, number in counts.items() if state.is_terminal) == count


async def publish(parts: Parts, *rules: Rules) -> None:
    """Publish rules as a dispatcher does."""
    await Catalogue(parts.redis, parts.keys).publish([], rules)


async def announced(parts: Parts) -> list[str]:
    """Give the deliveries that are due, in order."""
    entries = await entries_of(parts.redis, parts.keys.deliveries)
    return [DeliveryDue.from_fields(fields).delivery_id for _, fields in entries]


async def test_an_inferred_job_succeeds(redis: Redis, keys: Keyspace) -> None:
    """The job ends with the judged result, and its subscribers are told."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    subscriber = make_subscriber()
    (job,) = await infer(parts, [make_job(subscribers=(subscriber,))])

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    done = await parts.job(job.job_id)
    assert done.state is JobState.SUCCEEDED
    assert done.finished_unix_ms >= done.accepted_unix_ms
    result = json.loads(done.result)
    assert result["job_id"] == job.job_id
    assert [item["label"] for item in result["detections"]] == ["head"]
    assert result["made_by"]["rules_sha256"] == RULES.sha256()
    assert await announced(parts) == [subscriber.delivery_id]
    await assert_settled(parts)


async def test_a_job_canceled_meanwhile_stays_canceled(redis: Redis, keys: Keyspace) -> None:
    """The answer comes too late: it is settled, and adds neither a result nor a delivery."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    subscriber = make_subscriber()
    canceled, _ = await infer(parts, [make_job(subscribers=(subscriber,)), make_job()])
    assert await parts.store.move([Move(job=canceled, to=JobState.CANCELED)]) == [True]

    async with serving(parts):
        await wait_until(lambda: ended(parts, 2))

    stale = await parts.job(canceled.job_id)
    assert (stale.state, stale.result) == (JobState.CANCELED, "")
    assert await announced(parts) == [subscriber.delivery_id]
    await assert_settled(parts)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "job.inferred.v9", "job_id": "job_1"},
        {"kind": "job.inferred.v1", "job_id": "job_1", "document": "{"},
        {b"\xff": b"\x80"},
    ],
    ids=["newer", "cut short", "no text"],
)
async def test_an_entry_that_cannot_be_read_is_parked(
    redis: Redis, keys: Keyspace, fields: dict[Any, Any]
) -> None:
    """It goes to the dead stream with a reason, and its neighbours go on."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    await redis.xadd(keys.results, fields)
    await infer(parts, [make_job()])

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    ((_, parked),) = await entries_of(redis, keys.dead)
    assert parked["from"] == keys.results
    assert "no readable record" in parked["reason"]
    await assert_settled(parts)


async def test_an_unreadable_answer_fails_its_job(redis: Redis, keys: Keyspace) -> None:
    """A job whose answer cannot be read still ends, with that reason, and the answer is kept."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    (job,) = await infer(parts, [make_job(subscribers=(make_subscriber(),))])
    ((entry_id, _),) = await entries_of(redis, keys.results)
    await redis.xdel(keys.results, entry_id)
    await redis.xadd(keys.results, {"kind": "job.inferred.v9", "job_id": job.job_id})

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    failed = await parts.job(job.job_id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "malformed_message")
    assert len(await announced(parts)) == 1
    ((_, parked),) = await entries_of(redis, keys.dead)
    assert "job.inferred.v1" in parked["reason"]
    await assert_settled(parts)


async def test_an_answer_without_a_job_is_parked(redis: Redis, keys: Keyspace) -> None:
    """An answer to a job whose record is gone is kept for the operator."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    gone, other = await infer(parts, [make_job(), make_job()])
    await redis.delete(keys.job(gone.job_id))

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    ((_, parked),) = await entries_of(redis, keys.dead)
    assert gone.job_id in parked["reason"]
    assert (await parts.job(other.job_id)).state is JobState.SUCCEEDED
    await assert_settled(parts)


async def test_a_record_cut_short_holds_nobody_up(redis: Redis, keys: Keyspace) -> None:
    """One unreadable record has its answer parked; the batch it came with succeeds."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    jobs = await infer(parts, [make_job() for _ in range(5)])
    await redis.hdel(keys.job(jobs[2].job_id), "picture")

    async with serving(parts):
        await wait_until(lambda: ended(parts, 4))

    ((_, parked),) = await entries_of(redis, keys.dead)
    assert jobs[2].job_id in parked["reason"]
    await assert_settled(parts)


async def test_missing_rules_fail_the_job(redis: Redis, keys: Keyspace) -> None:
    """A job that nobody can judge any more fails with that reason, and is announced."""
    parts = make_parts(redis, keys)
    (job,) = await infer(parts, [make_job(subscribers=(make_subscriber(),))])

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    failed = await parts.job(job.job_id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "rules_missing")
    assert failed.reason
    assert failed.result == ""
    assert len(await announced(parts)) == 1
    await assert_settled(parts)


async def test_rules_that_break_on_one_job_fail_it_alone(redis: Redis, keys: Keyspace) -> None:
    """A job that its rules cannot take fails; those beside it in the batch succeed."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    (fine,) = await infer(parts, [make_job()])
    no_number = Findings(
        kind="detections",
        detections=(Detection(class_id=0, score=0.9, box=(0.0, 0.0, math.nan, 1.0)),),
    )
    (broken,) = await infer(parts, [make_job()], findings=no_number)
    (also_fine,) = await infer(parts, [make_job()])

    async with serving(parts):
        await wait_until(lambda: ended(parts, 3))

    failed = await parts.job(broken.job_id)
    assert (failed.state, failed.reason_code) == (JobState.FAILED, "postprocess_failed")
    assert failed.reason == "the business rules failed"
    for job in (fine, also_fine):
        assert (await parts.job(job.job_id)).state is JobState.SUCCEEDED
    await assert_settled(parts)


async def test_rules_that_cannot_be_read_fail_the_job(redis: Redis, keys: Keyspace) -> None:
    """A text that is no rules fails the jobs that need it, with that code."""
    parts = make_parts(redis, keys)
    await redis.set(keys.rules(RULES.sha256()), "{}")
    (job,) = await infer(parts, [make_job()])

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    assert (await parts.job(job.job_id)).reason_code == "malformed_message"


async def test_many_jobs_are_ended_in_batches(redis: Redis, keys: Keyspace) -> None:
    """Two hundred jobs all succeed, each announced once."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    jobs = await infer(parts, [make_job(subscribers=(make_subscriber(),)) for _ in range(200)])

    async with serving(parts, batch_size=32):
        await wait_until(lambda: ended(parts, 200))

    states = {job.state for job in await parts.store.get_many([j.job_id for j in jobs]) if job}
    assert states == {JobState.SUCCEEDED}
    assert sorted(await announced(parts)) == sorted(j.subscribers[0].delivery_id for j in jobs)
    await assert_settled(parts)


async def test_what_an_earlier_life_claimed_is_finished(redis: Redis, keys: Keyspace) -> None:
    """Answers that a killed service had claimed are ended by its next life, at once."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    await infer(parts, [make_job() for _ in range(40)])
    await parts.reader.ensure_groups([keys.results])
    assert len(await parts.reader.claim([keys.results], count=30, block_ms=0)) == 30

    async with serving(make_parts(redis, keys), batch_size=8):
        await wait_until(lambda: ended(parts, 40))

    await assert_settled(parts)


async def test_a_dead_neighbours_answers_are_taken_over(redis: Redis, keys: Keyspace) -> None:
    """Answers that another instance claimed and never ended are ended after its lease."""
    parts = make_parts(redis, keys, lease_ms=300)
    await publish(parts, RULES)
    await infer(parts, [make_job() for _ in range(10)])
    dead = StreamReader(redis, keys, group=POSTPROCESS_GROUP, consumer="dead", lease_ms=300)
    await dead.ensure_groups([keys.results])
    assert len(await dead.claim([keys.results], count=10, block_ms=0)) == 10

    async with serving(parts, batch_size=3):
        await wait_until(lambda: ended(parts, 10))

    await assert_settled(parts)


async def test_settling_twice_ends_once(redis: Redis, keys: Keyspace) -> None:
    """A repeated batch, as after a lost answer, changes no result and announces nothing more."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    (job,) = await infer(parts, [make_job(subscribers=(make_subscriber(),))])
    await parts.reader.ensure_groups([keys.results])
    entries = await parts.reader.claim([keys.results], count=5, block_ms=0)

    await parts.postprocess.settle(entries)
    once = await parts.job(job.job_id)
    await parts.postprocess.settle(entries)

    assert await parts.job(job.job_id) == once
    assert len(await announced(parts)) == 1


async def test_a_newer_dispatchers_answer_is_judged(redis: Redis, keys: Keyspace) -> None:
    """A field that this version does not know does not cost the job its result."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    (job,) = await infer(parts, [make_job()])
    ((entry_id, fields),) = await entries_of(redis, keys.results)
    document = json.loads(fields["document"])
    document["made_by"]["chip_celsius"] = 51
    document["new"] = True
    await redis.xdel(keys.results, entry_id)
    newer: dict[Any, Any] = fields | {"document": json.dumps(document), "more": "x"}
    await redis.xadd(keys.results, newer)
    assert JobInferred.from_fields(fields).job_id == job.job_id

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    assert (await parts.job(job.job_id)).state is JobState.SUCCEEDED


@asynccontextmanager
async def a_process(
    redis_url: str, keys: Keyspace, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the real service as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "postprocess",
        env={
            **os.environ,
            "GW_REDIS_URL": redis_url,
            "GW_REDIS_PREFIX": keys.prefix,
            "GW_INSTANCE": "p",
            **environ,
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_service_stopped_in_the_middle_loses_nothing(
    redis: Redis, redis_url: str, keys: Keyspace, number: signal.Signals
) -> None:
    """Told to stop or killed at work, its next life ends every job, each exactly once."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    jobs = await infer(parts, [make_job(subscribers=(make_subscriber(),)) for _ in range(200)])

    async def some_ended() -> bool:
        return (await parts.store.counts())[JobState.SUCCEEDED] > 0

    async with a_process(redis_url, keys, GW_POSTPROCESS_BATCH="1") as process:
        await wait_until(some_ended, 20)
        process.send_signal(number)
        code = await asyncio.wait_for(process.wait(), 20)
    assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    left = (await parts.store.counts())[JobState.INFERRED]

    async with a_process(redis_url, keys):
        await wait_until(lambda: ended(parts, 200), 20)

    assert left > 0
    assert sorted(await announced(parts)) == sorted(j.subscribers[0].delivery_id for j in jobs)
    await assert_settled(parts)


async def test_the_process_shows_life_and_takes_it_down(
    redis: Redis, redis_url: str, keys: Keyspace
) -> None:
    """The running service is on the health board; stopped in order it is not."""
    board = HealthBoard(redis, keys)
    async with a_process(redis_url, keys) as process:
        (beat,) = await wait_until(board.all, 20)
        assert (beat.service, beat.instance, beat.pid) == ("postprocess", "p", process.pid)

        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0

    assert await board.all() == []


async def test_a_job_past_its_deadline_expires(redis: Redis, keys: Keyspace) -> None:
    """However good its findings are, they come too late; its subscriber is told so."""
    parts = make_parts(redis, keys)
    await publish(parts, RULES)
    late = make_job(deadline_unix_ms=1, subscribers=(make_subscriber(),))
    await infer(parts, [late])

    async with serving(parts):
        await wait_until(lambda: ended(parts, 1))

    record = await parts.store.get(late.job_id)
    assert record is not None
    assert (record.state, record.reason_code) == (JobState.EXPIRED, "deadline_passed")
    assert record.result == ""
    assert await redis.xlen(keys.deliveries) == 1
    await assert_settled(parts)
