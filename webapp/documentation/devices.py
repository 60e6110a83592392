"""Devices: the list, and the shape of one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.models.devices import DeviceStatus
from webapp.documentation.shapes import WITH_KEY, answer, problems


class DeviceDocument(BaseModel):
    """A device. What nobody can tell is null."""

    model_config = ConfigDict(extra="forbid")

    instance: str = Field(description="The dispatcher that runs it.")
    device: str = Field(examples=["npu:0", "cpu:0"])
    runtime: str
    status: DeviceStatus = Field(description="`degraded` works; `out` is probed and comes back.")
    reason: str | None = Field(description="Why it is not simply ready.")
    soc: str | None = Field(examples=["310B4"])
    health: str | None = Field(description="npu-smi's word.", examples=["OK", "Alarm"])
    error_codes: str | None
    temperature_c: float | None
    power_w: float | None
    ai_core_percent: float | None
    memory_used_mb: float | None = Field(description="With the system's share, on a board.")
    memory_total_mb: float | None
    busy_percent: float = Field(description="Time in batches and loads, of the window.")
    busy_window_s: float
    duty_percent: float = Field(description="How much heat and health let it work.")
    models: list[str] = Field(description="Loaded now.")
    restarts: int = Field(description="Of its process, since its dispatcher started.")
    pid: int | None
    driver_version: str | None
    firmware_version: str | None
    cann_version: str | None
    npu_smi: str | None = Field(description="Why npu-smi tells nothing.")
    seen_at: str = Field(description="RFC 3339, UTC.")
    started_at: str = Field(description="RFC 3339, UTC: when its dispatcher started.")


class DevicesDocument(BaseModel):
    """All devices."""

    model_config = ConfigDict(extra="forbid")

    devices: list[DeviceDocument]


LIST_DEVICES: dict[str, Any] = {
    **WITH_KEY,
    "tags": ["devices"],
    "operation_id": "listDevices",
    "summary": "List the devices",
    "responses": {200: answer("All devices.", DevicesDocument), **problems(401, 403, 503)},
}
