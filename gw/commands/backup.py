"""``gw backup``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gw.backup.manifest import MODELS
from gw.backup.taking import Origin, take_backup
from gw.data_folder import DataFolder
from gw.job_store import find_redis
from gw.options import data_option, models_option
from gw.settings import CommandSettings, environ_with
from pipeline.pictures.blobs import PICTURES_FOLDER
from pipeline.settings import load


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@data_option
@models_option
@click.option("--without-models", is_flag=True, help="Leave the models out.")
def command(
    *, file: Path, data_dir: Path | None, models_dir: Path | None, without_models: bool
) -> None:
    """Write everything that the running platform holds into one file.

    Jobs, results, keys, tenants, endpoints and batches as of one moment, with their pictures, and
    the models. Work goes on meanwhile. The file holds secrets, and is readable by you only.
    """
    redis = find_redis(os.environ, data_dir=data_dir)
    environ = environ_with(os.environ, data_dir=data_dir, models_dir=models_dir)
    settings = load(CommandSettings, environ)
    models = settings.models_dir.expanduser().resolve()
    if not without_models and not models.is_dir():
        raise click.UsageError(f"there is no models folder {models}; name it with --models")
    origin = Origin(
        redis=redis,
        folder=DataFolder.at(settings.data_dir),
        models=None if without_models else models,
    )
    manifest = take_backup(origin, file)
    click.echo(
        f"{file}: {manifest.live_jobs} live jobs, {manifest.count(PICTURES_FOLDER)} pictures,"
        f" {manifest.count(MODELS)} files of models"
    )
