"""A picture whose decoding never returns fails alone, and costs one restart of the dispatcher."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dispatcher.pictures.decode_watch import DecodeStuck, DecodeWatch
from pipeline.jobs.job import JobState
from tests.integration.dispatcher.station import Station, picture
from tests.waiting import wait_until


async def test_a_stuck_decode_fails_its_job_and_restarts_the_service(station: Station) -> None:
    """The job fails with a reason, the process exits by itself, and the next one does the rest."""
    (stuck,) = await station.submit(picture())
    path = station.blobs.path(stuck.job_id)
    path.unlink()
    # Whoever reads it waits for a writer that never comes.
    os.mkfifo(path)
    first = station.spawn(GW_DECODE_TIMEOUT_S="1", GW_GRACE_S="5")
    jobs = await station.submit(*[picture()] * 20)

    await wait_until(lambda: first.poll() is not None, 60)
    assert first.returncode == 1
    (record,) = await station.records([stuck])
    assert (record.state, record.attempt) == (JobState.FAILED, 1)
    assert record.reason == "decoding the picture did not end within 1 s"
    assert "decode.stuck" in station.log_of()
    assert "service.given_up" in station.log_of()

    station.spawn()
    await station.through(jobs, timeout_s=30)
    assert await station.states(jobs) == {"inferred": 20}


class Held:
    """Work in a thread that ends when it is told to."""

    def __init__(self, watch: DecodeWatch) -> None:
        self._watch = watch
        self.begun = threading.Event()
        self.end = threading.Event()

    def run(self, job_id: str) -> str:
        """Work, timed."""
        with self._watch.timed(job_id):
            self.begun.set()
            self.end.wait(30)
            return job_id


async def test_what_is_given_up_is_told_and_the_service_stopped() -> None:
    """The waiter gets DecodeStuck while the thread goes on; once that ends, nothing is stuck."""
    watch, stop, settled = DecodeWatch(limit_s=0.05), asyncio.Event(), asyncio.Event()
    work = Held(watch)
    watching = asyncio.create_task(watch.keep_watching(stop, settled))
    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(DecodeStuck, match=r"within 0\.05 s"):
            await watch.outcome("job", threads.submit(work.run, "job"))

        assert stop.is_set()
        assert watch.is_stuck
        assert "starts anew" in watch.reason
        work.end.set()
    assert not watch.is_stuck
    assert watch.reason == ""
    settled.set()
    await watching


async def test_waiting_in_line_is_not_decoding() -> None:
    """A picture's time begins with its thread: what waits behind a slow one is not given up."""
    watch, stop, settled = DecodeWatch(limit_s=30), asyncio.Event(), asyncio.Event()
    works = [Held(watch), Held(watch)]
    watching = asyncio.create_task(watch.keep_watching(stop, settled))
    with ThreadPoolExecutor(1) as threads:
        outcomes = [
            asyncio.create_task(watch.outcome(str(number), threads.submit(work.run, str(number))))
            for number, work in enumerate(works)
        ]
        for work in works:
            work.end.set()
        assert await asyncio.gather(*outcomes) == ["0", "1"]
    assert not stop.is_set()
    settled.set()
    await watching


async def test_a_canceled_waiter_waits_for_the_thread() -> None:
    """A deadline that passes meanwhile does not give the memory back under the thread."""
    watch = DecodeWatch(limit_s=30)
    work = Held(watch)
    with ThreadPoolExecutor(1) as threads:
        outcome = asyncio.create_task(watch.outcome("job", threads.submit(work.run, "job")))
        await asyncio.to_thread(work.begun.wait, 10)
        outcome.cancel()
        done, _ = await asyncio.wait({outcome}, timeout=0.1)
        assert not done
        work.end.set()
        with pytest.raises(asyncio.CancelledError):
            await outcome


async def test_a_canceled_waiter_does_not_wait_for_a_stuck_thread() -> None:
    """A thread that never returns ends the wait by being given up."""
    watch, stop, settled = DecodeWatch(limit_s=0.3), asyncio.Event(), asyncio.Event()
    work = Held(watch)
    watching = asyncio.create_task(watch.keep_watching(stop, settled))
    with ThreadPoolExecutor(1) as threads:
        outcome = asyncio.create_task(watch.outcome("job", threads.submit(work.run, "job")))
        await asyncio.to_thread(work.begun.wait, 10)
        outcome.cancel()
        with pytest.raises(DecodeStuck):
            await outcome
        work.end.set()
    settled.set()
    await watching
