"""``gw webhooks recover`` and ``gw webhooks replay``."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gw.api_options import api_options, connect
from gw.asking import Document
from gw.deliveries_remote import begin, follow, moment_of, operation_line

F = TypeVar("F", bound=Callable[..., Any])

_since_option = click.option(
    "--since", required=True, help="Events since then: 2030-01-31T12:00:00Z, or 90m, 12h, 3d ago."
)
_wait_option = click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to wait until all is on its way.",
)


def _begin_options(function: F) -> F:
    return click.argument("endpoint_id")(_since_option(_wait_option(api_options(function))))


@click.command("recover")
@_begin_options
def recover(  # noqa: PLR0913 - one parameter per option
    *,
    endpoint_id: str,
    since: str,
    wait_s: float,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Send again what is exhausted of ENDPOINT_ID, in the background and at a rate."""
    fields: Document = {"since": moment_of(since, now=datetime.now(UTC))}
    with connect(data_dir, url, key_file) as client:
        operation = begin(client, endpoint_id, "recover", fields)
        _show(follow(client, operation, wait_s=wait_s), as_json=as_json)


@click.command("replay")
@click.option("--until", help="Events before then; now by default.")
@click.option(
    "--only-missing", is_flag=True, help="Leave out events that the endpoint has a delivery of."
)
@_begin_options
def replay(  # noqa: PLR0913 - one parameter per option
    *,
    endpoint_id: str,
    since: str,
    until: str | None,
    only_missing: bool,
    wait_s: float,
    data_dir: Path | None,
    as_json: bool,
    url: str | None,
    key_file: Path | None,
) -> None:
    """Send ENDPOINT_ID the events of a time, whether it was there then or not."""
    now = datetime.now(UTC)
    fields: Document = {"since": moment_of(since, now=now), "only_missing": only_missing}
    if until:
        fields["until"] = moment_of(until, now=now)
    with connect(data_dir, url, key_file) as client:
        operation = begin(client, endpoint_id, "replay", fields)
        _show(follow(client, operation, wait_s=wait_s), as_json=as_json)


def _show(operation: Document, *, as_json: bool) -> None:
    click.echo(json.dumps(operation, indent=2) if as_json else operation_line(operation))
    if operation["state"] == "failed":
        raise click.exceptions.Exit(1)
