"""``gw audit``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from gw.job_store import in_job_store
from gw.options import data_option, json_option
from gw.table import render_table
from pipeline.access.audit import AuditLog


@click.command("audit")
@click.option("--last", "count", type=click.IntRange(1, 10_000), default=50, show_default=True)
@data_option
@json_option
def command(*, count: int, data_dir: Path | None, as_json: bool) -> None:
    """Show who did what to keys, tenants, models and endpoints, the newest first."""
    lines = in_job_store(data_dir, lambda redis, keys: AuditLog(redis, keys).newest(count))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2, ensure_ascii=False))
        return
    rows = [
        (_moment(line.at_unix_ms), line.actor, line.tenant or "-", line.action, line.subject)
        for line in lines
    ]
    click.echo(render_table(("at", "actor", "tenant", "action", "subject"), rows))


def _moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
