"""The catalogue as its readers see it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from pipeline.errors import MalformedMessage
from pipeline.health import STALE_AFTER_MS
from pipeline.models.catalogue import (
    FORGOTTEN_AFTER_MS,
    Catalogue,
    ModelEntry,
    Published,
    merged,
)
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
    catalogue = Catalogue(redis, keys, instance="a")

    await catalogue.publish([READY, REFUSED], [RULES])

    models = await catalogue.models()
    assert models == {"broken": REFUSED, "helmet": READY}
    assert [model.is_ready for model in models.values()] == [False, True]
    assert await catalogue.rules(RULES.sha256()) == RULES
    assert await catalogue.rules(Rules().sha256()) is None


async def test_publishing_replaces_models_and_keeps_rules(redis: Redis, keys: Keyspace) -> None:
    """A model that is gone is not offered, but the jobs that it ran can still be judged."""
    catalogue = Catalogue(redis, keys, instance="a")
    await catalogue.publish([READY], [RULES])

    await catalogue.publish([REFUSED], [])
    assert list(await catalogue.models()) == ["broken"]
    assert await catalogue.rules(RULES.sha256()) == RULES

    await catalogue.publish([], [])
    assert await catalogue.models() == {}


async def test_publishing_renews_the_rules(redis: Redis, keys: Keyspace) -> None:
    """Rules in use never end; those that are not end after their retention."""
    catalogue = Catalogue(redis, keys, instance="a")
    await catalogue.publish([READY], [RULES])
    await redis.pexpire(keys.rules(RULES.sha256()), 1000)

    await catalogue.publish([READY], [RULES])

    assert 1000 < await redis.pttl(keys.rules(RULES.sha256())) <= RULES_RETENTION_MS


async def test_a_newer_dispatchers_entry_is_readable(redis: Redis, keys: Keyspace) -> None:
    """A field that this version does not know does not hide the model."""
    catalogue = Catalogue(redis, keys, instance="a")
    await catalogue.publish([READY], [])
    stamp, _, text = str(await redis.hget(keys.models, "a")).partition(" ")
    documents = [document | {"colour": "red"} for document in json.loads(text)]

    await redis.hset(keys.models, "a", f"{stamp} {json.dumps(documents)}")

    assert await catalogue.models() == {"helmet": READY}


@pytest.mark.parametrize(
    "text", ["", "1", "1 3", "1 {}", "x []", "1 [{}]", '1 [{"name": "a", "versions": 1}]']
)
async def test_another_entry_is_malformed(redis: Redis, keys: Keyspace, text: str) -> None:
    """An entry that does not parse is named by its dispatcher."""
    await redis.hset(keys.models, "odd", text)

    with pytest.raises(MalformedMessage, match=r"odd|catalogue entry"):
        await Catalogue(redis, keys).models()


async def test_dispatchers_do_not_overwrite_each_other(redis: Redis, keys: Keyspace) -> None:
    """Each publishes under its own name, and readers see the models of both."""
    other = replace(READY, name="vest")
    await Catalogue(redis, keys, instance="a").publish([READY], [])
    await Catalogue(redis, keys, instance="b").publish([other, REFUSED], [])

    assert list(await Catalogue(redis, keys).models()) == ["broken", "helmet", "vest"]

    await Catalogue(redis, keys, instance="a").publish([], [])
    assert list(await Catalogue(redis, keys).models()) == ["broken", "vest"]


async def test_a_dispatcher_that_is_gone_does_not_count(redis: Redis, keys: Keyspace) -> None:
    """What it told is passed over while another tells, believed while none does, and then goes."""
    await Catalogue(redis, keys, instance="a").publish([READY], [])
    await age(redis, keys, "a", STALE_AFTER_MS + 1000)
    assert list(await Catalogue(redis, keys).models()) == ["helmet"]

    await Catalogue(redis, keys, instance="b").publish([REFUSED], [])
    assert list(await Catalogue(redis, keys).models()) == ["broken"]
    assert await redis.hexists(keys.models, "a")

    await age(redis, keys, "a", FORGOTTEN_AFTER_MS + 1000)
    await Catalogue(redis, keys, instance="b").publish([REFUSED], [])
    assert not await redis.hexists(keys.models, "a")


async def test_models_that_nobody_offers_any_more_are_told(redis: Redis, keys: Keyspace) -> None:
    """A model is unseen from its last publication on, until it is forgotten."""
    catalogue = Catalogue(redis, keys, instance="a")
    await catalogue.publish([READY, REFUSED], [])
    assert await catalogue.unseen(for_ms=60_000) == []

    assert await catalogue.unseen(for_ms=-1000) == ["helmet"]
    await catalogue.forget("helmet")
    assert await catalogue.unseen(for_ms=-1000) == []


async def age(redis: Redis, keys: Keyspace, instance: str, by_ms: int) -> None:
    """Make what a dispatcher told older."""
    stamp, _, text = str(await redis.hget(keys.models, instance)).partition(" ")
    await redis.hset(keys.models, instance, f"{int(stamp) - by_ms} {text}")


def published(instance: str, *versions: str, age_ms: int = 0, reason: str = "") -> Published:
    """Make what a dispatcher tells of one model."""
    entry = ModelEntry(name="helmet", task="raw", versions=versions, reason=reason)
    return Published(instance=instance, age_ms=age_ms, models=(entry,))


def test_versions_count_that_every_dispatcher_offers() -> None:
    """Any of them may claim the job; where they share none, all versions do."""
    both = merged([published("a", "3", "2"), published("b", "2", "1")])
    assert both["helmet"].versions == ("2",)
    apart = merged([published("a", "3"), published("b", "1")])
    assert apart["helmet"].versions == ("3", "1")
    refused = merged([published("a", "3"), published("b", reason="no NPU")])
    assert (refused["helmet"].versions, refused["helmet"].reason) == (("3",), "no NPU")
