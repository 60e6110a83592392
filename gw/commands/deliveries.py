"""``gw deliveries``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from gw.api_options import api_options, connect
from gw.asking import ask
from gw.deliveries_remote import (
    COLUMNS,
    attempt_rows,
    delivery_path,
    list_deliveries,
    moment_of,
    row_of,
)
from gw.table import render_table
from pipeline.deliveries.delivery import DeliveryState

_ATTEMPT_COLUMNS = ("attempt", "at", "took", "answer", "")


@click.group("deliveries")
def command() -> None:
    """List what was sent to whom, show the attempts, send one again."""


@command.command("list")
@click.option(
    "--state",
    type=click.Choice([each.value for each in DeliveryState]),
    help="`exhausted` lists the dead letters.",
)
@click.option("--endpoint", help="Of this endpoint.")
@click.option("--event", "event_type", help="Of this type, such as job.succeeded.")
@click.option("--job", help="Of this job.")
@click.option("--since", help="Of events since then: 2030-01-31T12:00:00Z, or 90m, 12h, 3d ago.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many."
)
@api_options
def list_command(  # noqa: PLR0913 - one parameter per option
    *,
    state: str | None,
    endpoint: str | None,
    event_type: str | None,
    job: str | None,
    since: str | None,
    limit: int,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Show deliveries, those of the newest events first."""
    moment = moment_of(since, now=datetime.now(UTC)) if since else None
    asked = {
        "state": state,
        "endpoint": endpoint,
        "event_type": event_type,
        "job": job,
        "since": moment,
    }
    filters = {name: text for name, text in asked.items() if text}
    with connect(data_dir, url, key_file) as client:
        deliveries = list(list_deliveries(client, filters, limit=limit))
    if as_json:
        click.echo(json.dumps({"deliveries": deliveries}, indent=2, ensure_ascii=False))
    elif deliveries:
        click.echo(render_table(COLUMNS, [row_of(each) for each in deliveries]))
    else:
        click.echo("no deliveries")


@command.command("show")
@click.argument("delivery_id")
@api_options
def show_command(
    *,
    delivery_id: str,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Show a delivery with its attempts."""
    with connect(data_dir, url, key_file) as client:
        delivery = ask(client, "GET", delivery_path(delivery_id))
    if as_json:
        click.echo(json.dumps(delivery, indent=2, ensure_ascii=False))
        return
    click.echo(render_table(COLUMNS, [row_of(delivery)]))
    click.echo()
    click.echo(render_table(_ATTEMPT_COLUMNS, attempt_rows(delivery)))


@command.command("resend")
@click.argument("delivery_id")
@api_options
def resend_command(
    *,
    delivery_id: str,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Send an ended delivery again, under the same webhook-id."""
    with connect(data_dir, url, key_file) as client:
        delivery = ask(client, "POST", f"{delivery_path(delivery_id)}/resend")
    click.echo(json.dumps(delivery, indent=2) if as_json else f"{delivery['id']} is on its way")
