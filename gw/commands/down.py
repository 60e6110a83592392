"""``gw down``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gw.data_folder import DataFolder
from gw.down import stop_stack
from gw.options import data_option
from gw.settings import CommandSettings, environ_with
from pipeline.settings import load


@click.command("down")
@data_option
@click.option("--timeout", "timeout_s", default=120.0, show_default=True, help="Seconds to wait.")
@click.option("--now", is_flag=True, help="Kill at once instead of finishing claimed work.")
def command(*, data_dir: Path | None, timeout_s: float, now: bool) -> None:
    """Stop what `gw up` started, and wait until it is gone."""
    settings = load(CommandSettings, environ_with(os.environ, data_dir=data_dir))
    folder = DataFolder.at(settings.data_dir)
    if stop_stack(folder, timeout_s=timeout_s, now=now):
        click.echo("gw is down")
    else:
        click.echo(f"gw does not run on {folder.root}")
