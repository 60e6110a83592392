"""The parts that the routes are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from egress.client import EgressClient, client_of
from egress.policy import EgressPolicy
from pipeline.access.audit import AuditLog
from pipeline.access.keys import KeyStore
from pipeline.access.tenants import TenantStore
from pipeline.batches.store import BatchStore
from pipeline.clock import Clock, SystemClock
from pipeline.connection import Connection, check_server, connect, read_memory
from pipeline.deliveries.endpoints import EndpointStore
from pipeline.deliveries.index import DeliveryIndex
from pipeline.deliveries.operation_store import OperationStore
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.deliveries.store import DeliveryStore
from pipeline.events.store import EventStore
from pipeline.health import HealthBoard, keep_beating
from pipeline.jobs.ended import EndedJobs
from pipeline.jobs.loads import LoadStore
from pipeline.jobs.store import JobStore
from pipeline.jobs.token_buckets import TokenBuckets
from pipeline.models.catalogue import Catalogue
from pipeline.models.commands import ModelCommands
from pipeline.models.devices import DeviceBoard
from pipeline.pictures.blobs import FileBlobs
from pipeline.protocol import Keyspace
from webapp.accepting import Accepting, AcceptLimits
from webapp.access import Access
from webapp.audit import Audit
from webapp.batch_quota import BatchQuota
from webapp.batching import Batching
from webapp.body import MemoryBudget
from webapp.job_parts import JobParts
from webapp.monitor import Monitor, Sources, Watermarks, not_ready_reasons
from webapp.settings import WebappSettings
from webapp.tenants import Tenants
from webapp.waiting import EndWatcher

_MB = 1024 * 1024

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
    audit: Audit
    keys: KeyStore
    tenants: TenantStore
    store: JobStore
    deliveries: DeliveryStore
    delivery_index: DeliveryIndex
    again: OperationStore
    endpoints: EndpointStore
    events: EventStore
    receivers: ReceiverStore
    catalogue: Catalogue
    commands: ModelCommands
    board: HealthBoard
    devices: DeviceBoard
    monitor: Monitor
    accepting: Accepting
    ends: EndWatcher
    jobs: JobParts
    budget: MemoryBudget
    batches: BatchStore
    batching: Batching
    close_redis: Callable[[], Awaitable[None]]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def build(cls, settings: WebappSettings, *, clock: Clock | None = None) -> Self:
        """Wire the parts; raises InvalidSettings. Nothing is connected yet."""
        redis = connect(settings.service.redis)
        clock = clock or SystemClock()
        keys = Keyspace(settings.service.redis.prefix)
        store = JobStore(redis, keys, retention_ms=settings.service.job_retention_s * 1000)
        monitor = _monitor_of(redis, keys, settings, store, clock)
        policy = EgressPolicy.parse(settings.egress_allow)
        budget = MemoryBudget(settings.uploads.uploads_memory_mb * _MB)
        accepting = _accepting_of(redis, keys, settings, store, monitor, clock)
        batches = BatchStore(redis, keys)
        jobs = JobParts.build(redis, keys, settings, store, clock)
        return cls(
            settings=settings,
            clock=clock,
            egress_policy=policy,
            egress=client_of(settings.egress, policy),
            access=Access(KeyStore(redis, keys), clock),
            keys=KeyStore(redis, keys),
            tenants=TenantStore(redis, keys),
            audit=Audit(AuditLog(redis, keys), clock),
            store=store,
            deliveries=DeliveryStore(redis, keys),
            delivery_index=DeliveryIndex(redis, keys),
            again=OperationStore(redis, keys, retention_ms=settings.service.job_retention_s * 1000),
            endpoints=EndpointStore(redis, keys),
            events=EventStore(redis, keys),
            receivers=ReceiverStore(redis, keys),
            catalogue=Catalogue(redis, keys),
            commands=ModelCommands(redis, keys),
            board=_board_of(redis, keys, settings),
            devices=DeviceBoard(redis, keys),
            monitor=monitor,
            accepting=accepting,
            ends=EndWatcher(EndedJobs(redis, keys), store),
            jobs=jobs,
            close_redis=redis.aclose,
            budget=budget,
            batches=batches,
            batching=Batching(
                settings=settings,
                store=batches,
                accepting=accepting,
                quota=BatchQuota(
                    tenants=Tenants(TenantStore(redis, keys), clock),
                    buckets=TokenBuckets(redis),
                    batches=batches,
                    loads=LoadStore(redis, keys),
                    keys=keys,
                ),
                promises=jobs.promises,
                in_flight=jobs.in_flight,
                monitor=monitor,
                budget=budget,
                clock=clock,
            ),
        )

    def not_ready_reasons(self) -> list[str]:
        """List why jobs that come in now would not be done; empty when they would."""
        reasons = not_ready_reasons(
            self.monitor.sample,
            now_ms=self.clock.monotonic_ms(),
            now_unix_ms=self.clock.unix_ms(),
            watermarks=self.monitor.watermarks,
        )
        return ["the service is stopping", *reasons] if self.stopping.is_set() else reasons

    def side_tasks(self) -> dict[str, SideTask]:
        """List what runs beside the server, by name."""
        return {
            "monitor": self.monitor.run,
            "watch-ends": self.ends.run,
            "settle-doubts": self.accepting.settle_doubts,
            "feed-events": self.jobs.feed.run,
            "trim": self.jobs.trimmer.run,
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


def _board_of(redis: Connection, keys: Keyspace, settings: WebappSettings) -> HealthBoard:
    return HealthBoard(redis, keys, file=settings.service.heartbeat_file)


def _monitor_of(
    redis: Connection, keys: Keyspace, settings: WebappSettings, store: JobStore, clock: Clock
) -> Monitor:
    return Monitor(
        Sources(
            check_server=partial(check_server, redis),
            read_memory=partial(read_memory, redis),
            store=store,
            loads=LoadStore(redis, keys),
            tenants=TenantStore(redis, keys),
            catalogue=Catalogue(redis, keys),
            board=_board_of(redis, keys, settings),
            blobs=FileBlobs(settings.blobs_dir),
        ),
        watermarks=Watermarks(
            disk_free_min_bytes=settings.disk_free_min_mb * _MB,
            memory_free_min_bytes=settings.memory_free_min_mb * _MB,
            redis_memory_max_percent=settings.redis_memory_max_percent,
        ),
        clock=clock,
    )


def _accepting_of(
    redis: Connection,
    keys: Keyspace,
    settings: WebappSettings,
    store: JobStore,
    monitor: Monitor,
    clock: Clock,
) -> Accepting:
    return Accepting(
        store=store,
        blobs=FileBlobs(settings.blobs_dir),
        endpoints=EndpointStore(redis, keys),
        tenants=Tenants(TenantStore(redis, keys), clock),
        keys=keys,
        monitor=monitor,
        clock=clock,
        limits=AcceptLimits(
            waiting_max=settings.jobs_waiting_max,
            bytes_max=settings.pictures_max_mb * _MB,
            threads=settings.blob_threads,
            settle_s=2 * settings.service.redis.timeout_s,
        ),
    )
