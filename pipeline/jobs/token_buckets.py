"""Taking tokens before the work that they pay for: where that is long, or made of many parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.jobs.quotas import Bucket, BucketLevel, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What was taken: *count* from each bucket, or none because of *refusal*."""

    count: int
    levels: tuple[BucketLevel, ...] = ()
    refusal: Refusal | None = None


class TokenBuckets:
    """The buckets in Redis, which the script that accepts jobs takes from as well."""

    def __init__(self, redis: Redis) -> None:
        self._take_tokens = load_script(redis, "take_tokens")

    async def take(
        self, buckets: Sequence[Bucket], *, at_most: int, spare_percent: int = 0
    ) -> Tokens:
        """Take as many as all *buckets* have, one at least and *at_most*, or none.

        So much of each stays in it. Without buckets nothing is limited. Raises Unavailable.
        """
        if not buckets:
            return Tokens(count=at_most)
        args: list[str | int | float] = [1, at_most]
        for bucket in buckets:
            args += [bucket.rate_per_s, bucket.burst, bucket.burst * spare_percent // 100]
        with redis_errors():
            answer = await self._take_tokens(keys=[bucket.key for bucket in buckets], args=args)
        count, lacking, wait_ms, *levels = answer
        return Tokens(
            count=int(count),
            levels=tuple(
                BucketLevel(bucket=bucket, remaining=int(level[0]), reset_ms=int(level[1]))
                for bucket, level in zip(buckets, levels, strict=True)
            ),
            refusal=(
                Refusal(name=buckets[int(lacking) - 1].name, amount=int(wait_ms))
                if lacking
                else None
            ),
        )
