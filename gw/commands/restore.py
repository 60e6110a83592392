"""``gw restore``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from gw.backup.manifest import Manifest
from gw.backup.reading import opened
from gw.backup.restoring import Target, restore
from gw.data_folder import DataFolder
from gw.options import data_option, models_option
from gw.settings import CommandSettings, environ_with
from pipeline.settings import load


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@data_option
@models_option
@click.option("--without-models", is_flag=True, help="Leave the models as they are.")
@click.option("--force", is_flag=True, help="Replace what is there.")
@click.option("--check", is_flag=True, help="Prove the file and show what it says of itself.")
def command(
    *,
    file: Path,
    data_dir: Path | None,
    models_dir: Path | None,
    without_models: bool,
    force: bool,
    check: bool,
) -> None:
    """Put back what `gw backup` wrote.

    Into a data folder on which nothing runs; or, where GW_REDIS_URL names a Redis and --data is not
    given, into that, while every service is stopped. A damaged file is refused and changes nothing.
    """
    if check:
        with opened(file) as archive:
            click.echo(json.dumps(_shown(archive.manifest), indent=2))
        return
    environ = environ_with(os.environ, data_dir=data_dir, models_dir=models_dir)
    settings = load(CommandSettings, environ)
    over_network = data_dir is None and bool(os.environ.get("GW_REDIS_URL"))
    target = Target(
        folder=DataFolder.at(settings.data_dir),
        models=None if without_models else settings.models_dir.expanduser().resolve(),
        redis=settings.redis if over_network else None,
        force=force,
    )
    restored = restore(file, target)
    if restored.aside is not None:
        click.echo(f"the job store that was there is in {restored.aside}")
    manifest = restored.manifest
    click.echo(f"restored {manifest.live_jobs} live jobs and {len(manifest.members)} files")


def _shown(manifest: Manifest) -> dict[str, object]:
    document = asdict(manifest)
    document["members"] = len(manifest.members)
    return document
