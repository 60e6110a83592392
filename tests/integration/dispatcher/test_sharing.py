"""Tenants share a device by their weights; no stream of theirs is overlooked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.access.tenants import Tenant, TenantStore
from pipeline.jobs.job import Job, JobState, Priority
from pipeline.protocol import InferRequested
from tests.builders import make_job
from tests.integration.dispatcher.station import Station, picture
from tests.waiting import wait_until

SLOW_RUNTIME = "tests.fakes.slow_runtime:SlowRuntime"


async def finished(station: Station) -> list[str]:
    """Give the ids of the jobs that are through, in the order in which they were."""
    rows = await station.redis.xrange(station.keys.results)
    return [str(fields["job_id"]) for _, fields in rows]  # type: ignore[index, union-attr]


def owners(ids: Sequence[str], *groups: Sequence[Job]) -> Counter[str]:
    """Count the tenants of the jobs *ids*."""
    tenant_of = {job.job_id: job.tenant for group in groups for job in group}
    return Counter(tenant_of[job_id] for job_id in ids)


async def test_two_tenants_share_the_device_by_weight(station: Station) -> None:
    """With weights 1 and 3, and work of both, one job of four is the lighter tenant's."""
    await TenantStore(station.redis, station.keys).add(Tenant(tenant="heavy", weight=3.0))
    light = await station.submit(*[picture()] * 96, tenant="light")
    heavy = await station.submit(*[picture()] * 96, tenant="heavy")

    async with station.dispatcher(runtime=SLOW_RUNTIME):
        await station.through([*light, *heavy], timeout_s=30)

    first = owners((await finished(station))[:96], light, heavy)
    assert 18 <= first["light"] <= 30, first
    assert await station.states([*light, *heavy]) == {"inferred": 192}


async def test_a_quiet_tenant_does_not_wait_for_a_noisy_ones_backlog(station: Station) -> None:
    """Its job goes with the next batch that is put together, not after 200 others."""
    noisy = await station.submit(*[picture()] * 200, tenant="noisy")
    async with station.dispatcher(runtime=SLOW_RUNTIME):
        await wait_until(lambda: station.redis.xlen(station.keys.results))
        before = len(await finished(station))
        (quiet,) = await station.submit(picture(), tenant="quiet")
        await station.through([quiet])
        passed = (await finished(station)).index(quiet.job_id) - before
        # Two batches of eight are on the device, and one may just be leaving it.
        assert passed <= 32
        await station.through(noisy, timeout_s=30)


async def test_streams_of_an_older_webapp_are_drained(station: Station) -> None:
    """What waited in the one stream of all tenants runs, and what an older webapp still adds."""
    async with station.dispatcher():
        for _ in range(2):
            job = make_job(tenant="old")
            station.blobs.put(job.job_id, picture())
            await station.store.accept([job], waiting_max=10)
            await station.redis.delete(station.keys.infer("echo", Priority.NORMAL, "old"))
            await station.redis.delete(station.keys.waiting("echo"))
            await station.redis.xadd(
                station.keys.infer("echo", Priority.NORMAL),
                InferRequested(job_id=job.job_id).to_fields(),  # type: ignore[arg-type]  # text
            )
            (record,) = await station.through([job])
            assert record.state is JobState.INFERRED


async def test_a_lost_set_of_streams_loses_no_job(station: Station) -> None:
    """A dispatcher that starts finds the streams themselves, whoever deleted what named them."""
    jobs = [
        *(await station.submit(*[picture()] * 3, tenant="one")),
        *(await station.submit(*[picture()] * 3, tenant="two", priority=Priority.LOW)),
    ]
    await station.redis.delete(station.keys.waiting("echo"))

    async with station.dispatcher():
        await station.through(jobs)

    assert await station.states(jobs) == {"inferred": 6}


async def test_a_stream_without_entries_is_not_asked_again(station: Station) -> None:
    """The set names only streams that hold something: claiming costs what there is to do."""
    jobs = [
        *(await station.submit(*[picture()] * 2, tenant="one")),
        *(await station.submit(*[picture()] * 2, tenant="two")),
    ]
    async with station.dispatcher():
        await station.through(jobs)

        async def is_empty() -> bool:
            return not await station.redis.exists(station.keys.waiting("echo"))

        await wait_until(is_empty)
