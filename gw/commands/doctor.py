"""``gw doctor``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Final

import click

from dispatcher.host.finding import Severity, as_document, as_lines, worst
from gw.data_folder import DataFolder
from gw.docker_checks import check_docker
from gw.doctor import Examined, examine
from gw.job_store import embedded_redis
from gw.options import data_option, json_option, models_option
from gw.run_lock import holder_of
from gw.settings import CommandSettings, environ_with
from pipeline.errors import Unavailable
from pipeline.settings import RedisSettings, load

EXIT_UNFIT: Final = 1


@click.command("doctor")
@click.option(
    "--runtime",
    type=click.Choice(["onnx", "acl"]),
    default=lambda: os.environ.get("GW_RUNTIME", "onnx"),
    show_default="GW_RUNTIME, or onnx",
    help="Which runtime the models are to run on: acl also checks the NPU.",
)
@click.option("--docker", "with_docker", is_flag=True, help="Check Docker and compose as well.")
@click.option("--all", "show_all", is_flag=True, help="Show what is well, too.")
@models_option
@data_option
@json_option
def command(
    *,
    runtime: str,
    with_docker: bool,
    show_all: bool,
    models_dir: Path | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Check this machine or container before the first start.

    Every finding says what to do. Exits with 1 if something cannot work, else with 0.
    """
    environ = environ_with(os.environ, data_dir=data_dir, models_dir=models_dir)
    settings = load(CommandSettings, environ)
    folder = DataFolder.at(settings.data_dir)
    findings = examine(
        Examined(
            runtime=runtime,
            models=settings.models_dir.expanduser().resolve(),
            data=folder.root,
            http_port=settings.http_port,
            is_stack_running=holder_of(folder.lock) is not None,
            redis=_redis(settings, folder),
        ),
        os.environ,
    )
    if with_docker:
        findings += check_docker()
    if as_json:
        click.echo(json.dumps(as_document(findings), indent=2, ensure_ascii=False))
    else:
        for line in as_lines(findings, show_all=show_all):
            click.echo(line)
    if worst(findings) is Severity.ERROR:
        sys.exit(EXIT_UNFIT)


def _redis(settings: CommandSettings, folder: DataFolder) -> RedisSettings | None:
    """Give the Redis that is set up: the running stack's own, or one that is named."""
    try:
        return embedded_redis(folder)
    except Unavailable:
        return settings.redis if os.environ.get("GW_REDIS_URL") else None
