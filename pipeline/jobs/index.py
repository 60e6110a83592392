"""A tenant's jobs in the order of their acceptance: listing them page by page, removing them.

The index is one sorted set of ids for each tenant. Ids sort by time, so the last id of a page is a
cursor that stays right whatever arrives or ends meanwhile: what existed when the first page was
read is met exactly once, unless its record goes. What has outlived its record is trimmed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.ids import first_id
from pipeline.jobs.job import SUMMARY_FIELDS, Job, JobState, summary_from_fields
from pipeline.protocol import Keyspace

_TERMINAL_JSON = json.dumps({state: True for state in JobState if state.is_terminal})

#: So many ids are looked at in one round trip.
_TRIM_MAX = 500

#: Sorts behind every id.
_LAST = "+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which jobs are listed: newest first, those before *before_id*, accepted in the interval.

    *from_unix_ms* is included, *until_unix_ms* is not; 0 is no bound, as is "" for the id.
    """

    before_id: str = ""
    from_unix_ms: int = 0
    until_unix_ms: int = 0

    @property
    def upper(self) -> str:
        """Give the bound that is passed first, as ZRANGE BYLEX has it."""
        bounds = [self.before_id] if self.before_id else []
        if self.until_unix_ms:
            bounds.append(first_id("job", self.until_unix_ms))
        return f"({min(bounds)}" if bounds else _LAST

    @property
    def lower(self) -> str:
        """Give the bound at which the list ends."""
        return f"[{first_id('job', self.from_unix_ms)}" if self.from_unix_ms else "-"


class JobIndex:
    """The index in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys
        self._remove_job = load_script(redis, "remove_job")

    async def submitters(self) -> list[str]:
        """List the tenants that ever had jobs."""
        with redis_errors():
            return sorted(cast(set[str], await self._redis.smembers(self._keys.submitters)))

    async def ids(self, tenant: str, span: Span, *, limit: int) -> list[str]:
        """List at most *limit* ids within *span*, newest first."""
        with redis_errors():
            ids = await self._redis.zrange(
                self._keys.jobs(tenant),
                cast(Any, span.upper),
                cast(Any, span.lower),
                desc=True,
                bylex=True,
                offset=0,
                num=limit,
            )
        return cast(list[str], ids)

    async def summaries(
        self, job_ids: Sequence[str], *, with_result: bool = False
    ) -> list[Job | None]:
        """Give the records without their subscribers and, unless asked for, without results."""
        names = [*SUMMARY_FIELDS, "result"] if with_result else list(SUMMARY_FIELDS)
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hmget(self._keys.job(job_id), names)
                rows = await pipe.execute()
        return [
            summary_from_fields(job_id, dict(zip(names, row, strict=True)))
            for job_id, row in zip(job_ids, rows, strict=True)
        ]

    async def remove(self, job: Job) -> str:
        """Remove an ended job's record, its place here, and the deliveries that have been made.

        Those that are still to be made end without their job, at the notifier. Gives "" when it is
        done, "gone" when nothing was there, or the state of one that lives.
        """
        deliveries = [each.delivery_id for each in job.subscribers]
        names = [
            self._keys.job(job.job_id),
            self._keys.jobs(job.tenant),
            self._keys.delivery_schedule,
        ]
        for delivery_id in deliveries:
            names += [self._keys.delivery(delivery_id), self._keys.attempts(delivery_id)]
        with redis_errors():
            answer = await self._remove_job(
                keys=names, args=[job.job_id, _TERMINAL_JSON, *deliveries]
            )
        return cast(str, answer)

    async def trim(self, tenant: str, *, accepted_before_unix_ms: int) -> int:
        """Drop the ids of jobs without a record, among those this old; give how many.

        Nothing younger can have outlived its record: asked of the shortest retention there is.
        """
        lower, trimmed = "-", 0
        upper = f"({first_id('job', accepted_before_unix_ms)}"
        index = self._keys.jobs(tenant)
        while True:
            with redis_errors():
                ids = cast(
                    list[str], await self._redis.zrangebylex(index, lower, upper, 0, _TRIM_MAX)
                )
                if not ids:
                    return trimmed
                async with self._redis.pipeline(transaction=False) as pipe:
                    for job_id in ids:
                        pipe.exists(self._keys.job(job_id))
                    there = await pipe.execute()
                gone = [job_id for job_id, found in zip(ids, there, strict=True) if not found]
                if gone:
                    await self._redis.zrem(index, *gone)
            trimmed += len(gone)
            lower = f"({ids[-1]}"
