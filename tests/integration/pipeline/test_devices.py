"""What dispatchers tell of their devices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from pipeline.errors import MalformedMessage
from pipeline.health import STALE_AFTER_MS
from pipeline.models.devices import (
    FORGOTTEN_AFTER_MS,
    DeviceBoard,
    DeviceRecord,
    DeviceStatus,
    device_document,
)
from pipeline.protocol import Keyspace

NOW_UNIX_MS = 1_800_000_000_000

RECORD = DeviceRecord(
    instance="a",
    device="npu:0",
    runtime="acl",
    status=DeviceStatus.DEGRADED,
    reason="npu-smi says Alarm",
    seen_unix_ms=NOW_UNIX_MS,
    started_unix_ms=NOW_UNIX_MS - 1000,
    models=("echo/1", "text/2"),
    health="Alarm",
    temperature_c=61.0,
)


async def test_the_last_word_on_each_device_is_listed(redis: Redis, keys: Keyspace) -> None:
    """A newer record replaces the older; one that left is gone; the hash itself expires."""
    board = DeviceBoard(redis, keys)
    other = replace(RECORD, device="cpu:0", models=())
    await board.publish(replace(RECORD, temperature_c=20.0))
    await board.publish(RECORD)
    await board.publish(other)

    assert await board.all(NOW_UNIX_MS) == [other, RECORD]
    assert 0 < await redis.pttl(keys.devices) <= FORGOTTEN_AFTER_MS

    await board.leave("a", "cpu:0")
    assert await board.all(NOW_UNIX_MS) == [RECORD]


async def test_a_silent_device_is_gone_and_then_forgotten(redis: Redis, keys: Keyspace) -> None:
    """Without a sign of life its status says so; a day later it is not listed any more."""
    board = DeviceBoard(redis, keys)
    await board.publish(RECORD)
    stale_unix_ms = NOW_UNIX_MS + STALE_AFTER_MS

    assert device_document(RECORD, now_unix_ms=stale_unix_ms - 1)["status"] == "degraded"
    assert device_document(RECORD, now_unix_ms=stale_unix_ms)["status"] == "gone"
    assert await board.all(NOW_UNIX_MS + FORGOTTEN_AFTER_MS) == []


async def test_what_is_no_record_is_malformed(redis: Redis, keys: Keyspace) -> None:
    """A record that cannot be read is told, never guessed."""
    await redis.hset(keys.devices, "x", "[]")

    with pytest.raises(MalformedMessage):
        await DeviceBoard(redis, keys).all(NOW_UNIX_MS)
