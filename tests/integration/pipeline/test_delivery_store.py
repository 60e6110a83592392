"""Deliveries against a real server: attempts, postponements, the schedule."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from redis.asyncio import Redis

from pipeline.deliveries.delivery import Attempt, DeliveryState
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.jobs.job import JobState
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import NOTIFIER_GROUP, DeliveryDue, Keyspace
from pipeline.streams import Entry, StreamReader
from tests.builders import make_job, make_subscriber

FAILED_ATTEMPT = Attempt(
    number=1, at_unix_ms=1_000, duration_ms=12, status=503, answer="busy ☕ \ud800"
)
GOOD_ATTEMPT = Attempt(number=2, at_unix_ms=2_000, duration_ms=3, status=204)


async def claim_due(redis: Redis, keys: Keyspace, *, consumer: str = "n") -> list[Entry]:
    """Claim all deliveries that are due, new ones and retries, as a notifier."""
    reader = StreamReader(redis, keys, group=NOTIFIER_GROUP, consumer=consumer, lease_ms=60_000)
    streams = [keys.deliveries, keys.retries]
    await reader.ensure_groups(streams)
    return await reader.claim(streams, count=1000, block_ms=0)


async def ended_job(redis: Redis, keys: Keyspace, *, subscribers: int = 1) -> list[str]:
    """End a job with so many subscribers; give its deliveries' ids."""
    job = make_job(subscribers=tuple(make_subscriber() for _ in range(subscribers)))
    store = JobStore(redis, keys)
    await store.accept([job], waiting_max=100)
    assert await store.move([Move(job=job, to=JobState.CANCELED)]) == [True]
    return [subscriber.delivery_id for subscriber in job.subscribers]


async def claimed_delivery(redis: Redis, keys: Keyspace) -> Settlement:
    """Give the settlement of one claimed delivery, still without an outcome."""
    (delivery_id,) = await ended_job(redis, keys)
    (entry,) = await claim_due(redis, keys)
    return Settlement(
        delivery_id=delivery_id, job_id="job_1", entry=entry, state=DeliveryState.PENDING
    )


async def test_an_ended_job_has_its_deliveries(redis: Redis, keys: Keyspace) -> None:
    """Each subscriber's delivery is stored, pending, and due at once."""
    ids = await ended_job(redis, keys, subscribers=2)
    store = DeliveryStore(redis, keys)

    deliveries = await store.get_many([*ids, "msg_none"])

    assert deliveries[2] is None
    found = [delivery for delivery in deliveries if delivery is not None]
    assert [delivery.delivery_id for delivery in found] == ids
    assert {delivery.state for delivery in found} == {DeliveryState.PENDING}
    assert await store.attempts(ids[0]) == []


async def test_a_delivered_one_is_settled_for_good(redis: Redis, keys: Keyspace) -> None:
    """A success is recorded with its attempt; neither an entry nor a schedule remains."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)

    done = replace(due, state=DeliveryState.DELIVERED, attempt=GOOD_ATTEMPT)
    assert await store.settle([done], now_unix_ms=0) == [True]

    (delivery,) = await store.get_many([due.delivery_id])
    assert delivery is not None
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert await store.attempts(due.delivery_id) == [GOOD_ATTEMPT]
    assert await redis.xlen(keys.deliveries) == 0
    assert (await store.release_due(now_unix_ms=9**15, limit=10)).released == 0


async def test_a_failed_one_waits_for_its_moment(redis: Redis, keys: Keyspace) -> None:
    """A delivery to be tried again is released at its moment and not before, once."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)
    moment = 1_700_000_000_123

    await store.settle([replace(due, attempt=FAILED_ATTEMPT, due_unix_ms=moment)], now_unix_ms=0)

    (delivery,) = await store.get_many([due.delivery_id])
    assert delivery is not None
    assert (delivery.state, delivery.due_unix_ms) == (DeliveryState.PENDING, moment)
    early = await store.release_due(now_unix_ms=moment - 1, limit=10)
    assert (early.released, early.next_due_unix_ms) == (0, moment)
    punctual = await store.release_due(now_unix_ms=moment, limit=10)
    assert (punctual.released, punctual.next_due_unix_ms) == (1, None)
    (entry,) = await claim_due(redis, keys)
    assert DeliveryDue.from_fields(entry.fields).delivery_id == due.delivery_id


async def test_a_clock_set_back_stops_no_retry(redis: Redis, keys: Keyspace) -> None:
    """What was planned while the clock stood years ahead is released now, once."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)
    ten_years_ms = 10 * 365 * 86_400_000
    await store.settle(
        [replace(due, attempt=FAILED_ATTEMPT, due_unix_ms=ten_years_ms)], now_unix_ms=ten_years_ms
    )

    back = await store.release_due(now_unix_ms=1000, limit=10)
    again = await store.release_due(now_unix_ms=1000, limit=10)

    assert (back.released, again.released) == (1, 0)


async def test_a_postponement_is_no_attempt(redis: Redis, keys: Keyspace) -> None:
    """Putting a delivery off counts nothing and records nothing."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)

    assert await store.settle([replace(due, due_unix_ms=5)], now_unix_ms=0) == [True]

    (delivery,) = await store.get_many([due.delivery_id])
    assert delivery is not None
    assert delivery.attempts == 0
    assert await store.attempts(due.delivery_id) == []
    assert (await store.release_due(now_unix_ms=5, limit=10)).released == 1


async def test_attempts_are_kept_in_their_order(redis: Redis, keys: Keyspace) -> None:
    """Every attempt of a delivery is listed, oldest first, and counted."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)
    first = replace(FAILED_ATTEMPT, answer="忙")
    await store.settle([replace(due, attempt=first, due_unix_ms=5)], now_unix_ms=0)
    await store.release_due(now_unix_ms=5, limit=10)
    (entry,) = await claim_due(redis, keys)

    again = replace(due, entry=entry, state=DeliveryState.DELIVERED, attempt=GOOD_ATTEMPT)
    await store.settle([again], now_unix_ms=0)

    assert await store.attempts(due.delivery_id) == [first, GOOD_ATTEMPT]
    (delivery,) = await store.get_many([due.delivery_id])
    assert delivery is not None
    assert (delivery.attempts, delivery.due_unix_ms) == (2, 0)


async def test_an_answer_that_is_no_text_is_still_recorded(redis: Redis, keys: Keyspace) -> None:
    """Whatever a subscriber answered with, the attempt is written and the entry settled."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)

    settled = await store.settle(
        [replace(due, attempt=FAILED_ATTEMPT, due_unix_ms=5)], now_unix_ms=0
    )

    assert settled == [True]
    (attempt,) = await store.attempts(due.delivery_id)
    assert attempt.answer == "busy ☕ ?"


async def test_a_second_settlement_is_refused(redis: Redis, keys: Keyspace) -> None:
    """The first outcome stands; a late notifier's, or a repeated call's, writes nothing."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)
    done = replace(due, state=DeliveryState.DELIVERED, attempt=GOOD_ATTEMPT)
    late = replace(due, attempt=FAILED_ATTEMPT, due_unix_ms=5)

    assert await store.settle([done], now_unix_ms=0) == [True]
    assert await store.settle([late, done], now_unix_ms=0) == [False, False]

    (delivery,) = await store.get_many([due.delivery_id])
    assert delivery is not None
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert await store.attempts(due.delivery_id) == [GOOD_ATTEMPT]
    assert (await store.release_due(now_unix_ms=5, limit=10)).released == 0


async def test_many_are_settled_at_once(redis: Redis, keys: Keyspace) -> None:
    """One call settles each of several deliveries by its own outcome."""
    store = DeliveryStore(redis, keys)
    ids = await ended_job(redis, keys, subscribers=3)
    entries = await claim_due(redis, keys)
    states = [DeliveryState.DELIVERED, DeliveryState.EXHAUSTED, DeliveryState.PENDING]

    settled = await store.settle(
        [
            Settlement(
                delivery_id=delivery_id,
                job_id="job_1",
                entry=entry,
                state=state,
                attempt=GOOD_ATTEMPT,
                due_unix_ms=7 if state is DeliveryState.PENDING else None,
            )
            for delivery_id, entry, state in zip(ids, entries, states, strict=True)
        ],
        now_unix_ms=0,
    )

    assert settled == [True] * 3
    assert [d.state for d in await store.get_many(ids) if d is not None] == states
    assert await redis.xlen(keys.deliveries) == 0
    assert await redis.zcard(keys.delivery_schedule) == 1
    assert await store.settle([], now_unix_ms=0) == []


async def test_several_movers_release_each_once(redis: Redis, keys: Keyspace) -> None:
    """However many movers run at once, each due delivery comes back exactly once."""
    store = DeliveryStore(redis, keys)
    ids = await ended_job(redis, keys, subscribers=100)
    entries = await claim_due(redis, keys)
    await store.settle(
        [
            Settlement(
                delivery_id=delivery_id,
                job_id="job_1",
                entry=entry,
                state=DeliveryState.PENDING,
                due_unix_ms=5,
            )
            for delivery_id, entry in zip(ids, entries, strict=True)
        ],
        now_unix_ms=0,
    )

    releases = await asyncio.gather(
        *(DeliveryStore(redis, keys).release_due(now_unix_ms=5, limit=7) for _ in range(20))
    )

    assert sum(release.released for release in releases) == 100
    assert max(release.released for release in releases) == 7
    back = await claim_due(redis, keys)
    assert sorted(DeliveryDue.from_fields(e.fields).delivery_id for e in back) == sorted(ids)


async def test_a_delivery_ends_with_its_job(redis: Redis, keys: Keyspace) -> None:
    """After the last attempt, record and attempts have what is left of the job's retention."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)
    await redis.pexpire(keys.delivery(due.delivery_id), 50_000)

    done = replace(due, state=DeliveryState.EXHAUSTED, attempt=FAILED_ATTEMPT)
    await store.settle([done], now_unix_ms=0)

    assert 0 < await redis.pttl(keys.attempts(due.delivery_id)) <= 50_000
    assert 0 < await redis.pttl(keys.delivery(due.delivery_id)) <= 50_000


async def test_what_is_tried_again_lives_on_for_it(redis: Redis, keys: Keyspace) -> None:
    """Job, record and attempts stay a whole retention past the next attempt, never shorter."""
    store = DeliveryStore(redis, keys, retention_ms=100_000)
    job = make_job(subscribers=(make_subscriber(),))
    jobs = JobStore(redis, keys, retention_ms=100_000)
    await jobs.accept([job], waiting_max=100)
    await jobs.move([Move(job=job, to=JobState.CANCELED)])
    (entry,) = await claim_due(redis, keys)
    delivery_id = job.subscribers[0].delivery_id
    due = Settlement(
        delivery_id=delivery_id,
        job_id=job.job_id,
        entry=entry,
        state=DeliveryState.PENDING,
        attempt=FAILED_ATTEMPT,
        due_unix_ms=1_000_000,
    )

    await store.settle([due], now_unix_ms=900_000)

    for key in (keys.job(job.job_id), keys.delivery(delivery_id), keys.attempts(delivery_id)):
        assert 190_000 < await redis.pttl(key) <= 200_000


async def test_a_delivery_past_its_retention_is_only_settled(redis: Redis, keys: Keyspace) -> None:
    """When the record is gone the entry is settled, and nothing is written that would stay."""
    store = DeliveryStore(redis, keys)
    due = await claimed_delivery(redis, keys)
    await redis.delete(keys.delivery(due.delivery_id))

    assert await store.settle(
        [replace(due, attempt=FAILED_ATTEMPT, due_unix_ms=5)], now_unix_ms=0
    ) == [False]

    assert await redis.xlen(keys.deliveries) == 0
    assert await redis.exists(keys.attempts(due.delivery_id), keys.delivery_schedule) == 0
