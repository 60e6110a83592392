"""``gw batches``: submit, show, list, results, cancel."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import httpx

from gw.batches import (
    cancel_batch,
    follow_batch,
    list_batches,
    read_batch,
    save_results,
    submit_batch,
    summary_of,
)
from gw.data_folder import DataFolder
from gw.options import data_option, json_option
from gw.settings import CommandSettings, environ_with
from gw.submit import find_api
from gw.table import render_table
from pipeline.settings import load

Function = Callable[..., Any]


def _api_options(command: Function) -> Function:
    for option in (
        data_option,
        click.option(
            "--key-file",
            type=click.Path(path_type=Path),
            help="A file with an API key; by default GW_API_KEY, or the key that `gw up` made.",
        ),
        click.option("--url", help="The API's address; by default the one of `gw up`, or GW_URL."),
    ):
        command = option(command)
    return command


def _client(url: str | None, key_file: Path | None, data_dir: Path | None) -> httpx.Client:
    settings = load(CommandSettings, environ_with(os.environ, data_dir=data_dir))
    folder = DataFolder.at(settings.data_dir)
    return find_api(os.environ, folder, url=url, key_file=key_file).connect()


@click.group("batches")
def command() -> None:
    """Submit many pictures at once: an archive, a video, a list of URLs."""


@command.command("submit")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--model", required=True, help="The model's name, as `gw models list` shows it.")
@click.option("--version", default="", help="One of its versions; the newest by default.")
@click.option(
    "--priority", type=click.Choice(["high", "normal", "low"]), default="normal", show_default=True
)
@click.option("--reference", default="", help="Your own word for the batch.")
@click.option(
    "--every-frames", type=click.IntRange(min=1), help="Of a video: one frame in so many."
)
@click.option(
    "--every-s",
    type=click.FloatRange(min=0, min_open=True),
    help="Of a video: one frame in so many seconds [1].",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Seconds to wait for the end; 0 returns when the batch is accepted.",
)
@json_option
@_api_options
def submit(  # noqa: PLR0913 - one parameter per option
    *,
    file: Path,
    model: str,
    version: str,
    priority: str,
    reference: str,
    every_frames: int | None,
    every_s: float | None,
    wait_s: float,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Send FILE: a .zip archive, a video, or a .txt file with a URL in each line.

    Exits with 1 if the batch was waited for and did not complete, or not every picture succeeded.
    """
    fields = {"model": model, "priority": priority}
    optional = {
        "version": version,
        "reference": reference,
        "every_frames": every_frames,
        "every_s": every_s,
    }
    fields |= {name: str(value) for name, value in optional.items() if value}
    with _client(url, key_file, data_dir) as client:
        batch = submit_batch(client, file, fields)
        if wait_s:
            batch = follow_batch(client, batch, wait_s=wait_s, progress=_progress)
    _show(batch, as_json=as_json)
    if wait_s and (
        batch["state"] != "completed" or batch["jobs"]["succeeded"] < batch["items"]["expanded"]
    ):
        sys.exit(1)


@command.command("show")
@click.argument("batch_id")
@json_option
@_api_options
def show(
    *, batch_id: str, as_json: bool, url: str | None, key_file: Path | None, data_dir: Path | None
) -> None:
    """Show how far a batch is, and its first item errors."""
    with _client(url, key_file, data_dir) as client:
        batch = read_batch(client, batch_id)
    _show(batch, as_json=as_json)


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@json_option
@_api_options
def list_command(
    *, limit: int, as_json: bool, url: str | None, key_file: Path | None, data_dir: Path | None
) -> None:
    """List the newest batches."""
    with _client(url, key_file, data_dir) as client:
        batches = list_batches(client, limit=limit)
    if as_json:
        click.echo(json.dumps(batches, indent=2, ensure_ascii=False))
        return
    rows = [
        (each["id"], each["kind"], each["model"], each["state"], summary_of(each))
        for each in batches
    ]
    click.echo(render_table(("batch", "kind", "model", "state", "progress"), rows))


@command.command("results")
@click.argument("batch_id")
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True
)
@click.option(
    "--output", "-o", type=click.File("wb"), default="-", help="Where to; by default the terminal."
)
@_api_options
def results(
    *,
    batch_id: str,
    form: str,
    output: Any,
    url: str | None,
    key_file: Path | None,
    data_dir: Path | None,
) -> None:
    """Write the results so far, one line for each item."""
    with _client(url, key_file, data_dir) as client:
        save_results(client, batch_id, form, output.write)


@command.command("cancel")
@click.argument("batch_id")
@json_option
@_api_options
def cancel(
    *, batch_id: str, as_json: bool, url: str | None, key_file: Path | None, data_dir: Path | None
) -> None:
    """Withdraw a batch: nothing more is expanded, and what waits is canceled."""
    with _client(url, key_file, data_dir) as client:
        batch = cancel_batch(client, batch_id)
    _show(batch, as_json=as_json)


def _progress(batch: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{summary_of(batch)}", err=True, nl=batch["finished_at"] is not None)


def _show(batch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(batch, indent=2, ensure_ascii=False))
        return
    click.echo(f"{batch['id']} ({batch['kind']}, {batch['model']}): {batch['state']}")
    click.echo(summary_of(batch))
    if batch["reason"]:
        click.echo(f"{batch['reason']['code']}: {batch['reason']['detail']}")
    errors = batch.get("errors") or []
    if errors:
        rows = [(str(each["index"]), each["name"], each["detail"]) for each in errors]
        click.echo(render_table(("item", "name", "error"), rows))
