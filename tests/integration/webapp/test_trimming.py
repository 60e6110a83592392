"""The sweep of what grows with the jobs."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from pipeline.access.tenants import Tenant, TenantStore
from pipeline.events.log import START, EventLog
from pipeline.ids import new_id
from pipeline.jobs.index import JobIndex, Span
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.builders import make_job
from webapp.settings import EventSettings
from webapp.trimming import Trimmer

NOW_UNIX_MS = 1_700_000_000_000


class StillClock:
    """Always the same moment."""

    def monotonic_ms(self) -> float:
        """Give it."""
        return 0.0

    def unix_ms(self) -> int:
        """Give it."""
        return NOW_UNIX_MS


@pytest.mark.parametrize(("own_s", "left"), [(0, 1), (60, 0), (7200, 2)])
async def test_ids_go_with_their_tenants_retention(
    redis: Redis, keys: Keyspace, own_s: int, left: int
) -> None:
    """An hour by the operator's setting, or what is set for the tenant."""
    store, index = JobStore(redis, keys), JobIndex(redis, keys)
    tenants = TenantStore(redis, keys)
    if own_s:
        await tenants.add(Tenant(tenant="default", record_retention_s=own_s))
    for age_s in (1_800, 5_400):
        job = make_job(job_id=new_id("job", NOW_UNIX_MS - age_s * 1000))
        await store.accept([job], waiting_max=9)
        await redis.delete(keys.job(job.job_id))
    trimmer = Trimmer(
        index=index,
        event_log=EventLog(redis, keys),
        tenants=tenants,
        clock=StillClock(),
        settings=EventSettings(),
        job_retention_s=3600,
    )

    ids, events = await trimmer.trim()

    assert (ids, events) == (2 - left, 0)
    assert len(await index.ids("default", Span(), limit=9)) == left


async def test_events_go_with_their_time(redis: Redis, keys: Keyspace) -> None:
    """By age and by number, of every tenant that ever submitted."""
    log = EventLog(redis, keys)
    for tenant in ("one", "two"):
        await redis.sadd(keys.submitters, tenant)
        for age_s in (9_000, 50, 40, 30):
            at = f"{NOW_UNIX_MS - age_s * 1000}-0"
            await redis.xadd(keys.events(tenant), {"job": "job_1", "event": "accepted"}, id=at)
    trimmer = Trimmer(
        index=JobIndex(redis, keys),
        event_log=log,
        tenants=TenantStore(redis, keys),
        clock=StillClock(),
        settings=EventSettings(events_max=2, events_retention_s=3_600),
        job_retention_s=3600,
    )

    assert await trimmer.trim() == (0, 4)

    for tenant in ("one", "two"):
        assert len(await log.after(tenant, START, limit=9)) == 2
