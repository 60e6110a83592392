"""The first API key, with a real Redis."""

from __future__ import annotations

from pathlib import Path

from redis.asyncio import Redis

from gw.first_key import FirstKey, ensure_first_key, read_token
from pipeline.access.keys import KeyStore, key_of_token, proves
from pipeline.protocol import Keyspace


async def test_makes_a_key_that_works(tmp_path: Path, redis: Redis, keys: Keyspace) -> None:
    """The token in the file proves itself against the record in the store."""
    store = KeyStore(redis, keys)

    assert await ensure_first_key(tmp_path / "api-key", store) is FirstKey.MADE

    parts = key_of_token(read_token(tmp_path / "api-key") or "")
    assert parts is not None
    record = await store.get(parts[0])
    assert record is not None
    assert proves(record, parts[1], now_unix_ms=record.created_unix_ms)


async def test_keeps_the_key_there_is(tmp_path: Path, redis: Redis, keys: Keyspace) -> None:
    """A later start changes neither the file nor the store."""
    store = KeyStore(redis, keys)
    await ensure_first_key(tmp_path / "api-key", store)
    token = read_token(tmp_path / "api-key")

    assert await ensure_first_key(tmp_path / "api-key", store) is FirstKey.KNOWN

    assert read_token(tmp_path / "api-key") == token
    assert len(await store.all()) == 1


async def test_revives_nothing(tmp_path: Path, redis: Redis, keys: Keyspace) -> None:
    """A key that is not in the store, or a file that holds none, is told and left alone."""
    store = KeyStore(redis, keys)
    (tmp_path / "nonsense").write_text("no key at all\n")
    await ensure_first_key(tmp_path / "api-key", store)
    parts = key_of_token(read_token(tmp_path / "api-key") or "")
    assert parts is not None
    await store.remove(parts[0])

    assert await ensure_first_key(tmp_path / "api-key", store) is FirstKey.UNKNOWN
    assert await ensure_first_key(tmp_path / "nonsense", store) is FirstKey.UNKNOWN
    assert await store.all() == []
