"""Canceling jobs and removing them."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis

from pipeline.access.keys import KeyStore, Scope, make_key
from pipeline.deliveries.store import DeliveryStore
from pipeline.jobs.job import Job, JobState
from pipeline.jobs.kept import KeptPictures
from pipeline.jobs.store import JobStore, Move
from pipeline.protocol import DISPATCHER_GROUP, InferRequested, Keyspace
from pipeline.streams import Entry, StreamReader
from tests.builders import make_inferred
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import Webapp, add_key, finish

WEBHOOK = '{"url": "https://example.com/h", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}'


async def started(redis: Redis, keys: Keyspace, job_id: str) -> tuple[Entry, Job]:
    """Claim and start the one job that waits, as a dispatcher would."""
    store = JobStore(redis, keys)
    job = await store.get(job_id)
    assert job is not None
    stream = keys.infer(job.model, job.priority, job.tenant)
    reader = StreamReader(redis, keys, group=DISPATCHER_GROUP, consumer="a", lease_ms=60_000)
    await reader.ensure_groups([stream])
    (entry,) = await reader.claim([stream], count=1, block_ms=0)
    (running,) = await store.start([(entry, InferRequested(job_id=job_id))], now_unix_ms=5)
    assert running is not None
    return entry, running


async def test_a_waiting_job_is_canceled_at_once(
    webapp: Webapp, redis: Redis, keys: Keyspace, look: Look
) -> None:
    """It has ended, its picture is gone, its subscriber is told, and no device will see it."""
    job = (await webapp.post(headers={"gw-webhook": WEBHOOK})).json()

    answer = await webapp.http.delete(f"/v1/jobs/{job['id']}")

    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert answer.json()["reason"]["code"] == "canceled"
    assert answer.json()["finished_at"] is not None
    found = await look()
    assert (found.counts[JobState.QUEUED], found.counts[JobState.CANCELED]) == (0, 1)
    assert found.pictures == frozenset()
    deliveries = (await webapp.http.get(f"/v1/jobs/{job['id']}/deliveries")).json()["deliveries"]
    assert [each["state"] for each in deliveries] == ["pending"]
    assert await redis.xlen(keys.deliveries) == 1
    record = await JobStore(redis, keys).get(job["id"])
    assert record is not None
    reader = StreamReader(redis, keys, group=DISPATCHER_GROUP, consumer="a", lease_ms=60_000)
    stream = keys.infer(record.model, record.priority, record.tenant)
    await reader.ensure_groups([stream])
    (entry,) = await reader.claim([stream], count=1, block_ms=0)
    message = InferRequested(job_id=job["id"])
    assert await JobStore(redis, keys).start([(entry, message)], now_unix_ms=5) == [None]


async def test_a_running_job_is_canceled_and_its_late_result_is_void(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """The dispatcher's finish is refused, and nothing is told but the cancellation."""
    job = (await webapp.post(headers={"gw-webhook": WEBHOOK})).json()
    entry, running = await started(redis, keys, job["id"])

    answer = await webapp.http.delete(f"/v1/jobs/{job['id']}")
    late = Move(
        job=running,
        to=JobState.INFERRED,
        cause=entry,
        group=DISPATCHER_GROUP,
        announces=make_inferred(running),
        stream=keys.results,
    )
    moved = await JobStore(redis, keys).move([late])

    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert moved == [False]
    assert (await webapp.http.get(f"/v1/jobs/{job['id']}")).json()["state"] == "canceled"
    assert await redis.xlen(keys.results) == 0
    assert await redis.xlen(keys.deliveries) == 1
    assert (await redis.xpending(entry.stream, DISPATCHER_GROUP))["pending"] == 0


async def test_a_job_between_device_and_result_is_canceled(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """Its rules are applied in vain: a success of it is refused."""
    job = await webapp.submit()
    store = JobStore(redis, keys)
    entry, running = await started(redis, keys, job["id"])
    step = Move(job=running, to=JobState.INFERRED, cause=entry, group=DISPATCHER_GROUP)
    assert await store.move([step]) == [True]

    answer = await webapp.http.delete(f"/v1/jobs/{job['id']}")
    succeeded = Move(job=running, to=JobState.SUCCEEDED, expected=frozenset({JobState.INFERRED}))

    assert answer.json()["state"] == "canceled"
    assert await store.move([succeeded]) == [False]


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED])
async def test_an_ended_job_cannot_be_canceled(
    webapp: Webapp, redis: Redis, keys: Keyspace, state: JobState
) -> None:
    """409 with how it ended; a second cancellation is late, too."""
    job = await webapp.submit()
    await finish(JobStore(redis, keys), job["id"], to=state, result="{}")

    answer = await webapp.http.delete(f"/v1/jobs/{job['id']}")

    assert (answer.status_code, answer.json()["code"]) == (409, "job_ended")
    assert answer.json()["state"] == state
    assert (await webapp.http.get(f"/v1/jobs/{job['id']}")).json()["state"] == state


async def test_only_who_submits_may_withdraw(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """A reader may not, a stranger finds nothing, and whoever submitted it may without reading."""
    job = await webapp.submit()
    stranger = await add_key(redis, keys, tenant="other")
    tokens = []
    for scopes in ((Scope.READ_ALL,), (Scope.SUBMIT,)):
        token, record = make_key(tenant="acme", description="", now_unix_ms=1, scopes=scopes)
        await KeyStore(redis, keys).add(record)
        tokens.append(token)
    reader, writer = ({"authorization": f"Bearer {token}"} for token in tokens)
    path = f"/v1/jobs/{job['id']}"
    own = (await webapp.post(headers=writer)).json()

    statuses = [
        (await webapp.http.delete(path, headers=reader)).status_code,
        (
            await webapp.http.delete(path, headers={"authorization": f"Bearer {stranger}"})
        ).status_code,
        (await webapp.http.delete(path, headers=writer)).status_code,
        (await webapp.http.delete(f"/v1/jobs/{own['id']}", headers=writer)).status_code,
    ]

    assert statuses == [403, 404, 404, 200]


async def test_a_removed_job_leaves_nothing(
    webapp: Webapp, redis: Redis, keys: Keyspace, tmp_path: Path
) -> None:
    """Record, place in the list and kept files are gone; what was told of it, too."""
    job = (await webapp.post(headers={"gw-webhook": WEBHOOK})).json()
    record = await finish(JobStore(redis, keys), job["id"], to=JobState.SUCCEEDED, result="{}")
    kept = KeptPictures(tmp_path / "kept")
    kept.put_preview(job["id"], b"jpeg", until_unix_ms=1 << 41)
    (subscriber,) = record.subscribers
    await redis.hset(keys.delivery(subscriber.delivery_id), "state", "delivered")

    answer = await webapp.http.delete(f"/v1/jobs/{job['id']}/record")

    assert answer.status_code == 204
    assert (await webapp.http.get(f"/v1/jobs/{job['id']}")).status_code == 404
    assert (await webapp.http.get("/v1/jobs")).json() == {"jobs": [], "next": None}
    assert await DeliveryStore(redis, keys).get_many([subscriber.delivery_id]) == [None]
    assert kept.preview(job["id"]) is None
    again = await webapp.http.delete(f"/v1/jobs/{job['id']}/record")
    assert again.status_code == 404
    page = (await webapp.http.get("/v1/events?after=start")).json()
    assert [event["data"] for event in page["events"]] == [{"id": job["id"]}] * 2


async def test_a_delivery_of_a_removed_job_is_brought_forward(
    webapp: Webapp, redis: Redis, keys: Keyspace
) -> None:
    """It waits for its next attempt no longer: the notifier gives it up at once."""
    job = (await webapp.post(headers={"gw-webhook": WEBHOOK})).json()
    record = await finish(JobStore(redis, keys), job["id"], to=JobState.SUCCEEDED, result="{}")
    (subscriber,) = record.subscribers
    await redis.zadd(keys.delivery_schedule, {subscriber.delivery_id: 1 << 41})

    await webapp.http.delete(f"/v1/jobs/{job['id']}/record")

    assert await redis.zscore(keys.delivery_schedule, subscriber.delivery_id) == 0
    (delivery,) = await DeliveryStore(redis, keys).get_many([subscriber.delivery_id])
    assert delivery is not None


async def test_a_live_job_is_not_removed(webapp: Webapp) -> None:
    """409: it has to end first, so that its subscribers are told."""
    job = await webapp.submit()

    answer = await webapp.http.delete(f"/v1/jobs/{job['id']}/record")

    assert (answer.status_code, answer.json()["code"]) == (409, "job_not_ended")
    assert (await webapp.http.get(f"/v1/jobs/{job['id']}")).status_code == 200
