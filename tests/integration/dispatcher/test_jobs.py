"""Jobs through a dispatcher with a real server and a real device process: each ends as it must."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from pipeline.jobs.job import LIVE_STATES, JobState, Priority
from pipeline.jobs.kept import KEPT_FOLDER, KeptPictures
from pipeline.jobs.store import Move
from tests.builders_onnx import save_mean_model
from tests.fakes.poisonable_runtime import (
    BREAKS_THE_CONTRACT,
    CRASHES,
    HANGS,
    RAISES,
    SLOW,
)
from tests.integration.dispatcher.station import Station, colour, picture
from tests.waiting import wait_until


async def test_jobs_are_inferred_and_their_pictures_removed(station: Station) -> None:
    """Each job gets the answer to its own picture, moves to inferred, and leaves nothing behind."""
    jobs = await station.submit(*(picture(red) for red in range(20)))
    async with station.dispatcher():
        records = await station.through(jobs)
        assert {record.state for record in records} == {JobState.INFERRED}
        messages = await station.inferred()
        assert [colour(messages[job.job_id]) for job in jobs] == [
            (float(red), 20.0, 30.0) for red in range(20)
        ]
        message = messages[jobs[0].job_id]
        assert (message.width_px, message.height_px, message.attempt) == (8, 8, 1)
        assert message.made_by.version == "1"
        assert 1 <= message.made_by.batch_size <= 8
        await station.pictures_gone(jobs)
    assert await station.waiting() == 0
    assert await station.claimed() == 0


async def test_pictures_and_previews_are_kept_for_who_asks(station: Station) -> None:
    """The preview is there before the job goes on, the picture once the device is through."""
    (plain,) = await station.submit(picture())
    asking = await station.submit(picture(7), picture(8), keep_picture_s=60, preview=True)
    kept = KeptPictures(station.data / KEPT_FOLDER)
    async with station.dispatcher():
        for record in await station.through(asking):
            assert record.state is JobState.INFERRED
            assert (kept.preview(record.job_id) or b"").startswith(b"\xff\xd8")
        await station.through([plain])
        await station.pictures_gone([plain, *asking])
    assert [kept.picture(job.job_id) for job in asking] == [picture(7), picture(8)]
    assert (kept.picture(plain.job_id), kept.preview(plain.job_id)) == (None, None)


async def test_a_canceled_job_is_void_at_the_device(station: Station) -> None:
    """Its late answer is refused; nothing of it goes on, and its claim is settled."""
    jobs = await station.submit(*[picture(SLOW)] * 3)
    async with station.dispatcher():
        await wait_until(station.claimed)
        for job in jobs:
            move = Move(job=job, to=JobState.CANCELED, expected=LIVE_STATES, finished_unix_ms=5)
            await station.store.move([move])
        after = await station.submit(picture())
        await station.through(after)
        await wait_until(lambda: _settled(station))
    canceled = {job.job_id for job in await station.records(jobs) if job.state == "canceled"}
    assert canceled
    assert not canceled & (await station.inferred()).keys()


async def _settled(station: Station) -> bool:
    return await station.claimed() == 0


@pytest.mark.parametrize(
    ("poison", "reason"),
    [(CRASHES, "SIGKILL"), (HANGS, "hung past 1 s"), (RAISES, "a value that the model")],
)
async def test_a_poisonous_picture_fails_alone(station: Station, poison: int, reason: str) -> None:
    """A picture that crashes, hangs, upsets the model fails with that reason; its mates do not."""
    jobs = await station.submit(*(picture(poison if index == 3 else index) for index in range(8)))
    async with station.dispatcher():
        records = await station.through(jobs)
    culprit = records.pop(3)
    assert (culprit.state, culprit.reason_code) == (JobState.FAILED, "model_failed")
    assert reason in culprit.reason
    assert [record.state for record in records] == [JobState.INFERRED] * 7
    messages = await station.inferred()
    assert {colour(messages[record.job_id])[0] for record in records} == {0, 1, 2, 4, 5, 6, 7}
    assert {record.attempt for record in records} == {1}
    await station.pictures_gone(jobs)


async def test_a_defect_of_ours_ends_the_jobs_of_its_batch(station: Station) -> None:
    """A batch that breaks a contract is failed with a reason: nobody holds its jobs for ever."""
    jobs = await station.submit(picture(BREAKS_THE_CONTRACT))
    async with station.dispatcher():
        (record,) = await station.through(jobs)
        assert record.reason == "the batch could not be run"
        more = await station.submit(picture())
        assert (await station.states(await station.through(more))) == {"inferred": 1}


async def test_pictures_that_cannot_be_prepared_fail_alone(station: Station) -> None:
    """Bytes that do not decode, a picture cut short and a missing one fail, each for itself."""
    jobs = await station.submit(picture(), b"no picture at all", picture()[:-20], None, picture())
    async with station.dispatcher():
        records = await station.through(jobs)
    assert [record.reason_code for record in records] == [
        "",
        "undecodable_picture",
        "undecodable_picture",
        "picture_missing",
        "",
    ]
    await station.pictures_gone(jobs)


async def test_a_picture_too_large_for_the_memory_fails_with_that_reason(station: Station) -> None:
    """An input that the shared memory could never take is refused with both sizes."""
    card = station.models / "echo" / "model.toml"
    card.write_text(card.read_text().replace("= 8\n", "= 4096\n", 2))
    (station.models / "echo" / "1" / "model.onnx").unlink()
    save_mean_model(station.models / "echo" / "1" / "model.onnx", side_px=4096)
    jobs = await station.submit(picture())
    async with station.dispatcher(device_memory_mb=100_000):
        (record,) = await station.through(jobs)
    assert record.state is JobState.FAILED
    assert "do not fit the device's shared memory" in record.reason


async def test_an_unknown_version_fails_at_its_start(station: Station) -> None:
    """A job whose version was taken away after it was accepted fails and names it."""
    jobs = await station.submit(picture(), version="7")
    async with station.dispatcher():
        (record,) = await station.through(jobs)
    assert (record.state, record.reason_code) == (JobState.FAILED, "model_removed")
    assert "version 7 of echo" in record.reason


async def test_an_entry_that_nobody_can_read_is_parked(station: Station) -> None:
    """A foreign entry goes to the dead stream; others go on, also beside a broken record."""
    await station.redis.xadd(station.keys.infer("echo", Priority.NORMAL), {"kind": "nonsense"})
    jobs = await station.submit(picture(1), picture(2), picture(3))
    await station.redis.hset(station.keys.job(jobs[1].job_id), "picture", "[")
    async with station.dispatcher():
        await station.through([jobs[0], jobs[2]])
        assert await station.redis.xlen(station.keys.dead) == 1


async def test_a_deadline_that_passed_in_the_queue_needs_no_device(station: Station) -> None:
    """A waiting job that nobody claims expires, though 200 more overdue ones are running."""
    past_unix_ms = int(time.time() * 1000) - 1000
    running = await station.submit(*[None] * 200, model="other", deadline_unix_ms=past_unix_ms)
    for job in running:
        await station.redis.hset(station.keys.job(job.job_id), "state", "running")
    # No dispatcher follows the model that is not on the shelf.
    jobs = await station.submit(picture(), model="other", deadline_unix_ms=past_unix_ms + 500)
    async with station.dispatcher():
        (record,) = await station.through(jobs, timeout_s=5)
        assert (record.state, record.reason_code) == (JobState.EXPIRED, "deadline_passed")
        await station.pictures_gone(jobs)
    assert await station.states(running) == {"running": 200}


async def test_a_deadline_that_passed_is_seen_at_the_claim(station: Station) -> None:
    """A job claimed past its deadline expires, is not decoded, and its picture goes."""
    jobs = await station.submit(b"not decoded", deadline_unix_ms=int(time.time() * 1000) + 1)
    async with station.dispatcher():
        (record,) = await station.through(jobs)
        assert record.state is JobState.EXPIRED
        await station.pictures_gone(jobs)


async def is_claimed(station: Station, count: int) -> bool:
    """Whether so many jobs are claimed."""
    return await station.claimed() == count


async def test_a_deadline_that_passes_before_the_device_is_free(station: Station) -> None:
    """A job that is ready behind a busy device expires when its deadline passes, not later."""
    async with station.dispatcher(infer_timeout_s=20, grace_s=1.0):
        blocking = await station.submit(picture(HANGS))
        await wait_until(station.loads)
        # A full batch more, which the device is sent ahead.
        blocking += await station.submit(*[picture()] * 8)
        await wait_until(lambda: is_claimed(station, 9))
        deadline_unix_ms = int(time.time() * 1000) + 500
        jobs = await station.submit(picture(), picture(), deadline_unix_ms=deadline_unix_ms)
        records = await station.through(jobs)
        assert {record.state for record in records} == {JobState.EXPIRED}
        assert max(record.finished_unix_ms for record in records) < deadline_unix_ms + 1500
        assert await station.states(blocking) == {"running": 9}
    assert await station.states(blocking) == {"queued": 9}
    assert await station.claimed() == 0


async def test_priorities_are_honoured_when_saturated(station: Station) -> None:
    """With 150 jobs of low priority before them, high ones are through first of all but a few."""
    low = await station.submit(*[picture(SLOW)] * 150, priority=Priority.LOW)
    async with station.dispatcher():
        await wait_until(lambda: station.redis.xlen(station.keys.results))
        high = await station.submit(*[picture(SLOW)] * 16, priority=Priority.HIGH)
        await station.through(high)
        done = (await station.states(low))["inferred"]
        # Before it: batches done when they came, at most two under way, two that were ahead.
        assert done < 80
        await station.through(low)


async def test_two_models_that_do_not_fit_together_are_both_served(station: Station) -> None:
    """With memory for one model at a time, the jobs of both succeed, by turns."""
    station.add_model("other")
    jobs = [
        *await station.submit(*[picture(1)] * 20),
        *await station.submit(*[picture(2)] * 20, model="other"),
    ]
    async with station.dispatcher(device_memory_mb=15):
        await station.through(jobs)
        jobs += await station.submit(*[picture(1)] * 5)
        jobs += await station.submit(*[picture(2)] * 5, model="other")
        await station.through(jobs)
    assert await station.states(jobs) == Counter(inferred=50)
    assert station.loads() + station.loads("other") >= 3
