"""The catalogue as its readers see it."""

from __future__ import annotations

import json

import pytest
from redis.asyncio import Redis

from pipeline.errors import MalformedMessage
from pipeline.models.catalogue import Catalogue, ModelEntry
from pipeline.models.rules import Region, Rules
from pipeline.protocol import RULES_RETENTION_MS, Keyspace

READY = ModelEntry(
    name="helmet", task="detect", runtime="onnx", versions=("3", "2"), labels=("head", "安全帽")
)
REFUSED = ModelEntry(name="broken", reason="model.onnx is cut short; fetch it again")
RULES = Rules(
    labels=("head",),
    min_scores={"head": 0.4},
    regions=(Region(name="door", points=((0.0, 0.0), (1.0, 0.0), (0.5, 1.0)), labels=("head",)),),
    only_in_regions=True,
)


async def test_what_is_published_is_read(redis: Redis, keys: Keyspace) -> None:
    """Models come back whole and by name; only one with a usable version is ready."""
    catalogue = Catalogue(redis, keys)

    await catalogue.publish([READY, REFUSED], [RULES])

    models = await catalogue.models()
    assert models == {"broken": REFUSED, "helmet": READY}
    assert [model.is_ready for model in models.values()] == [False, True]
    assert await catalogue.rules(RULES.sha256()) == RULES
    assert await catalogue.rules(Rules().sha256()) is None


async def test_publishing_replaces_models_and_keeps_rules(redis: Redis, keys: Keyspace) -> None:
    """A model that is gone is not offered, but the jobs that it ran can still be judged."""
    catalogue = Catalogue(redis, keys)
    await catalogue.publish([READY], [RULES])

    await catalogue.publish([REFUSED], [])
    assert list(await catalogue.models()) == ["broken"]
    assert await catalogue.rules(RULES.sha256()) == RULES

    await catalogue.publish([], [])
    assert await catalogue.models() == {}


async def test_publishing_renews_the_rules(redis: Redis, keys: Keyspace) -> None:
    """Rules in use never end; those that are not end after their retention."""
    catalogue = Catalogue(redis, keys)
    await catalogue.publish([READY], [RULES])
    await redis.pexpire(keys.rules(RULES.sha256()), 1000)

    await catalogue.publish([READY], [RULES])

    assert 1000 < await redis.pttl(keys.rules(RULES.sha256())) <= RULES_RETENTION_MS


async def test_a_newer_dispatchers_entry_is_readable(redis: Redis, keys: Keyspace) -> None:
    """A field that this version does not know does not hide the model."""
    catalogue = Catalogue(redis, keys)
    await catalogue.publish([READY], [])
    document = json.loads(str(await redis.hget(keys.models, "helmet")))

    await redis.hset(keys.models, "helmet", json.dumps(document | {"colour": "red"}))

    assert await catalogue.models() == {"helmet": READY}


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"versions": 1, "labels": []}'])
async def test_another_entry_is_malformed(redis: Redis, keys: Keyspace, text: str) -> None:
    """An entry that does not parse is named."""
    await redis.hset(keys.models, "odd", text)

    with pytest.raises(MalformedMessage, match="odd"):
        await Catalogue(redis, keys).models()
