"""Tokens taken from buckets in Redis."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from pipeline.jobs.quotas import Bucket, Quota
from pipeline.jobs.store import JobStore
from pipeline.jobs.token_buckets import TokenBuckets
from pipeline.protocol import Keyspace
from tests.builders import make_job


def bucket(keys: Keyspace, name: str, burst: int) -> Bucket:
    """Make a bucket that fills too slowly for a test to see."""
    return Bucket(name=name, key=keys.bucket("acme", name), rate_per_s=0.001, burst=burst)


async def test_what_there_is_is_taken_from_all(redis: Redis, keys: Keyspace) -> None:
    """As many as the emptiest has; then none, and it is said which lacks and for how long."""
    buckets = TokenBuckets(redis)
    both = [bucket(keys, "tenant", 9), bucket(keys, "key", 4)]

    first = await buckets.take(both, at_most=6)
    second = await buckets.take(both, at_most=6)

    assert (first.count, [level.remaining for level in first.levels]) == (4, [5, 0])
    assert second.count == 0
    assert second.refusal is not None
    assert second.refusal.name == "key"
    assert 990_000 < second.refusal.amount <= 1_000_000
    assert [level.remaining for level in second.levels] == [5, 0]


async def test_what_is_to_be_spared_stays(redis: Redis, keys: Keyspace) -> None:
    """Half of the bucket is left to those who spare nothing."""
    buckets = TokenBuckets(redis)
    own = [bucket(keys, "tenant", 9)]

    spared = [(await buckets.take(own, at_most=9, spare_percent=50)).count for _ in range(2)]

    assert spared == [5, 0]
    assert (await buckets.take(own, at_most=9)).count == 4


async def test_many_at_once_take_no_token_twice(redis: Redis, keys: Keyspace) -> None:
    """Of twenty takers seven get one."""
    buckets = TokenBuckets(redis)
    own = [bucket(keys, "tenant", 7)]

    taken = await asyncio.gather(*(buckets.take(own, at_most=1) for _ in range(20)))

    assert sum(each.count for each in taken) == 7


async def test_jobs_take_from_the_same_bucket(redis: Redis, keys: Keyspace) -> None:
    """What was taken here is not there for a submission, and the other way round."""
    own = bucket(keys, "tenant", 2)
    assert (await TokenBuckets(redis).take([own], at_most=1)).count == 1

    admission = await JobStore(redis, keys).accept(
        [make_job()], waiting_max=10, quota=Quota(buckets=(own,))
    )

    assert admission.accepted
    assert (await TokenBuckets(redis).take([own], at_most=1)).count == 0


async def test_without_buckets_nothing_is_limited(redis: Redis) -> None:
    """All that was asked for is given, and Redis is not asked."""
    assert (await TokenBuckets(redis).take([], at_most=32)).count == 32
