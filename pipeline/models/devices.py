"""Devices: what each dispatcher knows of the one that it runs models on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.documents import from_document
from pipeline.errors import MalformedMessage
from pipeline.health import STALE_AFTER_MS
from pipeline.protocol import Keyspace

#: A device that was not heard of for this long is forgotten. One day.
FORGOTTEN_AFTER_MS = 24 * 3600 * 1000


class DeviceStatus(StrEnum):
    """Whether a device works, in a word."""

    STARTING = "starting"
    READY = "ready"
    #: It works, slower or with an alarm.
    DEGRADED = "degraded"
    #: Its process crashed or hung, and is started again by itself.
    LOST = "lost"
    #: Taken out for its health or its failures; it is probed and comes back by itself.
    OUT = "out"
    STOPPED = "stopped"
    #: Its dispatcher gives no sign of life.
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """One device. A number is None, and a text empty, where nobody can tell it.

    *device* is ``npu:0`` or ``cpu:0``, *health* the word of npu-smi. *busy_percent* is the share of
    the last *busy_window_s* in which the device ran batches or loads; *duty_percent* is the share
    that heat and health leave it. *restarts* counts since *started_unix_ms*. *models* are loaded.
    *facts_unix_ms* is when npu-smi and the device were asked last, *tool* why npu-smi told nothing.
    """

    instance: str
    device: str
    runtime: str
    status: str
    seen_unix_ms: int
    started_unix_ms: int
    reason: str = ""
    pid: int | None = None
    models: tuple[str, ...] = ()
    restarts: int = 0
    busy_percent: float = 0.0
    busy_window_s: float = 0.0
    duty_percent: float = 100.0
    soc: str = ""
    health: str = ""
    error_codes: str = ""
    temperature_c: float | None = None
    power_w: float | None = None
    ai_core_percent: float | None = None
    memory_used_mb: float | None = None
    memory_total_mb: float | None = None
    driver_version: str = ""
    firmware_version: str = ""
    cann_version: str = ""
    tool: str = ""
    facts_unix_ms: int = 0

    def status_at(self, now_unix_ms: int) -> str:
        """Give the status as of now: gone, where its dispatcher is silent.

        A sign of life from the future is of before the clock was set back.
        """
        is_fresh = abs(now_unix_ms - self.seen_unix_ms) < STALE_AFTER_MS
        return self.status if is_fresh else DeviceStatus.GONE


class DeviceBoard:
    """Devices in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._hash = keys.devices
        self._write_device = load_script(redis, "write_device")

    async def publish(self, record: DeviceRecord) -> None:
        """Write a device over what was known of it."""
        name = f"{record.instance}/{record.device}"
        document = json.dumps(asdict(record))
        with redis_errors():
            await self._write_device(keys=[self._hash], args=[name, document, FORGOTTEN_AFTER_MS])

    async def leave(self, instance: str, device: str) -> None:
        """Take a device down: its dispatcher stopped in order."""
        with redis_errors():
            await self._redis.hdel(self._hash, f"{instance}/{device}")

    async def all(self, now_unix_ms: int) -> list[DeviceRecord]:
        """List the devices by instance and name, without those that are forgotten."""
        with redis_errors():
            texts = cast(dict[str, str], await self._redis.hgetall(self._hash))
        records = [_parse(text) for text in texts.values()]
        return sorted(
            (each for each in records if now_unix_ms - each.seen_unix_ms < FORGOTTEN_AFTER_MS),
            key=lambda each: (each.instance, each.device),
        )


def device_document(record: DeviceRecord, *, now_unix_ms: int) -> dict[str, Any]:
    """Give a device as the API and ``gw`` show it, without its moments: each has its own form."""
    return {
        "instance": record.instance,
        "device": record.device,
        "runtime": record.runtime,
        "status": record.status_at(now_unix_ms),
        "reason": record.reason or None,
        "soc": record.soc or None,
        "health": record.health or None,
        "error_codes": record.error_codes or None,
        "temperature_c": record.temperature_c,
        "power_w": record.power_w,
        "ai_core_percent": record.ai_core_percent,
        "memory_used_mb": record.memory_used_mb,
        "memory_total_mb": record.memory_total_mb,
        "busy_percent": record.busy_percent,
        "busy_window_s": record.busy_window_s,
        "duty_percent": record.duty_percent,
        "models": list(record.models),
        "restarts": record.restarts,
        "pid": record.pid,
        "driver_version": record.driver_version or None,
        "firmware_version": record.firmware_version or None,
        "cann_version": record.cann_version or None,
        "npu_smi": record.tool or None,
    }


def _parse(text: str) -> DeviceRecord:
    try:
        return from_document(DeviceRecord, json.loads(text))
    except (AttributeError, TypeError, ValueError) as exc:
        raise MalformedMessage(f"device: {exc!r}") from exc
