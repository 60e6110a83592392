"""``gw devices`` for people."""

from __future__ import annotations

from dataclasses import replace

from gw.commands.devices import COLUMNS, cells_of
from tests.integration.pipeline.test_devices import NOW_UNIX_MS, RECORD


def test_a_row_says_what_a_person_needs() -> None:
    """Status, chip, health, heat, memory, load, versions and the reason; units are shown."""
    record = replace(
        RECORD,
        soc="310B4",
        memory_used_mb=1500.0,
        memory_total_mb=7545.0,
        busy_percent=96.4,
        duty_percent=62.5,
        restarts=3,
        driver_version="23.0.rc3",
        cann_version="7.0.RC1",
    )

    row = dict(zip(COLUMNS, cells_of(record, now_unix_ms=NOW_UNIX_MS), strict=True))

    assert row == {
        "instance": "a",
        "device": "npu:0",
        "status": "degraded",
        "chip": "310B4",
        "health": "Alarm",
        "temp": "61 C",
        "memory": "1500/7545 MB",
        "busy": "96 %",
        "duty": "62 %",
        "restarts": "3",
        "models": "echo/1, text/2",
        "driver": "23.0.rc3",
        "cann": "7.0.RC1",
        "reason": "npu-smi says Alarm",
    }


def test_what_nobody_can_tell_is_a_dash() -> None:
    """The CPU has no chip, no heat and no driver."""
    record = replace(RECORD, device="cpu:0", health="", temperature_c=None, models=(), reason="")

    row = dict(zip(COLUMNS, cells_of(record, now_unix_ms=NOW_UNIX_MS), strict=True))

    columns = ("chip", "health", "temp", "memory", "models", "driver", "cann", "reason")
    assert {row[column] for column in columns} == {"-"}
