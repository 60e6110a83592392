"""Watches the device: asks npu-smi and the device itself, steers, probes, and tells others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dispatcher.device.gate import DeviceGate
from dispatcher.device.link import Device
from dispatcher.device.probe import try_out
from dispatcher.device.settings import DeviceSettings
from dispatcher.device.state import DevicePhase
from dispatcher.device.steering import Signs, Steering, probe_delay_s, steer
from dispatcher.models.repository import ModelVersion
from dispatcher.npu_smi.errors import NpuSmiError
from dispatcher.npu_smi.facts import ChipFacts, HealthFacts, VersionFacts
from dispatcher.npu_smi.tool import NpuSmi
from dispatcher.runtime import DeviceHealth
from pipeline.clock import Clock
from pipeline.errors import GwError, Unavailable
from pipeline.health import BEAT_INTERVAL_S
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.devices import DeviceBoard, DeviceRecord, DeviceStatus

log = logging.getLogger(__name__)

_TICK_S = 0.25
#: The device answers a question between batches; past this much of its own time it has hung.
_ASK_TIMEOUT_S = 10.0
#: After so many polls without a temperature, the last one counts no more.
_BLIND_POLLS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceName:
    """Which device this is. *index* is the NPU's id in npu-smi."""

    instance: str
    device: str
    runtime: str
    cann_version: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen at the last look. *tool* says why npu-smi told nothing."""

    chip: ChipFacts | None = None
    fault: HealthFacts | None = None
    versions: VersionFacts | None = None
    driver_version: str = ""
    tool: str = ""
    own: DeviceHealth | None = None
    at_unix_ms: int = 0
    blind_polls: int = 0


class DeviceWatch:
    """Keeps the gate and the device's record. *tool* is None where there is no npu-smi."""

    def __init__(  # noqa: PLR0913  # the composition root's parts, by name
        self,
        *,
        name: DeviceName,
        settings: DeviceSettings,
        device: Device,
        gate: DeviceGate,
        tool: NpuSmi | None,
        versions: Callable[[], Sequence[ModelVersion]],
        clock: Clock,
    ) -> None:
        self._name = name
        self._settings = settings
        self._limits = settings.limits()
        self._device = device
        self._gate = gate
        self._tool = tool
        self._versions = versions
        self._clock = clock
        self._started_unix_ms = clock.unix_ms()
        self._seen = Seen(tool="" if tool else "npu-smi is not there")
        self._look_at_ms = 0.0
        self._failed_probes = 0
        self._probe_at_ms = 0.0

    async def keep_watching(self, stop: asyncio.Event) -> None:
        """Look, steer and probe until *stop* is set."""
        while True:
            await self.step()
            if await sleep_or_stop(stop, _TICK_S):
                return

    async def step(self) -> None:
        """Do what is due now."""
        now_ms = self._clock.monotonic_ms()
        if self._gate.is_out:
            if now_ms >= self._probe_at_ms:
                await self._probe()
            return
        if now_ms >= self._look_at_ms:
            self._look_at_ms = now_ms + 1000 * (self._settings.poll_interval_s or 30.0)
            await self._look()
        own = self._seen.own
        fault = "" if own is None or own.healthy else own.reason or "it says it is not healthy"
        self._steer(
            restarts=self._device.keeper.restarts_within(self._limits.restarts_window_s),
            fault=fault,
        )
        if self._gate.is_out:
            self._take_out()

    async def keep_publishing(self, board: DeviceBoard, stop: asyncio.Event) -> None:
        """Publish the record at every beat until *stop* is set, then take it down."""
        is_away = False
        while True:
            try:
                await board.publish(self.record())
                is_away = False
            except Unavailable as exc:
                is_away = True
                log.warning("device.unpublished", extra={"reason": str(exc)})
            if await sleep_or_stop(stop, BEAT_INTERVAL_S):
                break
        if is_away:
            return
        try:
            await board.leave(self._name.instance, self._name.device)
        except Unavailable as exc:
            log.warning("device.unpublished", extra={"reason": str(exc)})

    def record(self) -> DeviceRecord:
        """Give all that is known now."""
        seen, chip = self._seen, self._seen.chip
        state, steering = self._device.state, self._gate.steering
        loop_s = asyncio.get_running_loop().time()
        return DeviceRecord(
            instance=self._name.instance,
            device=self._name.device,
            runtime=self._name.runtime,
            status=self._status(),
            reason=steering.out or state.reason * (not self._gate.is_open) or steering.remark,
            seen_unix_ms=self._clock.unix_ms(),
            started_unix_ms=self._started_unix_ms,
            pid=self._device.pid,
            models=tuple(sorted(self._device.loaded)),
            restarts=self._device.keeper.restarts,
            busy_percent=round(100 * self._device.busy.share(loop_s), 1),
            busy_window_s=self._device.busy.window_s,
            duty_percent=round(100 * steering.duty, 1),
            soc=chip.soc if chip else "",
            health=chip.health.value if chip and chip.health else "",
            error_codes=seen.fault.error_codes if seen.fault else "",
            temperature_c=chip.temperature_c if chip else None,
            power_w=chip.power_w if chip else None,
            ai_core_percent=chip.ai_core_percent if chip else None,
            memory_used_mb=chip.memory_used_mb if chip else None,
            memory_total_mb=chip.memory_total_mb if chip else None,
            driver_version=seen.driver_version,
            firmware_version=seen.versions.firmware if seen.versions else "",
            cann_version=self._name.cann_version,
            tool=seen.tool,
            facts_unix_ms=seen.at_unix_ms,
        )

    def _status(self) -> DeviceStatus:
        if self._gate.is_out:
            return DeviceStatus.OUT
        phase = self._device.state.phase
        if phase is DevicePhase.READY:
            steering = self._gate.steering
            is_well = not steering.remark and steering.duty >= 1.0
            return DeviceStatus.READY if is_well else DeviceStatus.DEGRADED
        return DeviceStatus(phase.value)

    async def _look(self) -> None:
        """Ask npu-smi, and the device itself where it is there to answer."""
        seen = await self._ask_tool()
        if self._device.state.phase is DevicePhase.READY:
            try:
                seen = replace(seen, own=await self._device.health(timeout_s=_ASK_TIMEOUT_S))
            except GwError as exc:
                # A loss is seen to where it happens; here nothing was told.
                log.warning("device.unasked", extra={"reason": str(exc)})
        self._seen = seen

    async def _ask_tool(self) -> Seen:
        """Give what npu-smi tells of this device."""
        before, tool = self._seen, self._tool
        at_unix_ms = self._clock.unix_ms()
        if tool is None or not self._settings.poll_interval_s:
            return replace(before, own=None, at_unix_ms=at_unix_ms)
        try:
            board = await tool.board()
            chip = next((each for each in board.chips if each.npu_id == self._name.index), None)
            if chip is None:
                raise NpuSmiError(f"npu-smi does not list NPU {self._name.index}")
        except NpuSmiError as exc:
            if before.tool != str(exc):
                log.warning("npu_smi.silent", extra={"reason": str(exc)})
            return Seen(
                tool=str(exc),
                versions=before.versions,
                driver_version=before.driver_version,
                at_unix_ms=at_unix_ms,
                blind_polls=before.blind_polls + 1,
            )
        fault, versions = before.fault, before.versions
        try:
            # What seldom matters or changes is asked seldom: each call takes the tool a while.
            if before.chip is None or before.chip.health is not chip.health:
                fault = await tool.health(chip.npu_id, chip.chip_id)
            if versions is None:
                versions = await tool.versions(chip.npu_id)
        except NpuSmiError as exc:
            log.info("npu_smi.refused", extra={"reason": str(exc)})
            versions = versions or VersionFacts(software="", firmware="")
        return Seen(
            chip=chip,
            fault=fault,
            versions=versions,
            driver_version=board.driver_version or versions.software,
            at_unix_ms=at_unix_ms,
        )

    def _steer(self, *, restarts: int, fault: str) -> None:
        seen, before = self._seen, self._gate.steering
        if seen.blind_polls > _BLIND_POLLS_MAX:
            before = replace(before, felt_c=None)
        signs = Signs(
            health=seen.chip.health if seen.chip else None,
            temperature_c=seen.chip.temperature_c if seen.chip else None,
            restarts=restarts,
            fault=fault,
        )
        self._gate.steering = now = steer(before, signs, self._limits)
        if not now.out and _step(now) != _step(before):
            log.warning(
                "device.steered",
                extra={"duty_percent": round(100 * now.duty), "reason": now.remark},
            )

    def _take_out(self) -> None:
        """Send nothing more to the device, start no more processes for it, and probe it later."""
        reason = self._gate.steering.out
        log.error("device.taken_out", extra={"device": self._name.device, "reason": reason})
        self._device.keeper.hold(self._gate.reason)
        self._failed_probes = 0
        self._probe_at_ms = self._clock.monotonic_ms() + 1000 * probe_delay_s(0)

    async def _probe(self) -> None:
        """Let the device back in if npu-smi and work of our own say that it is well."""
        seen = await self._ask_tool()
        keeper, before = self._device.keeper, self._gate.steering
        self._seen = seen
        self._steer(restarts=0, fault="")
        verdict = self._gate.steering
        if not verdict.out:
            # It stays out while it is tried.
            self._gate.steering = before
            keeper.release()
            fault = await try_out(self._device, self._versions(), timeout_s=_ASK_TIMEOUT_S)
            self._gate.steering = replace(verdict, out=fault, duty=0.0 if fault else verdict.duty)
        if not self._gate.is_out:
            keeper.forget_restarts()
            self._look_at_ms = 0.0
            log.info("device.back", extra={"device": self._name.device})
            return
        keeper.hold(self._gate.reason)
        self._failed_probes += 1
        delay_s = probe_delay_s(self._failed_probes)
        self._probe_at_ms = self._clock.monotonic_ms() + 1000 * delay_s
        log.warning(
            "device.probe_failed",
            extra={"reason": self._gate.steering.out, "next_probe_s": delay_s},
        )


def _step(steering: Steering) -> tuple[float, str]:
    """Give what is worth a line in the log when it changes: not each degree."""
    health = steering.remark.partition(";")[0] if "npu-smi" in steering.remark else ""
    return round(steering.duty, 1), health
