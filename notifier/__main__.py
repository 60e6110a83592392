"""The notifier service: its parts, put together."""

from __future__ import annotations

import asyncio
import random

import uvloop

from egress.client import ClientLimits, EgressClient
from egress.policy import EgressPolicy
from notifier.attempt import Sender
from notifier.loop import Notifier, Stores
from notifier.schedule import RetrySchedule
from notifier.settings import NotifierSettings
from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.following import BLOCK_MS
from pipeline.health import HealthBoard, keep_beating
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import run_service
from pipeline.protocol import NOTIFIER_GROUP, Keyspace
from pipeline.streams import StreamReader


async def serve(settings: NotifierSettings, stop: asyncio.Event) -> None:
    """Run the service until *stop* is set."""
    service = settings.service
    redis = connect(service.redis, block_s=BLOCK_MS / 1000)
    keys = Keyspace(service.redis.prefix)
    clock = SystemClock()
    client = EgressClient(
        EgressPolicy.parse(settings.egress_allow), limits=ClientLimits(max_busy=settings.held_max)
    )
    notifier = Notifier(
        settings=settings,
        reader=StreamReader(
            redis,
            keys,
            group=NOTIFIER_GROUP,
            consumer=service.instance,
            lease_ms=int(settings.lease_s * 1000),
        ),
        stores=Stores(
            jobs=JobStore(redis, keys, retention_ms=service.job_retention_s * 1000),
            deliveries=DeliveryStore(redis, keys, retention_ms=service.job_retention_s * 1000),
            endpoints=EndpointStore(redis, keys),
        ),
        sender=Sender(
            client=client,
            schedule=RetrySchedule.parse(settings.retry_schedule),
            clock=clock,
            deadline_s=settings.attempt_timeout_s,
            randomness=random.random,
        ),
        clock=clock,
    )
    beat = keep_beating(
        HealthBoard(redis, keys), clock, stop, service="notifier", instance=service.instance
    )
    async with redis, asyncio.TaskGroup() as tasks:
        tasks.create_task(beat, name="heartbeat")
        tasks.create_task(notifier.run(keys, stop), name="claim-and-deliver")
    await client.aclose()


if __name__ == "__main__":
    # An eighth less CPU per attempt than asyncio's own loop.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_service("notifier", NotifierSettings, serve)
