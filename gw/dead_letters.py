"""How many deliveries were given up and are kept, over all tenants of a stack."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gw.server import LOOPBACK
from pipeline.connection import connect
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.index import DeliveryIndex
from pipeline.errors import MalformedMessage, Unavailable
from pipeline.jobs.index import JobIndex
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings

_PATIENCE_S = 2.0


async def count_exhausted(redis_port: int, password: str) -> int | None:
    """Ask the Redis of a stack; None where it does not answer."""
    url = f"redis://{LOOPBACK}:{redis_port}/0"
    redis = connect(RedisSettings(url=url, password=password, timeout_s=_PATIENCE_S))
    try:
        return await _count(redis, Keyspace())
    except (RedisError, OSError, Unavailable, MalformedMessage):
        return None
    finally:
        await redis.aclose()


async def _count(redis: Redis, keys: Keyspace) -> int:
    tenants = set(await JobIndex(redis, keys).submitters())
    tenants |= {each.tenant for each in await EndpointStore(redis, keys).all()}
    return await DeliveryIndex(redis, keys).count_exhausted(sorted(tenants))
