"""``gw models``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dispatcher.models.repository import Repository, scan
from gw import models_remote
from gw.commands import models_om, models_running, models_selftest
from gw.job_store import in_job_store
from gw.model_fetch import DEMO_MODELS, Fetched, fetch_model
from gw.options import data_option, json_option, models_option
from gw.settings import CommandSettings, environ_with
from gw.table import render_table
from pipeline.errors import Unavailable
from pipeline.models.catalogue import ModelEntry
from pipeline.settings import load

_SENTENCES = {
    Fetched.PRESENT: "is there already",
    Fetched.COPIED: "was copied from the installed package",
    Fetched.DOWNLOADED: "was downloaded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One line of the list. *version* is empty where the whole model is refused."""

    model: str
    version: str
    task: str
    runtime: str
    size_bytes: int
    reason: str


@click.group("models")
def command() -> None:
    """Fetch, list, check and test models, and load them on a running platform."""


for _subcommand in (
    models_om.inspect,
    models_om.init,
    models_om.pack,
    models_selftest.selftest,
    *models_running.SUBCOMMANDS,
):
    command.add_command(_subcommand)


@command.command("fetch")
@click.argument("what", type=click.Choice(["demo"]))
@models_option
def fetch(*, what: str, models_dir: Path | None) -> None:
    """Bring the weights of the demo models to the models folder."""
    models = _models_folder(models_dir)
    for model in DEMO_MODELS:
        outcome = fetch_model(model, models)
        place = model.place_in(models)
        click.echo(f"{model.name}: {place} {_SENTENCES[outcome]} (licence: {model.licence})")


@command.command("list")
@models_option
@data_option
@json_option
def list_models(*, models_dir: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Show the models of the running platform with their states; without one, those of the folder.

    With --models always those of the folder, usable or not.
    """
    if models_dir is None:
        try:
            running = in_job_store(data_dir, models_remote.read_catalogue)
        except Unavailable:
            if data_dir is not None:
                raise
        else:
            click.echo(_running_as_json(running) if as_json else _running_as_table(running))
            return
    rows = rows_of(scan(_models_folder(models_dir)))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
        return
    columns = ("model", "version", "task", "runtime", "size", "state")
    cells = [
        (
            row.model,
            row.version or "-",
            row.task or "-",
            row.runtime or "-",
            f"{row.size_bytes / 1e6:.1f} MB" if row.size_bytes else "-",
            "usable" if not row.reason else f"refused: {row.reason.splitlines()[0]}",
        )
        for row in rows
    ]
    click.echo(render_table(columns, cells))


def _running_as_json(models: Mapping[str, ModelEntry]) -> str:
    return json.dumps([asdict(entry) for entry in models.values()], indent=2, ensure_ascii=False)


def _running_as_table(models: Mapping[str, ModelEntry]) -> str:
    return render_table(models_remote.COLUMNS, models_remote.rows_of(models.values()))


@command.command("check")
@models_option
def check(*, models_dir: Path | None) -> None:
    """Say everything that is wrong with the models; exits with 1 if anything is."""
    models = _models_folder(models_dir)
    rows = rows_of(scan(models))
    for row in rows:
        name = f"{row.model}/{row.version}" if row.version else row.model
        for line in (row.reason or "usable").splitlines():
            click.echo(f"{name}: {line}")
    if not rows:
        click.echo(f"there are no models in {models}")
    if not rows or any(row.reason for row in rows):
        sys.exit(1)


def rows_of(repository: Repository) -> list[ModelRow]:
    """List what a scan found by name, highest version first, refused ones after usable ones."""
    usable = [
        ModelRow(
            model=name,
            version=str(each.version),
            task=each.card.task.value,
            runtime=each.card.runtime.value,
            size_bytes=each.file_bytes,
            reason="",
        )
        for name, versions in repository.models.items()
        for each in versions
    ]
    refused = [
        ModelRow(
            model=each.model,
            version=str(each.version) if each.version is not None else "",
            task="",
            runtime="",
            size_bytes=0,
            reason=each.reason,
        )
        for each in repository.refusals
    ]
    return sorted([*usable, *refused], key=lambda row: row.model)


def _models_folder(models_dir: Path | None) -> Path:
    settings = load(CommandSettings, environ_with(os.environ, models_dir=models_dir))
    return settings.models_dir.expanduser().resolve()
