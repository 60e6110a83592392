"""The parts that the routes are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from egress.client import EgressClient
from egress.policy import EgressPolicy
from pipeline.access.keys import KeyStore
from pipeline.clock import Clock, SystemClock
from pipeline.connection import check_server, connect
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.health import HealthBoard, keep_beating
from pipeline.jobs.ended import EndedJobs
from pipeline.jobs.store import JobStore
from pipeline.models.catalogue import Catalogue
from pipeline.pictures.blobs import FileBlobs
from pipeline.protocol import Keyspace
from webapp.accepting import Accepting, AcceptLimits
from webapp.access import Access
from webapp.body import MemoryBudget
from webapp.monitor import Monitor
from webapp.settings import WebappSettings
from webapp.waiting import EndWatcher

#: A side task: it runs until the event is set.
SideTask = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything the routes work with. *stopping* is set as soon as the service shall stop."""

    settings: WebappSettings
    clock: Clock
    egress_policy: EgressPolicy
    egress: EgressClient
    access: Access
    store: JobStore
    deliveries: DeliveryStore
    catalogue: Catalogue
    board: HealthBoard
    monitor: Monitor
    accepting: Accepting
    ends: EndWatcher
    budget: MemoryBudget
    close_redis: Callable[[], Awaitable[None]]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def build(cls, settings: WebappSettings, *, clock: Clock | None = None) -> Self:
        """Wire the parts; raises InvalidSettings. Nothing is connected yet."""
        redis = connect(settings.service.redis)
        clock = clock or SystemClock()
        keys = Keyspace(settings.service.redis.prefix)
        store = JobStore(redis, keys)
        catalogue = Catalogue(redis, keys)
        board = HealthBoard(redis, keys)
        blobs = FileBlobs(settings.blobs_dir)
        check: Callable[[], Awaitable[None]] = partial(check_server, redis)
        monitor = Monitor(
            check_server=check,
            store=store,
            catalogue=catalogue,
            board=board,
            blobs=blobs,
            clock=clock,
        )
        policy = EgressPolicy.parse(settings.egress_allow)
        return cls(
            settings=settings,
            clock=clock,
            egress_policy=policy,
            egress=EgressClient(policy),
            access=Access(KeyStore(redis, keys), clock),
            store=store,
            deliveries=DeliveryStore(redis, keys),
            catalogue=catalogue,
            board=board,
            monitor=monitor,
            accepting=Accepting(
                store=store,
                blobs=blobs,
                endpoints=EndpointStore(redis, keys),
                monitor=monitor,
                clock=clock,
                limits=AcceptLimits(
                    waiting_max=settings.jobs_waiting_max,
                    threads=settings.blob_threads,
                    settle_s=2 * settings.service.redis.timeout_s,
                ),
            ),
            ends=EndWatcher(EndedJobs(redis, keys), store),
            close_redis=redis.aclose,
            budget=MemoryBudget(settings.uploads.uploads_memory_mb * 1024 * 1024),
        )

    def side_tasks(self) -> dict[str, SideTask]:
        """List what runs beside the server, by name."""
        return {
            "monitor": self.monitor.run,
            "watch-ends": self.ends.run,
            "settle-doubts": self.accepting.settle_doubts,
            "heartbeat": self._keep_beating,
        }

    async def close(self) -> None:
        """Let go of threads and connections."""
        self.accepting.close()
        await self.egress.aclose()
        await self.close_redis()

    async def _keep_beating(self, stop: asyncio.Event) -> None:
        await keep_beating(
            self.board,
            self.clock,
            stop,
            service="webapp",
            instance=self.settings.service.instance,
        )
