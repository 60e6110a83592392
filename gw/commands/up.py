"""``gw up``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gw.options import data_option, models_option
from gw.settings import CommandSettings, environ_with
from gw.up import run_in_background, run_in_foreground
from pipeline.settings import load


@click.command("up")
@data_option
@models_option
@click.option("--port", "http_port", type=click.IntRange(1, 65535), help="The API's port [8080].")
@click.option("-d", "--detach", is_flag=True, help="Return when everything is ready.")
@click.option(
    "--egress-allow",
    multiple=True,
    metavar="NETWORK",
    help="A private network that pictures may come from and webhooks go to, such as"
    " 192.168.10.0/24. May be repeated.",
)
@click.option("--silent", is_flag=True, hidden=True)
def command(
    *,
    data_dir: Path | None,
    models_dir: Path | None,
    http_port: int | None,
    detach: bool,
    egress_allow: tuple[str, ...],
    silent: bool,
) -> None:
    """Start the whole platform on this machine, without containers.

    It stays in the foreground and shows what the services say; Ctrl-C stops it in order.
    """
    environ = environ_with(
        os.environ, data_dir=data_dir, models_dir=models_dir, http_port=http_port
    )
    settings = load(CommandSettings, environ)
    if detach:
        run_in_background(settings, environ, egress_allow=egress_allow)
    else:
        run_in_foreground(settings, environ, egress_allow=egress_allow, show=not silent)
