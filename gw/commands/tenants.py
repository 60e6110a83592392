"""``gw tenants``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from redis.asyncio import Redis

from gw.acts import note_act
from gw.job_store import in_job_store
from gw.options import check_tenant, data_option, json_option
from gw.spans import SPAN
from gw.table import render_table
from pipeline.access.keys import KeyStore
from pipeline.access.tenants import Tenant, TenantStore
from pipeline.protocol import Keyspace


@click.group("tenants")
def command() -> None:
    """Show and set each tenant's share, limits and retention."""


@command.command("list")
@data_option
@json_option
def list_tenants(*, data_dir: Path | None, as_json: bool) -> None:
    """Show the tenants that have a key or a setting; 0 is no limit, or the platform's own."""

    async def read(redis: Redis, keys: Keyspace) -> Sequence[Tenant]:
        known = {each.tenant: each for each in await TenantStore(redis, keys).all()}
        names = known.keys() | {key.tenant for key in await KeyStore(redis, keys).all()}
        return [known.get(name) or Tenant(tenant=name) for name in sorted(names)]

    tenants = in_job_store(data_dir, read)
    if as_json:
        shown = [asdict(each) for each in tenants]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    names = ("tenant", "weight", "jobs/s", "burst", "key jobs/s", "waiting", "bytes")
    rows = [
        (
            each.tenant,
            f"{each.weight:g}",
            f"{each.jobs_per_s:g}",
            str(each.burst),
            f"{each.key_jobs_per_s:g}",
            str(each.jobs_waiting_max),
            str(each.bytes_max),
        )
        for each in tenants
    ]
    click.echo(render_table(names, rows))


@command.command("set")
@click.argument("tenant", callback=check_tenant)
@click.option("--weight", type=click.FloatRange(0.001, 1000), help="Its share of the device.")
@click.option("--jobs-per-s", type=click.FloatRange(0, 1_000_000), help="How fast it may submit.")
@click.option("--burst", type=click.IntRange(0, 1_000_000), help="How many jobs at once.")
@click.option(
    "--key-jobs-per-s", type=click.FloatRange(0, 1_000_000), help="How fast each of its keys may."
)
@click.option(
    "--jobs-waiting-max", type=click.IntRange(0), help="How many jobs it may have waiting."
)
@click.option("--bytes-max", type=click.IntRange(0), help="How much its waiting pictures may take.")
@click.option("--record-retention", type=SPAN, help="How long its ended jobs can be read.")
@click.option("--picture-retention", type=SPAN, help="How long its pictures are kept afterwards.")
@data_option
def set_tenant(*, tenant: str, data_dir: Path | None, **options: Any) -> None:
    """Set what TENANT may; what is not named stays, and 0 takes a limit away."""
    for name in ("record_retention", "picture_retention"):
        options[f"{name}_s"] = options.pop(name)
    changes = {name: value for name, value in options.items() if value is not None}
    if not changes:
        raise click.UsageError("name at least one setting; see gw tenants set --help")

    async def store(redis: Redis, keys: Keyspace) -> None:
        tenants = TenantStore(redis, keys)
        before = await tenants.get(tenant) or Tenant(tenant=tenant)
        await tenants.add(replace(before, **changes))
        await note_act(redis, keys, "tenant.set", tenant)

    in_job_store(data_dir, store)
    click.echo(f"the tenant {tenant} is set")
