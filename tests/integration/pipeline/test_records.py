"""Keys and endpoints as stored."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from pipeline.access.keys import KeyStore, key_of_token, make_key, proves
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.errors import MalformedMessage
from pipeline.protocol import Keyspace

ENDPOINT = Endpoint(
    endpoint_id="ep_b",
    tenant="default",
    url="http://127.0.0.1:9/hook",
    description="门口",
    created_unix_ms=5,
    secret="whsec_hidden",
)


async def test_a_key_is_found_by_its_token(redis: Redis, keys: Keyspace) -> None:
    """The stored record of a key is proved by the token that was shown once."""
    store = KeyStore(redis, keys)
    token, record = make_key(tenant="plant-1", description="line 3", now_unix_ms=7)
    await store.add(record)

    split = key_of_token(token)

    assert split is not None
    found = await store.get(split[0])
    assert found == record
    assert proves(found, split[1], now_unix_ms=8)


async def test_a_revoked_key_is_gone(redis: Redis, keys: Keyspace) -> None:
    """Removing works once, and says so."""
    store = KeyStore(redis, keys)
    _, record = make_key(tenant="default", description="", now_unix_ms=7)
    await store.add(record)

    assert await store.remove(record.key_id)
    assert not await store.remove(record.key_id)
    assert await store.get(record.key_id) is None
    assert await store.all() == []


async def test_endpoints_are_listed_by_id(redis: Redis, keys: Keyspace) -> None:
    """Several come in the order of their ids; one stored anew replaces the one before."""
    store = EndpointStore(redis, keys)
    other = replace(ENDPOINT, endpoint_id="ep_a")
    await store.add(ENDPOINT)
    await store.add(other)

    moved = replace(ENDPOINT, url="http://127.0.0.1:8/")
    await store.add(moved)

    assert await store.all() == [other, moved]
    assert "whsec_hidden" not in repr(await store.all())


async def test_keys_and_endpoints_do_not_mix(redis: Redis, keys: Keyspace) -> None:
    """Each kind has its own hash."""
    await EndpointStore(redis, keys).add(ENDPOINT)

    assert await KeyStore(redis, keys).all() == []


async def test_a_newer_record_is_readable(redis: Redis, keys: Keyspace) -> None:
    """A field that this version does not know is ignored."""
    store = EndpointStore(redis, keys)
    await store.add(ENDPOINT)
    text = str(await redis.hget(keys.endpoints, "ep_b"))

    await redis.hset(keys.endpoints, "ep_b", text.replace("{", '{"colour": "red", ', 1))

    assert await store.get("ep_b") == ENDPOINT


@pytest.mark.parametrize("text", ["no json", "[]", "{}"])
async def test_another_record_is_malformed(redis: Redis, keys: Keyspace, text: str) -> None:
    """What does not parse is told with the hash that holds it."""
    await redis.hset(keys.endpoints, "ep_x", text)

    with pytest.raises(MalformedMessage, match=":endpoints"):
        await EndpointStore(redis, keys).get("ep_x")
