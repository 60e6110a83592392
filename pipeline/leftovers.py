"""What instances leave behind that are gone: signs of life, consumers, unreadable entries."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.health import HealthBoard
from pipeline.protocol import Keyspace


class Leftovers:
    """Clears up in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys
        self._board = HealthBoard(redis, keys)
        self._drop_idle_consumers = load_script(redis, "drop_idle_consumers")

    async def forget_instances(self, *, silent_since_unix_ms: int) -> int:
        """Remove the signs of life that stopped before that; give how many."""
        gone = [
            beat for beat in await self._board.all() if beat.beat_unix_ms < silent_since_unix_ms
        ]
        for beat in gone:
            await self._board.leave(beat.service, beat.instance)
        return len(gone)

    async def drop_consumers(
        self, streams: Sequence[str], group: str, *, idle_at_least_ms: int
    ) -> int:
        """Drop consumers of *group* without claims that were idle for so long; give how many."""
        dropped = 0
        with redis_errors():
            for stream in streams:
                dropped += int(
                    await self._drop_idle_consumers(keys=[stream], args=[group, idle_at_least_ms])
                )
        return dropped

    async def trim_parked(self, *, before_unix_ms: int) -> int:
        """Remove entries that were parked before that; give how many."""
        with redis_errors():
            trimmed = await self._redis.xtrim(
                self._keys.dead, minid=f"{before_unix_ms}-0", approximate=False
            )
        return trimmed
