"""What the webapp knows about the rest of the stack: sampled in the background, read at once.

Readiness, the catalogue and the drain rate come from here, so that no request, and no prober
without a key, costs more than a look into memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.access.tenants import TenantStore
from pipeline.clock import Clock
from pipeline.connection import ServerMemory
from pipeline.errors import MalformedMessage, Unavailable
from pipeline.health import HealthBoard, Heartbeat
from pipeline.jobs.loads import Loads, LoadStore
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.catalogue import Catalogue, ModelEntry
from pipeline.pictures.blobs import FileBlobs
from webapp.admission import DrainRate
from webapp.box import free_memory_bytes
from webapp.outlook import Outlook, ServiceRates, outlook_of

log = logging.getLogger(__name__)

INTERVAL_S = 1.0

#: A sample that is older than this says nothing any more: Redis hangs.
_STALE_AFTER_MS = 10_000.0

_DISPATCHER = "dispatcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at the stack.

    *redis_reason* is empty while Redis answers, *fault* while what it says can be understood.
    """

    at_ms: float
    redis_reason: str = ""
    fault: str = ""
    heartbeats: Sequence[Heartbeat] = ()
    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    free_bytes: int = 0
    memory: ServerMemory = ServerMemory(used_bytes=0, limit_bytes=0)
    free_memory_bytes: int | None = None
    loads: Loads = field(default_factory=lambda: Loads(fields={}))
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermarks:
    """With less left than this, or more used, nothing is accepted."""

    disk_free_min_bytes: int
    memory_free_min_bytes: int
    redis_memory_max_percent: float

    def reason(self, sample: Sample) -> str:
        """Say which is passed, "" for none."""
        if sample.free_bytes < self.disk_free_min_bytes:
            return "the disk for pictures is nearly full"
        if sample.memory.percent > self.redis_memory_max_percent:
            return "the job store's memory is nearly full"
        free_bytes = sample.free_memory_bytes
        if free_bytes is not None and free_bytes < self.memory_free_min_bytes:
            return "the machine's memory is nearly full"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the monitor looks."""

    check_server: Callable[[], Awaitable[None]]
    read_memory: Callable[[], Awaitable[ServerMemory]]
    store: JobStore
    loads: LoadStore
    tenants: TenantStore
    catalogue: Catalogue
    board: HealthBoard
    blobs: FileBlobs


def not_ready_reasons(
    sample: Sample | None, *, now_ms: float, now_unix_ms: int, watermarks: Watermarks
) -> list[str]:
    """List why jobs that come in now would not be done; empty when they would."""
    if sample is None:
        return ["the service is starting"]
    reasons = []
    if sample.redis_reason:
        reasons.append(sample.redis_reason)
    elif now_ms - sample.at_ms > _STALE_AFTER_MS:
        reasons.append("the job store is too slow")
    elif sample.fault:
        reasons.append(sample.fault)
    else:
        reasons += _dispatcher_reasons(sample.heartbeats, now_unix_ms)
        if not any(model.is_ready for model in sample.models.values()):
            reasons.append("no model is ready")
    if full := watermarks.reason(sample):
        reasons.append(full)
    return reasons


def _dispatcher_reasons(heartbeats: Sequence[Heartbeat], now_unix_ms: int) -> list[str]:
    live = [
        beat for beat in heartbeats if beat.service == _DISPATCHER and beat.is_fresh(now_unix_ms)
    ]
    if not live:
        return ["no dispatcher is running"]
    if all(beat.reason for beat in live):
        return [f"the dispatcher cannot work: {beat.reason}" for beat in live]
    return []


class Monitor:
    """Samples the stack every second until it is told to stop."""

    def __init__(self, sources: Sources, *, watermarks: Watermarks, clock: Clock) -> None:
        self._sources = sources
        self.watermarks = watermarks
        self._clock = clock
        self._server_is_checked = False
        self._drain_rate = DrainRate()
        self._rates = ServiceRates()
        self._models: Mapping[str, ModelEntry] = {}
        self.sample: Sample | None = None

    @property
    def drained_per_s(self) -> float:
        """Give how many jobs end per second."""
        return self._drain_rate.per_s

    def outlook(self, model: str, tenant: str) -> Outlook:
        """Say what new work of *tenant* for *model* has before it, as of the last look."""
        sample = self.sample
        if sample is None:
            return Outlook(per_s=0.0, share=1.0)
        return outlook_of(
            model, tenant, rates=self._rates, loads=sample.loads, weights=sample.weights
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Sample until *stop* is set; raises InvalidSettings for a server that could lose jobs."""
        while True:
            await self.look()
            if await sleep_or_stop(stop, INTERVAL_S):
                return

    async def look(self) -> None:
        """Take one sample."""
        before = self.sample
        sources = self._sources
        free_bytes = await asyncio.to_thread(sources.blobs.free_bytes)
        try:
            if not self._server_is_checked:
                await sources.check_server()
                self._server_is_checked = True
            heartbeats = await sources.board.all()
            self._models = await sources.catalogue.models()
            self._drain_rate.add(self._clock.monotonic_ms(), await sources.store.counts())
            loads = await sources.loads.read()
            self._rates.add(self._clock.monotonic_ms(), loads)
            weights = {each.tenant: each.weight for each in await sources.tenants.all()}
            memory = await sources.read_memory()
            self.sample = Sample(
                at_ms=self._clock.monotonic_ms(),
                heartbeats=heartbeats,
                models=self._models,
                free_bytes=free_bytes,
                memory=memory,
                free_memory_bytes=free_memory_bytes(),
                loads=loads,
                weights=weights,
            )
        except MalformedMessage as exc:
            # Work is still accepted: what one broken record says concerns nobody else.
            log.error("sample.unreadable", extra={"reason": str(exc)})
            self.sample = Sample(
                at_ms=self._clock.monotonic_ms(),
                fault="the catalogue or a heartbeat cannot be read",
                free_bytes=free_bytes,
            )
        except Unavailable as exc:
            # A server that comes back may be another one.
            self._server_is_checked = False
            self.sample = Sample(
                at_ms=self._clock.monotonic_ms(), redis_reason=str(exc), free_bytes=free_bytes
            )
        self._log_change(before, self.sample)

    async def models(self, *, wanted: str) -> Mapping[str, ModelEntry]:
        """Give the catalogue, asked for anew when it lacks a ready *wanted*.

        So a model that was published a moment ago is found. Raises Unavailable.
        """
        entry = self._models.get(wanted)
        if entry is None or not entry.is_ready:
            self._models = await self._sources.catalogue.models()
        return self._models

    def check_store_answers(self) -> None:
        """Raise Unavailable if the last look found Redis away."""
        if self.sample is not None and self.sample.redis_reason:
            raise Unavailable(self.sample.redis_reason)

    def check_service(self, service: str) -> None:
        """Raise Unavailable if no *service* showed its life at the last look."""
        now_unix_ms = self._clock.unix_ms()
        beats = self.sample.heartbeats if self.sample is not None else ()
        if not any(beat.service == service and beat.is_fresh(now_unix_ms) for beat in beats):
            raise Unavailable(f"no {service} service is running")

    def check_room(self) -> None:
        """Raise Unavailable if the disk, the job store or the machine's memory is nearly full."""
        if self.sample is not None and (reason := self.watermarks.reason(self.sample)):
            raise Unavailable(reason, retry_after_s=30)

    def _log_change(self, before: Sample | None, now: Sample) -> None:
        was_away = before is not None and before.redis_reason
        if now.redis_reason and not was_away:
            log.warning("redis.lost", extra={"reason": now.redis_reason})
        elif was_away and not now.redis_reason:
            log.info("redis.found")
