"""Hearing of jobs that ended: the reading side of the channel that every last move writes to."""

from __future__ import annotations

from collections.abc import Callable

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.protocol import Keyspace

_LISTEN_S = 1.0


class EndedJobs:
    """The channel of ended jobs. A message can be lost: it is a hint, the record is the truth."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._channel = keys.ended_channel

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call *heard* with the id of each job that ends, until cancelled.

        Raises Unavailable when the subscription breaks; what ends before the next one is missed.
        """
        with redis_errors():
            async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(self._channel)
                while True:
                    message = await pubsub.get_message(timeout=_LISTEN_S)
                    if message is not None and message["type"] == "message":
                        heard(message["data"])
