"""Listing jobs page by page."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from pipeline.access.keys import KeyStore, Scope, make_key
from pipeline.ids import new_id
from pipeline.jobs.index import JobIndex
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.builders import make_job
from tests.integration.webapp.running import Webapp, add_key, finish
from webapp import schemas

RESULT = '{"counts":{"total":1,"by_label":{"猫":1},"by_region":{}}}'


async def listed(webapp: Webapp, **query: Any) -> list[str]:
    """Give the ids of all pages."""
    ids: list[str] = []
    cursor = None
    while True:
        answer = await webapp.http.get(
            "/v1/jobs", params=query | ({"cursor": cursor} if cursor else {})
        )
        assert answer.status_code == 200, answer.text
        page = schemas.JobPageDocument.model_validate(answer.json())
        ids += [job.id for job in page.jobs]
        cursor = page.next
        if cursor is None:
            return ids


async def test_jobs_are_listed_newest_first(webapp: Webapp) -> None:
    """Each as it can be read by itself; nothing is left behind the last page."""
    jobs = [await webapp.submit(reference=str(number)) for number in range(5)]

    page = (await webapp.http.get("/v1/jobs", params={"limit": 5})).json()

    assert page["next"] is None
    assert sorted(page["jobs"], key=lambda job: job["id"]) == sorted(
        jobs, key=lambda job: job["id"]
    )
    assert [job["id"] for job in page["jobs"]] == sorted((job["id"] for job in jobs), reverse=True)
    assert await listed(webapp, limit=2) == [job["id"] for job in page["jobs"]]


async def test_filters_choose_jobs(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """By state, model, reference, label found and time of acceptance, and all at once."""
    store = JobStore(redis, keys)
    waiting = await webapp.submit(reference="gate 1")
    found = await webapp.submit(reference="gate 2")
    await finish(store, found["id"], to=JobState.SUCCEEDED, result=RESULT)
    failed = await webapp.submit(reference="gate 2")
    await finish(store, failed["id"], to=JobState.FAILED, reason_code="x", reason="y")

    assert await listed(webapp, state="queued") == [waiting["id"]]
    assert set(await listed(webapp, state="failed,succeeded")) == {found["id"], failed["id"]}
    assert set(await listed(webapp, reference="gate 2")) == {found["id"], failed["id"]}
    assert await listed(webapp, label="猫", reference="gate 2") == [found["id"]]
    assert await listed(webapp, label="cat") == []
    assert len(await listed(webapp, model="echo")) == 3
    assert await listed(webapp, model="other") == []
    assert await listed(webapp, accepted_from="2100-01-01T00:00:00Z") == []
    assert len(await listed(webapp, accepted_until="2100-01-01T00:00:00+08:00")) == 3
    moment = found["accepted_at"]
    since, before = (
        await listed(webapp, accepted_from=moment),
        await listed(webapp, accepted_until=moment),
    )
    assert len(since) + len(before) == 3
    assert found["id"] in since


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=done", "state"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=zzz", "cursor"),
        ("accepted_from=yesterday", "accepted_from"),
        ("accepted_from=2030-01-01T00:00:00", "accepted_from"),
        ("colour=red", "colour"),
        ("model=a&model=b", "model"),
        ("reference=" + "x" * 201, "reference"),
    ],
)
async def test_a_filter_that_cannot_be_is_refused(webapp: Webapp, query: str, field: str) -> None:
    """400 with its name."""
    answer = await webapp.http.get(f"/v1/jobs?{query}")

    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_a_tenant_sees_its_own_jobs_only(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """And a key that may read its own jobs sees not even its tenant's others."""
    own = await webapp.submit()
    stranger = await add_key(redis, keys, tenant="other")
    token, record = make_key(
        tenant="acme", description="", now_unix_ms=1, scopes=(Scope.SUBMIT, Scope.READ_OWN)
    )
    await KeyStore(redis, keys).add(record)
    narrow = {"authorization": f"Bearer {token}"}
    its_own = (await webapp.post(headers=narrow)).json()

    pages = [
        (await webapp.http.get("/v1/jobs", headers=headers)).json()["jobs"]
        for headers in ({}, {"authorization": f"Bearer {stranger}"}, narrow)
    ]

    assert {job["id"] for job in pages[0]} == {own["id"], its_own["id"]}
    assert pages[1] == []
    assert [job["id"] for job in pages[2]] == [its_own["id"]]


async def test_a_rare_match_is_found_over_several_pages(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """One page looks at so many records only, and says that there is more."""
    store = JobStore(redis, keys)
    start_ms = 1_700_000_000_000
    jobs = [
        make_job(job_id=new_id("job", start_ms + n), tenant="acme", accepted_unix_ms=start_ms + n)
        for n in range(1_200)
    ]
    oldest = make_job(job_id=new_id("job", start_ms - 1), tenant="acme", reference="rare")
    for first in range(0, len(jobs), 200):
        await store.accept(jobs[first : first + 200], waiting_max=10_000)
    await store.accept([oldest], waiting_max=10_000)

    page = (await webapp.http.get("/v1/jobs", params={"reference": "rare"})).json()

    assert page["jobs"] == []
    assert page["next"] is not None
    assert await listed(webapp, reference="rare") == [oldest.job_id]


@pytest.mark.parametrize("seed", range(4))
async def test_pages_stay_right_while_jobs_come_and_go(
    webapp: Webapp, redis: Redis, keys: Keyspace, seed: int
) -> None:
    """No job comes twice, and none is missing that was there at the start and still is."""
    chance = random.Random(seed)
    store, index = JobStore(redis, keys), JobIndex(redis, keys)
    start_ms = 1_700_000_000_000
    jobs = [
        make_job(job_id=new_id("job", start_ms + chance.randrange(40)), tenant="acme")
        for _ in range(60)
    ]
    await store.accept(jobs, waiting_max=10_000)
    removed: set[str] = set()
    over = asyncio.Event()

    async def stir() -> None:
        while not over.is_set():
            match chance.randrange(3):
                case 0:
                    at_ms = start_ms + chance.randrange(80)
                    new = make_job(job_id=new_id("job", at_ms), tenant="acme")
                    await store.accept([new], waiting_max=10_000)
                case 1:
                    job = await store.get(chance.choice(jobs).job_id)
                    if job is not None and not job.state.is_terminal:
                        await finish(store, job.job_id, to=JobState.SUCCEEDED, result="{}")
                case _:
                    job = await store.get(chance.choice(jobs).job_id)
                    if job is not None and job.state.is_terminal and len(removed) < 20:
                        await index.remove(job)
                        removed.add(job.job_id)

    stirring = asyncio.create_task(stir())
    seen = await listed(webapp, limit=chance.randint(1, 9))
    over.set()
    await stirring

    assert len(seen) == len(set(seen))
    assert {job.job_id for job in jobs} - removed <= set(seen)
    assert seen == sorted(seen, reverse=True)
