"""Reading records that are a hash each: many in one round trip, and each parsed by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.errors import MalformedMessage

log = logging.getLogger(__name__)

Record = TypeVar("Record")


async def read_hashes(redis: Redis, keys: Sequence[str]) -> list[dict[str, str]]:
    """Give the hashes in one round trip, empty where there is none; raises Unavailable."""
    if not keys:
        return []
    with redis_errors():
        async with redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            return cast(list[dict[str, str]], await pipe.execute())


def readable(
    parse: Callable[[str, Mapping[str, str]], Record],
    record_id: str,
    fields: Mapping[str, str],
    *,
    id_field: str,
) -> Record | None:
    """Parse a record; one that nobody can read is as good as none, and must not stop the others.

    *id_field* is what its id is called in the log.
    """
    if not fields:
        return None
    try:
        return parse(record_id, fields)
    except MalformedMessage as exc:
        log.error("record.unreadable", extra={id_field: record_id, "reason": str(exc)})
        return None


async def read_records(
    redis: Redis,
    key: Callable[[str], str],
    parse: Callable[[str, Mapping[str, str]], Record],
    record_ids: Sequence[str],
    *,
    id_field: str,
) -> list[Record | None]:
    """Give the records with these ids, None for one that is not there or cannot be read."""
    hashes = await read_hashes(redis, [key(each) for each in record_ids])
    return [
        readable(parse, record_id, fields, id_field=id_field)
        for record_id, fields in zip(record_ids, hashes, strict=True)
    ]
