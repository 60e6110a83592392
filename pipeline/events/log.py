"""The log of what happened to a tenant's jobs: one stream for each tenant, read from any place.

The scripts that accept and end jobs write it, one entry for each event, with the job's id alone:
whoever reads it reads the record beside it. An entry's id is the cursor, which stays right for
ever. What is trimmed is noted, so that a reader who was away for too long is told of the gap.

Pub/sub is not used: a reader that waits is woken by the stream itself (see ``webapp/feed.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.protocol import Keyspace
from pipeline.streams import entries_of

#: Before every event.
START = "0-0"

_CURSOR = re.compile(r"([0-9]{1,16})-([0-9]{1,16})")
_TRIM_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """One event: *event* is a state that a job reached, or ``accepted``."""

    cursor: str
    job_id: str
    event: str

    @property
    def unix_ms(self) -> int:
        """Give when it happened, by the clock of Redis."""
        return place_of(self.cursor)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCursor:
    """How far a named reader has come; *noted_unix_ms* is when it last said so."""

    name: str
    cursor: str
    noted_unix_ms: int


def is_cursor(text: str) -> bool:
    """Tell whether *text* has the form of a cursor; asked before it becomes part of a command."""
    return _CURSOR.fullmatch(text) is not None


def place_of(cursor: str) -> tuple[int, int]:
    """Give a cursor's place, which sorts; raises ValueError."""
    unix_ms, number = cursor.split("-")
    return int(unix_ms), int(number)


class EventLog:
    """The logs in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys
        self._trim_events = load_script(redis, "trim_events")

    async def after(self, tenant: str, cursor: str, *, limit: int) -> list[LoggedEvent]:
        """List at most *limit* events behind *cursor*, oldest first."""
        with redis_errors():
            rows: Any = await self._redis.xrange(
                self._keys.events(tenant), min=f"({cursor}", count=limit
            )
        return [
            LoggedEvent(cursor=entry_id, job_id=fields["job"], event=fields["event"])
            for entry_id, fields in rows
        ]

    async def end(self, tenant: str) -> str:
        """Give the cursor behind the newest event."""
        with redis_errors():
            rows = await self._redis.xrevrange(self._keys.events(tenant), count=1)
            if rows:
                return cast(str, rows[0][0])
            # All of it may have been trimmed: then the end is behind what was.
            return await self.trimmed(tenant)

    async def trimmed(self, tenant: str) -> str:
        """Give the cursor of the newest event that was trimmed, START for none."""
        with redis_errors():
            cursor = await self._redis.hget(self._keys.events_trimmed, tenant)
        return cast(str, cursor) if cursor else START

    async def grown(self, places: Mapping[str, str], *, block_ms: int) -> set[str]:
        """Wait until a tenant has an event behind its place; give these tenants."""
        tenants = {self._keys.events(tenant): tenant for tenant in places}
        streams: dict[Any, Any] = {name: places[tenant] for name, tenant in tenants.items()}
        with redis_errors():
            answer = await self._redis.xread(streams, count=1, block=block_ms)
        return {tenants[entry.stream] for entry in entries_of(answer)}

    async def trim(self, tenant: str, *, older_than_unix_ms: int, keep_max: int) -> int:
        """Trim events of before, and the oldest where there are too many; give how many."""
        trimmed = 0
        while True:
            with redis_errors():
                count = await self._trim_events(
                    keys=[self._keys.events(tenant), self._keys.events_trimmed],
                    args=[older_than_unix_ms, keep_max, tenant, _TRIM_MAX],
                )
            trimmed += int(count)
            if count < _TRIM_MAX:
                return trimmed

    async def cursors(self, tenant: str) -> list[NamedCursor]:
        """List the named readers, by name."""
        with redis_errors():
            rows = cast(dict[str, str], await self._redis.hgetall(self._keys.cursors(tenant)))
        return [_named(name, text) for name, text in sorted(rows.items())]

    async def cursor(self, tenant: str, name: str) -> NamedCursor | None:
        """Give one named reader."""
        with redis_errors():
            text = await self._redis.hget(self._keys.cursors(tenant), name)
        return _named(name, cast(str, text)) if text else None

    async def note_cursor(self, tenant: str, named: NamedCursor) -> None:
        """Note how far a named reader has come."""
        text = json.dumps([named.cursor, named.noted_unix_ms])
        with redis_errors():
            await self._redis.hset(self._keys.cursors(tenant), named.name, text)

    async def forget_cursor(self, tenant: str, name: str) -> bool:
        """Forget a named reader; False when there is none of this name."""
        with redis_errors():
            return bool(await self._redis.hdel(self._keys.cursors(tenant), name))


def _named(name: str, text: str) -> NamedCursor:
    cursor, noted_unix_ms = json.loads(text)
    return NamedCursor(name=name, cursor=cursor, noted_unix_ms=noted_unix_ms)
