"""``gw submit``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from gw.data_folder import DataFolder
from gw.options import data_option, json_option
from gw.settings import CommandSettings, environ_with
from gw.submit import Outcome, Wanted, find_api, submit_files, summary_of, took_ms
from gw.table import render_table
from pipeline.settings import load


@click.command("submit")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", required=True, help="The model's name, as `gw models list` shows it.")
@click.option("--version", default="", help="One of its versions; the newest by default.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the results; 0 returns when the pictures are accepted.",
)
@click.option("--url", help="The API's address; by default the one of `gw up`, or GW_URL.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="A file with an API key; by default GW_API_KEY, or the key that `gw up` made.",
)
@json_option
@data_option
def command(  # noqa: PLR0913 - one parameter per option
    *,
    files: tuple[Path, ...],
    model: str,
    version: str,
    wait_s: float,
    url: str | None,
    key_file: Path | None,
    as_json: bool,
    data_dir: Path | None,
) -> None:
    """Send pictures to a model and show the results.

    Exits with 1 if any picture was refused, failed, or had no result in time.
    """
    settings = load(CommandSettings, environ_with(os.environ, data_dir=data_dir))
    api = find_api(os.environ, DataFolder.at(settings.data_dir), url=url, key_file=key_file)
    wanted = Wanted(model=model, version=version, wait_s=wait_s)
    with api.connect() as client:
        outcomes = submit_files(client, files, wanted)
    click.echo(_as_json(outcomes) if as_json else _as_table(outcomes))
    good = {"succeeded"} if wait_s else {"succeeded", "queued", "running", "inferred"}
    if any(outcome.error or outcome.state not in good for outcome in outcomes):
        sys.exit(1)


def _as_json(outcomes: list[Outcome]) -> str:
    documents = [
        {
            "file": outcome.file,
            "state": outcome.state,
            "job": outcome.job,
            "result": outcome.result,
            "error": outcome.error or None,
        }
        for outcome in outcomes
    ]
    return json.dumps(documents, indent=2, ensure_ascii=False)


def _as_table(outcomes: list[Outcome]) -> str:
    rows = [
        (
            outcome.file,
            outcome.job_id or "-",
            outcome.state,
            outcome.error or summary_of(outcome.result) or "-",
            f"{total_ms:.0f} ms" if (total_ms := took_ms(outcome.result)) is not None else "-",
        )
        for outcome in outcomes
    ]
    return render_table(("file", "job", "state", "found", "took"), rows)
