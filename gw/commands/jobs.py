"""``gw jobs``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gw.api_options import api_options, connect
from gw.asking import ask
from gw.jobs_remote import COLUMNS, lines_of, list_jobs, path_of, row_of, show_job
from gw.table import render_table


@click.group("jobs")
def command() -> None:
    """List jobs, show one, cancel one."""


@command.command("list")
@click.option("--state", help="One or more states, separated by commas.")
@click.option("--model", help="The model's name.")
@click.option("--reference", help="The reference that they were submitted with.")
@click.option("--label", help="A label that was found.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many."
)
@api_options
def list_command(  # noqa: PLR0913 - one parameter per option
    *,
    state: str | None,
    model: str | None,
    reference: str | None,
    label: str | None,
    limit: int,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Show jobs, newest first."""
    asked = {"state": state, "model": model, "reference": reference, "label": label}
    filters = {name: text for name, text in asked.items() if text}
    with connect(data_dir, url, key_file) as client:
        jobs = list(list_jobs(client, filters, limit=limit))
    if as_json:
        click.echo(json.dumps({"jobs": jobs}, indent=2, ensure_ascii=False))
    elif jobs:
        click.echo(render_table(COLUMNS, [row_of(job) for job in jobs]))
    else:
        click.echo("no jobs")


@command.command("show")
@click.argument("job_id")
@api_options
def show_command(
    *,
    job_id: str,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Show a job with its result and its deliveries."""
    with connect(data_dir, url, key_file) as client:
        job = show_job(client, job_id)
    if as_json:
        click.echo(json.dumps(job, indent=2, ensure_ascii=False))
    else:
        click.echo(render_table(("", ""), lines_of(job)))


@command.command("cancel")
@click.argument("job_id")
@api_options
def cancel_command(
    *,
    job_id: str,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Cancel a job that has not ended; exits with 1 when it has."""
    with connect(data_dir, url, key_file) as client:
        job = ask(client, "DELETE", path_of(job_id))
    click.echo(json.dumps(job, indent=2) if as_json else f"{job['id']} is {job['state']}")
