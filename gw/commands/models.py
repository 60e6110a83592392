"""``gw models``."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from dispatcher.models.repository import Repository, scan
from gw.commands import models_om
from gw.model_fetch import DEMO_MODELS, Fetched, fetch_model
from gw.options import json_option, models_option
from gw.settings import CommandSettings, environ_with
from gw.table import render_table
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
    """Fetch, list and check models."""


for _subcommand in (models_om.inspect, models_om.init, models_om.pack):
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
@json_option
def list_models(*, models_dir: Path | None, as_json: bool) -> None:
    """Show the models in the models folder, usable or not."""
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
