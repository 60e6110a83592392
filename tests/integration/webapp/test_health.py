"""Readiness, and stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from redis.asyncio import Redis

from pipeline.clock import SystemClock
from pipeline.health import HealthBoard, Heartbeat
from pipeline.protocol import Keyspace
from tests.conftest import free_port
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.raw_http import connected
from tests.integration.webapp.running import PICTURE, Webapp, running
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]


async def beat(redis: Redis, keys: Keyspace, *, reason: str = "") -> None:
    """Let a dispatcher show that it lives."""
    now_unix_ms = SystemClock().unix_ms()
    await HealthBoard(redis, keys).beat(
        Heartbeat(
            service="dispatcher",
            instance="box",
            pid=1,
            started_unix_ms=now_unix_ms,
            beat_unix_ms=now_unix_ms,
            reason=reason,
        )
    )


async def test_readiness_follows_the_dispatcher(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Not ready without one, ready with one, not ready with one that cannot work."""

    async def reasons() -> list[str]:
        answer = await webapp.http.get("/readyz")
        document = answer.json()
        assert (answer.status_code == 200) == document["ready"] == (not document["reasons"])
        listed: list[str] = document["reasons"]
        return listed

    assert await reasons() == ["no dispatcher is running"]
    await beat(redis, keys)

    async def is_ready() -> bool:
        return not await reasons()

    await wait_until(is_ready)
    await beat(redis, keys, reason="no device")

    async def tells_the_reason() -> bool:
        return await reasons() == ["the dispatcher cannot work: no device"]

    await wait_until(tells_the_reason)


async def test_a_prober_may_ask_for_the_head_alone(webapp: Webapp) -> None:
    """The status is the answer."""
    alive = await webapp.http.head("/healthz")
    ready = await webapp.http.head("/readyz")

    assert (alive.status_code, ready.status_code) == (200, 503)
    assert alive.content == ready.content == b""


async def test_a_record_that_cannot_be_read_stops_nothing(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """A foreign heartbeat makes the stack not ready; work is accepted nevertheless."""
    await redis.hset(keys.health, "odd:one", '{"colour": "red"}')

    async def is_told() -> bool:
        reasons: list[str] = (await webapp.http.get("/readyz")).json()["reasons"]
        return reasons == ["the catalogue or a heartbeat cannot be read"]

    await wait_until(is_told)
    assert (await webapp.post()).status_code == 202


async def test_jobs_are_accepted_while_no_dispatcher_runs(webapp: Webapp) -> None:
    """They wait: that is what a queue is for."""
    assert (await webapp.http.get("/readyz")).status_code == 503
    assert (await webapp.post()).status_code == 202


async def test_a_stopping_service_is_not_ready_and_finishes_what_it_reads(
    environ: dict[str, str], token: str, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """Readiness goes off, the port closes, and the upload under way still becomes a job."""
    await beat(redis, keys)
    async with running(environ, token=token) as webapp:
        head = (
            "POST /v1/jobs?model=echo HTTP/1.1\r\nHost: gw\r\nContent-Type: image/jpeg\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(PICTURE)}\r\n\r\n"
        )
        async with connected(webapp.port) as connection:
            await connection.send(head.encode() + PICTURE[:500])
            await wait_until(lambda: webapp.parts.budget.held_bytes == 500)
            port = webapp.port

            webapp.stop.set()
            await wait_until(webapp.parts.stopping.is_set)
            await wait_until(lambda: is_closed(port))
            await connection.send(PICTURE[500:])
            answer = await connection.answer()

    assert answer.status == 202
    assert answer.headers["connection"] == "close"
    assert len((await look()).pictures) == 1


async def is_closed(port: int) -> bool:
    """Tell whether nobody takes connections on *port*."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.transport.abort()
    return False


async def test_the_process_stops_on_a_signal(
    environ: dict[str, str], token: str, redis: Redis, keys: Keyspace
) -> None:
    """SIGTERM under load: what was answered 202 is there, the exit is clean and quick."""
    port = free_port()
    process = start_process(environ | {"GW_HTTP_PORT": str(port), "GW_GRACE_S": "10"})
    accepted: list[str] = []
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"}
        ) as http:
            await wait_until(lambda: is_alive(http), timeout_s=20)
            loading = [asyncio.ensure_future(submit_until_gone(http, accepted)) for _ in range(4)]
            await wait_until(lambda: len(accepted) > 20)

            process.send_signal(signal.SIGTERM)
            started_s = time.monotonic()
            code = await asyncio.to_thread(process.wait, 15)
            took_s = time.monotonic() - started_s
            await asyncio.gather(*loading)
    finally:
        process.kill()
        _, log = process.communicate()

    assert code == 0, log.decode()
    assert took_s < 5
    assert b"Traceback" not in log
    stored = [await redis.exists(keys.job(job_id)) for job_id in accepted]
    assert all(stored)


def start_process(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the service as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "webapp"],
        cwd=ROOT,
        env=os.environ | environ,
        stderr=subprocess.PIPE,
    )


async def is_alive(http: httpx.AsyncClient) -> bool:
    """Tell whether the process answers."""
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


async def submit_until_gone(http: httpx.AsyncClient, accepted: list[str]) -> None:
    """Submit one picture after the other until the service is gone."""
    while True:
        try:
            answer = await http.post(
                "/v1/jobs?model=echo", content=PICTURE, headers={"content-type": "image/jpeg"}
            )
        except httpx.TransportError:
            return
        assert answer.status_code == 202
        accepted.append(answer.json()["id"])
