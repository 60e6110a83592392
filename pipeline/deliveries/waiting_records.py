"""Records that somebody still has to be told of: they live on for as long as the telling waits.

A record ends its retention counted from the job's end, or from the attempt that was planned last.
But an announcement may wait for a notifier that is away, and a delivery in the backlog of a
receiver that is away, for longer than that. What waits is found where it waits, so nothing that has
been told is kept by mistake.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.protocol import Keyspace

_ROUND_TRIP_MAX = 256


class WaitingRecords:
    """Looks through what waits to be told. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys
        self._renew_records = load_script(redis, "renew_records")

    async def renew(self, *, life_ms: int) -> int:
        """Let what waits live for *life_ms* from now, where half of it or less is left.

        Gives how many records that concerned. Safe to run at any time, several at once.
        """
        renewed = 0
        async for fields in self._entries(self._keys.announcements):
            renewed += await self._renew([self._subject(each) for each in fields], life_ms)
        for stream in (self._keys.deliveries, self._keys.retries):
            async for fields in self._entries(stream):
                renewed += await self._renew_deliveries(
                    [each.get("delivery_id", "") for each in fields], life_ms
                )
        with redis_errors():
            receivers = cast(list[str], await self._redis.zrange(self._keys.backlogs, 0, -1))
        backlogs = [self._keys.backlog(receiver) for receiver in receivers]
        for waiting in (self._keys.delivery_schedule, *backlogs):
            async for delivery_ids in self._members(waiting):
                renewed += await self._renew_deliveries(delivery_ids, life_ms)
        return renewed

    def _subject(self, fields: dict[str, str]) -> str:
        job_id, event_id = fields.get("job_id", ""), fields.get("event_id", "")
        return self._keys.job(job_id) if job_id else self._keys.event(event_id)

    async def _renew_deliveries(self, delivery_ids: Sequence[str], life_ms: int) -> int:
        """Renew deliveries with their attempts and what they are about."""
        records = [self._keys.delivery(each) for each in delivery_ids]
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for record in records:
                    pipe.hmget(record, ["job_id", "event_id"])
                answers = await pipe.execute()
        subjects = {
            self._subject({"job_id": job_id or "", "event_id": event_id or ""})
            for job_id, event_id in answers
        }
        attempts = [self._keys.attempts(each) for each in delivery_ids]
        return await self._renew([*records, *attempts, *subjects], life_ms)

    async def _renew(self, records: Sequence[str], life_ms: int) -> int:
        with redis_errors():
            return int(await self._renew_records(keys=list(records), args=[life_ms]))

    async def _entries(self, stream: str) -> AsyncIterator[list[dict[str, str]]]:
        first = "-"
        while True:
            with redis_errors():
                answer = await self._redis.xrange(stream, min=first, count=_ROUND_TRIP_MAX)
            rows = cast(list[tuple[str, dict[str, str]]], answer)
            if not rows:
                return
            yield [fields for _, fields in rows if fields]
            first = f"({rows[-1][0]}"

    async def _members(self, waiting: str) -> AsyncIterator[list[str]]:
        # By place: what moves on meanwhile may hide another until the next time, half a life early.
        first = 0
        while True:
            with redis_errors():
                answer = await self._redis.zrange(waiting, first, first + _ROUND_TRIP_MAX - 1)
            members = cast(list[str], answer)
            if not members:
                return
            yield members
            first += len(members)
