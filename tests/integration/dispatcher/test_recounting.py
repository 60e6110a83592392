"""Loads that are wrong are counted anew by what lies on the disk."""

from __future__ import annotations

from dispatcher.recounting import Recounter
from pipeline.clock import SystemClock
from pipeline.jobs.job import JobState
from pipeline.jobs.loads import LoadStore, loads_of
from pipeline.jobs.store import Move
from tests.integration.dispatcher.station import Station, picture
from tests.waiting import wait_until


async def test_loads_of_before_an_upgrade_are_counted(station: Station) -> None:
    """Jobs that nobody counted when they were accepted count from the first look on."""
    jobs = await station.submit(*[picture()] * 3, tenant="one")
    ended, _, running = jobs
    await station.store.move([Move(job=ended, to=JobState.CANCELED, finished_unix_ms=5)])
    await station.store.move([Move(job=running, to=JobState.RUNNING)])
    await station.redis.delete(station.keys.loads)
    loads = LoadStore(station.redis, station.keys)
    recounter = Recounter(
        store=station.store, loads=loads, blobs=station.blobs, clock=SystemClock()
    )

    assert await recounter.recount()
    assert (await loads.read()).fields == loads_of(jobs[1:])
    assert await recounter.recount() == []


async def test_a_dispatcher_counts_when_it_starts(station: Station) -> None:
    """What another version left behind does not stand against new work for ever."""
    await station.redis.hset(station.keys.loads, "jobs:ghost", "1000")
    async with station.dispatcher():

        async def is_right() -> bool:
            loads = LoadStore(station.redis, station.keys)
            return (await loads.read()).of("jobs:ghost") == 0

        await wait_until(is_right)
