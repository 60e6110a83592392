"""Withdrawing and ending batches: once each, with their results on the disk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from operations import stopping
from operations.parts import OperationParts
from operations.tasks import _take
from pipeline.batches.batch import BatchState, Step, next_step
from pipeline.ids import event_id_of
from pipeline.jobs.job import JobState
from pipeline.protocol import Keyspace
from pipeline.streams import entries_of
from tests.builders import make_subscriber
from tests.integration.operations.conftest import PICTURE, SubmittedBatch, submit, zipped
from tests.integration.webapp.running import finish


@pytest.fixture(autouse=True)
def _go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget that an earlier test asked to stop."""
    monkeypatch.setattr(stopping, "_asked", False)


async def advance(parts: OperationParts, submitted: SubmittedBatch) -> BatchState:
    """Take a batch as far as it gets; give its state."""
    while step := next_step(await submitted.now()):
        await _take(parts, await submitted.now(), step)
    return (await submitted.now()).state


async def expanded(parts: OperationParts, **changes: Any) -> SubmittedBatch:
    """Give a batch of three jobs and an item that is none."""
    entries = [(f"{name}.jpg", PICTURE) for name in "abc"] + [("d.txt", b"no")]
    submitted = await submit(parts, zipped(entries), **changes)
    assert await advance(parts, submitted) is BatchState.RUNNING
    return submitted


def lines(parts: OperationParts, submitted: SubmittedBatch) -> list[dict[str, Any]]:
    """Give the lines of a batch's result file."""
    path = parts.files.results(submitted.accepted.batch_id)
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_batch_ends_with_its_last_job(
    parts: OperationParts, redis: Redis, keys: Keyspace
) -> None:
    """Then its results are on the disk, its end is announced once, and its source is gone."""
    submitted = await expanded(parts, template={"subscribers": (make_subscriber(),)})
    batch = submitted.accepted
    ends = {0: JobState.SUCCEEDED, 1: JobState.FAILED, 2: JobState.EXPIRED}
    for index, state in ends.items():
        assert await advance(parts, submitted) is BatchState.RUNNING
        facts = {"result": '{"n":1}'} if state is JobState.SUCCEEDED else {"reason_code": "why"}
        await finish(parts.jobs, batch.job_id(index), to=state, **facts)

    last = await submitted.now()
    assert await advance(parts, submitted) is BatchState.COMPLETED
    await parts.finishing().finish(last)

    found = lines(parts, submitted)
    assert [line["state"] for line in found] == ["succeeded", "failed", "expired", "refused"]
    assert [line["result"] for line in found] == [{"n": 1}, None, None, None]
    assert not parts.files.source(batch.batch_id).exists()
    assert await parts.batches.open() == []
    assert await redis.pttl(keys.batch(batch.batch_id)) > 0
    event = (await parts.events.get_many([event_id_of(batch.batch_id)]))[0]
    assert event is not None
    assert (event.type, event.subject) == ("batch.completed", batch.batch_id)
    assert event.subscribers == batch.template.subscribers
    assert event.data["state"] == "completed"
    assert event.data["jobs"]["succeeded"] == event.data["jobs"]["failed"] == 1
    announced = entries_of({keys.announcements: [await redis.xrange(keys.announcements)]})
    told = [each for each in announced if each.fields["event_id"] == event.event_id]
    assert len(told) == 1


async def test_a_withdrawn_batch_cancels_what_waits(parts: OperationParts) -> None:
    """What is on a device goes to its end, and only then the batch is canceled."""
    submitted = await expanded(parts)
    batch = submitted.accepted
    job = await parts.jobs.get(batch.job_id(1))
    assert job is not None
    await finish(parts.jobs, job.job_id, to=JobState.RUNNING)

    assert await parts.batches.withdraw(batch.batch_id)
    assert await advance(parts, submitted) is BatchState.CANCELING
    assert (await submitted.now()).counts.live == 1
    await finish(parts.jobs, job.job_id, to=JobState.FAILED, reason_code="why")

    assert await advance(parts, submitted) is BatchState.CANCELED
    assert [line["state"] for line in lines(parts, submitted)] == [
        "canceled",
        "failed",
        "canceled",
        "refused",
    ]
    assert parts.blobs.get(batch.job_id(0)) is None


async def test_jobs_that_a_killed_expansion_did_not_count_are_canceled_too(
    parts: OperationParts,
) -> None:
    """Made but not counted when the batch is withdrawn: they are found by their ids."""
    submitted = await submit(parts, zipped([("a", PICTURE)]))
    batch = submitted.accepted
    made = [batch.job(index, batch.template.picture) for index in (0, 2)]
    assert (await parts.jobs.accept(made, waiting_max=10)).accepted

    assert await parts.batches.withdraw(batch.batch_id)
    assert await advance(parts, submitted) is BatchState.CANCELED

    counts = (await submitted.now()).counts
    assert (counts.items, counts.jobs, counts.refused, counts.canceled) == (3, 2, 1, 2)
    assert (await parts.jobs.counts())[JobState.QUEUED] == 0


async def test_an_unusable_source_ends_the_batch(parts: OperationParts) -> None:
    """Failed, with the reason; there is a result file all the same, without a line."""
    submitted = await submit(parts, b"this is no archive")

    assert await advance(parts, submitted) is BatchState.FAILED

    assert (await submitted.now()).reason_code == "unusable_source"
    assert lines(parts, submitted) == []


async def test_a_result_outlives_its_jobs_record(
    parts: OperationParts, redis: Redis, keys: Keyspace
) -> None:
    """What was collected while the batch ran stands when the record is gone at its end."""
    submitted = await expanded(parts)
    batch = submitted.accepted
    await finish(parts.jobs, batch.job_id(0), to=JobState.SUCCEEDED, result='{"n":7}')
    await parts.finishing().collect(await submitted.now())
    await redis.delete(keys.job(batch.job_id(0)))
    for index in (1, 2):
        await finish(parts.jobs, batch.job_id(index), to=JobState.SUCCEEDED, result='{"n":8}')

    assert await advance(parts, submitted) is BatchState.COMPLETED

    assert [line["result"] for line in lines(parts, submitted)] == [
        {"n": 7},
        {"n": 8},
        {"n": 8},
        None,
    ]


async def test_a_step_that_is_not_due_is_refused(parts: OperationParts) -> None:
    """A batch with live jobs does not end, whoever asks."""
    submitted = await expanded(parts)

    assert not await parts.batches.end(await submitted.now(), now_unix_ms=1)
    assert next_step(await submitted.now()) is None
    assert Step.EXPAND is next_step(submitted.accepted)
