"""The notifier service: its parts, put together."""

from __future__ import annotations

import asyncio
import random

import uvloop

from egress.client import ClientLimits, client_of
from egress.policy import EgressPolicy
from notifier.attempt import Sender
from notifier.health import ReceiverLimits, Receivers
from notifier.intake import Stores
from notifier.loop import Notifier, Surroundings
from notifier.schedule import RetrySchedule
from notifier.settings import NotifierSettings
from pipeline.clock import Clock, SystemClock
from pipeline.connection import connect
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.events.store import EventStore
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
    client = client_of(
        settings.egress,
        EgressPolicy.parse(settings.egress_allow),
        limits=ClientLimits(max_busy=settings.held_max),
    )
    retention_ms = service.job_retention_s * 1000
    stores = Stores(
        jobs=JobStore(redis, keys, retention_ms=retention_ms),
        deliveries=DeliveryStore(redis, keys, retention_ms=retention_ms),
        endpoints=EndpointStore(redis, keys),
        events=EventStore(redis, keys, retention_ms=retention_ms),
        receivers=ReceiverStore(redis, keys),
    )
    reader = StreamReader(
        redis,
        keys,
        group=NOTIFIER_GROUP,
        consumer=service.instance,
        lease_ms=int(settings.lease_s * 1000),
    )
    sender = Sender(
        client=client,
        schedule=RetrySchedule.parse(settings.retry_schedule),
        clock=clock,
        deadline_s=settings.attempt_timeout_s,
        randomness=random.random,
        base_url=settings.public_url,
    )
    around = Surroundings(
        keys=keys,
        reader=reader,
        stores=stores,
        receivers=_receivers(settings, stores, clock),
        sender=sender,
        clock=clock,
    )
    beat = keep_beating(
        HealthBoard(redis, keys, file=service.heartbeat_file),
        clock,
        stop,
        service="notifier",
        instance=service.instance,
    )
    async with redis, asyncio.TaskGroup() as tasks:
        tasks.create_task(beat, name="heartbeat")
        tasks.create_task(Notifier(settings, around).run(stop), name="claim-and-deliver")
    await sender.aclose()
    await client.aclose()


def _receivers(settings: NotifierSettings, stores: Stores, clock: Clock) -> Receivers:
    return Receivers(
        store=stores.receivers,
        events=stores.events,
        clock=clock,
        limits=ReceiverLimits(
            attempt_timeout_s=settings.attempt_timeout_s,
            catch_up_most_per_s=settings.backlog_per_s,
        ),
        randomness=random.random,
    )


if __name__ == "__main__":
    # An eighth less CPU per attempt than asyncio's own loop.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_service("notifier", NotifierSettings, serve)
