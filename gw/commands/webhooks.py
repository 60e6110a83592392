"""``gw webhooks``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TextIO

import click

from egress.targets import parse_target
from gw.job_store import in_job_store
from gw.options import data_option, json_option, tenant_option
from gw.table import day_of, render_table
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import NotFound
from pipeline.ids import new_id


@click.group("webhooks")
def command() -> None:
    """Add, list and remove registered webhook endpoints."""


@command.command("add")
@click.argument("url")
@tenant_option
@click.option("--description", default="", help="Whose endpoint it is.")
@click.option(
    "--secret-file",
    type=click.File(encoding="utf-8"),
    help="A signing secret to use (whsec_...); else one is made and printed, this once.",
)
@data_option
def add(
    *, url: str, tenant: str, description: str, secret_file: TextIO | None, data_dir: Path | None
) -> None:
    """Register URL, so that jobs can name it by id. Prints the id, then a new secret."""
    parse_target(url)
    text = secret_file.read().strip() if secret_file else ""
    secret = SigningSecret.parse(text) if secret_file else SigningSecret.generate()
    now_unix_ms = time.time_ns() // 1_000_000
    endpoint = Endpoint(
        endpoint_id=new_id("ep", now_unix_ms),
        tenant=tenant,
        url=url,
        description=description,
        created_unix_ms=now_unix_ms,
        secret=secret.to_text(),
    )
    in_job_store(data_dir, lambda redis, keys: EndpointStore(redis, keys).add(endpoint))
    click.echo(endpoint.endpoint_id)
    if secret_file is None:
        click.echo(secret.to_text())
        click.echo("This is the only time that the secret is shown.", err=True)


@command.command("list")
@data_option
@json_option
def list_endpoints(*, data_dir: Path | None, as_json: bool) -> None:
    """Show the endpoints, without their secrets."""
    endpoints = in_job_store(data_dir, lambda redis, keys: EndpointStore(redis, keys).all())
    endpoints.sort(key=lambda endpoint: endpoint.created_unix_ms)
    if as_json:
        shown = [
            {
                "endpoint_id": each.endpoint_id,
                "tenant": each.tenant,
                "url": each.url,
                "description": each.description,
                "created_unix_ms": each.created_unix_ms,
            }
            for each in endpoints
        ]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    rows = [
        (each.endpoint_id, each.tenant, day_of(each.created_unix_ms), each.url, each.description)
        for each in endpoints
    ]
    click.echo(render_table(("endpoint", "tenant", "added", "url", "description"), rows))


@command.command("remove")
@click.argument("endpoint_id")
@data_option
def remove(*, endpoint_id: str, data_dir: Path | None) -> None:
    """Forget the endpoint ENDPOINT_ID: jobs can no longer name it."""
    removed = in_job_store(
        data_dir, lambda redis, keys: EndpointStore(redis, keys).remove(endpoint_id)
    )
    if not removed:
        raise NotFound(f"there is no endpoint {endpoint_id}")
    click.echo(f"the endpoint {endpoint_id} is removed")
