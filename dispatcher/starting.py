"""The first minutes: the device is started and the shelf stocked, and others are told meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable

from dispatcher.device.errors import DeviceUnavailable
from dispatcher.device.gate import DeviceGate
from dispatcher.device.link import Device
from dispatcher.device.steering import probe_delay_s
from dispatcher.device.watch import DeviceName, DeviceWatch
from dispatcher.host.npu_checks import why_npu_fails
from dispatcher.host.reader import cann_version, read_host
from dispatcher.models.repository import ModelVersion
from dispatcher.models.shelf import Shelf
from dispatcher.npu_smi.tool import NpuSmi, find_tool
from dispatcher.pictures.decode_watch import DecodeWatch
from dispatcher.settings import DispatcherSettings
from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.health import HealthBoard, keep_beating
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.devices import DeviceBoard
from pipeline.protocol import Keyspace

log = logging.getLogger(__name__)

#: A device that cannot be opened is tried again this often at least.
_RETRY_MAX_S = 60.0


class Starting:
    """Starts a device and its shelf, however long it takes, and says why it is not ready yet."""

    def __init__(
        self, settings: DispatcherSettings, device: Device, stock: Callable[[], Awaitable[Shelf]]
    ) -> None:
        self.settings = settings
        self.device = device
        self._stock = stock
        self._shelf: Shelf | None = None
        self._reason = "the device is starting"
        self.device_name = f"{'cpu' if settings.runtime == 'onnx' else 'npu'}:0"
        self.gate = DeviceGate(device)
        self.decoding = DecodeWatch(limit_s=settings.device.decode_timeout_s)
        self.watch = self._make_watch()

    async def run(self, stop: asyncio.Event) -> Shelf | None:
        """Give the stocked shelf, or None if stopped meanwhile."""
        started = asyncio.Event()
        starting = asyncio.create_task(self._start(stop), name="start")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        showing = asyncio.create_task(self._show(started), name="show")
        try:
            await asyncio.wait({starting, stopping, showing}, return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                showing.result()  # it ends before its time only by a defect
            self._shelf = await starting if starting.done() else None
            return self._shelf
        finally:
            started.set()
            starting.cancel()
            stopping.cancel()
            await asyncio.wait({starting, stopping, showing})

    async def _start(self, stop: asyncio.Event) -> Shelf | None:
        await self._start_device(stop)
        if stop.is_set():
            return None
        self._reason = "the models are being read"
        return await self._stock()

    async def _start_device(self, stop: asyncio.Event) -> None:
        """Start the device process; while it cannot be had, say why and try again."""
        failures = 0
        while not stop.is_set():
            try:
                await self.device.start()
                return
            except DeviceUnavailable as exc:
                reason = str(exc)
                if self.settings.runtime == "acl":
                    lacks = why_npu_fails(read_host(environ=os.environ))
                    reason = f"{lacks}; {reason}" if lacks else reason
                self._reason = f"the device cannot be used: {reason}"
                delay_s = min(_RETRY_MAX_S, probe_delay_s(failures))
                failures += 1
                log.error("device.unusable", extra={"reason": reason, "next_try_s": delay_s})
                await sleep_or_stop(stop, delay_s)

    async def _show(self, started: asyncio.Event) -> None:
        """Beat and publish the device until it has *started*: then others do."""
        service = self.settings.service
        keys = Keyspace(service.redis.prefix)
        async with connect(service.redis) as redis, asyncio.TaskGroup() as tasks:
            tasks.create_task(
                keep_beating(
                    HealthBoard(redis, keys, file=service.heartbeat_file),
                    SystemClock(),
                    started,
                    service="dispatcher",
                    instance=service.instance,
                    reason=lambda: self._reason,
                )
            )
            tasks.create_task(self.watch.keep_publishing(DeviceBoard(redis, keys), started))

    def _make_watch(self) -> DeviceWatch:
        settings = self.settings
        is_npu = settings.runtime != "onnx"
        tool = find_tool() if is_npu else None
        return DeviceWatch(
            name=DeviceName(
                instance=settings.service.instance,
                device=self.device_name,
                runtime=settings.runtime,
                cann_version=cann_version() if is_npu else "",
            ),
            settings=settings.device,
            device=self.device,
            gate=self.gate,
            tool=NpuSmi(tool) if tool else None,
            versions=self._versions,
            clock=SystemClock(),
        )

    def _versions(self) -> list[ModelVersion]:
        models = self._shelf.models.values() if self._shelf is not None else ()
        return [model.version for model in models]
