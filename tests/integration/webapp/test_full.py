"""Being full: of jobs, or of pictures."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.connection import connect
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore
from pipeline.protocol import Keyspace
from tests.integration.pipeline.own_server import running as own_server
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import (
    PICTURE,
    add_key,
    finish,
    holdings,
    publish,
    running,
)
from tests.waiting import wait_until


async def test_past_the_limit_new_jobs_are_answered_429(
    environ: dict[str, str], token: str, look: Look, redis: Redis, keys: Keyspace
) -> None:
    """Nothing is accepted, no picture stays, and there is room again when a job has left."""
    environ["GW_JOBS_WAITING_MAX"] = "2"
    async with running(environ, token=token) as webapp:
        first = await webapp.submit()
        await webapp.submit()
        before = await look()

        answer = await webapp.post()

        assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert await look() == before
        await finish(JobStore(redis, keys), first["id"], to=JobState.CANCELED)
        assert (await webapp.post()).status_code == 202


async def test_a_request_that_does_not_fit_whole_is_refused_whole(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """There is room for two of its three pictures: none is taken."""
    environ["GW_JOBS_WAITING_MAX"] = "2"
    async with running(environ, token=token) as webapp:
        before = await look()

        answer = await webapp.http.post(
            "/v1/jobs", files=[("picture", ("x", PICTURE))] * 3, data={"model": "echo"}
        )

    assert answer.status_code == 429
    assert await look() == before


async def test_with_the_disk_nearly_full_nothing_is_accepted(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """503 with a moment to come back, and readiness names the disk."""
    environ["GW_DISK_FREE_MIN_MB"] = str(10**9)
    async with running(environ, token=token) as webapp:
        before = await look()
        answer = await webapp.post()
        ready: httpx.Response = await webapp.http.get("/readyz")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert await look() == before
    assert "the disk for pictures is nearly full" in ready.json()["reasons"]


async def test_a_disk_that_takes_nothing_leaves_nothing(
    environ: dict[str, str], token: str, look: Look, tmp_path: Path
) -> None:
    """When a picture cannot be written the request is refused, and no job exists."""
    async with running(environ, token=token) as webapp:
        put_in_the_way(tmp_path / "pictures")
        before = await look()

        answer = await webapp.post()

        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert await look() == before


def put_in_the_way(folder: Path) -> None:
    """Put a file where the pictures' folder should be."""
    folder.rmdir()
    folder.write_text("not a folder")


@pytest.mark.parametrize(
    ("percent", "maxmemory", "reason"),
    [("100", "1kb", "job store is not available"), ("50", "", "memory is nearly full")],
)
async def test_with_redis_nearly_full_or_full_nothing_is_half_accepted(
    tmp_path: Path, keys: Keyspace, percent: str, maxmemory: str, reason: str
) -> None:
    """By the watermark, or by Redis's own refusal: 503, a moment to come back, and no trace."""
    with own_server(tmp_path, "--maxmemory-policy", "noeviction") as server:
        environ = {
            "GW_REDIS_URL": server.settings().url,
            "GW_REDIS_PREFIX": keys.prefix,
            "GW_DATA_DIR": str(tmp_path),
            "GW_DISK_FREE_MIN_MB": "1",
            "GW_REDIS_MEMORY_MAX_PERCENT": percent,
            # Pictures whose jobs are in doubt are looked after when twice of it has passed.
            "GW_REDIS_TIMEOUT_S": "0.5",
        }
        async with connect(server.settings()) as redis:
            await publish(redis, keys)
            token = await add_key(redis, keys, tenant="acme")
            async with running(environ, token=token) as webapp:
                await webapp.submit()
                before = await holdings(redis, keys, tmp_path)
                used_bytes = (await redis.info("memory"))["used_memory"]
                # Redis refuses below what is used; the watermark is passed below twice of it.
                await redis.config_set("maxmemory", maxmemory or int(used_bytes * 1.5))
                if not maxmemory:
                    await webapp.parts.monitor.look()

                answers = await asyncio.gather(
                    *(webapp.post(headers={"idempotency-key": f'"{n}"'}) for n in range(10))
                )

                for answer in answers:
                    assert answer.status_code == 503, answer.text
                    assert reason in answer.json()["detail"]
                    assert int(answer.headers["retry-after"]) > 0
                await redis.config_set("maxmemory", 0)
                await webapp.parts.monitor.look()

                async def has_no_picture_left() -> bool:
                    return await holdings(redis, keys, tmp_path) == before

                await wait_until(has_no_picture_left)
                repeated = await webapp.post(headers={"idempotency-key": '"0"'})
                assert repeated.status_code == 202
                assert "idempotency-replayed" not in repeated.headers
