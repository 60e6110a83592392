"""``gw status``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Final

import click

from gw.data_folder import DataFolder
from gw.options import data_option, json_option
from gw.settings import CommandSettings, environ_with
from gw.status import COLUMNS, read_status
from gw.table import render_table
from pipeline.settings import load

EXIT_UNHEALTHY: Final = 1
EXIT_NOT_RUNNING: Final = 3


@click.command("status")
@data_option
@json_option
def command(*, data_dir: Path | None, as_json: bool) -> None:
    """Show every service and its health.

    Exits with 0 if all are healthy, 1 if not, 3 if the platform does not run.
    """
    settings = load(CommandSettings, environ_with(os.environ, data_dir=data_dir))
    folder = DataFolder.at(settings.data_dir)
    status = read_status(folder)
    if status is None:
        click.echo("{}" if as_json else f"gw does not run on {folder.root}")
        sys.exit(EXIT_NOT_RUNNING)
    now_unix_ms = time.time_ns() // 1_000_000
    if as_json:
        click.echo(json.dumps(status.to_document(now_unix_ms=now_unix_ms), indent=2))
    else:
        click.echo(render_table(COLUMNS, status.to_rows(now_unix_ms=now_unix_ms)))
        if status.exhausted:
            click.echo(
                f"{status.exhausted} deliveries are exhausted:"
                " see `gw deliveries list --state exhausted`"
            )
    if not status.is_healthy:
        sys.exit(EXIT_UNHEALTHY)
