"""Reads the lists of ``npu-smi info -t <topic>``: lines of a name, a colon and a value."""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.npu_smi.errors import NpuSmiUnreadable
from dispatcher.npu_smi.facts import (
    CommonFacts,
    CpuCountFacts,
    HealthFacts,
    MemoryFacts,
    UsageFacts,
    VersionFacts,
)
from dispatcher.npu_smi.words import health, lines_of, number, refusal

Pairs = Mapping[str, str]


def read_pairs(text: str, *, chip_id: int = 0) -> Pairs:
    """Read a list by its names in lower case; raises NpuSmiRefused or NpuSmiUnreadable.

    Asked for a whole NPU the tool repeats the names for each chip, after a line ``Chip ID``: then
    only what is before the first and what belongs to *chip_id* is given.
    """
    lines = lines_of(text)
    pairs: dict[str, str] = {}
    is_ours = True
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = " ".join(name.lower().split()), value.strip()
        if not colon or not name:
            continue
        if name == "chip id":
            is_ours = value == str(chip_id)
        if is_ours:
            pairs.setdefault(name, value)
    refused = refusal(lines)
    # Without a code, words that refuse only count where nothing else is told: a health's error
    # information may hold them too.
    if refused is not None and (refused.number or not pairs):
        raise refused
    if not pairs:
        raise NpuSmiUnreadable("npu-smi printed no list")
    return pairs


def read_health(text: str, *, chip_id: int = 0) -> HealthFacts:
    """Read ``-t health``, of one chip or of a whole NPU."""
    pairs = read_pairs(text, chip_id=chip_id)
    word = pairs.get("health status", pairs.get("health"))
    if word is None:
        raise NpuSmiUnreadable("npu-smi's health has no health")
    return HealthFacts(
        health=health(word),
        error_codes=_told(pairs, "error code"),
        error_information=_told(pairs, "error information"),
    )


def read_common(text: str, *, chip_id: int = 0) -> CommonFacts:
    """Read ``-t common``."""
    pairs = read_pairs(text, chip_id=chip_id)
    return CommonFacts(
        memory_percent=_number(pairs, "memory usage rate(%)"),
        ai_core_percent=_number(pairs, "aicore usage rate(%)"),
        temperature_c=_number(pairs, "temperature(c)"),
        rated_power_w=_number(pairs, "rated power dissipation(w)"),
    )


def read_usages(text: str, *, chip_id: int = 0) -> UsageFacts:
    """Read ``-t usages``."""
    pairs = read_pairs(text, chip_id=chip_id)
    return UsageFacts(
        memory_capacity_mb=_number(pairs, "memory capacity(mb)"),
        memory_percent=_number(pairs, "memory usage rate(%)"),
        hugepages_total=_number(pairs, "hugepages total(page)"),
        hugepages_percent=_number(pairs, "hugepages usage rate(%)"),
        ai_core_percent=_number(pairs, "aicore usage rate(%)"),
        ai_cpu_percent=_number(pairs, "aicpu usage rate(%)"),
        control_cpu_percent=_number(pairs, "ctrlcpu usage rate(%)"),
        memory_bandwidth_percent=_number(pairs, "memory bandwidth usage rate(%)"),
    )


def read_memory(text: str, *, chip_id: int = 0) -> MemoryFacts:
    """Read ``-t memory``."""
    pairs = read_pairs(text, chip_id=chip_id)
    capacity_mb = _number(pairs, "total capacity(mb)")
    return MemoryFacts(
        capacity_mb=_number(pairs, "capacity(mb)") if capacity_mb is None else capacity_mb,
        clock_mhz=_number(pairs, "clock speed(mhz)"),
    )


def read_versions(text: str) -> VersionFacts:
    """Read ``-t board``."""
    pairs = read_pairs(text)
    return VersionFacts(
        software=_told(pairs, "software version"), firmware=_told(pairs, "firmware version")
    )


def read_cpu_counts(text: str, *, chip_id: int = 0) -> CpuCountFacts:
    """Read ``-t cpu-num-cfg``; its names differ between versions but for their first word."""
    pairs = read_pairs(text, chip_id=chip_id)
    return CpuCountFacts(
        ai=_first_number(pairs, "ai"),
        control=_first_number(pairs, "control", "ctrl"),
        data=_first_number(pairs, "data"),
    )


def _told(pairs: Pairs, name: str) -> str:
    value = pairs.get(name, "")
    return "" if value in {"NA", "N/A", "-"} else value


def _number(pairs: Pairs, name: str) -> float | None:
    return number(pairs.get(name, ""))


def _first_number(pairs: Pairs, *beginnings: str) -> float | None:
    values = (
        number(value) for name, value in pairs.items() if name.startswith(beginnings) and value
    )
    return next((value for value in values if value is not None), None)
