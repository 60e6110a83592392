"""What is kept of a job's picture."""

from __future__ import annotations

from pathlib import Path

from redis.asyncio import Redis

from pipeline.access.tenants import Tenant, TenantStore
from pipeline.jobs.job import JobState
from pipeline.jobs.kept import KeptPictures
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.webapp.running import PICTURE, Webapp, add_key, finish


async def test_a_preview_is_there_when_it_is_drawn(
    webapp: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """409 before, the JPEG afterwards; the job links to it."""
    job = await webapp.submit(preview="true")
    path = job["links"]["preview"]

    early = await webapp.http.get(path)
    KeptPictures(tmp_path / "kept").put_preview(job["id"], b"\xff\xd8jpeg", until_unix_ms=1 << 41)
    answer = await webapp.http.get(path)

    assert (early.status_code, early.json()["code"]) == (409, "job_not_ended")
    assert early.headers["retry-after"] == "1"
    assert (answer.status_code, answer.content) == (200, b"\xff\xd8jpeg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_preview_that_will_never_be_is_not_found(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Neither of a job that did not ask for one, nor of one that never came to the model."""
    without = await webapp.submit()
    job = (await webapp.post(headers={"gw-preview": "true"})).json()
    await finish(JobStore(redis, keys), job["id"], to=JobState.EXPIRED, reason_code="x", reason="y")

    answers = [
        await webapp.http.get(f"/v1/jobs/{job_id}/preview") for job_id in (without["id"], job["id"])
    ]

    assert without["links"]["preview"] is None
    assert [answer.status_code for answer in answers] == [404, 404]


async def test_pictures_are_kept_for_tenants_that_have_it_so(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The picture can be read while the job waits and after its end, by its own tenant only."""
    await TenantStore(redis, keys).add(Tenant(tenant="acme", picture_retention_s=3600))
    job = await webapp.submit()
    path = job["links"]["picture"]
    stranger = await add_key(redis, keys, tenant="other")

    waiting = await webapp.http.get(path)
    await webapp.http.delete(f"/v1/jobs/{job['id']}")
    ended = await webapp.http.get(path)
    foreign = await webapp.http.get(path, headers={"authorization": f"Bearer {stranger}"})

    assert (waiting.status_code, waiting.content) == (200, PICTURE)
    assert (ended.status_code, ended.content) == (200, PICTURE)
    assert ended.headers["content-type"] == "image/jpeg"
    assert foreign.status_code == 404


async def test_pictures_are_not_kept_by_default(webapp: Webapp) -> None:
    """The job says so, and there is nothing to be read."""
    job = await webapp.submit()

    answer = await webapp.http.get(f"/v1/jobs/{job['id']}/picture")

    assert job["links"]["picture"] is None
    assert answer.status_code == 404


async def test_a_tenants_records_live_as_long_as_it_has_them(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Counted from the job's end, by what was set when it was accepted."""
    await TenantStore(redis, keys).add(Tenant(tenant="acme", record_retention_s=120))
    job = await webapp.submit()
    assert await redis.pttl(keys.job(job["id"])) == -1

    await webapp.http.delete(f"/v1/jobs/{job['id']}")

    assert 100_000 < await redis.pttl(keys.job(job["id"])) <= 120_000
