"""Sweeps: what is left behind goes, what is needed stays."""

from __future__ import annotations

import os
from pathlib import Path

from redis.asyncio import Redis

from operations.parts import OperationParts
from operations.sweeps import sweep_batches, sweep_leftovers, sweep_pictures, sweep_waiting
from pipeline.health import HealthBoard, Heartbeat
from pipeline.jobs.job import JobState
from pipeline.jobs.store import Move
from pipeline.leftovers import Leftovers
from pipeline.protocol import POSTPROCESS_GROUP, Keyspace
from pipeline.streams import StreamReader, entries_of
from tests.builders import make_id, make_job, make_subscriber
from tests.integration.operations.conftest import PICTURE, submit, zipped

DAY_MS = 24 * 3600 * 1000


def age(path: Path, hours: float) -> None:
    """Make a file look old."""
    at_s = path.stat().st_mtime - hours * 3600
    os.utime(path, (at_s, at_s))


async def test_files_without_a_batch_are_removed(parts: OperationParts) -> None:
    """Old ones only: a source lies there a moment before its record."""
    open_batch = (await submit(parts, zipped([("a", PICTURE)]))).accepted
    mine = parts.files.source(open_batch.batch_id)
    orphan, young = (parts.files.source(make_id("batch")) for _ in range(2))
    half = parts.files.source(make_id("batch")).with_suffix(".source.part")
    for path in (orphan, young, half):
        path.write_bytes(b"x")
    for path in (mine, orphan, half):
        age(path, 7)

    await sweep_batches(parts)

    assert (mine.exists(), orphan.exists(), young.exists(), half.exists()) == (
        True,
        False,
        True,
        False,
    )


async def test_a_vanished_batch_is_forgotten(
    parts: OperationParts, redis: Redis, keys: Keyspace
) -> None:
    """Neither the open batches nor its tenant's list and bytes name what is gone."""
    gone = (await submit(parts, b"", size_bytes=1000)).accepted
    stays = (await submit(parts, b"", size_bytes=200)).accepted
    await redis.sadd(keys.submitters, gone.tenant)
    await redis.delete(keys.batch(gone.batch_id))

    await sweep_batches(parts)

    assert await parts.batches.open() == [stays.batch_id]
    assert await redis.zrange(keys.batches(gone.tenant), 0, -1) == [stays.batch_id]
    assert await parts.batches.stored_bytes(gone.tenant) == 200


async def test_kept_pictures_go_with_their_retention(parts: OperationParts) -> None:
    """What its tenant keeps for an hour is there for an hour."""
    now_unix_ms = parts.clock.unix_ms()
    for job_id, until_unix_ms in (("job_aa", now_unix_ms - 1000), ("job_bb", now_unix_ms + 10**6)):
        parts.blobs.put(job_id, PICTURE)
        parts.kept.keep_picture(parts.blobs, job_id, until_unix_ms=until_unix_ms)

    assert await sweep_pictures(parts) == 1

    assert (parts.kept.picture("job_aa"), parts.kept.picture("job_bb")) == (None, PICTURE)


async def test_what_dead_instances_left_is_removed(
    parts: OperationParts, redis: Redis, keys: Keyspace
) -> None:
    """Signs of life and parked entries of long ago go; a fresh one of each stays."""
    now_unix_ms, board = parts.clock.unix_ms(), HealthBoard(redis, keys)
    for instance, beat_unix_ms in (("old", now_unix_ms - 2 * DAY_MS), ("new", now_unix_ms)):
        await board.beat(
            Heartbeat(
                service="webapp",
                instance=instance,
                pid=1,
                started_unix_ms=1,
                beat_unix_ms=beat_unix_ms,
            )
        )
    await redis.xadd(keys.dead, {"reason": "old"}, id=f"{now_unix_ms - 40 * DAY_MS}-0")
    await redis.xadd(keys.dead, {"reason": "new"})

    assert await sweep_leftovers(parts) == 2

    assert [beat.instance for beat in await board.all()] == ["new"]
    parked = entries_of({keys.dead: [await redis.xrange(keys.dead)]})
    assert [entry.fields["reason"] for entry in parked] == ["new"]


async def test_a_consumer_with_claims_is_never_dropped(
    parts: OperationParts, redis: Redis, keys: Keyspace
) -> None:
    """To drop it would be to lose what it has claimed."""
    for consumer, count in (("busy", 1), ("idle", 1)):
        reader = StreamReader(
            redis, keys, group=POSTPROCESS_GROUP, consumer=consumer, lease_ms=1000
        )
        await reader.ensure_groups([keys.results])
        if consumer == "busy":
            await redis.xadd(keys.results, {"kind": "x"})
        await reader.claim([keys.results], count=count, block_ms=0)
    await redis.xgroup_createconsumer(keys.results, POSTPROCESS_GROUP, "idle")

    leftovers = Leftovers(redis, keys)
    dropped = await leftovers.drop_consumers(
        [keys.results, keys.deliveries], POSTPROCESS_GROUP, idle_at_least_ms=0
    )

    consumers = await redis.xinfo_consumers(keys.results, POSTPROCESS_GROUP)
    assert [consumer["name"] for consumer in consumers] == ["busy"]
    assert dropped == 1


async def test_what_waits_to_be_told_lives_on(
    parts: OperationParts, redis: Redis, keys: Keyspace
) -> None:
    """A minute before its retention ends, the job of a delivery that nobody took gets another."""
    job = make_job(subscribers=(make_subscriber(),))
    await parts.jobs.accept([job], waiting_max=10)
    await parts.jobs.move([Move(job=job, to=JobState.CANCELED)])
    await redis.pexpire(keys.job(job.job_id), 60_000)

    await sweep_waiting(parts)

    assert await redis.pttl(keys.job(job.job_id)) > DAY_MS // 2
