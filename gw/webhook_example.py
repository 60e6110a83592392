"""An example delivery, asked for from the command line."""

from __future__ import annotations

import time

from redis.asyncio import Redis

from pipeline.deliveries.delivery import Attempt, Delivery
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.errors import NotFound
from pipeline.events.examples import have_example_sent
from pipeline.events.store import EventStore
from pipeline.protocol import Keyspace


async def send_example(redis: Redis, keys: Keyspace, endpoint_id: str) -> tuple[Delivery, Attempt]:
    """Have an example sent to an endpoint; raises NotFound, or Unavailable without a notifier."""
    endpoint = await EndpointStore(redis, keys).get(endpoint_id)
    if endpoint is None:
        raise NotFound(f"there is no endpoint {endpoint_id}")
    return await have_example_sent(
        endpoint,
        EventStore(redis, keys),
        DeliveryStore(redis, keys),
        now_unix_ms=time.time_ns() // 1_000_000,
    )
