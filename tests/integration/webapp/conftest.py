"""A webapp for each test, on the session's server, under a prefix and in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from pipeline.clock import SystemClock
from pipeline.health import STALE_AFTER_MS, HealthBoard, Heartbeat
from pipeline.protocol import Keyspace
from tests.integration.webapp.running import Holdings, Webapp, add_key, holdings, publish, running

#: Looks at all that an accepted job leaves.
Look = Callable[[], Awaitable[Holdings]]


@pytest.fixture
def environ(redis_url: str, keys: Keyspace, tmp_path: Path) -> dict[str, str]:
    """Give the settings; a test adds its own before it starts a webapp."""
    return {
        "GW_REDIS_URL": redis_url,
        "GW_REDIS_PREFIX": keys.prefix,
        "GW_DATA_DIR": str(tmp_path),
        "GW_DISK_FREE_MIN_MB": "1",
    }


@pytest_asyncio.fixture
async def token(redis: Redis, keys: Keyspace) -> str:
    """Give a key of the tenant ``acme``, with a catalogue published beside it."""
    await publish(redis, keys)
    return await add_key(redis, keys, tenant="acme")


@pytest_asyncio.fixture
async def webapp(environ: dict[str, str], token: str) -> AsyncIterator[Webapp]:
    """Run a webapp with the settings' defaults."""
    async with running(environ, token=token) as webapp:
        yield webapp


@pytest.fixture
def look(redis: Redis, keys: Keyspace, tmp_path: Path) -> Look:
    """Give a way to see whether anything was accepted."""
    return lambda: holdings(redis, keys, tmp_path)


@pytest_asyncio.fixture
async def serving(
    environ: dict[str, str], token: str, redis: Redis, keys: Keyspace
) -> AsyncIterator[Webapp]:
    """Run a webapp beside operations services that seem to live."""
    board, now_unix_ms = HealthBoard(redis, keys), SystemClock().unix_ms()
    for service in ("operations", "operations-media"):
        await board.beat(
            Heartbeat(
                service=service,
                instance="a",
                pid=1,
                started_unix_ms=1,
                # As far ahead as counts, so that it counts for as long as a test may take.
                beat_unix_ms=now_unix_ms + STALE_AFTER_MS - 1000,
            )
        )
    environ |= {"GW_BATCH_ITEMS_MAX": "5", "GW_BATCH_MAX_BYTES": "100000"}
    environ |= {"GW_BATCHES_OPEN_MAX": "3"}
    async with running(environ, token=token) as webapp:
        yield webapp
