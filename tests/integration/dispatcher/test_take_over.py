"""Dispatchers that stop for a while, die, or lose their Redis: every job ends, and ends once."""

from __future__ import annotations

import asyncio
import signal
import time
from functools import partial
from pathlib import Path

from redis.asyncio import Redis

from dispatcher.sweeping import Sweeper
from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.kept import KEPT_FOLDER, Disposal, KeptPictures
from pipeline.jobs.store import Move
from pipeline.protocol import ALONE_FROM_ATTEMPT, Keyspace
from pipeline.settings import RedisSettings
from pipeline.streams import entries_of
from tests.builders import make_id
from tests.fakes.poisonable_runtime import HANGS, SLOW
from tests.integration.dispatcher.station import Station, end, picture
from tests.integration.pipeline.own_server import running
from tests.waiting import wait_until


async def test_a_dispatcher_that_slept_past_its_lease_is_refused(station: Station) -> None:
    """What another took over meanwhile stays the other's: result, picture and end."""
    sleeper = station.spawn("a")
    jobs = await station.submit(*[picture(SLOW)] * 30)
    await wait_until(lambda: station.redis.xlen(station.keys.results))
    sleeper.send_signal(signal.SIGSTOP)
    left = [job for job in await station.records(jobs) if job.state is JobState.RUNNING]
    assert left
    station.fail_loads("slow")  # so that the other one has them and is not through yet
    other = station.spawn("b")

    async def are_taken() -> bool:
        return all(record.attempt == 2 for record in await station.records(left))

    await wait_until(are_taken)
    sleeper.send_signal(signal.SIGCONT)
    await wait_until(lambda: "job.stale_result" in station.log_of("a"))
    held = [job for job in await station.records(left) if job.state is JobState.RUNNING]
    assert held
    assert all([await station.has_picture(job) for job in held])

    await station.through(jobs)
    assert await station.states(jobs) == {"inferred": 30}
    messages = await station.inferred()
    assert {messages[job.job_id].attempt for job in left} == {2}
    for process in (sleeper, other):
        assert await asyncio.to_thread(end, process) == 0
    assert await station.claimed() == 0
    assert await station.waiting() == 0


async def test_a_job_that_takes_longer_than_the_lease_stays_where_it_is(station: Station) -> None:
    """While its dispatcher lives, another one leaves it alone, however long the device takes."""
    # With room for one job, its dispatcher does not look at what is overdue itself.
    station.add_model("single", max_size=1)
    async with station.dispatcher(instance="a", infer_timeout_s=1.5, claim_ahead=1):
        jobs = await station.submit(picture(HANGS), model="single")
        await wait_until(lambda: is_running(station, jobs))
        async with station.dispatcher(instance="b"):
            (record,) = await station.through(jobs)
    assert (record.state, record.attempt) == (JobState.FAILED, 1)
    assert "hung past 1.5 s" in record.reason


async def test_the_fifth_death_condemns_only_the_culprit(station: Station) -> None:
    """Four deaths with three jobs held, a fifth with one of them alone: only that one fails."""
    station.fail_loads("slow")  # so that each dies before any job is through
    jobs = await station.submit(picture(0), picture(1), picture(2))
    for life in range(1, ALONE_FROM_ATTEMPT + 1):
        dispatcher = station.spawn()
        await wait_until(partial(all_have_attempt, station, jobs, life))
        await asyncio.to_thread(end, dispatcher, signal.SIGKILL)
    dispatcher = station.spawn()
    await wait_until(lambda: is_alone(station, jobs[0]))
    assert not any(record.alone for record in (await station.records(jobs))[1:])
    await asyncio.to_thread(end, dispatcher, signal.SIGKILL)

    station.fail_loads("")
    dispatcher = station.spawn()
    culprit, *others = await station.through(jobs)
    assert await asyncio.to_thread(end, dispatcher) == 0
    assert (culprit.state, culprit.reason_code) == (JobState.FAILED, "model_failed")
    assert culprit.reason == "the dispatcher died while this picture was in it alone"
    assert [record.state for record in others] == [JobState.INFERRED] * 2
    assert all(record.alone for record in others)


async def all_have_attempt(station: Station, jobs: list[Job], attempt: int) -> bool:
    """Whether all *jobs* were started so often."""
    return all(record.attempt == attempt for record in await station.records(jobs))


async def is_alone(station: Station, job: Job) -> bool:
    """Whether the job is marked as tried alone."""
    (record,) = await station.records([job])
    return record.alone


async def make_suspect(station: Station, job: Job) -> None:
    """Make it look as if dispatchers had died with the job."""
    await station.redis.hset(station.keys.job(job.job_id), "attempt", ALONE_FROM_ATTEMPT)


async def test_beside_a_suspect_nothing_is_claimed(station: Station) -> None:
    """As long as a suspect is tried, waiting jobs of its model and of others stay unclaimed."""
    station.add_model("other")
    (suspect,) = await station.submit(picture(HANGS))
    await make_suspect(station, suspect)
    async with station.dispatcher():
        await wait_until(lambda: is_alone(station, suspect))
        others = await station.submit(picture(), picture())
        others += await station.submit(picture(), picture(), model="other")
        seen = set()
        while (await station.states([suspect])) == {"running": 1}:
            seen.add((await station.claimed(), await station.claimed("other")))
            await asyncio.sleep(0.01)
        assert seen <= {(1, 0), (0, 0)}
        await station.through(others)
    assert await station.states(others) == {"inferred": 4}
    assert await station.states([suspect]) == {"failed": 1}


async def test_a_stop_sees_a_suspect_through(station: Station) -> None:
    """Stopped while a suspect is tried, it ends by its own doing: nobody died of it."""
    station.fail_loads("slow")
    jobs = await station.submit(picture(), picture())
    for job in jobs:
        await make_suspect(station, job)
    async with station.dispatcher() as stop:
        await wait_until(lambda: is_alone(station, jobs[0]))
        stop.set()
    assert await station.states(jobs[:1]) == {"inferred": 1}
    assert await station.states(jobs[1:]) == {"queued": 1}
    assert await station.claimed() == 0


async def test_a_cleared_redis_is_survived(station: Station) -> None:
    """After every key was removed under it, the dispatcher serves what comes next."""
    async with station.dispatcher():
        await station.through(await station.submit(picture()))
        held = await station.submit(*[picture(SLOW)] * 40)
        await wait_until(lambda: is_running(station, held))
        async for key in station.redis.scan_iter(f"{station.keys.prefix}:*", count=1000):
            await station.redis.delete(key)
        jobs = await station.submit(*[picture()] * 20)
        await station.through(jobs)
    assert await station.states(jobs) == {"inferred": 20}
    assert await station.claimed() == 0


async def is_running(station: Station, jobs: list[Job]) -> bool:
    """Whether some of *jobs* are claimed."""
    return "running" in await station.states(jobs)


async def test_redis_away_in_the_middle_is_survived(keys: Keyspace, tmp_path: Path) -> None:
    """Killed and started again after three seconds: all jobs are inferred once, none is lost."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with running(folder) as server:
        url = server.settings().url
        async with connect(RedisSettings(url=url), block_s=1) as redis:
            station = Station(redis, keys, url, tmp_path)
            jobs = await station.submit(*[picture(SLOW)] * 60)
            async with station.dispatcher(lease_s=2.0):
                await wait_until(lambda: station.redis.xlen(station.keys.results))
                server.kill()
                await asyncio.sleep(3)
                server.start()
                await station.through(jobs)
            assert await station.states(jobs) == {"inferred": 60}
            assert len(await station.inferred()) == 60
            assert await station.claimed() == 0


async def test_orphan_pictures_are_swept_and_live_ones_kept(station: Station) -> None:
    """Pictures of ended and unknown jobs and half-written ones go; of waiting and running, not."""
    queued, started, ended = await station.submit(picture(), picture(), picture())
    await station.redis.hset(station.keys.job(started.job_id), "state", "running")
    move = Move(job=ended, to=JobState.CANCELED, finished_unix_ms=1)
    assert await station.store.move([move]) == [True]
    unknown = make_id()
    station.blobs.put(unknown, b"left behind")
    station.blobs.put(f"{make_id()}.part", b"half")
    sweeper = sweeper_of(station)
    assert await sweeper.remove_orphans(older_than_s=60) == 0
    await asyncio.sleep(0.01)
    assert await sweeper.remove_orphans(older_than_s=0) == 3
    left = set(station.blobs.older_than(int(time.time() * 1000) + 1000))
    assert left == {queued.job_id, started.job_id}


async def test_a_job_expires_while_it_waits_for_its_rules(station: Station) -> None:
    """Nobody may be there to apply them: its deadline passes all the same, and is told."""
    waiting, running, early = await station.submit(
        picture(), picture(), picture(), deadline_unix_ms=1
    )
    job_key = station.keys.job
    await station.redis.hset(job_key(waiting.job_id), "state", "inferred")
    await station.redis.hset(job_key(running.job_id), "state", "running")

    assert await sweeper_of(station).expire() == 2

    states = [record.state for record in await station.records([waiting, running, early])]
    assert states == ["expired", "running", "expired"]
    assert await station.redis.xlen(station.keys.events(waiting.tenant)) == 5


async def test_an_ended_jobs_picture_is_kept_by_the_sweep(station: Station) -> None:
    """Where a crash came between the end and the keeping."""
    (job,) = await station.submit(picture(), keep_picture_s=60)
    move = Move(job=job, to=JobState.CANCELED, finished_unix_ms=1)
    assert await station.store.move([move]) == [True]
    await asyncio.sleep(0.01)

    assert await sweeper_of(station).remove_orphans(older_than_s=0) == 1

    assert station.blobs.get(job.job_id) is None
    assert KeptPictures(station.data / KEPT_FOLDER).picture(job.job_id) == picture()


async def test_a_job_that_cannot_be_read_keeps_what_it_has(station: Station) -> None:
    """A record that this version cannot read loses neither its picture nor its deadline."""
    (job,) = await station.submit(picture())
    await station.redis.zadd(station.keys.deadlines, {job.job_id: 1, "job_gone": 1})
    await station.redis.hset(station.keys.job(job.job_id), "state", "a newer word")
    sweeper = sweeper_of(station)
    await asyncio.sleep(0.01)

    assert await sweeper.remove_orphans(older_than_s=0) == 0
    assert await sweeper.expire() == 0

    assert station.blobs.get(job.job_id) is not None
    assert await station.redis.zrange(station.keys.deadlines, 0, -1) == [job.job_id]


async def test_a_job_that_stays_unreadable_is_put_aside_and_can_come_back(
    station: Station, redis: Redis, keys: Keyspace
) -> None:
    """Its entry is parked after some leases; back in its stream, a readable record is inferred."""
    (job,) = await station.submit(picture())
    record = keys.job(job.job_id)
    priority = str(await redis.hget(record, "priority"))
    await redis.hset(record, "priority", "a newer word")
    async with station.dispatcher(lease_s=0.15):
        await wait_until(lambda: redis.xlen(keys.dead))
        assert await station.claimed() == 0
        assert await station.has_picture(job)
        await redis.hset(record, "priority", priority)
    (parked,) = entries_of({keys.dead: [await redis.xrange(keys.dead)]})
    assert parked.fields["reason"] == f"no readable record of {job.job_id}"

    await redis.xadd(parked.fields["from"], dict(parked.fields.items()))
    await redis.xdel(keys.dead, parked.entry_id)

    async with station.dispatcher():
        await station.through([job])
    assert await station.states([job]) == {"inferred": 1}


async def test_own_claims_of_an_earlier_life_come_first(station: Station, redis: Redis) -> None:
    """A dispatcher killed and started again goes on at once, not after its lease."""
    jobs = await station.submit(*[picture(SLOW)] * 40)
    dispatcher = station.spawn(GW_DISPATCHER_LEASE_S="60")
    await wait_until(lambda: redis.xlen(station.keys.results))
    await asyncio.to_thread(end, dispatcher, signal.SIGKILL)
    assert await station.claimed()
    async with station.dispatcher(lease_s=60.0):
        await station.through(jobs)
    assert await station.states(jobs) == {"inferred": 40}


def sweeper_of(station: Station) -> Sweeper:
    """Give a sweeper of a station's jobs and pictures."""
    clock = SystemClock()
    disposal = Disposal(station.blobs, KeptPictures(station.data / KEPT_FOLDER), clock)
    return Sweeper(store=station.store, blobs=station.blobs, disposal=disposal, clock=clock)
