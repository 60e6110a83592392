"""While Redis is away: bounded refusals, and nothing in doubt for long."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from pipeline.connection import connect
from pipeline.errors import InvalidSettings
from pipeline.protocol import Keyspace
from tests.conftest import free_port
from tests.integration.pipeline.own_server import OwnServer
from tests.integration.webapp.running import Webapp, add_key, publish, running
from tests.waiting import wait_until
from webapp.monitor import Monitor

TOKEN = "gw_00000000_" + "A" * 43


def pictures(folder: Path) -> list[str]:
    """List the stored pictures."""
    return sorted(path.name for path in folder.glob("pictures/*/*"))


@pytest.fixture
def away(tmp_path: Path) -> dict[str, str]:
    """Give settings with short times and no Redis yet."""
    return {
        "GW_REDIS_TIMEOUT_S": "0.5",
        "GW_DATA_DIR": str(tmp_path / "data"),
        "GW_DISK_FREE_MIN_MB": "1",
    }


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[OwnServer]:
    """Run a server that the test may kill."""
    (tmp_path / "redis").mkdir()
    server = OwnServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


async def prepared(server: OwnServer) -> str:
    """Store a key and a catalogue; give the token."""
    redis = connect(server.settings())
    try:
        await publish(redis, Keyspace())
        return await add_key(redis, Keyspace(), tenant="acme")
    finally:
        await redis.aclose()


async def check_refusals(webapp: Webapp, *, within_s: float) -> None:
    """Check that every route answers 503 in time, and the process says that it lives."""
    started_s = time.monotonic()
    answers = await asyncio.gather(
        webapp.post(),
        webapp.http.get("/v1/jobs/job_01jd3k4m5n6p7q8r9s0t1v2w3x"),
        webapp.http.get("/v1/models"),
    )
    took_s = time.monotonic() - started_s

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert took_s < within_s
    assert (await webapp.http.get("/healthz")).status_code == 200
    ready = await webapp.http.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)


async def test_a_port_that_nobody_listens_on_is_503(away: dict[str, str], tmp_path: Path) -> None:
    """At once, and no picture is left."""
    away["GW_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"

    async with running(away, token=TOKEN) as webapp:
        await check_refusals(webapp, within_s=2)

    assert pictures(tmp_path / "data") == []


async def test_a_server_that_hangs_is_503_in_bounded_time(
    away: dict[str, str], server: OwnServer, tmp_path: Path
) -> None:
    """Nobody waits longer than the time that one command may take, tried twice."""
    away["GW_REDIS_URL"] = server.settings().url
    token = await prepared(server)

    async with running(away, token=token) as webapp:
        server.send(signal.SIGSTOP)
        await check_refusals(webapp, within_s=5)
        server.send(signal.SIGCONT)


async def test_the_service_works_again_when_redis_is_back(
    away: dict[str, str], server: OwnServer, tmp_path: Path
) -> None:
    """Without a restart of ours, and with the keys that were there."""
    away["GW_REDIS_URL"] = server.settings().url
    token = await prepared(server)

    async with running(away, token=token) as webapp:
        assert (await webapp.post()).status_code == 202
        server.kill()
        assert (await webapp.post()).status_code == 503
        server.start()

        async def is_accepted() -> bool:
            return (await webapp.post()).status_code == 202

        await wait_until(is_accepted)


async def test_a_picture_in_doubt_goes_when_its_job_is_not_there(
    away: dict[str, str], server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis dies between the picture and its job: 503, and later the picture is gone too."""
    # The race that this is about: the last look at Redis was still a good one.
    monkeypatch.setattr(Monitor, "check_store_answers", lambda _: None)
    away["GW_REDIS_URL"] = server.settings().url
    token = await prepared(server)

    async with running(away, token=token) as webapp:
        kept = (await webapp.post()).json()["id"]
        server.kill()
        answer = await webapp.post()
        assert answer.status_code == 503
        assert len(pictures(tmp_path / "data")) == 2

        server.start()
        await wait_until(lambda: pictures(tmp_path / "data") == [kept])


async def test_a_server_that_could_lose_jobs_is_refused(
    away: dict[str, str], tmp_path: Path
) -> None:
    """With an eviction policy that drops keys the service does not start."""
    (tmp_path / "redis").mkdir()
    server = OwnServer(tmp_path / "redis", "--maxmemory-policy", "allkeys-lru")
    server.start()
    away["GW_REDIS_URL"] = server.settings().url
    try:
        with pytest.raises(InvalidSettings, match="noeviction"):
            async with running(away, token=TOKEN):
                pytest.fail("it started")
    finally:
        server.kill()


async def test_health_needs_neither_redis_nor_key(away: dict[str, str]) -> None:
    """A prober sees that the process lives."""
    away["GW_REDIS_URL"] = f"redis://127.0.0.1:{free_port()}/0"

    async with running(away) as webapp, httpx.AsyncClient() as stranger:
        answer = await stranger.get(f"http://127.0.0.1:{webapp.port}/healthz")

    assert answer.json() == {"status": "alive"}
