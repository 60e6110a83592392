"""The facts that ``npu-smi`` tells. A fact is None where the board does not tell it (``NA``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NpuHealth(StrEnum):
    """The health words of npu-smi, from well to unknown."""

    OK = "OK"
    WARNING = "Warning"
    ALARM = "Alarm"
    CRITICAL = "Critical"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipFacts:
    """One chip of ``npu-smi info``. *soc* is without the vendor's name: ``310B4``.

    On boards whose NPU shares the memory with Linux, *memory_used_mb* includes the system's.
    """

    npu_id: int
    chip_id: int
    soc: str
    health: NpuHealth | None
    bus_id: str = ""
    power_w: float | None = None
    temperature_c: float | None = None
    ai_core_percent: float | None = None
    memory_used_mb: float | None = None
    memory_total_mb: float | None = None
    hugepages_used: float | None = None
    hugepages_total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NpuProcess:
    """One row of the process table that may follow."""

    npu_id: int
    pid: int
    name: str
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What ``npu-smi info`` tells. *driver_version* is ``Version:`` of its banner."""

    tool_version: str
    driver_version: str
    chips: tuple[ChipFacts, ...]
    processes: tuple[NpuProcess, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFacts:
    """What ``-t health`` tells of one chip; *error_codes* such as ``80E3A203``."""

    health: NpuHealth | None
    error_codes: str = ""
    error_information: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonFacts:
    """What ``-t common`` tells of one chip."""

    memory_percent: float | None
    ai_core_percent: float | None
    temperature_c: float | None
    rated_power_w: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFacts:
    """What ``-t usages`` tells of one chip. Not to be had in a plain container on the board."""

    memory_capacity_mb: float | None
    memory_percent: float | None
    hugepages_total: float | None
    hugepages_percent: float | None
    ai_core_percent: float | None
    ai_cpu_percent: float | None
    control_cpu_percent: float | None
    memory_bandwidth_percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFacts:
    """What ``-t memory`` tells of one chip."""

    capacity_mb: float | None
    clock_mhz: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What ``-t board`` tells: *software* is the driver's version."""

    software: str
    firmware: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuCountFacts:
    """What ``-t cpu-num-cfg`` tells: how the chip's CPUs are divided."""

    ai: float | None
    control: float | None
    data: float | None
