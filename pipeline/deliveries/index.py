"""A tenant's deliveries in the order of their events: listing, counting, forgetting them.

One sorted set of places for each tenant, and one of those that are exhausted: its dead letters. A
place is a moment and an id, so the last place of a page is a cursor that stays right whatever
arrives meanwhile. Each costs some 110 bytes for a delivery, and loses what outlived its record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connection import redis_errors
from pipeline.deliveries.delivery import place_of
from pipeline.protocol import Keyspace

#: So many places are looked at in one round trip.
_TRIM_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Which places: newest first, those before the place *before*, of events in the interval.

    *from_unix_ms* is included, *until_unix_ms* is not; 0 is no bound, as is "" for the place.
    """

    before: str = ""
    from_unix_ms: int = 0
    until_unix_ms: int = 0

    @property
    def upper(self) -> str:
        """Give the bound that is passed first, as ZRANGE BYLEX has it."""
        bounds = [self.before] if self.before else []
        if self.until_unix_ms:
            bounds.append(place_of(self.until_unix_ms))
        return f"({min(bounds)}" if bounds else "+"

    @property
    def lower(self) -> str:
        """Give the bound at which the list ends."""
        return f"[{place_of(self.from_unix_ms)}" if self.from_unix_ms else "-"

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be in it."""
        return 0 < self.until_unix_ms <= self.from_unix_ms


def id_at(place: str) -> str:
    """Give the id that a place holds.

    >>> id_at("1700000000000:msg_1")
    'msg_1'
    """
    return place.partition(":")[2]


class DeliveryIndex:
    """The indexes in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys

    async def places(
        self, tenant: str, times: Times, *, limit: int, exhausted: bool = False
    ) -> list[str]:
        """List at most *limit* places within *times*, newest first."""
        key = self._keys.exhausted(tenant) if exhausted else self._keys.tenant_deliveries(tenant)
        with redis_errors():
            places = await self._redis.zrange(
                key,
                cast(Any, times.upper),
                cast(Any, times.lower),
                desc=True,
                bylex=True,
                offset=0,
                num=limit,
            )
        return cast(list[str], places)

    async def exhausted_after(
        self, tenant: str, place: str, *, until_unix_ms: int, limit: int
    ) -> list[str]:
        """List at most *limit* places of exhausted deliveries behind *place*, oldest first."""
        return await self._after(self._keys.exhausted(tenant), place, until_unix_ms, limit)

    async def events_after(
        self, tenant: str, place: str, *, until_unix_ms: int, limit: int
    ) -> list[str]:
        """List at most *limit* places of events that are no job's end, oldest first."""
        return await self._after(self._keys.told_events(tenant), place, until_unix_ms, limit)

    async def at_moment(self, tenant: str, unix_ms: int) -> list[str]:
        """List the ids of all deliveries of events of one millisecond."""
        times = Times(from_unix_ms=unix_ms, until_unix_ms=unix_ms + 1)
        found: list[str] = []
        while True:
            places = await self.places(tenant, times, limit=_TRIM_MAX)
            found += [id_at(place) for place in places]
            if len(places) < _TRIM_MAX:
                return found
            times = replace(times, before=places[-1])

    async def count_exhausted(self, tenants: Sequence[str]) -> int:
        """Count the exhausted deliveries of *tenants*."""
        if not tenants:
            return 0
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for tenant in tenants:
                    pipe.zcard(self._keys.exhausted(tenant))
                return sum(int(size) for size in await pipe.execute())

    async def trim(self, tenant: str, *, before_unix_ms: int) -> int:
        """Drop the places whose records are gone, among those this old; give how many."""
        deliveries, events = self._keys.delivery, self._keys.event
        trimmed = await self._trim(self._keys.tenant_deliveries(tenant), deliveries, before_unix_ms)
        await self._trim(self._keys.exhausted(tenant), deliveries, before_unix_ms)
        return trimmed + await self._trim(self._keys.told_events(tenant), events, before_unix_ms)

    async def _after(self, key: str, place: str, until_unix_ms: int, limit: int) -> list[str]:
        with redis_errors():
            places = await self._redis.zrangebylex(
                key, f"({place}" if place else "-", f"({place_of(until_unix_ms)}", 0, limit
            )
        return cast(list[str], places)

    async def _trim(self, index: str, record: Callable[[str], str], before_unix_ms: int) -> int:
        lower, trimmed = "", 0
        while True:
            places = await self._after(index, lower, before_unix_ms, _TRIM_MAX)
            if not places:
                return trimmed
            with redis_errors():
                async with self._redis.pipeline(transaction=False) as pipe:
                    for place in places:
                        pipe.exists(record(id_at(place)))
                    there = await pipe.execute()
                gone = [place for place, found in zip(places, there, strict=True) if not found]
                if gone:
                    await self._redis.zrem(index, *gone)
            trimmed += len(gone)
            lower = places[-1]
