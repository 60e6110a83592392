"""A notifier's surroundings on a fresh prefix: stores, jobs that end, the notifier itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from redis.asyncio import Redis

from egress.client import EgressClient
from egress.policy import EgressPolicy
from notifier.attempt import Sender
from notifier.health import ReceiverLimits, Receivers
from notifier.intake import Stores
from notifier.loop import Notifier, Surroundings
from notifier.schedule import RetrySchedule
from notifier.settings import NotifierSettings
from pipeline.clock import Clock, SystemClock
from pipeline.deliveries.delivery import Attempt, Delivery, DeliveryState
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.events.store import EventStore
from pipeline.jobs.job import Job, JobState, Subscriber
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import NOTIFIER_GROUP, Keyspace
from pipeline.streams import StreamReader
from tests.builders import make_id, make_job
from tests.waiting import wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Listening(Protocol):
    """Whatever listens on the loopback and may be called."""

    @property
    def port(self) -> int:
        """Give its port."""
        ...


def no_jitter() -> float:
    """Add nothing to any wait."""
    return 0.0


class Site:
    """A notifier's surroundings: the stores, and jobs that end."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self.redis = redis
        self.keys = keys
        self.jobs = JobStore(redis, keys)
        self.deliveries = DeliveryStore(redis, keys)
        self.endpoints = EndpointStore(redis, keys)
        self.events = EventStore(redis, keys)
        self.receivers = ReceiverStore(redis, keys)
        self.clock: Clock = SystemClock()

    async def add_endpoint(self, **changes: Any) -> Endpoint:
        """Register an endpoint that subscribes to everything, unless *changes* say otherwise."""
        defaults: dict[str, Any] = {
            "endpoint_id": make_id("ep"),
            "tenant": "default",
            "url": "http://127.0.0.1:9/hook",
            "description": "",
            "created_unix_ms": 1,
            "secret": SECRET,
            "event_types": ("job.*",),
        }
        endpoint = Endpoint(**(defaults | changes))
        await self.endpoints.add(endpoint)
        return endpoint

    async def end_job(self, *subscribers: Subscriber, **changes: Any) -> Job:
        """Have a job with these subscribers fail."""
        job = make_job(subscribers=subscribers, **changes)
        await self.jobs.accept([job], waiting_max=10_000)
        move = Move(job=job, to=JobState.FAILED, finished_unix_ms=1, reason_code="x", reason="y")
        assert await self.jobs.move([move]) == [True]
        return job

    async def delivery(self, subscriber: Subscriber) -> Delivery:
        """Give the record of a subscriber's delivery."""
        (delivery,) = await self.deliveries.get_many([subscriber.delivery_id])
        assert delivery is not None
        return delivery

    async def attempts(self, subscriber: Subscriber) -> list[Attempt]:
        """Give the attempts of a subscriber's delivery."""
        return await self.deliveries.attempts(subscriber.delivery_id)

    async def ended(self, subscriber: Subscriber) -> Delivery:
        """Wait until a delivery will see no further attempt."""

        async def over() -> Delivery | None:
            (delivery,) = await self.deliveries.get_many([subscriber.delivery_id])
            is_over = delivery is not None and delivery.state is not DeliveryState.PENDING
            return delivery if is_over else None

        delivery: Delivery | None = await wait_until(over, timeout_s=20)
        assert delivery is not None
        return delivery

    @asynccontextmanager
    async def notifier(
        self, receivers: Sequence[Listening], **changes: object
    ) -> AsyncIterator[asyncio.Event]:
        """Run a notifier that may call *receivers*; give the event that stops it."""
        settings = NotifierSettings(**({"lease_s": 1.0, "attempt_timeout_s": 0.5} | changes))  # type: ignore[arg-type]
        policy = " ".join(f"127.0.0.1/32:{receiver.port}" for receiver in receivers)
        client = EgressClient(EgressPolicy.parse(policy))
        sender = Sender(
            client=client,
            schedule=RetrySchedule.parse(settings.retry_schedule),
            clock=self.clock,
            deadline_s=settings.attempt_timeout_s,
            randomness=no_jitter,
        )
        around = Surroundings(
            keys=self.keys,
            reader=StreamReader(
                self.redis,
                self.keys,
                group=NOTIFIER_GROUP,
                consumer="n",
                lease_ms=int(settings.lease_s * 1000),
            ),
            stores=Stores(
                jobs=self.jobs,
                deliveries=self.deliveries,
                endpoints=self.endpoints,
                events=self.events,
                receivers=self.receivers,
            ),
            receivers=Receivers(
                store=self.receivers,
                events=self.events,
                clock=self.clock,
                limits=ReceiverLimits(
                    attempt_timeout_s=settings.attempt_timeout_s,
                    catch_up_most_per_s=settings.backlog_per_s,
                ),
                randomness=no_jitter,
            ),
            sender=sender,
            clock=self.clock,
        )
        notifier = Notifier(settings, around)
        stop = asyncio.Event()
        running = asyncio.create_task(notifier.run(stop))
        try:
            yield stop
        finally:
            stop.set()
            await asyncio.wait_for(running, 20)
            await sender.aclose()
            await client.aclose()
