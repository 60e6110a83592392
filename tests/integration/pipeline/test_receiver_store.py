"""Backlogs of receivers against a real server."""

from __future__ import annotations

from redis.asyncio import Redis

from pipeline.deliveries.receivers import ReceiverStore
from pipeline.protocol import Keyspace

YEAR_MS = 365 * 86_400_000


async def test_a_backlog_waits_for_its_moment(redis: Redis, keys: Keyspace) -> None:
    """It is looked at then and not before, and what is released comes back as a retry."""
    store = ReceiverStore(redis, keys)
    await redis.zadd(keys.backlogs, {"url_1": 2000})
    await redis.zadd(keys.backlog("url_1"), {"msg_1": 1, "msg_2": 2})

    assert await store.due_backlogs(now_unix_ms=1999, limit=9) == []
    assert await store.release_backlog("url_1", count=1, now_unix_ms=1999, next_unix_ms=1) == -1
    assert await store.due_backlogs(now_unix_ms=2000, limit=9) == ["url_1"]
    assert await store.release_backlog("url_1", count=1, now_unix_ms=2000, next_unix_ms=3) == 1

    assert await redis.xlen(keys.retries) == 1
    assert await redis.zscore(keys.backlogs, "url_1") == 3


async def test_a_clock_set_back_stops_no_backlog(redis: Redis, keys: Keyspace) -> None:
    """One that was put off while the clock stood years ahead is looked at now."""
    store = ReceiverStore(redis, keys)
    await redis.zadd(keys.backlogs, {"url_1": 10 * YEAR_MS, "url_2": YEAR_MS + 60_000})
    await redis.zadd(keys.backlog("url_1"), {"msg_1": 1})

    assert await store.due_backlogs(now_unix_ms=YEAR_MS, limit=9) == ["url_1"]
    released = await store.release_backlog(
        "url_1", count=5, now_unix_ms=YEAR_MS, next_unix_ms=YEAR_MS
    )

    assert released == 1
    assert await store.due_backlogs(now_unix_ms=YEAR_MS, limit=9) == []
