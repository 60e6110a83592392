"""``gw keys``."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import click
from redis.asyncio import Redis

from gw.acts import note_act
from gw.job_store import in_job_store
from gw.options import data_option, json_option, tenant_option
from gw.spans import SPAN
from gw.table import day_of, render_table
from pipeline.access.keys import CLIENT_SCOPES, ApiKey, KeyStore, Scope, make_key, rotate_key
from pipeline.errors import NotFound
from pipeline.protocol import Keyspace


@click.group("keys")
def command() -> None:
    """Make, list, rotate and revoke API keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    keys: list[ApiKey]
    used_unix_ms: dict[str, int]


@command.command("create")
@tenant_option
@click.option("--description", default="", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([str(scope) for scope in Scope]),
    multiple=True,
    default=[str(scope) for scope in CLIENT_SCOPES],
    show_default=True,
    help="What it may do; give it once for each.",
)
@click.option("--expires-in", type=SPAN, help="How long it counts, such as 90d; for ever else.")
@click.option(
    "--default-model", default="", help="What runs where the caller's protocol names no model."
)
@data_option
def create(
    *,
    tenant: str,
    description: str,
    scopes: tuple[str, ...],
    expires_in: int | None,
    default_model: str,
    data_dir: Path | None,
) -> None:
    """Make a key and print it, this once."""
    now_unix_ms = _now_unix_ms()
    token, record = make_key(
        tenant=tenant,
        description=description,
        now_unix_ms=now_unix_ms,
        scopes=frozenset(map(Scope, scopes)),
        expires_unix_ms=now_unix_ms + expires_in * 1000 if expires_in else 0,
        default_model=default_model,
    )

    async def store(redis: Redis, keys: Keyspace) -> None:
        await KeyStore(redis, keys).add(record)
        await note_act(redis, keys, "key.created", record.key_id)

    in_job_store(data_dir, store)
    _show(token)


#: The name that the command had first.
command.add_command(create, "add")


@command.command("list")
@data_option
@json_option
def list_keys(*, data_dir: Path | None, as_json: bool) -> None:
    """Show the keys, without what would let anybody use them."""

    async def read(redis: Redis, keys: Keyspace) -> _Known:
        store = KeyStore(redis, keys)
        return _Known(keys=await store.all(), used_unix_ms=await store.last_used())

    known = in_job_store(data_dir, read)
    records = sorted(known.keys, key=lambda record: record.created_unix_ms)
    if as_json:
        shown = [
            {
                "key_id": each.key_id,
                "tenant": each.tenant,
                "scopes": sorted(each.known_scopes),
                "description": each.description,
                "created_unix_ms": each.created_unix_ms,
                "expires_unix_ms": each.expires_unix_ms,
                "last_used_unix_ms": known.used_unix_ms.get(each.key_id, 0),
                "default_model": each.default_model,
            }
            for each in records
        ]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    rows = [
        (
            each.key_id,
            each.tenant,
            ",".join(sorted(each.known_scopes)),
            day_of(each.created_unix_ms),
            _day(known.used_unix_ms.get(each.key_id, 0)),
            _day(each.expires_unix_ms),
            each.description,
        )
        for each in records
    ]
    names = ("key", "tenant", "scopes", "made", "used", "expires", "description")
    click.echo(render_table(names, rows))


@command.command("rotate")
@click.argument("key_id")
@click.option(
    "--overlap",
    type=SPAN,
    default="1d",
    show_default=True,
    help="How long the secret before still counts, such as 12h; 0s ends it at once.",
)
@data_option
def rotate(*, key_id: str, overlap: int, data_dir: Path | None) -> None:
    """Give the key KEY_ID a new secret and print its token, this once."""

    async def store(redis: Redis, keys: Keyspace) -> str:
        records = KeyStore(redis, keys)
        record = await records.get(key_id)
        if record is None:
            raise NotFound(f"there is no key {key_id}")
        token, rotated = rotate_key(record, now_unix_ms=_now_unix_ms(), overlap_ms=overlap * 1000)
        await records.add(rotated)
        await note_act(redis, keys, "key.rotated", key_id)
        return token

    _show(in_job_store(data_dir, store))


@command.command("revoke")
@click.argument("key_id")
@data_option
def revoke(*, key_id: str, data_dir: Path | None) -> None:
    """Take the key KEY_ID back: the eight characters after the first underscore of its token."""

    async def remove(redis: Redis, keys: Keyspace) -> None:
        if not await KeyStore(redis, keys).remove(key_id):
            raise NotFound(f"there is no key {key_id}")
        await note_act(redis, keys, "key.revoked", key_id)

    in_job_store(data_dir, remove)
    click.echo(f"the key {key_id} is revoked")


def _show(token: str) -> None:
    click.echo(token)
    click.echo("This is the only time that the key is shown.", err=True)


def _day(unix_ms: int) -> str:
    return day_of(unix_ms) if unix_ms else "-"


def _now_unix_ms() -> int:
    return time.time_ns() // 1_000_000
