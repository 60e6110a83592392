"""The catalogue: what the dispatchers can run, told to the other services.

Each dispatcher reads its ``gwproc/`` and publishes under its own name; readers merge. webapp admits
jobs by it, postprocess finds the rules that a job's model had.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.errors import MalformedMessage
from pipeline.health import STALE_AFTER_MS
from pipeline.models.entry import ModelEntry
from pipeline.models.rules import Rules
from pipeline.protocol import RULES_RETENTION_MS, Keyspace

__all__ = ["Catalogue", "ModelEntry", "Published", "merged"]

#: A dispatcher that has published nothing for this long is forgotten, once another one publishes.
FORGOTTEN_AFTER_MS = 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What one dispatcher told last, and how long ago by Redis's clock."""

    instance: str
    age_ms: int
    models: tuple[ModelEntry, ...]


class Catalogue:
    """Models and rules in Redis. Every method raises Unavailable while Redis is away.

    *instance* is the dispatcher that publishes; readers need none.
    """

    def __init__(self, redis: Redis, keys: Keyspace, *, instance: str = "") -> None:
        self._redis = redis
        self._keys = keys
        self._instance = instance
        self._publish = load_script(redis, "publish_catalogue")

    async def publish(self, models: Sequence[ModelEntry], rules: Sequence[Rules]) -> None:
        """Replace what this dispatcher told before, and renew the rules that its models use."""
        document = json.dumps([asdict(model) for model in models], separators=(",", ":"))
        texts = {self._keys.rules(each.sha256()): each.to_json_text() for each in rules}
        # Those that take no new jobs just now still run what was accepted.
        names = [model.name for model in models if model.task]
        with redis_errors():
            await self._publish(
                keys=[self._keys.models, self._keys.models_seen, *texts],
                args=[
                    self._instance,
                    document,
                    FORGOTTEN_AFTER_MS,
                    RULES_RETENTION_MS,
                    len(texts),
                    *texts.values(),
                    *names,
                ],
            )

    async def published(self) -> list[Published]:
        """Give what each dispatcher told last, by instance; raises MalformedMessage."""
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(self._keys.models)
                pipe.time()
                texts, (seconds, microseconds) = await pipe.execute()
        now_unix_ms = int(seconds) * 1000 + int(microseconds) // 1000
        return [_parse(name, text, now_unix_ms) for name, text in sorted(texts.items())]

    async def models(self) -> Mapping[str, ModelEntry]:
        """Give all models by name, as the dispatchers together offer them."""
        return merged(await self.published())

    async def unseen(self, *, for_ms: int) -> list[str]:
        """List models that were offered once, but by no dispatcher in the last *for_ms*."""
        with redis_errors():
            seconds, microseconds = await self._redis.time()
            before_unix_ms = int(seconds) * 1000 + int(microseconds) // 1000 - for_ms
            names = await self._redis.zrangebyscore(self._keys.models_seen, "-inf", before_unix_ms)
        return cast(list[str], names)

    async def forget(self, name: str) -> None:
        """Forget that a model was ever offered: no job of it is left."""
        with redis_errors():
            await self._redis.zrem(self._keys.models_seen, name)

    async def rules(self, sha256: str) -> Rules | None:
        """Give the rules published under *sha256*."""
        with redis_errors():
            text = cast(str | None, await self._redis.get(self._keys.rules(sha256)))
        return Rules.from_json_text(text) if text else None


def merged(published: Iterable[Published]) -> Mapping[str, ModelEntry]:
    """Give the models by name as all dispatchers together offer them.

    A dispatcher that stopped telling does not count, unless all have: then the one that told last
    does, since accepted jobs wait for it. Versions count that every dispatcher with the model
    offers, for any of them may claim the job; where they share none, any one's do.
    """
    all_published = sorted(published, key=lambda each: each.age_ms)
    fresh = [each for each in all_published if each.age_ms < STALE_AFTER_MS]
    by_name: dict[str, list[ModelEntry]] = {}
    for each in fresh or all_published[:1]:
        for entry in each.models:
            by_name.setdefault(entry.name, []).append(entry)
    return {name: _merge(entries) for name, entries in sorted(by_name.items())}


def _merge(entries: Sequence[ModelEntry]) -> ModelEntry:
    """Make one entry of what several dispatchers tell of one model."""
    if len(entries) == 1:
        return entries[0]
    ready = [entry for entry in entries if entry.is_ready] or list(entries)
    speaker = max(ready, key=lambda entry: [_number(version) for version in entry.versions])
    shared = [
        version for version in speaker.versions if all(version in entry.versions for entry in ready)
    ]
    everyone = {version for entry in ready for version in entry.versions}
    versions = shared or sorted(everyone, key=_number, reverse=True)
    reasons = dict.fromkeys(entry.reason for entry in entries if entry.reason)
    return replace(
        speaker,
        versions=tuple(versions),
        reason="; ".join(reasons),
        queued=max(entry.queued for entry in entries),
        details=tuple(detail for entry in entries for detail in entry.details),
    )


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0


def _parse(instance: str, text: str, now_unix_ms: int) -> Published:
    at_unix_ms, space, document = text.partition(" ")
    try:
        if not space:
            raise ValueError("no moment before it")
        entries = json.loads(document)
        if not isinstance(entries, list):
            raise TypeError("no list of models")
        return Published(
            instance=instance,
            age_ms=now_unix_ms - int(at_unix_ms),
            models=tuple(ModelEntry.from_json(entry) for entry in entries),
        )
    except (TypeError, ValueError) as exc:
        raise MalformedMessage(f"catalogue of {instance}: {exc!r}") from exc
