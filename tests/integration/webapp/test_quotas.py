"""Limits of tenants and keys, the deadline's ceiling, the watermarks, and how they are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.tenants import Tenant, TenantStore
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import Keyspace
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import PICTURE, Webapp, add_key, finish, running


async def limit(redis: Redis, keys: Keyspace, **settings: Any) -> None:
    """Set what the tenant ``acme`` may."""
    await TenantStore(redis, keys).add(Tenant(tenant="acme", **settings))


def refusal(answer: httpx.Response, code: str) -> Mapping[str, Any]:
    """Check that *answer* is the 429 *code* with a Retry-After; give the problem."""
    assert (answer.status_code, answer.json()["code"]) == (429, code), answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    problem: Mapping[str, Any] = answer.json()
    return problem


async def test_a_tenant_without_limits_is_told_of_none(webapp: Webapp) -> None:
    """No RateLimit field comes with an answer where nothing is limited."""
    answer = await webapp.post()

    assert answer.status_code == 202
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


async def test_a_tenant_gets_the_jobs_of_its_bucket(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """As many as the burst, each told what is left; the next is refused and leaves nothing."""
    await limit(redis, keys, jobs_per_s=0.05, burst=3)

    answers = [await webapp.post() for _ in range(3)]
    before = await look()
    refused = await webapp.post()

    assert [answer.status_code for answer in answers] == [202] * 3
    assert [re.search(r"r=(\d+)", each.headers["ratelimit"])[1] for each in answers] == [  # type: ignore[index]  # it is there
        "2",
        "1",
        "0",
    ]
    assert answers[0].headers["ratelimit-policy"] == '"tenant";q=3;w=60'
    refusal(refused, "rate_limited")
    assert 15 <= int(refused.headers["retry-after"]) <= 20
    assert re.fullmatch(r'"tenant";r=0;t=\d+', refused.headers["ratelimit"])
    assert await look() == before


async def test_a_bucket_fills_again(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """After the seconds that were told there is room."""
    await limit(redis, keys, jobs_per_s=1.0, burst=1)
    assert (await webapp.post()).status_code == 202
    refused = await webapp.post()

    await asyncio.sleep(int(refused.headers["retry-after"]))

    assert (await webapp.post()).status_code == 202


async def test_many_at_once_pass_no_limit_together(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Of forty requests in flight exactly the burst is accepted."""
    await limit(redis, keys, jobs_per_s=0.01, burst=7)

    answers = await asyncio.gather(*(webapp.post() for _ in range(40)))

    assert sorted(answer.status_code for answer in answers) == [202] * 7 + [429] * 33


async def test_each_key_has_a_bucket_of_its_own(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """One key's haste leaves the tenant's other key alone."""
    await limit(redis, keys, key_jobs_per_s=0.05)
    other = await add_key(redis, keys, tenant="acme")

    assert (await webapp.post()).status_code == 202
    refusal(await webapp.post(), "rate_limited")
    answer = await webapp.post(headers={"authorization": f"Bearer {other}"})

    assert answer.status_code == 202
    assert answer.headers["ratelimit"].startswith('"key";r=0')


async def test_a_tenants_waiting_jobs_are_limited(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """Past its number nothing is accepted, others are not concerned, and an end makes room."""
    await limit(redis, keys, jobs_waiting_max=2)
    other = await add_key(redis, keys, tenant="other")
    first, _ = await webapp.submit(), await webapp.submit()
    before = await look()

    refused = await webapp.post()

    assert "2 jobs waiting" in refusal(refused, "quota_reached")["detail"]
    assert await look() == before
    answer = await webapp.post(headers={"authorization": f"Bearer {other}"})
    assert answer.status_code == 202
    await finish(JobStore(redis, keys), first["id"], to=JobState.SUCCEEDED, result="{}")
    assert (await webapp.post()).status_code == 202


async def test_a_tenants_pictures_are_limited(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """The bytes of what waits count, exactly, and are given back at each end."""
    await limit(redis, keys, bytes_max=2 * len(PICTURE))
    store = JobStore(redis, keys)
    first, second = await webapp.submit(), await webapp.submit()

    refusal(await webapp.post(), "quota_reached")

    await finish(store, first["id"], to=JobState.CANCELED, reason_code="x", reason="x")
    assert (await webapp.post()).status_code == 202
    refusal(await webapp.post(), "quota_reached")
    await finish(store, second["id"], to=JobState.SUCCEEDED, result="{}")
    assert (await webapp.post()).status_code == 202


async def test_after_a_refusal_the_next_costs_no_write(
    webapp: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """What is refused again touches no folder; as soon as there is room it is accepted."""

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").rglob("*")} | {
            tmp_path: (tmp_path / "pictures").stat().st_mtime_ns
        }

    await limit(redis, keys, jobs_waiting_max=1)
    first = await webapp.submit()
    refusal(await webapp.post(), "quota_reached")
    before = written()

    refusals = [await webapp.post() for _ in range(5)]

    assert written() == before
    assert {refusal(each, "quota_reached")["detail"] for each in refusals} == {
        "This tenant may have 1 jobs waiting, and has 1."
    }
    await finish(JobStore(redis, keys), first["id"], to=JobState.SUCCEEDED, result="{}")
    assert (await webapp.post()).status_code == 202
    assert written() != before


async def test_all_pictures_are_limited(
    environ: dict[str, str], token: str, redis: Redis, keys: Keyspace
) -> None:
    """Past the platform's own limit everybody is told to come back."""
    environ["GW_PICTURES_MAX_MB"] = "1"
    picture = PICTURE + bytes(600_000)
    async with running(environ, token=token) as webapp:
        assert (await webapp.post(picture)).status_code == 202
        refusal(await webapp.post(picture), "overloaded")


async def through(redis: Redis, keys: Keyspace, job_ids: list[str]) -> None:
    """Bring queued jobs through the device."""
    store = JobStore(redis, keys)
    jobs = [job for job in await store.get_many(job_ids) if job is not None]
    await store.move([Move(job=job, to=JobState.FAILED, finished_unix_ms=5) for job in jobs])


async def test_a_deadline_that_cannot_be_met_is_refused(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """With ten jobs a second done and forty waiting, two seconds are too few and ten enough."""
    jobs = [(await webapp.submit())["id"] for _ in range(80)]
    for done in range(4):
        await asyncio.gather(
            through(redis, keys, jobs[done * 10 : done * 10 + 10]), asyncio.sleep(1.0)
        )
    before = await look()

    refused = await webapp.post(deadline_s=2)

    problem = refusal(refused, "deadline_unreachable")
    # 41 jobs at 10 in a second; 16 of them would be in time.
    assert problem["estimate_s"] == pytest.approx(4.1, rel=0.3)
    assert int(refused.headers["retry-after"]) == pytest.approx(3, abs=1)
    assert await look() == before
    assert (await webapp.post(deadline_s=10)).status_code == 202
    assert (await webapp.post()).status_code == 202


async def test_a_quiet_tenants_deadline_is_judged_by_its_share(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Behind another tenant's backlog a single job will be soon, and is accepted."""
    quiet = await add_key(redis, keys, tenant="quiet")
    jobs = [(await webapp.submit())["id"] for _ in range(80)]
    for done in range(4):
        await asyncio.gather(
            through(redis, keys, jobs[done * 10 : done * 10 + 10]), asyncio.sleep(1.0)
        )

    refusal(await webapp.post(deadline_s=2), "deadline_unreachable")
    answer = await webapp.post(deadline_s=2, headers={"authorization": f"Bearer {quiet}"})

    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("GW_MEMORY_FREE_MIN_MB", "1000000000", "machine's memory"),
        ("GW_DISK_FREE_MIN_MB", "1000000000", "disk"),
    ],
)
async def test_a_watermark_refuses_new_work(
    environ: dict[str, str], token: str, look: Look, variable: str, value: str, reason: str
) -> None:
    """Past it a submission is answered 503 with the reason and when to come again."""
    environ[variable] = value
    async with running(environ, token=token) as webapp:
        await webapp.parts.monitor.look()
        answer = await webapp.post()

        assert answer.status_code == 503
        assert reason in answer.json()["detail"]
        assert answer.headers["retry-after"] == "30"
        assert (await look()).keys == frozenset()
        ready = await webapp.http.get("/readyz")
        assert any(reason in each for each in ready.json()["reasons"])


async def test_pages_of_other_origins_may_not_call(webapp: Webapp) -> None:
    """By default no answer allows an origin, and a preflight is nothing that exists."""
    origin = {"origin": "https://ui.example.com"}

    answer = await webapp.http.get("/v1/models", headers=origin)
    preflight = await webapp.http.options(
        "/v1/jobs", headers=origin | {"access-control-request-method": "POST"}
    )

    assert "access-control-allow-origin" not in answer.headers
    assert preflight.status_code == 405


async def test_a_named_origin_may_call(environ: dict[str, str], token: str) -> None:
    """Only the origins that the operator names, refusals included, and never with credentials."""
    environ["GW_CORS_ORIGINS"] = "https://ui.example.com, https://other.example.com/"
    async with running(environ, token=token) as webapp:
        for origin, allowed in [
            ("https://ui.example.com", True),
            ("https://other.example.com", True),
            ("https://evil.example.com", False),
        ]:
            headers = {"origin": origin, "authorization": "Bearer x"}
            answer = await webapp.http.get("/v1/models", headers=headers)
            assert answer.status_code == 401
            assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
            assert "access-control-allow-credentials" not in answer.headers


async def test_settings_of_a_tenant_count_within_seconds(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """A limit set while requests come in is obeyed without a restart."""
    assert (await webapp.post()).status_code == 202
    await limit(redis, keys, jobs_waiting_max=1)

    for _ in range(60):
        answer = await webapp.post()
        if answer.status_code == 429:
            break
        await asyncio.sleep(0.1)

    refusal(answer, "quota_reached")
