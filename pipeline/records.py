"""Small sets of records that people manage (keys, endpoints): one Redis hash, one JSON each."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Generic, TypeVar, cast

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.documents import from_document
from pipeline.errors import MalformedMessage

Record = TypeVar("Record")


class RecordHash(Generic[Record]):
    """Records of one dataclass in one hash. Every method raises Unavailable while Redis is away.

    *parse* is the dataclass; *id_field* names the field that is its id.
    """

    def __init__(self, redis: Redis, key: str, *, parse: type[Record], id_field: str) -> None:
        self._redis = redis
        self._key = key
        self._parse = parse
        self._id_field = id_field

    async def add(self, record: Record) -> None:
        """Store a record, or store it anew."""
        document = asdict(cast(Any, record))
        record_id = document[self._id_field]
        with redis_errors():
            await self._redis.hset(self._key, record_id, json.dumps(document))

    async def get(self, record_id: str) -> Record | None:
        """Give a record."""
        with redis_errors():
            text = await self._redis.hget(self._key, record_id)
        return self._read(cast(str, text)) if text else None

    async def all(self) -> list[Record]:
        """List the records by id."""
        with redis_errors():
            texts = cast(dict[str, str], await self._redis.hgetall(self._key))
        return [self._read(text) for _, text in sorted(texts.items())]

    async def remove(self, record_id: str) -> bool:
        """Remove a record; False when there is none with this id."""
        with redis_errors():
            return bool(await self._redis.hdel(self._key, record_id))

    def _read(self, text: str) -> Record:
        try:
            return from_document(self._parse, json.loads(text))
        except (AttributeError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"{self._key}: {exc!r}") from exc
