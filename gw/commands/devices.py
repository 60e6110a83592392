"""``gw devices``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from gw.job_store import in_job_store
from gw.options import data_option, json_option
from gw.table import render_table
from pipeline.models.devices import DeviceBoard, DeviceRecord, device_document

COLUMNS = (
    *("instance", "device", "status", "chip", "health", "temp", "memory", "busy", "duty"),
    *("restarts", "models", "driver", "cann", "reason"),
)


@click.command("devices")
@data_option
@json_option
def command(*, data_dir: Path | None, as_json: bool) -> None:
    """Show what the models run on: status, health, heat, memory, load, versions."""
    now_unix_ms = time.time_ns() // 1_000_000
    records = in_job_store(data_dir, lambda redis, keys: DeviceBoard(redis, keys).all(now_unix_ms))
    if as_json:
        documents = [
            device_document(each, now_unix_ms=now_unix_ms)
            | {"seen_unix_ms": each.seen_unix_ms, "started_unix_ms": each.started_unix_ms}
            for each in records
        ]
        click.echo(json.dumps({"devices": documents}, indent=2, ensure_ascii=False))
    elif records:
        rows = [cells_of(each, now_unix_ms=now_unix_ms) for each in records]
        click.echo(render_table(COLUMNS, rows))
    else:
        click.echo("no dispatcher has told of a device")


def cells_of(record: DeviceRecord, *, now_unix_ms: int) -> tuple[str, ...]:
    """Give the row of a device; what nobody can tell is a dash."""
    memory = "-"
    if record.memory_used_mb is not None and record.memory_total_mb is not None:
        memory = f"{record.memory_used_mb:.0f}/{record.memory_total_mb:.0f} MB"
    return (
        record.instance,
        record.device,
        record.status_at(now_unix_ms),
        record.soc or "-",
        record.health or "-",
        "-" if record.temperature_c is None else f"{record.temperature_c:g} C",
        memory,
        f"{record.busy_percent:.0f} %",
        f"{record.duty_percent:.0f} %",
        str(record.restarts),
        ", ".join(record.models) or "-",
        record.driver_version or "-",
        record.cann_version or "-",
        record.reason or "-",
    )
