"""``gw keys``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from gw.job_store import in_job_store
from gw.options import data_option, json_option, tenant_option
from gw.table import day_of, render_table
from pipeline.access.keys import KeyStore, make_key
from pipeline.errors import NotFound


@click.group("keys")
def command() -> None:
    """Make, list and revoke API keys."""


@command.command("add")
@tenant_option
@click.option("--description", default="", help="What the key is for.")
@data_option
def add(*, tenant: str, description: str, data_dir: Path | None) -> None:
    """Make a key and print it, this once."""
    token, record = make_key(
        tenant=tenant, description=description, now_unix_ms=time.time_ns() // 1_000_000
    )
    in_job_store(data_dir, lambda redis, keys: KeyStore(redis, keys).add(record))
    click.echo(token)
    click.echo("This is the only time that the key is shown.", err=True)


@command.command("list")
@data_option
@json_option
def list_keys(*, data_dir: Path | None, as_json: bool) -> None:
    """Show the keys, without what would let anybody use them."""
    records = in_job_store(data_dir, lambda redis, keys: KeyStore(redis, keys).all())
    records.sort(key=lambda record: record.created_unix_ms)
    if as_json:
        shown = [
            {
                "key_id": each.key_id,
                "tenant": each.tenant,
                "description": each.description,
                "created_unix_ms": each.created_unix_ms,
            }
            for each in records
        ]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    rows = [
        (each.key_id, each.tenant, day_of(each.created_unix_ms), each.description)
        for each in records
    ]
    click.echo(render_table(("key", "tenant", "made", "description"), rows))


@command.command("revoke")
@click.argument("key_id")
@data_option
def revoke(*, key_id: str, data_dir: Path | None) -> None:
    """Take the key KEY_ID back: the eight characters after the first underscore of its token."""
    if not in_job_store(data_dir, lambda redis, keys: KeyStore(redis, keys).remove(key_id)):
        raise NotFound(f"there is no key {key_id}")
    click.echo(f"the key {key_id} is revoked")
