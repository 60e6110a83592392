"""Batches held to their tenant's limits, and repeated under the same key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.tenants import Tenant, TenantStore
from pipeline.batches.store import BatchStore
from pipeline.protocol import Keyspace
from tests.integration.webapp.batches import VIDEO, archive_of, files, post, send
from tests.integration.webapp.running import Webapp, add_key
from tests.waiting import wait_until

ZIP = "application/zip"
KEY = {"idempotency-key": '"shift-7"'}


async def limit(redis: Redis, keys: Keyspace, **settings: int | float) -> None:
    """Set what the tenant ``acme`` may."""
    await TenantStore(redis, keys).add(Tenant(tenant="acme", **settings))  # type: ignore[arg-type]  # each a number


async def submit(webapp: Webapp, kind: str, content: bytes = b"", **params: str) -> httpx.Response:
    """Submit a batch of *kind* under KEY."""
    body = {ZIP: archive_of("a"), "video/mp4": VIDEO, "application/json": b'{"urls": ["x"]}'}[kind]
    return await send(webapp, content or body, kind, KEY, **params)


async def test_a_batch_takes_a_token_as_a_job_does(
    serving: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """Each answer says what is left; without a token nothing of the body is taken."""
    await limit(redis, keys, jobs_per_s=0.05, burst=2)

    first = await post(serving, archive_of("a"), ZIP)
    assert (await serving.post()).status_code == 202
    refused = await post(serving, archive_of("a"), ZIP)

    assert first.headers["ratelimit-policy"] == '"tenant";q=2;w=40'
    assert first.headers["ratelimit"].startswith('"tenant";r=1;')
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 15 <= int(refused.headers["retry-after"]) <= 20
    assert re.fullmatch(r'"tenant";r=0;t=\d+', refused.headers["ratelimit"])
    assert len(files(tmp_path)) == 1


async def test_sources_count_among_the_tenants_bytes(
    serving: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """Open sources and waiting pictures share them; what has no room is refused and leaves none."""
    store, data = BatchStore(redis, keys), archive_of("a")
    await limit(redis, keys, bytes_max=2 * len(data))
    opened = (await post(serving, data, ZIP)).json()
    assert (await serving.post()).status_code == 202

    async def piecewise() -> AsyncIterator[bytes]:
        # Without a length it is known only when all of it is there.
        yield data

    early = await post(serving, data, ZIP)
    late = await serving.http.post(
        "/v1/batches", params={"model": "echo"}, content=piecewise(), headers={"content-type": ZIP}
    )
    other = await add_key(redis, keys, tenant="other")
    others = await send(serving, data, ZIP, {"authorization": f"Bearer {other}"})

    for answer in (early, late):
        assert (answer.status_code, answer.json()["code"]) == (429, "quota_reached"), answer.text
        assert f"{2 * len(data)} bytes" in answer.json()["detail"]
    assert others.status_code == 202
    assert len(files(tmp_path)) == 2
    batch = await store.get(opened["id"])
    assert batch is not None
    assert await store.withdraw(batch.batch_id)
    assert await store.end(batch, now_unix_ms=1)
    assert (await post(serving, data, ZIP)).status_code == 202


async def test_many_sources_at_once_pass_no_limit_together(
    serving: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Of five uploads in flight as many are accepted as there is room for."""
    data = archive_of("a")
    await limit(redis, keys, bytes_max=2 * len(data))

    answers = await asyncio.gather(*(post(serving, data, ZIP) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [202, 202, 429, 429, 429]


@pytest.mark.parametrize("kind", [ZIP, "video/mp4", "application/json"])
async def test_a_repeated_batch_is_the_same_batch(
    kind: str, serving: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """The document as it is now, no second source, and no token taken for it."""
    await limit(redis, keys, jobs_per_s=0.001, burst=1)
    first = await submit(serving, kind, reference="a")
    assert first.status_code == 202, first.text
    before = files(tmp_path)

    again = await submit(serving, kind, reference="a")

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert files(tmp_path) == before
    assert await BatchStore(redis, keys).open() == [first.json()["id"]]


async def test_a_batchs_key_fits_no_other_request(serving: Webapp, tmp_path: Path) -> None:
    """Another source, field or kind of request under it is refused, and changes nothing."""
    assert (await submit(serving, ZIP)).status_code == 202
    before = files(tmp_path)

    others = [
        await submit(serving, ZIP, archive_of("b")),
        await submit(serving, ZIP, reference="b"),
        await submit(serving, "video/mp4"),
        await serving.post(headers=KEY),
    ]

    assert {(each.status_code, each.json()["code"]) for each in others} == {
        (422, "idempotency_key_reused")
    }
    assert files(tmp_path) == before


async def test_a_refused_batch_binds_no_key(serving: Webapp) -> None:
    """It may be mended and sent under the same key."""
    assert (await submit(serving, ZIP, b"no archive")).status_code == 422

    assert (await submit(serving, ZIP)).status_code == 202


async def test_one_of_two_at_once_is_told_so(
    serving: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """While the first is arriving its like is refused; another request of the key is mixed up."""
    goes_on = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        data = archive_of("a")
        yield data[:10]
        await goes_on.wait()
        yield data[10:]

    first = asyncio.create_task(
        serving.http.post(
            "/v1/batches",
            params={"model": "echo"},
            content=pieces(),
            headers={"content-type": ZIP} | KEY,
        )
    )
    await wait_until(lambda: files(tmp_path))
    early = await submit(serving, ZIP)
    mixed = await submit(serving, ZIP, reference="b")
    goes_on.set()

    assert (early.status_code, early.json()["code"]) == (409, "request_in_flight")
    assert (mixed.status_code, mixed.json()["code"]) == (422, "idempotency_key_reused")
    assert (await first).status_code == 202
    assert len(await BatchStore(redis, keys).open()) == 1


async def test_a_batch_that_is_gone_is_not_made_again(
    serving: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """410: it was accepted, and is not kept any more."""
    document = (await submit(serving, ZIP)).json()
    await redis.delete(keys.batch(document["id"]))

    again = await submit(serving, ZIP)

    assert (again.status_code, again.json()["code"]) == (410, "job_removed")
