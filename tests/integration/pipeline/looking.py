"""Looking at streams from outside, with the types that a decoding client really gives."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Redis


async def entries_of(redis: Redis, stream: str) -> list[tuple[str, dict[str, str]]]:
    """Give the ids and fields of all entries, oldest first."""
    return cast(list[tuple[str, dict[str, str]]], await redis.xrange(stream))


async def pending_of(redis: Redis, stream: str, group: str) -> list[dict[str, Any]]:
    """Give what the group knows of each claimed entry, oldest first."""
    rows = await redis.xpending_range(stream, group, min="-", max="+", count=100_000)
    return cast(list[dict[str, Any]], rows)


async def blocked_clients(redis: Redis) -> bool:
    """Whether some client waits in a blocking read."""
    return bool((await redis.info("clients"))["blocked_clients"])
