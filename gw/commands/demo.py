"""``gw demo``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gw.data_folder import DataFolder
from gw.demo.run import DemoPlan, run_demo
from gw.options import models_option
from gw.settings import CommandSettings, environ_with
from pipeline.settings import load


@click.command("demo")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Send the pictures of this folder instead of the ones that come along.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    help="Where the pictures with what was found are written.",
)
@click.option("--keep", is_flag=True, help="Leave the stack running.")
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path),
    help="Data folder of the demonstration's own stack [./data/demo].",
)
@models_option
def command(
    *,
    pictures: Path | None,
    out: Path,
    keep: bool,
    data_dir: Path | None,
    models_dir: Path | None,
) -> None:
    """Send real pictures through every service and verify the webhooks that come back.

    It starts a stack of its own and stops it. Exits with 0 if every job succeeded and every webhook
    was verified.
    """
    settings = load(CommandSettings, environ_with(os.environ, models_dir=models_dir))
    plan = DemoPlan(
        folder=DataFolder.at(data_dir or settings.data_dir / "demo"),
        models=settings.models_dir.expanduser().resolve(),
        pictures=pictures,
        out=out,
        keep=keep,
        usual=settings,
    )
    run_demo(plan, os.environ)
