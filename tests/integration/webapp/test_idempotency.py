"""Repeating a submission under the same key."""

from __future__ import annotations

import asyncio
import base64

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.jobs.index import JobIndex
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import PICTURE, Webapp, add_key, finish, running
from tests.unit.webapp.pictures import jpeg

KEY = {"idempotency-key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


async def test_a_repeated_request_gives_the_same_job(webapp: Webapp, look: Look) -> None:
    """Status, place and job are the first answer's; nothing is accepted anew, not even a file."""
    first = await webapp.post(headers=KEY, reference="a")
    before = await look()

    again = await webapp.post(headers=KEY, reference="a")

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await look() == before


async def test_several_jobs_come_again_in_their_order(webapp: Webapp) -> None:
    """Another boundary, and the key without its quotes, are the same request all the same."""

    async def post(key: str) -> httpx.Response:
        files = [("picture", (f"{n}.jpg", jpeg(16 + n, 16), "image/jpeg")) for n in range(3)]
        return await webapp.http.post(
            "/v1/jobs", files=files, data={"model": "echo"}, headers={"idempotency-key": key}
        )

    first, again = await post('"k-1"'), await post("k-1")

    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert (again.status_code, again.json()) == (202, first.json())
    assert [job["picture"]["width"] for job in again.json()["jobs"]] == [16, 17, 18]


@pytest.mark.parametrize(
    "changes",
    [{"picture": jpeg(20, 20)}, {"reference": "b"}, {"priority": "high"}, {"preview": "true"}],
)
async def test_a_key_of_another_request_is_refused(
    webapp: Webapp, look: Look, changes: dict[str, object]
) -> None:
    """422: the caller has mixed up two requests, and neither answer would be right."""
    await webapp.post(headers=KEY)
    before = await look()

    answer = await webapp.post(headers=KEY, **changes)  # type: ignore[arg-type]  # either kind

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await look() == before


async def test_a_json_request_can_be_repeated(webapp: Webapp) -> None:
    """Members in another order are the same request."""
    fields = {"model": "echo", "picture": "Qk0=", "reference": "r"}
    refused = await webapp.http.post("/v1/jobs", json=fields, headers=KEY)
    assert refused.status_code == 422, "an answer that accepts nothing binds nothing"
    good = {"model": "echo", "metadata": {"a": 1, "b": 2}, "picture": _base64(PICTURE)}
    first = await webapp.http.post("/v1/jobs", json=good, headers=KEY)

    again = await webapp.http.post("/v1/jobs", json=dict(reversed(good.items())), headers=KEY)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]


async def test_simultaneous_requests_make_one_job(webapp: Webapp, look: Look) -> None:
    """Each is answered 202 with the one job, or 409 and may come again."""
    answers = await asyncio.gather(*(webapp.post(headers=KEY) for _ in range(16)))

    accepted = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(accepted) == 1
    assert {(each.status_code, each.json()["code"]) for each in refused} <= {
        (409, "request_in_flight")
    }
    assert all(each.headers["retry-after"] == "1" for each in refused)
    found = await look()
    assert (found.counts[JobState.QUEUED], len(found.pictures)) == (1, 1)


async def test_two_webapps_make_one_job(
    webapp: Webapp, environ: dict[str, str], look: Look
) -> None:
    """What one of them does not know of, the store does: it is atomic with acceptance."""
    async with running(environ, token=webapp.token) as other:
        answers = await asyncio.gather(
            *(each.post(headers=KEY) for each in (webapp, other) for _ in range(8))
        )

    ids = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert len(ids) == 1
    found = await look()
    assert (found.counts[JobState.QUEUED], len(found.pictures)) == (1, 1)


async def test_a_key_is_its_tenants_own(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """Another tenant's request with the same key is another request."""
    stranger = await add_key(redis, keys, tenant="other")
    first = await webapp.post(headers=KEY)

    other = await webapp.post(headers=KEY | {"authorization": f"Bearer {stranger}"})

    assert (first.status_code, other.status_code) == (202, 202)
    assert first.json()["id"] != other.json()["id"]


async def test_a_repeated_request_may_wait_for_the_end(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Of a job that has ended by now it gets the result at once."""
    first = await webapp.post(headers=KEY)
    await finish(JobStore(redis, keys), first.json()["id"], to=JobState.SUCCEEDED, result="{}")

    again = await webapp.post(headers=KEY | {"prefer": "wait=20"})

    assert (again.status_code, again.json()["result"]) == (200, {})
    assert again.json()["id"] == first.json()["id"]


async def test_a_removed_job_is_not_made_again(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """410: the promise was kept, and nothing of it is left."""
    first = await webapp.post(headers=KEY)
    store = JobStore(redis, keys)
    job = await finish(store, first.json()["id"], to=JobState.FAILED, reason_code="x", reason="y")
    assert await JobIndex(redis, keys).remove(job) == ""

    again = await webapp.post(headers=KEY)

    assert (again.status_code, again.json()["code"]) == (410, "job_removed")


async def test_a_promise_ends_with_its_time(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """It is kept for a day."""
    await webapp.post(headers=KEY)

    (promise,) = [key async for key in redis.scan_iter(f"{keys.prefix}:promise:*")]

    assert 86_000_000 < await redis.pttl(promise) <= 86_400_000


@pytest.mark.parametrize("key", ['""', "", '"a', 'a"b', "a b", "ä", "x" * 256, '"a";b=1'])
async def test_a_malformed_key_is_refused(webapp: Webapp, look: Look, key: str) -> None:
    """400 with the header's name, before anything is read."""
    answer = await webapp.http.post(
        "/v1/jobs?model=echo",
        content=PICTURE,
        headers=[(b"content-type", b"image/jpeg"), (b"idempotency-key", key.encode("latin-1"))],
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["field"] == "Idempotency-Key"
    assert (await look()).keys == frozenset()


async def test_a_key_is_refused_where_it_is_of_no_use(webapp: Webapp) -> None:
    """What is safe to repeat needs none; who sends one has meant another route."""
    job = await webapp.submit()

    answers = [
        await webapp.http.request(method, path, headers=KEY)
        for method, path in (
            ("GET", "/v1/jobs"),
            ("GET", f"/v1/jobs/{job['id']}"),
            ("DELETE", f"/v1/jobs/{job['id']}"),
            ("GET", "/v1/events"),
        )
    ]

    assert {answer.status_code for answer in answers} == {400}
    assert (await webapp.http.get(f"/v1/jobs/{job['id']}")).json()["state"] == "queued"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
