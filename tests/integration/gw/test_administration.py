"""``gw keys``, ``gw tenants`` and ``gw audit`` against a real job store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from gw.__main__ import cli
from pipeline.access.keys import KeyStore, Scope, key_of_token, proves
from pipeline.access.tenants import Tenant, TenantStore
from pipeline.connection import connect
from pipeline.errors import NotFound
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings

T = TypeVar("T")


@pytest.fixture
def gw(redis_url: str, keys: Keyspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Give a way to run a command on this test's own keyspace."""
    monkeypatch.setenv("GW_REDIS_URL", redis_url)
    monkeypatch.setenv("GW_REDIS_PREFIX", keys.prefix)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments, catch_exceptions=False)

    return run


def look(redis_url: str, work: Callable[[Redis], Awaitable[T]]) -> T:
    """Do *work* in the job store."""

    async def connected() -> T:
        async with connect(RedisSettings(url=redis_url)) as redis:
            return await work(redis)

    return asyncio.run(connected())


def made(result: Result) -> tuple[str, str]:
    """Give the key id and the secret of the token that a command printed."""
    assert result.exit_code == 0, result.output
    parts = key_of_token(result.stdout.strip())
    assert parts is not None
    return parts


def listed(gw: Callable[..., Result], group: str) -> list[dict[str, Any]]:
    """Give what ``gw <group> list --json`` prints."""
    documents: list[dict[str, Any]] = json.loads(gw(group, "list", "--json").stdout)
    return documents


@pytest.mark.parametrize("name", ["create", "add"])
def test_a_key_is_made_with_what_it_may(gw: Callable[..., Result], name: str) -> None:
    """By either name of the command: chosen scopes, or those of a client; it may expire."""
    key_id, secret = made(gw("keys", name, "--tenant", "acme", "--expires-in", "90d"))
    own, _ = made(gw("keys", name, "--scope", "submit", "--scope", "read_own"))

    found = {each["key_id"]: each for each in listed(gw, "keys")}

    assert found[key_id]["tenant"] == "acme"
    assert found[key_id]["scopes"] == ["read_all", "read_own", "submit"]
    lives_ms = found[key_id]["expires_unix_ms"] - found[key_id]["created_unix_ms"]
    assert lives_ms == 90 * 24 * 3600 * 1000
    assert found[own]["scopes"] == ["read_own", "submit"]
    assert found[own]["expires_unix_ms"] == 0
    assert secret not in gw("keys", "list").output


def test_a_key_is_rotated_and_revoked(
    gw: Callable[..., Result], redis_url: str, keys: Keyspace
) -> None:
    """The new secret is proved at once, the old one during the overlap; revoked, it is gone."""
    key_id, old = made(gw("keys", "create"))
    same, new = made(gw("keys", "rotate", key_id, "--overlap", "2h"))

    record = look(redis_url, lambda redis: KeyStore(redis, keys).get(key_id))

    assert same == key_id
    assert record is not None
    now_unix_ms = record.previous_until_unix_ms - 1
    assert proves(record, old, now_unix_ms=now_unix_ms)
    assert proves(record, new, now_unix_ms=now_unix_ms)
    assert not proves(record, old, now_unix_ms=now_unix_ms + 1)
    assert gw("keys", "revoke", key_id).exit_code == 0
    assert listed(gw, "keys") == []
    for command in (["revoke"], ["rotate"]):
        with pytest.raises(NotFound):
            gw("keys", *command, key_id)


def test_a_tenant_is_set_piece_by_piece(
    gw: Callable[..., Result], redis_url: str, keys: Keyspace
) -> None:
    """What is not named stays as it was."""
    assert gw("tenants", "set", "acme", "--weight", "3", "--record-retention", "2h").exit_code == 0
    assert gw("tenants", "set", "acme", "--jobs-per-s", "0.5", "--bytes-max", "1000").exit_code == 0

    found = look(redis_url, lambda redis: TenantStore(redis, keys).get("acme"))

    expected = Tenant(
        tenant="acme", weight=3.0, jobs_per_s=0.5, bytes_max=1000, record_retention_s=7200
    )
    assert found == expected
    assert [each["tenant"] for each in listed(gw, "tenants")] == ["acme"]
    assert "acme" in gw("tenants", "list").output


@pytest.mark.parametrize(
    "arguments",
    [
        ("tenants", "set", "acme"),
        ("tenants", "set", "A:B", "--weight", "1"),
        ("tenants", "set", "acme", "--weight", "0"),
        ("tenants", "set", "acme", "--record-retention", "soon"),
        ("keys", "create", "--scope", "root"),
        ("keys", "create", "--expires-in", "1 day"),
    ],
)
def test_what_cannot_be_set_is_refused(
    gw: Callable[..., Result], arguments: tuple[str, ...]
) -> None:
    """The command says what is wrong, and nothing is stored."""
    result = gw(*arguments)

    assert result.exit_code == 2
    assert listed(gw, "keys") == listed(gw, "tenants") == []


def test_every_act_has_its_line(gw: Callable[..., Result]) -> None:
    """Who did what to what, the newest first, and no secret."""
    key_id, secret = made(gw("keys", "create", "--scope", str(Scope.ADMIN)))
    gw("tenants", "set", "acme", "--weight", "2")
    gw("keys", "revoke", key_id)

    lines = json.loads(gw("audit", "--json").stdout)

    assert [(line["action"], line["subject"]) for line in lines] == [
        ("key.revoked", key_id),
        ("tenant.set", "acme"),
        ("key.created", key_id),
    ]
    assert all(line["actor"].startswith("gw:") for line in lines)
    shown = gw("audit", "--last", "1").output
    assert "key.revoked" in shown
    assert "tenant.set" not in shown
    assert secret not in shown + str(lines)
