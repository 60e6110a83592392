"""The dispatcher service: its parts, put together."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dispatcher.claims import Claims
from dispatcher.device.link import Device, DeviceConfig
from dispatcher.device.state import DevicePhase
from dispatcher.dispatch import Dispatch
from dispatcher.finishing import Finisher
from dispatcher.intake import Intake
from dispatcher.models.shelf import Shelf
from dispatcher.models.stocking import keep_published, stock
from dispatcher.preparing import Preparer
from dispatcher.runtime import RuntimeOptions
from dispatcher.settings import DispatcherSettings
from dispatcher.sweeping import Sweeper
from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.following import BLOCK_MS
from pipeline.health import HealthBoard, keep_beating
from pipeline.jobs.store import JobStore
from pipeline.lifecycle import run_service
from pipeline.models.catalogue import Catalogue
from pipeline.pictures.blobs import PICTURES_FOLDER, FileBlobs
from pipeline.protocol import DISPATCHER_GROUP, Keyspace
from pipeline.streams import StreamReader

log = logging.getLogger(__name__)

#: The share of the shared memory that model outputs get.
_OUTPUT_SHARE = 4


async def serve(settings: DispatcherSettings, stop: asyncio.Event) -> None:
    """Run the service until *stop* is set."""
    device = Device(_device_config(settings))
    try:
        shelf = await _stocked(device, settings, stop)
        if shelf is None:
            return
        with ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode") as threads:
            await _dispatch(settings, device, shelf, threads, stop)
    finally:
        await device.stop()


async def _stocked(
    device: Device, settings: DispatcherSettings, stop: asyncio.Event
) -> Shelf | None:
    """Start the device and stock the shelf, which may take minutes; None if stopped meanwhile."""

    async def start() -> Shelf:
        await device.start()
        return await stock(device, settings)

    starting = asyncio.create_task(start(), name="start")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await starting if starting.done() else None
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.wait({starting, stopping})


def _device_config(settings: DispatcherSettings) -> DeviceConfig:
    shared_bytes = settings.shared_memory_mb << 20
    return DeviceConfig(
        runtime=settings.runtime,
        options=RuntimeOptions(
            threads=settings.device_threads, infer_timeout_s=settings.infer_timeout_s
        ),
        input_bytes=shared_bytes - shared_bytes // _OUTPUT_SHARE,
        output_bytes=shared_bytes // _OUTPUT_SHARE,
    )


async def _dispatch(
    settings: DispatcherSettings,
    device: Device,
    shelf: Shelf,
    threads: ThreadPoolExecutor,
    stop: asyncio.Event,
) -> None:
    """Run all parts until *stop* is set and everything that was claimed is settled."""
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
    parts = _parts(settings, device, shelf, threads, store, reader)
    settled = asyncio.Event()
    async with redis, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            keep_beating(
                HealthBoard(redis, keys),
                SystemClock(),
                stop,
                service="dispatcher",
                instance=service.instance,
                reason=lambda: _why_not_ready(device, shelf),
            ),
            name="heartbeat",
        )
        tasks.create_task(keep_published(Catalogue(redis, keys), shelf, stop), name="publish")
        tasks.create_task(parts.claims.keep_renewing(reader, settled), name="renew-leases")
        tasks.create_task(parts.sweeper.keep_expiring(stop), name="expire")
        tasks.create_task(parts.sweeper.keep_removing_orphans(stop), name="remove-orphans")
        tasks.create_task(parts.dispatch.keep_expiring(stop), name="expire-ready")
        finishing = tasks.create_task(parts.finisher.run(threads), name="finish")
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
    settings: DispatcherSettings,
    device: Device,
    shelf: Shelf,
    threads: ThreadPoolExecutor,
    store: JobStore,
    reader: StreamReader,
) -> _Parts:
    service = settings.service
    keys = Keyspace(service.redis.prefix)
    clock = SystemClock()
    blobs = FileBlobs(service.data_dir / PICTURES_FOLDER)
    claims = Claims()
    finisher = Finisher(store=store, keys=keys, claims=claims, blobs=blobs, clock=clock)
    dispatch = Dispatch(
        settings=settings,
        device=device,
        device_name=f"{'cpu' if settings.runtime == 'onnx' else 'npu'}:0",
        shelf=shelf,
        finisher=finisher,
        threads=threads,
        clock=clock,
    )
    preparer = Preparer(
        blobs=blobs,
        arena=device.inputs,
        threads=threads,
        clock=clock,
        max_pixels=settings.picture_max_pixels,
    )
    intake = Intake(
        settings=settings,
        keys=keys,
        reader=reader,
        store=store,
        shelf=shelf,
        claims=claims,
        preparer=preparer,
        finisher=finisher,
        clock=clock,
        offer=dispatch.offer,
        ready=lambda: dispatch.ready,
    )
    return _Parts(
        claims=claims,
        intake=intake,
        dispatch=dispatch,
        finisher=finisher,
        sweeper=Sweeper(store=store, blobs=blobs, clock=clock),
    )


def _why_not_ready(device: Device, shelf: Shelf) -> str:
    if device.state.phase is not DevicePhase.READY:
        return f"the device is {device.state.phase}: {device.state.reason}"
    if not shelf.names:
        return "no model can be used; see gw models list"
    return ""


if __name__ == "__main__":
    run_service("dispatcher", DispatcherSettings, serve)
