"""Signs of life."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict

import pytest
from redis.asyncio import Redis

from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.errors import MalformedMessage
from pipeline.health import STALE_AFTER_MS, HealthBoard, Heartbeat, keep_beating
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings
from tests.conftest import free_port
from tests.waiting import wait_until

BEAT = Heartbeat(
    service="webapp", instance="a", pid=1, started_unix_ms=1000, beat_unix_ms=5000, reason="full"
)


async def test_the_last_beat_of_each_instance_is_listed(redis: Redis, keys: Keyspace) -> None:
    """A newer beat replaces the older; services and instances come in order."""
    board = HealthBoard(redis, keys)
    other = Heartbeat(service="notifier", instance="a", pid=2, started_unix_ms=1, beat_unix_ms=2)
    await board.beat(Heartbeat(**(asdict(BEAT) | {"reason": ""})))
    await board.beat(BEAT)
    await board.beat(other)

    assert await board.all() == [other, BEAT]

    await board.leave("webapp", "a")
    await board.leave("webapp", "never was")
    assert await board.all() == [other]


def test_a_beat_goes_stale() -> None:
    """A service that missed several beats counts as gone, from that moment on."""
    assert BEAT.is_fresh(5000 + STALE_AFTER_MS - 1)
    assert not BEAT.is_fresh(5000 + STALE_AFTER_MS)


def test_a_beat_from_the_future_is_stale() -> None:
    """A service that died before the clock was set back does not live on until that hour comes."""
    assert BEAT.is_fresh(5000 - STALE_AFTER_MS + 1)
    assert not BEAT.is_fresh(5000 - STALE_AFTER_MS)


async def test_a_service_beats_until_it_stops(redis: Redis, keys: Keyspace) -> None:
    """The beat carries the process and its reason; a stop in order takes it down."""
    board = HealthBoard(redis, keys)
    stop = asyncio.Event()
    beating = asyncio.create_task(
        keep_beating(
            board, SystemClock(), stop, service="s", instance="i", reason=lambda: "no device"
        )
    )

    (beat,) = await wait_until(board.all)
    assert (beat.service, beat.instance, beat.pid) == ("s", "i", os.getpid())
    assert beat.reason == "no device"
    assert beat.is_fresh(SystemClock().unix_ms())

    stop.set()
    await asyncio.wait_for(beating, 5)
    assert await board.all() == []


async def test_an_absent_server_is_waited_out(
    keys: Keyspace, caplog: pytest.LogCaptureFixture
) -> None:
    """Missing a beat kills no service, and it still stops at once when it is told to."""
    away = connect(RedisSettings(url=f"redis://127.0.0.1:{free_port()}/0", timeout_s=0.2))
    stop = asyncio.Event()
    async with away:
        beating = asyncio.create_task(
            keep_beating(HealthBoard(away, keys), SystemClock(), stop, service="s", instance="i")
        )
        await wait_until(lambda: "heartbeat.missed" in caplog.messages)
        stop.set()
        await asyncio.wait_for(beating, 5)


async def test_a_newer_services_beat_is_readable(redis: Redis, keys: Keyspace) -> None:
    """A field that this version does not know does not hide the service."""
    text = json.dumps(asdict(BEAT) | {"load": 0.5})

    await redis.hset(keys.health, "webapp:a", text)

    assert await HealthBoard(redis, keys).all() == [BEAT]


@pytest.mark.parametrize("text", ["no json", "[]", "{}"])
async def test_another_text_is_malformed(redis: Redis, keys: Keyspace, text: str) -> None:
    """What is no beat is told apart."""
    await redis.hset(keys.health, "webapp:a", text)

    with pytest.raises(MalformedMessage, match="heartbeat"):
        await HealthBoard(redis, keys).all()
