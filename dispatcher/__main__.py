"""The dispatcher service: its parts, put together."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvloop

from dispatcher.claims import Claims
from dispatcher.device.link import Device, DeviceConfig
from dispatcher.dispatch import Dispatch
from dispatcher.finishing import Finisher
from dispatcher.intake import Intake
from dispatcher.leftovers import Leftovers
from dispatcher.models.commanding import Commanding
from dispatcher.models.lifecycle import Lifecycle
from dispatcher.models.publishing import Publisher
from dispatcher.models.shelf import Shelf
from dispatcher.pictures.previews import Previewer
from dispatcher.preparing import Preparer
from dispatcher.recounting import Recounter
from dispatcher.reducing import Reducer
from dispatcher.runtime import RuntimeOptions
from dispatcher.settings import DispatcherSettings
from dispatcher.starting import Starting
from dispatcher.sweeping import Sweeper
from pipeline.clock import Clock, SystemClock
from pipeline.connection import connect
from pipeline.following import BLOCK_MS
from pipeline.health import HealthBoard, keep_beating
from pipeline.jobs.infer_queue import InferQueue
from pipeline.jobs.kept import Disposal, KeptPictures
from pipeline.jobs.loads import LoadStore
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import run_service
from pipeline.models.catalogue import Catalogue
from pipeline.models.commands import ModelCommands
from pipeline.models.devices import DeviceBoard
from pipeline.models.learned_costs import CostBook
from pipeline.pictures.blobs import FileBlobs
from pipeline.protocol import DISPATCHER_GROUP, Keyspace
from pipeline.streams import StreamReader

log = logging.getLogger(__name__)

#: The share of the shared memory that model outputs get.
_OUTPUT_SHARE = 4

#: As of any service that died: it is started again.
_EXIT_STUCK = 1


async def serve(settings: DispatcherSettings, stop: asyncio.Event) -> None:
    """Run the service until *stop* is set."""
    device = Device(_device_config(settings))
    lifecycle = Lifecycle(settings, device, SystemClock())
    starting = Starting(settings, device, lifecycle.stock)
    try:
        if await starting.run(stop) is None:
            return
        threads = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        try:
            await _dispatch(starting, lifecycle, threads, stop)
        finally:
            threads.shutdown(wait=not starting.decoding.is_stuck, cancel_futures=True)
    finally:
        await device.stop()
        if starting.decoding.is_stuck:
            # Python would wait for the thread at its end, for ever.
            log.error("service.given_up", extra={"reason": starting.decoding.reason})
            os._exit(_EXIT_STUCK)


def _device_config(settings: DispatcherSettings) -> DeviceConfig:
    shared_bytes = settings.shared_memory_mb << 20
    return DeviceConfig(
        runtime=settings.runtime,
        options=RuntimeOptions(
            threads=settings.device_threads, infer_timeout_s=settings.infer_timeout_s
        ),
        input_bytes=shared_bytes - shared_bytes // _OUTPUT_SHARE,
        output_bytes=shared_bytes // _OUTPUT_SHARE,
        busy_window_s=settings.device.busy_window_s,
    )


async def _dispatch(
    started: Starting, lifecycle: Lifecycle, threads: ThreadPoolExecutor, stop: asyncio.Event
) -> None:
    """Run all parts until *stop* is set and everything that was claimed is settled."""
    settings = started.settings
    service = settings.service
    redis = connect(service.redis, block_s=BLOCK_MS / 1000)
    keys = Keyspace(service.redis.prefix)
    store = JobStore(redis, keys, retention_ms=service.job_retention_s * 1000)
    reader = StreamReader(
        redis,
        keys,
        group=DISPATCHER_GROUP,
        consumer=service.instance,
        lease_ms=int(settings.lease_s * 1000),
    )
    queue = InferQueue(redis, keys, reader)
    parts = _parts(started, lifecycle, threads, store, queue)
    settled = asyncio.Event()
    async with redis, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            keep_beating(
                HealthBoard(redis, keys, file=service.heartbeat_file),
                SystemClock(),
                stop,
                service="dispatcher",
                instance=service.instance,
                reason=lambda: _why_not_ready(started, lifecycle.shelf),
            ),
            name="heartbeat",
        )
        tasks.create_task(
            started.watch.keep_publishing(DeviceBoard(redis, keys), stop), name="publish-device"
        )
        tasks.create_task(started.watch.keep_watching(stop), name="watch-device")
        tasks.create_task(started.decoding.keep_watching(stop, settled), name="watch-decoding")
        models = _Models(
            lifecycle=lifecycle,
            parts=parts,
            threads=threads,
            queue=queue,
            catalogue=Catalogue(redis, keys, instance=service.instance),
            commands=ModelCommands(redis, keys),
            book=CostBook(redis, keys),
        )
        models.tend(tasks, started, stop)
        tasks.create_task(parts.claims.keep_renewing(reader, settled), name="renew-leases")
        tasks.create_task(parts.sweeper.keep_expiring(stop), name="expire")
        tasks.create_task(parts.sweeper.keep_removing_orphans(stop), name="remove-orphans")
        recounter = _recounter(settings, store, LoadStore(redis, keys))
        tasks.create_task(recounter.keep_recounting(stop), name="recount")
        tasks.create_task(parts.dispatch.keep_expiring(stop), name="expire-ready")
        finishing = tasks.create_task(parts.finisher.run(), name="finish")
        intaking = tasks.create_task(parts.intake.run(stop), name="intake")
        await parts.dispatch.run(intaking)
        await parts.finisher.drained()
        settled.set()
        finishing.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What works on jobs, from the claim to the move that settles it."""

    claims: Claims
    intake: Intake
    dispatch: Dispatch
    finisher: Finisher
    sweeper: Sweeper


def _parts(
    started: Starting,
    lifecycle: Lifecycle,
    threads: ThreadPoolExecutor,
    store: JobStore,
    queue: InferQueue,
) -> _Parts:
    settings, device = started.settings, started.device
    service = settings.service
    keys = Keyspace(service.redis.prefix)
    clock = SystemClock()
    blobs = FileBlobs(settings.blobs_dir)
    claims = Claims()
    kept = KeptPictures(settings.kept_dir)
    disposal = Disposal(blobs, kept, clock)
    previewer = _previewer(settings, blobs, kept, clock)
    reducer = Reducer(kept=kept, clock=clock, retention_s=settings.outputs_retention_s)
    finisher = Finisher(
        store=store,
        keys=keys,
        claims=claims,
        disposal=disposal,
        previewer=previewer,
        clock=clock,
    )
    dispatch = Dispatch(
        settings=settings,
        device=device,
        gate=started.gate,
        device_name=started.device_name,
        finisher=finisher,
        threads=threads,
        clock=clock,
        reduce=reducer.reduce,
        cost=lifecycle.learned.cost_of,
        ended=lifecycle.takeover.note_batch,
    )
    preparer = _preparer(started, blobs, threads, clock)
    intake = Intake(
        settings=settings,
        queue=queue,
        store=store,
        shelf=lifecycle.shelf,
        claims=claims,
        preparer=preparer,
        finisher=finisher,
        clock=clock,
        offer=dispatch.offer,
        ready=lambda: dispatch.ready,
    )
    dispatch.rescue = intake.rescue
    return _Parts(
        claims=claims,
        intake=intake,
        dispatch=dispatch,
        finisher=finisher,
        sweeper=Sweeper(store=store, blobs=blobs, disposal=disposal, clock=clock),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models:
    """What sees models in and out beside the jobs."""

    lifecycle: Lifecycle
    parts: _Parts
    threads: ThreadPoolExecutor
    queue: InferQueue
    catalogue: Catalogue
    commands: ModelCommands
    book: CostBook

    def tend(self, tasks: asyncio.TaskGroup, started: Starting, stop: asyncio.Event) -> None:
        """Start the tasks that do so, until *stop* is set."""
        settings, dispatch = started.settings, self.parts.dispatch
        lifecycle, instance = self.lifecycle, settings.service.instance
        publisher = Publisher(
            takeover=lifecycle.takeover,
            dispatch=dispatch,
            catalogue=self.catalogue,
            queue=self.queue,
            instance=instance,
            device_name=started.device_name,
        )
        commanding = Commanding(
            commands=self.commands,
            lifecycle=lifecycle,
            dispatch=dispatch,
            publish=publisher.publish,
            threads=self.threads,
            clock=SystemClock(),
            instance=instance,
            is_explicit=settings.lifecycle.watch == "explicit",
        )
        leftovers = Leftovers(
            catalogue=self.catalogue,
            queue=self.queue,
            shelf=lifecycle.shelf,
            intake=self.parts.intake,
            grace_s=settings.lifecycle.removed_grace_s,
        )
        learned = lifecycle.learned.keep_written(self.book, dispatch.occupancy, stop)
        tasks.create_task(publisher.keep_published(stop), name="publish")
        tasks.create_task(lifecycle.run(dispatch, self.threads, stop), name="tend-models")
        tasks.create_task(commanding.run(stop), name="follow-commands")
        tasks.create_task(leftovers.keep_looking(stop), name="end-leftovers")
        tasks.create_task(learned, name="write-costs")


def _recounter(settings: DispatcherSettings, store: JobStore, loads: LoadStore) -> Recounter:
    return Recounter(
        store=store,
        loads=loads,
        blobs=FileBlobs(settings.blobs_dir),
        clock=SystemClock(),
    )


def _previewer(
    settings: DispatcherSettings, blobs: FileBlobs, kept: KeptPictures, clock: Clock
) -> Previewer:
    return Previewer(
        blobs=blobs,
        kept=kept,
        clock=clock,
        max_pixels=settings.picture_max_pixels,
        retention_s=settings.service.job_retention_s,
    )


def _preparer(
    started: Starting, blobs: FileBlobs, threads: ThreadPoolExecutor, clock: Clock
) -> Preparer:
    return Preparer(
        blobs=blobs,
        arena=started.device.inputs,
        threads=threads,
        clock=clock,
        max_pixels=started.settings.picture_max_pixels,
        watch=started.decoding,
    )


def _why_not_ready(started: Starting, shelf: Shelf) -> str:
    if reason := started.gate.reason or started.decoding.reason:
        return reason
    if not any(shelf.offered(name) for name in shelf.names):
        return "no model can be used; see gw models list"
    return ""


if __name__ == "__main__":
    # A tenth less CPU per job than asyncio's own loop.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    run_service("dispatcher", DispatcherSettings, serve)
