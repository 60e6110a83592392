"""Records of what waits to be told, against a real server: they live on, and no other does."""

from __future__ import annotations

from redis.asyncio import Redis

from pipeline.deliveries.delivery import Attempt, DeliveryState
from pipeline.deliveries.receivers import ReceiverStore
from pipeline.deliveries.store import DeliveryStore, Settlement
from pipeline.deliveries.waiting_records import WaitingRecords
from pipeline.events.event import Event, EventType
from pipeline.events.store import EventStore
from pipeline.jobs.job import Job, JobState, Subscriber
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import NOTIFIER_GROUP, Keyspace
from pipeline.streams import StreamReader
from tests.builders import make_id, make_job, make_subscriber

LIFE_MS = 3_600_000
SHORT_MS = 60_000
FAILED = Attempt(number=1, at_unix_ms=1_000, duration_ms=12, status=503)


async def ended(redis: Redis, keys: Keyspace, *subscribers: Subscriber) -> Job:
    """End a job whose record is kept for a minute."""
    job = make_job(subscribers=subscribers)
    store = JobStore(redis, keys, retention_ms=SHORT_MS)
    await store.accept([job], waiting_max=100)
    assert await store.move([Move(job=job, to=JobState.CANCELED, finished_unix_ms=1)]) == [True]
    return job


async def put_off(redis: Redis, keys: Keyspace, *, receiver: str) -> None:
    """Claim the only delivery and put it off after an attempt, as after an error."""
    reader = StreamReader(redis, keys, group=NOTIFIER_GROUP, consumer="n", lease_ms=60_000)
    await reader.ensure_groups([keys.deliveries])
    (entry,) = await reader.claim([keys.deliveries], count=10, block_ms=0)
    store = DeliveryStore(redis, keys, retention_ms=SHORT_MS)
    (delivery,) = await store.get_many([entry.fields["delivery_id"]])
    assert delivery is not None
    settlement = Settlement.of(
        delivery, entry, DeliveryState.PENDING, attempt=FAILED, due_unix_ms=1, receiver=receiver
    )
    assert await store.settle([settlement], now_unix_ms=1) == [True]


async def lives_of(redis: Redis, *names: str) -> set[bool]:
    """Tell which of both is among records: those that live for long, and those that do not."""
    return {await redis.pttl(name) > LIFE_MS // 2 for name in names}


async def test_what_waits_in_a_stream_lives_on(redis: Redis, keys: Keyspace) -> None:
    """A delivery that no notifier has taken, and its job; another job ends with its retention."""
    told, untold = make_subscriber(), await ended(redis, keys)
    job = await ended(redis, keys, told)
    names = keys.job(job.job_id), keys.delivery(told.delivery_id)
    assert await lives_of(redis, *names) == {False}
    waiting = WaitingRecords(redis, keys)

    assert await waiting.renew(life_ms=LIFE_MS) == 2
    assert await waiting.renew(life_ms=LIFE_MS) == 0

    assert await lives_of(redis, *names) == {True}
    assert await lives_of(redis, keys.job(untold.job_id)) == {False}


async def test_what_waits_for_its_receiver_lives_on(redis: Redis, keys: Keyspace) -> None:
    """In the schedule and in a backlog, with the attempts that were made."""
    for receiver in ("", "url_1"):
        told = make_subscriber()
        job = await ended(redis, keys, told)
        await put_off(redis, keys, receiver=receiver)

        assert await WaitingRecords(redis, keys).renew(life_ms=LIFE_MS) == 3

        names = keys.job(job.job_id), keys.delivery(told.delivery_id)
        assert await lives_of(redis, *names, keys.attempts(told.delivery_id)) == {True}
    assert await ReceiverStore(redis, keys).due_backlogs(now_unix_ms=2, limit=9) == ["url_1"]


async def test_what_was_announced_lives_on(redis: Redis, keys: Keyspace) -> None:
    """The job of an announcement that no notifier has fanned out, and an event that is no job's."""
    endpoint_id = make_id("whk")
    job = await ended(redis, keys, make_subscriber(url="", secret="", endpoint_id=endpoint_id))
    event = Event(
        event_id=make_id("evt"),
        tenant=job.tenant,
        type=EventType.BATCH_COMPLETED,
        subject=make_id("batch"),
        unix_ms=1,
        data={},
        subscribers=(make_subscriber(),),
    )
    assert await EventStore(redis, keys, retention_ms=SHORT_MS).announce(event)

    assert await WaitingRecords(redis, keys).renew(life_ms=LIFE_MS) == 2

    names = keys.job(job.job_id), keys.event(event.event_id)
    assert await lives_of(redis, *names) == {True}


async def test_nothing_is_made_of_what_is_gone(redis: Redis, keys: Keyspace) -> None:
    """Neither a record that ended nor one without an end is touched, however many wait."""
    for number in range(300):
        await redis.xadd(keys.deliveries, {"kind": "x", "delivery_id": f"msg_{number}"})
    await redis.xadd(keys.announcements, {"kind": "x"})
    await redis.hset(keys.delivery("msg_7"), mapping={"job_id": "job_7", "state": "pending"})

    assert await WaitingRecords(redis, keys).renew(life_ms=LIFE_MS) == 0

    assert await redis.pttl(keys.delivery("msg_7")) == -1
    assert await redis.exists(keys.delivery("msg_1"), keys.job("job_7"), keys.job("")) == 0
