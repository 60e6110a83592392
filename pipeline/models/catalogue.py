"""The catalogue: what the dispatcher can run, told to the other services.

The dispatcher reads ``gwproc/`` and publishes; webapp admits jobs by it, postprocess finds the
rules that a job's model had.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.documents import from_document
from pipeline.errors import MalformedMessage
from pipeline.models.rules import Rules
from pipeline.protocol import RULES_RETENTION_MS, Keyspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model as others see it.

    *versions* are usable, newest first; a job that names none gets the first. A model without a
    usable version is refused, and *reason* says why and what to do.
    """

    name: str
    task: str = ""
    description: str = ""
    runtime: str = ""
    versions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether jobs for it are accepted."""
        return bool(self.versions)


class Catalogue:
    """Models and rules in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys

    async def publish(self, models: Sequence[ModelEntry], rules: Sequence[Rules]) -> None:
        """Replace the catalogue, and renew the rules that its models use."""
        documents: dict[Any, Any] = {model.name: json.dumps(asdict(model)) for model in models}
        with redis_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(self._keys.models)
                if documents:
                    pipe.hset(self._keys.models, mapping=documents)
                for each in rules:
                    pipe.set(
                        self._keys.rules(each.sha256()), each.to_json_text(), px=RULES_RETENTION_MS
                    )
                await pipe.execute()

    async def models(self) -> Mapping[str, ModelEntry]:
        """Give all models by name."""
        with redis_errors():
            texts = cast(dict[str, str], await self._redis.hgetall(self._keys.models))
        return {name: _parse(name, text) for name, text in sorted(texts.items())}

    async def rules(self, sha256: str) -> Rules | None:
        """Give the rules published under *sha256*."""
        with redis_errors():
            text = cast(str | None, await self._redis.get(self._keys.rules(sha256)))
        return Rules.from_json_text(text) if text else None


def _parse(name: str, text: str) -> ModelEntry:
    try:
        document = json.loads(text)
        document["versions"] = tuple(document["versions"])
        document["labels"] = tuple(document["labels"])
        return from_document(ModelEntry, document)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise MalformedMessage(f"catalogue entry {name}: {exc!r}") from exc
